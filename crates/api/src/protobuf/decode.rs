//! From a kind's message to the tree that its JSON would give.

use std::borrow::Cow;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;

use super::Error;
use super::reader::{Payload, Reader};
use crate::decode::json;
use crate::decode::tree::{MAX_DEPTH, Node};
use crate::schema::wire::{Found, Nest, Union, Wire};
use crate::schema::{Element, Field, Type, Value};

/// The tree of a structure's message.
///
/// # Errors
/// The first thing that is wrong.
pub fn tree(message: &[u8], structure: Type) -> Result<Node<'_>, Error> {
    object(message, structure, 0)
}

/// Members of a structure in the order they came.
type Members<'a> = Vec<(Field, Node<'a>)>;

/// A field with what is needed to decode its values, which stand `depth` deep in the tree.
#[derive(Clone, Copy)]
struct Place {
    name: &'static str,
    wire: Wire,
    depth: usize,
}

impl Place {
    fn inner(self) -> Self {
        Self { depth: self.depth + 1, ..self }
    }
}

fn object(message: &[u8], structure: Type, depth: usize) -> Result<Node<'_>, Error> {
    if depth >= MAX_DEPTH {
        return Err(Error::TooDeep);
    }
    let mut members = Members::new();
    fields(message, structure, Nest::default(), depth, &mut members)?;
    Ok(Node::Object(members.into_iter().map(|(field, node)| (Cow::Borrowed(field.name()), node)).collect()))
}

/// Adds the fields of a structure's own message, or of one nested in it.
fn fields<'a>(
    message: &'a [u8],
    structure: Type,
    nest: Nest,
    depth: usize,
    members: &mut Members<'a>,
) -> Result<(), Error> {
    let mut reader = Reader::new(message);
    while let Some((number, payload)) = reader.next_field()? {
        match structure.numbered(nest, number) {
            Some(Found::Field(field, wire)) => {
                let place = Place { name: field.name(), wire, depth: depth + 1 };
                member(payload, field, place, members)?;
            }
            Some(Found::Nest(inner)) => {
                fields(payload.bytes("inline message")?, structure, inner, depth, members)?;
            }
            None => {} // a field of another release
        }
    }
    Ok(())
}

/// Adds what one occurrence of a field holds: all of it, or an element of its list or map.
fn member<'a>(payload: Payload<'a>, field: Field, place: Place, members: &mut Members<'a>) -> Result<(), Error> {
    let known = members.iter().rposition(|(known, _)| *known == field);
    let known = known.map(|place| &mut members[place].1);
    let node = match (field.value(), known) {
        (Value::Array(element), Some(Node::Array(known))) if !place.wire.has_list_messages() => {
            return elements(payload, element, place, known);
        }
        (Value::Array(element), _) if !place.wire.has_list_messages() => {
            let mut new = Vec::new();
            elements(payload, element, place, &mut new)?;
            Node::Array(new)
        }
        (Value::Map(element), Some(Node::Object(known))) => {
            known.push(entry(payload.bytes(place.name)?, element, place)?);
            return Ok(());
        }
        (Value::Map(element), _) => Node::Object(vec![entry(payload.bytes(place.name)?, element, place)?]),
        (value, Some(known)) => {
            merge(known, single(payload, value, place)?);
            return Ok(());
        }
        (value, None) => single(payload, value, place)?,
    };
    if node != Node::Null && !(place.wire.omits_zero() && is_zero(&node)) {
        members.push((field, node));
    }
    Ok(())
}

/// A field that stands twice: messages merge, of anything else the last one counts.
fn merge<'a>(known: &mut Node<'a>, node: Node<'a>) {
    match (known, node) {
        (Node::Object(known), Node::Object(new)) => known.extend(new),
        (known, node) => *known = node,
    }
}

/// One element of a list, or several packed together.
fn elements<'a>(
    payload: Payload<'a>,
    element: Element,
    place: Place,
    elements: &mut Vec<Node<'a>>,
) -> Result<(), Error> {
    match (element.value(), payload) {
        (value @ (Value::Int32 | Value::Int64 | Value::Bool), Payload::Bytes(packed)) => {
            let mut numbers = Reader::new(packed);
            while let Some(number) = numbers.next_packed()? {
                elements.push(scalar(number, value));
            }
        }
        (value, payload) => elements.push(single(payload, value, place.inner())?),
    }
    Ok(())
}

/// An entry of a map: a message with key and value.
fn entry<'a>(message: &'a [u8], element: Element, place: Place) -> Result<(Cow<'a, str>, Node<'a>), Error> {
    let (mut key, mut node) = (Cow::default(), Node::Null);
    let mut reader = Reader::new(message);
    while let Some((number, payload)) = reader.next_field()? {
        match number {
            1 => key = payload.text(place.name)?,
            2 => node = single(payload, element.value(), place.inner())?,
            _ => {}
        }
    }
    Ok((key, node))
}

