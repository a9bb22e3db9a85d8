//! PodDisruptionBudgets.

use api::Gvk;
use api::k8s_openapi::api::policy::v1::{PodDisruptionBudget, PodDisruptionBudgetStatus};

use crate::registry::strategy::{Part, Preparation, Strategy};
use crate::registry::{ALL_VERBS, Action, Backing, PART_VERBS, Resource, ResourceInfo, Stored, SubresourceInfo};

const GVK: Gvk = Gvk { group: "policy", version: "v1", kind: "PodDisruptionBudget" };

/// The row.
pub static POD_DISRUPTION_BUDGETS: Resource = Resource {
    info: ResourceInfo {
        gvk: GVK,
        plural: "poddisruptionbudgets",
        singular: "poddisruptionbudget",
        short_names: &["pdb"],
        categories: &[],
        namespaced: true,
        verbs: ALL_VERBS,
        subresources: &[SubresourceInfo { name: "status", gvk: GVK, verbs: PART_VERBS }],
    },
    backing: Backing::Stored(Stored { path: "poddisruptionbudgets", strategy: &Rules, selectable: &[] }),
    actions: &[("status", Action::Part(Part::Status))],
};

/// The rules of PodDisruptionBudgets.
#[derive(Debug)]
pub struct Rules;

impl Strategy for Rules {
    type Kind = PodDisruptionBudget;

    fn prepare_for_create(&self, budget: &mut PodDisruptionBudget, _preparation: &mut Preparation) {
        budget.metadata.generation = Some(1);
        budget.status = Some(PodDisruptionBudgetStatus {
            current_healthy: Some(0),
            desired_healthy: Some(0),
            disruptions_allowed: Some(0),
            expected_pods: Some(0),
            ..PodDisruptionBudgetStatus::default()
        });
    }

    fn prepare_for_update(&self, part: Part, new: &mut PodDisruptionBudget, old: &PodDisruptionBudget) {
        if part != Part::Whole {
            new.spec.clone_from(&old.spec);
            return;
        }
        new.status.clone_from(&old.status);
        if new.spec != old.spec {
            new.metadata.generation = Some(old.metadata.generation.unwrap_or_default() + 1);
        }
    }

    /// A budget is counted down and up by several writers, each of which must know what it changes.
    fn allows_unconditional_update(&self) -> bool {
        false
    }
}
