//! Makes room for a Pod that fits nowhere, at the cost of Pods of lower priority: PostFilter.
//!
//! Each node where fewer Pods would help is tried in thought: all Pods of lower priority leave, and as many as possible
//! come back, those under a disruption budget first. The node whose loss is smallest is taken.

mod budgets;
#[cfg(test)]
mod tests;
mod victims;

use std::sync::Arc;

use client::Lister;
use k8s_openapi::api::policy::v1::PodDisruptionBudget;

use crate::cycle_state::CycleState;
use crate::framework::{PluginName, Rejection};
use crate::node_info::NodeInfo;
use crate::pod_info::{NodeName, PodInfo, Terminating};
use crate::profile::Profile;
use crate::schedule_one::Unfit;
use crate::snapshot::Snapshot;

use budgets::Budget;
use victims::Victims;

/// See the module.
#[derive(Clone)]
pub struct DefaultPreemption {
    /// The share of the nodes in question that must yield victims before the best of them is taken.
    pub min_candidate_nodes_percentage: usize,
    /// At least so many.
    pub min_candidate_nodes_absolute: usize,
    /// How many Pods may be away at once.
    pub budgets: Lister<PodDisruptionBudget>,
}

/// What preemption came to.
#[derive(Debug, PartialEq)]
pub enum Outcome {
    /// These Pods of the node are to go.
    Nominated {
        /// The node.
        node: NodeName,
        /// The Pods, the most important first.
        victims: Vec<Arc<PodInfo>>,
    },
    /// Nobody goes: the Pod waits for those who already do, or may not ask.
    NotEligible(&'static str),
    /// Nobody's going would help.
    NotHelpful(String),
}

impl DefaultPreemption {
    /// Looks for a node where the Pod fits once others are gone. Pure; `random` is where the search begins.
    pub fn post_filter(
        &self,
        profile: &Profile,
        state: &CycleState,
        pod: &PodInfo,
        snapshot: &Snapshot,
        unfit: &Unfit,
        random: u64,
    ) -> Outcome {
        if let Some(reason) = not_eligible(pod, snapshot, unfit) {
            return Outcome::NotEligible(reason);
        }
        let mut verdicts = Unfit::new(snapshot.nodes().len());
        match self.best(profile, state, pod, snapshot, unfit.curable(), random, &mut verdicts) {
            Some((node, victims)) => Outcome::Nominated { node: Arc::clone(&node.facts.name), victims: victims.pods },
            None => {
                verdicts.rest("Preemption is not helpful for scheduling");
                Outcome::NotHelpful(verdicts.reasons_text())
            }
        }
    }

    #[allow(clippy::too_many_arguments)] // what a decision is made from
    fn best<'a>(
        &self,
        profile: &Profile,
        state: &CycleState,
        pod: &PodInfo,
        snapshot: &'a Snapshot,
        curable: &[usize],
        random: u64,
        verdicts: &mut Unfit,
    ) -> Option<(&'a NodeInfo, Victims)> {
        let enough = self.enough(curable.len());
        let budgets = Budget::all(&self.budgets);
        let offset = usize::try_from(random % curable.len().max(1) as u64).unwrap_or_default();
        let mut candidates: Vec<(&NodeInfo, Victims)> = Vec::new();
        let mut harmless = false;
        for position in curable.iter().cycle().skip(offset).take(curable.len()) {
            let node = &snapshot.nodes()[*position];
            match victims::select(profile, state, pod, node, &budgets, snapshot) {
                Ok(victims) => {
                    harmless |= victims.violations == 0;
                    candidates.push((node, victims));
                    if harmless && candidates.len() >= enough {
                        break;
                    }
                }
                Err(rejection) => verdicts.add(*position, &rejection),
            }
        }
        candidates.into_iter().min_by_key(|(_, victims)| victims.loss())
    }

    fn enough(&self, nodes: usize) -> usize {
        (nodes * self.min_candidate_nodes_percentage / 100).max(self.min_candidate_nodes_absolute).min(nodes)
    }
}

/// Why the Pod may not make others go, if it may not.
fn not_eligible(pod: &PodInfo, snapshot: &Snapshot, unfit: &Unfit) -> Option<&'static str> {
    if pod.facts.never_preempts {
        return Some("not eligible due to preemptionPolicy=Never.");
    }
    let position = snapshot.position(pod.nominated_node.as_ref()?)?;
    // Where no Pod's going helps any more, another node is looked for.
    if !unfit.curable().contains(&position) {
        return None;
    }
    let leaves_for_it = |other: &Arc<PodInfo>| {
        other.terminating == Some(Terminating::Preempted) && other.facts.priority < pod.facts.priority
    };
    let leaving = snapshot.nodes()[position].usage.pods.iter().any(leaves_for_it);
    leaving.then_some("not eligible due to a terminating pod on the nominated node.")
}

fn no_victims() -> Rejection {
    Rejection::incurable(PluginName::DefaultPreemption, "No preemption victims found for incoming pod")
}
