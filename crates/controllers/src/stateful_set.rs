//! Pods with names that stay, each with its own claims.
//!
//! **Flow**: a StatefulSet is looked at when it changes, when a Pod of it changes, and when a claim of one of its Pods is
//! gone. A pass makes sure that the template has its revision, plans ([`plan`]: the acts in order, up to the first that
//! others have to wait for), carries that out and writes the status.
//!
//! **Guarantees**: a pass never acts on copies that do not show what the pass before it wrote. With ordered Pods, one is
//! made, replaced or removed only while all that come before it are available.

mod claims;
mod plan;
mod pods;
mod status;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use client::{
    Change, Client, EventRecorder, EventType, Index, Lister, ObjectKey, is_already_exists, is_not_found,
    object_reference,
};
use futures::future::join_all;
use k8s_openapi::api::apps::v1::{ControllerRevision, StatefulSet, StatefulSetStatus};
use k8s_openapi::api::core::v1::{ObjectReference, PersistentVolumeClaim, Pod};
use kube::api::{DeleteParams, Patch, PatchParams, PostParams, Preconditions};
use kube::{Api, ResourceExt as _};
use platform::clock::SharedClock;
use serde_json::json;

use crate::assembly::{Controllers, Wiring};
use crate::in_flight::InFlight;
use crate::pod_control::{PodControl, is_namespace_terminating, message_of};
use crate::pod_facts::PodFacts;
use crate::revisions::{self, POD_LABEL, Revised, RevisedSpec, Revisions, Settled};
use crate::runtime::{Error, Next, Reconcile};
use crate::wake;
use crate::watches::PodIndex;
use plan::{Act, Templates, View};

/// Upstream's name of the controller.
const COMPONENT: &str = "statefulset-controller";

impl Revised for StatefulSet {
    const HASH_LABEL: &'static str = "controller.kubernetes.io/hash";

    fn revised(&self) -> Option<RevisedSpec<'_>> {
        let spec = self.spec.as_ref()?;
        Some(RevisedSpec {
            template: &spec.template,
            selector: &spec.selector,
            history_limit: spec.revision_history_limit,
        })
    }

    fn collisions(&self) -> Option<i32> {
        // Upstream always tells a number here.
        self.status.as_ref().and_then(|status| status.collision_count).or(Some(0))
    }
}

/// Keys are the StatefulSets' names.
struct StatefulSets {
    client: Client,
    clock: SharedClock,
    control: PodControl,
    events: EventRecorder,
    sets: Lister<StatefulSet>,
    pods: Lister<PodFacts>,
    pod_index: PodIndex,
    claims: Lister<PersistentVolumeClaim>,
    revision_copy: Lister<ControllerRevision>,
    revisions: Revisions,
    pods_in_flight: InFlight<ObjectKey>,
    claims_in_flight: InFlight<ObjectKey>,
    sets_in_flight: InFlight<ObjectKey>,
}

/// Starts the controller.
pub fn start(controllers: &mut Controllers) {
    let mut wiring = Wiring::new();
    let (events, client) = (controllers.events(COMPONENT), controllers.client_of(COMPONENT));
    let watches = &mut controllers.watches;
    wiring.wakes(&mut watches.stateful_sets, |change| change.object().map(|set| ObjectKey::of(&**set)));
    let by_namespace = watches.stateful_set_index.by_namespace.clone();
    wiring.wakes(&mut watches.pods, move |change| wake::by_pod(change, &by_namespace, StatefulSet::selector));
    let by_namespace = watches.stateful_set_index.by_namespace.clone();
    wiring.wakes(&mut watches.claims, move |change| woken_by_claim(change, &by_namespace));
    let controller = StatefulSets {
        sets: wiring.reads(&watches.stateful_sets),
        pods: wiring.reads(&watches.pods),
        claims: wiring.reads(&watches.claims),
        revision_copy: wiring.reads(&watches.revisions),
        pod_index: watches.pod_index.clone(),
        revisions: Revisions::new(client.clone(), watches.revision_index.clone()),
        clock: controllers.clock.clone(),
        control: PodControl::new(client.clone(), events.clone()),
        client,
        events,
        pods_in_flight: InFlight::default(),
        claims_in_flight: InFlight::default(),
        sets_in_flight: InFlight::default(),
    };
    controllers.add(controller, wiring, 5);
}

