//! The objects, their history, and where they live.

use std::collections::BTreeMap;

use serde_json::{Value, json};

/// Resources the fake discovers: group, version, plural, kind, namespaced.
const RESOURCES: [(&str, &str, &str, &str, bool); 11] = [
    ("", "v1", "pods", "Pod", true),
    ("", "v1", "configmaps", "ConfigMap", true),
    ("", "v1", "serviceaccounts", "ServiceAccount", true),
    ("", "v1", "events", "Event", true),
    ("", "v1", "secrets", "Secret", true),
    ("", "v1", "namespaces", "Namespace", false),
    ("", "v1", "nodes", "Node", false),
    ("", "v1", "persistentvolumeclaims", "PersistentVolumeClaim", true),
    ("", "v1", "persistentvolumes", "PersistentVolume", false),
    ("storage.k8s.io", "v1", "storageclasses", "StorageClass", false),
    ("coordination.k8s.io", "v1", "leases", "Lease", true),
];

/// A resource, in one namespace or all.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Collection {
    /// Plural name.
    pub plural: String,
    /// The namespace, if the path names one.
    pub namespace: Option<String>,
}

/// Where a request goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Path {
    /// The resource.
    pub collection: Collection,
    /// The object.
    pub name: Option<String>,
    /// A part of the object.
    pub subresource: Option<String>,
}

impl Path {
    /// Parses `/api/v1/namespaces/ns/pods/name/status` and the like.
    pub fn parse(path: &str) -> Option<Self> {
        let parts: Vec<&str> = path.trim_matches('/').split('/').collect();
        let rest = match parts.as_slice() {
            ["api", _, rest @ ..] | ["apis", _, _, rest @ ..] => rest,
            _ => return None,
        };
        let known = |plural: &str| RESOURCES.iter().any(|resource| resource.2 == plural);
        let (namespace, rest) = match rest {
            ["namespaces", namespace, plural, rest @ ..] if known(plural) => {
                (Some(*namespace), [&[*plural], rest].concat())
            }
            rest => (None, rest.to_vec()),
        };
        let mut rest = rest.into_iter().map(str::to_owned);
        let plural = rest.next()?;
        Some(Self {
            collection: Collection { plural, namespace: namespace.map(str::to_owned) },
            name: rest.next(),
            subresource: rest.next(),
        })
    }

    /// Where an object lives.
    ///
    /// # Panics
    /// When the fake does not know the kind.
    pub fn of(object: &Value) -> Self {
        let kind = object["kind"].as_str().unwrap_or_default();
        let resource = RESOURCES.iter().find(|resource| resource.3 == kind).expect("a known kind");
        let text = |field: &str| object["metadata"][field].as_str().map(str::to_owned);
        Self {
            collection: Collection { plural: resource.2.to_owned(), namespace: text("namespace") },
            name: text("name"),
            subresource: None,
        }
    }

    pub(super) fn named(self, object: &Value) -> Self {
        Self { name: object["metadata"]["name"].as_str().map(str::to_owned), ..self }
    }
}

/// All objects and what happened to them.
#[derive(Debug, Default)]
pub struct Objects {
    objects: BTreeMap<(Collection, String), Value>,
    history: Vec<(u64, Collection, Value)>,
    uids: u64,
}

impl Objects {
    /// An object.
    pub fn get(&self, path: &Path) -> Option<&Value> {
        self.objects.get(&(path.collection.clone(), path.name.clone()?))
    }

    /// Stores an object; one that is deleted and held by nothing is removed.
    pub fn put(&mut self, path: &Path, mut object: Value) {
        let name = path.name.clone().unwrap_or_default();
        let key = (path.collection.clone(), name);
        let kind = if self.objects.contains_key(&key) { "MODIFIED" } else { "ADDED" };
        if object["metadata"]["uid"].is_null() {
            self.uids += 1;
            object["metadata"]["uid"] = json!(format!("uid-{}", self.uids));
        }
        object["metadata"]["creationTimestamp"] = json!("2026-01-01T00:00:00Z");
        let held = |list: &Value| list.as_array().is_some_and(|list| !list.is_empty());
        let deleted = !object["metadata"]["deletionTimestamp"].is_null();
        if deleted && !held(&object["metadata"]["finalizers"]) && !held(&object["spec"]["finalizers"]) {
            self.objects.remove(&key);
            return self.note("DELETED", key.0, object);
        }
        let version = self.version() + 1;
        object["metadata"]["resourceVersion"] = json!(version.to_string());
        self.objects.insert(key.clone(), object.clone());
        self.note(kind, key.0, object);
    }

