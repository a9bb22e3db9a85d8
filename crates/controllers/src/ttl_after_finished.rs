//! Jobs that are over go when their time has come.

use std::time::Duration;

use client::{Client, Lister, ObjectKey, is_not_found};
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::batch::v1::Job;
use kube::Api;
use kube::api::{DeleteParams, Preconditions, PropagationPolicy};
use platform::clock::SharedClock;

use crate::assembly::{Controllers, Wiring};
use crate::job;
use crate::runtime::{Error, Next, Reconcile};

struct TtlAfterFinished {
    client: Client,
    clock: SharedClock,
    jobs: Lister<Job>,
}

/// Starts the controller: it wakes when a Job changes that has a time to live, and at the end of that.
pub fn start(controllers: &mut Controllers) {
    let mut wiring = Wiring::new();
    let jobs = wiring.reads(&controllers.watches.jobs);
    wiring.wakes(&mut controllers.watches.jobs, |change| {
        let job = change.object().filter(|job| expiry(job).is_some());
        job.map(|job| ObjectKey::of(&**job))
    });
    let (client, clock) = (controllers.client_of("ttl-after-finished-controller"), controllers.clock.clone());
    controllers.add(TtlAfterFinished { client, clock, jobs }, wiring, 2);
}

/// When a Job is to go.
fn expiry(job: &Job) -> Option<Timestamp> {
    let seconds = job.spec.as_ref()?.ttl_seconds_after_finished?;
    let finished = job::finished(job.status.as_ref()?)?.last_transition_time.as_ref()?.0;
    let is_there = job.metadata.deletion_timestamp.is_none();
    finished.checked_add(SignedDuration::from_secs(i64::from(seconds))).ok().filter(|_| is_there)
}

impl Reconcile for TtlAfterFinished {
    type Key = ObjectKey;
    const NAME: &'static str = "ttl-after-finished-controller";

    async fn reconcile(&self, key: &ObjectKey) -> Result<Next, Error> {
        let Some((job, at)) = self.jobs.get(key).and_then(|job| expiry(&job).map(|at| (job, at))) else {
            return Ok(Next::OnWakeUp);
        };
        let left: Duration = at.duration_since(self.clock.now()).try_into().unwrap_or_default();
        if !left.is_zero() {
            return Ok(Next::After(left));
        }
        // Its time to live may just have been changed: then the resource version has, too, and we are woken again.
        let preconditions =
            Preconditions { uid: job.metadata.uid.clone(), resource_version: job.metadata.resource_version.clone() };
        let parameters = DeleteParams {
            preconditions: Some(preconditions),
            propagation_policy: Some(PropagationPolicy::Foreground),
            ..DeleteParams::default()
        };
        let jobs: Api<Job> = Api::namespaced(self.client.clone(), &key.namespace);
        match jobs.delete(&key.name, &parameters).await {
            Err(error) if !is_not_found(&error) => Err(Error::during("deleting a Job whose time has come")(error)),
            _ => Ok(Next::OnWakeUp),
        }
    }
}
