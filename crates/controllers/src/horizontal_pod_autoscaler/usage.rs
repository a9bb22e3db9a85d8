//! From what Pods use to how many there should be. Pure.

use std::collections::BTreeMap;
use std::time::Duration;

use api::quantity::Quantity;
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::apimachinery::pkg::api::resource::Quantity as ApiQuantity;
use kube::ResourceExt as _;
use serde::Deserialize;

use super::Autoscaling;

/// What a Pod uses, as `metrics.k8s.io` tells it.
#[derive(Debug, Clone, Deserialize)]
pub struct PodMetrics {
    /// Of which Pod.
    pub metadata: MetricsName,
    /// When it was measured.
    pub timestamp: Option<k8s_openapi::apimachinery::pkg::apis::meta::v1::Time>,
    /// For how long.
    #[serde(default)]
    pub window: String,
    /// What each container uses.
    #[serde(default)]
    pub containers: Vec<ContainerUsage>,
}

/// The name of what was measured.
#[derive(Debug, Clone, Deserialize)]
pub struct MetricsName {
    /// The Pod's namespace.
    #[serde(default)]
    pub namespace: String,
    /// The Pod's name.
    pub name: String,
}

/// What a container uses.
#[derive(Debug, Clone, Deserialize)]
pub struct ContainerUsage {
    /// Its name.
    pub name: String,
    /// By resource.
    pub usage: BTreeMap<String, ApiQuantity>,
}

/// What is looked at: a resource of whole Pods or of one container.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Measure<'a> {
    /// `cpu` or `memory`.
    pub resource: &'a str,
    /// The container, unless it is all.
    pub container: Option<&'a str>,
}

/// How much there should be per Pod.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Target {
    /// In percent of what is requested.
    Utilization(i32),
    /// In thousandths.
    Average(i64),
}

/// Deviations that are not acted upon, downwards and upwards.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Tolerance {
    /// Below the target.
    pub down: f64,
    /// Above the target.
    pub up: f64,
}

impl Tolerance {
    fn covers(self, ratio: f64) -> bool {
        (1.0 - self.down..=1.0 + self.up).contains(&ratio)
    }
}

/// What is proposed, and what was measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Proposal {
    /// So many Pods.
    pub replicas: i32,
    /// What they use in percent of what they request.
    pub utilization: Option<i32>,
    /// What one uses, in thousandths.
    pub average: i64,
}

/// What proposals are made from.
#[derive(Debug, Clone, Copy)]
pub struct Seen<'a> {
    /// The Pods.
    pub pods: &'a [Pod],
    /// What they use.
    pub metrics: &'a [PodMetrics],
    /// How long what starting Pods use says nothing.
    pub defaults: &'a Autoscaling,
    /// The time.
    pub now: Timestamp,
}

/// Pods by what can be said of them.
struct Groups {
    /// So many are ready.
    ready: usize,
    /// What those use.
    measured: BTreeMap<String, i64>,
    /// Those that are not ready, whatever they use.
    unready: Vec<String>,
    /// Those nothing is known of.
    missing: Vec<String>,
}

fn milli(quantity: &ApiQuantity) -> i64 {
    Quantity::of(quantity).milli_value()
}

