//! What a Pod asks of its node: the Pod is the unit.
//!
//! Containers run side by side and add up. Init containers run one after the other before them, so the largest counts;
//! those that keep running (`restartPolicy: Always`) count beside everything that starts later. What the Pod states for
//! itself (`spec.resources`) replaces the sum, and the overhead of its runtime class comes on top.

use k8s_openapi::api::core::v1::{Container, PodSpec, PodStatus};

use crate::resources::{ResourceList, Resources};

/// Scoring counts containers that ask for no CPU as if they asked for this much, to spread them.
const DEFAULT_CPU_MILLI: i64 = 100;
/// The same for memory.
const DEFAULT_MEMORY_BYTES: i64 = 200 * 1024 * 1024;

/// What one Pod asks for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Requests {
    /// As stated: must fit.
    pub exact: Resources,
    /// CPU and memory with a minimum for containers that state none: for scoring.
    pub assumed: Resources,
}

impl Requests {
    /// The requests of a Pod. One that is being resized counts with the most it asks for, is promised or has.
    pub fn of(spec: &PodSpec, status: Option<&PodStatus>) -> Self {
        let pending = status.and_then(|status| status.conditions.as_ref()).into_iter().flatten();
        let infeasible = pending
            .into_iter()
            .any(|one| one.type_ == "PodResizePending" && one.reason.as_deref() == Some("Infeasible"));
        Self {
            exact: total(spec, |container| {
                // What can never be given is not kept free.
                let mut resources = if infeasible { Resources::default() } else { requests_of(container) };
                has_or_is_promised(container, status).iter().for_each(|other| resources.raise_to(other));
                resources
            }),
            assumed: total(spec, |container| {
                let list = requests_list(container);
                let has = |name| list.is_some_and(|list| list.contains_key(name));
                let mut resources = requests_of(container);
                if !has("cpu") {
                    resources.cpu_milli = DEFAULT_CPU_MILLI;
                }
                if !has("memory") {
                    resources.memory_bytes = DEFAULT_MEMORY_BYTES;
                }
                resources
            }),
        }
    }
}

/// What the node says a container has, and is promised.
fn has_or_is_promised(container: &Container, status: Option<&PodStatus>) -> Vec<Resources> {
    let Some(status) = status else { return Vec::new() };
    let statuses = status.container_statuses.iter().flatten().chain(status.init_container_statuses.iter().flatten());
    let Some(own) = statuses.into_iter().find(|one| one.name == container.name) else { return Vec::new() };
    let has = own.resources.as_ref().and_then(|resources| resources.requests.as_ref());
    has.into_iter().chain(own.allocated_resources.as_ref()).map(Resources::of).collect()
}

fn total(spec: &PodSpec, requests_of: impl Fn(&Container) -> Resources) -> Resources {
    let mut running = Resources::default();
    for container in &spec.containers {
        running.add(&requests_of(container));
    }
    let mut peak = Resources::default();
    let mut sidecars = Resources::default();
    for container in spec.init_containers.iter().flatten() {
        let requests = requests_of(container);
        if container.restart_policy.as_deref() == Some("Always") {
            running.add(&requests);
            sidecars.add(&requests);
            peak.raise_to(&sidecars);
        } else {
            let mut step = requests;
            step.add(&sidecars);
            peak.raise_to(&step);
        }
    }
    running.raise_to(&peak);
    if let Some(list) = spec.resources.as_ref().and_then(|resources| resources.requests.as_ref()) {
        override_with(&mut running, list);
    }
    if let Some(overhead) = &spec.overhead {
        running.add(&Resources::of(overhead));
    }
    running
}

/// Pod-level requests exist for CPU, memory and huge pages.
fn override_with(total: &mut Resources, list: &ResourceList) {
    let stated = Resources::of(list);
    if list.contains_key("cpu") {
        total.cpu_milli = stated.cpu_milli;
    }
    if list.contains_key("memory") {
        total.memory_bytes = stated.memory_bytes;
    }
    for (name, amount) in stated.extended {
        match total.extended.iter_mut().find(|(other, _)| *other == name) {
            Some(entry) => entry.1 = amount,
            None => total.add(&Resources { extended: vec![(name, amount)], ..Resources::default() }),
        }
    }
}

fn requests_list(container: &Container) -> Option<&ResourceList> {
    container.resources.as_ref()?.requests.as_ref()
}

fn requests_of(container: &Container) -> Resources {
    requests_list(container).map(Resources::of).unwrap_or_default()
}
