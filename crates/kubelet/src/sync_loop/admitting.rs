//! Letting Pods in, and what the node as a whole is told about those that are in.

use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::core::v1::Pod;
use tracing::{info, warn};

use super::{SyncLoop, Worker};
use crate::admission::{self, Admission, AdmissionInput, Demand};
use crate::pod::{self, Uid};
use crate::pod_lifecycle::{Desired, Failure};
use crate::pod_status::{Phase, Verdict, VerdictKind};
use crate::pod_worker::Room;

/// Pods that are preempted are waited for one and a half grace periods, and no less than this.
const SHORTEST_PATIENCE: Duration = Duration::from_secs(10);
const PREEMPTED: &str = "Preempted in order to admit critical pod";

impl SyncLoop {
    /// What becomes of a Pod that was not here before, and what it has to wait for. One that has been let in by an earlier kubelet is not asked for
    /// again: it may run already.
    pub(super) fn admit(&mut self, pod: Arc<Pod>, demand: &Demand) -> (Desired, Room) {
        let phase = pod.status.as_ref().map_or(Phase::Pending, Phase::of);
        let known = pod.status.as_ref().is_some_and(|status| status.start_time.is_some());
        if known || phase.is_terminal() || pod.metadata.deletion_timestamp.is_some() {
            if !phase.is_terminal()
                && let Err(error) = self.context.cpus.reserve(&pod)
            {
                warn!(pod = pod::full_name(&pod), %error, "a Pod that runs already gets no CPUs of its own");
            }
            return (Desired::Pod(pod), Room::default());
        }
        if *self.context.shutting_down.borrow() {
            let message = "Pod was rejected as the node is shutting down.".to_owned();
            let verdict = Verdict { reason: "NodeShutdown".into(), message, kind: VerdictKind::Rejected };
            return (Desired::Failed(pod, Failure { verdict, grace_seconds: None }), Room::default());
        }
        let unavailable = self.reserve(&pod).err();
        let others: Vec<&Demand> =
            self.workers.values().filter(|worker| worker.is_active()).map(|worker| &worker.demand).collect();
        let answer = admission::admit(&AdmissionInput {
            pod: &pod,
            demand,
            others: &others,
            node: &self.context.node.borrow(),
            allocatable: &self.context.resources.allocatable,
            pressure: &self.context.pressure.borrow(),
            security: &self.context.pods.security,
            unavailable,
        });
        match answer {
            Admission::Admitted => (Desired::Pod(pod), Room::default()),
            Admission::AfterPreempting(victims) => {
                let patience = victims.iter().filter_map(|victim| self.preempt(victim)).max().unwrap_or_default();
                (Desired::Pod(pod), Room { after: victims, patience })
            }
            Admission::Rejected(verdict) => {
                self.release(&pod::uid(&pod));
                info!(pod = pod::full_name(&pod), reason = %verdict.reason, message = verdict.message, "Pod rejected");
                self.context.events.warning(&pod, &verdict.reason, admission::event_message(&verdict));
                (Desired::Failed(pod, Failure { verdict, grace_seconds: None }), Room::default())
            }
        }
    }

    /// Promises a Pod what only one can have: devices and CPUs of its own.
    fn reserve(&self, pod: &Pod) -> Result<(), Verdict> {
        self.context.devices.reserve(pod).map_err(|shortage| admission::not_allocated(&shortage))?;
        self.context.cpus.reserve(pod).map_err(|problem| admission::no_cpus(&problem))
    }

    /// Takes it back.
    pub(super) fn release(&self, uid: &Uid) {
        self.context.devices.release(uid);
        self.context.cpus.release(uid);
    }

    /// Ends a Pod for the sake of another. Answers how long that may take before the other begins all the same.
    fn preempt(&mut self, uid: &Uid) -> Option<Duration> {
        let worker = self.workers.get(uid)?;
        let grace_seconds = u64::try_from(pod::termination_grace_seconds(worker.desired.pod())).unwrap_or(0);
        self.context.events.warning(worker.desired.pod(), "Preempting", PREEMPTED);
        let verdict =
            Verdict { reason: "Preempting".into(), message: PREEMPTED.to_owned(), kind: VerdictKind::Disrupted };
        self.fail(uid, Failure { verdict, grace_seconds: None });
        Some(SHORTEST_PATIENCE.max(Duration::from_secs(grace_seconds.saturating_mul(3) / 2)))
    }

    /// Tells the cgroups of all Pods how many CPUs the Burstable ones ask for together.
    pub(super) fn note_requests(&self) {
        let active = self.workers.values().filter(|worker| worker.is_active());
        let total = active.map(|worker| worker.burstable_cpu_milli).fold(0, i64::saturating_add);
        self.context.burstable_cpu_milli.send_if_modified(|known| std::mem::replace(known, total) != total);
    }
}

impl Worker {
    /// Whether the Pod still takes something of the node.
    pub(super) fn is_active(&self) -> bool {
        let status = self.desired.pod().status.as_ref();
        let rejected = |failure: &Failure| failure.verdict.kind == VerdictKind::Rejected;
        !matches!(&self.desired, Desired::Failed(_, failure) if rejected(failure))
            && !status.is_some_and(|status| Phase::of(status).is_terminal())
    }
}
