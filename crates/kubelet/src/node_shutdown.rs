//! Graceful node shutdown: Pods end while there is still time, the critical ones last.
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
use crate::pod::Uid;
use crate::pod_lifecycle::Failure;
use crate::pod_status::{Phase, Verdict, VerdictKind};
use crate::sync_loop::{Event, KnownPods};
use plan::{Group, plan};

const REASON: &str = "Terminated";
const MESSAGE: &str = "Pod was terminated in response to imminent node shutdown.";

/// How long Pods have when the node shuts down.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ShutdownConfig {
    /// All Pods together.
    pub grace_period: Duration,
    /// The part of it that is kept for critical Pods, which end last.
    pub critical_grace_period: Duration,
}

impl Default for ShutdownConfig {
    fn default() -> Self {
        Self { grace_period: Duration::from_secs(30), critical_grace_period: Duration::from_secs(10) }
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
