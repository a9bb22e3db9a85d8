//! Aggregated discovery: every group version in one document.

use api::Gvk;
use serde_json::{Value, json};

use super::{Catalog, sorted, text};
use crate::registry::ResourceInfo;

/// A version of the document; they differ in nothing but the name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Aggregated {
    version: &'static str,
}

/// The present version.
pub const AGGREGATED_V2: Aggregated = Aggregated { version: "v2" };
/// What clients before 1.30 know.
pub const AGGREGATED_V2BETA1: Aggregated = Aggregated { version: "v2beta1" };

impl Aggregated {
    /// The version of that name.
    pub(super) fn of(version: &str) -> Option<Self> {
        [AGGREGATED_V2, AGGREGATED_V2BETA1].into_iter().find(|known| known.version == version)
    }

    /// The content type of the answer.
    pub fn content_type(self) -> String {
        format!("application/json;g=apidiscovery.k8s.io;v={};as=APIGroupDiscoveryList", self.version)
    }
}

impl Catalog<'_> {
    /// `/api` in its aggregated form.
    pub fn aggregated_core(&self, aggregated: Aggregated) -> Vec<u8> {
        document(aggregated, &[self.aggregated_group("")])
    }

    /// `/apis` in its aggregated form.
    pub fn aggregated_groups(&self, aggregated: Aggregated) -> Vec<u8> {
        let groups: Vec<_> = self.groups().into_iter().map(|group| self.aggregated_group(group)).collect();
        document(aggregated, &groups)
    }

    fn aggregated_group(&self, group: &str) -> Value {
        let metadata = if group.is_empty() { json!({}) } else { json!({ "name": group }) };
        let version = |version: &str| {
            let resources: Vec<_> = self.of(group, version).map(resource).collect();
            json!({"version": version, "resources": resources, "freshness": "Current"})
        };
        let versions: Vec<_> = self.versions(group).into_iter().map(version).collect();
        json!({"metadata": metadata, "versions": versions})
    }
}

fn document(aggregated: Aggregated, groups: &[Value]) -> Vec<u8> {
    let api_version = format!("apidiscovery.k8s.io/{}", aggregated.version);
    text(&json!({"kind": "APIGroupDiscoveryList", "apiVersion": api_version, "metadata": {}, "items": groups}))
}

fn resource(resource: &ResourceInfo) -> Value {
    let mut value = json!({
        "resource": resource.plural,
        "responseKind": response_kind(resource.gvk, resource.gvk),
        "scope": if resource.namespaced { "Namespaced" } else { "Cluster" },
        "singularResource": resource.singular,
        "verbs": resource.verbs,
    });
    if !resource.short_names.is_empty() {
        value["shortNames"] = json!(resource.short_names);
    }
    if !resource.categories.is_empty() {
        value["categories"] = json!(resource.categories);
    }
    if !resource.subresources.is_empty() {
        let subresource = |subresource: &crate::registry::SubresourceInfo| {
            json!({
                "subresource": subresource.name,
                "responseKind": response_kind(subresource.gvk, resource.gvk),
                "verbs": subresource.verbs,
            })
        };
        value["subresources"] = sorted(resource.subresources).into_iter().map(subresource).collect();
    }
    value
}

/// A kind, without group and version where those are its place's.
fn response_kind(gvk: Gvk, parent: Gvk) -> Value {
    let own = (gvk.group, gvk.version) == (parent.group, parent.version);
    let (group, version) = if own { ("", "") } else { (gvk.group, gvk.version) };
    json!({"group": group, "version": version, "kind": gvk.kind})
}
