//! Making, deleting, taking in and letting go of Pods for whoever looks after them, and telling of it.

use std::future::Future;
use std::hash::Hash;
use std::sync::Arc;

use api::labels::Selector;
use client::reflector::Reflected;
use client::{Client, EventRecorder, EventType, is_not_found};
use futures::future::join_all;
use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::api::core::v1::{ObjectReference, Pod, PodTemplateSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference};
use kube::api::{DeleteParams, Patch, PatchParams, PostParams, Preconditions};
use kube::{Api, Resource};

use crate::in_flight::InFlight;
use crate::ownership::{self, Claim, Owner};
use crate::pod_facts::PodFacts;
use crate::runtime::Error;
use crate::watches::PodIndex;

/// At most so many Pods are made or deleted in one pass.
pub const BURST: usize = 500;
/// The cause of a refusal in a namespace that is being deleted.
const NAMESPACE_TERMINATING: &str = "NamespaceTerminating";

/// The hands of one controller.
#[derive(Clone)]
pub struct PodControl {
    client: Client,
    events: EventRecorder,
}

impl PodControl {
    /// Speaks with this client and reports as this component.
    pub fn new(client: Client, events: EventRecorder) -> Self {
        Self { client, events }
    }

    /// Makes a Pod for `owner`. Returns what the server keeps of its metadata.
    ///
    /// # Errors
    /// When the server refuses; told as an Event, unless the namespace is on its way out.
    pub async fn create(&self, owner: &ObjectReference, pod: &Pod) -> Result<ObjectMeta, kube::Error> {
        match self.pods(owner).create(&PostParams::default(), pod).await {
            Ok(made) => {
                let name = made.metadata.name.as_deref().unwrap_or_default();
                self.events.event(owner, EventType::Normal, "SuccessfulCreate", format!("Created pod: {name}"));
                Ok(made.metadata)
            }
            Err(error) => {
                if !is_namespace_terminating(&error) {
                    let message = format!("Error creating: {}", message_of(&error));
                    self.events.event(owner, EventType::Warning, "FailedCreate", message);
                }
                Err(error)
            }
        }
    }

    /// The same, noted as in flight; in a namespace that is on its way out, nothing is made and that is fine.
    ///
    /// # Errors
    /// As [`create`](Self::create).
    pub async fn create_noted<K: Clone + Eq + Hash>(
        &self,
        owner: &ObjectReference,
        pod: &Pod,
        in_flight: &InFlight<K>,
        key: &K,
    ) -> Result<(), kube::Error> {
        match self.create(owner, pod).await {
            Ok(metadata) => in_flight.wrote(key, &metadata),
            Err(error) if is_namespace_terminating(&error) => {}
            Err(error) => return Err(error),
        }
        Ok(())
    }

    /// Deletes a Pod for `owner`; one that is gone already is fine.
    ///
    /// # Errors
    /// When the server refuses; told as an Event.
    pub async fn delete(&self, owner: &ObjectReference, pod: &PodFacts) -> Result<(), kube::Error> {
        let precondition = Preconditions { uid: Some(pod.uid.clone()), ..Preconditions::default() };
        let parameters = DeleteParams { preconditions: Some(precondition), ..DeleteParams::default() };
        match self.pods(owner).delete(pod.name(), &parameters).await {
            Ok(_) => {
                let message = format!("Deleted pod: {}", pod.name());
                self.events.event(owner, EventType::Normal, "SuccessfulDelete", message);
                Ok(())
            }
            Err(error) if is_not_found(&error) => Ok(()),
            Err(error) => {
                let message = format!("Error deleting: {}", message_of(&error));
                self.events.event(owner, EventType::Warning, "FailedDelete", message);
                Err(error)
            }
        }
    }

    /// The Pods that are the owner's, after taking in and letting go; `finalizers` hold them while they are. Only
    /// candidates are looked at. Before a Pod is taken in, the API confirms that the owner is still there.
    ///
    /// # Errors
    /// When the server refuses for another reason than that a Pod is gone or another one.
    pub async fn claim<K>(
        &self,
        owner: &K,
        selector: &Selector,
        pods: &PodIndex,
        finalizers: &[&str],
        is_candidate: impl Fn(&PodFacts) -> bool + Send,
    ) -> Result<Vec<Arc<PodFacts>>, Error>
    where
        K: Reflected + Resource<DynamicType = (), Scope = NamespaceResourceScope>,
    {
        let metadata = owner.meta();
        let uid = metadata.uid.as_deref().unwrap_or_default();
        let claimer = Owner { uid, selector, is_deleting: metadata.deletion_timestamp.is_some() };
        let free = pods.free.of(metadata.namespace.as_deref().unwrap_or_default());
        let candidates: Vec<_> = pods.by_controller.of(uid).into_iter().chain(free).collect();
        let reference = ownership::controller_reference(owner);
        let (mut claimed, mut confirmed) = (Vec::new(), false);
        for pod in candidates.into_iter().filter(|pod| is_candidate(pod)) {
            let claim = ownership::claim(claimer, pod.controller.as_ref(), &pod.labels, pod.deleted_at.is_some());
            if claim == Claim::Adopt && !confirmed {
                if !self.is_still_there(owner).await? {
                    continue;
                }
                confirmed = true;
            }
            if self.settle(&reference, &pod, claim, finalizers).await? {
                claimed.push(pod);
            }
        }
        Ok(claimed)
    }

