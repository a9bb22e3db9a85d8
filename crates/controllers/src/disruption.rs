//! How many of a budget's Pods may be evicted.
//!
//! A budget is looked at when it changes, when a Pod that it selects changes, and when an eviction it was charged for
//! ought to have come to its end. Evictions write the same status, so it is only written over the one it was computed
//! from.

mod plan;

use std::collections::BTreeMap;
use std::sync::Arc;

use api::labels::Selector;
use client::{Change, Client, EventRecorder, Lister, ObjectKey, is_not_found, object_reference};
use k8s_openapi::api::apps::v1::{Deployment, ReplicaSet};
use k8s_openapi::api::autoscaling::v1::Scale;
use k8s_openapi::api::core::v1::ReplicationController;
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use kube::api::PostParams;
use kube::{Api, Resource as _};
use platform::clock::SharedClock;

use crate::assembly::{Controllers, Wiring};
use crate::objects::Kinds;
use crate::ownership::{self, is_of_kind};
use crate::pod_facts::PodFacts;
use crate::runtime::{Error, Next, Reconcile};
use crate::watches::PodIndex;
use plan::{Expected, Keeper};

/// Keys are the budgets' names.
struct Disruption {
    client: Client,
    clock: SharedClock,
    events: EventRecorder,
    kinds: Kinds,
    budgets: Lister<PodDisruptionBudget>,
    pod_index: PodIndex,
    sets: Lister<ReplicaSet>,
    deployments: Lister<Deployment>,
    controllers: Lister<ReplicationController>,
}

/// Starts the controller.
pub fn start(controllers: &mut Controllers) {
    let mut wiring = Wiring::new();
    let events = controllers.events("controllermanager");
    let watches = &mut controllers.watches;
    wiring.wakes(&mut watches.budgets, |change| change.object().map(|budget| ObjectKey::of(&**budget)));
    let by_namespace = watches.budget_index.by_namespace.clone();
    wiring.wakes(&mut watches.pods, move |change| {
        let (old, new) = match change {
            Change::Added(pod) | Change::Deleted(pod) => (None, pod),
            Change::Updated { old, new } => (Some(old), new),
            Change::Synced => return Vec::new(),
        };
        let concerned = by_namespace.of(new.namespace()).into_iter().filter(|budget| {
            let selector = selector(budget);
            old.into_iter().chain([new]).any(|pod| selector.matches(Some(&pod.labels)))
        });
        concerned.map(|budget| ObjectKey::of(&*budget)).collect()
    });
    wiring.reads(&watches.pods);
    let controller = Disruption {
        budgets: wiring.reads(&watches.budgets),
        pod_index: watches.pod_index.clone(),
        sets: wiring.reads(&watches.replica_sets),
        deployments: wiring.reads(&watches.deployments),
        controllers: wiring.reads(&watches.replication_controllers),
        kinds: controllers.objects.kinds(),
        client: controllers.client_of("disruption-controller"),
        clock: controllers.clock.clone(),
        events,
    };
    controllers.add(controller, wiring, 2);
}

/// An absent selector selects nothing.
fn selector(budget: &PodDisruptionBudget) -> Selector {
    let selector = budget.spec.as_ref().and_then(|spec| spec.selector.as_ref());
    Selector::from_label_selector(selector).unwrap_or(Selector::Nothing)
}

impl Reconcile for Disruption {
    type Key = ObjectKey;
    const NAME: &'static str = "disruption-controller";

    async fn reconcile(&self, key: &ObjectKey) -> Result<Next, Error> {
        let Some(budget) = self.budgets.get(key) else { return Ok(Next::OnWakeUp) };
        let selector = selector(&budget);
        let pods = self.pod_index.by_namespace.of(&key.namespace).into_iter();
        let pods: Vec<_> = pods.filter(|pod| selector.matches(Some(&pod.labels))).collect();
        let keepers = if plan::needs_keepers(&budget) { self.keepers(&pods).await? } else { Vec::new() };
        let reference = object_reference(&*budget);
        let plan = plan::plan(&budget, &pods, &Expected { keepers }, self.clock.now());
        if let Some(status) = plan.status {
            let budgets: Api<PodDisruptionBudget> = Api::namespaced(self.client.clone(), &key.namespace);
            let changed = PodDisruptionBudget { status: Some(status), ..(*budget).clone() };
            let written = budgets.replace_status(&key.name, &PostParams::default(), &changed).await;
            written.map_err(Error::during("writing the status"))?;
            for (kind, reason, message) in plan.events {
                self.events.event(&reference, kind, reason, message);
            }
        }
        Ok(plan.next)
    }
}

