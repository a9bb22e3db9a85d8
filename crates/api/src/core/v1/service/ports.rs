//! The ports of a Service.

use std::collections::BTreeSet;

use k8s_openapi::api::core::v1::{ServicePort, ServiceSpec};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use serde::Serialize;

use super::{TYPE_CLUSTER_IP, is_unset, type_of};
use crate::field::{ErrorList, Json, Path, duplicate, extend_invalid, forbidden, invalid, not_supported, required};
use crate::meta::text;
use crate::names;
use crate::omit_empty::omit_empty;

/// What makes a port another one, as upstream's messages show it.
#[derive(Default, Serialize)]
#[serde(rename_all = "PascalCase")]
struct ShownPort<'a> {
    name: &'a str,
    protocol: Option<&'a str>,
    app_protocol: Option<&'a str>,
    port: i32,
    target_port: i32,
    node_port: i32,
}

pub(super) const PROTOCOLS: &[&str] = &["SCTP", "TCP", "UDP"];

pub(super) fn default_ports(spec: &mut ServiceSpec) {
    for port in spec.ports.iter_mut().flatten() {
        omit_empty!(port => name, node_port, protocol);
        port.protocol.get_or_insert_with(|| "TCP".to_owned());
        if port.target_port.as_ref().is_none_or(is_unset) {
            port.target_port = Some(IntOrString::Int(port.port));
        }
    }
}

pub(super) fn validate_ports(spec: &ServiceSpec, path: &Path<'_>, errors: &mut ErrorList) {
    let ports = spec.ports.as_deref().unwrap_or_default();
    let mut names = BTreeSet::new();
    for (position, port) in ports.iter().enumerate() {
        validate_port(port, ports.len() > 1, &mut names, &path.index(position), errors);
    }
}

fn validate_port<'p>(
    port: &'p ServicePort,
    named: bool,
    known: &mut BTreeSet<&'p str>,
    path: &Path<'_>,
    errors: &mut ErrorList,
) {
    let name_path = path.child("name");
    match text(&port.name) {
        "" if named => errors.push(required(&name_path, "")),
        "" => {}
        name => {
            extend_invalid(errors, &name_path, name, names::dns1123_label(name));
            if !known.insert(name) {
                errors.push(duplicate(&name_path, name));
            }
        }
    }
    errors.extend(names::port_number(port.port).map(|problem| invalid(&path.child("port"), port.port, problem)));
    match text(&port.protocol) {
        "" => errors.push(required(&path.child("protocol"), "")),
        protocol if !PROTOCOLS.contains(&protocol) => {
            errors.push(not_supported(&path.child("protocol"), protocol, PROTOCOLS));
        }
        _ => {}
    }
    validate_target(port.target_port.as_ref(), &path.child("targetPort"), errors);
    if let Some(protocol) = &port.app_protocol {
        extend_invalid(errors, &path.child("appProtocol"), protocol, names::qualified_name(protocol));
    }
}

/// A port of a Pod, as a number or by its name.
fn validate_target(target: Option<&IntOrString>, path: &Path<'_>, errors: &mut ErrorList) {
    match target {
        Some(IntOrString::String(name)) => extend_invalid(errors, path, name, names::port_name(name)),
        Some(IntOrString::Int(number)) => {
            errors.extend(names::port_number(*number).map(|problem| invalid(path, *number, problem)));
        }
        None => errors.extend(names::port_number(0).map(|problem| invalid(path, 0, problem))),
    }
}

/// No two ports may be one, inside the cluster or on nodes.
pub(super) fn validate_distinct(spec: &ServiceSpec, path: &Path<'_>, errors: &mut ErrorList) {
    let ports = spec.ports.as_deref().unwrap_or_default();
    if type_of(spec) == TYPE_CLUSTER_IP {
        for (position, _) in ports.iter().enumerate().filter(|(_, port)| port.node_port.is_some()) {
            let path = path.index(position);
            errors.push(forbidden(&path.child("nodePort"), "may not be used when `type` is 'ClusterIP'"));
        }
    }
    let mut known = BTreeSet::new();
    for (position, port) in ports.iter().enumerate() {
        let Some(node_port) = port.node_port else { continue };
        if !known.insert((&port.protocol, node_port)) {
            errors.push(duplicate(&path.index(position).child("nodePort"), node_port));
        }
    }
    let mut known = BTreeSet::new();
    for (position, port) in ports.iter().enumerate() {
        if !known.insert((&port.protocol, port.port)) {
            let shown = ShownPort { protocol: port.protocol.as_deref(), port: port.port, ..ShownPort::default() };
            errors.push(duplicate(&path.index(position), Json(&shown)));
        }
    }
}