fn single<'a>(payload: Payload<'a>, value: Value, place: Place) -> Result<Node<'a>, Error> {
    let name = place.name;
    match value {
        Value::String => payload.text(name).map(Node::String),
        Value::Bool | Value::Int32 | Value::Int64 => Ok(scalar(payload.varint(name)?, value)),
        Value::Float64 => Ok(Node::Number(payload.double(name)?.to_string().into())),
        Value::Bytes => Ok(Node::String(STANDARD.encode(payload.bytes(name)?).into())),
        Value::Quantity => quantity(payload.bytes(name)?),
        Value::IntOrString => int_or_string(payload.bytes(name)?),
        Value::Time => time(payload.bytes(name)?, false),
        Value::MicroTime => time(payload.bytes(name)?, true),
        Value::Object(structure) => object(payload.bytes(name)?, structure, place.depth),
        Value::Array(element) => list_message(payload.bytes(name)?, element, place),
        Value::Any => match place.wire.union() {
            Some(kind) => union(payload.bytes(name)?, kind, place.depth),
            None => embedded(payload.bytes(name)?, place.depth),
        },
        Value::Map(_) => Err(Error::TooDeep), // protobuf has no maps in lists or maps
    }
}

/// A list that is a message of its own.
fn list_message<'a>(message: &'a [u8], element: Element, place: Place) -> Result<Node<'a>, Error> {
    let mut list = Vec::new();
    let mut reader = Reader::new(message);
    while let Some((number, payload)) = reader.next_field()? {
        if number == 1 {
            elements(payload, element, place, &mut list)?;
        }
    }
    Ok(Node::Array(list))
}

/// JSON in a message around bytes.
fn embedded(message: &[u8], depth: usize) -> Result<Node<'_>, Error> {
    let mut raw: &[u8] = &[];
    let mut reader = Reader::new(message);
    while let Some((number, payload)) = reader.next_field()? {
        if number == 1 {
            raw = payload.bytes("Raw")?;
        }
    }
    if raw.is_empty() {
        return Ok(Node::Null);
    }
    json::parse_at(raw, depth).map_err(|error| Error::Json(error.to_string()))
}

fn union(message: &[u8], union: Union, depth: usize) -> Result<Node<'_>, Error> {
    let schema = super::json_schema();
    let (mut lone, mut several, mut allows) = (Node::Null, Vec::new(), None);
    let mut reader = Reader::new(message);
    while let Some((number, payload)) = reader.next_field()? {
        match (union, number) {
            (Union::SchemaOrBool, 1) => allows = Some(payload.varint("Allows")? != 0),
            (Union::SchemaOrBool, 2) | (Union::SchemaOrArray | Union::SchemaOrTexts, 1) => {
                lone = object(payload.bytes("Schema")?, schema, depth)?;
            }
            (Union::SchemaOrArray, 2) => several.push(object(payload.bytes("JSONSchemas")?, schema, depth + 1)?),
            (Union::SchemaOrTexts, 2) => several.push(Node::String(payload.text("Property")?)),
            _ => {}
        }
    }
    Ok(match (lone, allows) {
        _ if !several.is_empty() => Node::Array(several),
        (Node::Null, Some(allows)) => Node::Bool(allows),
        (schema, _) => schema,
    })
}

/// An integer or boolean; 32 bits are cut off as Go does.
#[allow(clippy::cast_possible_truncation, clippy::cast_possible_wrap)] // the encoding of signed numbers
fn scalar<'a>(number: u64, value: Value) -> Node<'a> {
    match value {
        Value::Bool => Node::Bool(number != 0),
        Value::Int32 => Node::Number((number as i32).to_string().into()),
        _ => Node::Number((number as i64).to_string().into()),
    }
}

fn is_zero(node: &Node<'_>) -> bool {
    match node {
        Node::Null | Node::Bool(false) => true,
        Node::Number(text) => text == "0",
        Node::String(text) => text.is_empty(),
        _ => false,
    }
}

fn quantity(message: &[u8]) -> Result<Node<'_>, Error> {
    let mut text = Cow::Borrowed("0");
    let mut fields = Reader::new(message);
    while let Some((number, payload)) = fields.next_field()? {
        if number == 1 {
            text = payload.text("String")?;
        }
    }
    Ok(Node::String(text))
}

fn int_or_string(message: &[u8]) -> Result<Node<'_>, Error> {
    let (mut kind, mut integer, mut text) = (0, 0, Cow::default());
    let mut fields = Reader::new(message);
    while let Some((number, payload)) = fields.next_field()? {
        match number {
            1 => kind = payload.varint("Type")?,
            2 => integer = payload.varint("IntVal")?,
            3 => text = payload.text("StrVal")?,
            _ => {}
        }
    }
    match kind {
        0 => Ok(scalar(integer, Value::Int32)),
        1 => Ok(Node::String(text)),
        _ => Err(Error::IntOrString),
    }
}

/// No seconds and nanoseconds at all are Go's zero time, which is `null`. Below its precision a time is cut off.
#[allow(clippy::cast_possible_truncation, clippy::cast_possible_wrap)] // the encoding of signed numbers
fn time(message: &[u8], micros: bool) -> Result<Node<'_>, Error> {
    if message.is_empty() {
        return Ok(Node::Null);
    }
    let (mut seconds, mut nanos) = (0_i64, 0_i32);
    let mut fields = Reader::new(message);
    while let Some((number, payload)) = fields.next_field()? {
        match number {
            1 => seconds = payload.varint("Seconds")? as i64,
            2 => nanos = payload.varint("Nanos")? as i32,
            _ => {}
        }
    }
    let nanos = if micros { nanos / 1000 * 1000 } else { 0 };
    let time = Timestamp::new(seconds, nanos).map_err(|_| Error::Time)?;
    let text = if micros { format!("{time:.6}") } else { format!("{time:.0}") };
    if text.starts_with('-') { Err(Error::Time) } else { Ok(Node::String(text.into())) }
}