/// Proposes a number of Pods, in place of `current`.
///
/// # Errors
/// Why nothing can be said, in upstream's words.
pub fn propose(
    current: i32,
    measure: Measure<'_>,
    target: Target,
    tolerance: Tolerance,
    seen: Seen<'_>,
) -> Result<Proposal, String> {
    let Seen { pods, metrics, .. } = seen;
    let used = used(measure, metrics)?;
    if pods.is_empty() {
        return Err("no pods returned by selector while calculating replica count".to_owned());
    }
    let mut groups = group(measure, seen, &used);
    if groups.measured.is_empty() {
        return Err("did not receive metrics for targeted pods (pods might be unready)".to_owned());
    }
    let requests = match target {
        Target::Utilization(_) => requests(measure, pods)?,
        Target::Average(_) => BTreeMap::new(),
    };
    let (ratio, utilization) = ratio(&groups.measured, &requests, target)?;
    let average = groups.measured.values().sum::<i64>() / i64::try_from(groups.measured.len()).unwrap_or(1).max(1);
    let proposal = |replicas| Ok(Proposal { replicas, utilization, average });
    let adds_unready = !groups.unready.is_empty() && ratio > 1.0;
    if !adds_unready && groups.missing.is_empty() {
        let ready = f64::from(u32::try_from(groups.ready).unwrap_or(u32::MAX));
        return proposal(if tolerance.covers(ratio) { current } else { ceiling(ratio * ready) });
    }
    // What is not known counts for staying as it is.
    for name in std::mem::take(&mut groups.missing) {
        let assumed = match target {
            _ if ratio > 1.0 => 0,
            _ if (ratio - 1.0).abs() < f64::EPSILON => continue,
            Target::Utilization(percent) => {
                requests.get(&name).copied().unwrap_or(0).saturating_mul(i64::from(percent.max(100))) / 100
            }
            Target::Average(target) => target,
        };
        groups.measured.insert(name, assumed);
    }
    if adds_unready {
        groups.measured.extend(groups.unready.iter().map(|name| (name.clone(), 0)));
    }
    let (changed, _) = self::ratio(&groups.measured, &requests, target)?;
    let turns = (ratio < 1.0 && changed > 1.0) || (ratio > 1.0 && changed < 1.0);
    if tolerance.covers(changed) || turns {
        return proposal(current);
    }
    let count = f64::from(u32::try_from(groups.measured.len()).unwrap_or(u32::MAX));
    let wanted = ceiling(changed * count);
    let contradicts = (changed < 1.0 && wanted > current) || (changed > 1.0 && wanted < current);
    proposal(if contradicts { current } else { wanted })
}

/// The number is small: it is bounded by the largest one.
#[allow(clippy::cast_possible_truncation)]
fn ceiling(number: f64) -> i32 {
    number.ceil().clamp(0.0, f64::from(i32::MAX)) as i32
}

/// What each Pod uses of the resource.
fn used(measure: Measure<'_>, metrics: &[PodMetrics]) -> Result<BTreeMap<String, i64>, String> {
    let resource = measure.resource;
    if metrics.is_empty() {
        return Err(format!(
            "unable to get metrics for resource {resource}: no metrics returned from resource metrics API"
        ));
    }
    let mut used = BTreeMap::new();
    for pod in metrics {
        let concerned = |one: &&ContainerUsage| measure.container.is_none_or(|name| one.name == name);
        let concerned: Vec<_> = pod.containers.iter().filter(concerned).collect();
        if let Some(container) = measure.container.filter(|_| concerned.is_empty()) {
            let MetricsName { namespace, name } = &pod.metadata;
            return Err(format!(
                "unable to get metrics for resource {resource}: failed to get container metrics: container {container} \
                 not present in metrics for pod {namespace}/{name}"
            ));
        }
        let sum: Option<i64> = concerned.iter().map(|one| one.usage.get(resource).map(milli)).sum();
        if let Some(sum) = sum.filter(|_| !concerned.is_empty()) {
            used.insert(pod.metadata.name.clone(), sum);
        }
    }
    Ok(used)
}

fn group(measure: Measure<'_>, seen: Seen<'_>, used: &BTreeMap<String, i64>) -> Groups {
    let mut groups = Groups { ready: 0, measured: BTreeMap::new(), unready: Vec::new(), missing: Vec::new() };
    for pod in seen.pods {
        let phase = pod.status.as_ref().and_then(|status| status.phase.as_deref());
        if pod.metadata.deletion_timestamp.is_some() || phase == Some("Failed") {
            continue;
        }
        let name = pod.name_any();
        let Some(amount) = used.get(&name).filter(|_| phase != Some("Pending")) else {
            let group = if phase == Some("Pending") { &mut groups.unready } else { &mut groups.missing };
            group.push(name);
            continue;
        };
        let measured = seen.metrics.iter().find(|one| one.metadata.name == name);
        if measure.resource == "cpu" && is_starting(pod, measured, seen) {
            groups.unready.push(name);
        } else {
            groups.ready += 1;
            groups.measured.insert(name, *amount);
        }
    }
    groups
}

