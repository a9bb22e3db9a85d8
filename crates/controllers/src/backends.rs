//! The Pods behind a Service: which ones count, where they are and what their ports are called. Pure.

use std::net::IpAddr;
use std::sync::Arc;

use api::labels::Selector;
use client::{Change, Index, Lister, ObjectKey};
use k8s_openapi::api::core::v1::{ObjectReference, Service, ServicePort, ServiceSpec};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use kube::ResourceExt as _;

use crate::pod_facts::PodFacts;

/// Marks what belongs to a Service without an address of its own.
pub const HEADLESS_LABEL: &str = "service.kubernetes.io/headless";

/// A family of addresses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Family {
    /// `IPv4`.
    V4,
    /// `IPv6`.
    V6,
}

impl Family {
    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::V4 => "IPv4",
            Self::V6 => "IPv6",
        }
    }

    /// The first of these addresses that is of this family.
    pub fn of(self, addresses: &[String]) -> Option<String> {
        let parsed = addresses.iter().filter_map(|address| address.parse::<IpAddr>().ok());
        parsed.into_iter().find(|address| address.is_ipv6() == (self == Self::V6)).map(|address| address.to_string())
    }
}

/// The families a Service has, the preferred one first.
pub fn families(spec: &ServiceSpec) -> Vec<Family> {
    let named = spec.ip_families.iter().flatten().filter_map(|family| match family.as_str() {
        "IPv4" => Some(Family::V4),
        "IPv6" => Some(Family::V6),
        _ => None,
    });
    let named: Vec<Family> = named.collect();
    match spec.cluster_ip.as_deref().and_then(|address| address.parse::<IpAddr>().ok()) {
        _ if !named.is_empty() => named,
        Some(address) if address.is_ipv6() => vec![Family::V6],
        Some(_) => vec![Family::V4],
        None => vec![Family::V4, Family::V6],
    }
}

/// What selects the Pods of a Service; none when others say where it leads.
pub fn selector(service: &Service) -> Option<Selector> {
    let spec = service.spec.as_ref().filter(|spec| spec.type_.as_deref() != Some("ExternalName"))?;
    spec.selector.as_ref().filter(|labels| !labels.is_empty()).map(Selector::from_labels)
}

/// Whether the Service has an address of its own.
pub fn has_address(spec: &ServiceSpec) -> bool {
    spec.cluster_ip.as_deref().is_some_and(|address| !address.is_empty() && address != "None")
}

/// Whether a Pod can be behind a Service at all.
pub fn counts(pod: &PodFacts) -> bool {
    !pod.is_terminated() && !pod.network.addresses.is_empty()
}

/// The number of a Service's port at a Pod.
pub fn port_number(port: &ServicePort, pod: &PodFacts) -> Option<i32> {
    let protocol = |protocol: Option<&String>| protocol.map_or("TCP", String::as_str).to_owned();
    match port.target_port.as_ref() {
        Some(IntOrString::Int(number)) => Some(*number),
        Some(IntOrString::String(name)) => {
            let wanted = protocol(port.protocol.as_ref());
            let mut ports = pod.network.ports.iter();
            let found =
                ports.find(|port| port.name.as_ref() == Some(name) && protocol(port.protocol.as_ref()) == wanted);
            found.map(|port| port.container_port)
        }
        None => Some(port.port),
    }
}

/// The name the Service's domain gives a Pod.
pub fn host_name(service: &Service, pod: &PodFacts) -> Option<String> {
    let network = &pod.network;
    let is_named = !network.hostname.is_empty() && Some(&network.subdomain) == service.metadata.name.as_ref();
    is_named.then(|| network.hostname.clone())
}

/// The Pod as endpoints refer to it.
pub fn reference(pod: &PodFacts) -> ObjectReference {
    ObjectReference {
        kind: Some("Pod".to_owned()),
        namespace: Some(pod.namespace().to_owned()),
        name: Some(pod.name().to_owned()),
        uid: Some(pod.uid.clone()),
        ..ObjectReference::default()
    }
}

/// The Services a change of a Pod concerns.
pub fn woken_by_pod(change: &Change<PodFacts>, services: &Index<Service>) -> Vec<ObjectKey> {
    let (old, new) = match change {
        Change::Added(new) => (None, new),
        Change::Updated { old, new } => (Some(old), new),
        Change::Deleted(old) => (None, old),
        Change::Synced => return Vec::new(),
    };
    if old.is_some_and(|old| same_behind_a_service(old, new)) {
        return Vec::new();
    }
    let selects = |selector: &Selector, pod: &Arc<PodFacts>| selector.matches(Some(&pod.labels));
    let concerned = services.of(new.namespace()).into_iter().filter(|service| {
        let selector = selector(service);
        selector.is_some_and(|selector| old.into_iter().chain([new]).any(|pod| selects(&selector, pod)))
    });
    concerned.map(|service| ObjectKey::of(&*service)).collect()
}

/// Whether nothing of a Pod changed that anybody behind whose Service it stands asks for.
fn same_behind_a_service(old: &PodFacts, new: &PodFacts) -> bool {
    let seen = |pod: &PodFacts| (pod.uid.clone(), pod.ready, pod.deleted_at.is_some(), counts(pod), pod.node.clone());
    seen(old) == seen(new) && old.network == new.network && old.labels == new.labels
}

/// The Pods that a Service selects, whatever became of them.
pub fn selected(service: &Service, by_namespace: &Index<PodFacts>) -> Vec<Arc<PodFacts>> {
    let Some(selector) = selector(service) else { return Vec::new() };
    let mut pods = by_namespace.of(&service.namespace().unwrap_or_default());
    pods.retain(|pod| selector.matches(Some(&pod.labels)));
    pods
}

/// The Services of the Pods on a node.
pub fn on_node(node: &str, pods: &Lister<PodFacts>, services: &Index<Service>) -> Vec<ObjectKey> {
    let pods = pods.matching(|pod| pod.node == node);
    pods.into_iter().flat_map(|pod| woken_by_pod(&Change::Added(pod), services)).collect()
}
