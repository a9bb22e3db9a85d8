//! What an evicted Pod's status says. Pure.

use std::fmt::Write as _;

use api::quantity::Quantity;
use k8s_openapi::api::core::v1::{Pod, ResourceRequirements};

use super::judge::Observations;
use super::{Signal, Threshold};
use crate::pod;
use crate::stats::summary::{ContainerStats, PodStats};

/// Why the Pod made way: what was short, by how much, and which of its containers used more than they had requested.
pub fn pressure(threshold: &Threshold, seen: &Observations, pod: &Pod, stats: Option<&PodStats>) -> String {
    let resource = threshold.signal.resource();
    let mut text = format!("The node was low on resource: {resource}. ");
    if let Some(observation) = seen.get(&threshold.signal) {
        let wanted = threshold.value.of(observation.capacity);
        let _ = write!(text, "Threshold quantity: {wanted}, available: {}. ", in_kibibytes(observation.available));
    }
    let Some(stats) = stats else { return text };
    if threshold.signal == Signal::MemoryAvailable
        && let Some(request) = pod.spec.as_ref().and_then(|spec| of(spec.resources.as_ref(), resource))
        && let Some(usage) = stats.compute.memory.and_then(|memory| memory.working_set_bytes)
    {
        let (name, usage) = (pod::name(pod), in_kibibytes(bytes(usage)));
        let _ =
            write!(text, "Pod {name} was using {usage}, request is {request}, has larger consumption of {resource}. ");
    }
    for container in &stats.containers {
        let Some((_, spec)) = pod::all_containers(pod).find(|(_, spec)| spec.name == container.name) else { continue };
        let Some(usage) = usage(container, threshold.signal) else { continue };
        let request = of(spec.resources.as_ref(), resource).unwrap_or_default();
        if usage > request {
            let (name, usage) = (&container.name, in_kibibytes(usage));
            let _ = write!(
                text,
                "Container {name} was using {usage}, request is {request}, has larger consumption of {resource}. "
            );
        }
    }
    text
}

fn of(resources: Option<&ResourceRequirements>, resource: &str) -> Option<Quantity> {
    resources?.requests.as_ref()?.get(resource).map(Quantity::of)
}

fn usage(container: &ContainerStats, signal: Signal) -> Option<Quantity> {
    match signal.resource() {
        "memory" => Some(bytes(container.compute.memory?.working_set_bytes?)),
        "ephemeral-storage" => Some(bytes(container.rootfs?.used_bytes + container.logs?.used_bytes)),
        _ => None,
    }
}

fn bytes(value: u64) -> Quantity {
    Quantity::from_bytes(i64::try_from(value).unwrap_or(i64::MAX))
}

/// The kernel counts in pages; as upstream, whole kibibytes are said.
fn in_kibibytes(quantity: Quantity) -> Quantity {
    match quantity.value() {
        value if value >= 1024 => Quantity::from_bytes(value / 1024 * 1024),
        _ => quantity,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::eviction::judge::Observation;
    use crate::eviction::{Limit, Thresholds};
    use crate::stats::summary::{ComputeStats, MemoryStats};
    use crate::testing::{at, pod as spec_pod};

    #[test]
    fn says_what_was_short_and_who_used_too_much() {
        let Thresholds(thresholds) = "memory.available<100Mi".parse().unwrap();
        assert!(matches!(thresholds[0].value, Limit::Quantity(_)));
        let of = |mebibytes: i64| Quantity::from_bytes(mebibytes << 20);
        let seen = Observations::from([(
            Signal::MemoryAvailable,
            Observation { available: Quantity::from_bytes(70_000 * 1024 + 5), capacity: of(1000) },
        )]);
        let memory = |bytes| MemoryStats {
            time: at(0),
            available_bytes: None,
            usage_bytes: None,
            working_set_bytes: Some(bytes),
            rss_bytes: None,
            page_faults: None,
            major_page_faults: None,
        };
        let container = |name: &str, bytes| ContainerStats {
            name: name.to_owned(),
            compute: ComputeStats { memory: Some(memory(bytes)), ..ComputeStats::default() },
            ..ContainerStats::default()
        };
        let stats = PodStats {
            containers: vec![container("app", 30 << 20), container("modest", 1 << 20)],
            ..PodStats::default()
        };
        let pod = spec_pod(
            "{containers: [{name: app, image: x, resources: {requests: {memory: 10Mi}}}, \
             {name: modest, image: x, resources: {requests: {memory: 10Mi}}}]}",
        );
        assert_eq!(
            pressure(&thresholds[0], &seen, &pod, Some(&stats)),
            "The node was low on resource: memory. Threshold quantity: 100Mi, available: 70000Ki. Container app was \
             using 30Mi, request is 10Mi, has larger consumption of memory. "
        );
    }
}
