//! What clients can know of a resource: one row of discovery.

use api::Gvk;

use super::ALL_VERBS;

/// A resource as discovery shows it.
#[derive(Debug)]
pub struct ResourceInfo {
    /// What its objects are.
    pub gvk: Gvk,
    /// Name in URLs, for instance `pods`.
    pub plural: &'static str,
    /// For instance `pod`.
    pub singular: &'static str,
    /// For instance `po`.
    pub short_names: &'static [&'static str],
    /// For instance `all`.
    pub categories: &'static [&'static str],
    /// Whether its objects live in namespaces.
    pub namespaced: bool,
    /// Verbs, sorted.
    pub verbs: &'static [&'static str],
    /// What can be reached below one object.
    pub subresources: &'static [SubresourceInfo],
}

impl ResourceInfo {
    /// A cluster-wide resource with every verb and nothing special.
    pub const fn plain(gvk: Gvk, plural: &'static str, singular: &'static str) -> Self {
        Self {
            gvk,
            plural,
            singular,
            short_names: &[],
            categories: &[],
            namespaced: false,
            verbs: ALL_VERBS,
            subresources: &[],
        }
    }
}

/// A subresource as discovery shows it.
#[derive(Debug)]
pub struct SubresourceInfo {
    /// For instance `status`.
    pub name: &'static str,
    /// What it reads or writes; may be of another group than its parent (`policy/v1 Eviction`).
    pub gvk: Gvk,
    /// Verbs, sorted.
    pub verbs: &'static [&'static str],
}
