//! Stopping containers: one of a living Pod, or all of one that ends.

use std::sync::Arc;
use std::time::Duration;

use client::EventType;
use futures::future::join_all;
use k8s_openapi::api::core::v1::{Container, Pod};
use tracing::warn;

use crate::context::NodeContext;
use crate::hooks;
use crate::observed::{ObservedContainer, ObservedPod};
use crate::plan_pod::{KillContainer, KillReason};
use crate::pod::{self, ContainerKind};
use crate::probes::ProbeFailure;

/// Even a container that is to go at once gets this long.
const MINIMUM_GRACE_SECONDS: i64 = 1;

/// Stops one container of a Pod that lives on.
pub async fn kill_container(context: &Arc<NodeContext>, pod: &Pod, kill: &KillContainer, grace_seconds: i64) {
    let name = &kill.name;
    let spec = pod::find_container(pod, name).map(|(_, container)| container);
    let probe = spec.and_then(|spec| match kill.reason {
        KillReason::Probe(ProbeFailure::Liveness) => spec.liveness_probe.as_ref(),
        KillReason::Probe(ProbeFailure::Startup) => spec.startup_probe.as_ref(),
        _ => None,
    });
    let grace_seconds = probe.and_then(|probe| probe.termination_grace_period_seconds).unwrap_or(grace_seconds);
    let mut message = match kill.reason {
        KillReason::DefinitionChanged => format!("Container {name} definition changed"),
        KillReason::Probe(ProbeFailure::Liveness) => format!("Container {name} failed liveness probe"),
        KillReason::Probe(ProbeFailure::Startup) => format!("Container {name} failed startup probe"),
        KillReason::Unknown => format!("Container {name} is in unknown state, try killing it before restart"),
    };
    if kill.restarts && kill.reason != KillReason::Unknown {
        message.push_str(", will be restarted");
    }
    let ip = None;
    stop_container(context, pod, name, spec, &kill.id, ip, grace_seconds, message).await;
}

/// Stops every container of a Pod that ends, then its sandboxes. Containers stop together; sidecars follow once the
/// others are gone, the last one started first.
///
/// # Errors
/// The runtime's, when something still runs.
pub async fn stop_pod(
    context: &Arc<NodeContext>,
    pod: &Pod,
    observed: &ObservedPod,
    grace_seconds: i64,
) -> cri::Result<()> {
    let running: Vec<&ObservedContainer> = observed.containers.iter().filter(|one| one.is_running()).collect();
    let is_sidecar = |container: &&&ObservedContainer| {
        pod::find_container(pod, &container.name).is_some_and(|(kind, _)| kind == ContainerKind::Sidecar)
    };
    let started = tokio::time::Instant::now();
    let left = || grace_seconds.saturating_sub(i64::try_from(started.elapsed().as_secs()).unwrap_or(i64::MAX));
    let ip = observed.sandbox().and_then(|sandbox| sandbox.ips.first()).map(String::as_str);
    let stop = |container: &ObservedContainer, seconds: i64| {
        let name = container.name.clone();
        let (id, ip) = (container.id.clone(), ip.map(str::to_owned));
        async move {
            let spec = pod::find_container(pod, &name).map(|(_, container)| container);
            let message = format!("Stopping container {name}");
            stop_container(context, pod, &name, spec, &id, ip.as_deref(), seconds, message).await;
        }
    };
    join_all(running.iter().filter(|one| !is_sidecar(one)).map(|container| stop(container, grace_seconds))).await;
    let order: Vec<&str> = pod::init_containers(pod).iter().map(|container| container.name.as_str()).collect();
    let mut sidecars: Vec<&&ObservedContainer> = running.iter().filter(is_sidecar).collect();
    sidecars.sort_by_key(|container| std::cmp::Reverse(order.iter().position(|name| *name == container.name)));
    for container in sidecars {
        stop(container, left()).await;
    }
    for sandbox in &observed.sandboxes {
        context.runtime.stop_pod_sandbox(&sandbox.id).await?;
    }
    Ok(())
}

#[allow(clippy::too_many_arguments)] // one private function with two callers above
async fn stop_container(
    context: &Arc<NodeContext>,
    pod: &Pod,
    name: &str,
    spec: Option<&Container>,
    id: &str,
    ip: Option<&str>,
    grace_seconds: i64,
    message: String,
) {
    context.events.container(pod, name, EventType::Normal, "Killing", message);
    let hook = spec.and_then(|spec| Some((spec, spec.lifecycle.as_ref()?.pre_stop.as_ref()?)));
    let mut left = grace_seconds;
    if let Some((spec, hook)) = hook {
        let started = tokio::time::Instant::now();
        let limit = Duration::from_secs(u64::try_from(grace_seconds).unwrap_or(0));
        match tokio::time::timeout(limit, hooks::run(&*context.runtime, id, spec, hook, ip)).await {
            Ok(Ok(())) | Err(_) => {}
            Ok(Err(error)) => {
                warn!(pod = pod::full_name(pod), container = name, %error, "preStop hook failed");
                context.events.container(pod, name, EventType::Warning, "FailedPreStopHook", "PreStopHook failed");
            }
        }
        left -= i64::try_from(started.elapsed().as_secs()).unwrap_or(i64::MAX);
    }
    if let Err(error) = context.runtime.stop_container(id, left.max(MINIMUM_GRACE_SECONDS)).await {
        warn!(pod = pod::full_name(pod), container = name, %error, "container not stopped");
    }
}
