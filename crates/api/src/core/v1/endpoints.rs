//! Endpoints: the older form of EndpointSlices, for clients that know no other.

use k8s_openapi::api::core::v1::{EndpointAddress, EndpointPort, EndpointSubset, Endpoints};

use crate::field::{ErrorList, Path, extend_invalid, invalid, not_supported, required};
use crate::meta::{Scope, text, validate_meta, validate_meta_update};
use crate::names::{self, subdomain_name};
use crate::net;
use crate::object::Kind;
use crate::omit_empty::{self, omit_empty};

const SUBSETS: Path<'static> = Path::new("subsets");
const PROTOCOLS: &[&str] = &["SCTP", "TCP", "UDP"];

impl Kind for Endpoints {
    fn set_defaults(&mut self) {
        omit_empty::metadata(&mut self.metadata);
        omit_empty!(self => subsets);
        for subset in self.subsets.iter_mut().flatten() {
            omit_empty!(subset => addresses, not_ready_addresses, ports);
            let lists = [&mut subset.addresses, &mut subset.not_ready_addresses];
            for address in lists.into_iter().flatten().flatten() {
                omit_empty!(address => hostname);
            }
            for port in subset.ports.iter_mut().flatten() {
                omit_empty!(port => name, protocol);
                port.protocol.get_or_insert_with(|| "TCP".to_owned());
            }
        }
    }

    fn validate(&self) -> ErrorList {
        let mut errors = validate_meta(&self.metadata, Scope::Namespaced, subdomain_name);
        validate_subsets(self.subsets.as_deref().unwrap_or_default(), &mut errors);
        errors
    }

    fn validate_update(&self, old: &Self) -> ErrorList {
        let mut errors = validate_meta_update(&self.metadata, &old.metadata);
        if self.subsets != old.subsets {
            validate_subsets(self.subsets.as_deref().unwrap_or_default(), &mut errors);
        }
        errors
    }

    fn validate_status_update(&self, old: &Self) -> ErrorList {
        Kind::validate_update(self, old)
    }

    fn warnings(&self) -> Vec<String> {
        let mut warnings = Vec::new();
        for (position, subset) in self.subsets.iter().flatten().enumerate() {
            let path = SUBSETS.index(position);
            for (field, list) in lists_of(subset) {
                let path = path.child(field);
                for (position, address) in list.iter().enumerate() {
                    let path = path.index(position);
                    warnings.extend(net::warn_of_ip(&path.child("ip"), &address.ip));
                }
            }
        }
        warnings
    }
}

fn lists_of(subset: &EndpointSubset) -> [(&'static str, &[EndpointAddress]); 2] {
    [
        ("addresses", subset.addresses.as_deref().unwrap_or_default()),
        ("notReadyAddresses", subset.not_ready_addresses.as_deref().unwrap_or_default()),
    ]
}

fn validate_subsets(subsets: &[EndpointSubset], errors: &mut ErrorList) {
    for (position, subset) in subsets.iter().enumerate() {
        let path = SUBSETS.index(position);
        let lists = lists_of(subset);
        if lists.iter().all(|(_, list)| list.is_empty()) {
            errors.push(required(&path, "must specify `addresses` or `notReadyAddresses`"));
        }
        for (field, list) in lists {
            let path = path.child(field);
            for (position, address) in list.iter().enumerate() {
                validate_address(address, &path.index(position), errors);
            }
        }
        let ports = subset.ports.as_deref().unwrap_or_default();
        let path = path.child("ports");
        for (position, port) in ports.iter().enumerate() {
            validate_port(port, ports.len() > 1, &path.index(position), errors);
        }
    }
}

fn validate_address(address: &EndpointAddress, path: &Path<'_>, errors: &mut ErrorList) {
    let problems = net::validate_ip_unless_known(&path.child("ip"), &address.ip, None);
    let malformed = !problems.is_empty();
    errors.extend(problems);
    if let Some(name) = &address.hostname {
        extend_invalid(errors, &path.child("hostname"), name, names::dns1123_label(name));
    }
    if let Some(node) = &address.node_name {
        extend_invalid(errors, &path.child("nodeName"), node, names::dns1123_subdomain(node));
    }
    if !malformed {
        errors.extend(net::validate_endpoint_ip(&path.child("ip"), &address.ip));
    }
}

fn validate_port(port: &EndpointPort, named: bool, path: &Path<'_>, errors: &mut ErrorList) {
    match text(&port.name) {
        "" if named => errors.push(required(&path.child("name"), "")),
        "" => {}
        name => extend_invalid(errors, &path.child("name"), name, names::dns1123_label(name)),
    }
    errors.extend(names::port_number(port.port).map(|problem| invalid(&path.child("port"), port.port, problem)));
    match text(&port.protocol) {
        "" => errors.push(required(&path.child("protocol"), "")),
        protocol if !PROTOCOLS.contains(&protocol) => {
            errors.push(not_supported(&path.child("protocol"), protocol, PROTOCOLS));
        }
        _ => {}
    }
    if let Some(protocol) = &port.app_protocol {
        extend_invalid(errors, &path.child("appProtocol"), protocol, names::qualified_name(protocol));
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn problems_have_upstreams_places_and_words() {
        let problems = |subsets: Value| -> Vec<String> {
            let mut object: Endpoints =
                serde_json::from_value(json!({"metadata": {"name": "e", "namespace": "n"}, "subsets": subsets}))
                    .unwrap();
            object.set_defaults();
            object.validate().iter().map(ToString::to_string).collect()
        };
        assert!(problems(json!([{"addresses": [{"ip": "192.0.2.1"}], "ports": [{"port": 80}]}])).is_empty());
        assert_eq!(
            problems(json!([{}])),
            ["subsets[0]: Required value: must specify `addresses` or `notReadyAddresses`"]
        );
        assert_eq!(
            problems(
                json!([{"notReadyAddresses": [{"ip": "127.0.0.1"}], "ports": [{"port": 80}, {"port": 81, "name": "b"}]}])
            ),
            [
                "subsets[0].notReadyAddresses[0].ip: Invalid value: \"127.0.0.1\": may not be in the loopback range \
                 (127.0.0.0/8, ::1/128)",
                "subsets[0].ports[0].name: Required value",
            ]
        );
    }
}
