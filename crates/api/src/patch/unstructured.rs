//! A patched tree against the structure of its kind, in the words of upstream's converter: a strategic merge patch never
//! becomes text again there, so its type errors are worded differently from those of a decoded body.

use serde_json::{Map, Value as Json};

use crate::decode::check::{Checked, check};
use crate::decode::go;
use crate::decode::tree::Node;
use crate::schema::{Element, Type, Value};

/// Checks a patched tree.
///
/// # Errors
/// The first value of a wrong type, in upstream's words.
pub fn convert(object: Map<String, Json>, structure: Type) -> Result<Checked, String> {
    let mut converter = Converter::default();
    let value = Json::Object(converter.structure(object, structure)?);
    converter.problems.sort();
    // What is left to do, zero values for `null`, is the same as for a body. It cannot find anything new.
    let checked = check(Node::from_value(&value), structure)?;
    Ok(Checked { value: checked.value, problems: converter.problems })
}

#[derive(Default)]
struct Converter {
    path: String,
    problems: Vec<String>,
}

impl Converter {
    fn structure(&mut self, object: Map<String, Json>, structure: Type) -> Result<Map<String, Json>, String> {
        let mut out = Map::new();
        let length = self.path.len();
        for (key, value) in object {
            let dot = if self.path.is_empty() { "" } else { "." };
            let Some(field) = structure.field(&key) else {
                self.problems.push(format!("unknown field \"{}{dot}{key}\"", self.path));
                continue;
            };
            self.path.push_str(dot);
            self.path.push_str(&key);
            let value = self.value(value, field.value(), field.go_type())?;
            self.path.truncate(length);
            out.insert(key, value);
        }
        Ok(out)
    }

    fn value(&mut self, value: Json, wanted: Value, go_type: Option<&str>) -> Result<Json, String> {
        let kind = kind(&value);
        match (wanted, value) {
            (_, Json::Null) => Ok(Json::Null),
            (Value::Any, value)
            | (Value::String, value @ Json::String(_))
            | (Value::Bool, value @ Json::Bool(_))
            | (Value::Float64, value @ Json::Number(_)) => Ok(value),
            (Value::Int32, Json::Number(number)) => {
                integer(&number, "int32").map(|integer| i32::try_from(integer).unwrap_or(integer as i32).into())
            }
            (Value::Int64, Json::Number(number)) => integer(&number, "int64").map(Json::from),
            (Value::String, Json::Number(number)) if !number.is_f64() => {
                Err(format!("cannot convert int64 to {}", go_type.unwrap_or("string")))
            }
            (Value::Object(structure), Json::Object(object)) => self.structure(object, structure).map(Json::Object),
            (Value::Object(_), _) => Err(format!("cannot restore struct from: {kind}")),
            (Value::Array(element), Json::Array(list)) => self.list(list, element),
            (Value::Map(element), Json::Object(map)) => self.map(map, element),
            (Value::Map(_), _) => Err(format!("cannot restore map from {kind}")),
            (Value::Bytes, Json::String(text)) => match go::check_base64(text.as_bytes()) {
                Ok(()) => Ok(text.into()),
                Err(offset) => Err(format!("error decoding from json: illegal base64 data at input byte {offset}")),
            },
            (Value::Array(_) | Value::Bytes, _) => Err(format!("cannot restore slice from {kind}")),
            (Value::Quantity | Value::IntOrString | Value::Time | Value::MicroTime, value) => Ok(value),
            (Value::String | Value::Bool | Value::Int32 | Value::Int64 | Value::Float64, _) => {
                Err(format!("unrecognized type: {}", wanted.go_name()))
            }
        }
    }

    fn list(&mut self, list: Vec<Json>, element: Element) -> Result<Json, String> {
        let length = self.path.len();
        let mut out = Vec::with_capacity(list.len());
        for (index, value) in list.into_iter().enumerate() {
            self.path.push_str(&format!("[{index}]"));
            out.push(self.value(value, element.value(), None)?);
            self.path.truncate(length);
        }
        Ok(Json::Array(out))
    }

    fn map(&mut self, map: Map<String, Json>, element: Element) -> Result<Json, String> {
        let mut out = Map::new();
        for (key, value) in map {
            let value = self.value(value, element.value(), None)?;
            out.insert(key, value);
        }
        Ok(Json::Object(out))
    }
}

/// An integer, or a number without a fraction.
fn integer(number: &serde_json::Number, wanted: &str) -> Result<i64, String> {
    if let Some(integer) = number.as_i64() {
        return Ok(integer);
    }
    match number.as_f64() {
        Some(float) if float.trunc() == float => Ok(float as i64),
        _ => Err(format!("cannot convert float64 to {wanted}")),
    }
}

/// What Go's reflection calls it.
fn kind(value: &Json) -> &'static str {
    match value {
        Json::Null => "invalid",
        Json::Bool(_) => "bool",
        Json::Number(number) if number.is_f64() => "float64",
        Json::Number(_) => "int64",
        Json::String(_) => "string",
        Json::Array(_) => "slice",
        Json::Object(_) => "map",
    }
}
