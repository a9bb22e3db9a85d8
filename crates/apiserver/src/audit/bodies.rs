//! Bodies as JSON, whatever they were sent as.

use api::decode::{self, Format};
use api::protobuf::Message;
use api::schema::Type;
use http::header::CONTENT_TYPE;
use serde_json::Value;

use crate::body::Body;
use crate::request::Response;

const META: &str = "io.k8s.apimachinery.pkg.apis.meta.v1.";

/// A body as JSON; `None` when it is nothing of the kind.
pub fn json(body: &[u8], content_type: &str) -> Option<Value> {
    match content_type.split(';').next().unwrap_or_default().trim() {
        "application/vnd.kubernetes.protobuf" => protobuf(body),
        kind if kind.ends_with("yaml") => serde_saphyr::from_str(std::str::from_utf8(body).ok()?).ok(),
        _ => serde_json::from_slice(body).ok(),
    }
}

fn protobuf(body: &[u8]) -> Option<Value> {
    let head = Message::open(body).ok()?;
    let (group, version) = head.api_version.split_once('/').unwrap_or(("", &head.api_version));
    let structure = Type::of_kind(group, version, &head.kind);
    let structure = structure.or_else(|| Type::of_definition(&format!("{META}{}", head.kind)))?;
    let mut value = decode::decode_tree(body, Format::Protobuf, structure).ok()?.value;
    if let Some(object) = value.as_object_mut() {
        object.insert("apiVersion".to_owned(), head.api_version.into());
        object.insert("kind".to_owned(), head.kind.into());
    }
    Some(value)
}

/// The object in a response that is complete.
pub fn of_response(response: &Response) -> Option<Value> {
    let content_type = response.headers().get(CONTENT_TYPE)?.to_str().ok()?;
    match response.body() {
        Body::Parts(parts) => {
            let whole: Vec<u8> = parts.iter().flat_map(|part| part.iter().copied()).collect();
            json(&whole, content_type)
        }
        Body::Stream(_) => None,
    }
}

/// Leaves field managers out, of the object and of those in a list or table.
pub fn strip_managed_fields(object: &mut Value) {
    if let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut) {
        metadata.remove("managedFields");
    }
    let inside = ["items", "rows"].into_iter().find(|name| object.get(name).is_some_and(Value::is_array));
    let inside = inside.and_then(|name| object.get_mut(name)?.as_array_mut());
    for item in inside.into_iter().flatten() {
        let row = item.get("object").is_some();
        strip_managed_fields(if row { &mut item["object"] } else { item });
    }
}
