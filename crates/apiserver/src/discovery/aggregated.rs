//! Aggregated discovery: every group version in one document.

use api::Gvk;
use serde_json::{Value, json};

use super::{Catalog, sorted, text};
use crate::registry::ResourceInfo;

/// The content type of the document.
pub const AGGREGATED: &str = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList";
/// The only version; the beta that clients before 1.30 ask for is gone, and they go on with plain discovery.
pub(super) const VERSION: &str = "v2";

impl Catalog<'_> {
    /// `/api` in its aggregated form.
    pub fn aggregated_core(&self) -> Vec<u8> {
        document(&[self.aggregated_group("")])
    }

    /// `/apis` in its aggregated form.
    pub fn aggregated_groups(&self) -> Vec<u8> {
        let groups: Vec<_> = self.groups().into_iter().map(|group| self.aggregated_group(group)).collect();
        document(&groups)
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

fn document(groups: &[Value]) -> Vec<u8> {
    let api_version = format!("apidiscovery.k8s.io/{VERSION}");
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
