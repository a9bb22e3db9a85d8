//! Deployments.

use api::Gvk;
use api::autoscaling::v1::scale::Replicas;
use api::k8s_openapi::api::apps::v1::{Deployment, DeploymentStatus};
use api::managed_fields::ResetFields;

use super::{SCALE, selector_text};
use crate::error::GroupResource;
use crate::registry::strategy::{Part, Preparation, Strategy};
use crate::registry::{ALL_VERBS, Action, Backing, PART_VERBS, Resource, ResourceInfo, Stored, SubresourceInfo};

const GVK: Gvk = Gvk { group: "apps", version: "v1", kind: "Deployment" };

/// The row.
pub static DEPLOYMENTS: Resource = Resource {
    info: ResourceInfo {
        gvk: GVK,
        plural: "deployments",
        singular: "deployment",
        short_names: &["deploy"],
        categories: &["all"],
        namespaced: true,
        verbs: ALL_VERBS,
        subresources: &[
            SubresourceInfo { name: "scale", gvk: SCALE, verbs: PART_VERBS },
            SubresourceInfo { name: "status", gvk: GVK, verbs: PART_VERBS },
        ],
    },
    backing: Backing::Stored(Stored { path: "deployments", strategy: &Rules, selectable: &[] }),
    actions: &[
        ("scale", Action::Scale(GroupResource { group: "apps", resource: "deployments/scale" })),
        ("status", Action::Part(Part::Status)),
    ],
};

/// The rules of Deployments.
#[derive(Debug)]
pub struct Rules;

impl Strategy for Rules {
    type Kind = Deployment;

    fn prepare_for_create(&self, deployment: &mut Deployment, _preparation: &mut Preparation) {
        deployment.metadata.generation = Some(1);
        deployment.status = Some(DeploymentStatus::default());
    }

    fn prepare_for_update(&self, part: Part, new: &mut Deployment, old: &Deployment) {
        if part != Part::Whole {
            new.spec.clone_from(&old.spec);
            new.metadata.labels.clone_from(&old.metadata.labels);
            return;
        }
        new.status.clone_from(&old.status);
        // Annotations count, too: the revision of a Deployment stands in one.
        if new.spec != old.spec || new.metadata.annotations != old.metadata.annotations {
            new.metadata.generation = Some(old.metadata.generation.unwrap_or_default() + 1);
        }
    }

    fn reset_fields(&self, part: Part) -> ResetFields {
        match part {
            Part::Status => ResetFields::These(&["spec", "metadata.labels"]),
            _ => ResetFields::These(&["status"]),
        }
    }

    fn replicas(&self, deployment: &Deployment) -> Option<Replicas> {
        let spec = deployment.spec.as_ref()?;
        let current = deployment.status.as_ref().and_then(|status| status.replicas).unwrap_or(0);
        Some(Replicas { desired: spec.replicas.unwrap_or(0), current, selector: selector_text(&spec.selector) })
    }

    fn set_replicas(&self, deployment: &mut Deployment, replicas: i32) {
        deployment.spec.get_or_insert_default().replicas = Some(replicas);
    }
}
