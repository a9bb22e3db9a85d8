//! Tables and metadata-only objects as JSON text. What an object's row carries of it is spliced in, not encoded again.

use jiff::Timestamp;
use serde_json::json;

use super::{Column, Columns, Row};
use crate::negotiate::IncludeObject;

const GROUP_VERSION: &str = "meta.k8s.io/v1";

/// Whether a table names its columns. In a watch only the first one does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Headers {
    /// With `columnDefinitions`.
    Shown,
    /// Without.
    Hidden,
}

/// An object that becomes a row.
#[derive(Debug, Clone, Copy)]
pub struct Source<'a> {
    /// The object itself.
    pub object: &'a dyn api::Object,
    /// Its whole JSON, `apiVersion` and `kind` included.
    pub json: &'a [u8],
    /// The JSON of its `metadata`.
    pub metadata: &'a [u8],
}

/// Writes a `Table`. `list_metadata` is the JSON of the list's `metadata`: `resourceVersion`, `continue`,
/// `remainingItemCount`.
pub fn table<'a>(
    columns: &Columns,
    list_metadata: &[u8],
    sources: impl IntoIterator<Item = Source<'a>>,
    include: IncludeObject,
    headers: Headers,
    now: Timestamp,
) -> Vec<u8> {
    let mut text = format!(r#"{{"kind":"Table","apiVersion":"{GROUP_VERSION}","metadata":"#).into_bytes();
    text.extend_from_slice(list_metadata);
    let definitions = match headers {
        Headers::Shown => columns.definitions,
        Headers::Hidden => &[],
    };
    text.extend_from_slice(br#","columnDefinitions":"#);
    text.extend_from_slice(definitions.iter().map(definition).collect::<serde_json::Value>().to_string().as_bytes());
    text.extend_from_slice(br#","rows":["#);
    for (index, source) in sources.into_iter().enumerate() {
        if index > 0 {
            text.push(b',');
        }
        push_row(&mut text, &columns.row(source.object, now), source, include);
    }
    text.extend_from_slice(b"]}");
    text
}

fn definition(column: &Column) -> serde_json::Value {
    json!({
        "name": column.name,
        "type": column.kind,
        "format": column.format,
        "description": column.description,
        "priority": column.priority,
    })
}

fn push_row(text: &mut Vec<u8>, row: &Row, source: Source<'_>, include: IncludeObject) {
    text.extend_from_slice(br#"{"cells":"#);
    text.extend_from_slice(serde_json::Value::from(row.cells.as_slice()).to_string().as_bytes());
    if let Some((reason, message)) = row.completed {
        let condition = json!([{"type": "Completed", "status": "True", "reason": reason, "message": message}]);
        text.extend_from_slice(format!(r#","conditions":{condition}"#).as_bytes());
    }
    text.extend_from_slice(br#","object":"#);
    match include {
        IncludeObject::None => text.extend_from_slice(b"null"),
        IncludeObject::Metadata => push_partial(text, source.metadata),
        IncludeObject::Object => text.extend_from_slice(source.json),
    }
    text.push(b'}');
}

fn push_partial(text: &mut Vec<u8>, metadata: &[u8]) {
    text.extend_from_slice(
        format!(r#"{{"kind":"PartialObjectMetadata","apiVersion":"{GROUP_VERSION}","metadata":"#).as_bytes(),
    );
    text.extend_from_slice(metadata);
    text.push(b'}');
}

/// Writes a `PartialObjectMetadata` around the JSON of an object's `metadata`.
pub fn partial(metadata: &[u8]) -> Vec<u8> {
    let mut text = Vec::with_capacity(metadata.len() + 90);
    push_partial(&mut text, metadata);
    text
}

/// Writes a `PartialObjectMetadataList` around the JSON of each object's `metadata`.
pub fn partial_list<'a>(list_metadata: &[u8], metadata: impl IntoIterator<Item = &'a [u8]>) -> Vec<u8> {
    let head = format!(r#"{{"kind":"PartialObjectMetadataList","apiVersion":"{GROUP_VERSION}","metadata":"#);
    let mut text = head.into_bytes();
    text.extend_from_slice(list_metadata);
    text.extend_from_slice(br#","items":"#);
    let mut metadata = metadata.into_iter().peekable();
    if metadata.peek().is_none() {
        // Upstream leaves the list out of an empty answer.
        text.extend_from_slice(b"null}");
        return text;
    }
    let mut before = b'[';
    for metadata in metadata {
        text.push(before);
        push_partial(&mut text, metadata);
        before = b',';
    }
    text.extend_from_slice(b"]}");
    text
}
