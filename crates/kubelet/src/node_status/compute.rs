//! The Node's status, computed. Pure.

use std::collections::BTreeMap;
use std::net::IpAddr;

use api::core::v1::resource_list::is_extended;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::{
    ContainerImage, DaemonEndpoint, Node, NodeAddress, NodeCondition, NodeDaemonEndpoints, NodeFeatures,
    NodeRuntimeHandler, NodeRuntimeHandlerFeatures, NodeStatus, NodeSwapStatus, NodeSystemInfo,
};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity as ApiQuantity;

use super::go_arch;
use crate::config::NodeConfig;
use crate::cpu_manager::Policy;
use crate::devices::DeviceAmounts;
use crate::machine::Machine;
use crate::pod_status::seconds;
use crate::resources::{Amounts, NodeResources};

/// Upstream lists no more images than this, the largest first.
const MAX_IMAGES: usize = 50;
/// What this node does that nodes of other versions may not, by upstream's names and in their order.
const DECLARED_FEATURES: [&str; 3] =
    [CPU_RESIZE, "InPlacePodLevelResourcesVerticalScaling", "RestartAllContainersOnContainerExits"];
/// Resizing the CPUs of Guaranteed Pods, which is not done where they have CPUs of their own.
const CPU_RESIZE: &str = "GuaranteedQoSPodCPUResize";
const MAX_NAMES_PER_IMAGE: usize = 5;

/// Everything a Node's status depends on.
pub struct StatusFacts<'a> {
    /// The node as configured.
    pub node: &'a NodeConfig,
    /// The machine.
    pub machine: &'a Machine,
    /// What it has, and what Pods can have of it.
    pub resources: &'a NodeResources,
    /// Name and version of the runtime: `isopod://0.1.0`.
    pub runtime_version: &'a str,
    /// What the runtime says of itself, or why it does not.
    pub runtime: Result<&'a cri::StatusResponse, String>,
    /// Images on the node.
    pub images: &'a [cri::Image],
    /// Who gets CPUs for itself.
    pub cpu_manager: Policy,
    /// What device plugins offer.
    pub devices: &'a DeviceAmounts,
    /// The Node as the API has it.
    pub seen: &'a Node,
    /// Whether the node shuts down.
    pub shutting_down: bool,
    /// Types of the conditions that say what the node is short of.
    pub pressure: &'a [&'static str],
    /// The status written last.
    pub before: Option<&'a NodeStatus>,
    /// The present moment.
    pub now: Timestamp,
}

/// Computes the status.
pub fn node_status(facts: &StatusFacts<'_>) -> NodeStatus {
    NodeStatus {
        addresses: Some(addresses(facts.node)),
        capacity: Some(capacity(facts)),
        allocatable: Some(allocatable(facts)),
        conditions: Some(conditions(facts)),
        daemon_endpoints: Some(NodeDaemonEndpoints {
            kubelet_endpoint: Some(DaemonEndpoint { port: i32::from(facts.node.kubelet_port) }),
        }),
        images: Some(images(facts.images)).filter(|images| !images.is_empty()),
        node_info: Some(node_info(facts)),
        features: features(facts),
        runtime_handlers: runtime_handlers(facts),
        declared_features: Some(declared_features(facts.cpu_manager)),
        ..NodeStatus::default()
    }
}

fn declared_features(cpu_manager: Policy) -> Vec<String> {
    let declared = DECLARED_FEATURES.into_iter();
    declared.filter(|name| *name != CPU_RESIZE || cpu_manager == Policy::None).map(str::to_owned).collect()
}

/// Whether two statuses differ in nothing but the times of their heartbeats.
pub(super) fn says_same(left: &NodeStatus, right: &NodeStatus) -> bool {
    let without_heartbeats = |status: &NodeStatus| {
        let mut status = status.clone();
        for condition in status.conditions.iter_mut().flatten() {
            condition.last_heartbeat_time = None;
        }
        status
    };
    without_heartbeats(left) == without_heartbeats(right)
}

fn addresses(node: &NodeConfig) -> Vec<NodeAddress> {
    let address = |type_: &str, address: String| NodeAddress { type_: type_.to_owned(), address };
    let internal = node.addresses.iter().map(IpAddr::to_string).map(|ip| address("InternalIP", ip));
    internal.chain([address("Hostname", node.name.clone())]).collect()
}

fn capacity(facts: &StatusFacts<'_>) -> BTreeMap<String, ApiQuantity> {
    let mut capacity = text(&facts.resources.capacity);
    capacity.extend(text(&facts.devices.capacity));
    capacity
}

/// What Pods can have: also of extended resources that somebody gave to the Node by hand. Their capacity is not ours
/// to write.
fn allocatable(facts: &StatusFacts<'_>) -> BTreeMap<String, ApiQuantity> {
    let seen = facts.seen.status.iter().flat_map(|status| status.capacity.iter().flatten());
    let given = seen.filter(|(name, _)| is_extended(name)).map(|(name, amount)| (name.clone(), amount.clone()));
    let mut allocatable: BTreeMap<_, _> = given.collect();
    allocatable.extend(text(&facts.resources.allocatable));
    allocatable.extend(text(&facts.devices.allocatable));
    allocatable
}

fn text(resources: &Amounts) -> BTreeMap<String, ApiQuantity> {
    resources.iter().map(|(name, amount)| (name.clone(), ApiQuantity(amount.to_string()))).collect()
}

