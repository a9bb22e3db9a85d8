//! What objects count for against quotas, for the API server that charges them and the controller that counts anew.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::{Container, PersistentVolumeClaim, Pod, ResourceRequirements, Service};

use super::super::pod::resources::{Amounts as PodAmounts, pod_limits, pod_requests};
use super::super::pod::{is_terminal, spec_of};
use super::super::resource_list::{ResourceList, get, is_extended, is_huge_page, is_native};
use crate::object::Object;
use crate::quantity::Quantity;

/// Amounts by the names quotas give them.
pub type Amounts = BTreeMap<String, Quantity>;

const STORAGE_CLASS: &str = ".storageclass.storage.k8s.io/";
/// What every container must say when a quota limits it. Upstream regrets that, and so there is no more of it.
const TO_BE_SAID: [&str; 6] = ["cpu", "limits.cpu", "limits.memory", "memory", "requests.cpu", "requests.memory"];

/// A resource, as quotas see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Counted<'a> {
    group: &'a str,
    plural: &'a str,
    /// `count/<plural>.<group>`
    count: String,
}

/// An object of a resource.
#[derive(Clone, Copy)]
pub enum Item<'a> {
    /// Counts with what it asks for.
    Pod(&'a Pod),
    /// Counts with its ports.
    Service(&'a Service),
    /// Counts with its size.
    Claim(&'a PersistentVolumeClaim),
    /// Only its number counts.
    Other,
}

impl<'a> Item<'a> {
    /// What an object is to quotas.
    pub fn of(object: &'a dyn Object) -> Self {
        let any = object.as_any();
        if let Some(pod) = any.downcast_ref() {
            Self::Pod(pod)
        } else if let Some(service) = any.downcast_ref() {
            Self::Service(service)
        } else if let Some(claim) = any.downcast_ref() {
            Self::Claim(claim)
        } else {
            Self::Other
        }
    }
}

impl<'a> Counted<'a> {
    /// A resource by group and plural.
    pub fn new(group: &'a str, plural: &'a str) -> Self {
        let dot = if group.is_empty() { "" } else { "." };
        Self { group, plural, count: format!("count/{plural}{dot}{group}") }
    }

    /// Whether objects of this resource count against what a quota names so.
    pub fn counts_as(&self, name: &str) -> bool {
        if name == self.count {
            return true;
        }
        match (self.group, self.plural) {
            ("", "pods") => is_of_pods(name),
            ("", "services") => matches!(name, "services" | "services.nodeports" | "services.loadbalancers"),
            ("", "persistentvolumeclaims") => {
                let of_class = name.split_once(STORAGE_CLASS).map_or(name, |(_, of_class)| of_class);
                matches!(of_class, "persistentvolumeclaims" | "requests.storage")
            }
            ("", "replicationcontrollers" | "secrets" | "configmaps" | "resourcequotas") => name == self.plural,
            _ => false,
        }
    }

    /// What one object counts for, at this time.
    pub fn usage(&self, item: Item<'_>, now: Timestamp) -> Amounts {
        let one = Quantity::from_value(1);
        let mut usage = Amounts::from([(self.count.clone(), one)]);
        match item {
            Item::Pod(pod) if is_charged(pod, now) => add(&mut usage, &pod_usage(&pod_requests(pod), &pod_limits(pod))),
            Item::Pod(_) => {}
            Item::Service(service) => add(&mut usage, &service_usage(service)),
            Item::Claim(claim) => add(&mut usage, &claim_usage(claim)),
            Item::Other if self.group.is_empty() => add(&mut usage, &Amounts::from([(self.plural.to_owned(), one)])),
            Item::Other => {}
        }
        usage
    }
}

/// Adds amounts to others.
pub fn add(amounts: &mut Amounts, more: &Amounts) {
    for (name, quantity) in more {
        *amounts.entry(name.clone()).or_default() += *quantity;
    }
}

/// The quantities of an object's list.
pub fn amounts(list: Option<&ResourceList>) -> Amounts {
    list.into_iter().flatten().map(|(name, quantity)| (name.clone(), Quantity::of(quantity))).collect()
}

fn is_of_pods(name: &str) -> bool {
    let resource = name.strip_prefix("requests.").or_else(|| name.strip_prefix("limits.")).unwrap_or(name);
    let extended = name.strip_prefix("requests.").is_some_and(|extended| !is_native(extended));
    name == "pods"
        || matches!(resource, "cpu" | "memory" | "ephemeral-storage")
        || is_huge_page(name)
        || name.strip_prefix("requests.").is_some_and(is_huge_page)
        || extended
}

/// Pods that have ended, or should have by now, need nothing any more.
fn is_charged(pod: &Pod, now: Timestamp) -> bool {
    let overdue = pod.metadata.deletion_timestamp.as_ref().zip(pod.metadata.deletion_grace_period_seconds);
    let overdue = overdue.is_some_and(|(deleted, grace)| now > deleted.0 + SignedDuration::from_secs(grace));
    !is_terminal(pod) && !overdue
}

fn pod_usage(requests: &PodAmounts<'_>, limits: &PodAmounts<'_>) -> Amounts {
    let mut usage = Amounts::from([("pods".to_owned(), Quantity::from_value(1))]);
    for (&name, &amount) in requests {
        if matches!(name, "cpu" | "memory" | "ephemeral-storage") || is_huge_page(name) {
            usage.insert(name.to_owned(), amount);
            usage.insert(format!("requests.{name}"), amount);
        } else if is_extended(name) {
            usage.insert(format!("requests.{name}"), amount);
        }
    }
    let limited = limits.iter().filter(|(name, _)| matches!(**name, "cpu" | "memory" | "ephemeral-storage"));
    usage.extend(limited.map(|(name, amount)| (format!("limits.{name}"), *amount)));
    usage
}

fn service_usage(service: &Service) -> Amounts {
    let spec = service.spec.as_ref();
    let ports = spec.and_then(|spec| spec.ports.as_deref()).unwrap_or_default();
    let taken = ports.iter().filter(|port| port.node_port.unwrap_or(0) != 0).count();
    let (node_ports, load_balancers) = match spec.and_then(|spec| spec.type_.as_deref()) {
        Some("NodePort") => (ports.len(), 0),
        Some("LoadBalancer") if spec.and_then(|spec| spec.allocate_load_balancer_node_ports) == Some(false) => {
            (taken, 1)
        }
        Some("LoadBalancer") => (ports.len(), 1),
        _ => (0, 0),
    };
    let count = |number: usize| Quantity::from_value(i64::try_from(number).unwrap_or(i64::MAX));
    [("services", 1), ("services.nodeports", node_ports), ("services.loadbalancers", load_balancers)]
        .map(|(name, number)| (name.to_owned(), count(number)))
        .into()
}

fn claim_usage(claim: &PersistentVolumeClaim) -> Amounts {
    let one = Quantity::from_value(1);
    let class = super::super::persistent_volume_claim::class_of(claim).unwrap_or_default();
    let mut usage = Amounts::from([("persistentvolumeclaims".to_owned(), one)]);
    let of_class = |name: &str| format!("{class}{STORAGE_CLASS}{name}");
    if !class.is_empty() {
        usage.insert(of_class("persistentvolumeclaims"), one);
    }
    let resources = claim.spec.as_ref().and_then(|spec| spec.resources.as_ref());
    let requested = get(resources.and_then(|resources| resources.requests.as_ref()), "storage");
    let allocated = claim.status.as_ref().and_then(|status| get(status.allocated_resources.as_ref(), "storage"));
    let size = match (requested, allocated) {
        (Some(requested), Some(allocated)) if allocated > requested => Some(allocated),
        (requested, allocated) => requested.or(allocated),
    };
    if let Some(size) = size {
        usage.insert("requests.storage".to_owned(), size);
        if !class.is_empty() {
            usage.insert(of_class("requests.storage"), size);
        }
    }
    usage
}

/// What a Pod's containers do not say although a quota limits it, in upstream's words.
pub fn unsaid<'a>(item: Item<'_>, limited: impl IntoIterator<Item = &'a str>) -> Option<String> {
    let Item::Pod(pod) = item else { return None };
    let spec = spec_of(pod);
    let whole = spec.resources.as_ref().map(said).unwrap_or_default();
    let mut limited: Vec<&str> =
        limited.into_iter().filter(|name| TO_BE_SAID.contains(name) && !whole.contains_key(*name)).collect();
    limited.sort_unstable();
    let containers = || spec.containers.iter().chain(spec.init_containers.iter().flatten());
    let missing = limited.into_iter().filter_map(|name| {
        let is_silent = |container: &&Container| {
            !container.resources.as_ref().is_some_and(|resources| said(resources).contains_key(name))
        };
        let mut silent: Vec<&str> = containers().filter(is_silent).map(|container| container.name.as_str()).collect();
        silent.sort_unstable();
        silent.dedup();
        (!silent.is_empty()).then(|| format!("{name} for: {}", silent.join(",")))
    });
    let missing: Vec<String> = missing.collect();
    (!missing.is_empty()).then(|| format!("must specify {}", missing.join("; ")))
}

/// What requests and limits say, as quotas name it.
fn said(resources: &ResourceRequirements) -> Amounts {
    fn view(list: &Option<ResourceList>) -> PodAmounts<'_> {
        list.iter().flatten().map(|(name, quantity)| (name.as_str(), Quantity::of(quantity))).collect()
    }
    pod_usage(&view(&resources.requests), &view(&resources.limits))
}

#[cfg(test)]
mod tests;
