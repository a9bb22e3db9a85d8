//! Validation of Services.

use k8s_openapi::api::core::v1::{LoadBalancerStatus, Service, ServiceSpec, SessionAffinityConfig};

use super::addresses::{self, FIXED, validate_addresses};
use super::{
    AFFINITY_CLIENT_IP, AFFINITY_NONE, CLUSTER_IP_NONE, POLICY_CLUSTER, POLICY_LOCAL, TOPOLOGY_HINTS, TOPOLOGY_MODE,
    TYPE_CLUSTER_IP, TYPE_EXTERNAL_NAME, TYPE_LOAD_BALANCER, TYPE_NODE_PORT, is_externally_accessible, is_headless,
    needs_health_check, ports, type_of,
};
use crate::field::{ErrorList, Path, extend_invalid, forbidden, invalid, not_supported, required};
use crate::labels::validate_labels;
use crate::meta::{IMMUTABLE, METADATA, Scope, text, validate_meta, validate_meta_update};
use crate::names;
use crate::net;

const SPEC: Path<'static> = Path::new("spec");
const TYPES: &[&str] = &[TYPE_CLUSTER_IP, TYPE_EXTERNAL_NAME, TYPE_LOAD_BALANCER, TYPE_NODE_PORT];
const POLICIES: &[&str] = &[POLICY_CLUSTER, POLICY_LOCAL];
const AFFINITIES: &[&str] = &[AFFINITY_CLIENT_IP, AFFINITY_NONE];
const DISTRIBUTIONS: &[&str] = &["PreferClose", "PreferSameZone", "PreferSameNode"];
const SOURCE_RANGES: &str = "service.beta.kubernetes.io/load-balancer-source-ranges";
const ONLY_BALANCED: &str = "may only be used when `type` is 'LoadBalancer'";
const MAX_AFFINITY_SECONDS: i32 = 86_400;
const KUBELET_PORT: i32 = 10_250;

/// The spec of a Service that has its defaults.
fn spec_of(service: &Service) -> &ServiceSpec {
    service.spec.as_ref().expect("defaults give every Service a spec")
}

pub(super) fn validate_service(service: &Service, old: Option<&Service>) -> ErrorList {
    let mut errors = validate_meta(&service.metadata, Scope::Namespaced, names::label_name);
    validate_topology(service, &mut errors);
    let (spec, old) = (spec_of(service), old.map(spec_of));
    if spec.ports.is_none() && !is_headless(spec) && type_of(spec) != TYPE_EXTERNAL_NAME {
        errors.push(required(&SPEC.child("ports"), ""));
    }
    validate_of_type(spec, &mut errors);
    let ports_path = SPEC.child("ports");
    ports::validate_ports(spec, &ports_path, &mut errors);
    errors.extend(validate_labels(spec.selector.as_ref(), &SPEC.child("selector")));
    validate_affinity(spec, &mut errors);
    errors.extend(validate_addresses(spec, old));
    validate_external_ips(spec, old, &mut errors);
    match type_of(spec) {
        "" => errors.push(required(&SPEC.child("type"), "")),
        kind if !TYPES.contains(&kind) => errors.push(not_supported(&SPEC.child("type"), kind, TYPES)),
        _ => {}
    }
    ports::validate_distinct(spec, &ports_path, &mut errors);
    validate_source_ranges(service, spec, old, &mut errors);
    validate_balancing(spec, &mut errors);
    validate_external_traffic(spec, &mut errors);
    validate_internal_traffic(spec, &mut errors);
    errors
}

fn validate_topology(service: &Service, errors: &mut ErrorList) {
    let annotation = |name| service.metadata.annotations.as_ref().and_then(|annotations| annotations.get(name));
    if let (Some(hints), Some(mode)) = (annotation(TOPOLOGY_HINTS), annotation(TOPOLOGY_MODE))
        && hints != mode
    {
        let text = format!("must match annotations[{TOPOLOGY_HINTS}] when both are specified");
        errors.push(invalid(&METADATA.child("annotations").key(TOPOLOGY_MODE), mode, text));
    }
}