/// Whether what a Pod uses says nothing yet, because it has just started or has never been ready.
fn is_starting(pod: &Pod, measured: Option<&PodMetrics>, seen: Seen<'_>) -> bool {
    let Some(status) = &pod.status else { return true };
    let ready = status.conditions.iter().flatten().find(|condition| condition.type_ == "Ready");
    let (Some(ready), Some(start)) = (ready, status.start_time.as_ref().map(|time| time.0)) else { return true };
    let since = ready.last_transition_time.as_ref().map_or(start, |time| time.0);
    let is_unready = ready.status == "False";
    if is_less(seen.now.duration_since(start), seen.defaults.cpu_initialization_period) {
        let begin = measured.and_then(PodMetrics::begin);
        return is_unready || begin.is_some_and(|begin| begin < since);
    }
    is_unready && is_less(since.duration_since(start), seen.defaults.initial_readiness_delay)
}

fn is_less(passed: SignedDuration, period: Duration) -> bool {
    SignedDuration::try_from(period).is_ok_and(|period| passed < period)
}

impl PodMetrics {
    /// Since when it was measured.
    fn begin(&self) -> Option<Timestamp> {
        let window: SignedDuration = self.window.parse().unwrap_or_default();
        self.timestamp.as_ref().and_then(|end| end.0.checked_sub(window).ok())
    }
}

/// What each Pod requests of the resource: as a whole where it says so, else by its containers.
fn requests(measure: Measure<'_>, pods: &[Pod]) -> Result<BTreeMap<String, i64>, String> {
    let resource = measure.resource;
    let mut all = BTreeMap::new();
    for pod in pods {
        let Some(spec) = &pod.spec else { continue };
        let whole = spec.resources.as_ref().and_then(|resources| resources.requests.as_ref());
        if let Some(requests) = whole.filter(|requests| !requests.is_empty()) {
            let amount = requests.get(resource).map(milli);
            let missing = || format!("missing pod-level request for {resource} in Pod {}", pod.name_any());
            all.insert(pod.name_any(), amount.ok_or_else(missing)?);
            continue;
        }
        let sidecars = spec.init_containers.iter().flatten();
        let sidecars = sidecars.filter(|container| container.restart_policy.as_deref() == Some("Always"));
        let containers = spec.containers.iter().chain(sidecars);
        let mut sum = 0i64;
        for container in containers.filter(|one| measure.container.is_none_or(|name| one.name == name)) {
            let requests = container.resources.as_ref().and_then(|resources| resources.requests.as_ref());
            let Some(amount) = requests.and_then(|requests| requests.get(resource)) else {
                let (container, pod) = (&container.name, pod.name_any());
                return Err(format!("missing request for {resource} in container {container} of Pod {pod}"));
            };
            sum = sum.saturating_add(milli(amount));
        }
        all.insert(pod.name_any(), sum);
    }
    Ok(all)
}

/// What is used in relation to the target, and in percent of what is requested.
#[allow(clippy::cast_precision_loss)] // sums of thousandths stay far below 2^53
fn ratio(
    used: &BTreeMap<String, i64>,
    requests: &BTreeMap<String, i64>,
    target: Target,
) -> Result<(f64, Option<i32>), String> {
    match target {
        Target::Average(target) => {
            let average = used.values().sum::<i64>() as f64 / used.len().max(1) as f64;
            Ok((average / target.max(1) as f64, None))
        }
        Target::Utilization(percent) => {
            let known = used.iter().filter_map(|(name, used)| Some((*used, *requests.get(name)?)));
            let (used, requested) = known.fold((0i64, 0i64), |sum, one| (sum.0 + one.0, sum.1 + one.1));
            if requested == 0 {
                return Err("no metrics returned matched known pods".to_owned());
            }
            let utilization = i32::try_from(used.saturating_mul(100) / requested).unwrap_or(i32::MAX);
            Ok((f64::from(utilization) / f64::from(percent.max(1)), Some(utilization)))
        }
    }
}
