//! One Pod on every node that suits, and the way from one template to the next.
//!
//! **Flow**: a DaemonSet is looked at when it changes, when a Pod of it changes, and when a node comes, goes or changes
//! its labels or taints. A pass makes sure that the template has its revision, then plans ([`plan`], and [`rolling`] once
//! every node has what it should have), carries that out and writes the status.
//!
//! **Guarantees**: a pass never acts on copies that do not show what the pass before it wrote. Pods that fail again and
//! again on a node are replaced ever more slowly.

mod nodes;
mod plan;
mod rolling;
#[cfg(test)]
mod tests;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use client::{Change, Client, EventRecorder, EventType, Lister, ObjectKey, object_reference};
use futures::future::join_all;
use k8s_openapi::api::apps::v1::{DaemonSet, DaemonSetStatus};
use k8s_openapi::api::core::v1::Node;
use kube::api::PostParams;
use kube::{Api, ResourceExt as _};
use platform::backoff::{Backoff, Ladder};
use platform::clock::SharedClock;

use crate::assembly::{Controllers, Wiring};
use crate::in_flight::InFlight;
use crate::ownership;
use crate::pod_control::{self, PodControl};
use crate::pod_facts::PodFacts;
use crate::revisions::{self, POD_LABEL, Revised, RevisedSpec, Revisions};
use crate::runtime::{Error, Next, Reconcile};
use crate::wake;
use crate::watches::PodIndex;
use plan::{Plan, View};

/// Upstream's name of the controller.
const COMPONENT: &str = "daemonset-controller";
/// At most so many Pods are made or deleted in one pass.
const BURST: usize = 250;
/// How fast a Pod that failed on a node is replaced.
const REPLACEMENTS: Ladder = Ladder {
    initial: Duration::from_secs(1),
    max: Duration::from_secs(15 * 60),
    reset_after: Duration::from_secs(30 * 60),
};

impl Revised for DaemonSet {
    const HASH_LABEL: &'static str = POD_LABEL;

    fn revised(&self) -> Option<RevisedSpec<'_>> {
        let spec = self.spec.as_ref()?;
        Some(RevisedSpec {
            template: &spec.template,
            selector: &spec.selector,
            history_limit: spec.revision_history_limit,
        })
    }

    fn collisions(&self) -> Option<i32> {
        self.status.as_ref().and_then(|status| status.collision_count)
    }
}

/// Keys are the DaemonSets' names.
struct DaemonSets {
    client: Client,
    clock: SharedClock,
    control: PodControl,
    events: EventRecorder,
    sets: Lister<DaemonSet>,
    nodes: Lister<Node>,
    pods: Lister<PodFacts>,
    pod_index: PodIndex,
    revisions: Revisions,
    in_flight: InFlight<ObjectKey>,
    sets_in_flight: InFlight<ObjectKey>,
    revision_copy: Lister<k8s_openapi::api::apps::v1::ControllerRevision>,
    /// By the set's uid and the node.
    failures: Mutex<Backoff<(String, String)>>,
}

/// Starts the controller.
pub fn start(controllers: &mut Controllers) {
    let mut wiring = Wiring::new();
    let (events, client) = (controllers.events(COMPONENT), controllers.client_of("daemon-set-controller"));
    let watches = &mut controllers.watches;
    wiring.wakes(&mut watches.daemon_sets, |change| change.object().map(|set| ObjectKey::of(&**set)));
    let sets = wiring.reads(&watches.daemon_sets);
    let by_namespace = watches.daemon_set_index.by_namespace.clone();
    wiring.wakes(&mut watches.pods, move |change| wake::by_pod(change, &by_namespace, DaemonSet::selector));
    let all = sets.clone();
    wiring.wakes(&mut watches.nodes, move |change| {
        let woken = if matters(change) { all.all() } else { Vec::new() };
        woken.into_iter().map(|set| ObjectKey::of(&*set))
    });
    let controller = DaemonSets {
        nodes: wiring.reads(&watches.nodes),
        pods: wiring.reads(&watches.pods),
        revision_copy: wiring.reads(&watches.revisions),
        pod_index: watches.pod_index.clone(),
        revisions: Revisions::new(client.clone(), watches.revision_index.clone()),
        clock: controllers.clock.clone(),
        control: PodControl::new(client.clone(), events.clone()),
        client,
        events,
        sets,
        in_flight: InFlight::default(),
        sets_in_flight: InFlight::default(),
        failures: Mutex::new(Backoff::new(REPLACEMENTS)),
    };
    controllers.add(controller, wiring, 2);
}

/// Whether a node may now suit others than before.
fn matters(change: &Change<Node>) -> bool {
    let taints = |node: &Node| node.spec.as_ref().and_then(|spec| spec.taints.clone());
    match change {
        Change::Added(_) | Change::Deleted(_) => true,
        Change::Updated { old, new } => old.metadata.labels != new.metadata.labels || taints(old) != taints(new),
        Change::Synced => false,
    }
}

