//! One ReplicaSet per template of a Deployment, and the way from one to the next.
//!
//! **Flow**: a Deployment is looked at when it changes, when a ReplicaSet of it changes and, where the old Pods have to
//! be gone first, when a Pod of it ends. The [`plan`] says which ReplicaSets to make, change and delete and what the
//! status becomes; this file carries it out.
//!
//! **Guarantees**: a pass never acts on a copy that does not show what the pass before it wrote.

mod history;
mod plan;
mod progress;
mod rolling;
mod scaling;
mod sets;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use client::{
    Change, Client, EventRecorder, EventType, Index, Lister, ObjectKey, is_already_exists, is_not_found,
    object_reference,
};
use k8s_openapi::api::apps::v1::{Deployment, ReplicaSet};
use kube::api::{DeleteParams, Patch, PatchParams, PostParams, Preconditions};
use kube::{Api, ResourceExt as _};
use platform::clock::SharedClock;

use crate::assembly::{Controllers, Wiring};
use crate::in_flight::InFlight;
use crate::ownership::{self, Claim, Owner};
use crate::pod_control::{is_namespace_terminating, message_of};
use crate::pod_facts::PodFacts;
use crate::runtime::{Error, Next, Reconcile};
use crate::watches::{OwnedIndex, PodIndex};
use plan::{Plan, Write};

/// Upstream's name of the controller.
const COMPONENT: &str = "deployment-controller";

/// Keys are the Deployments' names.
struct DeploymentController {
    client: Client,
    clock: SharedClock,
    events: EventRecorder,
    deployments: Lister<Deployment>,
    sets: Lister<ReplicaSet>,
    index: OwnedIndex<ReplicaSet>,
    pod_index: PodIndex,
    in_flight: InFlight<ObjectKey>,
}

/// Starts the controller.
pub fn start(controllers: &mut Controllers) {
    let mut wiring = Wiring::new();
    let events = controllers.events(COMPONENT);
    let watches = &mut controllers.watches;
    wiring.wakes(&mut watches.deployments, |change| change.object().map(|object| ObjectKey::of(&**object)));
    let (deployments, sets) = (wiring.reads(&watches.deployments), wiring.reads(&watches.replica_sets));
    wiring.reads(&watches.pods);
    let by_namespace = watches.deployment_index.by_namespace.clone();
    wiring.wakes(&mut watches.replica_sets, move |change| woken_by_set(change, &by_namespace));
    let (known, known_sets) = (deployments.clone(), sets.clone());
    wiring.wakes(&mut watches.pods, move |change| woken_by_pod(change, &known_sets, &known));
    let controller = DeploymentController {
        index: watches.replica_set_index.clone(),
        pod_index: watches.pod_index.clone(),
        client: controllers.client_of(COMPONENT),
        clock: controllers.clock.clone(),
        events,
        deployments,
        sets,
        in_flight: InFlight::default(),
    };
    controllers.add(controller, wiring, 5);
}

fn keeper(set: &ReplicaSet) -> Option<ObjectKey> {
    let owners = set.metadata.owner_references.as_deref();
    let controller = ownership::controller_of(owners).filter(|owner| ownership::is_of_kind::<Deployment>(owner))?;
    Some(ObjectKey::new(set.namespace().unwrap_or_default(), &controller.name))
}

fn woken_by_set(change: &Change<ReplicaSet>, deployments: &Index<Deployment>) -> Vec<ObjectKey> {
    let (old, new) = match change {
        Change::Added(new) => (None, Some(new)),
        Change::Updated { old, new } => (Some(old), Some(new)),
        Change::Deleted(old) => (Some(old), None),
        Change::Synced => return Vec::new(),
    };
    let mut woken: Vec<ObjectKey> = old.into_iter().chain(new).filter_map(|set| keeper(set)).collect();
    woken.dedup();
    let free = new.filter(|new| ownership::controller_uid(&new.metadata).is_none());
    let changed = |new: &&Arc<ReplicaSet>| {
        old.is_none_or(|old| {
            old.metadata.labels != new.metadata.labels || ownership::controller_uid(&old.metadata).is_some()
        })
    };
    if let Some(set) = free.filter(changed) {
        let all = deployments.of(&set.namespace().unwrap_or_default()).into_iter();
        let selecting = all.filter(|deployment| sets::selector(deployment).matches(Some(set.labels())));
        woken.extend(selecting.map(|deployment| ObjectKey::of(&*deployment)));
    }
    woken
}

