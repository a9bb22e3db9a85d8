use serde_json::{Value as Json, json};

use super::*;
use crate::decode::Node;
use crate::schema::wire::Union;
use crate::schema::{Field, Value};

fn of_kind(group: &str, version: &str, kind: &str) -> Type {
    Type::of_kind(group, version, kind).expect("a built-in kind")
}

fn decoded(message: &[u8], structure: Type) -> Result<serde_json::Value, Error> {
    tree(message, structure).map(Node::into_value)
}

#[test]
fn bodies_open() {
    // `kubectl create configmap a --from-literal=k=v`, as client-go 1.32 writes it.
    let head: &[u8] = b"k8s\0\x0a\x0f\x0a\x02v1\x12\x09ConfigMap\x12\x19";
    let raw = b"\x0a\x0f\x0a\x01a\x12\0\x1a\0\x22\0*\x002\0\x38\0\x12\x06\x0a\x01k\x12\x01v";
    let body = [head, raw, b"\x1a\0\x22\0"].concat();
    let message = Message::open(&body).unwrap();
    assert_eq!((&*message.api_version, &*message.kind, message.raw), ("v1", "ConfigMap", raw.as_slice()));
    let object = decoded(message.raw, of_kind("", "v1", "ConfigMap"));
    assert_eq!(object, Ok(json!({"metadata": {"name": "a"}, "data": {"k": "v"}})));
}

#[test]
fn bodies_that_are_none_are_refused() {
    for (body, error) in [
        (b"".as_slice(), "empty data"),
        (b"{}", "provided data does not appear to be a protobuf message, expected prefix [107 56 115 0]"),
        (b"k8s\0", "empty body"),
        (b"k8s\0\x0a\x05", "unexpected EOF"),
        (b"k8s\0\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", "proto: integer overflow"),
        (b"k8s\0\x0b", "proto: illegal wireType 3"),
        (b"k8s\0\x02\0", "proto: illegal tag 0 (wire type 2)"),
        (b"k8s\0\x10\x01", "proto: wrong wireType = 0 for field Raw"),
    ] {
        assert_eq!(Message::open(body).map_err(|error| error.to_string()), Err(error.to_owned()), "{body:?}");
    }
}

#[test]
fn every_field_has_its_number() {
    // Alpha fields of 1.36 whose numbers no source at hand tells.
    const UNKNOWN: &[&str] = &[
        "v1.CSIDriverSpec.preventPodSchedulingIfMissing",
        "v1.Device.nodeAllocatableResourceMappings",
        "v1.DeviceAttribute.bools",
        "v1.DeviceAttribute.ints",
        "v1.DeviceAttribute.strings",
        "v1.DeviceAttribute.versions",
        "v1.ImageVolumeStatus.imageRef",
        "v1.ListMeta.shardInfo",
        "v1.NodeAllocatableResourceClaimStatus.containers",
        "v1.NodeAllocatableResourceClaimStatus.resourceClaimName",
        "v1.NodeAllocatableResourceClaimStatus.resources",
        "v1.NodeAllocatableResourceMapping.allocationMultiplier",
        "v1.NodeAllocatableResourceMapping.capacityKey",
        "v1.PodSchedulingGroup.podGroupName",
        "v1.PodSpec.schedulingGroup",
        "v1.PodStatus.nodeAllocatableResourceClaimStatuses",
        "v1.ResourceHealth.message",
        "v1.ShardInfo.selector",
        "v1.VolumeMountStatus.volumeStatus",
        "v1.VolumeStatus.image",
    ];
    let mut missing = Vec::new();
    // The server's version is JSON and nothing else.
    for structure in Type::all().filter(|structure| structure.go_name() != "version.Info") {
        // The envelope says what the fields of a kind's own type are.
        let is_kind = structure.field("apiVersion").is_some() && structure.field("kind").is_some();
        let numbered: Vec<_> = structure.fields().filter_map(|field| Some((field.wire()?, field))).collect();
        for (place, (wire, field)) in numbered.iter().enumerate() {
            let twin = numbered[..place]
                .iter()
                .find(|(known, _)| (known.nest(), known.number()) == (wire.nest(), wire.number()));
            assert!(twin.is_none(), "{} and {:?} share a number", field.name(), twin.map(|(_, twin)| twin.name()));
        }
        for field in structure.fields().filter(|field| field.wire().is_none()) {
            if !(is_kind && ["apiVersion", "kind"].contains(&field.name())) {
                missing.push(format!("{}.{}", structure.go_name(), field.name()));
            }
        }
    }
    missing.sort();
    assert_eq!(missing, UNKNOWN);
}

