//! OpenAPI v2 in protobuf, for clients older than `kubectl` 1.29, which know nothing newer and ask for no other form.
//!
//! It holds what those read: the definitions, and of each kind its patch operation, where they look whether the server
//! validates fields. The messages are `openapi.v2.Document` of google/gnostic.

use serde_json::Value;

use super::definitions::Definitions;
use super::{REFERENCE, operations};
use crate::discovery::Catalog;

/// What the client accepts.
pub const ACCEPTED: &str = "application/com.github.proto-openapi.spec.v2@v1.0+protobuf";
/// The content type of the answer.
pub const CONTENT_TYPE: &str = "application/com.github.proto-openapi.spec.v2.v1.0+protobuf";

/// The document of `/openapi/v2`.
pub fn document(catalog: &Catalog<'_>) -> Vec<u8> {
    let definitions = Definitions::unpack();
    let mut paths = Message::default();
    let mut references = String::new();
    for (group, version) in catalog.group_versions() {
        let document = operations::of_version(catalog.of(group, version).collect(), group, version);
        references.push_str(&document.to_string());
        for (path, item) in document.as_object().into_iter().flatten() {
            if let Some(patch) = item.get("patch") {
                paths.message(2, named(path, path_item(patch)));
            }
        }
    }
    let mut all = Message::default();
    for (name, text) in definitions.reachable(&references) {
        let definition: Value = serde_json::from_str(text).expect("the binary holds what the generator wrote");
        all.message(1, named(name, schema(name, &definition)));
    }
    let mut document = Message::default();
    document.text(1, "2.0");
    document.message(2, {
        let mut info = Message::default();
        info.text(1, "Kubernetes");
        info.text(2, "v1.36");
        info
    });
    document.message(8, paths);
    document.message(9, all);
    document.0
}

/// A protobuf message as it is written.
#[derive(Default)]
struct Message(Vec<u8>);

impl Message {
    fn varint(&mut self, mut number: u64) {
        while number >= 0x80 {
            self.0.push(number as u8 | 0x80);
            number >>= 7;
        }
        self.0.push(number as u8);
    }

    fn bytes(&mut self, field: u64, bytes: &[u8]) {
        self.varint(field << 3 | 2);
        self.varint(bytes.len() as u64);
        self.0.extend_from_slice(bytes);
    }

    fn text(&mut self, field: u64, text: &str) {
        self.bytes(field, text.as_bytes());
    }

    fn message(&mut self, field: u64, message: Message) {
        self.bytes(field, &message.0);
    }

    /// The text of a JSON member, if it is there.
    fn member(&mut self, field: u64, parent: &Value, name: &str) {
        if let Some(text) = parent[name].as_str() {
            self.text(field, text);
        }
    }
}

/// `NamedPathItem`, `NamedSchema`, `NamedAny`: all of the same shape.
fn named(name: &str, value: Message) -> Message {
    let mut message = Message::default();
    message.text(1, name);
    message.message(2, value);
    message
}

/// `Any`, whose value is YAML; JSON is.
fn any(value: &Value) -> Message {
    let mut message = Message::default();
    message.text(2, &value.to_string());
    message
}

/// Every `x-` member as an extension.
fn extensions(message: &mut Message, field: u64, parent: &Value) {
    for (name, value) in parent.as_object().into_iter().flatten().filter(|(name, _)| name.starts_with("x-")) {
        message.message(field, named(name, any(value)));
    }
}

/// `PathItem` with a patch operation.
fn path_item(patch: &Value) -> Message {
    let mut operation = Message::default();
    operation.member(3, patch, "description");
    operation.member(5, patch, "operationId");
    for parameter in patch["parameters"].as_array().into_iter().flatten() {
        let mut query = Message::default();
        query.text(2, "query");
        query.member(3, parameter, "description");
        query.member(4, parameter, "name");
        query.member(6, &parameter["schema"], "type");
        let mut non_body = Message::default();
        non_body.message(3, query);
        let mut parameter = Message::default();
        parameter.message(2, non_body);
        let mut item = Message::default();
        item.message(1, parameter);
        operation.message(8, item);
    }
    extensions(&mut operation, 13, patch);
    let mut item = Message::default();
    item.message(7, operation);
    item
}

/// `Schema` of a definition or a part of one. Version 2 has no `allOf` around references and no `oneOf`.
fn schema(name: &str, value: &Value) -> Message {
    let mut message = Message::default();
    let reference = value.get("$ref").or_else(|| value.pointer("/allOf/0/$ref")).and_then(Value::as_str);
    if let Some(name) = reference.and_then(|reference| reference.strip_prefix(REFERENCE)) {
        message.text(1, &format!("#/definitions/{name}"));
    }
    message.member(2, value, "format");
    message.member(4, value, "description");
    if let Some(default) = value.get("default") {
        message.message(5, any(default));
    }
    for required in value["required"].as_array().into_iter().flatten().filter_map(Value::as_str) {
        message.text(19, required);
    }
    for allowed in value["enum"].as_array().into_iter().flatten() {
        message.message(20, any(allowed));
    }
    if let Some(values) = value.get("additionalProperties") {
        let mut item = Message::default();
        item.message(1, schema("", values));
        message.message(21, item);
    }
    let kind = value["type"].as_str().or((value.get("oneOf").is_some() && !name.is_empty()).then_some("string"));
    if let Some(kind) = kind {
        let mut item = Message::default();
        item.text(1, kind);
        message.message(22, item);
    }
    if let Some(items) = value.get("items") {
        let mut item = Message::default();
        item.message(1, schema("", items));
        message.message(23, item);
    }
    if let Some(properties) = value["properties"].as_object() {
        let mut all = Message::default();
        for (name, property) in properties {
            all.message(1, named(name, schema("", property)));
        }
        message.message(25, all);
    }
    extensions(&mut message, 31, value);
    message
}
