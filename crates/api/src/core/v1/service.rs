//! Services.

use k8s_openapi::api::core::v1::{ClientIPConfig, Service, ServiceSpec, SessionAffinityConfig};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use crate::field::{ErrorList, Path};
use crate::meta::text;
use crate::net;
use crate::object::Kind;
use crate::omit_empty::{self, omit_empty};

mod addresses;
mod ports;
#[cfg(test)]
mod tests;
mod transition;
mod validation;

pub use addresses::validate_addresses;
pub use transition::{drop_type_dependent, patch_allocated, sync_cluster_ips};
pub(crate) use validation::validate_host_name;

/// The `type` of Services that have an address inside the cluster.
pub const TYPE_CLUSTER_IP: &str = "ClusterIP";
/// The `type` of Services that have a port on every node.
pub const TYPE_NODE_PORT: &str = "NodePort";
/// The `type` of Services that somebody outside balances.
pub const TYPE_LOAD_BALANCER: &str = "LoadBalancer";
/// The `type` of Services that are a name for another name.
pub const TYPE_EXTERNAL_NAME: &str = "ExternalName";
/// The `clusterIP` of Services without one.
pub const CLUSTER_IP_NONE: &str = "None";
/// The only family of a Service.
pub const SINGLE_STACK: &str = "SingleStack";
/// Both families where the cluster has them.
pub const PREFER_DUAL_STACK: &str = "PreferDualStack";
/// Both families.
pub const REQUIRE_DUAL_STACK: &str = "RequireDualStack";

const AFFINITY_NONE: &str = "None";
const AFFINITY_CLIENT_IP: &str = "ClientIP";
const DEFAULT_AFFINITY_SECONDS: i32 = 10_800;
const POLICY_CLUSTER: &str = "Cluster";
const POLICY_LOCAL: &str = "Local";
const TOPOLOGY_HINTS: &str = "service.kubernetes.io/topology-aware-hints";
const TOPOLOGY_MODE: &str = "service.kubernetes.io/topology-mode";

impl Kind for Service {
    fn set_defaults(&mut self) {
        omit_empty::metadata(&mut self.metadata);
        let spec = self.spec.get_or_insert_default();
        omit_zeros(spec);
        default_affinity(spec);
        spec.type_.get_or_insert_with(|| TYPE_CLUSTER_IP.to_owned());
        ports::default_ports(spec);
        if is_externally_accessible(spec) {
            spec.external_traffic_policy.get_or_insert_with(|| POLICY_CLUSTER.to_owned());
        }
        if matches!(type_of(spec), TYPE_CLUSTER_IP | TYPE_NODE_PORT | TYPE_LOAD_BALANCER) {
            spec.internal_traffic_policy.get_or_insert_with(|| POLICY_CLUSTER.to_owned());
        }
        let balanced = type_of(spec) == TYPE_LOAD_BALANCER;
        if balanced {
            spec.allocate_load_balancer_node_ports.get_or_insert(true);
        }
        let status = self.status.get_or_insert_default();
        omit_empty!(status => conditions);
        let balancer = status.load_balancer.get_or_insert_default();
        omit_empty!(balancer => ingress);
        for ingress in balancer.ingress.iter_mut().flatten() {
            omit_empty!(ingress => hostname, ip, ports);
            if balanced && ingress.ip.is_some() {
                ingress.ip_mode.get_or_insert_with(|| "VIP".to_owned());
            }
        }
    }

    fn validate(&self) -> ErrorList {
        validation::validate_service(self, None)
    }

    fn validate_update(&self, old: &Self) -> ErrorList {
        validation::validate_changes(self, old)
    }

    fn validate_status_update(&self, old: &Self) -> ErrorList {
        validation::validate_status_changes(self, old)
    }

    fn warnings(&self) -> Vec<String> {
        let mut warnings = Vec::new();
        let annotations = self.metadata.annotations.as_ref();
        if annotations.is_some_and(|annotations| annotations.contains_key(TOPOLOGY_HINTS)) {
            warnings.push(format!("annotation {TOPOLOGY_HINTS} is deprecated, please use {TOPOLOGY_MODE} instead"));
        }
        if let Some(spec) = &self.spec {
            warn_of_addresses(spec, &mut warnings);
            warn_of_ignored(spec, &mut warnings);
        }
        warnings
    }
}

fn omit_zeros(spec: &mut ServiceSpec) {
    omit_empty!(spec => cluster_ip, cluster_ips, external_ips, external_name, external_traffic_policy,
        health_check_node_port, ip_families, load_balancer_ip, load_balancer_source_ranges, ports,
        publish_not_ready_addresses, selector, session_affinity, type_);
}

