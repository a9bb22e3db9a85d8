//! ResourceQuotas.

use api::Gvk;
use api::k8s_openapi::api::core::v1::{ResourceQuota, ResourceQuotaStatus};

use crate::registry::strategy::{Part, Preparation, Strategy};
use crate::registry::{ALL_VERBS, Action, Backing, PART_VERBS, Resource, ResourceInfo, Stored, SubresourceInfo};

const GVK: Gvk = Gvk { group: "", version: "v1", kind: "ResourceQuota" };

/// The row.
pub static RESOURCE_QUOTAS: Resource = Resource {
    info: ResourceInfo {
        gvk: GVK,
        plural: "resourcequotas",
        singular: "resourcequota",
        short_names: &["quota"],
        categories: &[],
        namespaced: true,
        verbs: ALL_VERBS,
        subresources: &[SubresourceInfo { name: "status", gvk: GVK, verbs: PART_VERBS }],
    },
    backing: Backing::Stored(Stored { path: "resourcequotas", strategy: &Rules, selectable: &[] }),
    actions: &[("status", Action::Part(Part::Status))],
};

/// The rules of ResourceQuotas.
#[derive(Debug)]
pub struct Rules;

impl Strategy for Rules {
    type Kind = ResourceQuota;

    fn prepare_for_create(&self, quota: &mut ResourceQuota, _preparation: &mut Preparation) {
        quota.status = Some(ResourceQuotaStatus::default());
    }

    fn prepare_for_update(&self, part: Part, new: &mut ResourceQuota, old: &ResourceQuota) {
        match part {
            Part::Whole => new.status.clone_from(&old.status),
            _ => new.spec.clone_from(&old.spec),
        }
    }

    fn returns_deleted(&self) -> bool {
        true
    }
}
