//! Which nodes a Pod's node selector and node affinity select.

use k8s_openapi::api::core::v1::{
    Node, NodeSelector, NodeSelectorRequirement, NodeSelectorTerm, PodSpec, PreferredSchedulingTerm,
};

use crate::labels::Labels;

#[cfg(test)]
mod tests;

/// Whether a Pod may run on a node by its `nodeSelector` and the required part of its node affinity.
pub fn selects(spec: &PodSpec, node: &Node) -> bool {
    let labels = node.metadata.labels.as_ref();
    let has = |key: &String, value: &String| labels.and_then(|labels| labels.get(key)) == Some(value);
    if !spec.node_selector.iter().flatten().all(|(key, value)| has(key, value)) {
        return false;
    }
    let affinity = spec.affinity.as_ref().and_then(|affinity| affinity.node_affinity.as_ref());
    let required = affinity.and_then(|node| node.required_during_scheduling_ignored_during_execution.as_ref());
    required.is_none_or(|selector| matches_selector(selector, node))
}

/// Whether one of the selector's terms matches the node.
pub fn matches_selector(selector: &NodeSelector, node: &Node) -> bool {
    selector.node_selector_terms.iter().any(|term| matches_term(term, node))
}

/// Whether all of a term's requirements hold. A term without any matches no node.
pub fn matches_term(term: &NodeSelectorTerm, node: &Node) -> bool {
    let (expressions, fields) = (term.match_expressions.as_deref(), term.match_fields.as_deref());
    let (expressions, fields) = (expressions.unwrap_or_default(), fields.unwrap_or_default());
    if expressions.is_empty() && fields.is_empty() {
        return false;
    }
    let labels = node.metadata.labels.as_ref();
    expressions.iter().all(|expression| matches_label(expression, labels))
        && fields.iter().all(|field| matches_field(field, node))
}

/// The weights of the preferences that match the node, added up.
pub fn preference(terms: &[PreferredSchedulingTerm], node: &Node) -> i64 {
    let matching = terms.iter().filter(|term| matches_term(&term.preference, node));
    matching.map(|term| i64::from(term.weight)).sum()
}

fn matches_label(requirement: &NodeSelectorRequirement, labels: Option<&Labels>) -> bool {
    let actual = labels.and_then(|labels| labels.get(&requirement.key));
    let values = requirement.values.as_deref().unwrap_or_default();
    match requirement.operator.as_str() {
        "In" => actual.is_some_and(|actual| values.contains(actual)),
        "NotIn" => actual.is_none_or(|actual| !values.contains(actual)),
        "Exists" => actual.is_some(),
        "DoesNotExist" => actual.is_none(),
        "Gt" => compare(actual, values).is_some_and(|(actual, bound)| actual > bound),
        "Lt" => compare(actual, values).is_some_and(|(actual, bound)| actual < bound),
        _ => false,
    }
}

/// Both sides of a numeric comparison, if they are numbers.
fn compare(actual: Option<&String>, values: &[String]) -> Option<(i64, i64)> {
    let [bound] = values else { return None };
    Some((actual?.parse().ok()?, bound.parse().ok()?))
}

/// The only field nodes are selected by is their name.
fn matches_field(requirement: &NodeSelectorRequirement, node: &Node) -> bool {
    let Some([value]) = requirement.values.as_deref() else { return false };
    let actual = match requirement.key.as_str() {
        "metadata.name" => node.metadata.name.as_deref().unwrap_or_default(),
        _ => "",
    };
    match requirement.operator.as_str() {
        "In" => actual == value,
        "NotIn" => actual != value,
        _ => false,
    }
}
