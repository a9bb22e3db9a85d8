//! Whether the node lets a Pod in. The scheduler has asked most of this before, but it is not the only one who binds,
//! and two may bind at once: the node has the last word. Pure.

mod preemption;
pub mod security;
#[cfg(test)]
mod tests;

use api::core::v1::node_selector;
use api::core::v1::pod::{QosClass, resources as pod_resources};
use api::core::v1::resource_list::is_extended;
use api::core::v1::taints;
use api::quantity::Quantity;
use k8s_openapi::api::core::v1::{Node, Pod, Taint};

use crate::cpu_manager::AllocationError;
use crate::pod::{self, Uid};
use crate::pod_status::{Verdict, VerdictKind};
use crate::qos;
use crate::resources::Amounts;

pub use security::{AppArmor, NodeSecurity};

/// What a Pod takes of the node, kept so that nobody has to add it up again.
#[derive(Debug, Clone, PartialEq)]
pub struct Demand {
    /// Which Pod.
    pub uid: Uid,
    /// Requests, and one of `pods`.
    pub requests: Amounts,
    /// Its class.
    pub qos: QosClass,
    /// Its priority.
    pub priority: i32,
    /// Whether it is critical.
    pub critical: bool,
    /// Host ports: address, protocol, port.
    pub ports: Vec<(String, String, i32)>,
}

impl Demand {
    /// Adds up what a Pod asks for.
    pub fn of(pod: &Pod) -> Self {
        let requests = pod_resources::pod_requests(pod);
        let mut requests: Amounts = requests.into_iter().map(|(name, amount)| (name.to_owned(), amount)).collect();
        requests.insert("pods".to_owned(), Quantity::from_value(1));
        Self {
            uid: pod::uid(pod),
            requests,
            qos: qos::class_of(pod),
            priority: pod::priority(pod),
            critical: pod::is_critical(pod),
            ports: host_ports(pod),
        }
    }

    /// CPU the Pod requests, if it is Burstable.
    pub fn burstable_cpu_milli(&self) -> i64 {
        if self.qos == QosClass::Burstable { self.request("cpu") } else { 0 }
    }

    fn request(&self, resource: &str) -> i64 {
        self.requests.get(resource).map_or(0, |amount| units(resource, *amount))
    }
}

/// CPU is counted in thousandths, everything else in ones.
pub fn units(resource: &str, amount: Quantity) -> i64 {
    if resource == "cpu" { amount.milli_value() } else { amount.value() }
}

fn host_ports(pod: &Pod) -> Vec<(String, String, i32)> {
    let sidecars_too = pod::all_containers(pod).filter(|(kind, _)| *kind != pod::ContainerKind::Init);
    let ports = sidecars_too.flat_map(|(_, container)| container.ports.iter().flatten());
    ports
        .filter_map(|port| {
            let number = port.host_port.filter(|number| *number > 0)?;
            let address = port.host_ip.clone().filter(|ip| !ip.is_empty()).unwrap_or_else(|| "0.0.0.0".to_owned());
            Some((address, port.protocol.clone().unwrap_or_else(|| "TCP".to_owned()), number))
        })
        .collect()
}

/// What the answer depends on.
pub struct AdmissionInput<'a> {
    /// The Pod.
    pub pod: &'a Pod,
    /// What it takes.
    pub demand: &'a Demand,
    /// What the others take that are here.
    pub others: &'a [&'a Demand],
    /// The Node as the API has it.
    pub node: &'a Node,
    /// What Pods can have.
    pub allocatable: &'a Amounts,
    /// Pressure conditions the node has.
    pub pressure: &'a [&'static str],
    /// What the node allows.
    pub security: &'a NodeSecurity,
    /// Why it cannot have its devices or CPUs of its own.
    pub unavailable: Option<Verdict>,
}

/// The answer.
#[derive(Debug, PartialEq)]
pub enum Admission {
    /// It may run.
    Admitted,
    /// It may run once these are gone.
    AfterPreempting(Vec<Uid>),
    /// It may not.
    Rejected(Verdict),
}

