//! Kubernetes' protobuf, as clients write request bodies in it: turned into the JSON they would have written instead.
//!
//! A body is an envelope ([`MAGIC`], then a `runtime.Unknown`) around one message. What the fields are comes from the
//! schema; only their numbers are known here. Unknown fields are skipped, as upstream does.

use std::borrow::Cow;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use serde_json::{Map, Value as Json};

use crate::object::Gvk;
use crate::schema::{Type, Value};

mod numbers;
#[cfg(test)]
mod tests;
mod wire;

use numbers::MESSAGES;
use wire::{Reader, WireValue};

/// What every body starts with.
pub const MAGIC: &[u8] = b"k8s\0";

/// Where messages that every group uses are.
const META: &str = "io.k8s.apimachinery.pkg.apis.meta.v1.";
/// Messages do not nest deeper in any kind, except schemas of custom resources.
const MAX_DEPTH: usize = 64;

/// Why a body is not taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// It does not start like one.
    #[error("provided data does not appear to be a protobuf message, expected prefix [107 56 115 0]")]
    NoMagic,
    /// It ends too soon, or is no protobuf.
    #[error("{0}")]
    Malformed(&'static str),
    /// It says that it is something nobody knows.
    #[error("{}", super::not_registered(.kind, .group, .version))]
    Unregistered {
        /// Group.
        group: String,
        /// Version.
        version: String,
        /// Kind.
        kind: String,
    },
    /// It nests too deep.
    #[error("the message nests too deep")]
    TooDeep,
}

const NO_TEXT: Error = Error::Malformed("proto: invalid UTF-8 in a string field");

/// The JSON text of a body. One that does not say what it is, is of kind `expected`.
///
/// # Errors
/// [`Error`].
pub fn to_json(body: &[u8], expected: Gvk) -> Result<Vec<u8>, Error> {
    let body = body.strip_prefix(MAGIC).ok_or(Error::NoMagic)?;
    let envelope = Envelope::read(body)?;
    let (group, version) = envelope.api_version.split_once('/').unwrap_or(("", &envelope.api_version));
    let (group, version, kind) = match envelope.kind.as_str() {
        "" => (expected.group, expected.version, expected.kind),
        kind => (group, version, kind),
    };
    let structure = Type::of_kind(group, version, kind).or_else(|| Type::of_definition(&format!("{META}{kind}")));
    let structure = structure.ok_or_else(|| Error::Unregistered {
        group: group.to_owned(),
        version: version.to_owned(),
        kind: kind.to_owned(),
    })?;
    let mut object = Map::new();
    if !envelope.kind.is_empty() {
        object.insert("apiVersion".to_owned(), envelope.api_version.clone().into());
        object.insert("kind".to_owned(), envelope.kind.clone().into());
    }
    message(envelope.raw, structure.definition(), structure, &mut object, 0)?;
    Ok(Json::Object(object).to_string().into_bytes())
}

/// `runtime.Unknown`: what a message is, and the message.
#[derive(Default)]
struct Envelope<'a> {
    api_version: String,
    kind: String,
    raw: &'a [u8],
}

impl<'a> Envelope<'a> {
    fn read(bytes: &'a [u8]) -> Result<Self, Error> {
        let mut envelope = Self::default();
        let mut reader = Reader::new(bytes);
        while let Some((number, value)) = reader.field()? {
            match (number, value) {
                (1, WireValue::Bytes(type_meta)) => {
                    let mut reader = Reader::new(type_meta);
                    while let Some((number, value)) = reader.field()? {
                        match number {
                            1 => envelope.api_version = value.text()?.to_owned(),
                            2 => envelope.kind = value.text()?.to_owned(),
                            _ => {}
                        }
                    }
                }
                (2, WireValue::Bytes(raw)) => envelope.raw = raw,
                _ => {}
            }
        }
        Ok(envelope)
    }
}

/// Adds a message's fields to an object.
fn message(
    bytes: &[u8],
    name: &str,
    structure: Type,
    object: &mut Map<String, Json>,
    depth: usize,
) -> Result<(), Error> {
    if depth > MAX_DEPTH {
        return Err(Error::TooDeep);
    }
    let mut reader = Reader::new(bytes);
    while let Some((number, value)) = reader.field()? {
        let Some(field) = field_name(name, number) else { continue };
        if let Some(inline) = field.strip_prefix('*') {
            let package = name.rsplit_once('.').map_or("", |(package, _)| package);
            message(value.bytes()?, &format!("{package}.{inline}"), structure, object, depth + 1)?;
        } else if let Some(known) = structure.field(field) {
            add(object, field, known.value(), value, depth)?;
        }
    }
    Ok(())
}

/// The field of a message with a number.
fn field_name(message: &str, number: u64) -> Option<&'static str> {
    let row = MESSAGES.binary_search_by(|(name, _)| (*name).cmp(message)).ok()?;
    let mut next = 1;
    for token in MESSAGES[row].1.split(' ') {
        match token.parse() {
            Ok(place) => next = place,
            Err(_) if next == number => return Some(token),
            Err(_) => next += 1,
        }
    }
    None
}

