//! The Pod's spec from top to bottom.

use k8s_openapi::api::core::v1::PodSpec;

use super::{
    SPEC, check_choice, check_label, check_optional_choice, check_subdomain, container, dns, ephemeral, os, resources,
    scheduling, security, volumes,
};
use crate::core::v1::pod::{ContainerKind, ContainerRef};
use crate::core::v1::taints::validate_tolerations;
use crate::field::{ErrorList, invalid, required};
use crate::labels::validate_labels;
use crate::meta::text;
use crate::names;

/// The longest time a Pod may be active.
const MAX_DEADLINE_SECONDS: i64 = i32::MAX as i64;

/// Checks the spec of a Pod of this name, or of a template, which has none.
pub(in crate::core::v1::pod) fn validate_spec(spec: &PodSpec, pod_name: Option<&str>, errors: &mut ErrorList) {
    if spec.termination_grace_period_seconds.is_none() {
        errors.push(required(&SPEC.child("terminationGracePeriodSeconds"), ""));
    }
    let volumes = volumes::validate_volumes(spec, pod_name.unwrap_or_default(), errors);
    resources::validate_claims(spec, errors);
    let context = container::Context::new(spec, &volumes);
    container::validate_containers(&context, errors);
    container::validate_init_containers(&context, errors);
    ephemeral::validate_ephemeral_containers(&context, errors);
    resources::validate_pod_level(spec, errors);
    validate_host_ports(spec, pod_name.is_some(), errors);
    check_choice(text(&spec.restart_policy), &["Always", "OnFailure", "Never"], &SPEC.child("restartPolicy"), errors);
    let dns_policies = ["ClusterFirstWithHostNet", "ClusterFirst", "Default", "None"];
    check_choice(text(&spec.dns_policy), &dns_policies, &SPEC.child("dnsPolicy"), errors);
    errors.extend(validate_labels(spec.node_selector.as_ref(), &SPEC.child("nodeSelector")));
    security::validate_pod_context(spec, errors);
    scheduling::validate_affinity(spec, errors);
    dns::validate_dns_config(spec, errors);
    scheduling::validate_gates(spec, errors);
    scheduling::validate_spread(spec, errors);
    os::validate_host_process(spec, errors);
    os::validate_host_users(spec, errors);
    validate_names(spec, errors);
    validate_classes(spec, errors);
    os::validate_os(spec, errors);
}

/// On the host's network a published port is the container's own. In a template it may be left for the Pod's defaults.
fn validate_host_ports(spec: &PodSpec, in_pod: bool, errors: &mut ErrorList) {
    if spec.host_network != Some(true) {
        return;
    }
    let containers_path = SPEC.child("containers");
    for (position, container) in spec.containers.iter().enumerate() {
        let container_path = containers_path.index(position);
        let ports_path = container_path.child("ports");
        for (position, port) in container.ports.iter().flatten().enumerate() {
            let host_port = port.host_port.unwrap_or(0);
            if (in_pod || host_port != 0) && host_port != port.container_port {
                let message = "must match `containerPort` when `hostNetwork` is true";
                errors.push(invalid(&ports_path.index(position).child("hostPort"), host_port, message));
            }
        }
    }
}

fn validate_names(spec: &PodSpec, errors: &mut ErrorList) {
    let subdomains = [("serviceAccountName", text(&spec.service_account_name)), ("nodeName", text(&spec.node_name))];
    for (field, value) in subdomains.into_iter().filter(|(_, value)| !value.is_empty()) {
        check_subdomain(value, &SPEC.child(field), errors);
    }
    if let Some(seconds) = spec.active_deadline_seconds.filter(|seconds| !(1..=MAX_DEADLINE_SECONDS).contains(seconds))
    {
        let path = SPEC.child("activeDeadlineSeconds");
        errors.push(invalid(&path, seconds, names::out_of_range(1, MAX_DEADLINE_SECONDS)));
    }
    let labels = [("hostname", text(&spec.hostname)), ("subdomain", text(&spec.subdomain))];
    for (field, value) in labels.into_iter().filter(|(_, value)| !value.is_empty()) {
        check_label(value, &SPEC.child(field), errors);
    }
    if let Some(hostname) = &spec.hostname_override {
        check_subdomain(hostname, &SPEC.child("hostnameOverride"), errors);
    }
}

fn validate_classes(spec: &PodSpec, errors: &mut ErrorList) {
    let tolerations = spec.tolerations.as_deref().unwrap_or_default();
    errors.extend(validate_tolerations(tolerations, &SPEC.child("tolerations")));
    dns::validate_host_aliases(spec, errors);
    let priority_class = text(&spec.priority_class_name);
    if !priority_class.is_empty() {
        check_subdomain(priority_class, &SPEC.child("priorityClassName"), errors);
    }
    if let Some(runtime_class) = &spec.runtime_class_name {
        check_subdomain(runtime_class, &SPEC.child("runtimeClassName"), errors);
    }
    let preemption = spec.preemption_policy.as_deref();
    let policies = ["PreemptLowerPriority", "Never"];
    check_optional_choice(preemption, &policies, &SPEC.child("preemptionPolicy"), errors);
    resources::validate_overhead(spec.overhead.as_ref(), &SPEC.child("overhead"), errors);
}

/// The regular containers of a Pod with their places.
pub(super) fn regular_containers(spec: &PodSpec) -> impl Iterator<Item = (usize, ContainerRef<'_>)> {
    let containers = spec.containers.iter().enumerate();
    containers.map(|(position, container)| (position, ContainerRef::new(container, ContainerKind::Regular)))
}

/// The init containers of a Pod with their places.
pub(super) fn init_containers(spec: &PodSpec) -> impl Iterator<Item = (usize, ContainerRef<'_>)> {
    let containers = spec.init_containers.iter().flatten().enumerate();
    containers.map(|(position, container)| (position, ContainerRef::new(container, ContainerKind::Init)))
}
