//! Which slices to make, change and delete. Pure.
//!
//! Changes are kept small: endpoints stay in the slice they are in, new ones go into slices that change anyway, then
//! into one that has room for all that are left, and only then into new ones.

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::api::core::v1::Service;
use k8s_openapi::api::discovery::v1::{Endpoint, EndpointPort, EndpointSlice};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use super::endpoints::Behind;
use super::{Known, MANAGED_BY, MANAGER, SERVICE_LABEL};
use crate::backends::{self, Family, HEADLESS_LABEL};
use crate::ownership;

/// Endpoints of one slice at most.
const SLICE_MAX: usize = 100;

/// What is written.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Plan {
    /// New slices.
    pub create: Vec<EndpointSlice>,
    /// Slices as they become.
    pub update: Vec<EndpointSlice>,
    /// Slices that go.
    pub delete: Vec<Known>,
}

/// Ports in an order, to be compared.
pub type PortKey = BTreeSet<(Option<String>, Option<String>, Option<i32>, Option<String>)>;

/// What makes two lists of ports the same.
pub fn port_key(ports: &[EndpointPort]) -> PortKey {
    let key = |port: &EndpointPort| (port.name.clone(), port.protocol.clone(), port.port, port.app_protocol.clone());
    ports.iter().map(key).collect()
}

/// Compares what is behind a Service with its slices.
pub fn plan(service: &Service, behind: &[Behind], slices: &[Known]) -> Plan {
    let mut plan = Plan::default();
    let families = service.spec.as_ref().map(backends::families).unwrap_or_default();
    for family in &families {
        let behind: Vec<_> = behind.iter().filter(|one| one.family == *family).collect();
        let present: Vec<_> = slices.iter().filter(|slice| slice.address_type == family.name()).cloned().collect();
        plan_family(service, *family, &behind, &present, &mut plan);
    }
    let is_of_other = |slice: &&Known| !families.iter().any(|family| slice.address_type == family.name());
    plan.delete.extend(slices.iter().filter(is_of_other).cloned());
    plan
}

fn plan_family(service: &Service, family: Family, behind: &[&Behind], present: &[Known], plan: &mut Plan) {
    let uid = service.metadata.uid.as_deref().unwrap_or_default();
    let (mut create, mut delete) = (Vec::new(), Vec::new());
    let mut by_ports: BTreeMap<PortKey, (Vec<&Behind>, Vec<Known>)> = BTreeMap::new();
    for one in behind {
        by_ports.entry(port_key(&one.ports)).or_default().0.push(one);
    }
    for slice in present {
        if slice.metadata.owner_references.iter().flatten().any(|owner| owner.uid == uid) {
            let key = port_key(slice.ports.as_deref().unwrap_or_default());
            by_ports.entry(key).or_default().1.push(slice.clone());
        } else {
            delete.push(slice.clone());
        }
    }
    for (behind, slices) in by_ports.into_values() {
        let Some(first) = behind.first() else {
            delete.extend(slices);
            continue;
        };
        let ports = first.ports.clone();
        let wanted: Vec<Endpoint> = behind.iter().map(|one| one.endpoint.clone()).collect();
        let (new, old) = fill(service, &slices, wanted, &mut delete);
        create.extend(new.into_iter().map(|endpoints| slice(service, family, ports.clone(), endpoints)));
        plan.update.extend(old);
    }
    // A Service without anybody behind it has one empty slice.
    if create.is_empty() && delete.len() == present.len() {
        let placeholder = slice(service, family, Vec::new(), Vec::new());
        let is_placeholder = |slice: &Known| {
            is_empty(slice.endpoints.as_deref())
                && is_empty(slice.ports.as_deref())
                && slice.metadata.labels == placeholder.metadata.labels
                && slice.metadata.owner_references == placeholder.metadata.owner_references
        };
        match delete.as_slice() {
            [only] if is_placeholder(only) => delete.clear(),
            _ => create.push(placeholder),
        }
    }
    plan.create.append(&mut create);
    plan.delete.append(&mut delete);
}

