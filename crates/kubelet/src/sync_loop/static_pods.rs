//! Static Pods: what their sources want, in which order Pods of one name follow each other, and which mirrors are left
//! over.
//!
//! A manifest that changes is another Pod with another UID under the same name. It starts when its predecessor has
//! ended, with the predecessor's full grace period; of several that came meanwhile only the last one starts. A
//! predecessor may also be one that an earlier kubelet left running.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use api::core::v1::pod::SOURCE_ANNOTATION;
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use tracing::info;

use super::SyncLoop;
use crate::pod;
use crate::pod_lifecycle::Desired;
use crate::pod_source::{Source, StaticPods};

/// What is known of static Pods beyond their workers.
#[derive(Debug)]
pub(super) struct StaticState {
    /// Sources that have not said anything yet.
    pub silent: HashSet<Source>,
    /// What earlier kubelets left running has workers, too.
    pub orphans_known: bool,
    /// What earlier kubelets left running of static Pods, until their source has spoken.
    pub left: Vec<Arc<Pod>>,
    wanted: HashMap<Source, Vec<Arc<Pod>>>,
    /// Successors of Pods that are ending, by namespace and name.
    waiting: HashMap<(String, String), Arc<Pod>>,
}

impl StaticState {
    pub fn new(sources: impl Iterator<Item = Source>) -> Self {
        let (wanted, waiting) = (HashMap::new(), HashMap::new());
        Self { silent: sources.collect(), orphans_known: false, left: Vec::new(), wanted, waiting }
    }
}

fn key(pod: &Pod) -> (String, String) {
    (pod::namespace(pod).to_owned(), pod::name(pod).to_owned())
}

fn is_same(left: &Pod, right: &Pod) -> bool {
    pod::uid(left) == pod::uid(right)
}

impl SyncLoop {
    /// A source has these Pods and no others.
    pub(super) fn set_static(&mut self, update: StaticPods) {
        let StaticPods { source, pods } = update;
        self.statics.silent.remove(&source);
        self.end_left(source, &pods);
        let before = self.statics.wanted.insert(source, pods.clone()).unwrap_or_default();
        for gone in before.iter().filter(|old| !pods.iter().any(|new| is_same(old, new))) {
            self.end_static(gone);
        }
        for new in pods.into_iter().filter(|new| !before.iter().any(|old| is_same(old, new))) {
            self.start_static(new);
        }
        self.remove_orphaned_mirrors();
        self.find_orphans();
    }

    /// Ends what an earlier kubelet left of a source's Pods, unless they are wanted as they are.
    fn end_left(&mut self, source: Source, wanted: &[Arc<Pod>]) {
        let left = std::mem::take(&mut self.statics.left);
        let of_source = |pod: &Arc<Pod>| pod::annotation(pod, SOURCE_ANNOTATION) == Some(source.as_str());
        let (ours, others) = left.into_iter().partition::<Vec<_>, _>(of_source);
        self.statics.left = others;
        for pod in ours.into_iter().filter(|pod| !wanted.iter().any(|wanted| is_same(wanted, pod))) {
            if !self.workers.contains_key(&pod::uid(&pod)) {
                info!(pod = pod::full_name(&pod), "ending a static Pod whose manifest is not there any more");
                self.desire(Desired::Removed(pod));
            }
        }
    }

    fn start_static(&mut self, pod: Arc<Pod>) {
        let of_name = |other: &Pod| pod::is_static(other) && key(other) == key(&pod);
        let present = self.workers.values().find(|worker| of_name(worker.desired.pod()));
        if present.is_some() {
            info!(pod = pod::full_name(&pod), "static Pod waits for the end of its predecessor");
            self.statics.waiting.insert(key(&pod), pod);
        } else {
            self.desire(Desired::Pod(pod));
        }
    }

    /// Ends a Pod as if its object had been deleted: with its own grace period.
    fn end_static(&mut self, pod: &Arc<Pod>) {
        if self.statics.waiting.get(&key(pod)).is_some_and(|waiting| is_same(waiting, pod)) {
            self.statics.waiting.remove(&key(pod));
        }
        if self.workers.contains_key(&pod::uid(pod)) {
            let mut ending = Pod::clone(pod);
            let now = self.context.clock.now();
            ending.metadata.deletion_timestamp = Some(Time(now));
            ending.metadata.deletion_grace_period_seconds =
                pod.spec.as_ref().and_then(|spec| spec.termination_grace_period_seconds);
            self.desire(Desired::Pod(Arc::new(ending)));
        }
    }

    /// A Pod has ended: its successor's time has come.
    pub(super) fn start_successor(&mut self, pod: &Pod) {
        if let Some(successor) = self.statics.waiting.remove(&key(pod)) {
            self.desire(Desired::Pod(successor));
        }
    }

    /// Mirrors of Pods of which nothing is left go, once it is known which Pods there are.
    pub(super) fn remove_orphaned_mirrors(&self) {
        if self.statics.orphans_known {
            let is_here = |mirror: &Pod| self.workers.values().any(|worker| key(worker.desired.pod()) == key(mirror));
            self.context.mirrors.remove_others(&self.context.client, is_here);
        }
    }
}
