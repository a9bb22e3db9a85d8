//! What is read from Deployments and their ReplicaSets. Pure.

use std::collections::BTreeMap;

use api::int_or_percent::scaled;
use api::labels::Selector;
use k8s_openapi::api::apps::v1::{Deployment, DeploymentSpec, DeploymentStatus, ReplicaSet, ReplicaSetStatus};
use k8s_openapi::api::core::v1::PodTemplateSpec;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use crate::ownership;

/// Tells the ReplicaSets of a Deployment, and their Pods, apart.
pub const HASH_LABEL: &str = "pod-template-hash";
/// The number of a template in the history.
pub const REVISION: &str = "deployment.kubernetes.io/revision";
/// Its earlier numbers.
pub const REVISION_HISTORY: &str = "deployment.kubernetes.io/revision-history";
/// How many Pods the Deployment wanted when its ReplicaSet was last scaled.
pub const DESIRED: &str = "deployment.kubernetes.io/desired-replicas";
/// How many it allowed at most.
pub const MAX: &str = "deployment.kubernetes.io/max-replicas";

/// The spec; every stored Deployment has one.
pub fn spec(deployment: &Deployment) -> DeploymentSpec {
    deployment.spec.clone().unwrap_or_default()
}

/// The status, empty at first.
pub fn status(deployment: &Deployment) -> DeploymentStatus {
    deployment.status.clone().unwrap_or_default()
}

/// Which ReplicaSets it can own.
pub fn selector(deployment: &Deployment) -> Selector {
    let selector = deployment.spec.as_ref().map(|spec| &spec.selector);
    Selector::from_label_selector(selector).unwrap_or(Selector::Nothing)
}

/// How many Pods a Deployment wants.
pub fn wanted(deployment: &Deployment) -> i32 {
    deployment.spec.as_ref().and_then(|spec| spec.replicas).unwrap_or(1)
}

/// Whether new Pods replace old ones step by step.
pub fn is_rolling(deployment: &Deployment) -> bool {
    let strategy = deployment.spec.as_ref().and_then(|spec| spec.strategy.as_ref());
    strategy.and_then(|strategy| strategy.type_.as_deref()) != Some("Recreate")
}

/// How far a rollout may go beyond and below what is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    /// So many Pods more.
    pub surge: i32,
    /// So many available ones less.
    pub unavailable: i32,
}

/// The bounds of a Deployment's rollouts.
pub fn bounds(deployment: &Deployment) -> Bounds {
    let none = Bounds { surge: 0, unavailable: 0 };
    if !is_rolling(deployment) {
        return none;
    }
    let wanted = wanted(deployment);
    let strategy = deployment.spec.as_ref().and_then(|spec| spec.strategy.as_ref());
    let rolling = strategy.and_then(|strategy| strategy.rolling_update.as_ref());
    let amount = |amount: Option<&IntOrString>, round_up| {
        amount.and_then(|amount| scaled(amount, wanted, round_up)).unwrap_or(0).max(0)
    };
    let surge = amount(rolling.and_then(|rolling| rolling.max_surge.as_ref()), true);
    let unavailable = amount(rolling.and_then(|rolling| rolling.max_unavailable.as_ref()), false);
    // Both may be rounded to nothing, and then nothing could ever move.
    let unavailable = if surge == 0 && unavailable == 0 { 1 } else { unavailable };
    Bounds { surge, unavailable: unavailable.min(wanted) }
}

/// How many Pods a ReplicaSet wants.
pub fn replicas(set: &ReplicaSet) -> i32 {
    set.spec.as_ref().and_then(|spec| spec.replicas).unwrap_or(1)
}

/// Sets how many Pods a ReplicaSet wants.
pub fn set_replicas(set: &mut ReplicaSet, replicas: i32) {
    set.spec.get_or_insert_default().replicas = Some(replicas);
}

/// What a ReplicaSet has seen.
pub fn seen(set: &ReplicaSet) -> ReplicaSetStatus {
    set.status.clone().unwrap_or_default()
}

/// How many of its Pods are available.
pub fn available(set: &ReplicaSet) -> i32 {
    set.status.as_ref().and_then(|status| status.available_replicas).unwrap_or(0)
}

/// A number of ReplicaSets, summed up.
pub fn sum<'a>(sets: impl IntoIterator<Item = &'a ReplicaSet>, of: impl Fn(&ReplicaSet) -> i32) -> i32 {
    sets.into_iter().map(of).fold(0, i32::saturating_add)
}

/// An annotation.
pub fn annotation<'a>(set: &'a ReplicaSet, name: &str) -> Option<&'a str> {
    set.metadata.annotations.as_ref()?.get(name).map(String::as_str)
}

/// An annotation that is a number.
pub fn number(set: &ReplicaSet, name: &str) -> Option<i64> {
    annotation(set, name)?.parse().ok()
}

/// Whether both templates make the same Pods.
pub fn same_template(a: &PodTemplateSpec, b: &PodTemplateSpec) -> bool {
    without_hash(a) == without_hash(b)
}

fn without_hash(template: &PodTemplateSpec) -> (BTreeMap<String, String>, PodTemplateSpec) {
    let mut template = template.clone();
    let metadata = template.metadata.get_or_insert_default();
    let mut labels = metadata.labels.take().unwrap_or_default();
    labels.remove(HASH_LABEL);
    metadata.creation_timestamp = None;
    metadata.annotations = metadata.annotations.take().filter(|annotations| !annotations.is_empty());
    (labels, template)
}

/// Whether a ReplicaSet makes the Deployment's present Pods.
pub fn is_current(set: &ReplicaSet, deployment: &Deployment) -> bool {
    let templates = (set.spec.as_ref().and_then(|spec| spec.template.as_ref()), deployment.spec.as_ref());
    matches!(templates, (Some(old), Some(spec)) if same_template(old, &spec.template))
}

/// Whether a ReplicaSet is the one this Deployment would make.
pub fn is_made_by(set: &ReplicaSet, deployment: &Deployment) -> bool {
    let uid = deployment.metadata.uid.as_deref();
    ownership::controller_uid(&set.metadata) == uid && is_current(set, deployment)
}

/// The order of creation, then of names.
pub fn by_creation(a: &ReplicaSet, b: &ReplicaSet) -> std::cmp::Ordering {
    let age = |set: &ReplicaSet| set.metadata.creation_timestamp.as_ref().map(|time| time.0);
    age(a).cmp(&age(b)).then_with(|| a.metadata.name.cmp(&b.metadata.name))
}
