//! Objects and lists in the form the client accepts.

use std::borrow::Cow;
use std::sync::{Mutex, PoisonError};

use bytes::{BufMut, Bytes, BytesMut};
use http::{HeaderValue, StatusCode};
use jiff::Timestamp;

use super::Target;
use crate::error::Error;
use crate::negotiate::{self, Accepted, Form, IncludeObject, Syntax};
use crate::protobuf;
use crate::registry::Kept;
use crate::request::Response;
use crate::table;
use crate::table::write::{Headers, Source};
use crate::watch_cache::{Entry, Listing};

/// What a list says about itself.
#[derive(Debug, Clone, Default)]
pub struct ListMeta {
    /// The revision it is of; zero for what was not stored.
    pub revision: u64,
    /// The token of the next page.
    pub continue_token: Option<String>,
    /// How many objects follow.
    pub remaining: Option<usize>,
}

impl ListMeta {
    /// The JSON of `metadata`.
    fn json(&self) -> String {
        let mut members = Vec::new();
        if self.revision > 0 {
            members.push(format!(r#""resourceVersion":"{}""#, self.revision));
        }
        if let Some(token) = &self.continue_token {
            members.push(format!(r#""continue":"{token}""#)); // base64 needs no escapes
        }
        if let Some(remaining) = self.remaining {
            members.push(format!(r#""remainingItemCount":{remaining}"#));
        }
        format!("{{{}}}", members.join(","))
    }
}

/// Answers one object of the cache, which keeps its encodings.
///
/// # Errors
/// [`Error::Internal`] when a stored object cannot be decoded.
pub fn entry(target: &Target<'_>, accepted: Accepted, entry: &Entry) -> Result<Response, Error> {
    let kept = target.kept;
    if (accepted.syntax, accepted.form) != (Syntax::Protobuf, Form::Object) || kept.is_view() {
        return one(target, accepted, StatusCode::OK, &entry.object(), &Mutex::default());
    }
    let gvk = kept.resource.gvk();
    let body = api::protobuf::body(&gvk.api_version(), gvk.kind, entry.message(kept.structure()?)?);
    Ok(negotiate::encoded(StatusCode::OK, accepted.content_type(), body.into()))
}

/// Answers one object; `served` is as the cache has it.
///
/// # Errors
/// [`Error::Internal`] when a stored object cannot be decoded.
pub fn one(
    target: &Target<'_>,
    accepted: Accepted,
    code: StatusCode,
    served: &Bytes,
    warnings: &Mutex<Vec<String>>,
) -> Result<Response, Error> {
    let json = match accepted.form {
        Form::Object => target.kept.present(served)?,
        Form::Partial => partial(target.kept, served),
        Form::Table(include) => {
            let meta = ListMeta { revision: revision_of(target.kept, served), ..ListMeta::default() };
            table(target.kept, &meta, std::slice::from_ref(served), include, Headers::Shown, target.server.now())?
        }
    };
    let mut response = negotiate::object(code, accepted, json);
    add_warnings(&mut response, warnings);
    Ok(response)
}

/// The `resourceVersion` of an object, zero when it was not stored.
fn revision_of(kept: &Kept, served: &Bytes) -> u64 {
    #[derive(serde::Deserialize)]
    struct Metadata {
        #[serde(rename = "resourceVersion", default)]
        revision: String,
    }
    let metadata = serde_json::from_slice::<Metadata>(kept.cache.prefix.metadata(served));
    metadata.ok().and_then(|metadata| metadata.revision.parse().ok()).unwrap_or_default()
}

/// Answers a list, or a page of it.
///
/// # Errors
/// [`Error::Internal`] when a stored object cannot be decoded.
pub fn many(
    target: &Target<'_>,
    accepted: Accepted,
    listing: &Listing,
    continue_token: Option<String>,
) -> Result<Response, Error> {
    let meta = ListMeta { revision: listing.revision, continue_token, remaining: listing.remaining };
    if accepted.syntax == Syntax::Protobuf {
        let body = messages(target.kept, accepted.form, &meta, &listing.entries)?;
        return Ok(negotiate::encoded(StatusCode::OK, accepted.content_type(), body.into()));
    }
    let json = match accepted.form {
        Form::Object => objects(target.kept, &meta, &listing.entries)?,
        Form::Partial => {
            let served: Vec<Bytes> = listing.entries.iter().map(|entry| entry.object()).collect();
            let metadata: Vec<_> = served.iter().map(|served| shown_metadata(target.kept, served)).collect();
            table::write::partial_list(meta.json().as_bytes(), metadata.iter().map(AsRef::as_ref)).into()
        }
        Form::Table(include) => {
            let served: Vec<Bytes> = listing.entries.iter().map(|entry| entry.object()).collect();
            table(target.kept, &meta, &served, include, Headers::Shown, target.server.now())?
        }
    };
    Ok(negotiate::object(StatusCode::OK, accepted, json))
}

fn list_head(kind: &str, version: &str, meta: &ListMeta) -> String {
    format!(r#"{{"kind":"{kind}","apiVersion":"{version}","metadata":{},"items":["#, meta.json())
}

fn objects(kept: &Kept, meta: &ListMeta, entries: &[std::sync::Arc<Entry>]) -> Result<Bytes, Error> {
    let gvk = kept.resource.gvk();
    let head = list_head(&format!("{}List", gvk.kind), &gvk.api_version(), meta);
    let length: usize = entries.iter().map(|entry| entry.size_bytes()).sum();
    let mut json = BytesMut::with_capacity(head.len() + length + 2);
    json.put_slice(head.as_bytes());
    for (position, entry) in entries.iter().enumerate() {
        json.put_slice(if position == 0 { b"{" } else { b",{" });
        json.put_slice(&kept.prefix.item(&kept.present(&entry.object())?));
    }
    json.put_slice(b"]}");
    Ok(json.freeze())
}

/// A list in protobuf. Objects are encoded once and kept, unless they are stored as another version.
fn messages(kept: &Kept, form: Form, meta: &ListMeta, entries: &[std::sync::Arc<Entry>]) -> Result<Vec<u8>, Error> {
    let metadata = protobuf::list_metadata(meta.json().as_bytes())?;
    let item = |entry: &std::sync::Arc<Entry>| match form {
        Form::Object if kept.is_view() => {
            protobuf::message(&kept.present(&entry.object())?, kept.structure()?).map(Bytes::from)
        }
        Form::Object => entry.message(kept.structure()?).cloned(),
        Form::Partial | Form::Table(_) => {
            let metadata = protobuf::metadata(&shown_metadata(kept, &entry.object()))?;
            Ok(api::protobuf::partial(&metadata).into())
        }
    };
    let items = entries.iter().map(item).collect::<Result<Vec<Bytes>, Error>>()?;
    let gvk = kept.resource.gvk();
    let (api_version, kind) = match form {
        Form::Object => (gvk.api_version(), format!("{}List", gvk.kind)),
        Form::Partial | Form::Table(_) => ("meta.k8s.io/v1".to_owned(), "PartialObjectMetadataList".to_owned()),
    };
    Ok(api::protobuf::list_body(&api_version, &kind, &metadata, items.iter().map(AsRef::as_ref)))
}

/// An object's metadata alone.
pub fn partial(kept: &Kept, served: &Bytes) -> Bytes {
    table::write::partial(&shown_metadata(kept, served)).into()
}

/// An annotation that upstream makes of a field when it writes a DaemonSet as version 1; where only metadata is
/// shown, it has not.
const TEMPLATE_GENERATION: &str = "deprecated.daemonset.template.generation";

/// The metadata of an object, where it stands alone.
fn shown_metadata<'a>(kept: &Kept, served: &'a [u8]) -> Cow<'a, [u8]> {
    let metadata = kept.cache.prefix.metadata(served);
    if kept.resource.gvk().kind != "DaemonSet" {
        return Cow::Borrowed(metadata);
    }
    let Ok(mut object) = serde_json::from_slice::<serde_json::Map<_, serde_json::Value>>(metadata) else {
        return Cow::Borrowed(metadata);
    };
    if let Some(serde_json::Value::Object(annotations)) = object.get_mut("annotations") {
        annotations.remove(TEMPLATE_GENERATION);
        if annotations.is_empty() {
            object.remove("annotations");
        }
    }
    Cow::Owned(serde_json::to_vec(&object).expect("a tree always encodes"))
}

/// A table of objects.
///
/// # Errors
/// [`Error::Internal`] when a stored object cannot be decoded.
pub fn table(
    kept: &Kept,
    meta: &ListMeta,
    served: &[Bytes],
    include: IncludeObject,
    headers: Headers,
    now: Timestamp,
) -> Result<Bytes, Error> {
    let objects = served.iter().map(|served| kept.decode(served)).collect::<Result<Vec<_>, _>>()?;
    let whole: Vec<Bytes> = match include {
        IncludeObject::Object => served.iter().map(|served| kept.present(served)).collect::<Result<_, _>>()?,
        IncludeObject::None | IncludeObject::Metadata => served.to_vec(),
    };
    let metadata: Vec<_> = served.iter().map(|served| shown_metadata(kept, served)).collect();
    let sources = objects.iter().zip(&metadata).zip(&whole).map(|((object, metadata), whole)| Source {
        object: object.as_ref(),
        json: whole,
        metadata,
    });
    let columns = table::columns_for(*kept.resource.gvk());
    Ok(table::write::table(columns, meta.json().as_bytes(), sources, include, headers, now).into())
}

/// Keeps something to tell the client on the side, if there is anything.
pub fn warn(warnings: &Mutex<Vec<String>>, text: Option<String>) {
    warnings.lock().unwrap_or_else(PoisonError::into_inner).extend(text);
}

/// Tells the client things on the side, each once.
pub fn add_warnings(response: &mut Response, warnings: &Mutex<Vec<String>>) {
    let warnings = std::mem::take(&mut *warnings.lock().unwrap_or_else(PoisonError::into_inner));
    let mut told: Vec<&str> = Vec::new();
    for text in &warnings {
        if told.contains(&text.as_str()) {
            continue;
        }
        told.push(text);
        let quoted = text.replace('\\', "\\\\").replace('"', "\\\"");
        let quoted: String = quoted.chars().filter(|c| !c.is_control()).collect();
        if let Ok(value) = HeaderValue::try_from(format!("299 - \"{quoted}\"")) {
            response.headers_mut().append(http::header::WARNING, value);
        }
    }
}