/// What one `type` may not have.
fn validate_of_type(spec: &ServiceSpec, errors: &mut ErrorList) {
    let addresses = SPEC.child("clusterIPs");
    let not_headless = |errors: &mut ErrorList| {
        if is_headless(spec) {
            let text = format!("may not be set to 'None' for {} services", type_of(spec));
            errors.push(invalid(&addresses.index(0), CLUSTER_IP_NONE, text));
        }
    };
    match type_of(spec) {
        TYPE_LOAD_BALANCER => {
            let path = SPEC.child("ports");
            let ports = spec.ports.iter().flatten().enumerate();
            for (position, port) in ports.filter(|(_, port)| port.port == KUBELET_PORT) {
                let text = format!("may not expose port {KUBELET_PORT} externally since it is used by kubelet");
                errors.push(invalid(&path.index(position), port.port, text));
            }
            not_headless(errors);
        }
        TYPE_NODE_PORT => not_headless(errors),
        TYPE_EXTERNAL_NAME => validate_external_name(spec, &addresses, errors),
        _ => {}
    }
}

fn validate_external_name(spec: &ServiceSpec, addresses: &Path<'_>, errors: &mut ErrorList) {
    const NOT_HERE: &str = "may not be set for ExternalName services";
    if spec.cluster_ips.is_some() {
        errors.push(forbidden(addresses, NOT_HERE));
    }
    if spec.ip_families.is_some() {
        errors.push(forbidden(&SPEC.child("ipFamilies"), NOT_HERE));
    }
    if spec.ip_family_policy.is_some() {
        errors.push(forbidden(&SPEC.child("ipFamilyPolicy"), NOT_HERE));
    }
    let path = SPEC.child("externalName");
    let name = text(&spec.external_name);
    match name.strip_suffix('.').unwrap_or(name) {
        "" => errors.push(required(&path, "")),
        name => extend_invalid(errors, &path, name, names::dns1123_subdomain(name)),
    }
}

fn validate_affinity(spec: &ServiceSpec, errors: &mut ErrorList) {
    let (path, config_path) = (SPEC.child("sessionAffinity"), SPEC.child("sessionAffinityConfig"));
    match text(&spec.session_affinity) {
        "" => errors.push(required(&path, "")),
        AFFINITY_CLIENT_IP => validate_client_ip(spec.session_affinity_config.as_ref(), &config_path, errors),
        AFFINITY_NONE if spec.session_affinity_config.is_some() => {
            errors.push(forbidden(&config_path, "must not be set when session affinity is None"));
        }
        AFFINITY_NONE => {}
        other => errors.push(not_supported(&path, other, AFFINITIES)),
    }
}

fn validate_client_ip(config: Option<&SessionAffinityConfig>, path: &Path<'_>, errors: &mut ErrorList) {
    const WHEN: &str = "when session affinity type is ClientIP";
    let Some(config) = config else { return errors.push(required(path, WHEN)) };
    let path = path.child("clientIP");
    let Some(client) = &config.client_ip else { return errors.push(required(&path, WHEN)) };
    let path = path.child("timeoutSeconds");
    match client.timeout_seconds {
        None => errors.push(required(&path, WHEN)),
        Some(seconds) if seconds <= 0 || seconds > MAX_AFFINITY_SECONDS => {
            let text = format!("must be greater than 0 and less than {MAX_AFFINITY_SECONDS}");
            errors.push(invalid(&path, seconds, text));
        }
        Some(_) => {}
    }
}

fn validate_external_ips(spec: &ServiceSpec, old: Option<&ServiceSpec>, errors: &mut ErrorList) {
    let path = SPEC.child("externalIPs");
    let known = old.and_then(|old| old.external_ips.as_deref());
    for (position, address) in spec.external_ips.iter().flatten().enumerate() {
        let path = path.index(position);
        let problems = net::validate_ip_unless_known(&path, address, known);
        errors.extend(if problems.is_empty() { net::validate_endpoint_ip(&path, address) } else { problems });
    }
}

