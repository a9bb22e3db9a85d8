//! Validation of Nodes.

use std::net::IpAddr;

use k8s_openapi::api::core::v1::{Node, NodeSpec};

use crate::core::v1::resource_list::{ResourceList, validate_quantity};
use crate::core::v1::taints::validate_taints;
use crate::field::{ErrorList, Json, Path, duplicate, forbidden, invalid};
use crate::meta::{METADATA, Scope, text, validate_meta};
use crate::names::subdomain_name;
use crate::quantity::Quantity;

const SPEC: Path<'static> = Path::new("spec");
const STATUS: Path<'static> = Path::new("status");

pub(super) fn validate_node(node: &Node) -> ErrorList {
    let mut errors = validate_meta(&node.metadata, Scope::Cluster, subdomain_name);
    errors.extend(validate_node_taints(node));
    errors.extend(validate_resources(node));
    errors.extend(validate_pod_cidrs(pod_cidrs(node)));
    errors
}

pub(super) fn validate_changes(new: &Node, old: &Node) -> ErrorList {
    let mut errors = validate_resources(new);
    errors.extend(validate_addresses(new));
    if !pod_cidrs(old).is_empty() {
        errors.extend(require_same_pod_cidrs(new, old));
    }
    let provider = |node| spec_text(node, |spec| &spec.provider_id);
    if !provider(old).is_empty() && provider(new) != provider(old) {
        let message = "node updates may not change providerID except from \"\" to valid";
        errors.push(forbidden(&SPEC.child("providerID"), message));
    }
    errors.extend(validate_node_taints(new));
    let external = |node| spec_text(node, |spec| &spec.external_id);
    if external(new) != external(old) {
        errors.push(forbidden(&SPEC.child("externalID"), "may not be updated"));
    }
    errors
}

fn spec_text<'a>(node: &'a Node, field: impl Fn(&'a NodeSpec) -> &'a Option<String>) -> &'a str {
    node.spec.as_ref().map_or("", |spec| text(field(spec)))
}

fn pod_cidrs(node: &Node) -> &[String] {
    node.spec.as_ref().and_then(|spec| spec.pod_cidrs.as_deref()).unwrap_or_default()
}

fn validate_node_taints(node: &Node) -> ErrorList {
    let taints = node.spec.as_ref().and_then(|spec| spec.taints.as_deref()).unwrap_or_default();
    // Upstream names them as if they were metadata.
    validate_taints(taints, &METADATA.child("taints"))
}

fn validate_resources(node: &Node) -> ErrorList {
    let mut errors = ErrorList::new();
    let mut check = |field, list: Option<&ResourceList>| {
        let path = STATUS.child(field);
        for (name, quantity) in list.into_iter().flatten() {
            errors.extend(validate_quantity(name, Quantity::of(quantity), &path.child(name)));
        }
    };
    let status = node.status.as_ref();
    check("capacity", status.and_then(|status| status.capacity.as_ref()));
    check("allocatable", status.and_then(|status| status.allocatable.as_ref()));
    errors
}

fn validate_addresses(node: &Node) -> ErrorList {
    let addresses = node.status.as_ref().and_then(|status| status.addresses.as_deref()).unwrap_or_default();
    let path = STATUS.child("addresses");
    let repeated = |position: &usize| addresses[..*position].contains(&addresses[*position]);
    (0..addresses.len())
        .filter(repeated)
        .map(|position| {
            let address = &addresses[position];
            let shown = serde_json::json!({"Type": address.type_, "Address": address.address});
            duplicate(&path.index(position), shown)
        })
        .collect()
}

fn require_same_pod_cidrs(new: &Node, old: &Node) -> ErrorList {
    let (new, old) = (pod_cidrs(new), pod_cidrs(old));
    let changed = if new.len() == old.len() { new.iter().zip(old).filter(|(new, old)| new != old).count() } else { 1 };
    let message = "node updates may not change podCIDR except from \"\" to valid";
    (0..changed).map(|_| forbidden(&SPEC.child("podCIDRs"), message)).collect()
}

fn validate_pod_cidrs(cidrs: &[String]) -> ErrorList {
    let mut errors = ErrorList::new();
    let path = SPEC.child("podCIDRs");
    let families: Vec<Option<bool>> = cidrs.iter().map(|cidr| cidr_is_ipv6(cidr)).collect();
    for (position, _) in families.iter().enumerate().filter(|(_, family)| family.is_none()) {
        let message = "must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)";
        errors.push(invalid(&path.index(position), &cidrs[position], message));
    }
    if cidrs.len() > 1 {
        let dual_stack = families.contains(&Some(true)) && families.contains(&Some(false));
        if !dual_stack || cidrs.len() > 2 {
            errors.push(invalid(&path, Json(&cidrs), "may specify no more than one CIDR for each IP family"));
        }
        for (position, cidr) in cidrs.iter().enumerate().filter(|(position, cidr)| cidrs[..*position].contains(cidr)) {
            errors.push(duplicate(&path.index(position), cidr));
        }
    }
    errors
}

/// The family of an address range, if it is one.
fn cidr_is_ipv6(cidr: &str) -> Option<bool> {
    let (address, length) = cidr.split_once('/')?;
    let address: IpAddr = address.parse().ok()?;
    let length: u8 = length.parse().ok()?;
    let max = if address.is_ipv6() { 128 } else { 32 };
    (length <= max).then_some(address.is_ipv6())
}
