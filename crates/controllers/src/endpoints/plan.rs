//! What the Endpoints of a Service say. Pure.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use k8s_openapi::api::core::v1::{EndpointAddress, EndpointPort, EndpointSubset, Endpoints, Service};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use crate::backends::{self, HEADLESS_LABEL};
use crate::pod_facts::PodFacts;

/// Says who looks after Endpoints.
const MANAGED_BY: &str = "endpoints.kubernetes.io/managed-by";
const MANAGER: &str = "endpoint-controller";
/// Says that there are more than are named.
const OVER_CAPACITY: &str = "endpoints.kubernetes.io/over-capacity";
/// So many addresses are named at most, those that are ready first.
const CAPACITY: usize = 1000;

/// The Endpoints as they should be, when they are otherwise.
pub fn plan(service: &Service, pods: &[Arc<PodFacts>], present: Option<&Endpoints>) -> Option<Endpoints> {
    let mut wanted = present.cloned().unwrap_or_else(|| Endpoints {
        metadata: ObjectMeta {
            name: service.metadata.name.clone(),
            namespace: service.metadata.namespace.clone(),
            ..ObjectMeta::default()
        },
        subsets: None,
    });
    let (subsets, is_cut) = subsets(service, pods);
    wanted.subsets = (!subsets.is_empty()).then_some(subsets);
    wanted.metadata.labels = Some(labels(service));
    let annotations = wanted.metadata.annotations.get_or_insert_default();
    if is_cut {
        annotations.insert(OVER_CAPACITY.to_owned(), "truncated".to_owned());
    } else {
        annotations.remove(OVER_CAPACITY);
    }
    if annotations.is_empty() {
        wanted.metadata.annotations = None;
    }
    (Some(&wanted) != present).then_some(wanted)
}

fn labels(service: &Service) -> BTreeMap<String, String> {
    let mut labels = service.metadata.labels.clone().unwrap_or_default();
    labels.insert(MANAGED_BY.to_owned(), MANAGER.to_owned());
    labels.remove(HEADLESS_LABEL);
    if !service.spec.as_ref().is_some_and(backends::has_address) {
        labels.insert(HEADLESS_LABEL.to_owned(), String::new());
    }
    labels
}

/// A port in an order: its position among the Service's, then its number.
type PortKey = Option<(usize, i32)>;
/// An address and whether it is ready, by the Pod's position.
type Reached = BTreeSet<(usize, bool)>;

/// Ports that are reached at the same addresses are one subset. Also says whether some addresses had to be left out.
fn subsets(service: &Service, pods: &[Arc<PodFacts>]) -> (Vec<EndpointSubset>, bool) {
    let Some(spec) = &service.spec else { return (Vec::new(), false) };
    let any_state = spec.publish_not_ready_addresses == Some(true);
    let family = backends::families(spec).first().copied();
    let ports = spec.ports.as_deref().unwrap_or_default();
    let address = |pod: &Arc<PodFacts>| family.and_then(|family| family.of(&pod.network.addresses));
    let mut found: Vec<(EndpointAddress, bool, &Arc<PodFacts>)> = Vec::new();
    for pod in pods.iter().filter(|pod| any_state || pod.deleted_at.is_none()) {
        let Some(ip) = address(pod) else { continue };
        let address = EndpointAddress {
            ip,
            hostname: backends::host_name(service, pod),
            node_name: (!pod.node.is_empty()).then(|| pod.node.clone()),
            target_ref: Some(backends::reference(pod)),
        };
        found.push((address, any_state || pod.ready, pod));
    }
    found.sort_by(|a, b| (&a.0.ip, &a.2.uid).cmp(&(&b.0.ip, &b.2.uid)));
    let is_cut = cut(&mut found);
    let mut reached: BTreeMap<PortKey, Reached> = BTreeMap::new();
    for (position, (_, ready, pod)) in found.iter().enumerate() {
        if ports.is_empty() && !backends::has_address(spec) {
            reached.entry(None).or_default().insert((position, *ready));
        }
        for (number, port) in ports.iter().enumerate() {
            if let Some(at) = backends::port_number(port, pod) {
                reached.entry(Some((number, at))).or_default().insert((position, *ready));
            }
        }
    }
    let mut by_addresses: BTreeMap<Reached, Vec<EndpointPort>> = BTreeMap::new();
    for (key, addresses) in reached {
        let of_subset = by_addresses.entry(addresses).or_default();
        let Some((number, at)) = key else { continue };
        let port = &ports[number];
        of_subset.push(EndpointPort {
            name: port.name.clone().filter(|name| !name.is_empty()),
            port: at,
            protocol: port.protocol.clone().or_else(|| Some("TCP".to_owned())),
            app_protocol: port.app_protocol.clone(),
        });
    }
    let subset = |(addresses, ports): (Reached, Vec<EndpointPort>)| {
        let of_state = |wanted: bool| {
            let of_state = addresses.iter().filter(|(_, ready)| *ready == wanted);
            let list: Vec<_> = of_state.map(|(position, _)| found[*position].0.clone()).collect();
            (!list.is_empty()).then_some(list)
        };
        EndpointSubset {
            addresses: of_state(true),
            not_ready_addresses: of_state(false),
            ports: (!ports.is_empty()).then_some(ports),
        }
    };
    (by_addresses.into_iter().map(subset).collect(), is_cut)
}

/// Leaves out what is too much; those that are ready stay.
fn cut(found: &mut Vec<(EndpointAddress, bool, &Arc<PodFacts>)>) -> bool {
    if found.len() <= CAPACITY {
        return false;
    }
    let ready = found.iter().filter(|(_, ready, _)| *ready).count().min(CAPACITY);
    let (mut ready, mut others) = (ready, CAPACITY - ready);
    found.retain(|(_, is_ready, _)| {
        let left = if *is_ready { &mut ready } else { &mut others };
        let stays = *left > 0;
        *left = left.saturating_sub(1);
        stays
    });
    true
}