/// Where old Pods have to be gone before new ones start, the end of one is news.
fn woken_by_pod(
    change: &Change<PodFacts>,
    sets: &Lister<ReplicaSet>,
    deployments: &Lister<Deployment>,
) -> Option<ObjectKey> {
    let pod = match change {
        Change::Deleted(pod) => pod,
        Change::Updated { old, new } if new.is_terminated() && !old.is_terminated() => new,
        _ => return None,
    };
    let controller = pod.controller.as_ref().filter(|owner| ownership::is_of_kind::<ReplicaSet>(owner))?;
    let key = keeper(&*sets.get(&ObjectKey::new(pod.namespace(), &controller.name))?)?;
    let deployment = deployments.get(&key)?;
    (!sets::is_rolling(&deployment)).then_some(key)
}

impl Reconcile for DeploymentController {
    type Key = ObjectKey;
    const NAME: &'static str = COMPONENT;

    async fn reconcile(&self, key: &ObjectKey) -> Result<Next, Error> {
        let Some(deployment) = self.deployments.get(key) else {
            self.in_flight.forget(key);
            return Ok(Next::OnWakeUp);
        };
        if let Some(wait) = self.in_flight.wait(key, &self.sets) {
            return Ok(Next::After(wait));
        }
        let sets = self.claim(&deployment).await?;
        let pods = |set: &ReplicaSet| self.pod_index.by_controller.of(set.metadata.uid.as_deref().unwrap_or_default());
        let plan = plan::plan(&deployment, &sets, &pods, self.clock.now());
        self.execute(key, &deployment, plan).await
    }
}

impl DeploymentController {
    /// The ReplicaSets that are the Deployment's, after taking in and letting go.
    async fn claim(&self, deployment: &Deployment) -> Result<Vec<ReplicaSet>, Error> {
        let (metadata, selector) = (&deployment.metadata, sets::selector(deployment));
        let uid = metadata.uid.as_deref().unwrap_or_default();
        let owner = Owner { uid, selector: &selector, is_deleting: metadata.deletion_timestamp.is_some() };
        let owned = self.index.by_controller.of(uid).into_iter();
        let all = self.index.by_namespace.of(metadata.namespace.as_deref().unwrap_or_default());
        let free = all.into_iter().filter(|set| ownership::controller_uid(&set.metadata).is_none());
        let mut claimed = Vec::new();
        for set in owned.chain(free) {
            let controller = ownership::controller_of(set.metadata.owner_references.as_deref());
            match ownership::claim(owner, controller, set.labels(), set.metadata.deletion_timestamp.is_some()) {
                Claim::Ignore => {}
                Claim::Keep => claimed.push((*set).clone()),
                Claim::Release => {
                    self.patch(&set, ownership::release(uid, &set.uid().unwrap_or_default(), &[])).await?
                }
                Claim::Adopt if self.still_wanted(deployment).await? => {
                    let reference = ownership::controller_reference(deployment);
                    let patch = ownership::adoption(&reference, &set.uid().unwrap_or_default(), &[]);
                    self.patch(&set, patch).await?;
                    claimed.push((*set).clone());
                }
                Claim::Adopt => {}
            }
        }
        Ok(claimed)
    }

    async fn patch(&self, set: &ReplicaSet, patch: serde_json::Value) -> Result<(), Error> {
        let api: Api<ReplicaSet> = Api::namespaced(self.client.clone(), &set.namespace().unwrap_or_default());
        match api.patch(&set.name_any(), &PatchParams::default(), &Patch::Strategic(patch)).await {
            Err(error) if !is_not_found(&error) => Err(Error::during("changing the ReplicaSet's owner")(error)),
            _ => Ok(()),
        }
    }

