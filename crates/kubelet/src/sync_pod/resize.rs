//! Giving running containers other resources: the Pod's cgroup first where it grows, last where it shrinks.

use k8s_openapi::api::core::v1::{Container, Pod};
use linux::cgroup::Limits;

use super::{SyncPass, describe};
use crate::allocation::UpdateContainer;
use crate::container_config::container_resources;
use crate::plan_pod::KillReason;
use crate::pod;

/// Updates the plan's containers. On error, what is done stays done and the rest is tried again.
///
/// # Errors
/// In words for the Pod's condition.
pub(super) async fn update_containers(pass: &SyncPass<'_>) -> Result<(), String> {
    let actions = pass.actions;
    let restarts = actions.kill.iter().any(|kill| kill.reason == KillReason::Resize);
    if actions.update.is_empty() && actions.update_pod.is_none() && !restarts {
        return Ok(());
    }
    let context = pass.context;
    let cgroup = context.cgroup(pass.pod);
    let after = context.pod_limits(pass.pod);
    let before = context.pod_limits(&before(pass));
    let set = |limits: &Limits| context.host.create_cgroup(&cgroup, limits).map_err(|error| describe(&error));
    set(&wider(&before, &after))?;
    for update in &pass.actions.update {
        update_container(pass, update).await?;
    }
    set(&open_ended(&before, after))?;
    context.allocations.set_pod_actuated(&pod::uid(pass.pod));
    Ok(())
}

/// The Pod as its containers have it.
fn before(pass: &SyncPass<'_>) -> Pod {
    let mut pod = Pod::clone(pass.pod);
    let Some(spec) = pod.spec.as_mut() else { return pod };
    if let Some(resources) = &pass.actions.update_pod {
        spec.resources = Some(resources.clone());
    }
    for container in spec.containers.iter_mut().chain(spec.init_containers.iter_mut().flatten()) {
        if let Some(update) = pass.actions.update.iter().find(|update| update.name == container.name) {
            container.resources = Some(update.from.clone());
        }
    }
    pod
}

/// The wider of both limits in each respect; no limit is the widest.
fn wider(left: &Limits, right: &Limits) -> Limits {
    let limit =
        |left: Option<i64>, right: Option<i64>| Some(left.zip(right).map_or(-1, |(left, right)| left.max(right)));
    Limits {
        cpu_shares: left.cpu_shares.max(right.cpu_shares),
        cpu_quota_us: limit(left.cpu_quota_us, right.cpu_quota_us),
        cpu_period_us: left.cpu_period_us.or(right.cpu_period_us),
        memory_bytes: limit(left.memory_bytes, right.memory_bytes),
        ..Limits::default()
    }
}

/// The limits to end with: one that is no longer there is lifted, not left.
fn open_ended(before: &Limits, after: Limits) -> Limits {
    let lift = |before: Option<i64>, after: Option<i64>| after.or(before.map(|_| -1));
    Limits {
        cpu_quota_us: lift(before.cpu_quota_us, after.cpu_quota_us),
        memory_bytes: lift(before.memory_bytes, after.memory_bytes),
        ..after
    }
}

async fn update_container(pass: &SyncPass<'_>, update: &UpdateContainer) -> Result<(), String> {
    let context = pass.context;
    let Some((_, spec)) = pod::find_container(pass.pod, &update.name) else { return Ok(()) };
    let spec = spec.as_ref();
    let memory = context.resources.memory_bytes();
    let mut resources = container_resources(pass.pod, spec, memory);
    // Zero means "as it is" to the runtime; a limit that is gone has to be lifted.
    let had =
        container_resources(&before(pass), &Container { resources: Some(update.from.clone()), ..spec.clone() }, memory);
    if resources.cpu_quota == 0 && had.cpu_quota != 0 {
        resources.cpu_quota = -1;
    }
    if resources.memory_limit_in_bytes == 0 && had.memory_limit_in_bytes != 0 {
        (resources.memory_limit_in_bytes, resources.memory_swap_limit_in_bytes) = (-1, -1);
    }
    context.cpus.of(&pod::uid(pass.pod), &update.name).apply_to(&mut resources);
    let limit = resources.memory_limit_in_bytes;
    if limit > 0 && (had.memory_limit_in_bytes == 0 || limit < had.memory_limit_in_bytes) {
        check_usage(pass, update, limit).await?;
    }
    let request = cri::UpdateContainerResourcesRequest {
        container_id: update.id.clone(),
        linux: Some(resources),
        ..cri::UpdateContainerResourcesRequest::default()
    };
    context.runtime.update_container_resources(request).await.map_err(|error| error.to_string())?;
    context.allocations.set_actuated(&pod::uid(pass.pod), &update.id, update.to.clone());
    Ok(())
}

/// The kernel would kill a container whose limit falls below what it uses.
async fn check_usage(pass: &SyncPass<'_>, update: &UpdateContainer, limit: i64) -> Result<(), String> {
    let stats = pass.context.runtime.container_stats(&update.id).await.map_err(|error| error.to_string())?;
    let usage = stats.memory.and_then(|memory| memory.usage_bytes).map_or(0, |usage| usage.value);
    if i128::from(usage) >= i128::from(limit) {
        let name = &update.name;
        return Err(format!(
            "attempting to set container {name:?} memory limit ({limit}) below current usage ({usage})"
        ));
    }
    Ok(())
}