fn validate_source_ranges(service: &Service, spec: &ServiceSpec, old: Option<&ServiceSpec>, errors: &mut ErrorList) {
    let annotation = service.metadata.annotations.as_ref().and_then(|annotations| annotations.get(SOURCE_RANGES));
    let balanced = type_of(spec) == TYPE_LOAD_BALANCER;
    if let Some(ranges) = &spec.load_balancer_source_ranges {
        let path = SPEC.child("LoadBalancerSourceRanges"); // as upstream spells it
        if !balanced {
            errors.push(forbidden(&path, ONLY_BALANCED));
        }
        let known = old.and_then(|old| old.load_balancer_source_ranges.as_deref());
        for (position, range) in ranges.iter().enumerate() {
            errors.extend(net::validate_cidr_unless_known(&path.index(position), range.trim(), known));
        }
    } else if let Some(ranges) = annotation {
        let annotations = METADATA.child("annotations");
        let path = annotations.key(SOURCE_RANGES);
        if !balanced {
            errors.push(forbidden(&path, ONLY_BALANCED));
        }
        for range in ranges.split(',').map(str::trim).filter(|_| !ranges.trim().is_empty()) {
            errors.extend(net::validate_cidr_unless_known(&path, range, None));
        }
    }
}

fn validate_balancing(spec: &ServiceSpec, errors: &mut ErrorList) {
    let balanced = type_of(spec) == TYPE_LOAD_BALANCER;
    match spec.allocate_load_balancer_node_ports {
        Some(_) if !balanced => errors.push(forbidden(&SPEC.child("allocateLoadBalancerNodePorts"), ONLY_BALANCED)),
        None if balanced => errors.push(required(&Path::new("allocateLoadBalancerNodePorts"), "")),
        _ => {}
    }
    validate_balancer_class(spec, errors);
}

fn validate_balancer_class(spec: &ServiceSpec, errors: &mut ErrorList) {
    let Some(class) = &spec.load_balancer_class else { return };
    let path = SPEC.child("loadBalancerClass");
    if type_of(spec) == TYPE_LOAD_BALANCER {
        extend_invalid(errors, &path, class, names::qualified_name(class));
    } else {
        errors.push(forbidden(&path, ONLY_BALANCED));
    }
}

fn validate_external_traffic(spec: &ServiceSpec, errors: &mut ErrorList) {
    let path = SPEC.child("externalTrafficPolicy");
    match (is_externally_accessible(spec), text(&spec.external_traffic_policy)) {
        (false, "") => {}
        (false, policy) => errors.push(invalid(&path, policy, "may only be set for externally-accessible services")),
        (true, "") => errors.push(required(&path, "")),
        (true, policy) if !POLICIES.contains(&policy) => errors.push(not_supported(&path, policy, POLICIES)),
        (true, _) => {}
    }
    let path = SPEC.child("healthCheckNodePort");
    match (needs_health_check(spec), spec.health_check_node_port) {
        (false, None) => {}
        (false, Some(port)) => {
            let text = "may only be set when `type` is 'LoadBalancer' and `externalTrafficPolicy` is 'Local'";
            errors.push(invalid(&path, port, text));
        }
        (true, None) => errors.push(required(&path, "")),
        (true, Some(port)) => errors.extend(names::port_number(port).map(|problem| invalid(&path, port, problem))),
    }
}

