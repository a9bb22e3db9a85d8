//! The upgrade of an HTTP/1.1 request to what Kubernetes' clients speak: WebSockets with one of its sub-protocols, or
//! SPDY/3.1, which older clients speak directly.

use http::header::{CONNECTION, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_PROTOCOL, UPGRADE};
use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode};
use http_body_util::Full;
use hyper::body::Bytes;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;

use super::codec::Codec;

/// Where SPDY clients name their protocols.
static STREAM_PROTOCOL: HeaderName = HeaderName::from_static("x-stream-protocol-version");

/// What a client may ask of a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Service {
    /// Exec and attach.
    Command,
    /// Port forwarding.
    PortForward,
}

/// What both sides speak once the connection is upgraded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protocol {
    /// Exec and attach in WebSocket messages, one channel each for input, output, errors, outcome and terminal size.
    Channels(ProtocolVersion, Codec),
    /// Exec and attach, a SPDY stream for each channel.
    SpdyCommand,
    /// Port forwarding, two SPDY streams for each connection.
    SpdyPortForward,
    /// The same in the messages of a WebSocket.
    TunnelledPortForward,
    /// Port forwarding in WebSocket messages, two channels for each port that the request names.
    PortChannels(Codec),
}

/// Version of the remote command protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProtocolVersion {
    /// Channels for input, output, errors and terminal size; what comes as outcome are words, after a failure only.
    V1,
    /// Channels for input, output, errors, outcome and terminal size.
    V4,
    /// The same, and either side may close a channel.
    V5,
}

/// Each protocol under each of its names. A WebSocket may also be opened without naming one.
type Known = &'static [(&'static str, Protocol)];

const COMMAND_CHANNELS: Known = &[
    ("v5.channel.k8s.io", Protocol::Channels(ProtocolVersion::V5, Codec::Binary)),
    ("v4.channel.k8s.io", Protocol::Channels(ProtocolVersion::V4, Codec::Binary)),
    ("v4.base64.channel.k8s.io", Protocol::Channels(ProtocolVersion::V4, Codec::Base64)),
    ("channel.k8s.io", Protocol::Channels(ProtocolVersion::V1, Codec::Binary)),
    ("base64.channel.k8s.io", Protocol::Channels(ProtocolVersion::V1, Codec::Base64)),
    ("", Protocol::Channels(ProtocolVersion::V1, Codec::Binary)),
];
const COMMAND_STREAMS: Known = &[("v4.channel.k8s.io", Protocol::SpdyCommand)];
const PORT_CHANNELS: Known = &[
    ("SPDY/3.1+portforward.k8s.io", Protocol::TunnelledPortForward),
    ("v4.channel.k8s.io", Protocol::PortChannels(Codec::Binary)),
    ("v4.base64.channel.k8s.io", Protocol::PortChannels(Codec::Base64)),
    ("", Protocol::PortChannels(Codec::Binary)),
];
const PORT_STREAMS: Known = &[("portforward.k8s.io", Protocol::SpdyPortForward)];

/// What we speak, for a service and one kind of upgrade.
fn known(service: Service, websocket: bool) -> Known {
    match (service, websocket) {
        (Service::Command, true) => COMMAND_CHANNELS,
        (Service::Command, false) => COMMAND_STREAMS,
        (Service::PortForward, true) => PORT_CHANNELS,
        (Service::PortForward, false) => PORT_STREAMS,
    }
}

/// An upgrade to be granted.
#[derive(Debug, PartialEq, Eq)]
pub struct Upgrade {
    /// What both sides speak.
    pub protocol: Protocol,
    /// The name it was asked for by.
    name: &'static str,
    /// The answer to a WebSocket's key.
    accept_key: Option<String>,
}

impl Upgrade {
    /// Checks a request; the client's first offer that we know wins.
    ///
    /// # Errors
    /// Why it cannot be granted, for the client.
    pub fn accept(headers: &HeaderMap, service: Service) -> Result<Self, String> {
        let wanted = list(headers, &UPGRADE);
        let wants = |name: &str| wanted.iter().any(|protocol| protocol.eq_ignore_ascii_case(name));
        let websocket = wants("websocket");
        if !websocket && !wants(spdy::PROTOCOL) {
            let wanted = if wanted.is_empty() { "no upgrade".to_owned() } else { wanted.join(", ") };
            return Err(format!("a WebSocket or {} is needed, {wanted} was asked for", spdy::PROTOCOL));
        }
        let accept_key = match websocket {
            true => {
                let key = headers.get("sec-websocket-key").ok_or("the request has no WebSocket key")?;
                Some(derive_accept_key(key.as_bytes()))
            }
            false => None,
        };
        let mut offers = list(headers, if websocket { &SEC_WEBSOCKET_PROTOCOL } else { &STREAM_PROTOCOL });
        if websocket && offers.is_empty() {
            offers.push("");
        }
        let known = known(service, websocket);
        let chosen = offers.iter().find_map(|offer| known.iter().find(|(name, _)| name == offer));
        let (name, protocol) = *chosen.ok_or_else(|| {
            let known: Vec<_> = known.iter().map(|(name, _)| name).collect();
            format!("unable to negotiate protocol: client supports {offers:?}, server accepts {known:?}")
        })?;
        Ok(Self { protocol, name, accept_key })
    }

    /// The answer that switches protocols.
    pub fn response(&self) -> Response<Full<Bytes>> {
        let mut response = Response::new(Full::default());
        *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
        let headers = response.headers_mut();
        headers.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
        let name = HeaderValue::from_static(self.name);
        match &self.accept_key {
            Some(key) => {
                headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
                if !name.is_empty() {
                    headers.insert(SEC_WEBSOCKET_PROTOCOL, name);
                }
                let key = HeaderValue::from_str(key).expect("base64 is a header value");
                headers.insert(SEC_WEBSOCKET_ACCEPT, key);
            }
            None => {
                headers.insert(UPGRADE, HeaderValue::from_static(spdy::PROTOCOL));
                headers.insert(&STREAM_PROTOCOL, name);
            }
        }
        response
    }
}

/// Values of a header that holds a list, however it was split.
fn list<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Vec<&'a str> {
    let values = headers.get_all(name).iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).map(str::trim).filter(|item| !item.is_empty()).collect()
}
