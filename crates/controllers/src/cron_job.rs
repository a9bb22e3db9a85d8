//! Jobs at the times that a schedule says.
//!
//! **Flow**: a CronJob is looked at when it changes, when a Job of it changes, and when its schedule falls due. The
//! [`plan`] accounts for what became of Jobs, picks old ones that go, and decides whether one starts.
//!
//! **Guarantees**: a Job's name tells the time it is of, so that no time has two; a pass never acts on copies that do
//! not show what the pass before it wrote.

mod plan;
#[cfg(test)]
mod tests;
mod times;

use client::{
    Client, EventRecorder, EventType, Index, Lister, ObjectKey, is_already_exists, is_not_found, object_reference,
};
use k8s_openapi::api::batch::v1::{CronJob, CronJobStatus, Job};
use k8s_openapi::api::core::v1::ObjectReference;
use kube::api::{DeleteParams, PostParams, Preconditions, PropagationPolicy};
use kube::{Api, ResourceExt as _};
use platform::clock::SharedClock;

use crate::assembly::{Controllers, Wiring};
use crate::in_flight::InFlight;
use crate::ownership;
use crate::pod_control::{is_namespace_terminating, message_of};
use crate::runtime::{Error, Next, Reconcile};

/// Upstream's name of the controller.
const COMPONENT: &str = "cronjob-controller";

/// Keys are the CronJobs' names.
struct CronJobs {
    client: Client,
    clock: SharedClock,
    events: EventRecorder,
    cron_jobs: Lister<CronJob>,
    jobs: Lister<Job>,
    by_controller: Index<Job>,
    in_flight: InFlight<ObjectKey>,
    jobs_in_flight: InFlight<ObjectKey>,
}

/// Starts the controller.
pub fn start(controllers: &mut Controllers) {
    let mut wiring = Wiring::new();
    let events = controllers.events(COMPONENT);
    let watches = &mut controllers.watches;
    wiring.wakes(&mut watches.cron_jobs, |change| change.object().map(|one| ObjectKey::of(&**one)));
    wiring.wakes(&mut watches.jobs, |change| {
        let job = change.object()?;
        let controller = ownership::controller_of(job.metadata.owner_references.as_deref());
        let controller = controller.filter(|controller| ownership::is_of_kind::<CronJob>(controller))?;
        Some(ObjectKey::new(job.namespace().unwrap_or_default(), &controller.name))
    });
    let controller = CronJobs {
        cron_jobs: wiring.reads(&watches.cron_jobs),
        jobs: wiring.reads(&watches.jobs),
        by_controller: watches.job_index.by_controller.clone(),
        client: controllers.client_of(COMPONENT),
        clock: controllers.clock.clone(),
        events,
        in_flight: InFlight::default(),
        jobs_in_flight: InFlight::default(),
    };
    controllers.add(controller, wiring, 5);
}

impl Reconcile for CronJobs {
    type Key = ObjectKey;
    const NAME: &'static str = COMPONENT;

    async fn reconcile(&self, key: &ObjectKey) -> Result<Next, Error> {
        let Some(cron_job) = self.cron_jobs.get(key) else {
            self.in_flight.forget(key);
            self.jobs_in_flight.forget(key);
            return Ok(Next::OnWakeUp);
        };
        let unseen = self.in_flight.wait(key, &self.cron_jobs);
        if let Some(wait) = unseen.or_else(|| self.jobs_in_flight.wait(key, &self.jobs)) {
            return Ok(Next::After(wait));
        }
        let jobs = self.by_controller.of(cron_job.metadata.uid.as_deref().unwrap_or_default());
        let plan = plan::plan(&cron_job, &jobs, self.clock.now());
        let reference = object_reference(&*cron_job);
        for (kind, reason, message) in plan.events {
            self.events.event(&reference, kind, reason, message);
        }
        let doomed =
            self.jobs_in_flight.being_deleted(key, |uid| jobs.iter().any(|job| job.uid().as_deref() == Some(uid)));
        for job in plan.delete.iter().filter(|job| !doomed.contains(&job.uid().unwrap_or_default())) {
            self.delete(key, &reference, job).await?;
        }
        let mut status = plan.status;
        if let Some(job) = plan.start
            && let Some(job) = self.create(key, &reference, &cron_job, &job).await?
        {
            status = plan::started(status, &job);
        }
        self.write_status(key, &cron_job, status).await?;
        Ok(plan.next)
    }
}

impl CronJobs {
    fn jobs(&self, key: &ObjectKey) -> Api<Job> {
        Api::namespaced(self.client.clone(), &key.namespace)
    }

    /// Makes a Job. Returns it, also when an earlier pass made it; none when its name is another's.
    async fn create(
        &self,
        key: &ObjectKey,
        reference: &ObjectReference,
        owner: &CronJob,
        job: &Job,
    ) -> Result<Option<Job>, Error> {
        match self.jobs(key).create(&PostParams::default(), job).await {
            Ok(made) => {
                self.jobs_in_flight.wrote(key, &made.metadata);
                let message = format!("Created job {}", made.name_any());
                self.events.event(reference, EventType::Normal, "SuccessfulCreate", message);
                Ok(Some(made))
            }
            Err(error) if is_namespace_terminating(&error) => Ok(None),
            Err(error) if is_already_exists(&error) => {
                let present = self.jobs(key).get_opt(&job.name_any()).await;
                let present = present.map_err(Error::during("looking at the Job of the same name"))?;
                Ok(present.filter(|job| ownership::controller_uid(&job.metadata) == owner.metadata.uid.as_deref()))
            }
            Err(error) => {
                let message = format!("Error creating job: {}", message_of(&error));
                self.events.event(reference, EventType::Warning, "FailedCreate", message);
                Err(Error::during("making a Job")(error))
            }
        }
    }

    async fn delete(&self, key: &ObjectKey, reference: &ObjectReference, job: &Job) -> Result<(), Error> {
        let precondition = Preconditions { uid: job.uid(), ..Preconditions::default() };
        let parameters = DeleteParams {
            preconditions: Some(precondition),
            propagation_policy: Some(PropagationPolicy::Background),
            ..DeleteParams::default()
        };
        let name = job.name_any();
        match self.jobs(key).delete(&name, &parameters).await {
            Err(error) if !is_not_found(&error) => {
                let message = format!("Deleted job: {}", message_of(&error));
                self.events.event(reference, EventType::Warning, "FailedDelete", message);
                Err(Error::during("deleting a Job")(error))
            }
            _ => {
                self.jobs_in_flight.deleted(key, &job.uid().unwrap_or_default());
                self.events.event(reference, EventType::Normal, "SuccessfulDelete", format!("Deleted job {name}"));
                Ok(())
            }
        }
    }

    async fn write_status(&self, key: &ObjectKey, cron_job: &CronJob, status: CronJobStatus) -> Result<(), Error> {
        if cron_job.status.as_ref().map_or(status == CronJobStatus::default(), |old| *old == status) {
            return Ok(());
        }
        let changed = CronJob { status: Some(status), ..cron_job.clone() };
        let api: Api<CronJob> = Api::namespaced(self.client.clone(), &key.namespace);
        let written = api.replace_status(&key.name, &PostParams::default(), &changed).await;
        let written = written.map_err(Error::during("writing the status"))?;
        self.in_flight.wrote(key, &written.metadata);
        Ok(())
    }
}
