//! When no node takes a Pod: others may have to go.

use std::sync::Arc;

use platform::tasks::{TaskKind, spawn};
use serde_json::{Value, json};
use tokio::time::Instant;
use tracing::{debug, warn};

use super::{Scheduler, profile_of};
use crate::cycle_state::CycleState;
use crate::plugins::default_preemption::Outcome;
use crate::pod_info::{NodeName, PodInfo, Terminating};
use crate::schedule_one::Unfit;
use crate::verdicts::Attempt;
use crate::writes::{self, Nomination, Written};

impl Scheduler {
    /// Parks the Pod, and makes room for it where that is possible.
    pub(super) fn post_filter(&mut self, pod: &Arc<PodInfo>, unfit: &Unfit, state: &CycleState, now: Instant) {
        let Some(profile) = profile_of(&self.profiles, pod) else { return };
        let preemption = profile.preemption.as_ref().filter(|_| !unfit.is_everywhere());
        let snapshot = self.cache.snapshot();
        let outcome = preemption.map(|preemption| {
            self.config.metrics.preempting();
            preemption.post_filter(profile, state, pod, snapshot, unfit, self.config.random.bits())
        });
        let attempt = match &outcome {
            Some(Outcome::Nominated { node, .. }) => Attempt::makes_room(pod, node),
            _ if unfit.is_everywhere() => Attempt::nowhere(pod),
            _ => Attempt::explain(profile, state, pod, snapshot),
        };
        self.remember(pod, attempt, &unfit.message(None));
        let Some(outcome) = outcome else {
            return self.park(pod, unfit.plugins(), &unfit.message(None), Nomination::Keep, now);
        };
        match outcome {
            Outcome::Nominated { node, victims } => {
                // The condition is compared with the Pod as it was.
                self.park(pod, unfit.plugins(), &unfit.message(None), Nomination::Set(&node), now);
                self.make_room(pod, &node, victims, now);
            }
            Outcome::NotEligible(reason) => {
                self.park(pod, unfit.plugins(), &unfit.message(Some(reason)), Nomination::Keep, now);
            }
            Outcome::NotHelpful(text) => {
                self.park(pod, unfit.plugins(), &unfit.message(Some(&text)), Nomination::Clear, now);
                self.cache.forget_nomination(&pod.uid);
            }
        }
    }

    fn make_room(&mut self, pod: &Arc<PodInfo>, node: &NodeName, victims: Vec<Arc<PodInfo>>, now: Instant) {
        debug!(pod = %pod.key, %node, victims = victims.len(), "preempting");
        self.give_up_nominations(pod, node);
        // Known here at once: the next attempt must not come before the API's word and take others.
        let nominated = Arc::new(PodInfo { nominated_node: Some(Arc::clone(node)), ..PodInfo::clone(pod) });
        self.cache.nominate(&nominated, Some(node));
        self.queue.set(nominated, now);
        self.config.metrics.victims(victims.len());
        for victim in victims {
            let leaving = PodInfo { terminating: Some(Terminating::Preempted), ..PodInfo::clone(&victim) };
            self.cache.set_pod(Arc::new(leaving), node);
            let (client, time) = (self.client.clone(), self.config.clock.now());
            let error = "the preempting task ended".to_owned();
            let lost = Written::NotPreempted { pod: Arc::clone(pod), victim: Arc::clone(&victim), error };
            let report = self.start_write(lost);
            let write = writes::preempt(client, Arc::clone(pod), Arc::clone(node), victim, time, report);
            spawn(TaskKind::Worker, "preempt", write);
        }
    }

    /// Pods of lower priority that waited for room on the node look elsewhere.
    fn give_up_nominations(&mut self, pod: &PodInfo, node: &NodeName) {
        let lower = |other: &&Arc<PodInfo>| other.facts.priority < pod.facts.priority;
        let lower: Vec<_> = self.cache.snapshot().nominated(node).iter().filter(lower).cloned().collect();
        for other in lower {
            self.cache.forget_nomination(&other.uid);
            let nothing = json!({ "nominatedNodeName": Value::Null });
            self.write_status(&other, json!({ "metadata": { "uid": &*other.uid }, "status": nothing }));
        }
    }

    /// A Pod that was to go stays, so the one that waits for its room must look again.
    pub(super) fn stays(&mut self, pod: &Arc<PodInfo>, victim: &Arc<PodInfo>, error: &str, now: Instant) {
        warn!(pod = %pod.key, victim = %victim.key, error, "preemption failed");
        let thought =
            self.cache.pod(&victim.uid).is_some_and(|known| known.resource_version == victim.resource_version);
        if let Some(node) = self.cache.node_of(&victim.uid).filter(|_| thought) {
            self.cache.set_pod(Arc::clone(victim), &node);
        }
        self.cache.forget_nomination(&pod.uid);
        self.queue.retry(&pod.uid, now);
    }
}
