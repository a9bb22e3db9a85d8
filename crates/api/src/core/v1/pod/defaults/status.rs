//! The status of a Pod as upstream encodes it.

use k8s_openapi::api::core::v1::{ContainerState, ContainerStatus, PodIP, PodStatus};

use super::container::default_resources;
use crate::core::v1::resource_list;
use crate::omit_empty::omit_empty;

pub(in crate::core::v1::pod) fn default_status(status: &mut PodStatus) {
    omit_empty!(status => conditions, container_statuses, ephemeral_container_statuses, host_ip, host_ips,
        init_container_statuses, message, nominated_node_name, observed_generation, phase, pod_ip, pod_ips, qos_class,
        reason, resize, resource_claim_statuses);
    for condition in status.conditions.iter_mut().flatten() {
        omit_empty!(condition => message, observed_generation, reason);
    }
    let lists =
        [&mut status.init_container_statuses, &mut status.container_statuses, &mut status.ephemeral_container_statuses];
    lists.into_iter().flatten().flatten().for_each(default_container_status);
    resource_list::canonicalize(status.allocated_resources.as_mut());
    status.resources.iter_mut().for_each(default_resources);
    sync_addresses(status);
}

/// Two names for one thing: the single address is the first of the list, and wins where they differ.
fn sync_addresses(status: &mut PodStatus) {
    match (&status.pod_ip, &mut status.pod_ips) {
        (Some(address), None) => status.pod_ips = Some(vec![PodIP { ip: address.clone() }]),
        (Some(address), Some(addresses)) if addresses[0].ip != *address => {
            *addresses = vec![PodIP { ip: address.clone() }];
        }
        (None, Some(addresses)) => status.pod_ip = addresses.first().map(|first| first.ip.clone()),
        _ => {}
    }
}

fn default_container_status(status: &mut ContainerStatus) {
    omit_empty!(status => allocated_resources, allocated_resources_status, container_id, volume_mounts);
    status.state.get_or_insert_with(ContainerState::default);
    status.last_state.get_or_insert_with(ContainerState::default);
    resource_list::canonicalize(status.allocated_resources.as_mut());
    status.resources.iter_mut().for_each(default_resources);
    for state in status.state.iter_mut().chain(&mut status.last_state) {
        if let Some(waiting) = &mut state.waiting {
            omit_empty!(waiting => message, reason);
        }
        if let Some(terminated) = &mut state.terminated {
            omit_empty!(terminated => container_id, message, reason, signal);
        }
    }
    for mount in status.volume_mounts.iter_mut().flatten() {
        omit_empty!(mount => read_only);
    }
}
