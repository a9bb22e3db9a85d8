use serde_json::json;

use super::*;

/// One field of a message being written.
fn field(number: u64, bytes: &[u8]) -> Vec<u8> {
    [varint(number << 3 | 2), varint(bytes.len() as u64), bytes.to_vec()].concat()
}

fn number(number: u64, value: u64) -> Vec<u8> {
    [varint(number << 3), varint(value)].concat()
}

fn varint(mut number: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    while number >= 0x80 {
        bytes.push((number & 0x7f) as u8 | 0x80);
        number >>= 7;
    }
    bytes.push(number as u8);
    bytes
}

fn body(api_version: &str, kind: &str, raw: &[u8]) -> Vec<u8> {
    let type_meta = [field(1, api_version.as_bytes()), field(2, kind.as_bytes())].concat();
    [MAGIC.to_vec(), field(1, &type_meta), field(2, raw)].concat()
}

const CONFIG_MAP: Gvk = Gvk { group: "", version: "v1", kind: "ConfigMap" };

fn check(body: &[u8], expected: serde_json::Value) {
    let json = to_json(body, CONFIG_MAP).expect("decodes");
    assert_eq!(serde_json::from_slice::<serde_json::Value>(&json).expect("JSON"), expected);
}

#[test]
fn maps_and_metadata_become_json_without_what_is_empty() {
    let metadata = [field(1, b"a"), field(2, b""), field(8, b""), field(11, &[field(1, b"k"), field(2, b"")].concat())];
    let data = [field(1, b"x"), field(2, b"y")].concat();
    let raw = [field(1, &metadata.concat()), field(2, &data)].concat();
    check(
        &body("v1", "ConfigMap", &raw),
        json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a", "labels": {"k": ""}}, "data": {"x": "y"}}),
    );
}

#[test]
fn inlined_messages_times_quantities_and_ports() {
    let empty_dir = field(2, &field(1, b"Memory"));
    let volume = [field(1, b"v"), field(2, &empty_dir)].concat();
    let limits = [field(1, b"cpu"), field(2, &field(1, b"500m"))].concat();
    let probe = field(1, &field(2, &[field(1, b"/"), field(2, &[number(1, 0), number(2, 80)].concat())].concat()));
    let container = [field(1, b"c"), field(8, &field(1, &limits)), field(10, &[probe, number(2, 5)].concat())].concat();
    let spec = [field(1, &volume), field(2, &container), number(4, 30), number(11, 1)].concat();
    let metadata = [field(1, b"p"), field(8, &[number(1, 1_767_225_600), number(2, 0)].concat())].concat();
    let raw = [field(1, &metadata), field(2, &spec)].concat();
    check(
        &body("v1", "Pod", &raw),
        json!({
            "apiVersion": "v1", "kind": "Pod",
            "metadata": {"name": "p", "creationTimestamp": "2026-01-01T00:00:00Z"},
            "spec": {
                "volumes": [{"name": "v", "emptyDir": {"medium": "Memory"}}],
                "containers": [{"name": "c", "resources": {"limits": {"cpu": "500m"}},
                    "livenessProbe": {"httpGet": {"path": "/", "port": 80}, "initialDelaySeconds": 5}}],
                "terminationGracePeriodSeconds": 30,
                "hostNetwork": true,
            },
        }),
    );
}

#[test]
fn bodies_may_leave_their_kind_to_the_url() {
    check(&body("", "", &field(1, &field(1, b"a"))), json!({"metadata": {"name": "a"}}));
}

#[test]
fn what_is_no_such_body_is_refused() {
    let check = |body: &[u8], expected: &str| {
        assert_eq!(to_json(body, CONFIG_MAP).map_err(|error| error.to_string()), Err(expected.to_owned()));
    };
    check(b"xx", "provided data does not appear to be a protobuf message, expected prefix [107 56 115 0]");
    check(&[MAGIC, &[0x0a, 0x05, 1]].concat(), "unexpected EOF");
    check(&body("v1", "ConfigMap", &[0x0a, 0x7f]), "unexpected EOF");
    check(&body("v1", "ConfigMap", &field(1, &field(1, &[0xff]))), "proto: invalid UTF-8 in a string field");
    check(
        &body("v1", "Podd", b""),
        "no kind \"Podd\" is registered for version \"v1\" in scheme \"pkg/api/legacyscheme/scheme.go:30\"",
    );
}

#[test]
fn every_field_of_the_table_is_in_the_schema() {
    assert!(MESSAGES.is_sorted());
    for (message, fields) in MESSAGES {
        let Some(structure) = Type::of_definition(message) else { continue };
        for field in fields.split(' ').filter(|field| !field.starts_with('*') && field.parse::<u64>().is_err()) {
            assert!(structure.field(field).is_some(), "{message} has no {field}");
        }
    }
}