/// Bytes written down in hexadecimal digits, white space between them.
fn hex(text: &str) -> Vec<u8> {
    let digits: Vec<u8> = text.bytes().filter(|byte| !byte.is_ascii_whitespace()).collect();
    digits.chunks(2).map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap()).collect()
}

/// Checks both directions against bytes that were written by hand.
fn check_bytes(kind: (&str, &str, &str), object: &Json, bytes: &str) {
    let structure = of_kind(kind.0, kind.1, kind.2);
    let message = encode(object.to_string().as_bytes(), structure).unwrap();
    assert_eq!(decoded(&hex(bytes), structure).as_ref(), Ok(object), "decoding");
    assert_eq!(message, hex(bytes), "encoding gives {message:02x?}");
}

#[test]
fn bytes_are_those_of_upstream() {
    // metadata { name: "p" }, and a time with both of its numbers.
    let meta = json!({"metadata": {"creationTimestamp": "1970-01-01T00:01:40Z", "name": "p"}});
    check_bytes(("", "v1", "Pod"), &meta, "0a 09 42 04 08 64 10 00 0a 01 70");
    // Volume 2 is its source, in JSON inline; there 2 is emptyDir, with sizeLimit 2 a quantity.
    let volumes = json!({"spec": {"volumes": [{"emptyDir": {"sizeLimit": "1Gi"}, "name": "v"}]}});
    check_bytes(("", "v1", "Pod"), &volumes, "12 10 0a 0e 0a 01 76 12 09 12 07 12 05 0a 03 31 47 69");
    // A probe's handler is inline in 1; there 2 is httpGet; a port is a union of integer and text.
    let probe = json!({"spec": {"containers": [
        {"livenessProbe": {"httpGet": {"port": 80}, "periodSeconds": 5}},
        {"livenessProbe": {"httpGet": {"port": "web"}}},
    ]}});
    check_bytes(
        ("", "v1", "Pod"),
        &probe,
        "12 21 12 0e 52 0c 20 05 0a 08 12 06 12 04 08 00 10 50 12 0f 52 0d 0a 0b 12 09 12 07 08 01 1a 03 77 65 62",
    );
    let secret = json!({"data": {"a": "AP8="}, "immutable": false, "type": "Opaque"});
    check_bytes(("", "v1", "Secret"), &secret, "12 07 0a 01 61 12 02 00 ff 28 00 1a 06 4f 70 61 71 75 65");
    let lease = json!({"spec": {"leaseDurationSeconds": -1, "renewTime": "1970-01-01T00:00:00.000001Z"}});
    check_bytes(
        ("coordination.k8s.io", "v1", "Lease"),
        &lease,
        "12 12 10 ff ff ff ff ff ff ff ff ff 01 22 05 08 00 10 e8 07",
    );
}

/// A structure with something in every field, so many levels deep.
fn rich(structure: Type, levels: usize) -> Json {
    let members = structure.fields().filter(|field| field.wire().is_some());
    let members =
        members.filter_map(|field| Some((field.name().to_owned(), rich_field(field, field.value(), levels)?)));
    Json::Object(members.collect())
}

