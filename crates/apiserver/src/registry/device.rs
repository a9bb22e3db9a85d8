//! The `resource.k8s.io` group: devices, and who claims them.

use api::Gvk;
use api::k8s_openapi::api::resource::v1::{
    DeviceClass, ResourceClaim, ResourceClaimStatus, ResourceClaimTemplate, ResourceSlice,
};
use api::k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use jiff::Timestamp;

use super::plain::counted;
use crate::registry::strategy::{Part, Preparation, Strategy};
use crate::registry::{Action, Backing, PART_VERBS, Resource, ResourceInfo, Stored, SubresourceInfo};
use crate::watch_cache::SelectableField;

const fn gvk(kind: &'static str) -> Gvk {
    Gvk { group: "resource.k8s.io", version: "v1", kind }
}

/// DeviceClasses.
pub static DEVICE_CLASSES: Resource = Resource {
    info: ResourceInfo::plain(gvk("DeviceClass"), "deviceclasses", "deviceclass"),
    backing: Backing::Stored(Stored { path: "deviceclasses", strategy: &ClassRules, selectable: &[] }),
    actions: &[],
};

/// ResourceClaims.
pub static RESOURCE_CLAIMS: Resource = Resource {
    info: ResourceInfo {
        namespaced: true,
        subresources: &[SubresourceInfo { name: "status", gvk: gvk("ResourceClaim"), verbs: PART_VERBS }],
        ..ResourceInfo::plain(gvk("ResourceClaim"), "resourceclaims", "resourceclaim")
    },
    backing: Backing::Stored(Stored { path: "resourceclaims", strategy: &ClaimRules, selectable: &[] }),
    actions: &[("status", Action::Part(Part::Status))],
};

/// ResourceClaimTemplates.
pub static RESOURCE_CLAIM_TEMPLATES: Resource = Resource {
    info: ResourceInfo {
        namespaced: true,
        ..ResourceInfo::plain(gvk("ResourceClaimTemplate"), "resourceclaimtemplates", "resourceclaimtemplate")
    },
    backing: Backing::Stored(Stored { path: "resourceclaimtemplates", strategy: &TemplateRules, selectable: &[] }),
    actions: &[],
};

/// ResourceSlices.
pub static RESOURCE_SLICES: Resource = Resource {
    info: ResourceInfo::plain(gvk("ResourceSlice"), "resourceslices", "resourceslice"),
    backing: Backing::Stored(Stored {
        path: "resourceslices",
        strategy: &SliceRules,
        selectable: &[SelectableField::text("spec.driver"), SelectableField::text("spec.nodeName")],
    }),
    actions: &[],
};

counted!(
    ClassRules,
    DeviceClass,
    spec,
    fn returns_deleted(&self) -> bool {
        true
    }
);

/// The rules of ResourceSlices: the generation counts changes, and taints have a time.
#[derive(Debug)]
pub struct SliceRules;

impl Strategy for SliceRules {
    type Kind = ResourceSlice;

    fn prepare_for_create(&self, slice: &mut ResourceSlice, preparation: &mut Preparation) {
        slice.metadata.generation = Some(1);
        let now = Timestamp::from_second(preparation.now.as_second()).unwrap_or(preparation.now);
        let taints = slice.spec.devices.iter_mut().flatten().flat_map(|device| device.taints.iter_mut().flatten());
        taints.for_each(|taint| {
            taint.time_added.get_or_insert(Time(now));
        });
    }

    fn prepare_for_update(&self, _part: Part, new: &mut ResourceSlice, old: &ResourceSlice) {
        if new.spec != old.spec {
            new.metadata.generation = Some(old.metadata.generation.unwrap_or_default() + 1);
        }
    }

    fn returns_deleted(&self) -> bool {
        true
    }
}

/// The rules of ResourceClaims.
#[derive(Debug)]
pub struct ClaimRules;

impl Strategy for ClaimRules {
    type Kind = ResourceClaim;

    fn prepare_for_create(&self, claim: &mut ResourceClaim, _preparation: &mut Preparation) {
        claim.status = Some(ResourceClaimStatus::default());
    }

    fn prepare_for_update(&self, part: Part, new: &mut ResourceClaim, old: &ResourceClaim) {
        if part == Part::Whole {
            new.status.clone_from(&old.status);
        } else {
            new.spec.clone_from(&old.spec);
        }
    }

    fn returns_deleted(&self) -> bool {
        true
    }
}

/// The rules of ResourceClaimTemplates: none beyond defaults and validation.
#[derive(Debug)]
pub struct TemplateRules;

impl Strategy for TemplateRules {
    type Kind = ResourceClaimTemplate;

    fn returns_deleted(&self) -> bool {
        true
    }
}