/// Why the Pod does not fit.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Shortage {
    resource: String,
    requested: i64,
    used: i64,
    capacity: i64,
}

impl Shortage {
    fn missing(&self) -> i64 {
        self.requested - (self.capacity - self.used)
    }
}

/// Decides.
pub fn admit(input: &AdmissionInput<'_>) -> Admission {
    if let Some(verdict) = evicting(input)
        .or_else(|| security::refuse(input.pod, input.security))
        .or_else(|| security::refuse_groups_policy(input.pod, input.node))
        .or_else(|| wrong_system(input.pod))
    {
        return Admission::Rejected(verdict);
    }
    if let Some(verdict) = &input.unavailable {
        return Admission::Rejected(verdict.clone());
    }
    let shortages = shortages(input);
    let misfit = misfit(input);
    if pod::is_critical(input.pod) && misfit.is_none() && !shortages.is_empty() {
        return match preemption::plan(input.demand, input.others, &shortages) {
            Ok(victims) => Admission::AfterPreempting(victims),
            Err(problem) => {
                let message = format!("Unexpected error while attempting to recover from admission failure: {problem}");
                Admission::Rejected(rejection("UnexpectedAdmissionError", &message))
            }
        };
    }
    let first = shortages.first().filter(|_| !pod::is_critical(input.pod));
    let verdict = first.map(out_of).or_else(|| misfit.map(predicate_failed));
    verdict.map_or(Admission::Admitted, Admission::Rejected)
}

/// What a Pod lacks that asks for more than is free, in upstream's words.
pub fn first_shortage(demand: &Demand, others: &[&Demand], allocatable: &Amounts) -> Option<String> {
    find_shortages(demand, others, allocatable).first().map(shortage_message)
}

/// The verdict over a Pod that is not let in.
pub fn rejection(reason: &str, message: &str) -> Verdict {
    Verdict {
        reason: reason.to_owned().into(),
        message: format!("Pod was rejected: {message}"),
        kind: VerdictKind::Rejected,
    }
}

/// What an Event says of a verdict.
pub fn event_message(verdict: &Verdict) -> String {
    verdict.message.trim_start_matches("Pod was rejected: ").to_owned()
}

/// The verdict over a Pod that cannot have what only one can have, such as a device.
pub fn not_allocated(problem: &dyn std::error::Error) -> Verdict {
    rejection("UnexpectedAdmissionError", &format!("Allocate failed due to {problem}, which is unexpected"))
}

/// The verdict over a Pod that cannot have CPUs of its own.
pub fn no_cpus(problem: &AllocationError) -> Verdict {
    match problem {
        AllocationError::PartOfCore { .. } | AllocationError::NotEnoughCores { .. } => {
            rejection("SMTAlignmentError", &problem.to_string())
        }
        AllocationError::NotEnough(_) => not_allocated(problem),
    }
}

fn shortage_message(shortage: &Shortage) -> String {
    let Shortage { resource, requested, used, capacity } = shortage;
    format!("Node didn't have enough resource: {resource}, requested: {requested}, used: {used}, capacity: {capacity}")
}

fn out_of(shortage: &Shortage) -> Verdict {
    rejection(&format!("OutOf{}", shortage.resource), &shortage_message(shortage))
}

fn predicate_failed((predicate, description): (&str, &str)) -> Verdict {
    rejection(predicate, &format!("Predicate {predicate} failed: {description}"))
}

