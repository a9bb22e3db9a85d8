//! Containers and init containers.

use std::collections::{BTreeMap, HashSet};

use k8s_openapi::api::core::v1::{PodSpec, Volume};

use super::spec::{init_containers, regular_containers};
use super::{
    SPEC, check_choice, check_optional_choice, env, handler, mounts, require, require_label, resources, security,
};
use crate::core::v1::pod::{ContainerRef, containers_of};
use crate::field::{ErrorList, Path, duplicate, extend_invalid, forbidden, invalid, not_supported, required, too_many};
use crate::names;

/// Volumes by name, those without problems of their own.
pub(super) type Volumes<'a> = BTreeMap<&'a str, &'a Volume>;

/// What the rules of a container look at beyond the container.
pub(super) struct Context<'a> {
    pub spec: &'a PodSpec,
    pub volumes: &'a Volumes<'a>,
}

impl<'a> Context<'a> {
    pub fn new(spec: &'a PodSpec, volumes: &'a Volumes<'a>) -> Self {
        Self { spec, volumes }
    }
}

/// Upstream's order of the restart policies of containers.
const RESTART_POLICIES: &[&str] = &["Always", "Never", "OnFailure"];
const MAX_RESTART_RULES: usize = 20;
const MAX_EXIT_CODES: usize = 255;

pub(super) fn validate_containers(context: &Context<'_>, errors: &mut ErrorList) {
    let list_path = SPEC.child("containers");
    if context.spec.containers.is_empty() {
        errors.push(required(&list_path, ""));
        return;
    }
    let mut names = HashSet::new();
    for (position, container) in regular_containers(context.spec) {
        let path = list_path.index(position);
        validate_common(&container, context, &path, errors);
        if !names.insert(container.name) {
            errors.push(duplicate(&path.child("name"), container.name));
        }
        handler::validate_lifecycle_and_probes(&container, context.spec, &path, errors);
        validate_restart_policy(&container, &path, errors);
    }
    let mut ports = HashSet::new();
    for (position, container) in regular_containers(context.spec) {
        check_host_ports(&container, &mut ports, &list_path.index(position), errors);
    }
}

pub(super) fn validate_init_containers(context: &Context<'_>, errors: &mut ErrorList) {
    let list_path = SPEC.child("initContainers");
    let mut names: HashSet<&str> = context.spec.containers.iter().map(|container| container.name.as_str()).collect();
    for (position, container) in init_containers(context.spec) {
        let path = list_path.index(position);
        validate_common(&container, context, &path, errors);
        validate_restart_policy(&container, &path, errors);
        if !names.insert(container.name) && !container.name.is_empty() {
            errors.push(duplicate(&path.child("name"), container.name));
        }
        // They run one by one, so only the ports of one and the same can collide.
        check_host_ports(&container, &mut HashSet::new(), &list_path.index(0), errors);
        if container.restart_policy.is_some_and(|policy| policy == "Always") {
            handler::validate_lifecycle_and_probes(&container, context.spec, &path, errors);
        } else {
            forbid_handlers(&container, &path, errors);
        }
    }
}

/// An init container that must end has no lifecycle to hook into, and nothing to probe.
fn forbid_handlers(container: &ContainerRef<'_>, path: &Path<'_>, errors: &mut ErrorList) {
    let set = [
        ("lifecycle", container.lifecycle.is_some()),
        ("livenessProbe", container.liveness_probe.is_some()),
        ("readinessProbe", container.readiness_probe.is_some()),
        ("startupProbe", container.startup_probe.is_some()),
    ];
    for (field, _) in set.into_iter().filter(|(_, set)| *set) {
        let message = "may not be set for init containers without restartPolicy=Always";
        errors.push(forbidden(&path.child(field), message));
    }
}

/// What holds for containers of every kind.
pub(super) fn validate_common(
    container: &ContainerRef<'_>,
    context: &Context<'_>,
    path: &Path<'_>,
    errors: &mut ErrorList,
) {
    require_label(container.name, &path.child("name"), errors);
    require(container.image.map_or("", String::as_str), &path.child("image"), errors);
    let policy = container.termination_message_policy.map_or("", String::as_str);
    let policies = ["File", "FallbackToLogsOnError"];
    check_choice(policy, &policies, &path.child("terminationMessagePolicy"), errors);
    validate_ports(container, &path.child("ports"), errors);
    env::validate_env(container, context.volumes, path, errors);
    mounts::validate_mounts(container, context.volumes, &path.child("volumeMounts"), errors);
    mounts::validate_devices(container, context.volumes, &path.child("volumeDevices"), errors);
    let pull_policy = container.image_pull_policy.map_or("", String::as_str);
    check_choice(pull_policy, &["Always", "IfNotPresent", "Never"], &path.child("imagePullPolicy"), errors);
    resources::validate_container(container, context.spec, &path.child("resources"), errors);
    validate_resize_policy(container, context.spec, &path.child("resizePolicy"), errors);
    security::validate_container_context(container, context.spec, &path.child("securityContext"), errors);
}

