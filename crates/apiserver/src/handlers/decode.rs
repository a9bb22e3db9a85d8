//! Bodies of writes: media type, decoding, defaults, and whether the object fits the URL.

use std::sync::{Mutex, PoisonError};

use api::decode::{self, FieldValidation, Format};
use api::schema::Type;
use api::{Gvk, Object};
use http::HeaderMap;
use http::header::CONTENT_TYPE;
use serde::de::DeserializeOwned;

use crate::error::Error;
use crate::negotiate::MEDIA_TYPES;

/// Where the definitions of types that every group uses are.
const META_DEFINITIONS: &str = "io.k8s.apimachinery.pkg.apis.meta.v1.";

/// How the body is written.
///
/// # Errors
/// [`Error::UnsupportedMediaType`].
pub fn format(headers: &HeaderMap) -> Result<Format, Error> {
    match media_type(headers) {
        "" | "application/json" => Ok(Format::Json),
        "application/yaml" => Ok(Format::Yaml),
        "application/vnd.kubernetes.protobuf" => Ok(Format::Protobuf),
        _ => Err(Error::UnsupportedMediaType { accepted: MEDIA_TYPES }),
    }
}

/// The content type without parameters, or nothing.
pub fn media_type(headers: &HeaderMap) -> &str {
    let text = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    text.split(';').next().unwrap_or_default().trim()
}

/// Decodes a body into an object with its defaults.
///
/// # Errors
/// [`Error::BadRequest`].
pub fn object(
    body: &[u8],
    format: Format,
    gvk: Gvk,
    validation: FieldValidation,
    warnings: &Mutex<Vec<String>>,
) -> Result<Box<dyn Object>, Error> {
    let decoded =
        decode::decode(body, format, gvk, validation).map_err(|error| Error::BadRequest(error.to_string()))?;
    let mut object = decoded.object;
    warn(warnings, decoded.warnings);
    object.set_defaults();
    Ok(object)
}

/// Decodes a body that is no stored object, for instance options.
///
/// # Errors
/// [`Error::BadRequest`].
pub fn plain<T: DeserializeOwned>(body: &[u8], format: Format, gvk: Gvk) -> Result<T, Error> {
    let structure = Type::of_kind(gvk.group, gvk.version, gvk.kind);
    let structure = structure.or_else(|| Type::of_definition(&format!("{META_DEFINITIONS}{}", gvk.kind)));
    let structure = structure.ok_or_else(|| Error::Internal(format!("no schema of {}", gvk.kind)))?;
    let refuse = |error: String| {
        let (version, kind) = (gvk.version, gvk.kind);
        Error::BadRequest(format!("{kind} in version \"{version}\" cannot be handled as a {kind}: {error}"))
    };
    let checked = decode::decode_tree(body, format, structure).map_err(|error| refuse(error.to_string()))?;
    let mut value = checked.value;
    check_kind(&value, gvk)?;
    if let Some(tree) = value.as_object_mut() {
        // The types insist on these, clients may leave them out.
        tree.insert("kind".to_owned(), gvk.kind.into());
        tree.insert("apiVersion".to_owned(), group_version(gvk).into());
        tree.entry("metadata").or_insert_with(|| serde_json::Value::Object(serde_json::Map::new()));
    }
    serde_json::from_value(value).map_err(|error| refuse(error.to_string()))
}

/// A body that says it is something else is refused, lest it be taken for one that says nothing.
fn check_kind(value: &serde_json::Value, gvk: Gvk) -> Result<(), Error> {
    let text = |name: &str| value.get(name).and_then(serde_json::Value::as_str).unwrap_or_default();
    let kind = text("kind");
    if kind.is_empty() || kind == gvk.kind {
        return Ok(());
    }
    let (group, version) = text("apiVersion").rsplit_once('/').unwrap_or(("", text("apiVersion")));
    let error = decode::not_registered(kind, group, version);
    Err(Error::BadRequest(format!("{kind} in version {version:?} cannot be handled as a {}: {error}", gvk.kind)))
}

fn group_version(gvk: Gvk) -> String {
    if gvk.group.is_empty() { gvk.version.to_owned() } else { format!("{}/{}", gvk.group, gvk.version) }
}

/// Adds warnings.
pub fn warn(warnings: &Mutex<Vec<String>>, new: Vec<String>) {
    if !new.is_empty() {
        warnings.lock().unwrap_or_else(PoisonError::into_inner).extend(new);
    }
}

/// Gives an object the namespace of the URL.
///
/// # Errors
/// [`Error::BadRequest`] when it names another.
pub fn fit_namespace(object: &mut dyn Object, namespace: &str) -> Result<(), Error> {
    let meta = object.metadata_mut();
    let own = meta.namespace.as_deref().unwrap_or_default();
    if namespace.is_empty() {
        meta.namespace = None; // cluster-scoped
    } else if own.is_empty() {
        meta.namespace = Some(namespace.to_owned());
    } else if own != namespace {
        let text = "the namespace of the provided object does not match the namespace sent on the request";
        return Err(Error::bad_request(text));
    }
    Ok(())
}

/// Checks that an object names itself as the URL does.
///
/// # Errors
/// [`Error::BadRequest`].
pub fn fit_name(object: &dyn Object, name: &str) -> Result<(), Error> {
    match object.metadata().name.as_deref().unwrap_or_default() {
        "" => Err(Error::BadRequest(format!(
            "the name of the object ({name} based on URL) was undeterminable: name must be provided"
        ))),
        own if own != name => Err(Error::BadRequest(format!(
            "the name of the object ({own}) does not match the name on the URL ({name})"
        ))),
        _ => Ok(()),
    }
}
