//! A Pod's status, computed. Pure: everything it depends on comes in, a whole status comes out.
//!
//! The status says what is, in upstream's words. Conditions that others own (`DisruptionTarget`, readiness gates)
//! pass through untouched.

mod conditions;
mod containers;
mod phase;
#[cfg(test)]
mod tests;

use std::borrow::Cow;
use std::collections::BTreeMap;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{HostIP, Pod, PodIP, PodStatus};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use crate::observed::ObservedPod;
use crate::pod;
use crate::probes::ProbeResults;
use crate::qos;

pub use phase::Phase;

/// Why a container that should run does not, by container name.
pub type WaitingReasons = BTreeMap<String, Waiting>;

/// A container's `state.waiting`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Waiting {
    /// One CamelCase word.
    pub reason: String,
    /// The rest, for people.
    pub message: String,
}

/// How far the Pod is in its life, as far as status is concerned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// Containers are started and restarted.
    Syncing,
    /// Containers are being stopped.
    Terminating,
    /// Nothing of it runs and nothing will.
    Ended,
}

/// Why the kubelet itself ended a Pod; becomes the status' reason and message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verdict {
    /// Such as `DeadlineExceeded`.
    pub reason: Cow<'static, str>,
    /// For people.
    pub message: String,
    /// What it means for the rest of the status.
    pub kind: VerdictKind,
}

/// How a [`Verdict`] shows beyond reason and message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum VerdictKind {
    /// The Pod's own time was up.
    Stopped,
    /// The Pod was not let in: nothing of it ever ran here.
    Rejected,
    /// The Pod had to make way, which the condition `DisruptionTarget` says.
    Disrupted,
}

/// Everything a status depends on.
#[derive(Debug, Clone, Copy)]
pub struct StatusInput<'a> {
    /// The Pod as the API has it.
    pub pod: &'a Pod,
    /// Its status before, see [`latest`].
    pub old: &'a PodStatus,
    /// The Pod as the runtime has it.
    pub observed: &'a ObservedPod,
    /// Why containers wait.
    pub waiting: &'a WaitingReasons,
    /// What the probes found.
    pub probes: &'a ProbeResults,
    /// The Pod's stage.
    pub stage: Stage,
    /// Set when the kubelet failed the Pod.
    pub verdict: Option<&'a Verdict>,
    /// When the kubelet first saw the Pod, for a Pod whose status does not say.
    pub first_seen: Timestamp,
    /// The node's addresses, the primary one first.
    pub host_ips: &'a [String],
    /// The runtime's name, for container ids such as `isopod://...`.
    pub runtime_name: &'a str,
    /// The present moment.
    pub now: Timestamp,
}

/// Computes the status.
pub fn pod_status(input: &StatusInput<'_>) -> PodStatus {
    let old = input.old;
    if let Some(rejected) = rejected(input) {
        return rejected;
    }
    let statuses = containers::container_statuses(input, old);
    let phase = phase::phase(input, old, &statuses.init, &statuses.regular);
    let host_ips = host_ips(input, old);
    let pod_ips = pod_ips(input, old, &host_ips);
    let mut status = PodStatus {
        conditions: None,
        container_statuses: Some(statuses.regular),
        init_container_statuses: (!statuses.init.is_empty()).then_some(statuses.init),
        ephemeral_container_statuses: (!statuses.ephemeral.is_empty()).then_some(statuses.ephemeral),
        host_ip: host_ips.first().cloned(),
        host_ips: list(&host_ips, |ip| HostIP { ip }),
        pod_ip: pod_ips.first().cloned(),
        pod_ips: list(&pod_ips, |ip| PodIP { ip }),
        phase: Some(phase.as_str().to_owned()),
        qos_class: old.qos_class.clone().or_else(|| Some(qos::class_of(input.pod).as_str().to_owned())),
        start_time: old.start_time.clone().or_else(|| Some(seconds(input.first_seen))),
        observed_generation: input.pod.metadata.generation,
        ..old.clone()
    };
    if let Some(verdict) = input.verdict.filter(|_| phase::is_over(input)) {
        status.reason = Some(verdict.reason.clone().into_owned());
        status.message = Some(verdict.message.clone());
    }
    status.conditions = Some(conditions::conditions(input, old, &status, phase));
    status
}

/// The whole status of a Pod that was not let in: it has neither containers nor addresses here.
fn rejected(input: &StatusInput<'_>) -> Option<PodStatus> {
    let old = input.old;
    if let Some(verdict) = input.verdict.filter(|verdict| verdict.kind == VerdictKind::Rejected) {
        let foreign = old.conditions.iter().flatten().filter(|condition| !conditions::is_owned(condition));
        return Some(PodStatus {
            phase: Some(Phase::Failed.as_str().to_owned()),
            reason: Some(verdict.reason.clone().into_owned()),
            message: Some(verdict.message.clone()),
            conditions: Some(foreign.cloned().collect()),
            start_time: old.start_time.clone().or_else(|| Some(seconds(input.first_seen))),
            observed_generation: input.pod.metadata.generation,
            ..old.clone()
        });
    }
    let was_rejected = Phase::of(old) == Phase::Failed && old.reason.is_some() && old.container_statuses.is_none();
    (was_rejected && input.observed.containers.is_empty()).then(|| old.clone())
}

fn host_ips(input: &StatusInput<'_>, old: &PodStatus) -> Vec<String> {
    match &old.host_ip {
        Some(ip) if input.host_ips.is_empty() => vec![ip.clone()],
        _ => input.host_ips.to_vec(),
    }
}

/// The sandbox's addresses; the last known ones once it is gone.
fn pod_ips(input: &StatusInput<'_>, old: &PodStatus, host_ips: &[String]) -> Vec<String> {
    if pod::is_host_network(input.pod) {
        return host_ips.to_vec();
    }
    match input.observed.sandbox().filter(|sandbox| sandbox.ready) {
        Some(sandbox) => sandbox.ips.clone(),
        None => old.pod_ips.iter().flatten().map(|ip| ip.ip.clone()).collect(),
    }
}

fn list<T>(ips: &[String], wrap: impl Fn(String) -> T) -> Option<Vec<T>> {
    (!ips.is_empty()).then(|| ips.iter().cloned().map(wrap).collect())
}

/// The newest status there is: what the kubelet published last, which the API may not show yet, with everything that
/// others own as the API has it.
pub fn latest(pod: &Pod, published: Option<&PodStatus>) -> PodStatus {
    let api = pod.status.clone().unwrap_or_default();
    let Some(published) = published.cloned() else { return api };
    let foreign = api.conditions.into_iter().flatten().filter(|condition| !conditions::is_owned(condition));
    let owned = published.conditions.into_iter().flatten().filter(conditions::is_owned);
    PodStatus {
        conditions: Some(foreign.chain(owned).collect()),
        nominated_node_name: api.nominated_node_name,
        resize: api.resize,
        resource_claim_statuses: api.resource_claim_statuses,
        ..published
    }
}

/// The API's times have whole seconds.
pub(crate) fn seconds(time: Timestamp) -> Time {
    Time(Timestamp::from_second(time.as_second()).unwrap_or(time))
}
