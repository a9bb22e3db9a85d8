//! Requests and limits as the runtime and the Pod's cgroup need them.

use api::core::v1::pod::QosClass;
use api::quantity::Quantity;
use k8s_openapi::api::core::v1::{Container, Pod};
use linux::cgroup::Limits;

use crate::qos::{self, CPU_PERIOD_US, PodTotals};

/// Resources of one container.
pub fn container_resources(pod: &Pod, container: &Container, node_memory_bytes: i64) -> cri::LinuxContainerResources {
    let cpu_limit = qos::limit(container, "cpu").map_or(0, Quantity::milli_value);
    let memory_limit = qos::limit(container, "memory").map_or(0, Quantity::value);
    cri::LinuxContainerResources {
        cpu_shares: qos::cpu_shares(qos::request(container, "cpu").map_or(0, Quantity::milli_value)),
        cpu_period: CPU_PERIOD_US,
        cpu_quota: qos::cpu_quota_us(cpu_limit),
        memory_limit_in_bytes: memory_limit,
        // No swap beyond memory: a limit is a limit.
        memory_swap_limit_in_bytes: memory_limit,
        oom_score_adj: qos::oom_score_adj(pod, container, node_memory_bytes),
        ..cri::LinuxContainerResources::default()
    }
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
        ..Limits::default()
    }
}
