//! Defaults of Pods: what the user left out, and values in the form upstream answers them.

use k8s_openapi::api::core::v1::{Container, Pod, PodSecurityContext, PodSpec, PodStatus};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity as ApiQuantity;

use super::resources::{aggregate_limits, aggregate_requests, is_pod_level};
use crate::core::v1::resource_list::{self, ResourceList, is_huge_page};
use crate::omit_empty::{self, omit_empty};

mod affinity;
mod container;
mod security;
mod status;
mod volume;

pub(crate) use affinity::default_selector;

use container::{default_container, default_ephemeral_container};
pub(super) use status::default_status;

/// How long a Pod may take to end unless it says otherwise.
const GRACE_PERIOD_SECONDS: i64 = 30;

pub(super) fn set_defaults(pod: &mut Pod) {
    omit_empty::metadata(&mut pod.metadata);
    let spec = pod.spec.get_or_insert_with(PodSpec::default);
    for container in spec.containers.iter_mut().chain(spec.init_containers.iter_mut().flatten()) {
        request_limits(container);
    }
    default_pod_level_resources(spec);
    spec.enable_service_links.get_or_insert(true);
    if spec.host_network == Some(true) {
        publish_ports(spec);
    }
    if let Some(seconds) = &mut spec.termination_grace_period_seconds {
        // A Pod, unlike a template of Pods, ends as fast as it can where upstream once took a negative time.
        *seconds = if *seconds < 0 { 1 } else { *seconds };
    }
    default_pod_spec(spec);
    default_status(pod.status.get_or_insert_with(PodStatus::default));
}

/// Defaults of the spec of a Pod and of any template of Pods.
pub fn default_pod_spec(spec: &mut PodSpec) {
    omit_empty_fields(spec);
    spec.dns_policy.get_or_insert_with(|| "ClusterFirst".to_owned());
    spec.restart_policy.get_or_insert_with(|| "Always".to_owned());
    spec.scheduler_name.get_or_insert_with(|| "default-scheduler".to_owned());
    spec.termination_grace_period_seconds.get_or_insert(GRACE_PERIOD_SECONDS);
    security::default_pod(spec.security_context.get_or_insert_with(PodSecurityContext::default));
    sync_service_account(spec);
    spec.volumes.iter_mut().flatten().for_each(volume::default_volume);
    spec.init_containers.iter_mut().flatten().chain(&mut spec.containers).for_each(default_container);
    spec.ephemeral_containers.iter_mut().flatten().for_each(default_ephemeral_container);
    resource_list::canonicalize(spec.overhead.as_mut());
    spec.resources.iter_mut().for_each(container::default_resources);
    spec.affinity.iter_mut().for_each(affinity::default_affinity);
    for toleration in spec.tolerations.iter_mut().flatten() {
        omit_empty!(toleration => effect, key, operator, value);
    }
    for constraint in spec.topology_spread_constraints.iter_mut().flatten() {
        omit_empty!(constraint => match_label_keys);
        constraint.label_selector.iter_mut().for_each(affinity::default_selector);
    }
    default_dns(spec);
}

fn omit_empty_fields(spec: &mut PodSpec) {
    omit_empty!(spec => dns_policy, ephemeral_containers, host_aliases, host_ipc, host_network, host_pid, hostname,
        image_pull_secrets, init_containers, node_name, node_selector, overhead, priority_class_name,
        readiness_gates, resource_claims, restart_policy, scheduler_name, scheduling_gates, service_account,
        service_account_name, subdomain, tolerations, topology_spread_constraints, volumes);
}

fn default_dns(spec: &mut PodSpec) {
    if let Some(dns) = &mut spec.dns_config {
        omit_empty!(dns => nameservers, options, searches);
        for option in dns.options.iter_mut().flatten() {
            omit_empty!(option => name);
        }
    }
    for alias in spec.host_aliases.iter_mut().flatten() {
        omit_empty!(alias => hostnames);
    }
}

/// The older name of the field follows the newer one, and stands in for it when it is alone.
fn sync_service_account(spec: &mut PodSpec) {
    if spec.service_account_name.is_none() {
        spec.service_account_name = spec.service_account.take();
    }
    spec.service_account.clone_from(&spec.service_account_name);
}

/// A container with a limit and no request requests its limit.
fn request_limits(container: &mut Container) {
    let Some(resources) = &mut container.resources else { return };
    let Some(limits) = resources.limits.as_ref().filter(|limits| !limits.is_empty()) else { return };
    let requests = resources.requests.get_or_insert_with(ResourceList::new);
    for (name, limit) in limits {
        if !requests.contains_key(name) {
            requests.insert(name.clone(), limit.clone());
        }
    }
}

/// On the host's network a container's port is the host's.
fn publish_ports(spec: &mut PodSpec) {
    let containers = spec.containers.iter_mut().chain(spec.init_containers.iter_mut().flatten());
    for port in containers.flat_map(|container| container.ports.iter_mut().flatten()) {
        if port.host_port.unwrap_or(0) == 0 {
            port.host_port = Some(port.container_port);
        }
    }
}

/// Resources of the Pod as a whole that follow from its containers, where some are set for the Pod.
fn default_pod_level_resources(spec: &mut PodSpec) {
    let Some(resources) = &spec.resources else { return };
    let is_set = |list: &Option<ResourceList>| list.as_ref().is_some_and(|list| !list.is_empty());
    let (has_requests, has_limits) = (is_set(&resources.requests), is_set(&resources.limits));
    if has_requests || has_limits {
        let limits = huge_page_limits(spec);
        extend(spec, |resources| &mut resources.limits, limits);
    }
    if has_limits {
        let requests = pod_requests(spec);
        extend(spec, |resources| &mut resources.requests, requests);
    }
}

type Additions = Vec<(String, ApiQuantity)>;

/// Huge pages that containers limit, where the Pod says nothing about them.
fn huge_page_limits(spec: &PodSpec) -> Additions {
    let Some(resources) = &spec.resources else { return Additions::new() };
    let lists = |list: &Option<ResourceList>, name: &str| list.as_ref().is_some_and(|list| list.contains_key(name));
    aggregate_limits(spec)
        .into_iter()
        .filter(|(name, _)| is_huge_page(name))
        .filter(|(name, _)| !lists(&resources.requests, name) && !lists(&resources.limits, name))
        .map(|(name, amount)| (name.to_owned(), amount.into()))
        .collect()
}

/// Requests of the Pod: what its containers request together, else its limits.
fn pod_requests(spec: &PodSpec) -> Additions {
    let Some(resources) = &spec.resources else { return Additions::new() };
    let missing = |name: &str| {
        resources.requests.as_ref().is_none_or(|requests| !requests.contains_key(name)) && is_pod_level(name)
    };
    let sums = aggregate_requests(spec);
    let limits = resources
        .limits
        .iter()
        .flatten()
        .filter(|(name, _)| missing(name) && (is_huge_page(name) || !sums.contains_key(name.as_str())));
    let limits = limits.map(|(name, limit)| (name.clone(), limit.clone()));
    let summed = sums.iter().filter(|(name, _)| missing(name) && !is_huge_page(name));
    summed.map(|(name, amount)| ((*name).to_owned(), (*amount).into())).chain(limits).collect()
}

fn extend(
    spec: &mut PodSpec,
    list: impl Fn(&mut k8s_openapi::api::core::v1::ResourceRequirements) -> &mut Option<ResourceList>,
    additions: Additions,
) {
    if let Some(resources) = spec.resources.as_mut().filter(|_| !additions.is_empty()) {
        list(resources).get_or_insert_with(ResourceList::new).extend(additions);
    }
}
