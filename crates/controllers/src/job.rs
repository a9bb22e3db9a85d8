//! Jobs: as many Pods as have to succeed, and a count of those that did that is never wrong.
//!
//! **Flow**: a Job is looked at when it changes, when a Pod of it changes, at its deadline and when its back-off ends.
//! The [`plan`] judges; this file makes and deletes Pods, writes the status, and then lets go of Pods whose end the
//! status holds ([`accounting`]).
//!
//! **Guarantees**: a pass never acts on copies that do not show what the pass before it wrote, and a status is only
//! written over the one it was computed from. A Pod whose Job is gone is let go.

mod accounting;
mod failure_policy;
mod indexes;
mod plan;
mod pods;
mod sizing;
#[cfg(test)]
mod tests;
mod verdict;

use std::fmt;

use api::labels::Selector;
use client::{Change, Client, EventRecorder, Index, Lister, ObjectKey, is_not_found, object_reference};
use futures::future::join_all;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::Pod;
use kube::api::{Patch, PatchParams, PostParams};
use kube::{Api, ResourceExt as _};
use platform::clock::SharedClock;
use serde_json::json;

use crate::assembly::{Controllers, Wiring};
use crate::in_flight::InFlight;
use crate::ownership;
use crate::pod_control::{self, PodControl};
use crate::pod_facts::PodFacts;
use crate::runtime::{Error, Next, Reconcile};
use crate::wake;
use crate::watches::PodIndex;
use plan::Plan;
use pods::{NewPod, TRACKING};
use sizing::Sizing;
pub use verdict::finished;

/// Upstream's name of the controller.
const COMPONENT: &str = "job-controller";
/// Who manages a Job that names nobody.
const MANAGER: &str = "kubernetes.io/job-controller";

/// What to look at.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Key {
    Job(ObjectKey),
    /// A Pod that waits to be counted by a Job that may be gone.
    Orphan(ObjectKey),
}

impl fmt::Display for Key {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Job(key) => key.fmt(formatter),
            Self::Orphan(key) => write!(formatter, "Pod {key}"),
        }
    }
}

struct JobController {
    client: Client,
    clock: SharedClock,
    control: PodControl,
    events: EventRecorder,
    jobs: Lister<Job>,
    pods: Lister<PodFacts>,
    pod_index: PodIndex,
    pods_in_flight: InFlight<ObjectKey>,
    jobs_in_flight: InFlight<ObjectKey>,
}

/// Starts the controller.
pub fn start(controllers: &mut Controllers) {
    let mut wiring = Wiring::new();
    let events = controllers.events(COMPONENT);
    let watches = &mut controllers.watches;
    let by_controller = watches.pod_index.by_controller.clone();
    wiring.wakes(&mut watches.jobs, move |change| woken_by_job(change, &by_controller));
    let jobs = wiring.reads(&watches.jobs);
    let (known, by_namespace) = (jobs.clone(), watches.job_index.by_namespace.clone());
    wiring.wakes(&mut watches.pods, move |change| woken_by_pod(change, &known, &by_namespace));
    let controller = JobController {
        pods: wiring.reads(&watches.pods),
        pod_index: watches.pod_index.clone(),
        client: controllers.client_of(COMPONENT),
        clock: controllers.clock.clone(),
        control: PodControl::new(controllers.client_of(COMPONENT), events.clone()),
        events,
        jobs,
        pods_in_flight: InFlight::default(),
        jobs_in_flight: InFlight::default(),
    };
    controllers.add(controller, wiring, 5);
}

/// A Job that is gone leaves Pods that wait to be counted.
fn woken_by_job(change: &Change<Job>, pods: &Index<PodFacts>) -> Vec<Key> {
    let Some(job) = change.object() else { return Vec::new() };
    let mut woken = vec![Key::Job(ObjectKey::of(&**job))];
    if let Change::Deleted(job) = change {
        let left = pods.of(job.metadata.uid.as_deref().unwrap_or_default());
        woken.extend(left.iter().map(|pod| Key::Orphan(pod.object_key())));
    }
    woken
}

/// Besides its Job, a Pod that waits to be counted by one that is gone is looked at itself.
fn woken_by_pod(change: &Change<PodFacts>, jobs: &Lister<Job>, by_namespace: &Index<Job>) -> Vec<Key> {
    let mut woken: Vec<Key> = wake::by_pod(change, by_namespace, selector).into_iter().map(Key::Job).collect();
    if let Change::Added(pod) | Change::Updated { new: pod, .. } = change {
        let controller = pod.controller.as_ref().filter(|owner| ownership::is_of_kind::<Job>(owner));
        let job = controller.and_then(|owner| jobs.get(&ObjectKey::new(pod.namespace(), &owner.name)));
        if pods::is_tracked(pod) && job.is_none() {
            woken.push(Key::Orphan(pod.object_key()));
        }
    }
    woken
}

fn selector(job: &Job) -> Selector {
    let selector = job.spec.as_ref().and_then(|spec| spec.selector.as_ref());
    Selector::from_label_selector(selector).unwrap_or(Selector::Nothing)
}

