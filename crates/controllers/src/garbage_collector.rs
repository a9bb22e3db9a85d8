//! Objects go when all their owners are gone.
//!
//! **Flow**: the [`graph`] mirrors who owns what. An object is looked at when it appears, when its owners change, and
//! when an owner disappears or is deleted in the foreground. The [`plan`] decides, from the graph and from what the API
//! says about owners the graph does not show.
//!
//! **Guarantees**: nothing is deleted on the word of the graph alone, which may be behind: an owner counts as gone only
//! when the API shows that nothing with its uid is there. An owner of a kind the server does not know keeps its
//! dependents.

mod graph;
mod plan;
#[cfg(test)]
mod tests;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use client::{Change, Client, EventRecorder, EventType, WorkQueue, is_not_found};
use futures::future::try_join_all;
use k8s_openapi::api::core::v1::ObjectReference;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use kube::Api;
use kube::api::{DeleteParams, Patch, PatchParams, Preconditions, PropagationPolicy};
use serde_json::json;

use crate::assembly::{Controllers, Wiring};
use crate::objects::{AnyMetadata, Kinds, Member};
use crate::runtime::{Error, Next, Reconcile};
use graph::{Graph, Uid};
use plan::{Action, OwnerState, Propagation};

/// Keys are uids.
struct GarbageCollector {
    client: Client,
    events: EventRecorder,
    kinds: Kinds,
    graph: Arc<Mutex<Graph>>,
    queue: WorkQueue<Uid>,
}

/// Starts the controller.
pub fn start(controllers: &mut Controllers) {
    let mut wiring = Wiring::new();
    wiring.waits_for(controllers.objects.synced());
    let graph = Arc::new(Mutex::new(Graph::default()));
    let (wake, shared) = (wiring.queue(), Arc::clone(&graph));
    controllers.objects.subscribe(move |change| {
        let woken = {
            let mut graph = lock(&shared);
            match change {
                Change::Added(member) => graph.set(member),
                Change::Updated { old, new } if old.uid != new.uid => {
                    let mut woken = graph.remove(&old.uid);
                    woken.extend(graph.set(new));
                    woken
                }
                Change::Updated { new, .. } => graph.set(new),
                Change::Deleted(member) => graph.remove(&member.uid),
                Change::Synced => Vec::new(),
            }
        };
        woken.into_iter().for_each(|uid| wake.add(uid));
    });
    let (client, kinds) = (controllers.client_of("generic-garbage-collector"), controllers.objects.kinds());
    let events = controllers.events("garbage-collector-controller");
    controllers.add(GarbageCollector { client, events, kinds, graph, queue: wiring.queue() }, wiring, 4);
}

fn lock(graph: &Mutex<Graph>) -> MutexGuard<'_, Graph> {
    // The graph is whole between any two of its methods.
    graph.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Reconcile for GarbageCollector {
    type Key = Uid;
    const NAME: &'static str = "garbage collector";

    async fn reconcile(&self, uid: &Uid) -> Result<Next, Error> {
        let Some(member) = lock(&self.graph).member(uid) else { return Ok(Next::OnWakeUp) };
        if member.is_deleting {
            return self.finish_deletion(&member).await;
        }
        if member.owners.is_empty() {
            return Ok(Next::OnWakeUp);
        }
        let mut states = Vec::with_capacity(member.owners.len());
        for owner in &member.owners {
            states.push(self.owner_state(&member, owner).await?);
        }
        let dependents = lock(&self.graph).dependents(uid);
        match plan::plan(&member, &states, &dependents) {
            Action::Nothing => {}
            Action::Delete(propagation) => self.delete(&member, propagation).await?,
            Action::BreakCycle(owners) => {
                self.set_owners(&member, &owners).await?;
                self.delete(&member, Propagation::Foreground).await?;
            }
            Action::KeepOwners(owners) => self.set_owners(&member, &owners).await?,
        }
        Ok(Next::OnWakeUp)
    }
}

impl GarbageCollector {
    fn api(&self, member: &Member) -> Api<AnyMetadata> {
        member.kind.in_namespace(&self.client, &member.key.namespace)
    }

    async fn owner_state(&self, member: &Member, owner: &OwnerReference) -> Result<OwnerState, Error> {
        if let Some(state) = lock(&self.graph).owner_state(member, owner) {
            return Ok(state);
        }
        if lock(&self.graph).is_owner_elsewhere(member, owner) {
            self.tell_of_owner_elsewhere(member, owner);
        }
        let Some(kind) = self.kinds.named(&owner.api_version, &owner.kind) else { return Ok(OwnerState::Present) };
        // What is in no namespace can't be owned by what is in one: there is nowhere to look for that.
        if kind.namespaced && member.key.namespace.is_empty() {
            return Ok(OwnerState::Present);
        }
        let api = kind.in_namespace(&self.client, &member.key.namespace);
        let present = api.get_opt(&owner.name).await.map_err(Error::during("looking for the owner"))?;
        Ok(match present {
            Some(object) if object.metadata.uid.as_deref() == Some(owner.uid.as_str()) => {
                let finalizers = object.metadata.finalizers.unwrap_or_default();
                plan::state_of_present(object.metadata.deletion_timestamp.is_some(), &finalizers)
            }
            _ => OwnerState::Absent,
        })
    }

