//! Discovery: which groups, versions and resources there are, one list per group version or all at once ("aggregated").
//!
//! A [`Catalog`] is built from the rows of the registry for one request and dropped with it; the documents are small.

mod accept;
mod aggregated;
mod version;

#[cfg(test)]
mod tests;

use api::Gvk;
use aws_lc_rs::digest;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::registry::{ResourceInfo, SubresourceInfo};

pub use accept::{Form, form_of};
pub use aggregated::AGGREGATED;
pub use version::version;

/// The order in which clients should look for a kind that several groups have.
const GROUP_ORDER: &[&str] = &[
    "apiregistration.k8s.io",
    "apps",
    "events.k8s.io",
    "authentication.k8s.io",
    "authorization.k8s.io",
    "autoscaling",
    "batch",
    "certificates.k8s.io",
    "networking.k8s.io",
    "policy",
    "rbac.authorization.k8s.io",
    "storage.k8s.io",
    "admissionregistration.k8s.io",
    "apiextensions.k8s.io",
    "scheduling.k8s.io",
    "coordination.k8s.io",
    "node.k8s.io",
    "discovery.k8s.io",
    "resource.k8s.io",
    "flowcontrol.apiserver.k8s.io",
];

/// Every resource, in the order of the documents: groups by [`GROUP_ORDER`] then name, newer versions first, resources
/// by name.
#[derive(Debug)]
pub struct Catalog<'a> {
    resources: Vec<&'a ResourceInfo>,
}

impl<'a> Catalog<'a> {
    /// A catalog of resources, given in any order.
    pub fn new(resources: impl IntoIterator<Item = &'a ResourceInfo>) -> Self {
        let mut resources: Vec<_> = resources.into_iter().collect();
        resources.sort_by_key(|resource| {
            let Gvk { group, version, .. } = resource.gvk;
            let place = GROUP_ORDER.iter().position(|known| *known == group).unwrap_or(GROUP_ORDER.len());
            (place, group, std::cmp::Reverse(version), resource.plural)
        });
        Self { resources }
    }

    /// Groups in order, without the core group.
    pub(crate) fn groups(&self) -> Vec<&'a str> {
        let mut groups: Vec<_> = self.resources.iter().map(|resource| resource.gvk.group).collect();
        groups.retain(|group| !group.is_empty());
        groups.dedup();
        groups
    }

    /// The versions of a group, the preferred one first.
    pub(crate) fn versions(&self, group: &str) -> Vec<&'a str> {
        let resources = self.resources.iter().filter(|resource| resource.gvk.group == group);
        let mut versions: Vec<_> = resources.map(|resource| resource.gvk.version).collect();
        versions.dedup();
        versions
    }

    /// Every group and version, the core group first.
    pub(crate) fn group_versions(&self) -> Vec<(&'a str, &'a str)> {
        let groups = std::iter::once("").chain(self.groups());
        groups.flat_map(|group| self.versions(group).into_iter().map(move |version| (group, version))).collect()
    }

    pub(crate) fn of<'b>(&'b self, group: &'b str, version: &'b str) -> impl Iterator<Item = &'a ResourceInfo> + 'b {
        let belongs = move |resource: &&&ResourceInfo| resource.gvk.group == group && resource.gvk.version == version;
        self.resources.iter().filter(belongs).copied()
    }

    /// `/api`. The address is that of this server, `host:port`.
    pub fn api_versions(&self, server_address: &str) -> Vec<u8> {
        text(&json!({
            "kind": "APIVersions",
            "versions": self.versions(""),
            "serverAddressByClientCIDRs": [{"clientCIDR": "0.0.0.0/0", "serverAddress": server_address}],
        }))
    }

    /// `/apis`.
    pub fn group_list(&self) -> Vec<u8> {
        let groups: Vec<_> = self.groups().into_iter().map(|group| self.group_value(group)).collect();
        text(&json!({"kind": "APIGroupList", "apiVersion": "v1", "groups": groups}))
    }

    /// `/apis/GROUP`, if there is such a group.
    pub fn group(&self, group: &str) -> Option<Vec<u8>> {
        if !self.groups().contains(&group) {
            return None;
        }
        let mut value = self.group_value(group);
        value["kind"] = "APIGroup".into();
        value["apiVersion"] = "v1".into();
        Some(text(&value))
    }

    fn group_value(&self, group: &str) -> Value {
        let version = |version: &&str| json!({"groupVersion": format!("{group}/{version}"), "version": version});
        let versions: Vec<_> = self.versions(group).iter().map(version).collect();
        json!({"name": group, "preferredVersion": versions.first(), "versions": versions})
    }

    /// `/api/VERSION` for the core group, else `/apis/GROUP/VERSION`; nothing where there is no such version.
    pub fn resource_list(&self, group: &str, version: &str) -> Option<Vec<u8>> {
        let resources: Vec<_> = self.of(group, version).flat_map(rows).collect();
        if resources.is_empty() {
            return None;
        }
        let mut list = json!({"kind": "APIResourceList", "resources": resources});
        if group.is_empty() {
            list["groupVersion"] = version.into();
        } else {
            list["apiVersion"] = "v1".into();
            list["groupVersion"] = format!("{group}/{version}").into();
        }
        Some(text(&list))
    }
}