/// Whether somebody else looks after the Job.
fn is_foreign(job: &Job) -> bool {
    job.spec.as_ref().and_then(|spec| spec.managed_by.as_deref()).is_some_and(|manager| manager != MANAGER)
}

impl Reconcile for JobController {
    type Key = Key;
    const NAME: &'static str = COMPONENT;

    async fn reconcile(&self, key: &Key) -> Result<Next, Error> {
        match key {
            Key::Job(key) => self.look_after(key).await,
            Key::Orphan(key) => self.free_orphan(key).await,
        }
    }
}

impl JobController {
    async fn look_after(&self, key: &ObjectKey) -> Result<Next, Error> {
        let Some(job) = self.jobs.get(key) else {
            self.pods_in_flight.forget(key);
            self.jobs_in_flight.forget(key);
            return Ok(Next::OnWakeUp);
        };
        if is_foreign(&job) {
            return Ok(Next::OnWakeUp);
        }
        let unseen = self.pods_in_flight.wait(key, &self.pods).or_else(|| self.jobs_in_flight.wait(key, &self.jobs));
        if let Some(wait) = unseen {
            return Ok(Next::After(wait));
        }
        let pods = self.control.claim(&*job, &selector(&job), &self.pod_index, &[TRACKING], |_| true).await?;
        let now = self.clock.now();
        let pods = self.pods_in_flight.as_will_be(key, pods, now);
        self.execute(key, &job, plan::plan(&job, &pods, now)).await
    }

    fn api(&self, job: &Job) -> Api<Job> {
        Api::namespaced(self.client.clone(), &job.namespace().unwrap_or_default())
    }

    async fn execute(&self, key: &ObjectKey, job: &Job, plan: Plan) -> Result<Next, Error> {
        let sized = self.resize(key, job, &plan.sizing).await;
        if let Some(status) = plan.status {
            let changed = Job { status: Some(status), ..job.clone() };
            let written = self.api(job).replace_status(&key.name, &PostParams::default(), &changed).await;
            let written = written.map_err(Error::during("writing the status"))?;
            self.jobs_in_flight.wrote(key, &written.metadata);
        }
        let reference = object_reference(job);
        for (kind, reason, message) in plan.events {
            self.events.event(&reference, kind, &reason, message);
        }
        let freed = join_all(plan.settled.iter().map(|pod| self.free(pod))).await;
        freed.into_iter().collect::<Result<(), _>>()?;
        sized.map_err(Error::during("bringing Pods to their number"))?;
        Ok(plan.next)
    }

    async fn resize(&self, key: &ObjectKey, job: &Job, sizing: &Sizing) -> Result<(), kube::Error> {
        let reference = object_reference(job);
        let deleted = join_all(sizing.delete.iter().map(|pod| async {
            self.control.delete(&reference, pod).await?;
            self.pods_in_flight.deleted(key, &pod.uid);
            Ok(())
        }));
        deleted.await.into_iter().collect::<Result<(), kube::Error>>()?;
        let create = |position: usize| {
            let new: NewPod = sizing.create[position];
            let reference = &reference;
            async move {
                match self.control.create(reference, &pods::new_pod(job, new)).await {
                    Ok(metadata) => {
                        self.pods_in_flight.wrote(key, &metadata);
                        Ok(())
                    }
                    Err(error) if pod_control::is_namespace_terminating(&error) => Ok(()),
                    Err(error) => Err(error),
                }
            }
        };
        pod_control::slow_start(sizing.create.len(), create).await
    }

    /// Takes the finalizer off a Pod.
    async fn free(&self, pod: &PodFacts) -> Result<(), Error> {
        let patch = json!({ "metadata": { "uid": pod.uid, "$deleteFromPrimitiveList/finalizers": [TRACKING] } });
        let pods: Api<Pod> = Api::namespaced(self.client.clone(), pod.namespace());
        match pods.patch(pod.name(), &PatchParams::default(), &Patch::Strategic(patch)).await {
            Err(error) if !is_not_found(&error) => Err(Error::during("taking the finalizer off a Pod")(error)),
            _ => Ok(()),
        }
    }

    async fn free_orphan(&self, key: &ObjectKey) -> Result<Next, Error> {
        let Some(pod) = self.pods.get(key).filter(|pod| pods::is_tracked(pod)) else { return Ok(Next::OnWakeUp) };
        let controller = pod.controller.as_ref().filter(|owner| ownership::is_of_kind::<Job>(owner));
        if let Some(controller) = controller {
            let jobs: Api<Job> = Api::namespaced(self.client.clone(), pod.namespace());
            let job = jobs.get_opt(&controller.name).await.map_err(Error::during("looking for the Pod's Job"))?;
            if job.is_some_and(|job| job.metadata.uid.as_deref() == Some(controller.uid.as_str())) {
                return Ok(Next::OnWakeUp);
            }
        }
        self.free(&pod).await?;
        Ok(Next::OnWakeUp)
    }
}
