//! Which nodes suit a DaemonSet, and the Pod for one. Pure.

use api::core::v1::node_selector::selects;
use api::core::v1::taints::{NO_EXECUTE, NO_SCHEDULE, find_untolerated, repels};
use k8s_openapi::api::apps::v1::DaemonSet;
use k8s_openapi::api::core::v1::{
    Node, NodeSelector, NodeSelectorRequirement, NodeSelectorTerm, Pod, PodSpec, PodTemplateSpec, Toleration,
};

use crate::revisions::{POD_LABEL, Revised as _};

/// The number of the template, in an annotation of the set and a label of its Pods.
const GENERATION_ANNOTATION: &str = "deprecated.daemonset.template.generation";
const GENERATION_LABEL: &str = "pod-template-generation";

/// What every daemon stands.
const TOLERATED: [(&str, &str); 6] = [
    ("node.kubernetes.io/not-ready", NO_EXECUTE),
    ("node.kubernetes.io/unreachable", NO_EXECUTE),
    ("node.kubernetes.io/disk-pressure", NO_SCHEDULE),
    ("node.kubernetes.io/memory-pressure", NO_SCHEDULE),
    ("node.kubernetes.io/pid-pressure", NO_SCHEDULE),
    ("node.kubernetes.io/unschedulable", NO_SCHEDULE),
];
/// What daemons in the node's own network stand besides.
const NETWORK_UNAVAILABLE: (&str, &str) = ("node.kubernetes.io/network-unavailable", NO_SCHEDULE);

/// What a node may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Suits {
    /// A Pod should run there.
    Yes,
    /// A Pod that is there may stay, but none is made.
    MayStay,
    /// No Pod should be there.
    No,
}

/// The number of the set's template.
pub fn generation(set: &DaemonSet) -> Option<&str> {
    let value = set.metadata.annotations.as_ref()?.get(GENERATION_ANNOTATION)?;
    value.parse::<i64>().is_ok().then_some(value)
}

/// Whether a Pod with these labels was made from the present template.
pub fn is_current(set: &DaemonSet, labels: &std::collections::BTreeMap<String, String>, hash: &str) -> bool {
    let by_generation =
        generation(set).is_some_and(|wanted| labels.get(GENERATION_LABEL).is_some_and(|label| label == wanted));
    by_generation || (!hash.is_empty() && labels.get(POD_LABEL).is_some_and(|label| label == hash))
}

/// What Pods are made from: the template with the tolerations and labels of a daemon.
pub fn template(set: &DaemonSet, hash: &str) -> PodTemplateSpec {
    let mut template = set.template();
    let spec = template.spec.get_or_insert_default();
    let in_host_network = spec.host_network == Some(true);
    let tolerations = spec.tolerations.get_or_insert_default();
    for (key, effect) in TOLERATED.into_iter().chain(in_host_network.then_some(NETWORK_UNAVAILABLE)) {
        let toleration = Toleration {
            key: Some(key.to_owned()),
            operator: Some("Exists".to_owned()),
            effect: Some(effect.to_owned()),
            ..Toleration::default()
        };
        if !tolerations.contains(&toleration) {
            tolerations.push(toleration);
        }
    }
    let labels = template.metadata.get_or_insert_default().labels.get_or_insert_default();
    if let Some(generation) = generation(set) {
        labels.insert(GENERATION_LABEL.to_owned(), generation.to_owned());
    }
    if !hash.is_empty() {
        labels.insert(POD_LABEL.to_owned(), hash.to_owned());
    }
    template
}

/// Judges a node for Pods of this spec, which has the tolerations of a daemon.
pub fn suits(spec: &PodSpec, node: &Node) -> Suits {
    let is_elsewhere =
        spec.node_name.as_deref().is_some_and(|name| !name.is_empty() && node.metadata.name.as_deref() != Some(name));
    if is_elsewhere || !selects(spec, node) {
        return Suits::No;
    }
    let taints = node.spec.as_ref().and_then(|spec| spec.taints.as_deref()).unwrap_or_default();
    let tolerations = spec.tolerations.as_deref().unwrap_or_default();
    if find_untolerated(taints, tolerations, repels).is_none() {
        return Suits::Yes;
    }
    match find_untolerated(taints, tolerations, |taint| taint.effect == NO_EXECUTE) {
        Some(_) => Suits::No,
        None => Suits::MayStay,
    }
}

/// Makes a Pod one for this node only: the scheduler brings it there or nowhere.
pub fn pinned_to(mut pod: Pod, node: &str) -> Pod {
    let field = NodeSelectorRequirement {
        key: "metadata.name".to_owned(),
        operator: "In".to_owned(),
        values: Some(vec![node.to_owned()]),
    };
    let term = NodeSelectorTerm { match_fields: Some(vec![field]), ..NodeSelectorTerm::default() };
    let spec = pod.spec.get_or_insert_default();
    let affinity = spec.affinity.get_or_insert_default().node_affinity.get_or_insert_default();
    affinity.required_during_scheduling_ignored_during_execution =
        Some(NodeSelector { node_selector_terms: vec![term] });
    pod
}
