//! From JSON text to a kind's message, guided by the schema, without a tree in between.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use serde::de::{DeserializeSeed, Deserializer, Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor};

use super::writer::Writer;
use crate::schema::wire::{Nest, Union, Wire};
use crate::schema::{Element, Field, Type, Value};

/// A JSON text that is no object of its structure.
#[derive(Debug, thiserror::Error)]
#[error("encode as protobuf: {0}")]
pub struct EncodeError(#[from] serde_json::Error);

/// The message of an object of that structure. What the structure does not have, such as `apiVersion` and `kind`, and
/// what is `null`, is not in it.
///
/// # Errors
/// [`EncodeError`]; there is none for objects that this crate encoded.
pub fn encode(json: &[u8], structure: Type) -> Result<Vec<u8>, EncodeError> {
    let mut writer = Writer::with_capacity(json.len());
    let text = std::str::from_utf8(json).map_err(serde_json::Error::custom)?; // once, not for every text in it
    let mut deserializer = serde_json::Deserializer::from_str(text);
    Structure { structure, writer: &mut writer }.deserialize(&mut deserializer)?;
    deserializer.end()?;
    Ok(writer.into_bytes())
}

/// A structure on its way into a message.
struct Structure<'w> {
    structure: Type,
    writer: &'w mut Writer,
}

impl<'de> DeserializeSeed<'de> for Structure<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Structure<'_> {
    type Value = ();

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.structure.name())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<(), A::Error> {
        let mut nested = Nested::default();
        let mut last = None;
        while let Some(field) = members.next_key_seed(Key(self.structure, last))? {
            last = field.or(last);
            let Some((field, wire)) = field.and_then(|field| Some((field, field.wire()?))) else {
                members.next_value::<IgnoredAny>()?;
                continue;
            };
            let writer = nested.writer(wire.nest()).unwrap_or(&mut *self.writer);
            members.next_value_seed(Slot { number: wire.number(), value: field.value(), wire, writer })?;
        }
        nested.write_to(self.writer);
        Ok(())
    }
}

/// Messages that JSON does not show: their fields stand among those of the structure, in any order.
#[derive(Default)]
struct Nested(Vec<(Nest, Writer)>);

impl Nested {
    /// Where the fields of a nested message go; `None` for the structure's own.
    fn writer(&mut self, nest: Nest) -> Option<&mut Writer> {
        if nest == Nest::default() {
            return None;
        }
        let place = self.0.iter().position(|(known, _)| *known == nest).unwrap_or_else(|| {
            self.0.push((nest, Writer::default()));
            self.0.len() - 1
        });
        Some(&mut self.0[place].1)
    }

    /// A message that is in several parts is legal: parsers merge them. Only the outermost part of a path of two is.
    fn write_to(self, writer: &mut Writer) {
        for (nest, inner) in self.0 {
            let marks: Vec<usize> = nest.numbers().map(|number| writer.begin(number)).collect();
            writer.raw(&inner.into_bytes());
            marks.into_iter().rev().for_each(|mark| writer.end(mark));
        }
    }
}

/// A key as the field it names; the one before it is a hint.
struct Key(Type, Option<Field>);

impl<'de> DeserializeSeed<'de> for Key {
    type Value = Option<Field>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for Key {
    type Value = Option<Field>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "a field of {}", self.0.name())
    }

    fn visit_str<E>(self, key: &str) -> Result<Self::Value, E> {
        Ok(self.0.field_after(self.1, key))
    }
}

/// A place for a value: a field, an element of a list, a value of a map.
struct Slot<'w> {
    number: u8,
    value: Value,
    wire: Wire,
    writer: &'w mut Writer,
}

impl Slot<'_> {
    /// The same place in another role.
    fn reborrow(&mut self, number: u8, value: Value) -> Slot<'_> {
        Slot { number, value, wire: self.wire, writer: self.writer }
    }

    fn time<E: serde::de::Error>(self, text: &str, micros: bool) -> Result<(), E> {
        let time: Timestamp = text.parse().map_err(E::custom)?;
        let mark = self.writer.begin(self.number);
        // Both always, as upstream does: a message without them is no time at all.
        let nanos = if micros { time.subsec_nanosecond() } else { 0 };
        // Before 1970, Go's fraction still counts forward.
        let (seconds, nanos) =
            if nanos < 0 { (time.as_second() - 1, nanos + 1_000_000_000) } else { (time.as_second(), nanos) };
        self.writer.integer(1, seconds);
        self.writer.integer(2, i64::from(nanos));
        self.writer.end(mark);
        Ok(())
    }

    /// What is inside is not known: the JSON itself, in a message around it.
    fn embed<'de, D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        let value = <serde_json::Value as serde::Deserialize>::deserialize(deserializer)?;
        if value.is_null() {
            return Ok(());
        }
        let json = serde_json::to_vec(&value).map_err(D::Error::custom)?;
        let mark = self.writer.begin(self.number);
        self.writer.bytes(1, &json);
        self.writer.end(mark);
        Ok(())
    }

    fn elements<'de, A: SeqAccess<'de>>(&mut self, number: u8, element: Element, list: &mut A) -> Result<(), A::Error> {
        let value = element.value();
        while list.next_element_seed(self.reborrow(number, value))?.is_some() {}
        Ok(())
    }
}