/// What a condition says.
struct Finding {
    type_: &'static str,
    status: bool,
    reason: &'static str,
    message: String,
}

fn conditions(facts: &StatusFacts<'_>) -> Vec<NodeCondition> {
    let pressure = |type_, status, [yes, no]: [(&'static str, &str); 2]| {
        let (reason, message) = if status { yes } else { no };
        Finding { type_, status, reason, message: message.to_owned() }
    };
    let findings = [
        pressure(
            "MemoryPressure",
            facts.pressure.contains(&"MemoryPressure"),
            [
                ("KubeletHasInsufficientMemory", "kubelet has insufficient memory available"),
                ("KubeletHasSufficientMemory", "kubelet has sufficient memory available"),
            ],
        ),
        pressure(
            "DiskPressure",
            facts.pressure.contains(&"DiskPressure"),
            [
                ("KubeletHasDiskPressure", "kubelet has disk pressure"),
                ("KubeletHasNoDiskPressure", "kubelet has no disk pressure"),
            ],
        ),
        pressure(
            "PIDPressure",
            facts.pressure.contains(&"PIDPressure"),
            [
                ("KubeletHasInsufficientPID", "kubelet has insufficient PID available"),
                ("KubeletHasSufficientPID", "kubelet has sufficient PID available"),
            ],
        ),
        ready(facts),
    ];
    findings.into_iter().map(|finding| condition(facts, finding)).collect()
}

fn ready(facts: &StatusFacts<'_>) -> Finding {
    let mut problems = match &facts.runtime {
        Err(error) => vec![format!("container runtime is down: {error}")],
        Ok(response) => {
            let conditions = response.status.iter().flat_map(|status| &status.conditions);
            let failing = conditions.filter(|condition| !condition.status);
            failing.map(|one| format!("{} is false: {}: {}", one.r#type, one.reason, one.message)).collect()
        }
    };
    if facts.shutting_down {
        problems.push("node is shutting down".to_owned());
    }
    let message = if problems.is_empty() { "kubelet is posting ready status".to_owned() } else { problems.join("; ") };
    let status = problems.is_empty();
    Finding { type_: "Ready", status, reason: if status { "KubeletReady" } else { "KubeletNotReady" }, message }
}

fn condition(facts: &StatusFacts<'_>, finding: Finding) -> NodeCondition {
    let status = if finding.status { "True" } else { "False" };
    let before = facts.before.and_then(|before| before.conditions.as_ref());
    let same = before.and_then(|all| all.iter().find(|one| one.type_ == finding.type_ && one.status == status));
    NodeCondition {
        type_: finding.type_.to_owned(),
        status: status.to_owned(),
        reason: Some(finding.reason.to_owned()),
        message: Some(finding.message),
        last_heartbeat_time: Some(seconds(facts.now)),
        last_transition_time: same
            .and_then(|condition| condition.last_transition_time.clone())
            .or_else(|| Some(seconds(facts.now))),
    }
}

fn images(images: &[cri::Image]) -> Vec<ContainerImage> {
    let mut images: Vec<&cri::Image> = images.iter().collect();
    images.sort_by_key(|image| (std::cmp::Reverse(image.size), image.id.clone()));
    let listed = images.into_iter().take(MAX_IMAGES).map(|image| ContainerImage {
        names: Some(image.repo_digests.iter().chain(&image.repo_tags).take(MAX_NAMES_PER_IMAGE).cloned().collect()),
        size_bytes: i64::try_from(image.size).ok(),
    });
    listed.collect()
}

/// What the runtime can do for every Pod; what it said last while it does not answer.
fn features(facts: &StatusFacts<'_>) -> Option<NodeFeatures> {
    match &facts.runtime {
        Ok(response) => response
            .features
            .as_ref()
            .map(|features| NodeFeatures { supplemental_groups_policy: Some(features.supplemental_groups_policy) }),
        Err(_) => facts.before.and_then(|before| before.features.clone()),
    }
}

/// What each of the runtime's handlers can do; what it said last while it does not answer.
fn runtime_handlers(facts: &StatusFacts<'_>) -> Option<Vec<NodeRuntimeHandler>> {
    let Ok(response) = &facts.runtime else { return facts.before.and_then(|before| before.runtime_handlers.clone()) };
    let handlers = response.runtime_handlers.iter().map(|handler| NodeRuntimeHandler {
        name: Some(handler.name.clone()),
        features: handler.features.as_ref().map(|features| NodeRuntimeHandlerFeatures {
            recursive_read_only_mounts: Some(features.recursive_read_only_mounts),
            user_namespaces: Some(features.user_namespaces),
        }),
    });
    Some(handlers.collect()).filter(|handlers: &Vec<_>| !handlers.is_empty())
}

fn node_info(facts: &StatusFacts<'_>) -> NodeSystemInfo {
    let machine = facts.machine;
    NodeSystemInfo {
        architecture: go_arch().to_owned(),
        boot_id: machine.boot_id.clone(),
        container_runtime_version: facts.runtime_version.to_owned(),
        kernel_version: machine.kernel_version.clone(),
        // Deprecated and empty upstream as well.
        kube_proxy_version: String::new(),
        kubelet_version: facts.node.version.clone(),
        machine_id: machine.machine_id.clone(),
        operating_system: "linux".to_owned(),
        os_image: machine.os_image.clone(),
        swap: Some(NodeSwapStatus { capacity: i64::try_from(machine.swap_bytes).ok() }),
        system_uuid: machine.system_uuid.clone(),
    }
}
