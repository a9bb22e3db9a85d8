//! As many Pods as wanted: ReplicaSets and ReplicationControllers, one mechanism.
//!
//! **Flow**: a set is looked at when it changes, when a Pod of it changes, and when a Pod without owner appears that it
//! selects. A pass takes in and lets go of Pods, makes or deletes some, and writes the status.
//!
//! **Guarantees**: a pass never acts on a copy that does not show what the pass before it wrote ([`InFlight`]), so no
//! Pod is made twice. Before a Pod is taken in, the API confirms that the set still wants it.

mod kinds;
mod plan;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::sync::Arc;

use client::{Client, Lister, ObjectKey, Reflector, object_reference};
use futures::future::join_all;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::ObjectReference;
use kube::Api;
use kube::api::PostParams;
use platform::clock::SharedClock;

use crate::assembly::{Controllers, Wiring};
use crate::in_flight::InFlight;
use crate::ownership;
use crate::pod_control::{self, PodControl};
use crate::pod_facts::PodFacts;
use crate::ranking::first_to_go;
use crate::runtime::{Error, Next, Reconcile};
use crate::wake;
use crate::watches::{OwnedIndex, PodIndex, Watches};
pub use kinds::ReplicaKind;
use plan::{Act, Failure};

/// Keys are the sets' names.
struct Replication<K> {
    client: Client,
    clock: SharedClock,
    control: PodControl,
    sets: Lister<K>,
    index: OwnedIndex<K>,
    pods: Lister<PodFacts>,
    pod_index: PodIndex,
    in_flight: InFlight<ObjectKey>,
}

/// Starts both controllers.
pub fn start(controllers: &mut Controllers) {
    start_kind(controllers, |watches| (&mut watches.replica_sets, watches.replica_set_index.clone()));
    start_kind(controllers, |watches| {
        (&mut watches.replication_controllers, watches.replication_controller_index.clone())
    });
}

fn start_kind<K: ReplicaKind>(
    controllers: &mut Controllers,
    copy: impl Fn(&mut Watches) -> (&mut Reflector<K>, OwnedIndex<K>),
) {
    let mut wiring = Wiring::new();
    let events = controllers.events(K::COMPONENT);
    let (sets, index) = copy(&mut controllers.watches);
    wiring.wakes(sets, |change| change.object().map(|set| ObjectKey::of(&**set)));
    let lister = wiring.reads(sets);
    let by_namespace = index.by_namespace.clone();
    wiring.wakes(&mut controllers.watches.pods, move |change| wake::by_pod(change, &by_namespace, K::selector));
    let controller = Replication {
        client: controllers.client_of(K::COMPONENT),
        clock: controllers.clock.clone(),
        control: PodControl::new(controllers.client_of(K::COMPONENT), events),
        sets: lister,
        index,
        pods: wiring.reads(&controllers.watches.pods),
        pod_index: controllers.watches.pod_index.clone(),
        in_flight: InFlight::default(),
    };
    controllers.add(controller, wiring, 5);
}

impl<K: ReplicaKind> Reconcile for Replication<K> {
    type Key = ObjectKey;
    const NAME: &'static str = K::COMPONENT;

    async fn reconcile(&self, key: &ObjectKey) -> Result<Next, Error> {
        let Some(set) = self.sets.get(key) else {
            self.in_flight.forget(key);
            return Ok(Next::OnWakeUp);
        };
        if let Some(wait) = self.in_flight.wait(key, &self.pods) {
            return Ok(Next::After(wait));
        }
        // A free Pod that ended is not taken in.
        let is_candidate = |pod: &PodFacts| pod.controller.is_some() || pod.is_active();
        let pods = self.control.claim(&*set, &set.selector(), &self.pod_index, &[], is_candidate).await?;
        let doomed = self.in_flight.being_deleted(key, |uid| pods.iter().any(|pod| pod.uid == uid));
        let (doomed, pods): (Vec<_>, Vec<_>) = pods.into_iter().partition(|pod| doomed.contains(&pod.uid));
        let terminating = pods.iter().chain(&doomed).filter(|pod| pod.is_terminating()).count();
        let active: Vec<_> = pods.into_iter().filter(|pod| pod.is_active()).collect();
        let result = self.manage(key, &set, &active).await;
        let now = self.clock.now();
        let failure = result.as_ref().err();
        let status = plan::status(&*set, &active, terminating, failure, now);
        if plan::differs(&*set, &status) {
            let mut changed = (*set).clone();
            changed.set_status(status);
            let api: Api<K> = Api::namespaced(self.client.clone(), &key.namespace);
            let write = api.replace_status(&key.name, &PostParams::default(), &changed).await;
            write.map_err(Error::during("writing the status"))?;
        }
        if let Err(Failure { source, .. }) = result {
            return Err(Error::Request { act: "bringing Pods to their number", source });
        }
        Ok(plan::next_look(&active, set.min_ready_seconds(), now))
    }
}

impl<K: ReplicaKind> Replication<K> {
    async fn manage(&self, key: &ObjectKey, set: &K, active: &[Arc<PodFacts>]) -> Result<(), Failure> {
        if set.meta().deletion_timestamp.is_some() {
            return Ok(());
        }
        let reference = object_reference(set);
        match plan::act(set.replicas(), active.len()) {
            Act::Nothing => Ok(()),
            Act::Create(count) => self.create(key, set, &reference, count).await,
            Act::Delete(count) => self.delete(key, set, &reference, active, count).await,
        }
    }

    async fn create(&self, key: &ObjectKey, set: &K, reference: &ObjectReference, count: usize) -> Result<(), Failure> {
        let owner = ownership::controller_reference(set);
        let pod = pod_control::pod_from_template(&key.name, &set.template(), owner);
        let create = |_| self.control.create_noted(reference, &pod, &self.in_flight, key);
        let created = pod_control::slow_start(count, create).await;
        created.map_err(|source| Failure { reason: "FailedCreate", source })
    }

    async fn delete(
        &self,
        key: &ObjectKey,
        set: &K,
        reference: &ObjectReference,
        active: &[Arc<PodFacts>],
        count: usize,
    ) -> Result<(), Failure> {
        let chosen = first_to_go(active, &self.active_per_node(set, active), count, self.clock.now());
        let results = join_all(chosen.iter().map(|pod| async {
            self.control.delete(reference, pod).await?;
            self.in_flight.deleted(key, &pod.uid);
            Ok(())
        }));
        let deleted = results.await.into_iter().collect::<Result<(), _>>();
        deleted.map_err(|source| Failure { reason: "FailedDelete", source })
    }

    /// How many Pods of the set and its siblings run on each node: siblings are sets of one owner.
    fn active_per_node(&self, set: &K, active: &[Arc<PodFacts>]) -> HashMap<String, usize> {
        let siblings = match ownership::controller_uid(set.meta()) {
            Some(owner) => self.index.by_controller.of(owner),
            None => Vec::new(),
        };
        let others = siblings.into_iter().filter(|sibling| sibling.meta().uid != set.meta().uid);
        let others = others
            .flat_map(|sibling| self.pod_index.by_controller.of(sibling.meta().uid.as_deref().unwrap_or_default()));
        let mut per_node = HashMap::new();
        for pod in active.iter().cloned().chain(others.filter(|pod| pod.is_active())) {
            *per_node.entry(pod.node.clone()).or_insert(0) += 1;
        }
        per_node
    }
}

/// The present moment, as far as `Next` needs it.
fn until(at: Timestamp, now: Timestamp) -> std::time::Duration {
    at.duration_since(now).try_into().unwrap_or_default()
}