/// A claim that is gone makes room for a new one, and one that follows its Pod lets that go.
fn woken_by_claim(change: &Change<PersistentVolumeClaim>, sets: &Index<StatefulSet>) -> Vec<ObjectKey> {
    let claim = match change {
        Change::Deleted(claim) => claim,
        Change::Updated { old, new } if old.metadata.owner_references != new.metadata.owner_references => new,
        _ => return Vec::new(),
    };
    let all = sets.of(&claim.namespace().unwrap_or_default()).into_iter();
    all.filter(|set| claims::is_of(set, &claim.name_any())).map(|set| ObjectKey::of(&*set)).collect()
}

impl Reconcile for StatefulSets {
    type Key = ObjectKey;
    const NAME: &'static str = COMPONENT;

    async fn reconcile(&self, key: &ObjectKey) -> Result<Next, Error> {
        let Some(set) = self.sets.get(key) else {
            for in_flight in [&self.pods_in_flight, &self.claims_in_flight, &self.sets_in_flight] {
                in_flight.forget(key);
            }
            self.revisions.in_flight.forget(key);
            return Ok(Next::OnWakeUp);
        };
        let unseen = self.pods_in_flight.wait(key, &self.pods).or_else(|| self.sets_in_flight.wait(key, &self.sets));
        let unseen = unseen.or_else(|| self.claims_in_flight.wait(key, &self.claims));
        if let Some(wait) = unseen.or_else(|| self.revisions.in_flight.wait(key, &self.revision_copy)) {
            return Ok(Next::After(wait));
        }
        let now = self.clock.now();
        let name = set.name_any();
        let is_member = |pod: &PodFacts| pods::ordinal(&name, pod.name()).is_some();
        let pods = self.control.claim(&*set, &set.selector(), &self.pod_index, &[], is_member).await?;
        let pods = self.pods_in_flight.as_will_be(key, pods, now);
        let settled = self.revisions.settle(&*set).await?;
        let templates = templates(&set, &settled);
        let claim = |name: &str| self.claims.get(&ObjectKey::new(&key.namespace, name));
        let view = View { set: &set, templates: &templates, pods: &pods, claim: &claim, now };
        let plan = plan::plan(&view);
        let done = self.execute(key, &set, &plan.acts).await;
        let status = StatefulSetStatus { collision_count: settled.collisions, ..status::status(&view) };
        let kept = [status.current_revision.as_deref(), status.update_revision.as_deref()];
        let is_live = |one: &ControllerRevision| {
            let name = one.metadata.name.as_deref();
            kept.contains(&name) || pods.iter().any(|pod| pod.labels.get(POD_LABEL).map(String::as_str) == name)
        };
        self.revisions.delete(&revisions::outdated(&*set, &settled.others, is_live)).await?;
        self.write_status(key, &set, status).await?;
        done?;
        Ok(plan.next)
    }
}

/// The template Pods have and the one they are to have.
fn templates(set: &StatefulSet, settled: &Settled) -> Templates {
    let current = set.status.as_ref().and_then(|status| status.current_revision.as_deref());
    let current = settled.others.iter().find(|one| one.metadata.name.as_deref() == current);
    let update = (settled.current.name_any(), set.template());
    let current = current.and_then(|one| Some((one.name_any(), revisions::template_of(one)?)));
    Templates { current: current.unwrap_or_else(|| update.clone()), update }
}

impl StatefulSets {
    async fn execute(&self, key: &ObjectKey, set: &StatefulSet, acts: &[Act]) -> Result<(), Error> {
        let reference = object_reference(set);
        let results = join_all(acts.iter().map(|act| self.act(key, &reference, act))).await;
        results.into_iter().collect()
    }

    async fn act(&self, key: &ObjectKey, set: &ObjectReference, act: &Act) -> Result<(), Error> {
        match act {
            Act::Create { pod, claims } => {
                for claim in claims {
                    self.create_claim(key, set, &pod.name_any(), claim).await?;
                }
                self.create(key, set, pod).await
            }
            Act::Furnish { pod, claims } => {
                for claim in claims {
                    self.create_claim(key, set, pod, claim).await?;
                }
                Ok(())
            }
            Act::Delete { pod, reason } => {
                if let Some((kind, reason, message)) = reason {
                    self.events.event(set, *kind, reason, message.clone());
                }
                self.delete(key, set, pod).await
            }
            Act::Name { pod, labels } => {
                let pods: Api<Pod> = Api::namespaced(self.client.clone(), &key.namespace);
                let patch = Patch::Strategic(json!({ "metadata": { "uid": pod.uid, "labels": labels } }));
                let written = pods.patch(pod.name(), &PatchParams::default(), &patch).await;
                self.tell(set, "update", pod.name(), written.as_ref().err());
                written.map(drop).map_err(Error::during("labelling a Pod"))
            }
            Act::Bequeath(claim) => {
                let claims: Api<PersistentVolumeClaim> = Api::namespaced(self.client.clone(), &key.namespace);
                let written = claims.replace(&claim.name_any(), &PostParams::default(), claim).await;
                let written = written.map_err(Error::during("changing a claim's owners"))?;
                self.claims_in_flight.wrote(key, &written.metadata);
                Ok(())
            }
        }
    }

