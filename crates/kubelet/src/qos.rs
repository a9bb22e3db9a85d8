//! Quality of service: what the kernel is told about the class of a Pod, its requests and its limits.

use k8s_openapi::api::core::v1::{Container, Pod};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity as ApiQuantity;

use api::core::v1::pod::{QosClass, qos_class, resources};
use api::quantity::Quantity;

use crate::pod::{self, ContainerKind};

/// The class of a Pod: the one in its status, which the API server set when it was created; else computed.
pub fn class_of(pod: &Pod) -> QosClass {
    match pod.status.as_ref().and_then(|status| status.qos_class.as_deref()) {
        Some("Guaranteed") => QosClass::Guaranteed,
        Some("Burstable") => QosClass::Burstable,
        Some("BestEffort") => QosClass::BestEffort,
        _ => qos_class(pod),
    }
}

/// What a container asks for, a limit standing in for a request that is not there.
pub fn request(container: &Container, resource: &str) -> Option<Quantity> {
    let requests = container.resources.as_ref().and_then(|resources| resources.requests.as_ref());
    requests.and_then(|requests| requests.get(resource)).map(Quantity::of).or_else(|| limit(container, resource))
}

/// What a container may use at most.
pub fn limit(container: &Container, resource: &str) -> Option<Quantity> {
    let limits = container.resources.as_ref().and_then(|resources| resources.limits.as_ref());
    limits.and_then(|limits| limits.get(resource)).map(Quantity::of)
}

/// CPU shares for a number of milli-CPUs: 1024 per CPU, within the kernel's bounds.
pub fn cpu_shares(milli: i64) -> i64 {
    (milli.max(0).saturating_mul(1024) / 1000).clamp(2, 262_144)
}

/// The CFS period, in microseconds.
pub const CPU_PERIOD_US: i64 = 100_000;

/// CFS quota in microseconds per period for a CPU limit; 0 for none.
pub fn cpu_quota_us(milli: i64) -> i64 {
    if milli <= 0 { 0 } else { (milli.saturating_mul(CPU_PERIOD_US) / 1000).max(1000) }
}

/// How early the kernel kills the container when memory runs out (-1000 never, 1000 first).
pub fn oom_score_adj(pod: &Pod, container: &Container, node_memory_bytes: i64) -> i64 {
    let critical = pod.spec.as_ref().and_then(|spec| spec.priority).is_some_and(|priority| priority >= 2_000_000_000);
    if critical {
        return -997;
    }
    match class_of(pod) {
        QosClass::Guaranteed => -997,
        QosClass::BestEffort => 1000,
        QosClass::Burstable => {
            let requested = request(container, "memory").map_or(0, Quantity::value);
            let share = i128::from(requested) * 1000 / i128::from(node_memory_bytes.max(1));
            let score = 1000 - i64::try_from(share).unwrap_or(i64::MAX);
            // Below every BestEffort container, above every Guaranteed one.
            score.clamp(3, 999)
        }
    }
}

/// Sums of a Pod's CPU and memory as its cgroup needs them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PodTotals {
    /// Requested CPU.
    pub cpu_request_milli: i64,
    /// CPU limit, if every container has one.
    pub cpu_limit_milli: Option<i64>,
    /// Memory limit, if every container has one.
    pub memory_limit_bytes: Option<i64>,
}

impl PodTotals {
    /// Containers and sidecars add up; an init container needs room only beside the sidecars before it.
    pub fn of(pod: &Pod) -> Self {
        let spec_limit = |resource: &str| {
            let limits = pod.spec.as_ref()?.resources.as_ref()?.limits.as_ref()?;
            limits.get(resource).map(|quantity: &ApiQuantity| Quantity::of(quantity))
        };
        let cpu_limit = spec_limit("cpu").or_else(|| total(pod, |container| limit(container, "cpu")));
        let memory_limit = spec_limit("memory").or_else(|| total(pod, |container| limit(container, "memory")));
        let cpu_request = resources::pod_requests(pod).get("cpu").copied();
        Self {
            cpu_request_milli: cpu_request.unwrap_or_default().milli_value(),
            cpu_limit_milli: cpu_limit.filter(|limit| !limit.is_zero()).map(Quantity::milli_value),
            memory_limit_bytes: memory_limit.filter(|limit| !limit.is_zero()).map(Quantity::value),
        }
    }
}

/// `None` as soon as one container has no amount.
fn total(pod: &Pod, amount: impl Fn(&Container) -> Option<Quantity>) -> Option<Quantity> {
    let (mut sidecars, mut peak) = (Quantity::ZERO, Quantity::ZERO);
    let mut sum = Quantity::ZERO;
    for (kind, container) in pod::all_containers(pod) {
        let amount = amount(container)?;
        match kind {
            ContainerKind::Sidecar => {
                sidecars += amount;
                peak = peak.max(sidecars);
            }
            ContainerKind::Init => peak = peak.max(sidecars + amount),
            ContainerKind::Regular => sum += amount,
        }
    }
    Some((sum + sidecars).max(peak))
}