    /// Deletes an object: marks it where something holds it.
    pub fn delete(&mut self, path: &Path) {
        let Some(mut object) = self.get(path).cloned() else { return };
        object["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:00:00Z");
        self.put(path, object);
    }

    /// Deletes all objects of a collection.
    pub fn delete_all(&mut self, collection: &Collection) {
        let names: Vec<String> =
            self.of(collection).filter_map(|o| o["metadata"]["name"].as_str()).map(str::to_owned).collect();
        for name in names {
            self.delete(&Path { collection: collection.clone(), name: Some(name), subresource: None });
        }
    }

    /// A list as the API answers it.
    pub fn list(&self, collection: &Collection) -> Value {
        json!({ "kind": "List", "apiVersion": "v1", "metadata": { "resourceVersion": self.version().to_string() },
                "items": self.of(collection).collect::<Vec<_>>() })
    }

    pub(super) fn events_since(&self, collection: &Collection, version: u64) -> Vec<(u64, Value)> {
        let events = self.history.iter().filter(|(at, of, _)| *at > version && covers(collection, of));
        events.map(|(at, _, event)| (*at, event.clone())).collect()
    }

    fn of(&self, collection: &Collection) -> impl Iterator<Item = &Value> {
        self.objects.iter().filter(|((of, _), _)| covers(collection, of)).map(|(_, object)| object)
    }

    fn version(&self) -> u64 {
        self.history.len() as u64
    }

    fn note(&mut self, kind: &str, collection: Collection, mut object: Value) {
        let version = self.version() + 1;
        object["metadata"]["resourceVersion"] = json!(version.to_string());
        self.history.push((version, collection, json!({ "type": kind, "object": object })));
    }
}

fn covers(wanted: &Collection, of: &Collection) -> bool {
    wanted.plural == of.plural
        && wanted.namespace.as_ref().is_none_or(|namespace| of.namespace.as_ref() == Some(namespace))
}

/// A merge patch, except that lists of conditions merge by type.
pub fn merge(target: &mut Value, patch: Value) {
    match (target, patch) {
        (Value::Object(target), Value::Object(patch)) => {
            for (key, change) in patch {
                match (key.as_str(), change) {
                    (_, Value::Null) => drop(target.remove(&key)),
                    ("conditions", Value::Array(changes)) => {
                        let list = target.entry(key).or_insert_with(|| json!([]));
                        changes.into_iter().for_each(|change| merge_condition(list, change));
                    }
                    (_, change) => merge(target.entry(key).or_insert(Value::Null), change),
                }
            }
        }
        (target, patch) => *target = patch,
    }
}

fn merge_condition(list: &mut Value, change: Value) {
    let Value::Array(list) = list else { return };
    match list.iter_mut().find(|present| present["type"] == change["type"]) {
        Some(present) => merge(present, change),
        None => list.push(change),
    }
}

/// What discovery answers below a path, if it is one of its own.
pub(super) fn discovery(path: &str) -> Option<Value> {
    let group_version = |group: &str, version: &str| {
        if group.is_empty() { version.to_owned() } else { format!("{group}/{version}") }
    };
    match path.trim_matches('/').split('/').collect::<Vec<_>>().as_slice() {
        ["api"] => Some(json!({ "kind": "APIVersions", "versions": ["v1"], "serverAddressByClientCIDRs": [] })),
        ["apis"] => {
            let version = json!({ "groupVersion": "coordination.k8s.io/v1", "version": "v1" });
            let group = json!({ "name": "coordination.k8s.io", "versions": [version], "preferredVersion": version });
            Some(json!({ "kind": "APIGroupList", "apiVersion": "v1", "groups": [group] }))
        }
        ["api", version] => Some(resources("", version, &group_version("", version))),
        ["apis", group, version] => Some(resources(group, version, &group_version(group, version))),
        _ => None,
    }
}

fn resources(group: &str, version: &str, group_version: &str) -> Value {
    let of_group = RESOURCES.iter().filter(|resource| (resource.0, resource.1) == (group, version));
    let resources = of_group.map(|(_, _, plural, kind, namespaced)| {
        json!({ "name": plural, "singularName": "", "kind": kind, "namespaced": namespaced,
                "verbs": ["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"] })
    });
    json!({ "kind": "APIResourceList", "apiVersion": "v1", "groupVersion": group_version,
            "resources": resources.collect::<Vec<_>>() })
}
