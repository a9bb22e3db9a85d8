//! Requests and limits as the runtime and the Pod's cgroup need them.

use std::collections::BTreeMap;

use api::core::v1::pod::{QosClass, resources as pod_resources};
use api::quantity::Quantity;
use k8s_openapi::api::core::v1::{Container, Pod};
use linux::cgroup::Limits;

use crate::qos::{self, CPU_PERIOD_US, PodTotals};

/// Resources of one container.
pub fn container_resources(pod: &Pod, container: &Container, node_memory_bytes: i64) -> cri::LinuxContainerResources {
    let cpu_limit = limit(pod, container, "cpu").map_or(0, Quantity::milli_value);
    let memory_limit = limit(pod, container, "memory").map_or(0, Quantity::value);
    cri::LinuxContainerResources {
        cpu_shares: qos::cpu_shares(qos::request(container, "cpu").map_or(0, Quantity::milli_value)),
        cpu_period: CPU_PERIOD_US,
        cpu_quota: qos::cpu_quota_us(cpu_limit),
        memory_limit_in_bytes: memory_limit,
        // No swap beyond memory: a limit is a limit.
        memory_swap_limit_in_bytes: memory_limit,
        oom_score_adj: qos::oom_score_adj(pod, container, node_memory_bytes),
        hugepage_limits: container_hugepages(container),
        ..cri::LinuxContainerResources::default()
    }
}

/// A container's limit, or that of its Pod as a whole: programs that look at their cgroup see what they can have.
fn limit(pod: &Pod, container: &Container, resource: &str) -> Option<Quantity> {
    let of_pod = || {
        let resources = pod.spec.as_ref()?.resources.as_ref()?;
        resources.limits.as_ref()?.get(resource).map(Quantity::of)
    };
    qos::limit(container, resource).or_else(of_pod)
}

/// Limits of the Pod's own cgroup, which holds its containers together. The number of processes is the node's to limit.
pub fn pod_limits(pod: &Pod, pids_limit: Option<i64>) -> Limits {
    let totals = PodTotals::of(pod);
    let bounded = qos::class_of(pod) != QosClass::BestEffort;
    let shares = match qos::class_of(pod) {
        QosClass::BestEffort => 2,
        QosClass::Guaranteed | QosClass::Burstable => qos::cpu_shares(totals.cpu_request_milli),
    };
    let quota = totals.cpu_limit_milli.filter(|_| bounded).map(qos::cpu_quota_us);
    Limits {
        cpu_shares: u64::try_from(shares).ok(),
        cpu_quota_us: quota,
        cpu_period_us: quota.and(u64::try_from(CPU_PERIOD_US).ok()),
        memory_bytes: totals.memory_limit_bytes.filter(|_| bounded),
        pids: pids_limit,
        hugepages: pod_hugepages(pod),
        ..Limits::default()
    }
}

/// A container's limits on large pages, in the order of their sizes' names.
fn container_hugepages(container: &Container) -> Vec<cri::HugepageLimit> {
    let limits = container.resources.as_ref().and_then(|resources| resources.limits.as_ref());
    let limits = limits.into_iter().flatten().filter_map(|(name, limit)| {
        let limit = u64::try_from(Quantity::of(limit).value()).ok()?;
        Some(cri::HugepageLimit { page_size: page_size(name)?, limit })
    });
    limits.collect()
}

/// The Pod's limits on large pages, bytes by the size of a page.
fn pod_hugepages(pod: &Pod) -> BTreeMap<String, u64> {
    let limits = pod_resources::pod_limits(pod).into_iter();
    limits.filter_map(|(name, limit)| Some((page_size(name)?, u64::try_from(limit.value()).ok()?))).collect()
}

/// The size of a page as the kernel's files have it (`2MB`), of a resource such as `hugepages-2Mi`.
fn page_size(resource: &str) -> Option<String> {
    let bytes = resource.strip_prefix("hugepages-")?.parse::<Quantity>().ok()?.value();
    [(30, "GB"), (20, "MB"), (10, "KB")]
        .into_iter()
        .find(|(shift, _)| bytes > 0 && bytes % (1 << shift) == 0)
        .map(|(shift, unit)| format!("{}{unit}", bytes >> shift))
}
