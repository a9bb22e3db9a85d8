//! Random objects of any built-in kind, made from the schema tables.

use api::schema::wire::Union;
use api::schema::{Field, Type, Value};
use serde_json::{Map, Value as Json, json};

use crate::dice::Dice;

/// What texts say: some are names, some are none.
const TEXTS: &[&str] = &["a", "web", "a.example.com/b", "v1", "TCP", "\u{e9} \u{1F980}\n\"\\"];

/// An object of a structure, so many levels deep at most. Nothing in it is zero or empty: what Go leaves out, nobody can
/// tell from what was never there.
pub fn random(dice: &mut Dice, structure: Type, levels: usize) -> Json {
    let mut object = Map::new();
    for field in structure.fields().filter(|field| field.wire().is_some()) {
        if !dice.one_in(3)
            && let Some(value) = value(dice, field, field.value(), levels)
        {
            object.insert(field.name().to_owned(), value);
        }
    }
    Json::Object(object)
}

fn value(dice: &mut Dice, field: Field, of: Value, levels: usize) -> Option<Json> {
    Some(match of {
        Value::String => (*dice.choose(TEXTS)).into(),
        Value::Bool => true.into(),
        Value::Int32 => (*dice.choose(&[1, -1, 80, i32::MAX, i32::MIN])).into(),
        Value::Int64 => (*dice.choose(&[1, -1, 80, i64::MAX, i64::MIN])).into(),
        Value::Float64 => json!(*dice.choose(&[0.5, -0.1, 1e100])),
        Value::Bytes => (*dice.choose(&["AA==", "/wAB", "aGVsbG8="])).into(),
        Value::Quantity => (*dice.choose(&["1", "1500m", "2Gi", "-3"])).into(),
        Value::IntOrString if dice.one_in(2) => (*dice.choose(&[1, 80, -1])).into(),
        Value::IntOrString => (*dice.choose(&["50%", "http"])).into(),
        Value::Time => (*dice.choose(&["1969-12-31T23:59:59Z", "2026-02-28T12:00:00Z"])).into(),
        Value::MicroTime => "2026-02-28T12:00:00.000001Z".into(),
        Value::Object(structure) => {
            let object = random(dice, structure, levels.checked_sub(1)?);
            return object.as_object().is_some_and(|object| !object.is_empty()).then_some(object);
        }
        Value::Array(element) => {
            let list: Vec<Json> = (0..=dice.below(2))
                .filter_map(|_| value(dice, field, element.value(), levels.checked_sub(1)?))
                .collect();
            return (!list.is_empty()).then(|| list.into());
        }
        Value::Map(element) => {
            let mut map = Map::new();
            for key in ["a", "example.com/b"] {
                if let Some(value) = value(dice, field, element.value(), levels.checked_sub(1)?) {
                    map.insert(key.to_owned(), value);
                }
            }
            return (!map.is_empty()).then(|| map.into());
        }
        Value::Any => return any(dice, field, levels),
    })
}

fn any(dice: &mut Dice, field: Field, levels: usize) -> Option<Json> {
    let schema = |dice: &mut Dice| {
        let definition = "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.JSONSchemaProps";
        let schema = random(dice, Type::of_definition(definition)?, levels.checked_sub(2)?);
        schema.as_object().is_some_and(|schema| !schema.is_empty()).then_some(schema)
    };
    match field.wire()?.union() {
        None => Some(json!({"kind": "Any", "list": [1, null, 2.5, {}], "x": {"y": true}})),
        Some(Union::SchemaOrBool) if dice.one_in(2) => Some(false.into()),
        Some(Union::SchemaOrTexts) if dice.one_in(2) => Some(json!(["a", ""])),
        Some(Union::SchemaOrArray) if dice.one_in(2) => Some(json!([schema(dice)?])),
        Some(_) => schema(dice),
    }
}
