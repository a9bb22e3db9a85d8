//! What the rest of the kubelet asks a Pod object, in one place: identity, policy and the questions whose answer
//! depends on more than one field.

use std::fmt;
use std::sync::Arc;

use k8s_openapi::api::core::v1::{Container, ContainerRestartRule, Pod};

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

/// Whether a container runs to completion before the others, beside them from the start, or is one of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ContainerKind {
    /// An init container that runs to completion.
    Init,
    /// An init container with `restartPolicy: Always`, which runs beside the containers until the Pod ends.
    Sidecar,
    /// One of `spec.containers`.
    Regular,
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

/// The container of this name, init containers included.
pub fn find_container<'a>(pod: &'a Pod, name: &str) -> Option<(ContainerKind, &'a Container)> {
    all_containers(pod).find(|(_, container)| container.name == name)
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
const SYSTEM_CRITICAL_PRIORITY: i32 = 2_000_000_000;

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
    let annotations = pod.metadata.annotations.as_ref();
    let get = |key: &str| annotations.and_then(|annotations| annotations.get(key)).map(String::as_str);
    get("kubernetes.io/config.mirror").is_some()
        || get("kubernetes.io/config.source").is_some_and(|source| source != "api")
}

/// Whether the Pod shares the host's network.
pub fn is_host_network(pod: &Pod) -> bool {
    pod.spec.as_ref().and_then(|spec| spec.host_network).unwrap_or(false)
}

/// Whether a container that exited with this code is started again, while its Pod is not ending.
pub fn restarts(pod: &Pod, kind: ContainerKind, container: &Container, exit_code: i32) -> bool {
    if kind == ContainerKind::Sidecar {
        return true;
    }
    if let Some(rules) = &container.restart_policy_rules
        && rules.iter().any(|rule| rule_matches(rule, exit_code))
    {
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

fn rule_matches(rule: &ContainerRestartRule, exit_code: i32) -> bool {
    let Some(exit_codes) = rule.exit_codes.as_ref().filter(|_| rule.action == "Restart") else { return false };
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
