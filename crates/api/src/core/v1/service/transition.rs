//! What an update of a Service means where it leaves things unsaid: fields that were allocated, and fields that make no
//! sense for another `type`.

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::api::core::v1::{Service, ServiceSpec};

use super::{
    TYPE_LOAD_BALANCER, is_externally_accessible, needs_cluster_ip, needs_health_check, needs_node_port, type_of,
};

/// Gives an update the addresses and ports that it leaves out and the present object has.
pub fn patch_allocated(new: &mut ServiceSpec, old: &ServiceSpec) {
    if needs_cluster_ip(old) && needs_cluster_ip(new) {
        if new.cluster_ip.is_none() {
            new.cluster_ip.clone_from(&old.cluster_ip);
        }
        if new.cluster_ips.is_none() && new.cluster_ip == old.cluster_ip {
            new.cluster_ips.clone_from(&old.cluster_ips);
        }
    }
    if needs_node_port(old) && needs_node_port(new) {
        patch_node_ports(new, old);
    }
    if needs_health_check(old) && needs_health_check(new) && new.health_check_node_port.is_none() {
        new.health_check_node_port = old.health_check_node_port;
    }
}

fn patch_node_ports(new: &mut ServiceSpec, old: &ServiceSpec) {
    let mut used: BTreeSet<i32> = node_ports(old).intersection(&node_ports(new)).copied().collect();
    let known: BTreeMap<Option<String>, i32> =
        old.ports.iter().flatten().filter_map(|port| Some((port.name.clone(), port.node_port?))).collect();
    for port in new.ports.iter_mut().flatten().filter(|port| port.node_port.is_none()) {
        if let Some(node_port) = known.get(&port.name).filter(|port| !used.contains(port)) {
            used.insert(*node_port);
            port.node_port = Some(*node_port);
        }
    }
}

fn node_ports(spec: &ServiceSpec) -> BTreeSet<i32> {
    spec.ports.iter().flatten().filter_map(|port| port.node_port).collect()
}

/// Keeps `clusterIP` and `clusterIPs` together: older clients know only the first, and change only that.
pub fn sync_cluster_ips(new: &mut ServiceSpec, old: Option<&ServiceSpec>) {
    let single = |spec: &ServiceSpec| spec.cluster_ip.clone().map(|address| vec![address]);
    let Some(old) = old else {
        if new.cluster_ips.is_none() {
            new.cluster_ips = single(new);
        }
        return;
    };
    if old.cluster_ips.is_some() && new.cluster_ips.is_none() && old.cluster_ip == new.cluster_ip {
        new.cluster_ips.clone_from(&old.cluster_ips);
    }
    if old.cluster_ip != new.cluster_ip && old.cluster_ips == new.cluster_ips {
        new.cluster_ips = single(new);
    }
}

/// Takes away what another `type` does not have, unless the update says something about it: then validation complains.
pub fn drop_type_dependent(new: &mut Service, old: &Service) {
    let (Some(spec), Some(old)) = (&mut new.spec, &old.spec) else { return };
    if needs_cluster_ip(old) && !needs_cluster_ip(spec) {
        if spec.cluster_ip == old.cluster_ip && spec.cluster_ips == old.cluster_ips {
            spec.cluster_ip = None;
            spec.cluster_ips = None;
        }
        drop_unchanged(&mut spec.ip_families, &old.ip_families);
        drop_unchanged(&mut spec.ip_family_policy, &old.ip_family_policy);
        drop_unchanged(&mut spec.internal_traffic_policy, &old.internal_traffic_policy);
    }
    if needs_node_port(old) && !needs_node_port(spec) && node_ports(old).is_superset(&node_ports(spec)) {
        spec.ports.iter_mut().flatten().for_each(|port| port.node_port = None);
    }
    if needs_health_check(old) && !needs_health_check(spec) {
        drop_unchanged(&mut spec.health_check_node_port, &old.health_check_node_port);
    }
    if type_of(old) == TYPE_LOAD_BALANCER && type_of(spec) != TYPE_LOAD_BALANCER {
        drop_unchanged(&mut spec.allocate_load_balancer_node_ports, &old.allocate_load_balancer_node_ports);
        drop_unchanged(&mut spec.load_balancer_class, &old.load_balancer_class);
    }
    if is_externally_accessible(old) && !is_externally_accessible(spec) {
        drop_unchanged(&mut spec.external_traffic_policy, &old.external_traffic_policy);
    }
    if type_of(spec) != TYPE_LOAD_BALANCER
        && let Some(status) = &mut new.status
    {
        status.load_balancer = Some(k8s_openapi::api::core::v1::LoadBalancerStatus::default());
    }
}

fn drop_unchanged<T: PartialEq>(new: &mut Option<T>, old: &Option<T>) {
    if new == old {
        *new = None;
    }
}
