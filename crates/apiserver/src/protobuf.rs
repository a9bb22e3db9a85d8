//! Answers in protobuf, made from the JSON this server has of everything.

use api::protobuf::{self, EncodeError};
use api::schema::Type;
use bytes::Bytes;

use crate::error::Error;
use crate::json_text;

/// Where the definitions of types that every group uses are.
const META: &str = "io.k8s.apimachinery.pkg.apis.meta.v1.";

/// The body that answers with an object, whatever its kind.
///
/// # Errors
/// [`Error::Internal`] when no message exists for its kind.
pub fn object(json: &[u8]) -> Result<Bytes, Error> {
    let head = Head::of(json);
    let (group, version) = head.api_version.split_once('/').unwrap_or(("", head.api_version));
    let message = if (group, head.kind) == ("meta.k8s.io", "PartialObjectMetadata") {
        protobuf::partial(&metadata(json_text::member(json, "metadata").unwrap_or(b"{}"))?)
    } else {
        let structure = Type::of_kind(group, version, head.kind);
        let structure = structure.or_else(|| Type::of_definition(&format!("{META}{}", head.kind)));
        let structure = structure.ok_or_else(|| Error::Internal(format!("{} has no protobuf message", head.kind)))?;
        message(json, structure)?
    };
    Ok(protobuf::body(head.api_version, head.kind, &message).into())
}

/// The message of an object.
///
/// # Errors
/// [`Error::Internal`] when it is no such object.
pub fn message(json: &[u8], structure: Type) -> Result<Vec<u8>, Error> {
    protobuf::encode(json, structure).map_err(|error: EncodeError| Error::Internal(error.to_string()))
}

/// The message of an object's metadata.
///
/// # Errors
/// [`Error::Internal`] when it is none.
pub fn metadata(json: &[u8]) -> Result<Vec<u8>, Error> {
    message(json, meta("ObjectMeta"))
}

/// The message of a list's metadata.
///
/// # Errors
/// [`Error::Internal`] when it is none.
pub fn list_metadata(json: &[u8]) -> Result<Vec<u8>, Error> {
    message(json, meta("ListMeta"))
}

fn meta(name: &str) -> Type {
    Type::of_definition(&format!("{META}{name}")).expect("the tables have what every group uses")
}

/// What an object says that it is. The text is this server's own, so neither value has escapes.
struct Head<'a> {
    api_version: &'a str,
    kind: &'a str,
}

impl<'a> Head<'a> {
    fn of(json: &'a [u8]) -> Self {
        let text = |name| {
            let value = json_text::member(json, name).and_then(|value| std::str::from_utf8(value).ok());
            value.unwrap_or_default().trim_matches('"')
        };
        // Resource lists do not say their version in JSON.
        let api_version = Some(text("apiVersion")).filter(|version| !version.is_empty());
        Self { api_version: api_version.unwrap_or("v1"), kind: text("kind") }
    }
}
