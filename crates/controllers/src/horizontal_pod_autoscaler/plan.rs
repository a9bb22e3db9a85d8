//! What to do about the number of Pods, and what the status says. Pure but for the memory passed in.

use client::{EventType, ObjectKey};
use jiff::Timestamp;
use k8s_openapi::api::autoscaling::v1::Scale;
use k8s_openapi::api::autoscaling::v2::{
    ContainerResourceMetricStatus, HorizontalPodAutoscaler, HorizontalPodAutoscalerCondition,
    HorizontalPodAutoscalerSpec, HorizontalPodAutoscalerStatus, MetricSpec, MetricStatus, MetricTarget,
    MetricValueStatus, ResourceMetricStatus,
};
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::apimachinery::pkg::api::resource::Quantity as ApiQuantity;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use api::quantity::Quantity;

use super::Autoscaling;
use super::pace::{Memory, Said};
use super::usage::{Measure, PodMetrics, Proposal, Seen, Target, Tolerance, propose};

const ABLE: &str = "AbleToScale";
const ACTIVE: &str = "ScalingActive";
const LIMITED: &str = "ScalingLimited";

/// What is told: type, reason and message.
pub type Told = (EventType, &'static str, String);

/// What was seen of a target.
#[derive(Debug, Clone)]
pub struct Observed {
    /// Its scale.
    pub scale: Scale,
    /// Its Pods.
    pub pods: Vec<Pod>,
    /// What they use, or why that can't be told.
    pub metrics: Result<Vec<PodMetrics>, String>,
    /// Other autoscalers whose target has some of these Pods.
    pub rivals: Vec<ObjectKey>,
}

/// What to do.
#[derive(Debug, Clone, PartialEq)]
pub struct Plan {
    /// The status.
    pub status: HorizontalPodAutoscalerStatus,
    /// The number of Pods to write.
    pub rescale: Option<i32>,
    /// Why.
    pub reason: String,
    /// What is told.
    pub events: Vec<Told>,
}

/// What the metrics ask for.
struct Asked {
    replicas: i32,
    by: String,
}

/// Why a metric says nothing.
struct Unknown {
    reason: &'static str,
    /// Of which metric, where several are told of at once.
    of: String,
    why: String,
}

impl Plan {
    fn say(&mut self, kind: &str, now: Timestamp, holds: bool, reason: &str, message: String) {
        let status = if holds { "True" } else { "False" }.to_owned();
        let conditions = self.status.conditions.get_or_insert_default();
        let present = conditions.iter_mut().find(|condition| condition.type_ == kind);
        let since = match &present {
            Some(present) if present.status == status => present.last_transition_time.clone(),
            _ => Some(Time(now)),
        };
        let condition = HorizontalPodAutoscalerCondition {
            type_: kind.to_owned(),
            status,
            reason: Some(reason.to_owned()),
            message: Some(message),
            last_transition_time: since,
        };
        match present {
            Some(present) => *present = condition,
            None => conditions.push(condition),
        }
    }

    fn warn(&mut self, reason: &'static str, message: String) {
        self.events.push((EventType::Warning, reason, message));
    }
}

/// Plans.
pub fn plan(
    autoscaler: &HorizontalPodAutoscaler,
    observed: Result<&Observed, &str>,
    defaults: &Autoscaling,
    memory: &mut Memory,
    now: Timestamp,
) -> Plan {
    let status = autoscaler.status.clone().unwrap_or_default();
    let mut plan = Plan { status, rescale: None, reason: String::new(), events: Vec::new() };
    let observed = match observed {
        Ok(observed) => observed,
        Err(problem) => {
            let message = format!("the HPA controller was unable to get the target's current scale: {problem}");
            plan.say(ABLE, now, false, "FailedGetScale", message);
            plan.warn("FailedGetScale", problem.to_owned());
            return plan;
        }
    };
    let got = "the HPA controller was able to get the target's current scale";
    plan.say(ABLE, now, true, "SucceededGetScale", got.to_owned());
    let spec = &autoscaler.spec;
    let current = observed.scale.spec.as_ref().and_then(|spec| spec.replicas).unwrap_or(0);
    memory.begin(current, now);
    plan.status.current_replicas = Some(current);
    plan.status.current_metrics = None;
    let (low, high) = (spec.min_replicas.unwrap_or(1), spec.max_replicas);
    let desired = if current == 0 && low != 0 {
        let message = "scaling is disabled since the replica count of the target is zero";
        plan.say(ACTIVE, now, false, "ScalingDisabled", message.to_owned());
        plan.status.desired_replicas = 0;
        return plan;
    } else if current > high {
        "Current number of replicas above Spec.MaxReplicas".clone_into(&mut plan.reason);
        high
    } else if current < low {
        "Current number of replicas below Spec.MinReplicas".clone_into(&mut plan.reason);
        low
    } else {
        let case = Case { autoscaler, observed, defaults, current, now };
        match by_metrics(case, memory, &mut plan) {
            Some(desired) => desired,
            None => return plan,
        }
    };
    plan.rescale = (desired != current).then_some(desired);
    plan.status.desired_replicas = desired;
    plan
}

/// What the number is computed from.
#[derive(Clone, Copy)]
struct Case<'a> {
    autoscaler: &'a HorizontalPodAutoscaler,
    observed: &'a Observed,
    defaults: &'a Autoscaling,
    current: i32,
    now: Timestamp,
}

