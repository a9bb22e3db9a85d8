//! What the rest of the kubelet asks a Pod object, in one place: identity, policy and the questions whose answer
//! depends on more than one field.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use api::core::v1::pod::{MIRROR_ANNOTATION, SOURCE_ANNOTATION};
use k8s_openapi::api::core::v1::{Container, ContainerRestartRule, EphemeralContainer, Pod};

/// A Pod's UID: the only identity under which the kubelet files anything. A Pod that is deleted and made again under
/// the same name is another Pod.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Uid(Arc<str>);

impl Uid {
    /// The UID as the object spells it.
    pub fn new(uid: &str) -> Self {
        Self(uid.into())
    }

    /// The UID's text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Uid {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

/// When containers are started again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RestartPolicy {
    /// Whenever they exit.
    Always,
    /// When they exit with another code than 0.
    OnFailure,
    /// Never.
    Never,
}

impl RestartPolicy {
    fn parse(text: Option<&str>) -> Self {
        match text {
            Some("OnFailure") => Self::OnFailure,
            Some("Never") => Self::Never,
            _ => Self::Always,
        }
    }
}

/// Whether a container runs to completion before the others, beside them from the start, is one of them, or was added
/// to look at them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ContainerKind {
    /// An init container that runs to completion.
    Init,
    /// An init container with `restartPolicy: Always`, which runs beside the containers until the Pod ends.
    Sidecar,
    /// One of `spec.containers`.
    Regular,
    /// One of `spec.ephemeralContainers`: started once, whatever the others do, and never again.
    Ephemeral,
}

/// The UID, or an empty one for an object that never passed an API server.
pub fn uid(pod: &Pod) -> Uid {
    Uid::new(pod.metadata.uid.as_deref().unwrap_or_default())
}

/// `metadata.name`.
pub fn name(pod: &Pod) -> &str {
    pod.metadata.name.as_deref().unwrap_or_default()
}

/// `metadata.namespace`.
pub fn namespace(pod: &Pod) -> &str {
    pod.metadata.namespace.as_deref().unwrap_or_default()
}

/// The Pod as messages name it: `web_default(2c1e...)`.
pub fn full_name(pod: &Pod) -> String {
    format!("{}_{}({})", name(pod), namespace(pod), uid(pod))
}

/// `spec.restartPolicy`.
pub fn restart_policy(pod: &Pod) -> RestartPolicy {
    RestartPolicy::parse(pod.spec.as_ref().and_then(|spec| spec.restart_policy.as_deref()))
}

/// `spec.containers`.
pub fn containers(pod: &Pod) -> &[Container] {
    pod.spec.as_ref().map_or(&[], |spec| &spec.containers)
}

/// `spec.initContainers`.
pub fn init_containers(pod: &Pod) -> &[Container] {
    pod.spec.as_ref().and_then(|spec| spec.init_containers.as_deref()).unwrap_or_default()
}

/// Init containers, then containers.
pub fn all_containers(pod: &Pod) -> impl Iterator<Item = (ContainerKind, &Container)> {
    let init = init_containers(pod).iter().map(|container| (init_kind(container), container));
    init.chain(containers(pod).iter().map(|container| (ContainerKind::Regular, container)))
}

/// `spec.ephemeralContainers`.
pub fn ephemeral_containers(pod: &Pod) -> &[EphemeralContainer] {
    pod.spec.as_ref().and_then(|spec| spec.ephemeral_containers.as_deref()).unwrap_or_default()
}

/// The container of this name in any of the Pod's lists.
pub fn find_container<'a>(pod: &'a Pod, name: &str) -> Option<(ContainerKind, Cow<'a, Container>)> {
    let listed = all_containers(pod).find(|(_, container)| container.name == name);
    let ephemeral = || ephemeral_containers(pod).iter().find(|container| container.name == name);
    listed
        .map(|(kind, container)| (kind, Cow::Borrowed(container)))
        .or_else(|| Some((ContainerKind::Ephemeral, Cow::Owned(as_container(ephemeral()?)))))
}

/// An ephemeral container as the container it is once it runs.
pub fn as_container(container: &EphemeralContainer) -> Container {
    let EphemeralContainer {
        args,
        command,
        env,
        env_from,
        image,
        image_pull_policy,
        lifecycle,
        liveness_probe,
        name,
        ports,
        readiness_probe,
        resize_policy,
        resources,
        restart_policy,
        restart_policy_rules,
        security_context,
        startup_probe,
        stdin,
        stdin_once,
        target_container_name: _,
        termination_message_path,
        termination_message_policy,
        tty,
        volume_devices,
        volume_mounts,
        working_dir,
    } = container.clone();
    Container {
        args,
        command,
        env,
        env_from,
        image,
        image_pull_policy,
        lifecycle,
        liveness_probe,
        name,
        ports,
        readiness_probe,
        resize_policy,
        resources,
        restart_policy,
        restart_policy_rules,
        security_context,
        startup_probe,
        stdin,
        stdin_once,
        termination_message_path,
        termination_message_policy,
        tty,
        volume_devices,
        volume_mounts,
        working_dir,
    }
}

