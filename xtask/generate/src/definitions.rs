//! The crate's schemas, completed by the facts to what a server publishes.

use anyhow::Result;
use serde_json::{Map, Value, json};

use crate::facts::{Fact, Facts};
use crate::kinds::Kind;

/// Where definitions stand in an OpenAPI v3 document.
pub const REFERENCE: &str = "#/components/schemas/";
const META: &str = "io.k8s.apimachinery.pkg.apis.meta.v1.";

/// Brings every definition into its published form and adds those that the crate lacks: lists and watch events.
pub fn complete(definitions: &mut Map<String, Value>, kinds: &[Kind], facts: &Facts) -> Result<()> {
    for kind in kinds {
        if let Some(list_kind) = kind.list_kind {
            let (package, _) = kind.definition.rsplit_once('.').expect("definitions have packages");
            definitions.insert(format!("{package}.{list_kind}"), list(kind, list_kind));
        }
    }
    definitions.insert(format!("{META}WatchEvent"), watch_event());
    for (name, definition) in definitions.iter_mut() {
        complete_one(name, definition, kinds, facts)?;
    }
    Ok(())
}

fn complete_one(name: &str, definition: &mut Value, kinds: &[Kind], facts: &Facts) -> Result<()> {
    let definition = definition.as_object_mut().expect("definitions are objects");
    reshape(name, definition);
    let fact = facts.of(name, ".");
    if facts.know(name) {
        definition.remove("required");
        if !fact.required.is_empty() {
            definition.insert("required".into(), fact.required.split(',').collect());
        }
    }
    annotate(definition, &fact)?;
    let kind = kinds.iter().find(|kind| kind.definition == name).map(|kind| gvk(kind, kind.kind));
    let own = matches!(
        name.strip_prefix(META),
        Some(
            "DeleteOptions" | "Status" | "WatchEvent" | "APIGroup" | "APIGroupList" | "APIResourceList" | "APIVersions"
        )
    );
    if let Some(gvk) = kind {
        definition.insert("x-kubernetes-group-version-kind".into(), json!([gvk]));
    } else if own {
        let gvk = json!({"group": "", "kind": &name[META.len()..], "version": "v1"});
        definition.insert("x-kubernetes-group-version-kind".into(), json!([gvk]));
    }
    let Some(properties) = definition.get_mut("properties").and_then(Value::as_object_mut) else { return Ok(()) };
    for (field, schema) in properties {
        let schema = schema.as_object_mut().expect("properties are objects");
        // A reference with siblings must stand in `allOf`.
        if schema.len() > 1
            && let Some(reference) = schema.shift_remove("$ref")
        {
            schema.insert("allOf".into(), json!([{ "$ref": reference }]));
        }
        annotate(schema, &facts.of(name, field))?;
    }
    Ok(())
}

/// Some definitions are written differently upstream.
fn reshape(name: &str, definition: &mut Map<String, Value>) {
    definition.remove("x-kubernetes-int-or-string");
    match name.rsplit('.').next() {
        Some("Quantity") => {
            definition.insert("oneOf".into(), json!([{"type": "string"}, {"type": "number"}]));
        }
        Some("IntOrString") => {
            definition.insert("format".into(), "int-or-string".into());
            definition.insert("oneOf".into(), json!([{"type": "integer"}, {"type": "string"}]));
        }
        Some("JSON" | "JSONSchemaPropsOrArray" | "JSONSchemaPropsOrBool" | "JSONSchemaPropsOrStringArray") => {
            definition.remove("oneOf");
            definition.remove("type");
        }
        _ => {}
    }
}

fn annotate(schema: &mut Map<String, Value>, fact: &Fact) -> Result<()> {
    let mut say = |key: &str, value: &str| {
        if !value.is_empty() {
            schema.insert(key.to_owned(), value.into());
        }
    };
    say("x-kubernetes-list-type", &fact.list_type);
    say("x-kubernetes-patch-strategy", &fact.patch_strategy);
    say("x-kubernetes-patch-merge-key", &fact.patch_merge_key);
    say("x-kubernetes-map-type", &fact.map_type);
    if !fact.list_map_keys.is_empty() {
        schema.insert("x-kubernetes-list-map-keys".into(), fact.list_map_keys.split(',').collect());
    }
    if !fact.default.is_empty() {
        schema.insert("default".into(), serde_json::from_str(&fact.default)?);
    }
    if !fact.values.is_empty() {
        let target = match schema.get_mut("items") {
            Some(items) => items.as_object_mut().expect("items are a schema"),
            None => schema,
        };
        target.insert("enum".into(), fact.values.split(',').collect());
    }
    Ok(())
}

fn gvk(kind: &Kind, name: &str) -> Value {
    json!({"group": kind.group, "kind": name, "version": kind.version})
}

fn list(kind: &Kind, list_kind: &str) -> Value {
    let text = |description: &str| json!({"description": description, "type": "string"});
    json!({
        "description": format!("{list_kind} is a list of {} objects.", kind.kind),
        "type": "object",
        "required": ["items"],
        "properties": {
            "apiVersion": text("The version of the API that this representation follows."),
            "items": {
                "description": format!("The {} objects.", kind.kind),
                "type": "array",
                "items": {"$ref": format!("{REFERENCE}{}", kind.definition)},
            },
            "kind": text("The kind of this representation."),
            "metadata": {
                "description": "Standard list metadata.",
                "default": {},
                "allOf": [{"$ref": format!("{REFERENCE}{META}ListMeta")}],
            },
        },
        "x-kubernetes-group-version-kind": [gvk(kind, list_kind)],
    })
}

fn watch_event() -> Value {
    json!({
        "description": "One event of a watch.",
        "type": "object",
        "required": ["type", "object"],
        "properties": {
            "object": {
                "description": "The object after the change, or before it for DELETED; a Status for ERROR.",
                "allOf": [{"$ref": format!("{REFERENCE}io.k8s.apimachinery.pkg.runtime.RawExtension")}],
            },
            "type": {"type": "string"},
        },
    })
}
