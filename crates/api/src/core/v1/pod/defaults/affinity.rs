//! Affinities have no defaults; empty lists in them are not answered.

use k8s_openapi::api::core::v1::{Affinity, NodeSelectorTerm, PodAffinityTerm, WeightedPodAffinityTerm};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;

use crate::omit_empty::omit_empty;

pub(super) fn default_affinity(affinity: &mut Affinity) {
    if let Some(node) = &mut affinity.node_affinity {
        omit_empty!(node => preferred_during_scheduling_ignored_during_execution);
        let required = node.required_during_scheduling_ignored_during_execution.iter_mut();
        required.flat_map(|selector| &mut selector.node_selector_terms).for_each(default_node_term);
        let preferred = node.preferred_during_scheduling_ignored_during_execution.iter_mut().flatten();
        preferred.for_each(|term| default_node_term(&mut term.preference));
    }
    if let Some(pod) = &mut affinity.pod_affinity {
        omit_empty!(pod => preferred_during_scheduling_ignored_during_execution,
            required_during_scheduling_ignored_during_execution);
        default_terms(
            pod.required_during_scheduling_ignored_during_execution.as_mut(),
            pod.preferred_during_scheduling_ignored_during_execution.as_mut(),
        );
    }
    if let Some(pod) = &mut affinity.pod_anti_affinity {
        omit_empty!(pod => preferred_during_scheduling_ignored_during_execution,
            required_during_scheduling_ignored_during_execution);
        default_terms(
            pod.required_during_scheduling_ignored_during_execution.as_mut(),
            pod.preferred_during_scheduling_ignored_during_execution.as_mut(),
        );
    }
}

fn default_terms(required: Option<&mut Vec<PodAffinityTerm>>, preferred: Option<&mut Vec<WeightedPodAffinityTerm>>) {
    let preferred = preferred.into_iter().flatten().map(|weighted| &mut weighted.pod_affinity_term);
    for term in required.into_iter().flatten().chain(preferred) {
        omit_empty!(term => match_label_keys, mismatch_label_keys, namespaces);
        term.label_selector.iter_mut().chain(&mut term.namespace_selector).for_each(default_selector);
    }
}

fn default_node_term(term: &mut NodeSelectorTerm) {
    omit_empty!(term => match_expressions, match_fields);
    for expression in term.match_expressions.iter_mut().chain(&mut term.match_fields).flatten() {
        omit_empty!(expression => values);
    }
}

pub(crate) fn default_selector(selector: &mut LabelSelector) {
    omit_empty!(selector => match_expressions, match_labels);
    for expression in selector.match_expressions.iter_mut().flatten() {
        omit_empty!(expression => values);
    }
}
