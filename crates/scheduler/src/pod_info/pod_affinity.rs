//! Affinity between Pods, parsed.

use std::collections::BTreeSet;
use std::sync::Arc;

use api::labels::{Labels, Operator, Requirement, Selector};
use k8s_openapi::api::core::v1::{Affinity, PodAffinityTerm, WeightedPodAffinityTerm};

use super::PodInfo;
use crate::snapshot::Namespaces;

/// Which Pods a Pod must and would like to be near to (`affinity`) or far from (`anti_affinity`).
#[derive(Debug, Clone, Default, PartialEq)]
pub struct PodAffinity {
    /// All must hold.
    pub required: Vec<AffinityTerm>,
    /// None may hold.
    pub required_anti: Vec<AffinityTerm>,
    /// With what each is worth; what is unwanted is worth less than nothing.
    pub preferred: Vec<(i64, AffinityTerm)>,
}

/// A set of Pods, and what "near" means.
#[derive(Debug, Clone, PartialEq)]
pub struct AffinityTerm {
    /// The label of nodes that are near to each other when they have the same value.
    pub topology_key: Arc<str>,
    /// Namespaces by name.
    namespaces: BTreeSet<String>,
    /// Namespaces by label.
    namespace_selector: Selector,
    selector: Selector,
}

impl PodAffinity {
    pub(super) fn of(namespace: &str, labels: &Labels, affinity: Option<&Affinity>) -> Self {
        let Some(affinity) = affinity else { return Self::default() };
        let near = affinity.pod_affinity.as_ref();
        let far = affinity.pod_anti_affinity.as_ref();
        let term = |term: &PodAffinityTerm| AffinityTerm::of(namespace, labels, term);
        let weighted = |sign: i64, terms: &Option<Vec<WeightedPodAffinityTerm>>| -> Vec<(i64, AffinityTerm)> {
            let terms = terms.iter().flatten();
            terms.map(|one| (sign * i64::from(one.weight), term(&one.pod_affinity_term))).collect()
        };
        let required = near.and_then(|near| near.required_during_scheduling_ignored_during_execution.as_ref());
        let required_anti = far.and_then(|far| far.required_during_scheduling_ignored_during_execution.as_ref());
        let mut preferred = near
            .map(|near| weighted(1, &near.preferred_during_scheduling_ignored_during_execution))
            .unwrap_or_default();
        preferred.extend(
            far.map(|far| weighted(-1, &far.preferred_during_scheduling_ignored_during_execution)).unwrap_or_default(),
        );
        Self {
            required: required.into_iter().flatten().map(term).collect(),
            required_anti: required_anti.into_iter().flatten().map(term).collect(),
            preferred,
        }
    }

    /// Whether it says nothing.
    pub fn is_empty(&self) -> bool {
        self.required.is_empty() && self.required_anti.is_empty() && self.preferred.is_empty()
    }
}

impl AffinityTerm {
    fn of(namespace: &str, labels: &Labels, term: &PodAffinityTerm) -> Self {
        let mut namespaces: BTreeSet<String> = term.namespaces.iter().flatten().cloned().collect();
        if namespaces.is_empty() && term.namespace_selector.is_none() {
            namespaces.insert(namespace.to_owned());
        }
        let selector = Selector::from_label_selector(term.label_selector.as_ref()).unwrap_or(Selector::Nothing);
        let selector = with_own_values(selector, labels, Operator::In, term.match_label_keys.as_deref());
        Self {
            topology_key: Arc::from(term.topology_key.as_str()),
            namespaces,
            namespace_selector: Selector::from_label_selector(term.namespace_selector.as_ref())
                .unwrap_or(Selector::Nothing),
            selector: with_own_values(selector, labels, Operator::NotIn, term.mismatch_label_keys.as_deref()),
        }
    }

    /// Whether a Pod is among those meant.
    pub fn matches(&self, pod: &PodInfo, namespaces: &Namespaces) -> bool {
        self.means_namespace(&pod.key.namespace, namespaces) && self.selector.matches(Some(&pod.facts.labels))
    }

    fn means_namespace(&self, namespace: &str, namespaces: &Namespaces) -> bool {
        self.namespaces.contains(namespace)
            || (self.namespace_selector != Selector::Nothing
                && self.namespace_selector.matches(namespaces.get(namespace)))
    }

    /// Whether labels of namespaces matter.
    pub fn selects_namespaces(&self) -> bool {
        self.namespace_selector != Selector::Nothing
    }
}

/// Adds the Pod's own values of these labels to what is selected. The API server does so for Pods made through it; what
/// is there twice means the same.
pub(super) fn with_own_values(
    selector: Selector,
    labels: &Labels,
    operator: Operator,
    keys: Option<&[String]>,
) -> Selector {
    let Selector::All(mut requirements) = selector else { return selector };
    let own = keys.into_iter().flatten().filter_map(|key| Some((key, labels.get(key)?)));
    requirements
        .extend(own.filter_map(|(key, value)| Requirement::new(key.clone(), operator, vec![value.clone()]).ok()));
    Selector::All(requirements)
}