fn default_affinity(spec: &mut ServiceSpec) {
    let affinity = spec.session_affinity.get_or_insert_with(|| AFFINITY_NONE.to_owned());
    match affinity.as_str() {
        AFFINITY_NONE => spec.session_affinity_config = None,
        AFFINITY_CLIENT_IP => {
            let config = spec.session_affinity_config.get_or_insert_with(SessionAffinityConfig::default);
            let client = config.client_ip.get_or_insert_with(ClientIPConfig::default);
            client.timeout_seconds.get_or_insert(DEFAULT_AFFINITY_SECONDS);
        }
        _ => {}
    }
}

fn warn_of_addresses(spec: &ServiceSpec, warnings: &mut Vec<String>) {
    let root = Path::new("spec");
    let lists = [("clusterIPs", &spec.cluster_ips), ("externalIPs", &spec.external_ips)];
    if spec.external_ips.is_some() {
        warnings.push("spec.externalIPs is deprecated".to_owned());
    }
    for (name, list) in lists {
        let path = root.child(name);
        for (position, address) in list.iter().flatten().enumerate() {
            warnings.extend(net::warn_of_ip(&path.index(position), address));
        }
    }
    if let Some(address) = &spec.load_balancer_ip {
        warnings.extend(net::warn_of_ip(&root.child("loadBalancerIP"), address));
    }
    let path = root.child("loadBalancerSourceRanges");
    for (position, range) in spec.load_balancer_source_ranges.iter().flatten().enumerate() {
        warnings.extend(net::warn_of_cidr(&path.index(position), range));
    }
}

fn warn_of_ignored(spec: &ServiceSpec, warnings: &mut Vec<String>) {
    if is_headless(spec) {
        if spec.load_balancer_ip.is_some() {
            warnings.push("spec.loadBalancerIP is ignored for headless services".to_owned());
        }
        if spec.external_ips.is_some() {
            warnings.push("spec.externalIPs is ignored for headless services".to_owned());
        }
        if text(&spec.session_affinity) != AFFINITY_NONE {
            warnings.push("spec.SessionAffinity is ignored for headless services".to_owned());
        }
    }
    if type_of(spec) == TYPE_EXTERNAL_NAME && spec.external_ips.is_some() {
        warnings.push(format!("spec.externalIPs is ignored when spec.type is \"{TYPE_EXTERNAL_NAME}\""));
    }
    if type_of(spec) != TYPE_EXTERNAL_NAME && !text(&spec.external_name).is_empty() {
        warnings.push(format!("spec.externalName is ignored when spec.type is not \"{TYPE_EXTERNAL_NAME}\""));
    }
    if spec.traffic_distribution.as_deref() == Some("PreferClose") {
        warnings.push("spec.trafficDistribution: \"PreferClose\" is deprecated; use \"PreferSameZone\"".to_owned());
    }
}

/// The `type`.
pub fn type_of(spec: &ServiceSpec) -> &str {
    text(&spec.type_)
}

/// Whether it is one without an address of its own: clients talk to its Pods.
pub fn is_headless(spec: &ServiceSpec) -> bool {
    spec.cluster_ips.as_deref().is_some_and(|addresses| matches!(addresses, [only] if only == CLUSTER_IP_NONE))
}

/// Whether its `type` is one with an address (`None` counts).
pub fn needs_cluster_ip(spec: &ServiceSpec) -> bool {
    type_of(spec) != TYPE_EXTERNAL_NAME
}

/// Whether its `type` is one with ports on nodes.
pub fn needs_node_port(spec: &ServiceSpec) -> bool {
    matches!(type_of(spec), TYPE_NODE_PORT | TYPE_LOAD_BALANCER)
}

/// Whether load balancers ask nodes whether they have Pods of it.
pub fn needs_health_check(spec: &ServiceSpec) -> bool {
    type_of(spec) == TYPE_LOAD_BALANCER && text(&spec.external_traffic_policy) == POLICY_LOCAL
}

/// Whether clients outside the cluster can reach it.
pub fn is_externally_accessible(spec: &ServiceSpec) -> bool {
    needs_node_port(spec) || (type_of(spec) == TYPE_CLUSTER_IP && spec.external_ips.is_some())
}

/// A port as a number or a name, `0` and the empty string being neither.
fn is_unset(port: &IntOrString) -> bool {
    match port {
        IntOrString::Int(number) => *number == 0,
        IntOrString::String(name) => name.is_empty(),
    }
}
