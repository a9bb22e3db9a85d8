//! Paths with their operations, and definitions: fields, types, what is required, lists, keys, defaults, kinds, texts.
//! What operations and parameters say of themselves is each server's own.

use anyhow::Result;
use kube::Client;
use serde_json::Value;

use super::Document;
use super::differences::{Difference, Order, between};

/// Compares one document with the server's.
pub async fn compare(client: &Client, document: &Document) -> Result<Vec<Difference>> {
    let path = match document.path.as_str() {
        "/index" => "/openapi/v3".to_owned(),
        path => format!("/openapi/v3{path}"),
    };
    let got = super::get(client, &path, "application/json").await?.unwrap_or_default();
    Ok(if document.path == "/index" { of_index(&document.content, &got) } else { differences(&document.content, &got) })
}

/// Which documents there are; hashes are each server's own.
fn of_index(want: &Value, got: &Value) -> Vec<Difference> {
    let missing = |name: &String| got["paths"].get(name).is_none();
    let names = want["paths"].as_object().into_iter().flat_map(|paths| paths.keys());
    names
        .filter(|name| missing(name))
        .map(|name| Difference { path: format!("$.paths.{name}"), want: Some(true.into()), got: None })
        .collect()
}

fn differences(want: &Value, got: &Value) -> Vec<Difference> {
    let mut found = Vec::new();
    for pointer in ["/paths", "/components/schemas"] {
        let part = |document: &Value| {
            let mut part = document.pointer(pointer).cloned().unwrap_or_default();
            canonicalize(&mut part);
            if pointer == "/paths" {
                drop_descriptions(&mut part);
            }
            part
        };
        let within = between(&part(want), &part(got), Order::Counts).into_iter();
        found.extend(within.map(|difference| Difference {
            path: difference.path.replacen('$', &pointer.replace('/', "."), 1),
            ..difference
        }));
    }
    found
}

/// Brings lists whose order means nothing into one order; parameters are known by name and place.
fn canonicalize(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            for (name, field) in fields {
                canonicalize(field);
                match (name.as_str(), &mut *field) {
                    ("required", Value::Array(list)) => list.sort_by_key(Value::to_string),
                    ("parameters", Value::Array(list)) => *field = by_name(std::mem::take(list)),
                    _ => {}
                }
            }
        }
        Value::Array(list) => list.iter_mut().for_each(canonicalize),
        _ => {}
    }
}

fn by_name(parameters: Vec<Value>) -> Value {
    let text = |parameter: &Value, field: &str| parameter[field].as_str().unwrap_or_default().to_owned();
    let named = parameters.into_iter().map(|each| (format!("{} in {}", text(&each, "name"), text(&each, "in")), each));
    Value::Object(named.collect())
}

fn drop_descriptions(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            fields.remove("description");
            fields.values_mut().for_each(drop_descriptions);
        }
        Value::Array(list) => list.iter_mut().for_each(drop_descriptions),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn definitions_and_operations_are_compared_field_by_field() {
        let want = json!({"info": {"version": "1"}, "paths": {"/a": {"get": {"parameters": [{"name": "x"}, {"name": "y"}]}}},
            "components": {"schemas": {"T": {"required": ["a"], "properties": {"a": {"type": "string", "default": ""}}}}}});
        let mut got = want.clone();
        got["info"]["version"] = "2".into();
        got["paths"]["/a"]["get"]["parameters"] = json!([{"name": "y", "description": "d"}, {"name": "x"}]);
        assert_eq!(differences(&want, &got), []);
        got["components"]["schemas"]["T"]["properties"]["a"] = json!({"type": "integer"});
        let found: Vec<String> = differences(&want, &got).into_iter().map(|difference| difference.path).collect();
        assert_eq!(found, [".components.schemas.T.properties.a.default", ".components.schemas.T.properties.a.type"]);
    }

    #[test]
    fn the_index_must_have_each_document() {
        let (want, got) = (json!({"paths": {"a": {"u": 1}, "b": {}}}), json!({"paths": {"a": {"u": 2}, "c": {}}}));
        assert_eq!(of_index(&want, &got).len(), 1);
    }
}
