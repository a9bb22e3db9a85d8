//! ServiceCIDRs.

use api::Gvk;
use api::k8s_openapi::api::networking::v1::{ServiceCIDR, ServiceCIDRStatus};

use crate::registry::strategy::{Part, Preparation, Strategy};
use crate::registry::{ALL_VERBS, Action, Backing, PART_VERBS, Resource, ResourceInfo, Stored, SubresourceInfo};

const GVK: Gvk = Gvk { group: "networking.k8s.io", version: "v1", kind: "ServiceCIDR" };

/// The row.
pub static SERVICE_CIDRS: Resource = Resource {
    info: ResourceInfo {
        gvk: GVK,
        plural: "servicecidrs",
        singular: "servicecidr",
        short_names: &[],
        categories: &[],
        namespaced: false,
        verbs: ALL_VERBS,
        subresources: &[SubresourceInfo { name: "status", gvk: GVK, verbs: PART_VERBS }],
    },
    backing: Backing::Stored(Stored { path: "servicecidrs", strategy: &Rules, selectable: &[] }),
    actions: &[("status", Action::Part(Part::Status))],
};

/// The rules of ServiceCIDRs.
#[derive(Debug)]
pub struct Rules;

impl Strategy for Rules {
    type Kind = ServiceCIDR;

    fn prepare_for_create(&self, object: &mut ServiceCIDR, _preparation: &mut Preparation) {
        object.status = Some(ServiceCIDRStatus::default());
    }

    fn prepare_for_update(&self, part: Part, new: &mut ServiceCIDR, old: &ServiceCIDR) {
        match part {
            Part::Whole => new.status.clone_from(&old.status),
            _ => new.spec.clone_from(&old.spec),
        }
    }
}
