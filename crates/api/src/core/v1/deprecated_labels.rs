//! Labels of nodes that nobody should select by any more.

use k8s_openapi::api::core::v1::NodeSelectorTerm;

use crate::field::Path;

/// Why a label of nodes should no longer be used, if so.
pub fn deprecation(label: &str) -> Option<&'static str> {
    Some(match label {
        "beta.kubernetes.io/arch" => "deprecated since v1.14; use \"kubernetes.io/arch\" instead",
        "beta.kubernetes.io/os" => "deprecated since v1.14; use \"kubernetes.io/os\" instead",
        "failure-domain.beta.kubernetes.io/region" => {
            "deprecated since v1.17; use \"topology.kubernetes.io/region\" instead"
        }
        "failure-domain.beta.kubernetes.io/zone" => {
            "deprecated since v1.17; use \"topology.kubernetes.io/zone\" instead"
        }
        "beta.kubernetes.io/instance-type" => {
            "deprecated since v1.17; use \"node.kubernetes.io/instance-type\" instead"
        }
        _ => return None,
    })
}

/// What is to be said of such labels in a term at `path`.
pub fn warn_of_term(term: &NodeSelectorTerm, path: &Path<'_>, warnings: &mut Vec<String>) {
    let list_path = path.child("matchExpressions");
    for (position, expression) in term.match_expressions.iter().flatten().enumerate() {
        if let Some(text) = deprecation(&expression.key) {
            let path = list_path.index(position);
            warnings.push(format!("{}: {} is {text}", path.child("key"), expression.key));
        }
    }
}
