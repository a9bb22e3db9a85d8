//! `nodeSelector` and node affinity, parsed.

use std::collections::BTreeSet;

use api::labels::{Operator, Requirement, Selector};
use k8s_openapi::api::core::v1::{NodeAffinity as ApiNodeAffinity, NodeSelectorRequirement, NodeSelectorTerm, PodSpec};

use crate::node_info::NodeFacts;

/// Which nodes a Pod may and would like to run on.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct NodeAffinity {
    /// `nodeSelector`: all labels must be there.
    selector: Selector,
    /// Required terms: one must hold; none at all asks for nothing.
    required: Option<Vec<NodeTerm>>,
    /// Preferred terms with their weights.
    preferred: Vec<(i64, NodeTerm)>,
    /// The only nodes the required terms can hold for, where every term names its nodes.
    only_nodes: Option<BTreeSet<String>>,
}

/// Conditions on one node; all must hold.
#[derive(Debug, Clone, PartialEq)]
pub enum NodeTerm {
    /// Holds for no node: it is empty or malformed.
    Never,
    /// Conditions on labels, and on the name.
    All {
        /// Label requirements.
        labels: Vec<Requirement>,
        /// Whether the name must (`true`) or must not be one of these.
        names: Vec<(bool, Vec<String>)>,
    },
}

impl NodeAffinity {
    pub(super) fn of(spec: &PodSpec) -> Self {
        let affinity = spec.affinity.as_ref().and_then(|affinity| affinity.node_affinity.as_ref());
        Self {
            selector: spec.node_selector.as_ref().map(Selector::from_labels).unwrap_or_default(),
            ..affinity.map(Self::of_affinity).unwrap_or_default()
        }
    }

    /// What an object's node affinity says.
    pub fn of_affinity(affinity: &ApiNodeAffinity) -> Self {
        let required = affinity.required_during_scheduling_ignored_during_execution.as_ref();
        let required: Option<Vec<NodeTerm>> =
            required.map(|selector| selector.node_selector_terms.iter().map(NodeTerm::of).collect());
        let preferred = affinity.preferred_during_scheduling_ignored_during_execution.iter().flatten();
        let preferred = preferred.map(|term| (i64::from(term.weight), NodeTerm::of(&term.preference)));
        Self {
            selector: Selector::default(),
            only_nodes: required.as_deref().and_then(only_nodes),
            required,
            preferred: preferred.collect(),
        }
    }

    /// Whether the Pod may run on the node.
    pub fn allows(&self, node: &NodeFacts) -> bool {
        self.selector.matches(Some(&node.labels))
            && self.required.as_ref().is_none_or(|terms| terms.iter().any(|term| term.holds_for(node)))
    }

    /// The labels of the `nodeSelector` that the node lacks, as `key=value`, where it is they alone that keep the Pod away.
    pub fn missing_labels(&self, node: &NodeFacts) -> Option<Vec<String>> {
        let terms_hold = self.required.as_ref().is_none_or(|terms| terms.iter().any(|term| term.holds_for(node)));
        let Selector::All(labels) = &self.selector else { return None };
        let missing = labels.iter().filter(|label| !label.matches(Some(&node.labels)));
        let missing: Vec<String> =
            missing.map(|label| format!("{}={}", label.key(), label.values().join(","))).collect();
        (terms_hold && !missing.is_empty()).then_some(missing)
    }

    /// The only nodes the required terms can hold for, where every term names its nodes.
    pub fn only_nodes(&self) -> Option<&BTreeSet<String>> {
        self.only_nodes.as_ref()
    }

    /// Whether any node may be excluded.
    pub fn requires_something(&self) -> bool {
        self.required.is_some() || !self.selector.is_everything()
    }

    /// The sum of the weights of the preferences the node meets.
    pub fn preference(&self, node: &NodeFacts) -> i64 {
        self.preferred.iter().filter(|(_, term)| term.holds_for(node)).map(|(weight, _)| weight).sum()
    }

    /// Whether nodes can differ in preference.
    pub fn has_preferences(&self) -> bool {
        !self.preferred.is_empty()
    }
}

impl NodeTerm {
    fn of(term: &NodeSelectorTerm) -> Self {
        let labels: Option<Vec<_>> = term.match_expressions.iter().flatten().map(requirement).collect();
        let names: Option<Vec<_>> = term.match_fields.iter().flatten().map(name_condition).collect();
        match (labels, names) {
            (Some(labels), Some(names)) if !(labels.is_empty() && names.is_empty()) => Self::All { labels, names },
            _ => Self::Never,
        }
    }

    /// Whether the node meets all conditions.
    pub fn holds_for(&self, node: &NodeFacts) -> bool {
        let Self::All { labels, names } = self else { return false };
        labels.iter().all(|requirement| requirement.matches(Some(&node.labels)))
            && names.iter().all(|(wanted, names)| names.iter().any(|name| *name == *node.name) == *wanted)
    }
}

fn requirement(requirement: &NodeSelectorRequirement) -> Option<Requirement> {
    let operator = match requirement.operator.as_str() {
        "In" => Operator::In,
        "NotIn" => Operator::NotIn,
        "Exists" => Operator::Exists,
        "DoesNotExist" => Operator::DoesNotExist,
        "Gt" => Operator::GreaterThan,
        "Lt" => Operator::LessThan,
        _ => return None,
    };
    Requirement::new(requirement.key.clone(), operator, requirement.values.clone().unwrap_or_default()).ok()
}

/// The one field there is: the node's name.
fn name_condition(requirement: &NodeSelectorRequirement) -> Option<(bool, Vec<String>)> {
    let wanted = match requirement.operator.as_str() {
        "In" => true,
        "NotIn" => false,
        _ => return None,
    };
    (requirement.key == "metadata.name").then(|| (wanted, requirement.values.clone().unwrap_or_default()))
}

/// The nodes named by the terms, where each term names some: DaemonSets pin their Pods this way.
fn only_nodes(terms: &[NodeTerm]) -> Option<BTreeSet<String>> {
    let mut all = BTreeSet::new();
    for term in terms {
        // A term that holds for no node names none.
        let NodeTerm::All { names, .. } = term else { continue };
        let wanted = names.iter().filter(|(wanted, _)| *wanted).map(|(_, names)| names);
        let sets = wanted.map(|names| names.iter().cloned().collect::<BTreeSet<String>>());
        all.extend(sets.reduce(|a, b| a.intersection(&b).cloned().collect())?);
    }
    (!all.is_empty()).then_some(all)
}