/// Whether it is clear which Pods the target has.
fn has_own_pods(case: Case<'_>, plan: &mut Plan) -> bool {
    let Case { observed, now, .. } = case;
    let selector = observed.scale.status.as_ref().and_then(|status| status.selector.as_deref()).unwrap_or_default();
    if selector.is_empty() {
        let problem = "selector is required";
        plan.warn("SelectorRequired", problem.to_owned());
        let message = "the HPA target's scale is missing a selector";
        plan.say(ACTIVE, now, false, "InvalidSelector", message.to_owned());
        plan.warn("FailedComputeMetricsReplicas", problem.to_owned());
        return false;
    }
    if observed.rivals.is_empty() {
        return true;
    }
    let own = ObjectKey::of(case.autoscaler);
    let named = |key: &ObjectKey| format!("{{{} {}}}", key.name, key.namespace);
    let all: Vec<_> = std::iter::once(&own).chain(&observed.rivals).map(named).collect();
    let problem = format!("pods by selector {selector} are controlled by multiple HPAs: [{}]", all.join(" "));
    plan.warn("AmbiguousSelector", problem.clone());
    plan.say(ACTIVE, now, false, "AmbiguousSelector", problem.clone());
    plan.warn("FailedComputeMetricsReplicas", problem);
    false
}

/// The number metrics ask for, as far as it may be reached now; none when nothing can be said.
fn by_metrics(case: Case<'_>, memory: &mut Memory, plan: &mut Plan) -> Option<i32> {
    let Case { current, now, .. } = case;
    if !has_own_pods(case, plan) {
        return None;
    }
    let asked = match ask(case, plan) {
        Ok(asked) => asked,
        Err(problem) => {
            plan.warn("FailedComputeMetricsReplicas", problem);
            return None;
        }
    };
    let message = format!("the HPA was able to successfully calculate a replica count from {}", asked.by);
    plan.say(ACTIVE, now, true, "ValidMetricFound", message);
    let spec = &case.autoscaler.spec;
    let paced = memory.pace(spec, case.defaults.downscale_stabilization, current, asked.replicas, now);
    for (kind, said) in [(ABLE, paced.able), (LIMITED, paced.limited)] {
        let (holds, reason, message): Said = said;
        plan.say(kind, now, holds, reason, message.to_owned());
    }
    plan.reason = match paced.replicas {
        desired if desired > current => format!("{} above target", asked.by),
        _ => "All metrics below target".to_owned(),
    };
    Some(paced.replicas)
}

/// Of all metrics, the one that asks for most. One that says nothing keeps others from asking for less.
fn ask(case: Case<'_>, plan: &mut Plan) -> Result<Asked, String> {
    let metrics = case.autoscaler.spec.metrics.as_deref().unwrap_or_default();
    let mut asked = Asked { replicas: 0, by: String::new() };
    let mut unknown: Vec<Unknown> = Vec::new();
    for metric in metrics {
        // Readers find a metric's status by its place, so that one without has an empty one.
        let mut status = MetricStatus::default();
        match look(case, metric) {
            Ok((measured, replicas, by)) => {
                if asked.by.is_empty() || replicas > asked.replicas {
                    (asked.replicas, asked.by) = (replicas, by);
                }
                status = measured;
            }
            Err(problem) => {
                plan.warn(problem.reason, problem.why.clone());
                unknown.push(problem);
            }
        }
        plan.status.current_metrics.get_or_insert_default().push(status);
    }
    let Some(first) = unknown.first() else { return Ok(asked) };
    if unknown.len() < metrics.len() && asked.replicas >= case.current {
        return Ok(asked);
    }
    let message = format!("the HPA was unable to compute the replica count: {}", first.why);
    plan.say(ACTIVE, case.now, false, first.reason, message);
    let (count, all) = (unknown.len(), metrics.len());
    Err(format!("invalid metrics ({count} invalid out of {all}), first error is: {}{}", first.of, first.why))
}

