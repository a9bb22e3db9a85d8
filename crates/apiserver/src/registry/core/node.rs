//! Nodes.

use api::Gvk;
use api::k8s_openapi::api::core::v1::Node;

use crate::registry::strategy::{Part, Strategy};
use crate::registry::{
    ALL_VERBS, Action, Backing, PART_VERBS, PROXY_VERBS, Resource, ResourceInfo, Stored, SubresourceInfo,
};
use crate::watch_cache::SelectableField;

const GVK: Gvk = Gvk { group: "", version: "v1", kind: "Node" };

/// The row.
pub static NODES: Resource = Resource {
    info: ResourceInfo {
        gvk: GVK,
        plural: "nodes",
        singular: "node",
        short_names: &["no"],
        categories: &[],
        namespaced: false,
        verbs: ALL_VERBS,
        subresources: &[
            SubresourceInfo {
                name: "proxy",
                gvk: Gvk { group: "", version: "v1", kind: "NodeProxyOptions" },
                verbs: PROXY_VERBS,
            },
            SubresourceInfo { name: "status", gvk: GVK, verbs: PART_VERBS },
        ],
    },
    backing: Backing::Stored(Stored {
        // Where upstream has kept them from the first day on.
        path: "minions",
        strategy: &Rules,
        selectable: &[SelectableField::flag("spec.unschedulable")],
    }),
    actions: &[("proxy", Action::Proxy), ("status", Action::Part(Part::Status))],
};

/// The rules of Nodes. A new Node may carry a status: that is how a kubelet registers.
#[derive(Debug)]
pub struct Rules;

impl Strategy for Rules {
    type Kind = Node;

    fn prepare_for_update(&self, part: Part, new: &mut Node, old: &Node) {
        match part {
            Part::Whole => new.status.clone_from(&old.status),
            Part::Status
            | Part::Finalize
            | Part::Approval
            | Part::Binding
            | Part::Resize
            | Part::EphemeralContainers => {
                new.spec.clone_from(&old.spec);
            }
        }
    }
}
