//! The `flowcontrol.apiserver.k8s.io` group.

use api::Gvk;
use api::k8s_openapi::api::flowcontrol::v1::{FlowSchema, PriorityLevelConfiguration};

use super::plain::counted_with_status;
use crate::registry::strategy::Part;
use crate::registry::{Action, Backing, PART_VERBS, Resource, ResourceInfo, Stored, SubresourceInfo};

const FLOW_SCHEMA: Gvk = Gvk { group: "flowcontrol.apiserver.k8s.io", version: "v1", kind: "FlowSchema" };
const PRIORITY_LEVEL: Gvk =
    Gvk { group: "flowcontrol.apiserver.k8s.io", version: "v1", kind: "PriorityLevelConfiguration" };

/// FlowSchemas.
pub static FLOW_SCHEMAS: Resource = Resource {
    info: ResourceInfo {
        subresources: &[SubresourceInfo { name: "status", gvk: FLOW_SCHEMA, verbs: PART_VERBS }],
        ..ResourceInfo::plain(FLOW_SCHEMA, "flowschemas", "flowschema")
    },
    backing: Backing::Stored(Stored { path: "flowschemas", strategy: &FlowSchemaRules, selectable: &[] }),
    actions: &[("status", Action::Part(Part::Status))],
};

/// PriorityLevelConfigurations.
pub static PRIORITY_LEVEL_CONFIGURATIONS: Resource = Resource {
    info: ResourceInfo {
        subresources: &[SubresourceInfo { name: "status", gvk: PRIORITY_LEVEL, verbs: PART_VERBS }],
        ..ResourceInfo::plain(PRIORITY_LEVEL, "prioritylevelconfigurations", "prioritylevelconfiguration")
    },
    backing: Backing::Stored(Stored {
        path: "prioritylevelconfigurations",
        strategy: &PriorityLevelRules,
        selectable: &[],
    }),
    actions: &[("status", Action::Part(Part::Status))],
};

counted_with_status!(FlowSchemaRules, FlowSchema);
counted_with_status!(PriorityLevelRules, PriorityLevelConfiguration);