/// A node that is short of something takes no more than it must.
fn evicting(input: &AdmissionInput<'_>) -> Option<Verdict> {
    if input.pressure.is_empty() || pod::is_critical(input.pod) {
        return None;
    }
    if input.pressure == ["MemoryPressure"] {
        let taint = Taint {
            key: "node.kubernetes.io/memory-pressure".to_owned(),
            effect: taints::NO_SCHEDULE.to_owned(),
            ..Taint::default()
        };
        let tolerations = input.pod.spec.as_ref().and_then(|spec| spec.tolerations.as_deref()).unwrap_or_default();
        let tolerated = taints::find_untolerated(&[taint], tolerations, |_| true).is_none();
        if input.demand.qos != QosClass::BestEffort || tolerated {
            return None;
        }
    }
    Some(rejection("Evicted", &format!("The node had condition: [{}]. ", input.pressure.join(" "))))
}

fn wrong_system(pod: &Pod) -> Option<Verdict> {
    let wanted = pod.metadata.labels.as_ref().and_then(|labels| labels.get("kubernetes.io/os"));
    if wanted.is_some_and(|system| system != "linux") {
        let message = "Failed to admit pod as the `kubernetes.io/os` label doesn't match node label";
        return Some(rejection("PodOSSelectorNodeLabelDoesNotMatch", message));
    }
    let system = pod.spec.as_ref().and_then(|spec| spec.os.as_ref());
    let message = "Failed to admit pod as the OS field doesn't match node OS";
    system.filter(|os| os.name != "linux").map(|_| rejection("PodOSNotSupported", message))
}

/// Why the Pod must not be here however much room there is: the predicate that fails, and how it says so.
fn misfit(input: &AdmissionInput<'_>) -> Option<(&'static str, &'static str)> {
    let spec = input.pod.spec.as_ref()?;
    if !node_selector::selects(spec, input.node) {
        return Some(("NodeAffinity", "node(s) didn't match Pod's node affinity/selector"));
    }
    if input.others.iter().any(|other| conflict(&input.demand.ports, &other.ports)) {
        return Some(("NodePorts", "node(s) didn't have free ports for the requested pod ports"));
    }
    if !pod::is_static(input.pod) {
        let node_taints = input.node.spec.as_ref().and_then(|spec| spec.taints.as_deref()).unwrap_or_default();
        let tolerations = spec.tolerations.as_deref().unwrap_or_default();
        let ends = |taint: &Taint| taint.effect == taints::NO_EXECUTE;
        if taints::find_untolerated(node_taints, tolerations, ends).is_some() {
            return Some(("TaintToleration", "node(s) had taints that the pod didn't tolerate"));
        }
    }
    None
}

fn conflict(left: &[(String, String, i32)], right: &[(String, String, i32)]) -> bool {
    let any = "0.0.0.0";
    left.iter().any(|(address, protocol, port)| {
        right.iter().any(|(other_address, other_protocol, other_port)| {
            port == other_port
                && protocol == other_protocol
                && (address == other_address || address == any || other_address == any)
        })
    })
}

fn shortages(input: &AdmissionInput<'_>) -> Vec<Shortage> {
    find_shortages(input.demand, input.others, input.allocatable)
}

/// Everything of which the Pod asks for more than is free: Pods first, then as upstream orders them.
fn find_shortages(demand: &Demand, others: &[&Demand], allocatable: &Amounts) -> Vec<Shortage> {
    let order = |name: &str| match name {
        "pods" => 0,
        "cpu" => 1,
        "memory" => 2,
        "ephemeral-storage" => 3,
        _ => 4,
    };
    let mut names: Vec<&String> = demand.requests.keys().collect();
    names.sort_by_key(|name| order(name));
    names
        .into_iter()
        .filter_map(|name| {
            // A resource of the cluster's own that the node knows nothing of is somebody else's to count.
            if is_extended(name) && !allocatable.contains_key(name) {
                return None;
            }
            let requested = demand.request(name);
            let capacity = allocatable.get(name).map_or(0, |amount| units(name, *amount));
            let used = others.iter().map(|other| other.request(name)).fold(0, i64::saturating_add);
            let shortage = Shortage { resource: name.clone(), requested, used, capacity };
            (requested > 0 && requested > capacity.saturating_sub(used)).then_some(shortage)
        })
        .collect()
}
