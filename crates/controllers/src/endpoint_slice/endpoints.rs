//! The endpoints behind a Service. Pure.

use std::sync::Arc;

use k8s_openapi::api::core::v1::{Node, Service, ServiceSpec};
use k8s_openapi::api::discovery::v1::{Endpoint, EndpointConditions, EndpointHints, EndpointPort, ForNode, ForZone};

use super::Facts;
use crate::backends::{self, Family};

const ZONE_LABEL: &str = "topology.kubernetes.io/zone";

/// An endpoint and the ports it is reached at: slices hold endpoints of one family and the same ports.
#[derive(Debug, Clone, PartialEq)]
pub struct Behind {
    /// The family of its address.
    pub family: Family,
    /// Its ports.
    pub ports: Vec<EndpointPort>,
    /// The endpoint.
    pub endpoint: Endpoint,
}

/// The zone of a node.
pub fn zone(node: &Node) -> Option<&String> {
    node.metadata.labels.as_ref()?.get(ZONE_LABEL).filter(|zone| !zone.is_empty())
}

/// The endpoints of Pods. One whose node is not there counts only where nothing has to be ready.
pub fn behind(service: &Service, pods: &[Facts], node: impl Fn(&str) -> Option<Arc<Node>>) -> Vec<Behind> {
    let Some(spec) = &service.spec else { return Vec::new() };
    let any_state = spec.publish_not_ready_addresses == Some(true);
    let mut all = Vec::new();
    for pod in pods {
        let node = node(&pod.node);
        if node.is_none() && !any_state {
            continue;
        }
        for family in backends::families(spec) {
            let Some(address) = family.of(&pod.network.addresses) else { continue };
            let endpoint = endpoint(service, pod, node.as_deref(), address);
            all.push(Behind { family, ports: ports(spec, pod), endpoint });
        }
    }
    if let Some(distribution) = spec.traffic_distribution.as_deref() {
        give_hints(&mut all, distribution);
    }
    all
}

fn endpoint(service: &Service, pod: &Facts, node: Option<&Node>, address: String) -> Endpoint {
    let is_terminating = pod.deleted_at.is_some();
    let any_state = service.spec.as_ref().is_some_and(|spec| spec.publish_not_ready_addresses == Some(true));
    Endpoint {
        addresses: vec![address],
        conditions: Some(EndpointConditions {
            ready: Some(any_state || (pod.ready && !is_terminating)),
            serving: Some(pod.ready),
            terminating: Some(is_terminating),
        }),
        hostname: backends::host_name(service, pod),
        node_name: (!pod.node.is_empty()).then(|| pod.node.clone()),
        target_ref: Some(backends::reference(pod)),
        zone: node.and_then(zone).cloned(),
        ..Endpoint::default()
    }
}

/// A Service's ports at a Pod; one the Pod does not have is left out.
fn ports(spec: &ServiceSpec, pod: &Facts) -> Vec<EndpointPort> {
    let of_pod = spec.ports.iter().flatten().filter_map(|port| {
        Some(EndpointPort {
            name: Some(port.name.clone().unwrap_or_default()),
            port: Some(backends::port_number(port, pod)?),
            protocol: Some(port.protocol.clone().unwrap_or_else(|| "TCP".to_owned())),
            app_protocol: port.app_protocol.clone(),
        })
    });
    of_pod.collect()
}

/// Tells whom each endpoint is meant for: its own zone, and its own node where that is asked for. Where the zone of one
/// that is ready is not known, zones are no guide.
fn give_hints(all: &mut [Behind], distribution: &str) {
    let by_node = distribution == "PreferSameNode";
    if !by_node && !matches!(distribution, "PreferClose" | "PreferSameZone") {
        return;
    }
    let is_ready = |endpoint: &Endpoint| endpoint.conditions.as_ref().and_then(|it| it.ready) == Some(true);
    for family in [Family::V4, Family::V6] {
        let of_family = || all.iter().filter(|one| one.family == family).map(|one| &one.endpoint);
        if !by_node && of_family().any(|endpoint| is_ready(endpoint) && endpoint.zone.is_none()) {
            continue;
        }
        for one in all.iter_mut().filter(|one| one.family == family && is_ready(&one.endpoint)) {
            let zone = one.endpoint.zone.iter().map(|name| ForZone { name: name.clone() }).collect::<Vec<_>>();
            let node = one.endpoint.node_name.iter().map(|name| ForNode { name: name.clone() }).collect::<Vec<_>>();
            one.endpoint.hints = Some(EndpointHints {
                for_zones: (!zone.is_empty()).then_some(zone),
                for_nodes: (by_node && !node.is_empty()).then_some(node),
            });
        }
    }
}
