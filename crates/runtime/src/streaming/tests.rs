use http::{HeaderMap, HeaderValue};
use serde_json::{Value, json};

use super::channel::{End, Incoming, Output, greeting, outcome, output, parse};
use super::codec::Codec;
use super::handshake::{Protocol, ProtocolVersion, Service, Upgrade};

fn headers(entries: &[(&'static str, &str)]) -> HeaderMap {
    let entry = |(name, value): &(&'static str, &str)| {
        (http::HeaderName::from_static(name), HeaderValue::from_str(value).unwrap())
    };
    entries.iter().map(entry).collect()
}

fn accept(service: Service, entries: &[(&'static str, &str)]) -> Result<Upgrade, String> {
    Upgrade::accept(&headers(entries), service)
}

const KEY: (&str, &str) = ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ==");

#[test]
fn the_newest_protocol_the_client_prefers_is_spoken() {
    let offer =
        |protocols| accept(Service::Command, &[("upgrade", "websocket"), KEY, ("sec-websocket-protocol", protocols)]);
    assert_eq!(offer("v5.channel.k8s.io").unwrap().protocol, Protocol::Channels(ProtocolVersion::V5, Codec::Binary));
    assert_eq!(
        offer("v9, v4.channel.k8s.io, v5.channel.k8s.io").unwrap().protocol,
        Protocol::Channels(ProtocolVersion::V4, Codec::Binary)
    );
    let response = offer("v4.channel.k8s.io").unwrap().response();
    // The example of RFC 6455.
    assert_eq!(response.headers()["sec-websocket-accept"], "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    let refusal = offer("v1.channel.k8s.io").unwrap_err();
    assert!(refusal.contains("v1.channel.k8s.io") && refusal.contains("v5.channel.k8s.io"), "{refusal}");
}

#[test]
fn each_service_has_its_protocols() {
    let spdy =
        |service, protocols| accept(service, &[("upgrade", "SPDY/3.1"), ("x-stream-protocol-version", protocols)]);
    let command = spdy(Service::Command, "v5.channel.k8s.io, v4.channel.k8s.io, channel.k8s.io").unwrap();
    assert_eq!(command.protocol, Protocol::SpdyCommand);
    let answer = command.response();
    assert_eq!(
        (&answer.headers()["upgrade"], &answer.headers()["x-stream-protocol-version"]),
        (&HeaderValue::from_static("SPDY/3.1"), &HeaderValue::from_static("v4.channel.k8s.io"))
    );
    assert_eq!(spdy(Service::PortForward, "portforward.k8s.io").unwrap().protocol, Protocol::SpdyPortForward);
    assert!(spdy(Service::PortForward, "v4.channel.k8s.io").is_err());
    let tunnel = [("upgrade", "websocket"), KEY, ("sec-websocket-protocol", "SPDY/3.1+portforward.k8s.io")];
    assert_eq!(accept(Service::PortForward, &tunnel).unwrap().protocol, Protocol::TunnelledPortForward);
    assert!(accept(Service::Command, &tunnel).is_err());
}

#[test]
fn older_websockets_are_spoken_too() {
    let offer = |service, protocol: &str| {
        let upgrade = accept(service, &[("upgrade", "websocket"), KEY, ("sec-websocket-protocol", protocol)]).unwrap();
        assert_eq!(upgrade.response().headers()["sec-websocket-protocol"], protocol);
        upgrade.protocol
    };
    for (name, version, codec) in [
        ("v4.base64.channel.k8s.io", ProtocolVersion::V4, Codec::Base64),
        ("channel.k8s.io", ProtocolVersion::V1, Codec::Binary),
        ("base64.channel.k8s.io", ProtocolVersion::V1, Codec::Base64),
    ] {
        assert_eq!(offer(Service::Command, name), Protocol::Channels(version, codec));
    }
    assert_eq!(offer(Service::PortForward, "v4.channel.k8s.io"), Protocol::PortChannels(Codec::Binary));
    assert_eq!(offer(Service::PortForward, "v4.base64.channel.k8s.io"), Protocol::PortChannels(Codec::Base64));
    let nameless = accept(Service::Command, &[("upgrade", "websocket"), KEY]).unwrap();
    assert_eq!(nameless.protocol, Protocol::Channels(ProtocolVersion::V1, Codec::Binary));
    assert_eq!(nameless.response().headers().get("sec-websocket-protocol"), None);
}

#[test]
fn other_upgrades_are_refused_by_name() {
    let refusal = accept(Service::Command, &[("upgrade", "h2c")]).unwrap_err();
    assert!(refusal.contains("h2c"), "{refusal}");
    assert!(accept(Service::Command, &[]).unwrap_err().contains("no upgrade"));
    assert!(accept(Service::Command, &[("upgrade", "websocket")]).unwrap_err().contains("key"));
}

#[test]
fn frames_are_read_by_channel() {
    for (frame, expected) in [
        (&b"\x00hello"[..], Incoming::Stdin(b"hello")),
        (b"\x00", Incoming::Stdin(b"")),
        (b"\x04{\"Width\":80,\"Height\":24}", Incoming::Resize { columns: 80, rows: 24 }),
        (b"\x04{\"Width\":-1,\"Height\":24}", Incoming::Other),
        (b"\xff\x00", Incoming::StdinClosed),
        (b"\xff\x01", Incoming::Other),
        (b"\x09?", Incoming::Other),
        (b"", Incoming::Other),
    ] {
        assert_eq!(parse(frame), expected, "{frame:?}");
    }
}

#[test]
fn output_and_greeting_name_their_channel() {
    assert_eq!(output(Output::Stdout, b"a"), b"\x01a");
    assert_eq!(output(Output::Stderr, b"b"), b"\x02b");
    assert_eq!((greeting(true, true), greeting(false, true), greeting(false, false)), (vec![1], vec![2], vec![3]));
}

#[test]
fn the_outcome_is_a_kubernetes_status() {
    let read = |end: &End| -> Value {
        let frame = outcome(end, ProtocolVersion::V5).unwrap();
        assert_eq!(frame[0], 3);
        serde_json::from_slice(&frame[1..]).unwrap()
    };
    assert_eq!(outcome(&End::Success, ProtocolVersion::V1), None);
    let words = outcome(&End::ExitCode { code: 3, argv: vec!["false".into()] }, ProtocolVersion::V1).unwrap();
    assert_eq!(words, b"\x03command terminated with non-zero exit code: error executing command [false], exit code 3");
    assert_eq!(read(&End::Success), json!({ "metadata": {}, "status": "Success" }));
    let failure = read(&End::ExitCode { code: 3, argv: vec!["sh".into(), "-c".into(), "exit 3".into()] });
    assert_eq!(failure["reason"], "NonZeroExitCode");
    assert_eq!(failure["details"], json!({ "causes": [{ "reason": "ExitCode", "message": "3" }] }));
    let lost = read(&End::Failed("gone".into()));
    assert_eq!((&lost["reason"], &lost["code"]), (&json!("InternalError"), &json!(500)));
}
