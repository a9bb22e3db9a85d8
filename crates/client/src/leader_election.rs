//! One of several leads: who holds a Lease does the work, and the others wait until nobody renews it.
//!
//! **Flow**: a candidate looks at the Lease every [`Timing::retry_period`] and takes it when it is free, which is when its
//! holder has not renewed it for as long as the holder said. The leader renews it as often. [`plan`] decides (pure).
//!
//! **Guarantees**: time is measured by how long the Lease was *seen* unchanged, so that clocks of hosts need not agree. Who
//! could not renew for [`Timing::renew_deadline`] stops working; nobody takes the Lease before
//! [`Timing::lease_duration`], which is longer, has passed. Who is cancelled gives it back.

mod plan;

use std::future::Future;
use std::time::Duration;

use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::api::{Api, PostParams};
use platform::clock::SharedClock;
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::{Client, EventRecorder, EventType, object_reference};
use plan::Step;

/// The namespace of the Leases.
const NAMESPACE: &str = "kube-system";

/// How fast a leader is replaced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timing {
    /// A Lease that nobody renewed for so long is free.
    pub lease_duration: Duration,
    /// A leader that could not renew for so long leads no more.
    pub renew_deadline: Duration,
    /// How often a Lease is looked at, and renewed.
    pub retry_period: Duration,
}

impl Default for Timing {
    /// Upstream's.
    fn default() -> Self {
        let [lease, renew, retry] = [15, 10, 2].map(Duration::from_secs);
        Self { lease_duration: lease, renew_deadline: renew, retry_period: retry }
    }
}

/// A candidate.
pub struct LeaderElection {
    /// Reads and writes the Lease.
    pub client: Client,
    /// Tells who leads.
    pub events: EventRecorder,
    /// For the times in the Lease.
    pub clock: SharedClock,
    /// The Lease's name, which is the component's.
    pub name: String,
    /// This candidate; no other may ever have the same.
    pub identity: String,
    /// How fast a leader is replaced.
    pub timing: Timing,
}

/// What a candidate saw last, and since when it is so.
#[derive(Debug)]
struct Sight {
    spec: LeaseSpec,
    since: Instant,
}

impl LeaderElection {
    /// Does `work` whenever this candidate leads, until cancelled. The work is cancelled when the lead is lost, and
    /// waited for.
    pub async fn run<W: Future<Output = ()>>(self, cancel: CancellationToken, work: impl Fn(CancellationToken) -> W) {
        let mut sight = None;
        while let Some(lease) = self.acquire(&mut sight, &cancel).await {
            self.tell(&lease, "became leader");
            let lead = cancel.child_token();
            let working = work(lead.clone());
            tokio::join!(working, async {
                self.keep(&mut sight, &lead).await;
                lead.cancel();
            });
            self.tell(&lease, "stopped leading");
            if cancel.is_cancelled() {
                self.release().await;
            }
        }
    }

    fn tell(&self, lease: &Lease, what: &str) {
        info!(lease = self.name, identity = self.identity, "{what}");
        let message = format!("{} {what}", self.identity);
        self.events.event(&object_reference(lease), EventType::Normal, "LeaderElection", message);
    }

    /// Waits until the Lease is ours; none when cancelled.
    async fn acquire(&self, sight: &mut Option<Sight>, cancel: &CancellationToken) -> Option<Lease> {
        loop {
            let trying = async {
                match self.attempt(sight).await {
                    Ok(Some(lease)) => return Some(lease),
                    Ok(None) => {}
                    Err(error) => warn!(lease = self.name, %error, "cannot ask for the lead"),
                }
                sleep(self.timing.retry_period).await;
                None
            };
            tokio::select! {
                () = cancel.cancelled() => return None,
                found = trying => if found.is_some() { return found },
            }
        }
    }

    /// Renews until that fails for too long, or until cancelled.
    async fn keep(&self, sight: &mut Option<Sight>, lead: &CancellationToken) {
        let mut renewed = Instant::now();
        loop {
            tokio::select! {
                () = lead.cancelled() => return,
                () = sleep(self.timing.retry_period) => {}
            }
            let left = self.timing.renew_deadline.saturating_sub(renewed.elapsed());
            let begun = Instant::now();
            match timeout(left, self.attempt(sight)).await {
                Ok(Ok(Some(_))) => renewed = begun,
                Ok(Ok(None)) => return,
                Ok(Err(error)) if renewed.elapsed() < self.timing.renew_deadline => {
                    warn!(lease = self.name, %error, "cannot renew the lead");
                }
                Ok(Err(_)) | Err(_) => return,
            }
        }
    }

    /// Takes or renews the Lease, if it may. Returns it when it is ours.
    async fn attempt(&self, sight: &mut Option<Sight>) -> Result<Option<Lease>, kube::Error> {
        let leases: Api<Lease> = Api::namespaced(self.client.clone(), NAMESPACE);
        let found = leases.get_opt(&self.name).await?;
        let spec = found.as_ref().and_then(|lease| lease.spec.clone()).unwrap_or_default();
        if sight.as_ref().is_none_or(|sight| sight.spec != spec) {
            *sight = Some(Sight { spec: spec.clone(), since: Instant::now() });
        }
        let unchanged = sight.as_ref().map_or(Duration::ZERO, |sight| sight.since.elapsed());
        let Step::Take(ours) = plan::step(&spec, unchanged, &self.identity, self.timing, self.clock.now()) else {
            return Ok(None);
        };
        let written = match found {
            Some(lease) => {
                let lease = Lease { spec: Some(ours), ..lease };
                leases.replace(&self.name, &PostParams::default(), &lease).await
            }
            None => {
                let metadata = ObjectMeta { name: Some(self.name.clone()), ..ObjectMeta::default() };
                leases.create(&PostParams::default(), &Lease { metadata, spec: Some(ours) }).await
            }
        };
        // When somebody else was faster, the next look tells whether that matters.
        let lease = written?;
        *sight = lease.spec.clone().map(|spec| Sight { spec, since: Instant::now() });
        Ok(Some(lease))
    }

    /// Gives the Lease back, so that nobody has to wait.
    async fn release(&self) {
        let leases: Api<Lease> = Api::namespaced(self.client.clone(), NAMESPACE);
        let released = async {
            let Some(lease) = leases.get_opt(&self.name).await? else { return Ok(()) };
            let Some(free) = plan::released(lease.spec.clone().unwrap_or_default(), &self.identity, self.clock.now())
            else {
                return Ok(());
            };
            let lease = Lease { spec: Some(free), ..lease };
            leases.replace(&self.name, &PostParams::default(), &lease).await.map(drop)
        };
        match timeout(self.timing.retry_period, released).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => warn!(lease = self.name, %error, "cannot give the lead back"),
            Err(_) => warn!(lease = self.name, "the lead could not be given back in time"),
        }
    }
}