/// Adds one occurrence of a field.
fn add(
    object: &mut Map<String, Json>,
    field: &str,
    kind: Value,
    value: WireValue<'_>,
    depth: usize,
) -> Result<(), Error> {
    match kind {
        Value::Array(element) => {
            let list = object.entry(field).or_insert_with(|| Json::Array(Vec::new()));
            if let Json::Array(list) = list {
                elements(list, element.value(), value, depth)?;
            }
        }
        Value::Map(element) => {
            let (key, value) = entry(value.bytes()?)?;
            let map = object.entry(field).or_insert_with(|| Json::Object(Map::new()));
            if let Json::Object(map) = map {
                let value = match value {
                    Some(value) => map_value(element.value(), value, depth)?,
                    None => zero(element.value()),
                };
                map.insert(key, value);
            }
        }
        // A message in parts is one message.
        Value::Object(structure) => {
            let inner = object.entry(field).or_insert_with(|| Json::Object(Map::new()));
            if let Json::Object(inner) = inner {
                message(value.bytes()?, structure.definition(), structure, inner, depth + 1)?;
            }
        }
        _ => {
            // Go writes every text that is no pointer, empty ones too; in JSON those are left out.
            match single(kind, value, depth)? {
                Json::Null => {}
                Json::String(text) if text.is_empty() => {}
                value => {
                    object.insert(field.to_owned(), value);
                }
            }
        }
    }
    Ok(())
}

/// Adds an element of a list; numbers may come packed.
fn elements(list: &mut Vec<Json>, kind: Value, value: WireValue<'_>, depth: usize) -> Result<(), Error> {
    match (kind, value) {
        (Value::Int32 | Value::Int64 | Value::Bool, WireValue::Bytes(packed)) => {
            let mut reader = Reader::new(packed);
            while !reader.is_empty() {
                let number = WireValue::Number(reader.varint()?);
                list.push(single(kind, number, depth)?);
            }
        }
        _ => list.push(single(kind, value, depth)?),
    }
    Ok(())
}

/// A map's lists are wrapped in a message.
fn map_value(kind: Value, value: WireValue<'_>, depth: usize) -> Result<Json, Error> {
    let Value::Array(element) = kind else { return single(kind, value, depth) };
    let mut list = Vec::new();
    let mut reader = Reader::new(value.bytes()?);
    while let Some((number, value)) = reader.field()? {
        if number == 1 {
            elements(&mut list, element.value(), value, depth + 1)?;
        }
    }
    Ok(Json::Array(list))
}

fn entry(bytes: &[u8]) -> Result<(String, Option<WireValue<'_>>), Error> {
    let (mut key, mut value) = (String::new(), None);
    let mut reader = Reader::new(bytes);
    while let Some((number, found)) = reader.field()? {
        match number {
            1 => found.text()?.clone_into(&mut key),
            2 => value = Some(found),
            _ => {}
        }
    }
    Ok((key, value))
}

/// What an entry without a value holds.
fn zero(kind: Value) -> Json {
    match kind {
        Value::String | Value::Bytes => "".into(),
        Value::Array(_) => Json::Array(Vec::new()),
        Value::Object(_) | Value::Map(_) => Json::Object(Map::new()),
        Value::Quantity => "0".into(),
        Value::Bool => false.into(),
        Value::Int32 | Value::Int64 | Value::Float64 | Value::IntOrString => 0.into(),
        Value::Time | Value::MicroTime | Value::Any => Json::Null,
    }
}

fn single(kind: Value, value: WireValue<'_>, depth: usize) -> Result<Json, Error> {
    Ok(match kind {
        Value::String => value.text()?.into(),
        Value::Bool => (value.number()? != 0).into(),
        Value::Int32 | Value::Int64 => value.number()?.cast_signed().into(),
        Value::Float64 => f64::from_bits(value.number()?).into(),
        Value::Bytes => STANDARD.encode(value.bytes()?).into(),
        Value::Quantity => first_text(value.bytes()?)?.into_owned().into(),
        Value::IntOrString => int_or_string(value.bytes()?)?,
        Value::Time => time(value.bytes()?, "%Y-%m-%dT%H:%M:%SZ")?,
        Value::MicroTime => time(value.bytes()?, "%Y-%m-%dT%H:%M:%S.%6fZ")?,
        Value::Any => {
            let text = first_text(value.bytes()?)?;
            serde_json::from_str(&text).map_err(|_| Error::Malformed("proto: a raw value is no JSON"))?
        }
        Value::Object(structure) => {
            let mut object = Map::new();
            message(value.bytes()?, structure.definition(), structure, &mut object, depth + 1)?;
            Json::Object(object)
        }
        Value::Array(_) | Value::Map(_) => return Err(Error::Malformed("proto: a list in a list")),
    })
}

/// The text of a message whose only field is one.
fn first_text(bytes: &[u8]) -> Result<Cow<'_, str>, Error> {
    let mut reader = Reader::new(bytes);
    while let Some((number, value)) = reader.field()? {
        if number == 1 {
            return value.text().map(Cow::Borrowed);
        }
    }
    Ok(Cow::Borrowed(""))
}

fn int_or_string(bytes: &[u8]) -> Result<Json, Error> {
    let (mut is_text, mut number, mut text) = (false, 0, "");
    let mut reader = Reader::new(bytes);
    while let Some((field, value)) = reader.field()? {
        match field {
            1 => is_text = value.number()? == 1,
            2 => number = value.number()?.cast_signed(),
            3 => text = value.text()?,
            _ => {}
        }
    }
    Ok(if is_text { text.into() } else { number.into() })
}

/// A time; nothing when it is not set.
fn time(bytes: &[u8], format: &str) -> Result<Json, Error> {
    let (mut seconds, mut nanos) = (0, 0);
    let mut reader = Reader::new(bytes);
    let mut set = false;
    while let Some((number, value)) = reader.field()? {
        set = true;
        match number {
            1 => seconds = value.number()?.cast_signed(),
            2 => nanos = value.number()?.cast_signed(),
            _ => {}
        }
    }
    if !set {
        return Ok(Json::Null);
    }
    let nanos = i32::try_from(nanos).map_err(|_| Error::Malformed("proto: a time has too many nanoseconds"))?;
    let time = Timestamp::new(seconds, nanos).map_err(|_| Error::Malformed("proto: a time is out of range"))?;
    Ok(time.strftime(format).to_string().into())
}
