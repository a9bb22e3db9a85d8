//! Changes of a Pod's status.

use std::collections::HashSet;

use k8s_openapi::api::core::v1::{Container, ContainerStatus, Pod, PodSpec, PodStatus};

use super::{annotations, check_id, check_ip, check_optional_choice, check_qualified_name, check_subdomain};
use crate::core::v1::pod::conditions::{INITIALIZED, POD_SCHEDULED, READY};
use crate::core::v1::pod::{is_sidecar, spec_of, status_of};
use crate::field::{ErrorList, Json, Path, duplicate, forbidden, invalid};
use crate::meta::{IMMUTABLE, METADATA, text, validate_meta_update};

const STATUS: Path<'static> = Path::new("status");

pub(in crate::core::v1::pod) fn validate_status_update(new: &Pod, old: &Pod) -> ErrorList {
    let mut errors = validate_meta_update(&new.metadata, &old.metadata);
    annotations::validate_changes(new, old, &mut errors);
    let (spec, old_spec) = (spec_of(new), spec_of(old));
    let (status, old_status) = (status_of(new), status_of(old));
    validate_conditions(status, &mut errors);
    if spec.node_name != old_spec.node_name {
        errors.push(forbidden(&STATUS.child("nodeName"), "may not be changed directly"));
    }
    let nominated = text(&status.nominated_node_name);
    if !nominated.is_empty() && nominated != text(&old_status.nominated_node_name) {
        check_subdomain(nominated, &STATUS.child("nominatedNodeName"), &mut errors);
    }
    if text(&status.qos_class) != text(&old_status.qos_class) {
        errors.push(invalid(&STATUS.child("qosClass"), text(&status.qos_class), IMMUTABLE));
    }
    validate_transitions(status, old_status, old_spec, &mut errors);
    validate_claims(status, spec, &mut errors);
    let pod_ips: Vec<&str> = status.pod_ips.iter().flatten().map(|address| address.ip.as_str()).collect();
    validate_addresses(&pod_ips, "podIPs", &mut errors);
    validate_host_ips(status, &mut errors);
    validate_users(status, spec, &mut errors);
    validate_allocated(status, spec, &mut errors);
    errors
}

/// The path is upstream's, though conditions are no metadata.
fn validate_conditions(status: &PodStatus, errors: &mut ErrorList) {
    let list_path = METADATA.child("conditions");
    for (position, condition) in status.conditions.iter().flatten().enumerate() {
        if ![POD_SCHEDULED, READY, INITIALIZED].contains(&condition.type_.as_str()) {
            check_qualified_name(&condition.type_, &list_path.index(position).child("Type"), errors);
        }
    }
}

type Statuses<'a> = Option<&'a Vec<ContainerStatus>>;

/// Containers that ended for good do not come back, unless the whole Pod may start over.
fn validate_transitions(new: &PodStatus, old: &PodStatus, spec: &PodSpec, errors: &mut ErrorList) {
    let containers = spec.init_containers.iter().flatten().chain(&spec.containers);
    let mut rules = containers.flat_map(|container| container.restart_policy_rules.iter().flatten());
    if rules.any(|rule| rule.action == "RestartAllContainers") {
        return;
    }
    let policy = text(&spec.restart_policy);
    let restarts = |name: &str, containers: &[Container], exit_code: i32| {
        let container = containers.iter().find(|container| container.name == name);
        let own = container.and_then(|container| container.restart_policy.as_deref());
        let rules = container.and_then(|container| container.restart_policy_rules.as_ref());
        rules.is_some_and(|rules| !rules.is_empty())
            || match own.unwrap_or(policy) {
                "Always" => true,
                "OnFailure" => exit_code != 0,
                _ => false,
            }
    };
    let regular = |name: &str, exit_code| restarts(name, &spec.containers, exit_code);
    let lists = (new.container_statuses.as_ref(), old.container_statuses.as_ref());
    check_transitions(lists, "containerStatuses", regular, errors);
    let init_containers = spec.init_containers.as_deref().unwrap_or_default();
    let init = |name: &str, exit_code| {
        let sidecar = init_containers.iter().any(|container| container.name == name && is_sidecar(container));
        sidecar || restarts(name, init_containers, exit_code)
    };
    let lists = (new.init_container_statuses.as_ref(), old.init_container_statuses.as_ref());
    check_transitions(lists, "initContainerStatuses", init, errors);
    let lists = (new.ephemeral_container_statuses.as_ref(), old.ephemeral_container_statuses.as_ref());
    check_transitions(lists, "ephemeralContainerStatuses", |_, _| false, errors);
}

