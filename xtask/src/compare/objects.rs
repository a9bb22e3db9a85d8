//! The objects that are there from the start.

use std::path::Path;

use anyhow::{Context, Result};
use api::decode::{self, Format};
use kube::Client;
use serde_json::Value;

use super::differences::{Difference, Order, between};

/// Lists of objects, by the names of their files.
pub fn lists(folder: &Path) -> Result<Vec<(String, Value)>> {
    let mut lists = Vec::new();
    for file in super::files(folder, ".yaml")? {
        let text = std::fs::read(&file).with_context(|| format!("read {}", file.display()))?;
        let list = decode::tree(&text, Format::Yaml).with_context(|| format!("{} is no YAML", file.display()))?;
        let name = file.file_stem().and_then(|name| name.to_str()).context("a file's name is text")?;
        lists.push((name.to_owned(), list));
    }
    Ok(lists)
}

/// Compares each object of a list with the server's.
pub async fn compare(client: &Client, list: &Value) -> Result<Vec<Difference>> {
    let mut found = Vec::new();
    for want in list["items"].as_array().into_iter().flatten() {
        let path = path_of(want).context("an object without a kind")?;
        let got = super::get(client, &path, "application/json").await?.unwrap_or_default();
        found.extend(differences(&path, want, &got));
    }
    Ok(found)
}

fn differences(path: &str, want: &Value, got: &Value) -> Vec<Difference> {
    let plain = |object: &Value| {
        let mut object = object.clone();
        if let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut) {
            metadata.retain(|field, _| {
                !matches!(field.as_str(), "creationTimestamp" | "resourceVersion" | "uid" | "managedFields")
            });
        }
        blank_own(&mut object);
        if object["kind"] == "EndpointSlice" {
            object["ports"] = Value::Null;
        }
        object
    };
    let found = between(&plain(want), &plain(got), Order::Free).into_iter();
    found.map(|difference| Difference { path: format!("{path} {}", difference.path), ..difference }).collect()
}

/// Times, addresses, ports and certificates are each server's own.
fn blank_own(value: &mut Value) {
    match value {
        Value::Object(fields) => fields.iter_mut().for_each(|(name, field)| match name.as_str() {
            "lastTransitionTime" | "clusterIP" | "clusterIPs" | "addresses" | "targetPort" | "since" => {
                *field = Value::Null;
            }
            _ => blank_own(field),
        }),
        Value::Array(list) => list.iter_mut().for_each(blank_own),
        Value::String(text) if text.starts_with("-----BEGIN ") => *value = Value::Null,
        _ => {}
    }
}

/// Where an object is.
fn path_of(object: &Value) -> Option<String> {
    let (version, kind) = (object["apiVersion"].as_str()?, object["kind"].as_str()?.to_lowercase());
    let name = object.pointer("/metadata/name")?.as_str()?;
    let plural = match kind.as_bytes() {
        _ if kind == "endpoints" => kind,
        [.., b'y'] => format!("{}ies", &kind[..kind.len() - 1]),
        [.., b's'] => format!("{kind}es"),
        _ => format!("{kind}s"),
    };
    let root = if version.contains('/') { "apis" } else { "api" };
    let namespace = object.pointer("/metadata/namespace").and_then(Value::as_str);
    let namespace = namespace.map(|namespace| format!("namespaces/{namespace}/")).unwrap_or_default();
    Some(format!("/{root}/{version}/{namespace}{plural}/{name}"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn objects_are_found_where_their_kind_is() {
        let object = |version: &str, kind: &str, metadata: Value| {
            path_of(&json!({"apiVersion": version, "kind": kind, "metadata": metadata})).unwrap()
        };
        assert_eq!(object("v1", "Namespace", json!({"name": "a"})), "/api/v1/namespaces/a");
        assert_eq!(
            object("networking.k8s.io/v1", "NetworkPolicy", json!({"name": "a", "namespace": "n"})),
            "/apis/networking.k8s.io/v1/namespaces/n/networkpolicies/a"
        );
        assert_eq!(object("v1", "Endpoints", json!({"name": "a"})), "/api/v1/endpoints/a");
    }

    #[test]
    fn what_each_server_makes_up_is_no_difference() {
        let want = json!({"metadata": {"name": "a", "uid": "1", "labels": {"x": "y"}}, "verbs": ["get", "list"],
            "spec": {"clusterIP": "192.0.2.1"}});
        let got = json!({"metadata": {"name": "a", "uid": "2"}, "verbs": ["list", "get"],
            "spec": {"clusterIP": "192.0.2.2"}});
        let found: Vec<String> = differences("/p", &want, &got).into_iter().map(|difference| difference.path).collect();
        assert_eq!(found, ["/p $.metadata.labels"]);
    }
}
