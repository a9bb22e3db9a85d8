//! An object without any content, as Go has it: structures that are no pointers are there, and so are fields that are
//! written even when they are empty.

use serde_json::{Map, Value as Json};

use crate::schema::{Type, Value};

/// The object of a structure that nothing has been set in.
pub fn zero(structure: Type) -> Json {
    let mut object = Map::new();
    for field in structure.fields() {
        let value = match (field.value(), field.default()) {
            (Value::Object(inner), Some("{}")) => zero(inner),
            (Value::String, Some(_)) if field.is_required() => "".into(),
            (Value::Int32 | Value::Int64 | Value::Float64, Some(_)) if field.is_required() => 0.into(),
            (Value::Bool, Some(_)) if field.is_required() => false.into(),
            _ if field.is_required() => Json::Null,
            _ => continue,
        };
        object.insert(field.name().to_owned(), value);
    }
    Json::Object(object)
}
