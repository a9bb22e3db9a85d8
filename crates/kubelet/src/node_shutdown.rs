//! Graceful node shutdown: Pods end while there is still time, those of the highest priority last.
//!
//! Upstream hears of a shutdown from systemd's inhibitor. Here whoever assembles the kubelet says so ([`NodeShutdown`]);
//! the server does when it gets SIGPWR, the signal by which an init system learns that power is going. SIGTERM keeps its
//! meaning: the server ends and containers go on.

mod plan;

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::context::NodeContext;
use crate::pod::{self, Uid};
use crate::pod_lifecycle::Failure;
use crate::pod_status::{Phase, Verdict, VerdictKind};
use crate::sync_loop::{Event, KnownPods};
use plan::{Group, plan};

const REASON: &str = "Terminated";
const MESSAGE: &str = "Pod was terminated in response to imminent node shutdown.";

/// How long Pods have when the node shuts down: groups that end one after the other, the lowest priority first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShutdownConfig(Vec<ShutdownGroup>);

/// Pods that end together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct ShutdownGroup {
    /// The lowest priority that belongs here; in the first group, lower ones do, too.
    pub priority: i32,
    /// How long they have.
    pub period: Duration,
}

impl ShutdownConfig {
    /// These groups, in whatever order.
    pub fn by_priority(mut groups: Vec<ShutdownGroup>) -> Self {
        groups.sort_unstable();
        Self(groups)
    }

    /// Two groups that have `period` together, of which the critical Pods, who end last, have their part.
    pub fn with_critical(period: Duration, of_critical: Duration) -> Self {
        let group = |priority, period| ShutdownGroup { priority, period };
        Self(vec![
            group(0, period.saturating_sub(of_critical)),
            group(pod::SYSTEM_CRITICAL_PRIORITY, of_critical.min(period)),
        ])
    }

    /// The groups, the lowest priority first.
    pub fn groups(&self) -> &[ShutdownGroup] {
        &self.0
    }
}

impl Default for ShutdownConfig {
    fn default() -> Self {
        Self::with_critical(Duration::from_secs(30), Duration::from_secs(10))
    }
}

/// Tells a kubelet that its node shuts down.
#[derive(Clone)]
pub struct NodeShutdown {
    begun: watch::Sender<bool>,
    done: CancellationToken,
}

impl NodeShutdown {
    /// Of a node that does not shut down yet.
    pub(crate) fn new(begun: watch::Sender<bool>) -> Self {
        Self { begun, done: CancellationToken::new() }
    }

    /// Ends all Pods; returns when they have ended or their time is over.
    pub async fn shut_down(&self) {
        self.begun.send_replace(true);
        self.done.cancelled().await;
    }

    /// Waits for the word, then ends Pods group by group.
    pub(crate) async fn run(
        self,
        context: Arc<NodeContext>,
        mut pods: watch::Receiver<KnownPods>,
        events: mpsc::Sender<Event>,
    ) {
        if self.begun.subscribe().wait_for(|begun| *begun).await.is_err() {
            return;
        }
        let known: Vec<_> = pods.borrow().values().cloned().collect();
        info!(pods = known.len(), "the node shuts down");
        for group in plan(&known, &context.pods.shutdown) {
            end(&group, &mut pods, &events).await;
        }
        self.done.cancel();
        // The kubelet goes on until it is told to end: statuses may still be on their way.
        std::future::pending::<()>().await;
    }
}

/// Ends a group of Pods and waits for them, but no longer than they have.
async fn end(group: &Group, pods: &mut watch::Receiver<KnownPods>, events: &mpsc::Sender<Event>) {
    for (uid, grace_seconds) in &group.pods {
        let verdict = Verdict { reason: REASON.into(), message: MESSAGE.to_owned(), kind: VerdictKind::Disrupted };
        let failure = Failure { verdict, grace_seconds: Some(*grace_seconds) };
        if events.send(Event::Fail(uid.clone(), failure)).await.is_err() {
            return;
        }
    }
    let ended = |known: &KnownPods, uid: &Uid| {
        known.get(uid).is_none_or(|pod| pod.status.as_ref().is_some_and(|status| Phase::of(status).is_terminal()))
    };
    let all_ended = pods.wait_for(|known| group.pods.iter().all(|(uid, _)| ended(known, uid)));
    if tokio::time::timeout(group.period, all_ended).await.is_err() {
        warn!("some Pods did not end in the time that a node has to shut down");
    }
}
