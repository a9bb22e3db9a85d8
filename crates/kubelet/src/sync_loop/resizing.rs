//! Resizes: a Pod that asks for other resources than it has gets them once the node has room.

use std::sync::Arc;

use api::core::v1::pod::QosClass;
use k8s_openapi::api::core::v1::Pod;

use super::{SyncLoop, Worker};
use crate::admission::Demand;
use crate::allocation::{self, Pending, PendingReason, Resize, Room};
use crate::pod::{self, Uid};
use crate::pod_lifecycle::Desired;
use crate::pod_status::seconds;

impl SyncLoop {
    /// The Pod with what is allocated to it, after allocating what it asks for if that is possible.
    pub(super) fn with_allocation(&mut self, uid: &Uid, desired: Desired) -> Desired {
        match desired {
            Desired::Pod(pod) => {
                if pod.metadata.deletion_timestamp.is_none() {
                    self.consider(uid, &pod);
                }
                Desired::Pod(self.context.allocations.apply(pod))
            }
            Desired::Failed(pod, failure) => Desired::Failed(self.context.allocations.apply(pod), failure),
            Desired::Removed(_) => desired,
        }
    }

    /// Decides about the resources a Pod asks for. Answers whether its worker has to know.
    fn consider(&mut self, uid: &Uid, pod: &Arc<Pod>) -> bool {
        let allocations = &self.context.allocations;
        let allocated = allocations.apply(Arc::clone(pod));
        if Arc::ptr_eq(&allocated, pod) {
            return allocations.set_pending(uid, None);
        }
        let demand = Demand::of(pod);
        let others = self.workers.iter().filter(|(other, worker)| *other != uid && worker.is_active());
        let others: Vec<&Demand> = others.map(|(_, worker)| &worker.demand).collect();
        let room = Room {
            others: &others,
            allocatable: &self.context.resources.allocatable,
            cpu_manager: self.context.cpus.policy(),
        };
        match allocation::decide(pod, &allocated, &demand, room) {
            Resize::Allocate => {
                allocations.allocate(pod);
                let message = format!("Pod resize started: {}", allocation::summary(pod, None));
                self.context.events.normal(pod, "ResizeStarted", message);
                if let Some(worker) = self.workers.get_mut(uid) {
                    worker.burstable_cpu_milli = demand.burstable_cpu_milli();
                    worker.demand = demand;
                }
                self.note_requests();
                true
            }
            Resize::Wait(reason, message) => {
                let since = seconds(self.context.clock.now());
                let pending = Pending { reason, message, generation: pod.metadata.generation, since };
                let summary = allocation::summary(pod, Some(&pending.message));
                let is_news = allocations.set_pending(uid, Some(pending));
                if is_news {
                    let event = match reason {
                        PendingReason::Deferred => "ResizeDeferred",
                        PendingReason::Infeasible => "ResizeInfeasible",
                    };
                    let message = format!("Pod resize {}: {summary}", reason.as_str());
                    self.context.events.warning(pod, event, message);
                }
                is_news
            }
        }
    }

    /// Something became free: resizes that wait for room are tried again, those of the weightiest Pods first.
    pub(super) fn retry_resizes(&mut self) {
        let mut waiting: Vec<(&Uid, &Worker)> = self
            .workers
            .iter()
            .filter(|(uid, worker)| {
                let pending = self.context.allocations.progress(uid).pending;
                pending.is_some_and(|pending| pending.reason == PendingReason::Deferred) && worker.is_active()
            })
            .collect();
        waiting.sort_by_key(|(uid, worker)| {
            let since = self.context.allocations.progress(uid).pending.map(|pending| pending.since.0);
            let guaranteed = worker.demand.qos == QosClass::Guaranteed;
            (std::cmp::Reverse(pod::priority(&worker.asked)), !guaranteed, since)
        });
        let waiting: Vec<(Uid, Arc<Pod>)> =
            waiting.into_iter().map(|(uid, worker)| (uid.clone(), Arc::clone(&worker.asked))).collect();
        for (uid, pod) in waiting {
            if self.consider(&uid, &pod) {
                self.desire_again(&uid, pod);
            }
        }
    }

    /// Hands a worker its Pod anew.
    fn desire_again(&mut self, uid: &Uid, pod: Arc<Pod>) {
        let pod = self.context.allocations.apply(pod);
        if let Some(worker) = self.workers.get_mut(uid).filter(|worker| matches!(worker.desired, Desired::Pod(_))) {
            worker.desired = Desired::Pod(pod);
            worker.handle.desire(worker.desired.clone());
        }
    }
}