    /// Our copy may be behind; before a Pod is taken in, the API decides.
    async fn is_still_there<K>(&self, owner: &K) -> Result<bool, Error>
    where
        K: Reflected + Resource<DynamicType = (), Scope = NamespaceResourceScope>,
    {
        let metadata = owner.meta();
        let api: Api<K> = Api::namespaced(self.client.clone(), metadata.namespace.as_deref().unwrap_or_default());
        let fresh = api.get_opt(metadata.name.as_deref().unwrap_or_default()).await;
        let fresh = fresh.map_err(Error::during("looking whether the owner is still there"))?;
        Ok(fresh.is_some_and(|fresh| fresh.meta().uid == metadata.uid && fresh.meta().deletion_timestamp.is_none()))
    }

    /// Carries out a claim on a Pod; `finalizers` hold it while it is the owner's. Returns whether the Pod is the
    /// owner's now.
    ///
    /// # Errors
    /// When the server refuses for another reason than that the Pod is gone or another one.
    async fn settle(
        &self,
        owner: &OwnerReference,
        pod: &PodFacts,
        claim: Claim,
        finalizers: &[&str],
    ) -> Result<bool, Error> {
        let (patch, kept) = match claim {
            Claim::Keep => return Ok(true),
            Claim::Ignore => return Ok(false),
            Claim::Adopt => (ownership::adoption(owner, &pod.uid, finalizers), true),
            Claim::Release => (ownership::release(&owner.uid, &pod.uid, finalizers), false),
        };
        let pods: Api<Pod> = Api::namespaced(self.client.clone(), pod.namespace());
        match pods.patch(pod.name(), &PatchParams::default(), &Patch::Strategic(patch)).await {
            Ok(_) => Ok(kept),
            Err(error) if is_not_found(&error) || is_invalid(&error) => Ok(false),
            Err(error) => Err(Error::during("changing the Pod's owner")(error)),
        }
    }

    fn pods(&self, owner: &ObjectReference) -> Api<Pod> {
        Api::namespaced(self.client.clone(), owner.namespace.as_deref().unwrap_or_default())
    }
}

fn is_invalid(error: &kube::Error) -> bool {
    matches!(error, kube::Error::Api(status) if status.code == 422)
}

/// Whether the server refused because the namespace is being deleted: nothing to tell, and nothing to try again.
pub fn is_namespace_terminating(error: &kube::Error) -> bool {
    let kube::Error::Api(status) = error else { return false };
    let causes = status.details.iter().flat_map(|details| &details.causes);
    causes.into_iter().any(|cause| cause.reason == NAMESPACE_TERMINATING)
}

/// What the server said, as users know it.
pub fn message_of(error: &kube::Error) -> String {
    match error {
        kube::Error::Api(status) => status.message.clone(),
        other => other.to_string(),
    }
}

/// A Pod from a template, with a generated name.
pub fn pod_from_template(owner_name: &str, template: &PodTemplateSpec, owner: OwnerReference) -> Pod {
    let prefix = format!("{owner_name}-");
    let usable = api::names::subdomain_name(&prefix, true).is_empty();
    let metadata = template.metadata.clone().unwrap_or_default();
    Pod {
        metadata: ObjectMeta {
            generate_name: Some(if usable { prefix } else { owner_name.to_owned() }),
            labels: metadata.labels,
            annotations: metadata.annotations,
            finalizers: metadata.finalizers,
            owner_references: Some(vec![owner]),
            ..ObjectMeta::default()
        },
        spec: template.spec.clone(),
        status: None,
    }
}

/// Does something `count` times, in batches that double as long as all goes well, so that a refusal that would befall
/// all of them is heard once. Returns the first failure; the batches after it are not tried.
pub async fn slow_start<F>(count: usize, act: impl Fn(usize) -> F) -> Result<(), kube::Error>
where
    F: Future<Output = Result<(), kube::Error>>,
{
    let (mut done, mut batch) = (0, 1);
    while done < count {
        let size = batch.min(count - done);
        let results = join_all((done..done + size).map(&act)).await;
        results.into_iter().collect::<Result<(), _>>()?;
        done += size;
        batch *= 2;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use super::*;

    #[tokio::test]
    async fn batches_double_until_one_fails() {
        let tried = RefCell::new(Vec::new());
        let refuse_from = |limit: usize| {
            let tried = &tried;
            move |n: usize| async move {
                tried.borrow_mut().push(n);
                if n < limit { Ok(()) } else { Err(kube::Error::LinesCodecMaxLineLengthExceeded) }
            }
        };
        assert!(slow_start(10, refuse_from(10)).await.is_ok());
        assert_eq!(tried.take(), (0..10).collect::<Vec<_>>());
        assert!(slow_start(100, refuse_from(0)).await.is_err());
        assert_eq!(tried.take(), [0]);
        assert!(slow_start(100, refuse_from(2)).await.is_err());
        assert_eq!(tried.take(), [0, 1, 2]);
    }

    #[test]
    fn pods_are_named_after_their_owner() {
        let name = |owner: &str| {
            let pod = pod_from_template(owner, &PodTemplateSpec::default(), OwnerReference::default());
            pod.metadata.generate_name.unwrap()
        };
        assert_eq!(name("web"), "web-");
        let longest = "a".repeat(253);
        assert_eq!(name(&longest), longest);
    }
}
