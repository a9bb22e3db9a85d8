use serde_json::json;

use super::*;
use crate::decode::Node;

fn varint(mut number: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    while number >= 0x80 {
        bytes.push(u8::try_from(number & 0x7f).unwrap() | 0x80);
        number >>= 7;
    }
    bytes.push(u8::try_from(number).unwrap());
    bytes
}

/// A field of bytes.
fn bytes(number: u64, content: impl AsRef<[u8]>) -> Vec<u8> {
    let content = content.as_ref();
    [varint(number << 3 | 2), varint(content.len() as u64), content.to_vec()].concat()
}

/// A field of one number.
fn integer(number: u64, content: u64) -> Vec<u8> {
    [varint(number << 3), varint(content)].concat()
}

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
    for structure in Type::all() {
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