fn is_empty<T>(list: Option<&[T]>) -> bool {
    list.is_none_or(<[T]>::is_empty)
}

/// What makes an endpoint the same one.
fn identity(endpoint: &Endpoint) -> (&[String], Option<&String>) {
    (&endpoint.addresses, endpoint.target_ref.as_ref().and_then(|target| target.name.as_ref()))
}

/// Spreads endpoints of the same ports over their slices. Returns the endpoints of new slices, and changed slices.
fn fill(
    service: &Service,
    slices: &[Known],
    mut wanted: Vec<Endpoint>,
    delete: &mut Vec<Known>,
) -> (Vec<Vec<Endpoint>>, Vec<EndpointSlice>) {
    let labels = labels(service);
    let (mut changed, mut unchanged) = (Vec::new(), Vec::new());
    for slice in slices {
        let present = slice.endpoints.as_deref().unwrap_or_default();
        let mut kept = Vec::with_capacity(present.len());
        for endpoint in present {
            if let Some(position) = wanted.iter().position(|wanted| identity(wanted) == identity(endpoint)) {
                kept.push(wanted.remove(position));
            }
        }
        let differs = kept != present;
        if differs && kept.is_empty() {
            delete.push(slice.clone());
        } else if differs || slice.metadata.labels.as_ref() != Some(&labels) {
            let mut slice = (**slice).clone();
            slice.metadata.labels = Some(labels.clone());
            slice.endpoints = Some(kept);
            changed.push(slice);
        } else {
            unchanged.push(slice.clone());
        }
    }
    let size = |slice: &EndpointSlice| slice.endpoints.as_ref().map_or(0, Vec::len);
    changed.sort_by_key(|slice| std::cmp::Reverse(size(slice)));
    for slice in &mut changed {
        let room = SLICE_MAX.saturating_sub(size(slice)).min(wanted.len());
        slice.endpoints.get_or_insert_default().extend(wanted.drain(..room));
    }
    let fits = |slice: &&Known| size(slice) + wanted.len() <= SLICE_MAX;
    if !wanted.is_empty()
        && wanted.len() < SLICE_MAX
        && let Some(fullest) = unchanged.iter().filter(fits).max_by_key(|slice| size(slice))
    {
        let mut slice = (**fullest).clone();
        slice.endpoints.get_or_insert_default().append(&mut wanted);
        changed.push(slice);
    }
    (wanted.chunks(SLICE_MAX).map(<[Endpoint]>::to_vec).collect(), changed)
}

/// A slice has its Service's labels and those that are its own.
fn labels(service: &Service) -> BTreeMap<String, String> {
    let mut labels = service.metadata.labels.clone().unwrap_or_default();
    labels.remove(HEADLESS_LABEL);
    if !service.spec.as_ref().is_some_and(backends::has_address) {
        labels.insert(HEADLESS_LABEL.to_owned(), String::new());
    }
    labels.insert(SERVICE_LABEL.to_owned(), service.metadata.name.clone().unwrap_or_default());
    labels.insert(MANAGED_BY.to_owned(), MANAGER.to_owned());
    labels
}

/// What the names of a Service's slices begin with.
pub fn name_prefix(service: &str) -> String {
    let prefix = format!("{service}-");
    if api::names::subdomain_name(&prefix, true).is_empty() { prefix } else { service.to_owned() }
}

fn slice(service: &Service, family: Family, ports: Vec<EndpointPort>, endpoints: Vec<Endpoint>) -> EndpointSlice {
    EndpointSlice {
        metadata: ObjectMeta {
            generate_name: Some(name_prefix(service.metadata.name.as_deref().unwrap_or_default())),
            namespace: service.metadata.namespace.clone(),
            labels: Some(labels(service)),
            owner_references: Some(vec![ownership::controller_reference(service)]),
            ..ObjectMeta::default()
        },
        address_type: family.name().to_owned(),
        endpoints: Some(endpoints),
        ports: Some(ports),
    }
}