impl Reconcile for DaemonSets {
    type Key = ObjectKey;
    const NAME: &'static str = COMPONENT;

    async fn reconcile(&self, key: &ObjectKey) -> Result<Next, Error> {
        let Some(set) = self.sets.get(key) else {
            self.in_flight.forget(key);
            self.sets_in_flight.forget(key);
            self.revisions.in_flight.forget(key);
            return Ok(Next::OnWakeUp);
        };
        let unseen = self.in_flight.wait(key, &self.pods).or_else(|| self.sets_in_flight.wait(key, &self.sets));
        if let Some(wait) = unseen.or_else(|| self.revisions.in_flight.wait(key, &self.revision_copy)) {
            return Ok(Next::After(wait));
        }
        if set.metadata.deletion_timestamp.is_some() {
            return Ok(Next::OnWakeUp);
        }
        let settled = self.revisions.settle(&*set).await?;
        let now = self.clock.now();
        let pods = self.control.claim(&*set, &set.selector(), &self.pod_index, &[], |_| true).await?;
        let pods = self.in_flight.as_will_be(key, pods, now);
        let nodes = self.nodes.all();
        let hash = settled.current.labels().get(POD_LABEL).cloned().unwrap_or_default();
        let view = View::new(&set, &nodes, &pods, &hash, now);
        let plan = self.plan(&set, &view);
        let done = self.execute(key, &set, &hash, &plan).await;
        let hash_of = |one: &k8s_openapi::api::apps::v1::ControllerRevision| one.labels().get(POD_LABEL).cloned();
        let is_live = |one: &_| pods.iter().any(|pod| pod.labels.get(POD_LABEL).cloned() == hash_of(one));
        self.revisions.delete(&revisions::outdated(&*set, &settled.others, is_live)).await?;
        let status = DaemonSetStatus { collision_count: settled.collisions, ..plan::status(&view) };
        self.write_status(key, &set, status).await?;
        done.map_err(Error::during("bringing Pods to their nodes"))?;
        Ok(plan.next)
    }
}

impl DaemonSets {
    /// Old Pods are replaced once every node has what it should have.
    fn plan(&self, set: &DaemonSet, view: &View<'_>) -> Plan {
        let uid = set.uid().unwrap_or_default();
        let mut failures = self.failures.lock().unwrap_or_else(PoisonError::into_inner);
        let plan = plan::plan(view, |node| {
            let key = (uid.clone(), node.to_owned());
            let wait = failures.remaining(&key, view.now);
            if wait.is_zero() {
                failures.fail(key, view.now);
            }
            wait
        });
        if plan.create.is_empty() && plan.delete.is_empty() { rolling::plan(view, plan.next) } else { plan }
    }

    async fn execute(&self, key: &ObjectKey, set: &DaemonSet, hash: &str, plan: &Plan) -> Result<(), kube::Error> {
        let reference = object_reference(set);
        for (kind, reason, message) in &plan.events {
            self.events.event(&reference, *kind, reason, message.clone());
        }
        let template = nodes::template(set, hash);
        let owner = ownership::controller_reference(set);
        let create = |position: usize| {
            let pod = pod_control::pod_from_template(&key.name, &template, owner.clone());
            let pod = nodes::pinned_to(pod, &plan.create[position]);
            let reference = &reference;
            async move { self.control.create_noted(reference, &pod, &self.in_flight, key).await }
        };
        let created = pod_control::slow_start(plan.create.len().min(BURST), create).await;
        let deleted = join_all(plan.delete.iter().take(BURST).map(|pod| async {
            self.control.delete(&reference, pod).await?;
            self.in_flight.deleted(key, &pod.uid);
            Ok(())
        }));
        deleted.await.into_iter().collect::<Result<(), kube::Error>>()?;
        created
    }

    async fn write_status(&self, key: &ObjectKey, set: &DaemonSet, status: DaemonSetStatus) -> Result<(), Error> {
        if !plan::differs(set.status.as_ref(), &status) {
            return Ok(());
        }
        let conditions = set.status.as_ref().and_then(|status| status.conditions.clone());
        let changed = DaemonSet { status: Some(DaemonSetStatus { conditions, ..status }), ..set.clone() };
        let sets: Api<DaemonSet> = Api::namespaced(self.client.clone(), &key.namespace);
        let written = sets.replace_status(&key.name, &PostParams::default(), &changed).await;
        let written = written.map_err(Error::during("writing the status"))?;
        self.sets_in_flight.wrote(key, &written.metadata);
        Ok(())
    }
}

/// An Event to tell: its type, reason and message.
type Told = (EventType, &'static str, String);
/// A Pod as the controller sees it.
type Facts = Arc<PodFacts>;