fn rich_field(field: Field, value: Value, levels: usize) -> Option<Json> {
    let deeper = |value| rich_field(field, value, levels.checked_sub(1)?);
    Some(match value {
        Value::String => format!("{} \"\u{e9}\u{1F980}\n", field.name()).into(),
        Value::Bool => true.into(),
        Value::Int32 => i32::MIN.into(),
        Value::Int64 => i64::MAX.into(),
        Value::Float64 => json!(-0.1),
        Value::Bytes => "/wAB".into(),
        Value::Quantity => "1500m".into(),
        Value::IntOrString if levels.is_multiple_of(2) => (-1).into(),
        Value::IntOrString => "50%".into(),
        Value::Time => "1969-12-31T23:59:59Z".into(),
        Value::MicroTime => "2026-02-28T12:00:00.000001Z".into(),
        Value::Object(structure) => rich(structure, levels.checked_sub(1)?),
        Value::Array(element) => json!([deeper(element.value())?, deeper(element.value())?]),
        Value::Map(element) => json!({"": deeper(element.value())?, "k": deeper(element.value())?}),
        Value::Any => match field.wire()?.union() {
            None => json!({"kind": "Any", "list": [1, null, 2.5, {}], "x": {"y": true}}),
            Some(Union::SchemaOrBool) if levels.is_multiple_of(2) => false.into(),
            Some(Union::SchemaOrTexts) if levels.is_multiple_of(2) => json!(["a", ""]),
            Some(Union::SchemaOrArray) if levels.is_multiple_of(2) => {
                json!([rich(json_schema(), levels.checked_sub(2)?)])
            }
            Some(_) => rich(json_schema(), levels.checked_sub(2)?),
        },
    })
}

#[test]
fn whatever_a_kind_can_hold_survives_the_round_trip() {
    for structure in Type::all() {
        for levels in [4, 5] {
            let object = rich(structure, levels);
            let message = encode(object.to_string().as_bytes(), structure).unwrap();
            assert_eq!(decoded(&message, structure), Ok(object), "{}", structure.definition());
        }
    }
}

#[test]
fn zeros_that_json_leaves_out_are_left_out() {
    // Go writes every field that is no pointer: here `volumeName: ""`, and as a pointer `storageClassName: ""`.
    let claim = decoded(&hex("12 04 1a 00 2a 00"), of_kind("", "v1", "PersistentVolumeClaim"));
    assert_eq!(claim, Ok(json!({"spec": {"storageClassName": ""}})));
    // A name is written in JSON even when it is empty; a time without numbers is none; `hostPort` is no pointer.
    let pod = decoded(&hex("0a 04 42 00 0a 00 12 0a 12 08 0a 00 32 04 10 00 18 50"), of_kind("", "v1", "Pod"));
    assert_eq!(
        pod,
        Ok(json!({"metadata": {}, "spec": {"containers": [{"name": "", "ports": [{"containerPort": 80}]}]}}))
    );
}

#[test]
fn numbers_may_be_packed_and_fields_repeated() {
    // supplementalGroups (4) of the Pod's security context (14): packed 1, 300; then a single 2.
    let pod = of_kind("", "v1", "Pod");
    let groups = decoded(&hex("12 09 72 07 22 03 01 ac 02 20 02"), pod);
    assert_eq!(groups, Ok(json!({"spec": {"securityContext": {"supplementalGroups": [1, 300, 2]}}})));
    // Messages that come in parts are one; of anything else the last counts; unknown fields are nothing.
    let parts = decoded(&hex("0a 03 0a 01 61 0a 06 0a 01 62 1a 01 63 f8 07 01 fd 07 00 00 00 00"), pod);
    let parts = parts.map(|node| node["metadata"].clone());
    assert_eq!(parts, Ok(json!({"name": "b", "namespace": "c"})));
}

#[test]
fn messages_that_are_wrong_are_refused() {
    let schema = of_kind("apiextensions.k8s.io", "v1", "CustomResourceDefinition");
    for (kind, message, error) in [
        (("", "v1", "Pod"), "0a 05 0a 01", "unexpected EOF"),
        (("", "v1", "Pod"), "08 01", "proto: wrong wireType = 0 for field Metadata"),
        (("", "v1", "Pod"), "12 05 0a 03 12 01 08", "unexpected EOF"),
        (
            ("", "v1", "Pod"),
            "0a 0c 42 0a 08 ff ff ff ff ff ff ff ff 7f",
            "Time.MarshalJSON: year outside of range [0,9999]",
        ),
        (("", "v1", "Service"), "12 08 0a 06 22 04 08 02 10 01", "impossible IntOrString.Type"),
        (("apps", "v1", "ControllerRevision"), "12 03 0a 01 7b", "unexpected end of JSON input"),
    ] {
        let found = decoded(&hex(message), of_kind(kind.0, kind.1, kind.2)).map_err(|error| error.to_string());
        assert_eq!(found, Err(error.to_owned()), "{message}");
    }
    // spec.versions.schema.openAPIV3Schema, then `not` in `not`.
    let mut deep = Vec::new();
    for number in std::iter::repeat_n(28, 200).chain([1, 4, 7, 2]) {
        let mut writer = writer::Writer::default();
        writer.bytes(number, &deep);
        deep = writer.into_bytes();
    }
    assert_eq!(tree(&deep, schema), Err(Error::TooDeep));
}

