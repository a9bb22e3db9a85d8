//! Who is below whom, and how that is printed. Pure.

use std::collections::{BTreeMap, BTreeSet};

use api::k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use jiff::Timestamp;
use kube::api::{DynamicObject, PartialObjectMeta};

use super::readiness::{self, Readiness};
use crate::story::duration;

/// One object of the tree.
#[derive(Debug, Clone, PartialEq)]
pub struct Node {
    uid: String,
    owners: Vec<String>,
    /// `Kind/name`.
    name: String,
    namespace: String,
    readiness: Readiness,
    age: String,
}

impl Node {
    /// What is printed of an object.
    pub fn of(kind: &str, object: &DynamicObject, now: Timestamp) -> Self {
        let metadata = &object.metadata;
        let age = metadata.creation_timestamp.as_ref().map(|time| duration(now.duration_since(time.0).as_millis()));
        let mut whole = object.data.clone();
        whole["metadata"]["deletionTimestamp"] =
            metadata.deletion_timestamp.as_ref().map(|time| time.0.to_string()).into();
        Self {
            uid: metadata.uid.clone().unwrap_or_default(),
            owners: owners(metadata).map(str::to_owned).collect(),
            name: format!("{kind}/{}", metadata.name.as_deref().unwrap_or_default()),
            namespace: metadata.namespace.clone().unwrap_or_default(),
            readiness: readiness::of(kind, &whole),
            age: age.unwrap_or_default(),
        }
    }
}

fn owners(metadata: &ObjectMeta) -> impl Iterator<Item = &str> {
    metadata.owner_references.iter().flatten().map(|owner| owner.uid.as_str())
}

/// The uids of an object and all that it owns, directly and not.
pub fn owned<'a>(
    root: &ObjectMeta,
    all: impl IntoIterator<Item = &'a PartialObjectMeta<DynamicObject>>,
) -> BTreeSet<String> {
    let mut below: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for object in all {
        for owner in owners(&object.metadata) {
            below.entry(owner).or_default().extend(object.metadata.uid.as_deref());
        }
    }
    let mut found = BTreeSet::new();
    let mut ahead = vec![root.uid.as_deref().unwrap_or_default()];
    while let Some(uid) = ahead.pop() {
        if found.insert(uid.to_owned()) {
            ahead.extend(below.get(uid).into_iter().flatten());
        }
    }
    found
}

/// A table whose second column is the tree.
pub fn render(root: &Node, nodes: &[Node]) -> Vec<String> {
    let mut below: BTreeMap<&str, Vec<&Node>> = BTreeMap::new();
    for node in nodes {
        for owner in &node.owners {
            below.entry(owner).or_default().push(node);
        }
    }
    below.values_mut().for_each(|children| children.sort_by(|a, b| a.name.cmp(&b.name)));
    let mut rows = vec![["NAMESPACE", "NAME", "READY", "REASON", "AGE"].map(str::to_owned)];
    rows.push(row(root, &root.name));
    let mut seen = BTreeSet::from([root.uid.as_str()]);
    add_below(root, "", &below, &mut seen, &mut rows);
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..4).map(width).collect();
    let line = |row: &[String; 5]| {
        let mut line = String::new();
        for (text, width) in row.iter().zip(&widths) {
            line.push_str(text);
            line.extend(std::iter::repeat_n(' ', width + 2 - text.chars().count()));
        }
        line.push_str(&row[4]);
        line
    };
    rows.iter().map(line).collect()
}

fn add_below<'a>(
    parent: &'a Node,
    indent: &str,
    below: &BTreeMap<&str, Vec<&'a Node>>,
    seen: &mut BTreeSet<&'a str>,
    rows: &mut Vec<[String; 5]>,
) {
    let children: Vec<_> = below.get(parent.uid.as_str()).into_iter().flatten().collect();
    // One with several owners is shown below the first that is printed.
    let children: Vec<_> = children.into_iter().filter(|child| seen.insert(&child.uid)).collect();
    for (number, child) in children.iter().enumerate() {
        let (branch, deeper) = if number + 1 == children.len() { ("└─", "  ") } else { ("├─", "│ ") };
        rows.push(row(child, &format!("{indent}{branch}{}", child.name)));
        add_below(child, &format!("{indent}{deeper}"), below, seen, rows);
    }
}

fn row(node: &Node, name: &str) -> [String; 5] {
    let Readiness { ready, reason } = &node.readiness;
    [node.namespace.clone(), name.to_owned(), ready.clone(), reason.clone(), node.age.clone()]
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn object(kind: &str, name: &str, owner: &str) -> DynamicObject {
        let owner = json!({"apiVersion": "v1", "kind": "X", "name": owner, "uid": owner});
        let object = json!({"apiVersion": "v1", "kind": kind, "metadata": {"name": name, "uid": name, "namespace": "ns",
            "creationTimestamp": "2026-01-01T00:00:00Z", "ownerReferences": [owner]}});
        serde_json::from_value(object).unwrap()
    }

    #[test]
    fn the_tree_is_drawn_with_its_branches_and_survives_cycles() {
        let now = "2026-01-01T00:02:05Z".parse().unwrap();
        let node = |kind: &str, name: &str, owner: &str| Node::of(kind, &object(kind, name, owner), now);
        let nodes = [
            node("Pod", "c", "rs2"),
            node("ReplicaSet", "rs2", "web"),
            node("Pod", "b", "rs1"),
            node("Pod", "a", "rs1"),
            node("ReplicaSet", "rs1", "web"),
        ];
        let lines = render(&node("Deployment", "web", "c"), &nodes);
        assert_eq!(
            lines,
            [
                "NAMESPACE  NAME              READY  REASON  AGE",
                "ns         Deployment/web    -              2m05s",
                "ns         ├─ReplicaSet/rs1  -              2m05s",
                "ns         │ ├─Pod/a         -              2m05s",
                "ns         │ └─Pod/b         -              2m05s",
                "ns         └─ReplicaSet/rs2  -              2m05s",
                "ns           └─Pod/c         -              2m05s",
            ]
        );
        let metadata = |name: &str, owner: &str| {
            let object = object("Pod", name, owner);
            PartialObjectMeta::<DynamicObject> {
                types: None,
                metadata: object.metadata,
                _phantom: std::marker::PhantomData,
            }
        };
        let all = [metadata("rs1", "web"), metadata("a", "rs1"), metadata("web", "a"), metadata("stranger", "x")];
        let owned = owned(&object("Deployment", "web", "a").metadata, &all);
        assert_eq!(owned.into_iter().collect::<Vec<_>>(), ["a", "rs1", "web"]);
    }
}
