//! The crate's schemas, completed by the facts to what a server publishes.

use anyhow::Result;
use serde_json::{Map, Value, json};

use crate::facts::{Fact, Facts};
use crate::kinds::Kind;
use crate::texts::Texts;

/// Where definitions stand in an OpenAPI v3 document.
pub const REFERENCE: &str = "#/components/schemas/";
const META: &str = "io.k8s.apimachinery.pkg.apis.meta.v1.";

/// Brings every definition into its published form and adds those that the crate lacks: lists and watch events.
pub fn complete(
    definitions: &mut Map<String, Value>,
    kinds: &[Kind],
    facts: &Facts,
    texts: &Texts,
) -> Result<()> {
    for kind in kinds {
        if let Some(list_kind) = kind.list_kind {
            let (package, _) = kind.definition.rsplit_once('.').expect("definitions have packages");
            definitions.insert(format!("{package}.{list_kind}"), list(kind, list_kind));
        }
    }
    definitions.insert(format!("{META}WatchEvent"), watch_event());
    for (name, definition) in definitions.iter_mut() {
        complete_one(name, definition, kinds, facts)?;
        describe(name, definition, texts);
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
    if let Some(unions) = unions(name) {
        definition.insert("x-kubernetes-unions".into(), unions);
    }
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
        annotate(schema, &facts.of(name, field))?;
        // A reference with siblings must stand in `allOf`.
        if schema.len() > 1
            && let Some(reference) = schema.shift_remove("$ref")
        {
            schema.insert("allOf".into(), json!([{ "$ref": reference }]));
        }
    }
    Ok(())
}

/// Completes what the definition and its fields say of themselves.
fn describe(name: &str, definition: &mut Value, texts: &Texts) {
    let definition = definition.as_object_mut().expect("definitions are objects");
    texts.complete(name, ".", definition);
    for (field, schema) in definition.get_mut("properties").and_then(Value::as_object_mut).into_iter().flatten() {
        texts.complete(name, field, schema.as_object_mut().expect("properties are objects"));
    }
}

/// Types of which one field decides which other may be set: the fields and their values, the deciding one first.
const UNIONS: &[(&str, &str, &[(&str, &str)])] = &[
    ("io.k8s.api.core.v1.AppArmorProfile", "type", &[("localhostProfile", "LocalhostProfile")]),
    ("io.k8s.api.core.v1.PodSchedulingGroup", "", &[("podGroupName", "PodGroupName")]),
    ("io.k8s.api.core.v1.SeccompProfile", "type", &[("localhostProfile", "LocalhostProfile")]),
    ("io.k8s.api.flowcontrol.v1.LimitResponse", "type", &[("queuing", "Queuing")]),
    (
        "io.k8s.api.flowcontrol.v1.PriorityLevelConfigurationSpec",
        "type",
        &[("exempt", "Exempt"), ("limited", "Limited")],
    ),
    (
        "io.k8s.api.flowcontrol.v1.Subject",
        "kind",
        &[("group", "Group"), ("serviceAccount", "ServiceAccount"), ("user", "User")],
    ),
];

fn unions(name: &str) -> Option<Value> {
    let (_, discriminator, fields) = UNIONS.iter().find(|(definition, ..)| *definition == name)?;
    let fields: Map<String, Value> = fields.iter().map(|(field, value)| ((*field).into(), (*value).into())).collect();
    let mut union = json!({ "fields-to-discriminateBy": fields });
    if !discriminator.is_empty() {
        union["discriminator"] = (*discriminator).into();
    }
    Some(json!([union]))
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
        let inner = if schema.contains_key("items") { "items" } else { "additionalProperties" };
        let target = match schema.get_mut(inner) {
            Some(values) => values.as_object_mut().expect("items and values are schemas"),
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
    json!({
        "type": "object",
        "required": ["items"],
        "properties": {
            "apiVersion": {"type": "string"},
            "items": {"type": "array", "items": {"$ref": format!("{REFERENCE}{}", kind.definition)}},
            "kind": {"type": "string"},
            "metadata": {"default": {}, "allOf": [{"$ref": format!("{REFERENCE}{META}ListMeta")}]},
        },
        "x-kubernetes-group-version-kind": [gvk(kind, list_kind)],
    })
}

fn watch_event() -> Value {
    json!({
        "type": "object",
        "required": ["type", "object"],
        "properties": {
            "object": {"allOf": [{"$ref": format!("{REFERENCE}io.k8s.apimachinery.pkg.runtime.RawExtension")}]},
            "type": {"type": "string"},
        },
    })
}
