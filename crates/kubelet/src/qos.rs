//! Quality of service: what the kernel is told about the class of a Pod, its requests and its limits.

use k8s_openapi::api::core::v1::{Container, Pod};

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

/// The score of what must outlive everything else on the node.
const GUARANTEED_OOM_SCORE: i64 = -997;

/// How early the kernel kills the container when memory runs out (-1000 never, 1000 first).
pub fn oom_score_adj(pod: &Pod, container: &Container, node_memory_bytes: i64) -> i64 {
    if pod::is_node_critical(pod) {
        return GUARANTEED_OOM_SCORE;
    }
    match class_of(pod) {
        QosClass::Guaranteed => GUARANTEED_OOM_SCORE,
        QosClass::BestEffort => 1000,
        QosClass::Burstable => {
            let requested = i128::from(memory_weight_bytes(pod, container));
            let share = requested * 1000 / i128::from(node_memory_bytes.max(1));
            let score = 1000 - i64::try_from(share).unwrap_or(i64::MAX);
            // Below every BestEffort container, above every Guaranteed one.
            score.clamp(1000 + GUARANTEED_OOM_SCORE, 999)
        }
    }
}

/// The memory that speaks for a container: its request and its part of what the Pod as a whole requests beyond its
/// containers. A sidecar is no easier to kill than the containers it serves.
fn memory_weight_bytes(pod: &Pod, container: &Container) -> i64 {
    let own = |container: &Container| {
        let requests = container.resources.as_ref().and_then(|resources| resources.requests.as_ref());
        requests.and_then(|requests| requests.get("memory")).map_or(0, |memory| Quantity::of(memory).value())
    };
    let weight = own(container).saturating_add(pod_level_share_bytes(pod));
    let regular = pod::containers(pod).iter().map(own).min().unwrap_or(0);
    let is_sidecar = pod::find_container(pod, &container.name).is_some_and(|(kind, _)| kind == ContainerKind::Sidecar);
    if is_sidecar { weight.max(regular) } else { weight }
}

/// What one container gets of the memory that the Pod as a whole requests beyond its containers.
fn pod_level_share_bytes(pod: &Pod) -> i64 {
    let Some(spec) = &pod.spec else { return 0 };
    let requests = spec.resources.as_ref().and_then(|resources| resources.requests.as_ref());
    let Some(requested) = requests.and_then(|requests| requests.get("memory")).map(Quantity::of) else { return 0 };
    let containers = resources::aggregate_requests(spec).get("memory").copied().unwrap_or_default();
    let count = i64::try_from(pod::all_containers(pod).count()).unwrap_or(i64::MAX).max(1);
    (requested.value() - containers.value()).max(0) / count
}

/// Sums of a Pod's CPU and memory as its cgroup needs them, overhead included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PodTotals {
    /// Requested CPU.
    pub cpu_request_milli: i64,
    /// CPU limit: the Pod's own, or the sum if every container has one.
    pub cpu_limit_milli: Option<i64>,
    /// Memory limit: the Pod's own, or the sum if every container has one.
    pub memory_limit_bytes: Option<i64>,
}

impl PodTotals {
    /// Containers and sidecars add up; an init container needs room only beside the sidecars before it.
    pub fn of(pod: &Pod) -> Self {
        let (requests, limits) = (resources::pod_requests(pod), resources::pod_limits(pod));
        let limit = |resource: &str| {
            limits.get(resource).copied().filter(|limit| is_limited(pod, resource) && !limit.is_zero())
        };
        Self {
            cpu_request_milli: requests.get("cpu").map_or(0, |cpu| cpu.milli_value()),
            cpu_limit_milli: limit("cpu").map(Quantity::milli_value),
            memory_limit_bytes: limit("memory").map(Quantity::value),
        }
    }
}

/// Whether the Pod as a whole or each of its containers has a limit.
fn is_limited(pod: &Pod, resource: &str) -> bool {
    let own = pod.spec.as_ref().and_then(|spec| spec.resources.as_ref()?.limits.as_ref()?.get(resource));
    own.is_some_and(|quantity| !Quantity::of(quantity).is_zero())
        || pod::all_containers(pod)
            .all(|(_, container)| limit(container, resource).is_some_and(|limit| !limit.is_zero()))
}