fn check_transitions(
    (new, old): (Statuses<'_>, Statuses<'_>),
    field: &'static str,
    may_restart: impl Fn(&str, i32) -> bool,
    errors: &mut ErrorList,
) {
    let terminated = |status: &ContainerStatus| status.state.as_ref().and_then(|state| state.terminated.clone());
    let list_path = STATUS.child(field);
    for (position, old) in old.into_iter().flatten().enumerate() {
        let Some(ended) = terminated(old) else { continue };
        if may_restart(&old.name, ended.exit_code) {
            continue;
        }
        let revived = new.into_iter().flatten().filter(|new| new.name == old.name && terminated(new).is_none());
        let path = list_path.index(position);
        let message = "may not be transitioned to non-terminated state";
        errors.extend(revived.map(|_| forbidden(&path.child("state"), message)));
    }
}

fn validate_claims(status: &PodStatus, spec: &PodSpec, errors: &mut ErrorList) {
    let list_path = STATUS.child("resourceClaimStatuses");
    let mut names = HashSet::new();
    for (position, claim) in status.resource_claim_statuses.iter().flatten().enumerate() {
        let path = list_path.index(position);
        let path = path.child("name");
        if !spec.resource_claims.iter().flatten().any(|known| known.name == claim.name) {
            let message = "must match the name of an entry in `spec.resourceClaims`";
            errors.push(invalid(&path, &claim.name, message));
        }
        if !names.insert(&claim.name) {
            errors.push(duplicate(&path, &claim.name));
        }
        if let Some(name) = &claim.resource_claim_name {
            check_subdomain(name, &path, errors);
        }
    }
}

/// At most one address of each family.
fn validate_addresses(addresses: &[&str], field: &'static str, errors: &mut ErrorList) {
    let path = STATUS.child(field);
    for (position, address) in addresses.iter().enumerate() {
        errors.extend(check_ip(address, &path.index(position)));
    }
    if addresses.len() < 2 {
        return;
    }
    let is_ipv6 = |address: &&str| address.contains(':');
    let dual_stack = addresses.iter().any(is_ipv6) && !addresses.iter().all(is_ipv6);
    let shown: Vec<_> = addresses.iter().map(|address| serde_json::json!({"IP": address})).collect();
    if !dual_stack || addresses.len() > 2 {
        errors.push(invalid(&path, Json(&shown), "may specify no more than one IP for each IP family"));
    }
    for (position, shown) in
        shown.iter().enumerate().filter(|(position, _)| addresses[..*position].contains(&addresses[*position]))
    {
        errors.push(duplicate(&path.index(position), Json(shown)));
    }
}

fn validate_host_ips(status: &PodStatus, errors: &mut ErrorList) {
    let addresses: Vec<&str> = status.host_ips.iter().flatten().map(|address| address.ip.as_str()).collect();
    let Some(first) = addresses.first() else { return };
    if text(&status.host_ip) != *first {
        let path = STATUS.child("hostIPs");
        errors.push(invalid(&path.index(0).child("ip"), *first, "must be equal to `hostIP`"));
    }
    validate_addresses(&addresses, "hostIPs", errors);
}

fn lists(status: &PodStatus) -> [(&'static str, Statuses<'_>); 3] {
    [
        ("containerStatuses", status.container_statuses.as_ref()),
        ("initContainerStatuses", status.init_container_statuses.as_ref()),
        ("ephemeralContainerStatuses", status.ephemeral_container_statuses.as_ref()),
    ]
}