    fn tell_of_owner_elsewhere(&self, member: &Member, owner: &OwnerReference) {
        let (namespace, api) = (&member.key.namespace, &member.kind.api);
        let reference = ObjectReference {
            api_version: Some(api.api_version.clone()),
            kind: Some(api.kind.clone()),
            namespace: Some(namespace.clone()).filter(|namespace| !namespace.is_empty()),
            name: Some(member.key.name.clone()),
            uid: Some(member.uid.to_string()),
            ..ObjectReference::default()
        };
        let OwnerReference { api_version, kind, name, uid, .. } = owner;
        let message = format!(
            "ownerRef [{api_version}/{kind}, namespace: {namespace}, name: {name}, uid: {uid}] does not exist in \
             namespace \"{namespace}\""
        );
        self.events.event(&reference, EventType::Warning, "OwnerRefInvalidNamespace", message);
    }

    async fn delete(&self, member: &Member, propagation: Propagation) -> Result<(), Error> {
        let policy = match propagation {
            Propagation::Background => PropagationPolicy::Background,
            Propagation::Foreground => PropagationPolicy::Foreground,
            Propagation::Orphan => PropagationPolicy::Orphan,
        };
        let precondition = Preconditions { uid: Some(member.uid.to_string()), ..Preconditions::default() };
        let parameters = DeleteParams {
            preconditions: Some(precondition),
            propagation_policy: Some(policy),
            ..DeleteParams::default()
        };
        match self.api(member).delete(&member.key.name, &parameters).await {
            Err(error) if !is_not_found(&error) => Err(Error::during("deleting an object without owners")(error)),
            _ => Ok(()),
        }
    }

    /// What holds a deleted object until its dependents are dealt with.
    async fn finish_deletion(&self, member: &Member) -> Result<Next, Error> {
        let has = |finalizer: &str| member.finalizers.iter().any(|present| present == finalizer);
        if has(plan::ORPHAN) {
            let dependents = lock(&self.graph).dependents(&member.uid);
            let freed = dependents.iter().map(|dependent| async {
                let owners = plan::without(&dependent.owners, &member.uid);
                self.set_owners(dependent, &owners).await
            });
            try_join_all(freed).await?;
            self.remove_finalizer(member, plan::ORPHAN).await?;
        } else if has(plan::FOREGROUND) {
            let dependents = lock(&self.graph).dependents(&member.uid);
            if dependents.iter().any(|dependent| plan::blocks(dependent, &member.uid)) {
                let undecided = dependents.iter().filter(|dependent| !plan::waits_in_foreground(dependent));
                undecided.for_each(|dependent| self.queue.add(Arc::clone(&dependent.uid)));
            } else {
                self.remove_finalizer(member, plan::FOREGROUND).await?;
            }
        }
        Ok(Next::OnWakeUp)
    }

    async fn set_owners(&self, member: &Member, owners: &[OwnerReference]) -> Result<(), Error> {
        self.change(member, |_| json!({ "ownerReferences": owners })).await
    }

    async fn remove_finalizer(&self, member: &Member, finalizer: &str) -> Result<(), Error> {
        self.change(member, |present| {
            let kept = present.metadata.finalizers.iter().flatten().filter(|present| *present != finalizer);
            json!({ "finalizers": kept.collect::<Vec<_>>() })
        })
        .await
    }

    /// Patches the metadata of the object as it is now, and of no other one.
    async fn change(&self, member: &Member, change: impl Fn(&AnyMetadata) -> serde_json::Value) -> Result<(), Error> {
        let api = self.api(member);
        let present = api.get_opt(&member.key.name).await.map_err(Error::during("reading an object"))?;
        let Some(present) = present.filter(|present| present.metadata.uid.as_deref() == Some(&*member.uid)) else {
            return Ok(());
        };
        let mut metadata = change(&present);
        metadata["resourceVersion"] = json!(present.metadata.resource_version);
        let patch = Patch::Merge(json!({ "metadata": metadata }));
        match api.patch_metadata(&member.key.name, &PatchParams::default(), &patch).await {
            Err(error) if !is_not_found(&error) => Err(Error::during("changing an object's metadata")(error)),
            _ => Ok(()),
        }
    }
}
