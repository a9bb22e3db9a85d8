//! Stopping containers: one of a living Pod, or all of one that ends.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use client::EventType;
use futures::future::join_all;
use k8s_openapi::api::core::v1::{Container, Pod};
use tokio::sync::watch;
use tokio::time::Instant;
use tracing::warn;

use super::SyncPass;
use super::termination_order::predecessors;
use crate::context::NodeContext;
use crate::hooks;
use crate::labels;
use crate::observed::ObservedPod;
use crate::plan_pod::{KillContainer, KillReason};
use crate::pod::{self, ContainerKind};
use crate::probes::ProbeFailure;

/// Even a container that is to go at once gets this long between the signals.
const MINIMUM_GRACE_SECONDS: i64 = 2;

/// Stops one container of a Pod that lives on.
pub(super) async fn kill_container(pass: &SyncPass<'_>, kill: &KillContainer) {
    let found = pod::find_container(pass.pod, &kill.name);
    let kind = found.as_ref().map_or(ContainerKind::Regular, |(kind, _)| *kind);
    let spec = found.map(|(_, container)| container);
    let probe = spec.as_ref().and_then(|spec| match kill.reason {
        KillReason::Probe(ProbeFailure::Liveness) => spec.liveness_probe.as_ref(),
        KillReason::Probe(ProbeFailure::Startup) => spec.startup_probe.as_ref(),
        _ => None,
    });
    // Starting over is abrupt: no hook runs, and nobody is waited for.
    let starts_over = kill.reason == KillReason::RestartAll;
    let own_grace_seconds = probe.and_then(|probe| probe.termination_grace_period_seconds);
    let grace_seconds = match starts_over {
        true => MINIMUM_GRACE_SECONDS,
        false => own_grace_seconds.unwrap_or_else(|| pod::termination_grace_seconds(pass.pod)),
    };
    let stop = Stop {
        context: pass.context,
        pod: pass.pod,
        name: &kill.name,
        spec: spec.as_deref().filter(|_| !starts_over),
        id: &kill.id,
        pod_ip: pod_ip(pass.observed),
    };
    stop.run(grace_seconds, kill_message(kill, kind), |_| async {}).await;
}

/// Stops a container whose `postStart` hook failed.
pub(super) async fn kill_after_failed_hook(pass: &SyncPass<'_>, container: &Container, id: &str, pod_ip: Option<&str>) {
    let (name, spec) = (container.name.as_str(), Some(container));
    let stop = Stop { context: pass.context, pod: pass.pod, name, spec, id, pod_ip };
    let grace_seconds = pod::termination_grace_seconds(pass.pod);
    stop.run(grace_seconds, "FailedPostStartHook".to_owned(), |_| async {}).await;
}

/// The Event's words for why a container of a living Pod is stopped.
fn kill_message(kill: &KillContainer, kind: ContainerKind) -> String {
    let name = &kill.name;
    let what = match kind {
        ContainerKind::Init | ContainerKind::Sidecar => "Init container",
        ContainerKind::Regular | ContainerKind::Ephemeral => "Container",
    };
    let cause = match kill.reason {
        KillReason::Unknown => return format!("{what} is in \"unknown\" state, try killing it before restart"),
        KillReason::Resize => return format!("{what} {name} resize requires restart"),
        KillReason::RestartAll => return format!("Stopping container {name}, all containers will be restarted"),
        KillReason::DefinitionChanged => "definition changed",
        KillReason::Probe(ProbeFailure::Liveness) => "failed liveness probe",
        KillReason::Probe(ProbeFailure::Startup) => "failed startup probe",
    };
    let outlook = if kill.restarts && kind == ContainerKind::Regular { ", will be restarted" } else { "" };
    format!("{what} {name} {cause}{outlook}")
}

