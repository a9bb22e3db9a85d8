//! The `autoscaling` group: one stored version and a view of it.

use api::autoscaling::v1::horizontal_pod_autoscaler::{from_v2, to_v2};
use api::k8s_openapi::api::autoscaling::{v1, v2};
use api::{Gvk, Object};

use crate::registry::strategy::{Part, Preparation, Strategy};
use crate::registry::{ALL_VERBS, Action, Backing, PART_VERBS, Resource, ResourceInfo, Stored, SubresourceInfo};

const PATH: &str = "horizontalpodautoscalers";

const fn info(gvk: Gvk, subresources: &'static [SubresourceInfo]) -> ResourceInfo {
    ResourceInfo {
        gvk,
        plural: "horizontalpodautoscalers",
        singular: "horizontalpodautoscaler",
        short_names: &["hpa"],
        categories: &["all"],
        namespaced: true,
        verbs: ALL_VERBS,
        subresources,
    }
}

const OLDER: Gvk = Gvk { group: "autoscaling", version: "v1", kind: "HorizontalPodAutoscaler" };
const NEWER: Gvk = Gvk { group: "autoscaling", version: "v2", kind: "HorizontalPodAutoscaler" };

/// The row of the stored version.
pub static HORIZONTAL_POD_AUTOSCALERS: Resource = Resource {
    info: info(NEWER, &[SubresourceInfo { name: "status", gvk: NEWER, verbs: PART_VERBS }]),
    backing: Backing::Stored(Stored { path: PATH, strategy: &Rules, selectable: &[] }),
    actions: &[("status", Action::Part(Part::Status))],
};

/// The row of the older version.
pub static HORIZONTAL_POD_AUTOSCALERS_V1: Resource = Resource {
    info: info(OLDER, &[SubresourceInfo { name: "status", gvk: OLDER, verbs: PART_VERBS }]),
    backing: Backing::View { of: PATH, strategy: &OlderRules, from_stored, to_stored, field_names: &[] },
    actions: &[("status", Action::Part(Part::Status))],
};

/// The rules of HorizontalPodAutoscalers.
#[derive(Debug)]
pub struct Rules;

impl Strategy for Rules {
    type Kind = v2::HorizontalPodAutoscaler;

    fn prepare_for_create(&self, autoscaler: &mut Self::Kind, _preparation: &mut Preparation) {
        autoscaler.status = Some(v2::HorizontalPodAutoscalerStatus {
            current_metrics: Some(Vec::new()),
            ..v2::HorizontalPodAutoscalerStatus::default()
        });
    }

    fn prepare_for_update(&self, part: Part, new: &mut Self::Kind, old: &Self::Kind) {
        match part {
            Part::Whole => new.status.clone_from(&old.status),
            _ => new.spec.clone_from(&old.spec),
        }
    }
}

/// The rules of HorizontalPodAutoscalers of the older version: those of the newer one, on the same object.
#[derive(Debug)]
pub struct OlderRules;

impl Strategy for OlderRules {
    type Kind = v1::HorizontalPodAutoscaler;

    fn prepare_for_create(&self, autoscaler: &mut Self::Kind, preparation: &mut Preparation) {
        let mut newer = to_v2(autoscaler);
        Strategy::prepare_for_create(&Rules, &mut newer, preparation);
        *autoscaler = from_v2(&newer);
    }

    fn prepare_for_update(&self, part: Part, new: &mut Self::Kind, old: &Self::Kind) {
        let mut newer = to_v2(new);
        Strategy::prepare_for_update(&Rules, part, &mut newer, &to_v2(old));
        *new = from_v2(&newer);
    }
}

const OWN_KIND: &str = "the cache of autoscalers holds autoscalers";

fn from_stored(object: Box<dyn Object>) -> Box<dyn Object> {
    Box::new(from_v2(object.as_any().downcast_ref().expect(OWN_KIND)))
}

fn to_stored(object: &dyn Object) -> Box<dyn Object> {
    Box::new(to_v2(object.as_any().downcast_ref().expect(OWN_KIND)))
}
