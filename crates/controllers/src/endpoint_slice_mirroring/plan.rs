//! Which copies of Endpoints to make, change and delete. Pure.
//!
//! Addresses of one family that are reached at the same ports are one slice.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use k8s_openapi::api::core::v1::{EndpointAddress, EndpointPort as Port, Endpoints};
use k8s_openapi::api::discovery::v1::{Endpoint, EndpointConditions, EndpointPort, EndpointSlice};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use super::MANAGER;
use crate::backends::Family;
use crate::endpoint_slice::{MANAGED_BY, Plan, PortKey, SERVICE_LABEL, name_prefix, port_key};
use crate::ownership;
use crate::trigger_times::LAST_CHANGE;

/// So many addresses of one subset are copied at most.
pub const SUBSET_MAX: usize = 1000;
/// What `kubectl apply` notes is about the Endpoints.
const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";

/// What is to be written, and what could not be copied.
#[derive(Debug, Default, PartialEq)]
pub struct Mirrored {
    /// The writes.
    pub plan: Plan,
    /// So many addresses are none.
    pub invalid: usize,
    /// So many were too many.
    pub left_out: usize,
}

/// One slice as it should be.
struct Wanted {
    family: Family,
    ports: Vec<EndpointPort>,
    endpoints: Vec<Endpoint>,
}

type SliceKey = (Family, PortKey);

/// Compares Endpoints with their copies.
pub fn plan(endpoints: &Endpoints, present: &[Arc<EndpointSlice>]) -> Mirrored {
    let mut mirrored = Mirrored::default();
    let wanted = wanted(endpoints, &mut mirrored);
    let mut present_by_key: BTreeMap<SliceKey, Vec<&Arc<EndpointSlice>>> = BTreeMap::new();
    for slice in present {
        let family = if slice.address_type == Family::V6.name() { Family::V6 } else { Family::V4 };
        present_by_key.entry((family, port_key(slice.ports.as_deref().unwrap_or_default()))).or_default().push(slice);
    }
    let plan = &mut mirrored.plan;
    for (key, wanted) in wanted {
        let mut slices = present_by_key.remove(&key).unwrap_or_default().into_iter();
        let slice = slice(endpoints, wanted);
        match slices.next() {
            Some(old) if says_the_same(old, &slice) => {}
            Some(old) => plan.update.push(in_place_of(old, slice)),
            None => plan.create.push(slice),
        }
        plan.delete.extend(slices.cloned());
    }
    plan.delete.extend(present_by_key.into_values().flatten().cloned());
    reuse(plan);
    if endpoints.metadata.deletion_timestamp.is_some() {
        plan.create.clear();
    }
    mirrored
}

/// What would be deleted becomes what would be created: fewer writes, and no moment with neither.
fn reuse(plan: &mut Plan) {
    let mut create = Vec::new();
    for slice in plan.create.drain(..) {
        match plan.delete.iter().position(|old| old.address_type == slice.address_type) {
            Some(position) => plan.update.push(in_place_of(&plan.delete.remove(position), slice)),
            None => create.push(slice),
        }
    }
    plan.create = create;
}

fn in_place_of(old: &EndpointSlice, new: EndpointSlice) -> EndpointSlice {
    let metadata = ObjectMeta {
        labels: new.metadata.labels,
        annotations: new.metadata.annotations,
        owner_references: new.metadata.owner_references,
        ..old.metadata.clone()
    };
    EndpointSlice { metadata, ..new }
}

fn says_the_same(old: &EndpointSlice, new: &EndpointSlice) -> bool {
    let listed = |slice: &EndpointSlice| {
        let mut all = slice.endpoints.clone().unwrap_or_default();
        all.sort_by(|a, b| a.addresses.cmp(&b.addresses).then_with(|| target(a).cmp(&target(b))));
        all
    };
    old.metadata.labels == new.metadata.labels
        && old.metadata.annotations.clone().unwrap_or_default() == new.metadata.annotations.clone().unwrap_or_default()
        && listed(old) == listed(new)
}

fn target(endpoint: &Endpoint) -> Option<(&Option<String>, &Option<String>)> {
    endpoint.target_ref.as_ref().map(|target| (&target.namespace, &target.name))
}

fn wanted(endpoints: &Endpoints, mirrored: &mut Mirrored) -> BTreeMap<SliceKey, Wanted> {
    let mut all: BTreeMap<SliceKey, Wanted> = BTreeMap::new();
    for subset in endpoints.subsets.iter().flatten() {
        let ports: Vec<_> = subset.ports.iter().flatten().map(port).collect();
        let ready = subset.addresses.iter().flatten().map(|address| (address, true));
        let unready = subset.not_ready_addresses.iter().flatten().map(|address| (address, false));
        let mut copied = 0;
        for (address, ready) in ready.chain(unready) {
            if copied == SUBSET_MAX {
                mirrored.left_out += 1;
                continue;
            }
            let Ok(ip) = address.ip.parse::<IpAddr>() else {
                mirrored.invalid += 1;
                continue;
            };
            copied += 1;
            let family = if ip.is_ipv6() { Family::V6 } else { Family::V4 };
            let of_slice = all.entry((family, port_key(&ports))).or_insert_with(|| Wanted {
                family,
                ports: ports.clone(),
                endpoints: Vec::new(),
            });
            let endpoint = endpoint(address, ip, ready);
            let is_same = |known: &Endpoint| {
                Endpoint { conditions: None, ..known.clone() } == Endpoint { conditions: None, ..endpoint.clone() }
            };
            if of_slice.endpoints.len() < SUBSET_MAX && !of_slice.endpoints.iter().any(is_same) {
                of_slice.endpoints.push(endpoint);
            }
        }
    }
    all
}

fn port(port: &Port) -> EndpointPort {
    EndpointPort {
        name: Some(port.name.clone().unwrap_or_default()),
        port: Some(port.port),
        protocol: port.protocol.clone().or_else(|| Some("TCP".to_owned())),
        app_protocol: port.app_protocol.clone(),
    }
}

fn endpoint(address: &EndpointAddress, ip: IpAddr, ready: bool) -> Endpoint {
    Endpoint {
        addresses: vec![ip.to_string()],
        conditions: Some(EndpointConditions { ready: Some(ready), ..EndpointConditions::default() }),
        hostname: address.hostname.clone().filter(|name| !name.is_empty()),
        node_name: address.node_name.clone(),
        target_ref: address.target_ref.clone(),
        ..Endpoint::default()
    }
}

fn slice(endpoints: &Endpoints, wanted: Wanted) -> EndpointSlice {
    let name = endpoints.metadata.name.clone().unwrap_or_default();
    let mut labels = endpoints.metadata.labels.clone().unwrap_or_default();
    labels.insert(SERVICE_LABEL.to_owned(), name.clone());
    labels.insert(MANAGED_BY.to_owned(), MANAGER.to_owned());
    let mut annotations = endpoints.metadata.annotations.clone().unwrap_or_default();
    annotations.remove(LAST_CHANGE);
    annotations.remove(LAST_APPLIED);
    EndpointSlice {
        metadata: ObjectMeta {
            generate_name: Some(name_prefix(&name)),
            namespace: endpoints.metadata.namespace.clone(),
            labels: Some(labels),
            annotations: (!annotations.is_empty()).then_some(annotations),
            owner_references: Some(vec![ownership::controller_reference(endpoints)]),
            ..ObjectMeta::default()
        },
        address_type: wanted.family.name().to_owned(),
        endpoints: Some(wanted.endpoints),
        ports: Some(wanted.ports),
    }
}
