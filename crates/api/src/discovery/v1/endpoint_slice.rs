//! EndpointSlices: who stands behind a Service.

use std::collections::BTreeSet;

use k8s_openapi::api::discovery::v1::{Endpoint, EndpointHints, EndpointPort, EndpointSlice};

use crate::field::{ErrorList, Path, duplicate, extend_invalid, forbidden, invalid, not_supported, required, too_many};
use crate::labels::validate_labels;
use crate::meta::{IMMUTABLE, Scope, text, validate_meta};
use crate::names::{self, subdomain_name};
use crate::net;
use crate::object::Kind;
use crate::omit_empty::{self, omit_empty};

/// The label with the name of the Service a slice belongs to.
pub const SERVICE_NAME_LABEL: &str = "kubernetes.io/service-name";

const ADDRESS_TYPES: &[&str] = &["FQDN", "IPv4", "IPv6"];
const PROTOCOLS: &[&str] = &["SCTP", "TCP", "UDP"];
const ZONE_LABEL: &str = "topology.kubernetes.io/zone";
const MAX_ENDPOINTS: usize = 1000;
const MAX_ADDRESSES: usize = 100;
const MAX_PORTS: usize = 20_000;
const MAX_TOPOLOGY_LABELS: usize = 16;
const MAX_HINTS: usize = 8;

impl Kind for EndpointSlice {
    fn set_defaults(&mut self) {
        omit_empty::metadata(&mut self.metadata);
        omit_empty!(self => endpoints, ports);
        for endpoint in self.endpoints.iter_mut().flatten() {
            omit_empty!(endpoint => deprecated_topology);
            endpoint.conditions.get_or_insert_default();
            if let Some(hints) = &mut endpoint.hints {
                omit_empty!(hints => for_nodes, for_zones);
            }
        }
        for port in self.ports.iter_mut().flatten() {
            port.name.get_or_insert_default();
            port.protocol.get_or_insert_with(|| "TCP".to_owned());
        }
    }

    fn validate(&self) -> ErrorList {
        validate_slice(self, None)
    }

    fn validate_update(&self, old: &Self) -> ErrorList {
        let mut errors = validate_slice(self, Some(old));
        if self.address_type != old.address_type {
            errors.push(invalid(&Path::new("addressType"), &self.address_type, IMMUTABLE));
        }
        errors
    }

    fn validate_status_update(&self, old: &Self) -> ErrorList {
        Kind::validate_update(self, old)
    }

    fn warnings(&self) -> Vec<String> {
        if self.address_type == "FQDN" {
            return vec!["spec.addressType: FQDN endpoints are deprecated".to_owned()];
        }
        let path = Path::new("endpoints");
        let mut warnings = Vec::new();
        for (position, endpoint) in self.endpoints.iter().flatten().enumerate() {
            let path = path.index(position);
            let path = path.child("addresses");
            let addresses = endpoint.addresses.iter().enumerate();
            warnings
                .extend(addresses.filter_map(|(position, address)| net::warn_of_ip(&path.index(position), address)));
        }
        warnings
    }
}

/// What was accepted once is not looked at again while it stays.
fn validate_slice(slice: &EndpointSlice, old: Option<&EndpointSlice>) -> ErrorList {
    let mut errors = validate_meta(&slice.metadata, Scope::Namespaced, subdomain_name);
    let path = Path::new("addressType");
    match slice.address_type.as_str() {
        "" => errors.push(required(&path, "")),
        kind if !ADDRESS_TYPES.contains(&kind) => errors.push(not_supported(&path, kind, ADDRESS_TYPES)),
        _ => {}
    }
    if old.is_none_or(|old| old.endpoints != slice.endpoints) {
        validate_endpoints(slice, &mut errors);
    }
    if old.is_none_or(|old| old.ports != slice.ports) {
        validate_ports(slice.ports.as_deref().unwrap_or_default(), &mut errors);
    }
    errors
}

fn validate_endpoints(slice: &EndpointSlice, errors: &mut ErrorList) {
    let path = Path::new("endpoints");
    let endpoints = slice.endpoints.as_deref().unwrap_or_default();
    if endpoints.len() > MAX_ENDPOINTS {
        return errors.push(too_many(&path, endpoints.len(), MAX_ENDPOINTS));
    }
    for (position, endpoint) in endpoints.iter().enumerate() {
        let path = path.index(position);
        validate_addresses(&endpoint.addresses, &slice.address_type, &path.child("addresses"), errors);
        validate_endpoint(endpoint, &path, errors);
    }
}

fn validate_addresses(addresses: &[String], kind: &str, path: &Path<'_>, errors: &mut ErrorList) {
    if addresses.is_empty() {
        errors.push(required(path, "must contain at least 1 address"));
    } else if addresses.len() > MAX_ADDRESSES {
        errors.push(too_many(path, addresses.len(), MAX_ADDRESSES));
    }
    for (position, address) in addresses.iter().enumerate() {
        let own = path.index(position);
        match kind {
            "IPv4" | "IPv6" => {
                let problems = net::validate_ip_unless_known(&own, address, None);
                if !problems.is_empty() {
                    errors.extend(problems);
                    continue;
                }
                if address.contains(':') != (kind == "IPv6") {
                    errors.push(invalid(path, address, format!("must be an {kind} address")));
                }
                errors.extend(net::validate_endpoint_ip(&own, address));
            }
            "FQDN" => errors.extend(names::fully_qualified_domain_name(&own, address)),
            _ => {}
        }
    }
}