fn validate_users(status: &PodStatus, spec: &PodSpec, errors: &mut ErrorList) {
    let windows = spec.os.as_ref().is_some_and(|os| os.name == "windows");
    for (field, statuses) in lists(status) {
        let list_path = STATUS.child(field);
        for (position, status) in statuses.into_iter().flatten().enumerate() {
            let Some(user) = status.user.as_ref().and_then(|user| user.linux.as_ref()) else { continue };
            let path = list_path.index(position);
            let path = path.child("linux");
            if windows {
                errors.push(forbidden(&path, "cannot be set for a windows pod"));
                continue;
            }
            check_id(user.uid, &path.child("uid"), errors);
            check_id(user.gid, &path.child("gid"), errors);
            let groups_path = path.child("supplementalGroups");
            for (position, group) in user.supplemental_groups.iter().flatten().enumerate() {
                check_id(*group, &groups_path.index(position), errors);
            }
        }
    }
}

/// The health of devices is told of what the container asked for, and of each device once.
fn validate_allocated(status: &PodStatus, spec: &PodSpec, errors: &mut ErrorList) {
    let init_containers = spec.init_containers.as_deref().unwrap_or_default();
    let [regular, init, (ephemeral, ephemeral_statuses)] = lists(status);
    for ((field, statuses), containers) in [(regular, &spec.containers[..]), (init, init_containers)] {
        let list_path = STATUS.child(field);
        for (position, status) in statuses.into_iter().flatten().enumerate() {
            check_allocated(status, containers, &list_path.index(position).child("allocatedResourcesStatus"), errors);
        }
    }
    let list_path = STATUS.child(ephemeral);
    for (position, status) in ephemeral_statuses.into_iter().flatten().enumerate() {
        if status.allocated_resources_status.as_ref().is_some_and(|resources| !resources.is_empty()) {
            let path = list_path.index(position);
            let message = "must not be specified in container status";
            errors.push(forbidden(&path.child("allocatedResourcesStatus"), message));
        }
    }
}

fn check_allocated(status: &ContainerStatus, containers: &[Container], list_path: &Path<'_>, errors: &mut ErrorList) {
    let container = containers.iter().find(|container| container.name == status.name);
    for (position, allocated) in status.allocated_resources_status.iter().flatten().enumerate() {
        let path = list_path.index(position);
        if let Some(message) = container.and_then(|container| unrequested(container, &allocated.name)) {
            errors.push(invalid(&path.child("name"), &allocated.name, message));
        }
        let resources_path = path.child("resources");
        let mut ids = HashSet::new();
        for (position, resource) in allocated.resources.iter().flatten().enumerate() {
            let path = resources_path.index(position);
            let states = ["Healthy", "Unhealthy", "Unknown"];
            check_optional_choice(Some(text(&resource.health)), &states, &path.child("health"), errors);
            if !ids.insert(&resource.resource_id) {
                errors.push(duplicate(&path.child("resourceID"), &resource.resource_id));
            }
        }
    }
}

/// Why a container cannot have been given a resource, if it did not ask for it.
fn unrequested(container: &Container, name: &str) -> Option<&'static str> {
    let resources = container.resources.as_ref();
    if let Some(claim) = name.strip_prefix("claim:") {
        let claims = resources.and_then(|resources| resources.claims.as_ref());
        let (claim, request) = claim.split_once('/').unwrap_or((claim, ""));
        let found = claims.into_iter().flatten().any(|known| known.name == claim && text(&known.request) == request);
        return (!found).then_some(
            "must match one of the container's resource claims in a format 'claim:<claimName>/<request>' or 'claim:<claimName>' if request is empty",
        );
    }
    let requests = resources.and_then(|resources| resources.requests.as_ref());
    let found = requests.is_some_and(|requests| requests.contains_key(name));
    (!found).then_some("must match one of the container's resource requests")
}