    async fn create(&self, key: &ObjectKey, set: &ObjectReference, pod: &Pod) -> Result<(), Error> {
        let pods: Api<Pod> = Api::namespaced(self.client.clone(), &key.namespace);
        match pods.create(&PostParams::default(), pod).await {
            Ok(made) => {
                self.pods_in_flight.wrote(key, &made.metadata);
                self.tell(set, "create", &pod.name_any(), None);
                Ok(())
            }
            Err(error) if is_namespace_terminating(&error) => Ok(()),
            Err(error) => {
                if !is_already_exists(&error) {
                    self.tell(set, "create", &pod.name_any(), Some(&error));
                }
                Err(Error::during("making a Pod")(error))
            }
        }
    }

    async fn create_claim(
        &self,
        key: &ObjectKey,
        set: &ObjectReference,
        pod: &str,
        claim: &PersistentVolumeClaim,
    ) -> Result<(), Error> {
        let claims: Api<PersistentVolumeClaim> = Api::namespaced(self.client.clone(), &key.namespace);
        let (name, of) = (claim.name_any(), set.name.as_deref().unwrap_or_default());
        match claims.create(&PostParams::default(), claim).await {
            Ok(made) => {
                self.claims_in_flight.wrote(key, &made.metadata);
                let message = format!("create Claim {name} Pod {pod} in StatefulSet {of} success");
                self.events.event(set, EventType::Normal, "SuccessfulCreate", message);
                Ok(())
            }
            Err(error) if is_already_exists(&error) => Ok(()),
            Err(error) => {
                let told = message_of(&error);
                let message = format!("create Claim {name} for Pod {pod} in StatefulSet {of} failed error: {told}");
                self.events.event(set, EventType::Warning, "FailedCreate", message);
                Err(Error::during("making a claim")(error))
            }
        }
    }

    async fn delete(&self, key: &ObjectKey, set: &ObjectReference, pod: &PodFacts) -> Result<(), Error> {
        let precondition = Preconditions { uid: Some(pod.uid.clone()), ..Preconditions::default() };
        let parameters = DeleteParams { preconditions: Some(precondition), ..DeleteParams::default() };
        let pods: Api<Pod> = Api::namespaced(self.client.clone(), &key.namespace);
        match pods.delete(pod.name(), &parameters).await {
            Err(error) if !is_not_found(&error) => {
                self.tell(set, "delete", pod.name(), Some(&error));
                Err(Error::during("deleting a Pod")(error))
            }
            _ => {
                self.pods_in_flight.deleted(key, &pod.uid);
                self.tell(set, "delete", pod.name(), None);
                Ok(())
            }
        }
    }

    /// What became of a Pod.
    fn tell(&self, set: &ObjectReference, verb: &str, pod: &str, error: Option<&kube::Error>) {
        let what = match verb {
            "create" => ("SuccessfulCreate", "FailedCreate"),
            "delete" => ("SuccessfulDelete", "FailedDelete"),
            _ => ("SuccessfulUpdate", "FailedUpdate"),
        };
        let of = set.name.as_deref().unwrap_or_default();
        let act = format!("{verb} Pod {pod} in StatefulSet {of}");
        match error {
            None => self.events.event(set, EventType::Normal, what.0, format!("{act} successful")),
            Some(error) => {
                let message = format!("{act} failed error: {}", message_of(error));
                self.events.event(set, EventType::Warning, what.1, message);
            }
        }
    }

    async fn write_status(&self, key: &ObjectKey, set: &StatefulSet, status: StatefulSetStatus) -> Result<(), Error> {
        if !status::differs(set.status.as_ref(), &status) {
            return Ok(());
        }
        let conditions = set.status.as_ref().and_then(|status| status.conditions.clone());
        let changed = StatefulSet { status: Some(StatefulSetStatus { conditions, ..status }), ..set.clone() };
        let sets: Api<StatefulSet> = Api::namespaced(self.client.clone(), &key.namespace);
        let written = sets.replace_status(&key.name, &PostParams::default(), &changed).await;
        let written = written.map_err(Error::during("writing the status"))?;
        self.sets_in_flight.wrote(key, &written.metadata);
        Ok(())
    }
}

/// A Pod as the controller sees it.
type Facts = Arc<PodFacts>;
