//! Labels and label selectors that stand in objects.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, LabelSelectorRequirement};

use super::Labels;
use crate::field::{ErrorList, Path, extend_invalid, forbidden, invalid, required};
use crate::names;

/// What a label selector may hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SelectorRules {
    /// Values must be label values.
    Strict,
    /// Values may be anything: the object already held such a value before the rule came.
    AnyValue,
}

/// Checks the keys and values of labels.
pub fn validate_labels(labels: Option<&Labels>, path: &Path<'_>) -> ErrorList {
    let mut errors = ErrorList::new();
    for (key, value) in labels.into_iter().flatten() {
        extend_invalid(&mut errors, path, key, names::qualified_name(key));
        extend_invalid(&mut errors, path, value, names::label_value(value));
    }
    errors
}

/// Checks the selector of an object.
pub fn validate_label_selector(selector: Option<&LabelSelector>, rules: SelectorRules, path: &Path<'_>) -> ErrorList {
    let Some(selector) = selector else { return ErrorList::new() };
    let mut errors = validate_labels(selector.match_labels.as_ref(), &path.child("matchLabels"));
    let expressions = path.child("matchExpressions");
    for (position, expression) in selector.match_expressions.iter().flatten().enumerate() {
        errors.extend(validate_expression(expression, rules, &expressions.index(position)));
    }
    errors
}

/// Checks one requirement.
pub fn validate_expression(expression: &LabelSelectorRequirement, rules: SelectorRules, path: &Path<'_>) -> ErrorList {
    let mut errors = ErrorList::new();
    let values_path = path.child("values");
    let values = expression.values.as_deref().unwrap_or_default();
    match expression.operator.as_str() {
        "In" | "NotIn" if values.is_empty() => {
            errors.push(required(&values_path, "must be specified when `operator` is 'In' or 'NotIn'"));
        }
        "Exists" | "DoesNotExist" if !values.is_empty() => {
            errors.push(forbidden(&values_path, "may not be specified when `operator` is 'Exists' or 'DoesNotExist'"));
        }
        "In" | "NotIn" | "Exists" | "DoesNotExist" => {}
        other => errors.push(invalid(&path.child("operator"), other, "not a valid selector operator")),
    }
    extend_invalid(&mut errors, &path.child("key"), &expression.key, names::qualified_name(&expression.key));
    if rules == SelectorRules::Strict {
        for (position, value) in values.iter().enumerate() {
            extend_invalid(&mut errors, &values_path.index(position), value, names::label_value(value));
        }
    }
    errors
}