/// A resource and its subresources as rows of an `APIResourceList`.
fn rows(resource: &ResourceInfo) -> Vec<Value> {
    let mut row = json!({
        "name": resource.plural,
        "singularName": resource.singular,
        "namespaced": resource.namespaced,
        "kind": resource.gvk.kind,
        "verbs": resource.verbs,
    });
    if !resource.short_names.is_empty() {
        row["shortNames"] = json!(resource.short_names);
    }
    if !resource.categories.is_empty() {
        row["categories"] = json!(resource.categories);
    }
    if resource.verbs.contains(&"watch") {
        row["storageVersionHash"] = storage_version_hash(resource.gvk).into();
    }
    let subresources = sorted(resource.subresources);
    std::iter::once(row).chain(subresources.into_iter().map(|subresource| subrow(resource, subresource))).collect()
}

fn subrow(resource: &ResourceInfo, subresource: &SubresourceInfo) -> Value {
    let gvk = subresource.gvk;
    let mut row = json!({
        "name": format!("{}/{}", resource.plural, subresource.name),
        "singularName": "",
        "namespaced": resource.namespaced,
        "kind": gvk.kind,
        "verbs": subresource.verbs,
    });
    if (gvk.group, gvk.version) != (resource.gvk.group, resource.gvk.version) {
        row["group"] = gvk.group.into();
        row["version"] = gvk.version.into();
    }
    row
}

fn sorted(subresources: &[SubresourceInfo]) -> Vec<&SubresourceInfo> {
    let mut sorted: Vec<_> = subresources.iter().collect();
    sorted.sort_by_key(|subresource| subresource.name);
    sorted
}

/// Tells clients that objects are stored in another version than before. Upstream hashes the kind it stores, which is
/// not always the one it serves.
fn storage_version_hash(gvk: Gvk) -> String {
    let (group, version) = match (gvk.group, gvk.version, gvk.kind) {
        ("events.k8s.io", "v1", "Event") => ("", "v1"),
        ("autoscaling", "v1", "HorizontalPodAutoscaler") => ("autoscaling", "v2"),
        ("admissionregistration.k8s.io", _, "MutatingAdmissionPolicy" | "MutatingAdmissionPolicyBinding")
        | ("apiextensions.k8s.io", _, _) => (gvk.group, "v1beta1"),
        _ => (gvk.group, gvk.version),
    };
    let stored = format!("{group}/{version}/{}", gvk.kind);
    STANDARD.encode(&digest::digest(&digest::SHA256, stored.as_bytes()).as_ref()[..8])
}

/// The entity tag of a document, with its quotes.
pub fn etag(document: &[u8]) -> String {
    format!("\"{}\"", hash(document))
}

/// Whether an `If-None-Match` header names the entity tag.
pub fn matches_etag(if_none_match: &str, etag: &str) -> bool {
    if_none_match.split(',').map(|tag| tag.trim().trim_start_matches("W/")).any(|tag| tag == "*" || tag == etag)
}

/// A hash of a document, as upstream writes it.
pub(crate) fn hash(document: &[u8]) -> String {
    let hash = digest::digest(&digest::SHA512, document);
    hash.as_ref().iter().map(|byte| format!("{byte:02X}")).collect()
}

fn text(document: &Value) -> Vec<u8> {
    let mut text = document.to_string().into_bytes();
    text.push(b'\n');
    text
}