fn validate_ports(container: &ContainerRef<'_>, list_path: &Path<'_>, errors: &mut ErrorList) {
    let mut names = HashSet::new();
    for (position, port) in container.ports.into_iter().flatten().enumerate() {
        let path = list_path.index(position);
        if let Some(name) = port.name.as_deref().filter(|name| !name.is_empty()) {
            let problems = names::port_name(name);
            if !problems.is_empty() {
                extend_invalid(errors, &path.child("name"), name, problems);
            } else if !names.insert(name) {
                errors.push(duplicate(&path.child("name"), name));
            }
        }
        let mut check = |field, number| {
            errors.extend(names::port_number(number).map(|problem| invalid(&path.child(field), number, problem)));
        };
        match port.container_port {
            0 => errors.push(required(&path.child("containerPort"), "")),
            number => check("containerPort", number),
        }
        if let Some(number) = port.host_port.filter(|number| *number != 0) {
            errors.extend(names::port_number(number).map(|problem| invalid(&path.child("hostPort"), number, problem)));
        }
        let protocol = port.protocol.as_deref().unwrap_or_default();
        check_choice(protocol, &["SCTP", "TCP", "UDP"], &path.child("protocol"), errors);
    }
}

/// The ports of the host that containers publish collide when protocol, address and number agree.
fn check_host_ports(
    container: &ContainerRef<'_>,
    taken: &mut HashSet<String>,
    path: &Path<'_>,
    errors: &mut ErrorList,
) {
    let list_path = path.child("ports");
    for (position, port) in container.ports.into_iter().flatten().enumerate() {
        let Some(number) = port.host_port.filter(|number| *number != 0) else { continue };
        let text = |field: &Option<String>| field.clone().unwrap_or_default();
        let key = format!("{}/{}/{number}", text(&port.protocol), text(&port.host_ip));
        if taken.contains(&key) {
            errors.push(duplicate(&list_path.index(position).child("hostPort"), &key));
        } else {
            taken.insert(key);
        }
    }
}

fn validate_resize_policy(container: &ContainerRef<'_>, spec: &PodSpec, path: &Path<'_>, errors: &mut ErrorList) {
    let mut seen = HashSet::new();
    for (position, policy) in container.resize_policy.into_iter().flatten().enumerate() {
        if !seen.insert(&policy.resource_name) {
            errors.push(duplicate(&path.index(position), &policy.resource_name));
        }
        check_choice(&policy.resource_name, &["cpu", "memory"], path, errors);
        check_choice(&policy.restart_policy, &["NotRequired", "RestartContainer"], path, errors);
        if spec.restart_policy.as_deref() == Some("Never") && policy.restart_policy != "NotRequired" {
            let message = "must be 'NotRequired' when `restartPolicy` is 'Never'";
            errors.push(invalid(path, &policy.restart_policy, message));
        }
    }
}

fn validate_restart_policy(container: &ContainerRef<'_>, path: &Path<'_>, errors: &mut ErrorList) {
    let rules = container.restart_policy_rules.map_or(&[][..], Vec::as_slice);
    let policy_path = path.child("restartPolicy");
    match container.restart_policy {
        None if !rules.is_empty() => {
            errors.push(required(&policy_path, "must specify restartPolicy when restart rules are used"));
        }
        policy => check_optional_choice(policy.map(String::as_str), RESTART_POLICIES, &policy_path, errors),
    }
    let rules_path = path.child("restartPolicyRules");
    if rules.len() > MAX_RESTART_RULES {
        errors.push(too_many(&rules_path, rules.len(), MAX_RESTART_RULES));
    }
    for (position, rule) in rules.iter().enumerate() {
        let path = rules_path.index(position);
        let actions = ["Restart", "RestartAllContainers"];
        check_optional_choice(Some(&rule.action), &actions, &path.child("action"), errors);
        let codes_path = path.child("exitCodes");
        let Some(codes) = &rule.exit_codes else {
            errors.push(required(&codes_path, "must be specified"));
            continue;
        };
        if !matches!(codes.operator.as_str(), "In" | "NotIn") {
            errors.push(not_supported(&codes_path.child("operator"), &codes.operator, &["In", "NotIn"]));
        }
        let count = codes.values.as_ref().map_or(0, Vec::len);
        if count > MAX_EXIT_CODES {
            errors.push(too_many(&codes_path.child("values"), count, MAX_EXIT_CODES));
        }
    }
}

/// Spaces around the name of an image are a mistake, but one that templates of Pods may still make.
pub(super) fn validate_images(spec: &PodSpec, errors: &mut ErrorList) {
    let mut check = |field: &'static str, position: usize, image: &str| {
        if image.trim().len() != image.len() {
            let (list_path, message) = (SPEC.child(field), "must not have leading or trailing whitespace");
            errors.push(invalid(&list_path.index(position).child("image"), image, message));
        }
    };
    let init = containers_of(spec).filter(|(_, container)| container.kind.field() == "initContainers");
    for (position, container) in regular_containers(spec).chain(init) {
        check(container.kind.field(), position, container.image.map_or("", String::as_str));
    }
}