/// Which of the two kinds an init container is.
pub fn init_kind(container: &Container) -> ContainerKind {
    if container.restart_policy.as_deref() == Some("Always") { ContainerKind::Sidecar } else { ContainerKind::Init }
}

/// `spec.priority`.
pub fn priority(pod: &Pod) -> i32 {
    pod.spec.as_ref().and_then(|spec| spec.priority).unwrap_or(0)
}

/// From this priority on a Pod is critical to the system.
pub const SYSTEM_CRITICAL_PRIORITY: i32 = 2_000_000_000;

/// Whether the Pod is critical: a static one, its mirror, or one of a system priority.
pub fn is_critical(pod: &Pod) -> bool {
    is_static(pod) || priority(pod) >= SYSTEM_CRITICAL_PRIORITY
}

/// Whether the Pod is critical to its node.
pub fn is_node_critical(pod: &Pod) -> bool {
    let class = pod.spec.as_ref().and_then(|spec| spec.priority_class_name.as_deref());
    is_critical(pod) && class == Some("system-node-critical")
}

/// Whether the Pod came from a file of the node, as itself or as the object that mirrors it.
pub fn is_static(pod: &Pod) -> bool {
    is_mirror(pod) || annotation(pod, SOURCE_ANNOTATION).is_some_and(|source| source != "api")
}

/// Whether this is the API's object for a static Pod.
pub fn is_mirror(pod: &Pod) -> bool {
    annotation(pod, MIRROR_ANNOTATION).is_some()
}

/// One of the Pod's annotations.
pub fn annotation<'a>(pod: &'a Pod, key: &str) -> Option<&'a str> {
    pod.metadata.annotations.as_ref()?.get(key).map(String::as_str)
}

/// Whether the Pod shares the host's network.
pub fn is_host_network(pod: &Pod) -> bool {
    pod.spec.as_ref().and_then(|spec| spec.host_network).unwrap_or(false)
}

/// Whether a container that exited with this code is started again, while its Pod is not ending. A sidecar always is:
/// `Always` is what makes it one.
pub fn restarts(pod: &Pod, kind: ContainerKind, container: &Container, exit_code: i32) -> bool {
    match kind {
        ContainerKind::Sidecar => return true,
        ContainerKind::Ephemeral => return false,
        ContainerKind::Init | ContainerKind::Regular => {}
    }
    if matching_rule(container, exit_code).is_some() {
        return true;
    }
    let policy = match &container.restart_policy {
        Some(text) => RestartPolicy::parse(Some(text)),
        None => restart_policy(pod),
    };
    match policy {
        // An init container that succeeded has done its work whatever the policy says.
        RestartPolicy::Always => kind == ContainerKind::Regular || exit_code != 0,
        RestartPolicy::OnFailure => exit_code != 0,
        RestartPolicy::Never => false,
    }
}

/// Whether the exit makes the whole Pod start over: a rule says `RestartAllContainers`.
pub fn restarts_all(container: &Container, exit_code: i32) -> bool {
    matching_rule(container, exit_code).is_some_and(|rule| rule.action == "RestartAllContainers")
}

/// Whether some exit could make the whole Pod start over.
pub fn may_restart_all(pod: &Pod) -> bool {
    let rules = all_containers(pod).flat_map(|(_, container)| container.restart_policy_rules.iter().flatten());
    rules.into_iter().any(|rule| rule.action == "RestartAllContainers")
}

/// The first rule about this exit code: it outranks the container's policy.
fn matching_rule(container: &Container, exit_code: i32) -> Option<&ContainerRestartRule> {
    container.restart_policy_rules.iter().flatten().find(|rule| rule_matches(rule, exit_code))
}

fn rule_matches(rule: &ContainerRestartRule, exit_code: i32) -> bool {
    let Some(exit_codes) = &rule.exit_codes else { return false };
    let listed = exit_codes.values.as_ref().is_some_and(|values| values.contains(&exit_code));
    match exit_codes.operator.as_str() {
        "In" => listed,
        "NotIn" => !listed,
        _ => false,
    }
}

/// The seconds a Pod that is being deleted gets to end: `deletionGracePeriodSeconds`, else the spec's, at least 1.
///
/// A grace period of 0 in the object means that it is gone already; its containers get the shortest one there is.
pub fn termination_grace_seconds(pod: &Pod) -> i64 {
    let spec = pod.spec.as_ref().and_then(|spec| spec.termination_grace_period_seconds);
    pod.metadata.deletion_grace_period_seconds.or(spec).unwrap_or(30).max(1)
}
