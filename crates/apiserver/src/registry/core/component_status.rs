//! ComponentStatuses.

use api::Gvk;

use crate::registry::{Backing, Resource, ResourceInfo};

/// The row.
pub static COMPONENT_STATUSES: Resource = Resource {
    info: ResourceInfo {
        short_names: &["cs"],
        verbs: &["get", "list"],
        ..ResourceInfo::plain(
            Gvk { group: "", version: "v1", kind: "ComponentStatus" },
            "componentstatuses",
            "componentstatus",
        )
    },
    backing: Backing::Components,
    actions: &[],
};