    /// Our copy may be behind; before a ReplicaSet is taken in, the API decides.
    async fn still_wanted(&self, deployment: &Deployment) -> Result<bool, Error> {
        let fresh = self.api(deployment).get_opt(&deployment.name_any()).await;
        let fresh = fresh.map_err(Error::during("looking whether the Deployment still wants the ReplicaSet"))?;
        Ok(fresh.is_some_and(|fresh| {
            fresh.metadata.uid == deployment.metadata.uid && fresh.metadata.deletion_timestamp.is_none()
        }))
    }

    fn api(&self, deployment: &Deployment) -> Api<Deployment> {
        Api::namespaced(self.client.clone(), &deployment.namespace().unwrap_or_default())
    }

    async fn execute(&self, key: &ObjectKey, deployment: &Deployment, plan: Plan) -> Result<Next, Error> {
        let reference = object_reference(deployment);
        let sets: Api<ReplicaSet> = Api::namespaced(self.client.clone(), &key.namespace);
        let tell = |message: String| self.events.event(&reference, EventType::Normal, "ScalingReplicaSet", message);
        for write in &plan.writes {
            match write {
                Write::Create(set) => match sets.create(&PostParams::default(), set).await {
                    Ok(made) => {
                        self.in_flight.wrote(key, &made.metadata);
                        let size = sets::replicas(&made);
                        if size > 0 {
                            tell(format!("Scaled up replica set {} from 0 to {size}", made.name_any()));
                        }
                    }
                    Err(error) => return self.create_failed(deployment, set, error).await,
                },
                Write::Update { set, before } => {
                    let written = sets.replace(&set.name_any(), &PostParams::default(), set).await;
                    let written = written.map_err(Error::during("changing a ReplicaSet"))?;
                    self.in_flight.wrote(key, &written.metadata);
                    let size = sets::replicas(&written);
                    if size != *before {
                        let way = if size > *before { "up" } else { "down" };
                        tell(format!("Scaled {way} replica set {} from {before} to {size}", written.name_any()));
                    }
                }
                Write::Delete(set) => {
                    let precondition = Preconditions { uid: set.uid(), ..Preconditions::default() };
                    let parameters = DeleteParams { preconditions: Some(precondition), ..DeleteParams::default() };
                    match sets.delete(&set.name_any(), &parameters).await {
                        Err(error) if !is_not_found(&error) => {
                            return Err(Error::during("deleting an old ReplicaSet")(error));
                        }
                        _ => {}
                    }
                }
            }
        }
        if let Some(changed) = plan.deployment {
            self.write_status(&changed).await?;
        }
        Ok(plan.next)
    }

    async fn write_status(&self, changed: &Deployment) -> Result<(), Error> {
        let written = self.api(changed).replace_status(&changed.name_any(), &PostParams::default(), changed).await;
        written.map(drop).map_err(Error::during("writing the status"))
    }

    /// The name may belong to another template by chance: the next one counts the collisions. Other failures are told.
    async fn create_failed(
        &self,
        deployment: &Deployment,
        set: &ReplicaSet,
        error: kube::Error,
    ) -> Result<Next, Error> {
        let failed = Error::during("making a ReplicaSet");
        if is_already_exists(&error) {
            let sets: Api<ReplicaSet> = Api::namespaced(self.client.clone(), &set.namespace().unwrap_or_default());
            let present = sets.get_opt(&set.name_any()).await;
            let present = present.map_err(Error::during("looking at the ReplicaSet of the same name"))?;
            if present.is_some_and(|present| !sets::is_made_by(&present, deployment)) {
                self.write_status(&plan::collided(deployment)).await?;
            }
        } else if !is_namespace_terminating(&error) {
            let message = format!("Failed to create new replica set \"{}\": {}", set.name_any(), message_of(&error));
            let reference = object_reference(deployment);
            self.events.event(&reference, EventType::Warning, progress::CREATE_ERROR, message.clone());
            if let Some(changed) = progress::create_failed(deployment, message, self.clock.now()) {
                self.write_status(&changed).await?;
            }
        }
        Err(failed(error))
    }
}
