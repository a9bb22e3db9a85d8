//! Bindings: a Pod gets its node.

use api::Gvk;

use crate::registry::{Backing, CREATE, Resource, ResourceInfo, Virtual};

/// What a Binding is.
pub const GVK: Gvk = Gvk { group: "", version: "v1", kind: "Binding" };

/// The row.
pub static BINDINGS: Resource = Resource {
    info: ResourceInfo {
        gvk: GVK,
        plural: "bindings",
        singular: "binding",
        short_names: &[],
        categories: &[],
        namespaced: true,
        verbs: CREATE,
        subresources: &[],
    },
    backing: Backing::Virtual(Virtual::Binding),
    actions: &[],
};