fn look(case: Case<'_>, metric: &MetricSpec) -> Result<(MetricStatus, i32, String), Unknown> {
    let Case { observed, defaults, current, now, .. } = case;
    let none = |reason, of: &str, group: &str| {
        let api = format!("{group}.metrics.k8s.io");
        let why =
            format!("unable to fetch metrics from {group} metrics API: no {group} metrics API ({api}) registered");
        Err(Unknown { reason, of: format!("failed to get {of} metric value: "), why })
    };
    let plain = MetricStatus { type_: metric.type_.clone(), ..MetricStatus::default() };
    let propose = |measure: Measure<'_>, target: &MetricTarget, reason: &'static str| {
        let resource = measure.resource;
        let of = if measure.container.is_some() { "container" } else { "resource" };
        let of = format!("failed to get {resource} {of} metric value: ");
        let told = |why: String| {
            let why = format!("failed to get {resource} utilization: {why}");
            Unknown { reason, of: of.clone(), why }
        };
        let metrics = observed.metrics.as_ref().map_err(|why| {
            told(format!("unable to get metrics for resource {resource}: unable to fetch metrics from resource metrics API: {why}"))
        })?;
        let target = target_of(target).ok_or_else(|| {
            told("invalid resource metric source: neither an average utilization target nor an average value target was set".to_owned())
        })?;
        let seen = Seen { pods: &observed.pods, metrics, defaults, now };
        let tolerance = tolerance(&case.autoscaler.spec, defaults.tolerance);
        let found = propose(current, measure, target, tolerance, seen).map_err(told)?;
        let what =
            if found.utilization.is_some() { "resource utilization (percentage of request)" } else { "resource" };
        Ok((found, what))
    };
    match (metric.type_.as_str(), &metric.resource, &metric.container_resource) {
        ("Resource", Some(source), _) => {
            let measure = Measure { resource: &source.name, container: None };
            let (found, what) = propose(measure, &source.target, "FailedGetResourceMetric")?;
            let resource = Some(ResourceMetricStatus { name: source.name.clone(), current: value(found) });
            Ok((MetricStatus { resource, ..plain }, found.replicas, format!("{} {what}", source.name)))
        }
        ("ContainerResource", _, Some(source)) => {
            let measure = Measure { resource: &source.name, container: Some(&source.container) };
            let (found, what) = propose(measure, &source.target, "FailedGetContainerResourceMetric")?;
            let container_resource = Some(ContainerResourceMetricStatus {
                name: source.name.clone(),
                container: source.container.clone(),
                current: value(found),
            });
            let by = format!("{} container {what}", source.name);
            Ok((MetricStatus { container_resource, ..plain }, found.replicas, by))
        }
        ("Pods", ..) => none("FailedGetPodsMetric", "pods", "custom"),
        ("Object", ..) => none("FailedGetObjectMetric", "object", "custom"),
        ("External", ..) => none("FailedGetExternalMetric", "external", "external"),
        (kind, ..) => {
            let why = format!("unknown metric source type {kind:?}");
            Err(Unknown { reason: "InvalidMetricSourceType", of: String::new(), why })
        }
    }
}

fn target_of(target: &MetricTarget) -> Option<Target> {
    let average = target.average_value.as_ref().map(|value| Target::Average(Quantity::of(value).milli_value()));
    average.or_else(|| target.average_utilization.map(Target::Utilization))
}

fn tolerance(spec: &HorizontalPodAutoscalerSpec, default: f64) -> Tolerance {
    let behavior = spec.behavior.as_ref();
    let of = |quantity: Option<&ApiQuantity>| {
        let milli = quantity.and_then(|quantity| i32::try_from(Quantity::of(quantity).milli_value()).ok());
        milli.map_or(default, |milli| f64::from(milli) / 1000.0)
    };
    let rules = |rules: Option<&k8s_openapi::api::autoscaling::v2::HPAScalingRules>| {
        of(rules.and_then(|rules| rules.tolerance.as_ref()))
    };
    Tolerance {
        down: rules(behavior.and_then(|behavior| behavior.scale_down.as_ref())),
        up: rules(behavior.and_then(|behavior| behavior.scale_up.as_ref())),
    }
}

fn value(found: Proposal) -> MetricValueStatus {
    MetricValueStatus {
        average_utilization: found.utilization,
        average_value: Some(ApiQuantity(Quantity::from_milli(found.average).to_string())),
        value: None,
    }
}

/// Notes what became of the new number.
pub fn rescaled(
    plan: &mut Plan,
    observed: &Observed,
    written: Result<(), String>,
    memory: &mut Memory,
    now: Timestamp,
) {
    let Some(size) = plan.rescale else { return };
    let current = observed.scale.spec.as_ref().and_then(|spec| spec.replicas).unwrap_or(0);
    let reason = plan.reason.clone();
    match written {
        Ok(()) => {
            memory.scaled(current, size, now);
            let message = format!("the HPA controller was able to update the target scale to {size}");
            plan.say(ABLE, now, true, "SucceededRescale", message);
            plan.events.push((EventType::Normal, "SuccessfulRescale", format!("New size: {size}; reason: {reason}")));
            plan.status.last_scale_time = Some(Time(now));
        }
        Err(problem) => {
            let message = format!("the HPA controller was unable to update the target scale: {problem}");
            plan.say(ABLE, now, false, "FailedUpdateScale", message);
            plan.warn("FailedRescale", format!("New size: {size}; reason: {reason}; error: {problem}"));
            plan.status.desired_replicas = current;
        }
    }
}
