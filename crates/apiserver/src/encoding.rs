//! The bytes of an object, in the store and on the wire.
//!
//! Stored is JSON that starts with `{"apiVersion":..,"kind":..,"metadata":{` and has no `resourceVersion`: the store
//! knows the revision, and only after the commit. Served is the same with the `resourceVersion` spliced in as the first
//! member of `metadata`. So each object is encoded once, a list item is a slice of the object (items carry no
//! `apiVersion` and `kind`), and a watch event is the object with a few bytes around it.

use api::{Gvk, Object};
use bytes::{BufMut, Bytes, BytesMut};

use crate::json_text::{self, Member};

/// What every object of one kind starts with, up to and including the brace of its metadata.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Prefix {
    text: Box<str>,
    item_start: usize,
}

const METADATA: &str = "\"metadata\":{";
const REVISION: &str = "\"resourceVersion\":\"";

impl Prefix {
    /// The prefix of a kind.
    pub fn new(gvk: &Gvk) -> Self {
        let slash = if gvk.group.is_empty() { "" } else { "/" };
        let head = format!(r#"{{"apiVersion":"{}{slash}{}","kind":"{}","#, gvk.group, gvk.version, gvk.kind);
        Self { item_start: head.len(), text: format!("{head}{METADATA}").into() }
    }

    /// Encodes an object for the store. Its `resourceVersion` must be unset.
    pub fn encode(&self, object: &dyn Object) -> Vec<u8> {
        debug_assert!(object.metadata().resource_version.is_none(), "the store adds the resourceVersion");
        let json = object.to_json();
        let mut text = Vec::with_capacity(json.len());
        text.extend_from_slice(&self.text.as_bytes()[..self.text.len() - METADATA.len()]);
        let members = json_text::members(&json);
        let key = |member: &Member| &json[member.key.clone()];
        let (metadata, rest): (Vec<_>, Vec<_>) = members
            .iter()
            .filter(|member| key(member) != b"apiVersion" && key(member) != b"kind")
            .partition(|member| key(member) == b"metadata");
        for member in metadata.into_iter().chain(rest) {
            // From the quote before the key to the end of the value.
            text.extend_from_slice(&json[member.key.start - 1..member.value.end]);
            text.push(b',');
        }
        text.pop();
        text.push(b'}');
        text
    }

    /// Whether bytes from the store have the shape this server writes.
    pub fn fits(&self, stored: &[u8]) -> bool {
        stored.starts_with(self.text.as_bytes()) && stored.get(self.text.len()) == Some(&b'"')
    }

    /// Puts stored bytes with a revision between `before` and `after`.
    pub fn splice(&self, before: &str, stored: &[u8], revision: u64, after: &str) -> Bytes {
        let (head, tail) = stored.split_at(self.text.len());
        let length = before.len() + stored.len() + REVISION.len() + 22 + after.len();
        let mut text = BytesMut::with_capacity(length);
        text.put_slice(before.as_bytes());
        text.put_slice(head);
        text.put_slice(REVISION.as_bytes());
        text.put_slice(revision.to_string().as_bytes());
        text.put_slice(b"\",");
        text.put_slice(tail);
        text.put_slice(after.as_bytes());
        text.freeze()
    }

    /// The stored form of served bytes.
    pub fn strip(&self, served: &[u8]) -> Vec<u8> {
        let start = self.text.len();
        let value = start + REVISION.len() - 1;
        let end = json_text::value_end(served, value) + 1; // and the comma
        [&served[..start], &served[end..]].concat()
    }

    /// What a list holds of an object: everything but `apiVersion` and `kind`, without the opening brace.
    pub fn item(&self, served: &Bytes) -> Bytes {
        served.slice(self.item_start..)
    }

    /// The value of `metadata`.
    pub fn metadata<'a>(&self, served: &'a [u8]) -> &'a [u8] {
        let start = self.text.len() - 1;
        &served[start..json_text::value_end(served, start)]
    }
}

#[cfg(test)]
mod tests {
    use api::k8s_openapi::api::core::v1::ConfigMap;

    use super::*;

    #[test]
    fn stored_and_served_bytes_convert_without_decoding() {
        let prefix = Prefix::new(&Gvk { group: "", version: "v1", kind: "ConfigMap" });
        let json = br#"{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"a"},"data":{"k":"v"}}"#;
        assert!(prefix.fits(json));
        let served = prefix.splice("", json, 42, "");
        let text =
            r#"{"apiVersion":"v1","kind":"ConfigMap","metadata":{"resourceVersion":"42","name":"a"},"data":{"k":"v"}}"#;
        assert_eq!(served, text);
        assert_eq!(prefix.strip(&served), json);
        assert_eq!(prefix.item(&served), &text[r#"{"apiVersion":"v1","kind":"ConfigMap","#.len()..]);
        assert_eq!(prefix.metadata(&served), br#"{"resourceVersion":"42","name":"a"}"#);
        let _: ConfigMap = serde_json::from_slice(&served).expect("decodes");
    }
}