#[test]
fn no_bytes_are_too_wild() {
    let pod = of_kind("", "v1", "Pod");
    let valid = encode(rich(pod, 5).to_string().as_bytes(), pod).unwrap();
    let mut state = 1_u64;
    for _ in 0..2_000 {
        let mut next = |below: usize| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            usize::try_from(state >> 33).unwrap() % below
        };
        let start = next(valid.len());
        let mut message = valid[start..valid.len().min(start + 400)].to_vec();
        for _ in 0..next(8) {
            let place = next(message.len());
            message[place] = u8::try_from(next(256)).unwrap();
        }
        let _ = tree(&message, pod);
        let _ = Message::open(&message);
    }
}

#[test]
fn envelopes_are_those_of_upstream() {
    assert_eq!(body("v1", "Pod", b"\x0a\0"), hex("6b 38 73 00 0a 09 0a 02 76 31 12 03 50 6f 64 12 02 0a 00"));
    let items = vec![b'x'; 200];
    let list = list_body("v1", "PodList", b"\x12\0", [items.as_slice(), b""].into_iter());
    let start = hex("6b 38 73 00 0a 0d 0a 02 76 31 12 07 50 6f 64 4c 69 73 74 12 d1 01 0a 02 12 00 12 c8 01");
    assert_eq!(list, [start, items, hex("12 00")].concat());
    assert_eq!(partial(b"\x0a\x01a"), hex("0a 03 0a 01 61"));
    assert_eq!(watch_event("ADDED", b"k8s"), hex("00 00 00 0e 0a 05 41 44 44 45 44 12 05 0a 03 6b 38 73"));
    let large = vec![b'x'; 40_000];
    let frame = watch_event("MODIFIED", &large);
    assert_eq!(frame[..4], u32::try_from(frame.len() - 4).unwrap().to_be_bytes());
    assert_eq!(frame[4..22], hex("0a 08 4d 4f 44 49 46 49 45 44 12 c4 b8 02 0a c0 b8 02"));
}

#[test]
fn bodies_go_the_way_of_all_bodies() {
    use crate::decode::{FieldValidation, Format};
    use crate::object::Gvk;

    let config_map = Gvk { group: "", version: "v1", kind: "ConfigMap" };
    let decode = |body: &[u8]| {
        let decoded = crate::decode::decode(body, Format::Protobuf, config_map, FieldValidation::Strict);
        decoded.map(|decoded| decoded.object.to_value()).map_err(|error| error.0)
    };
    let object = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}});
    let message = encode(object.to_string().as_bytes(), of_kind("", "v1", "ConfigMap")).unwrap();
    assert_eq!(decode(&body("v1", "ConfigMap", &message)), Ok(object.clone()));
    assert_eq!(decode(&body("", "", &message)), Ok(object)); // the URL tells what it is
    for (body, error) in [
        (
            b"{\"a\":1}".to_vec(),
            "the object provided is unrecognized (must be of type ConfigMap): provided data does not appear to be a \
             protobuf message, expected prefix [107 56 115 0] ({\"a\":1})",
        ),
        (
            body("v1", "ConfigMap", b"\x0a\x01"),
            "ConfigMap in version \"v1\" cannot be handled as a ConfigMap: unexpected EOF",
        ),
        (
            body("v1", "Secret", b""),
            "Secret in version \"v1\" cannot be handled as a ConfigMap: converting (v1.Secret) to (core.ConfigMap): \
             unknown conversion",
        ),
    ] {
        assert_eq!(decode(&body), Err(error.to_owned()));
    }
}