/// Stops every container of a Pod that ends, then its sandboxes. All hooks run and all containers stop together, but
/// each sidecar waits for its turn before it is told to stop; the grace period is one for all.
///
/// # Errors
/// The runtime's, when something still runs.
pub async fn stop_pod(
    context: &Arc<NodeContext>,
    pod: &Pod,
    observed: &ObservedPod,
    grace_seconds: i64,
) -> cri::Result<()> {
    let running: Vec<_> = observed.containers.iter().filter(|container| container.is_running()).collect();
    let names: Vec<&str> = running.iter().map(|container| container.name.as_str()).collect();
    let ended = watch::Sender::new(BTreeSet::new());
    let stops = running.iter().map(|container| {
        let (name, ended) = (container.name.as_str(), &ended);
        let before = predecessors(pod, name, &names);
        let mut gone = ended.subscribe();
        let turn = |limit: Duration| async move {
            let all_gone = gone.wait_for(|gone| before.is_subset(gone));
            // Whether they are gone or the grace period is over, the turn has come.
            let _ = tokio::time::timeout(limit, all_gone).await;
        };
        // Of a Pod that was gone before this kubelet came, containers themselves tell how they want to end.
        let spec = pod::find_container(pod, name).map_or_else(
            || Cow::Owned(labels::restored_container(name, &container.annotations)),
            |(_, container)| container,
        );
        let pod_ip = pod_ip(observed);
        async move {
            let stop = Stop { context, pod, name, spec: Some(&*spec), id: &container.id, pod_ip };
            stop.run(grace_seconds, format!("Stopping container {name}"), turn).await;
            ended.send_modify(|ended| ended.extend([name.to_owned()]));
        }
    });
    join_all(stops).await;
    for sandbox in &observed.sandboxes {
        context.runtime.stop_pod_sandbox(&sandbox.id).await?;
    }
    Ok(())
}

fn pod_ip(observed: &ObservedPod) -> Option<&str> {
    observed.sandbox().and_then(|sandbox| sandbox.ips.first()).map(String::as_str)
}

/// A container to be stopped.
struct Stop<'a> {
    context: &'a Arc<NodeContext>,
    pod: &'a Pod,
    name: &'a str,
    /// Its spec, if it is known and its `preStop` hook is to run.
    spec: Option<&'a Container>,
    id: &'a str,
    pod_ip: Option<&'a str>,
}

impl Stop<'_> {
    /// Runs the hook, waits for the container's `turn`, tells it to stop, and kills it in the end. All of that has
    /// `grace_seconds`, but for a moment between the signals that every container gets.
    async fn run<T: Future<Output = ()>>(&self, grace_seconds: i64, message: String, turn: impl FnOnce(Duration) -> T) {
        let started = Instant::now();
        let grace = Duration::from_secs(u64::try_from(grace_seconds).unwrap_or(0));
        let left = || grace.saturating_sub(started.elapsed());
        self.context.events.container(self.pod, self.name, EventType::Normal, "Killing", message);
        self.pre_stop(grace).await;
        turn(left()).await;
        let spent = i64::try_from(started.elapsed().as_secs()).unwrap_or(i64::MAX);
        let timeout_seconds = (grace_seconds - spent).max(MINIMUM_GRACE_SECONDS);
        if let Err(error) = self.context.runtime.stop_container(self.id, timeout_seconds).await {
            warn!(pod = pod::full_name(self.pod), container = self.name, %error, "container not stopped");
        }
    }

    async fn pre_stop(&self, limit: Duration) {
        let hook = self.spec.and_then(|spec| Some((spec, spec.lifecycle.as_ref()?.pre_stop.as_ref()?)));
        let Some((spec, hook)) = hook.filter(|_| !limit.is_zero()) else { return };
        let run = hooks::run(&*self.context.runtime, self.id, spec, hook, self.pod_ip);
        // A hook that takes longer is left behind.
        if let Ok(Err(error)) = tokio::time::timeout(limit, run).await {
            warn!(pod = pod::full_name(self.pod), container = self.name, %error, "preStop hook failed");
            let message = "PreStopHook failed";
            self.context.events.container(self.pod, self.name, EventType::Warning, "FailedPreStopHook", message);
        }
    }
}