impl<'de> DeserializeSeed<'de> for Slot<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        if self.value == Value::Any && self.wire.union().is_none() {
            return self.embed(deserializer);
        }
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Slot<'_> {
    type Value = ();

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}", self.value.go_name())
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_bool<E: serde::de::Error>(self, value: bool) -> Result<(), E> {
        match (self.value, self.wire.union()) {
            (Value::Bool, _) => self.writer.integer(self.number, i64::from(value)),
            (Value::Any, Some(Union::SchemaOrBool)) => {
                let mark = self.writer.begin(self.number);
                self.writer.integer(1, i64::from(value));
                self.writer.end(mark);
            }
            _ => return Err(E::invalid_type(serde::de::Unexpected::Bool(value), &self)),
        }
        Ok(())
    }

    fn visit_i64<E: serde::de::Error>(self, value: i64) -> Result<(), E> {
        match self.value {
            Value::Int32 | Value::Int64 => self.writer.integer(self.number, value),
            #[allow(clippy::cast_precision_loss)] // as every JSON parser of floating point numbers
            Value::Float64 => self.writer.double(self.number, value as f64),
            Value::IntOrString => {
                let mark = self.writer.begin(self.number);
                self.writer.integer(1, 0);
                self.writer.integer(2, value);
                self.writer.end(mark);
            }
            Value::Quantity => return self.visit_str(&value.to_string()),
            _ => return Err(E::invalid_type(serde::de::Unexpected::Signed(value), &self)),
        }
        Ok(())
    }

    fn visit_u64<E: serde::de::Error>(self, value: u64) -> Result<(), E> {
        let signed = i64::try_from(value);
        let signed = signed.map_err(|_| E::invalid_value(serde::de::Unexpected::Unsigned(value), &self))?;
        self.visit_i64(signed)
    }

    fn visit_f64<E: serde::de::Error>(self, value: f64) -> Result<(), E> {
        match self.value {
            Value::Float64 => self.writer.double(self.number, value),
            Value::Quantity => return self.visit_str(&value.to_string()),
            _ => return Err(E::invalid_type(serde::de::Unexpected::Float(value), &self)),
        }
        Ok(())
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<(), E> {
        match self.value {
            Value::String => self.writer.bytes(self.number, text.as_bytes()),
            Value::Bytes => {
                let bytes = STANDARD.decode(text).map_err(E::custom)?;
                self.writer.bytes(self.number, &bytes);
            }
            Value::Quantity => {
                let mark = self.writer.begin(self.number);
                self.writer.bytes(1, text.as_bytes());
                self.writer.end(mark);
            }
            Value::IntOrString => {
                let mark = self.writer.begin(self.number);
                self.writer.integer(1, 1);
                self.writer.bytes(3, text.as_bytes());
                self.writer.end(mark);
            }
            Value::Time => return self.time(text, false),
            Value::MicroTime => return self.time(text, true),
            _ => return Err(E::invalid_type(serde::de::Unexpected::Str(text), &self)),
        }
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut list: A) -> Result<(), A::Error> {
        match (self.value, self.wire.union()) {
            (Value::Array(element), _) if self.wire.has_list_messages() => {
                let mark = self.writer.begin(self.number);
                self.elements(1, element, &mut list)?;
                self.writer.end(mark);
            }
            (Value::Array(element), _) => self.elements(self.number, element, &mut list)?,
            (Value::Any, Some(Union::SchemaOrArray)) => {
                let mark = self.writer.begin(self.number);
                let schema = Value::Object(super::json_schema());
                while list.next_element_seed(self.reborrow(2, schema))?.is_some() {}
                self.writer.end(mark);
            }
            (Value::Any, Some(Union::SchemaOrTexts)) => {
                let mark = self.writer.begin(self.number);
                while list.next_element_seed(self.reborrow(2, Value::String))?.is_some() {}
                self.writer.end(mark);
            }
            _ => return Err(A::Error::invalid_type(serde::de::Unexpected::Seq, &self)),
        }
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut members: A) -> Result<(), A::Error> {
        match (self.value, self.wire.union()) {
            (Value::Object(structure), _) => {
                let mark = self.writer.begin(self.number);
                Structure { structure, writer: self.writer }.visit_map(members)?;
                self.writer.end(mark);
            }
            (Value::Map(element), _) => {
                while let Some(mark) = members.next_key_seed(EntryKey(self.number, self.writer))? {
                    members.next_value_seed(self.reborrow(2, element.value()))?;
                    self.writer.end(mark);
                }
            }
            (Value::Any, Some(union)) => {
                let mark = self.writer.begin(self.number);
                if union == Union::SchemaOrBool {
                    self.writer.integer(1, 1); // a schema allows, too
                }
                let number = if union == Union::SchemaOrBool { 2 } else { 1 };
                self.reborrow(number, Value::Object(super::json_schema())).visit_map(members)?;
                self.writer.end(mark);
            }
            _ => return Err(A::Error::invalid_type(serde::de::Unexpected::Map, &self)),
        }
        Ok(())
    }
}

/// Begins a map's entry with its key; the result is the mark to end it with.
struct EntryKey<'w>(u8, &'w mut Writer);

impl<'de> DeserializeSeed<'de> for EntryKey<'_> {
    type Value = usize;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<usize, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for EntryKey<'_> {
    type Value = usize;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a key")
    }

    fn visit_str<E>(self, key: &str) -> Result<usize, E> {
        let mark = self.1.begin(self.0);
        self.1.bytes(1, key.as_bytes());
        Ok(mark)
    }
}
