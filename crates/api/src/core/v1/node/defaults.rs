//! Defaults of Nodes.

use k8s_openapi::api::core::v1::{DaemonEndpoint, Node, NodeDaemonEndpoints, NodeSpec, NodeStatus, NodeSystemInfo};

use crate::core::v1::resource_list;
use crate::omit_empty::{self, omit_empty};

pub(super) fn set_defaults(node: &mut Node) {
    omit_empty::metadata(&mut node.metadata);
    default_spec(node.spec.get_or_insert_with(NodeSpec::default));
    default_status(node.status.get_or_insert_with(NodeStatus::default));
}

fn default_spec(spec: &mut NodeSpec) {
    omit_empty!(spec => external_id, pod_cidr, pod_cidrs, provider_id, taints, unschedulable);
    for taint in spec.taints.iter_mut().flatten() {
        omit_empty!(taint => value);
    }
    // Two names for one thing: the single range is the first of the list.
    match (&spec.pod_cidr, &spec.pod_cidrs) {
        (Some(first), None) => spec.pod_cidrs = Some(vec![first.clone()]),
        (None, Some(ranges)) => spec.pod_cidr = ranges.first().cloned(),
        _ => {}
    }
}

fn default_status(status: &mut NodeStatus) {
    omit_empty!(status => addresses, allocatable, capacity, conditions, declared_features, images, phase,
        runtime_handlers, volumes_attached, volumes_in_use);
    resource_list::canonicalize(status.capacity.as_mut());
    resource_list::canonicalize(status.allocatable.as_mut());
    if status.allocatable.is_none() {
        status.allocatable.clone_from(&status.capacity);
    }
    for condition in status.conditions.iter_mut().flatten() {
        omit_empty!(condition => message, reason);
    }
    for image in status.images.iter_mut().flatten() {
        omit_empty!(image => size_bytes);
    }
    let endpoints = status.daemon_endpoints.get_or_insert_with(NodeDaemonEndpoints::default);
    endpoints.kubelet_endpoint.get_or_insert_with(DaemonEndpoint::default);
    status.node_info.get_or_insert_with(NodeSystemInfo::default);
}