fn validate_internal_traffic(spec: &ServiceSpec, errors: &mut ErrorList) {
    let path = SPEC.child("internalTrafficPolicy");
    match &spec.internal_traffic_policy {
        None if matches!(type_of(spec), TYPE_CLUSTER_IP | TYPE_NODE_PORT | TYPE_LOAD_BALANCER) => {
            errors.push(required(&path, ""));
        }
        Some(policy) if !POLICIES.contains(&policy.as_str()) => errors.push(not_supported(&path, policy, POLICIES)),
        _ => {}
    }
    if let Some(choice) = spec.traffic_distribution.as_ref().filter(|it| !DISTRIBUTIONS.contains(&it.as_str())) {
        errors.push(not_supported(&SPEC.child("trafficDistribution"), choice, DISTRIBUTIONS));
    }
}

pub(super) fn validate_changes(service: &Service, old: &Service) -> ErrorList {
    let mut errors = validate_meta_update(&service.metadata, &old.metadata);
    addresses::validate_address_changes(service, old, &mut errors);
    let (spec, old_spec) = (spec_of(service), spec_of(old));
    let balanced = type_of(spec) == TYPE_LOAD_BALANCER && type_of(old_spec) == TYPE_LOAD_BALANCER;
    if balanced && spec.load_balancer_class != old_spec.load_balancer_class {
        let path = SPEC.child("loadBalancerClass");
        errors.push(invalid(&path, &spec.load_balancer_class, FIXED));
    }
    validate_balancer_class(spec, &mut errors);
    let checked = needs_health_check(spec) && needs_health_check(old_spec);
    if checked && spec.health_check_node_port != old_spec.health_check_node_port {
        errors.push(forbidden(&SPEC.child("healthCheckNodePort"), IMMUTABLE));
    }
    errors.extend(validate_service(service, Some(old)));
    errors
}

pub(super) fn validate_status_changes(service: &Service, old: &Service) -> ErrorList {
    let mut errors = validate_meta_update(&service.metadata, &old.metadata);
    let balancer = |service: &Service| service.status.as_ref().and_then(|status| status.load_balancer.clone());
    let path = Path::new("status");
    let path = path.child("loadBalancer");
    let (new, old) = (balancer(service).unwrap_or_default(), balancer(old).unwrap_or_default());
    validate_balancer_status(&new, &old, spec_of(service), &path, &mut errors);
    errors
}

fn validate_balancer_status(
    status: &LoadBalancerStatus,
    old: &LoadBalancerStatus,
    spec: &ServiceSpec,
    path: &Path<'_>,
    errors: &mut ErrorList,
) {
    let path = path.child("ingress");
    if type_of(spec) != TYPE_LOAD_BALANCER && status.ingress.is_some() {
        return errors.push(forbidden(&path, "may only be used when `spec.type` is 'LoadBalancer'"));
    }
    let known: Vec<String> = old.ingress.iter().flatten().filter_map(|ingress| ingress.ip.clone()).collect();
    for (position, ingress) in status.ingress.iter().flatten().enumerate() {
        let path = path.index(position);
        if let Some(address) = &ingress.ip {
            errors.extend(net::validate_ip_unless_known(&path.child("ip"), address, Some(&known)));
        }
        let mode_path = path.child("ipMode");
        match (&ingress.ip, ingress.ip_mode.as_deref()) {
            (Some(_), None) => errors.push(required(&mode_path, "must be specified when `ip` is set")),
            (None, Some(_)) => errors.push(forbidden(&mode_path, "may not be specified when `ip` is not set")),
            (Some(_), Some(mode)) if !matches!(mode, "VIP" | "Proxy") => {
                errors.push(not_supported(&mode_path, mode, &["Proxy", "VIP"]));
            }
            _ => {}
        }
        validate_host_name(text(&ingress.hostname), &path.child("hostname"), errors);
    }
}

pub(crate) fn validate_host_name(name: &str, path: &Path<'_>, errors: &mut ErrorList) {
    if name.is_empty() {
        return;
    }
    extend_invalid(errors, path, name, names::dns1123_subdomain(name));
    if net::parse_ip_leniently(name).is_some() {
        errors.push(invalid(path, name, "must be a DNS name, not an IP address"));
    }
}