impl Disruption {
    /// Whoever looks after the Pods, each once.
    async fn keepers(&self, pods: &[Arc<PodFacts>]) -> Result<Vec<Keeper>, Error> {
        let mut keepers = BTreeMap::new();
        let mut unmanaged = Vec::new();
        for pod in pods {
            let Some(controller) = &pod.controller else {
                unmanaged.push(Keeper::Nobody);
                continue;
            };
            if !keepers.contains_key(&controller.uid) {
                let keeper = self.keeper(pod.namespace(), controller).await?;
                keepers.insert(keeper.uid().unwrap_or(&controller.uid).to_owned(), keeper.clone());
                keepers.insert(controller.uid.clone(), keeper);
            }
        }
        // A Deployment stands there for each of its ReplicaSets, but counts once.
        let mut seen = std::collections::BTreeSet::new();
        let once = keepers.into_values().filter(|keeper| seen.insert(keeper.uid().map(str::to_owned)));
        Ok(once.chain(unmanaged).collect())
    }

    async fn keeper(&self, namespace: &str, controller: &OwnerReference) -> Result<Keeper, Error> {
        let key = ObjectKey::new(namespace, &controller.name);
        let scale = |uid: &str, replicas: Option<i32>| Keeper::Scale(uid.to_owned(), replicas.unwrap_or(1));
        if is_of_kind::<ReplicationController>(controller) {
            let found = self.controllers.get(&key).and_then(|found| found.spec.clone());
            return Ok(found.map_or(Keeper::Nobody, |spec| scale(&controller.uid, spec.replicas)));
        }
        if is_of_kind::<ReplicaSet>(controller) {
            let Some(set) = self.sets.get(&key) else { return Ok(Keeper::Nobody) };
            let owner = ownership::controller_of(set.metadata.owner_references.as_deref());
            let owner = owner.filter(|owner| is_of_kind::<Deployment>(owner));
            let deployment = owner.and_then(|owner| self.deployments.get(&ObjectKey::new(namespace, &owner.name)));
            if let (Some(owner), Some(found)) = (owner, deployment) {
                return Ok(scale(&owner.uid, found.spec.as_ref().and_then(|spec| spec.replicas)));
            }
            return Ok(scale(&controller.uid, set.spec.as_ref().and_then(|spec| spec.replicas)));
        }
        self.scale(namespace, controller).await
    }

    /// Any other kind tells its scale, if it has one.
    async fn scale(&self, namespace: &str, controller: &OwnerReference) -> Result<Keeper, Error> {
        let Some(kind) = self.kinds.named(&controller.api_version, &controller.kind) else {
            return Ok(Keeper::Unscalable(format!("{}.{}", controller.kind, controller.api_version)));
        };
        let collection = kube::core::DynamicObject::url_path(&kind.api, Some(namespace));
        let path = format!("{collection}/{}/scale", controller.name);
        match self.client.request::<Scale>(get(&path)).await {
            Ok(found) => {
                let replicas = found.spec.and_then(|spec| spec.replicas).unwrap_or(0);
                Ok(Keeper::Scale(controller.uid.clone(), replicas))
            }
            Err(error) if is_not_found(&error) => Ok(Keeper::Unscalable(kind.group_resource())),
            Err(error) => Err(Error::during("asking for a scale")(error)),
        }
    }
}

fn get(path: &str) -> http::Request<Vec<u8>> {
    let mut request = http::Request::new(Vec::new());
    // The path is made of names the server gave us.
    *request.uri_mut() = path.parse().unwrap_or_default();
    request
}
