//! Whether the node can give a running Pod what it asks for now, and what has to be done to its containers. Pure.

use api::core::v1::pod::QosClass;
use api::quantity::Quantity;
use k8s_openapi::api::core::v1::{Container, Pod, ResourceRequirements};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use serde_json::{Value, json};

use super::resizable;
use crate::admission::{Demand, first_shortage, units};
use crate::cpu_manager::Policy;
use crate::pod::{self, ContainerKind};
use crate::qos;
use crate::resources::Amounts;

/// Why a resize is not allocated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PendingReason {
    /// There is no room now.
    Deferred,
    /// There never will be.
    Infeasible,
}

impl PendingReason {
    /// The condition's reason.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Deferred => "Deferred",
            Self::Infeasible => "Infeasible",
        }
    }
}

/// A resize that is not allocated.
#[derive(Debug, Clone, PartialEq)]
pub struct Pending {
    /// Why, in one word.
    pub reason: PendingReason,
    /// Why, for people.
    pub message: String,
    /// The generation of the Pod that asks.
    pub generation: Option<i64>,
    /// Since when.
    pub since: Time,
}

impl Pending {
    /// Whether both say the same, whenever they began.
    pub fn says_same(&self, other: &Self) -> bool {
        (self.reason, &self.message, self.generation) == (other.reason, &other.message, other.generation)
    }
}

/// What becomes of a resize.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Resize {
    /// The node has room.
    Allocate,
    /// It has not.
    Wait(PendingReason, String),
}

/// What [`decide`] depends on besides the Pod.
#[derive(Debug, Clone, Copy)]
pub struct Room<'a> {
    /// What the others take.
    pub others: &'a [&'a Demand],
    /// What Pods can have.
    pub allocatable: &'a Amounts,
    /// Who gets CPUs for itself.
    pub cpu_manager: Policy,
}

/// Decides about a Pod whose desired resources are not the allocated ones.
pub fn decide(pod: &Pod, allocated: &Pod, desired: &Demand, room: Room<'_>) -> Resize {
    let Room { others, allocatable, cpu_manager } = room;
    let infeasible = |message: String| Resize::Wait(PendingReason::Infeasible, message);
    if pod::is_static(pod) {
        return infeasible("In-place resize of static-pods is not supported".to_owned());
    }
    let guaranteed = desired.qos == QosClass::Guaranteed;
    if guaranteed && cpu_manager == Policy::Static && requests_other_cpus(pod, allocated) {
        let message = "Resize is infeasible for Guaranteed Pods alongside CPU Manager policy \"static\"";
        return infeasible(message.to_owned());
    }
    // Upstream names memory where both are too much.
    for resource in ["memory", "cpu"] {
        let amount = |amounts: &Amounts| amounts.get(resource).map_or(0, |amount| units(resource, *amount));
        let (requested, capacity) = (amount(&desired.requests), amount(allocatable));
        if requested > capacity {
            return infeasible(format!(
                "Node didn't have enough capacity: {resource}, requested: {requested}, capacity: {capacity}"
            ));
        }
    }
    match first_shortage(desired, others, allocatable) {
        Some(message) => Resize::Wait(PendingReason::Deferred, message),
        None => Resize::Allocate,
    }
}

fn requests_other_cpus(pod: &Pod, allocated: &Pod) -> bool {
    let cpus = |pod| resizable(pod).map(|one| qos::request(one, "cpu")).collect::<Vec<_>>();
    cpus(pod) != cpus(allocated)
}

/// Which of CPU and memory are to be set anew in a container that runs with other resources.
pub fn changed_resources(running: &ResourceRequirements, wanted: &ResourceRequirements) -> Vec<&'static str> {
    let differs = |resource: &&str| {
        let amounts = |resources: &ResourceRequirements| {
            let get =
                |list: &Option<std::collections::BTreeMap<String, _>>| list.as_ref()?.get(*resource).map(Quantity::of);
            (get(&resources.requests), get(&resources.limits))
        };
        amounts(running) != amounts(wanted)
    };
    ["cpu", "memory"].into_iter().filter(differs).collect()
}

/// Whether the container wants to be restarted for this.
pub fn needs_restart(container: &Container, changed: &[&str]) -> bool {
    let policies = container.resize_policy.as_deref().unwrap_or_default();
    policies
        .iter()
        .any(|policy| policy.restart_policy == "RestartContainer" && changed.contains(&policy.resource_name.as_str()))
}

/// A Pod's resources as events about resizes show them.
pub fn summary(pod: &Pod, error: Option<&str>) -> Value {
    let of = |kinds: &[ContainerKind]| -> Vec<Value> {
        let containers = pod::all_containers(pod).filter(|(kind, _)| kinds.contains(kind));
        let shown = containers.map(|(_, container)| {
            json!({ "name": container.name, "resources": container.resources.clone().unwrap_or_default() })
        });
        shown.collect()
    };
    let (init, regular) = (of(&[ContainerKind::Init, ContainerKind::Sidecar]), of(&[ContainerKind::Regular]));
    let mut summary = serde_json::Map::new();
    if !init.is_empty() {
        summary.insert("initContainers".to_owned(), init.into());
    }
    summary.insert("containers".to_owned(), regular.into());
    summary.insert("generation".to_owned(), pod.metadata.generation.unwrap_or_default().into());
    if let Some(error) = error {
        summary.insert("error".to_owned(), error.into());
    }
    Value::Object(summary)
}