fn validate_endpoint(endpoint: &Endpoint, path: &Path<'_>, errors: &mut ErrorList) {
    if let Some(node) = &endpoint.node_name {
        extend_invalid(errors, &path.child("nodeName"), node, names::dns1123_subdomain(node));
    }
    let topology_path = path.child("deprecatedTopology");
    if let Some(topology) = &endpoint.deprecated_topology {
        if topology.len() > MAX_TOPOLOGY_LABELS {
            errors.push(too_many(&topology_path, topology.len(), MAX_TOPOLOGY_LABELS));
        }
        errors.extend(validate_labels(Some(topology), &topology_path));
        if topology.contains_key(ZONE_LABEL) {
            errors.push(forbidden(&topology_path.key(ZONE_LABEL), "reserved key was removed in v1"));
        }
    }
    if let Some(name) = &endpoint.hostname {
        extend_invalid(errors, &path.child("hostname"), name, names::dns1123_label(name));
    }
    if let Some(hints) = &endpoint.hints {
        validate_hints(hints, &path.child("hints"), errors);
    }
}

fn validate_hints(hints: &EndpointHints, path: &Path<'_>, errors: &mut ErrorList) {
    let zones = hints.for_zones.iter().flatten().map(|zone| zone.name.as_str()).collect::<Vec<_>>();
    let nodes = hints.for_nodes.iter().flatten().map(|node| node.name.as_str()).collect::<Vec<_>>();
    validate_hint_names(&zones, names::label_value, &path.child("forZones"), errors);
    validate_hint_names(&nodes, names::dns1123_subdomain, &path.child("forNodes"), errors);
}

fn validate_hint_names(list: &[&str], check: fn(&str) -> names::Problems, path: &Path<'_>, errors: &mut ErrorList) {
    if list.len() > MAX_HINTS {
        return errors.push(too_many(path, list.len(), MAX_HINTS));
    }
    let mut known = BTreeSet::new();
    for (position, &name) in list.iter().enumerate() {
        let path = path.index(position);
        let path = path.child("name");
        if !known.insert(name) {
            errors.push(duplicate(&path, name));
        }
        extend_invalid(errors, &path, name, check(name));
    }
}

fn validate_ports(ports: &[EndpointPort], errors: &mut ErrorList) {
    let path = Path::new("ports");
    if ports.len() > MAX_PORTS {
        return errors.push(too_many(&path, ports.len(), MAX_PORTS));
    }
    let mut known = BTreeSet::new();
    for (position, port) in ports.iter().enumerate() {
        let path = path.index(position);
        let name = text(&port.name);
        if !name.is_empty() {
            extend_invalid(errors, &path.child("name"), name, names::dns1123_label(name));
        }
        if !known.insert(name) {
            errors.push(duplicate(&path.child("name"), name));
        }
        match port.protocol.as_deref() {
            None => errors.push(required(&path.child("protocol"), "")),
            Some(protocol) if !PROTOCOLS.contains(&protocol) => {
                errors.push(not_supported(&path.child("protocol"), protocol, PROTOCOLS));
            }
            Some(_) => {}
        }
        if let Some(protocol) = &port.app_protocol {
            extend_invalid(errors, &path.child("appProtocol"), protocol, names::qualified_name(protocol));
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn slice(value: Value) -> EndpointSlice {
        let mut whole = json!({"metadata": {"name": "s", "namespace": "n"}, "addressType": "IPv4"});
        whole.as_object_mut().unwrap().extend(value.as_object().unwrap().clone());
        let mut slice: EndpointSlice = serde_json::from_value(whole).unwrap();
        slice.set_defaults();
        slice
    }

    #[test]
    fn defaults_name_and_protocol() {
        let got = slice(json!({"ports": [{"port": 80}], "endpoints": [{"addresses": ["192.0.2.1"]}]}));
        assert_eq!(serde_json::to_value(&got.ports).unwrap(), json!([{"name": "", "port": 80, "protocol": "TCP"}]));
        assert!(got.endpoints.unwrap()[0].conditions.is_some());
    }

    #[test]
    fn addresses_are_of_the_type() {
        for (value, problems) in [
            (json!({"endpoints": [{"addresses": ["192.0.2.1"]}]}), &[][..]),
            (
                json!({"addressType": "Odd"}),
                &["addressType: Unsupported value: \"Odd\": supported values: \"FQDN\", \"IPv4\", \"IPv6\""],
            ),
            (
                json!({"endpoints": [{"addresses": []}]}),
                &["endpoints[0].addresses: Required value: must contain at least 1 address"],
            ),
            (
                json!({"endpoints": [{"addresses": ["2001:db8::1"]}]}),
                &["endpoints[0].addresses: Invalid value: \"2001:db8::1\": must be an IPv4 address"],
            ),
            (
                json!({"endpoints": [{"addresses": ["192.0.2.1"], "hints": {"forZones": [{"name": "a"}, {"name": "a"}]}}]}),
                &["endpoints[0].hints.forZones[1].name: Duplicate value: \"a\""],
            ),
            (
                json!({"ports": [{"name": "a"}, {"name": "a", "protocol": "X"}]}),
                &[
                    "ports[1].name: Duplicate value: \"a\"",
                    "ports[1].protocol: Unsupported value: \"X\": supported values: \"SCTP\", \"TCP\", \"UDP\"",
                ],
            ),
        ] {
            let found: Vec<String> = slice(value.clone()).validate().iter().map(ToString::to_string).collect();
            assert_eq!(found, problems, "{value}");
        }
    }

    #[test]
    fn what_was_accepted_stays() {
        let old = slice(json!({"endpoints": [{"addresses": ["127.0.0.1"]}]}));
        assert!(Kind::validate_update(&old, &old).is_empty());
        let new = slice(json!({"addressType": "IPv6", "endpoints": [{"addresses": ["2001:db8::1"]}]}));
        assert_eq!(Kind::validate_update(&new, &old).len(), 1);
    }
}
