//! What the kinds that keep Pods running have in common: a selector that fits a template.

use k8s_openapi::api::core::v1::PodTemplateSpec;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use serde::Serialize;

use crate::core::v1::pod::template;
use crate::field::{ErrorList, Json, Path, forbidden, invalid, not_supported, required};
use crate::labels::{Selector, SelectorRules, validate_label_selector};
use crate::meta::{IMMUTABLE, text};

/// How Pods are replaced, as upstream's messages show it.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct ShownStrategy<'a, T> {
    pub r#type: &'a str,
    pub rolling_update: Option<T>,
}

/// How many Pods at a time, as upstream's messages show it.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct ShownRollingUpdate<'a> {
    pub max_unavailable: &'a Option<IntOrString>,
    pub max_surge: &'a Option<IntOrString>,
}

/// A selector where unset and empty are two things: the type of the field has no unset one.
pub fn selector_of(selector: &LabelSelector) -> Option<&LabelSelector> {
    (selector.match_labels.is_some() || selector.match_expressions.is_some()).then_some(selector)
}

fn is_empty(selector: &LabelSelector) -> bool {
    let labels = selector.match_labels.as_ref().is_none_or(|labels| labels.is_empty());
    labels && selector.match_expressions.as_ref().is_none_or(|expressions| expressions.is_empty())
}

/// Checks a selector that must be there and select something. `empty` says what one that selects everything is not.
pub(super) fn check_selector(selector: &LabelSelector, empty: &str, path: &Path<'_>, errors: &mut ErrorList) {
    let Some(selector) = selector_of(selector) else {
        errors.push(required(path, ""));
        return;
    };
    errors.extend(validate_label_selector(Some(selector), SelectorRules::Strict, path));
    if is_empty(selector) {
        errors.push(invalid(path, Json(&LabelSelector::default()), empty));
    }
}

/// The matcher of a selector, if it is one.
pub(super) fn matcher(selector: &LabelSelector) -> Option<Selector> {
    Selector::from_label_selector(selector_of(selector)).ok()
}

/// Checks that a selector selects the Pods of the template at `path`.
pub(crate) fn check_selects(selector: &Selector, pods: &PodTemplateSpec, path: &Path<'_>, errors: &mut ErrorList) {
    let labels = template::labels_of(pods);
    if !selector.is_everything() && !selector.matches(labels) {
        let path = path.child("metadata");
        let path = path.child("labels");
        errors.push(invalid(&path, Json(&labels), "`selector` does not match template `labels`"));
    }
}

/// Pods that are replaced when they end start their containers again, too.
pub(crate) fn check_restart_policy(pods: &PodTemplateSpec, path: &Path<'_>, errors: &mut ErrorList) {
    let policy = text(&template::spec_of(pods).restart_policy);
    if policy != "Always" {
        let path = path.child("spec");
        errors.push(not_supported(&path.child("restartPolicy"), policy, &["Always"]));
    }
}

/// And they have no end of their own.
pub(crate) fn forbid_deadline(pods: &PodTemplateSpec, kind: &str, path: &Path<'_>, errors: &mut ErrorList) {
    if template::spec_of(pods).active_deadline_seconds.is_some() {
        let path = path.child("spec");
        let message = format!("activeDeadlineSeconds in {kind} is not Supported");
        errors.push(forbidden(&path.child("activeDeadlineSeconds"), message));
    }
}

/// What the template of `replicas` Pods at `path` must be.
pub(super) fn check_template(
    pods: &PodTemplateSpec,
    selector: &Selector,
    replicas: i32,
    path: &Path<'_>,
    errors: &mut ErrorList,
) {
    check_selects(selector, pods, path, errors);
    errors.extend(template::validate(pods, path));
    if replicas > 1 {
        let spec_path = path.child("spec");
        let volumes = template::spec_of(pods).volumes.as_ref();
        template::validate_shared_volumes(volumes, &spec_path.child("volumes"), errors);
    }
    check_restart_policy(pods, path, errors);
    forbid_deadline(pods, "ReplicaSet", path, errors);
}

/// A selector says whose Pods are whose, so it stays.
pub(super) fn check_selector_kept(new: &LabelSelector, old: &LabelSelector, errors: &mut ErrorList) {
    if new != old {
        let path = Path::new("spec");
        errors.push(invalid(&path.child("selector"), Json(new), IMMUTABLE));
    }
}
