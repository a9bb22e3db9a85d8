//! Deployments.

use k8s_openapi::api::apps::v1::{
    Deployment, DeploymentSpec, DeploymentStatus, DeploymentStrategy, RollingUpdateDeployment,
};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use super::workload::{self, ShownRollingUpdate, ShownStrategy};
use crate::core::v1::pod::template;
use crate::field::{
    ErrorList, Json, Path, check_not_decremented, check_not_negative, forbidden, invalid, not_supported, required,
};
use crate::int_or_percent;
use crate::meta::{Scope, text, validate_meta, validate_meta_update};
use crate::names::subdomain_name;
use crate::object::Kind;
use crate::omit_empty::{self, omit_empty};

#[cfg(test)]
mod tests;

/// All Pods of the old template go before the first of the new one comes.
pub const RECREATE: &str = "Recreate";
/// Pods are replaced a few at a time.
pub const ROLLING_UPDATE: &str = "RollingUpdate";

const SPEC: Path<'static> = Path::new("spec");
const STATUS: Path<'static> = Path::new("status");

impl Kind for Deployment {
    fn set_defaults(&mut self) {
        omit_empty::metadata(&mut self.metadata);
        let spec = self.spec.get_or_insert_default();
        omit_empty!(spec => min_ready_seconds, paused);
        template::set_defaults(&mut spec.template);
        spec.replicas.get_or_insert(1);
        default_strategy(spec.strategy.get_or_insert_default());
        spec.revision_history_limit.get_or_insert(10);
        spec.progress_deadline_seconds.get_or_insert(600);
        let status = self.status.get_or_insert_default();
        omit_empty!(status => available_replicas, conditions, observed_generation, ready_replicas, replicas,
            unavailable_replicas, updated_replicas);
    }

    fn validate(&self) -> ErrorList {
        let mut errors = validate_meta(&self.metadata, Scope::Namespaced, subdomain_name);
        validate_spec(self, &mut errors);
        errors
    }

    fn validate_update(&self, old: &Self) -> ErrorList {
        let mut errors = validate_meta_update(&self.metadata, &old.metadata);
        validate_spec(self, &mut errors);
        if let (Some(new), Some(old)) = (&self.spec, &old.spec) {
            workload::check_selector_kept(&new.selector, &old.selector, &mut errors);
        }
        errors
    }

    fn validate_status_update(&self, old: &Self) -> ErrorList {
        let mut errors = validate_meta_update(&self.metadata, &old.metadata);
        let none = DeploymentStatus::default();
        let (new, old) = (self.status.as_ref().unwrap_or(&none), old.status.as_ref().unwrap_or(&none));
        validate_status(new, &mut errors);
        check_not_decremented(&mut errors, &STATUS.child("collisionCount"), new.collision_count, old.collision_count);
        errors
    }

    fn warnings(&self) -> Vec<String> {
        let mut warnings = template::name_warnings(&self.metadata);
        warnings.extend(template_warnings(self));
        warnings
    }

    fn update_warnings(&self, old: &Self) -> Vec<String> {
        if self.metadata.generation == old.metadata.generation { Vec::new() } else { template_warnings(self) }
    }
}

/// What in the template is fine but hardly meant.
fn template_warnings(object: &Deployment) -> Vec<String> {
    object.spec.iter().flat_map(|spec| template::warnings(&spec.template, &SPEC.child("template"))).collect()
}

fn default_strategy(strategy: &mut DeploymentStrategy) {
    omit_empty!(strategy => type_);
    let kind = strategy.type_.get_or_insert_with(|| ROLLING_UPDATE.to_owned());
    if kind == ROLLING_UPDATE {
        let quarter = || IntOrString::String("25%".to_owned());
        let update = strategy.rolling_update.get_or_insert_default();
        update.max_unavailable.get_or_insert_with(quarter);
        update.max_surge.get_or_insert_with(quarter);
    }
}

fn validate_spec(deployment: &Deployment, errors: &mut ErrorList) {
    let Some(spec) = &deployment.spec else { return };
    let replicas = spec.replicas.unwrap_or(0);
    check_not_negative(errors, &SPEC.child("replicas"), Some(replicas));
    let selector_path = SPEC.child("selector");
    workload::check_selector(&spec.selector, "empty selector is invalid for deployment", &selector_path, errors);
    match workload::matcher(&spec.selector) {
        Some(selector) => {
            workload::check_template(&spec.template, &selector, replicas, &SPEC.child("template"), errors);
        }
        None => errors.push(invalid(&selector_path, Json(&spec.selector), "invalid label selector")),
    }
    if let Some(strategy) = &spec.strategy {
        validate_strategy(strategy, &SPEC.child("strategy"), errors);
    }
    validate_times(spec, errors);
}

fn validate_times(spec: &DeploymentSpec, errors: &mut ErrorList) {
    check_not_negative(errors, &SPEC.child("minReadySeconds"), spec.min_ready_seconds);
    check_not_negative(errors, &SPEC.child("revisionHistoryLimit"), spec.revision_history_limit);
    if let Some(deadline) = spec.progress_deadline_seconds {
        let path = SPEC.child("progressDeadlineSeconds");
        check_not_negative(errors, &path, Some(deadline));
        if deadline <= spec.min_ready_seconds.unwrap_or(0) {
            errors.push(invalid(&path, deadline, "must be greater than minReadySeconds"));
        }
    }
}

fn validate_strategy(strategy: &DeploymentStrategy, path: &Path<'_>, errors: &mut ErrorList) {
    let update_path = path.child("rollingUpdate");
    match (text(&strategy.type_), &strategy.rolling_update) {
        (RECREATE, Some(_)) => {
            errors.push(forbidden(&update_path, "may not be specified when strategy `type` is 'Recreate'"));
        }
        (RECREATE, None) => {}
        (ROLLING_UPDATE, Some(update)) => validate_rolling_update(update, &update_path, errors),
        (ROLLING_UPDATE, None) => {
            errors.push(required(&update_path, "this should be defaulted and never be nil"));
        }
        (other, update) => {
            let shown = ShownStrategy {
                r#type: other,
                rolling_update: update.as_ref().map(|update| ShownRollingUpdate {
                    max_unavailable: &update.max_unavailable,
                    max_surge: &update.max_surge,
                }),
            };
            errors.push(not_supported(path, Json(&shown), &[RECREATE, ROLLING_UPDATE]));
        }
    }
}

fn validate_rolling_update(update: &RollingUpdateDeployment, path: &Path<'_>, errors: &mut ErrorList) {
    let (Some(unavailable), Some(surge)) = (&update.max_unavailable, &update.max_surge) else { return };
    let unavailable_path = path.child("maxUnavailable");
    int_or_percent::check(errors, &unavailable_path, unavailable);
    int_or_percent::check(errors, &path.child("maxSurge"), surge);
    if int_or_percent::bare_value(unavailable) == 0 && int_or_percent::bare_value(surge) == 0 {
        errors.push(invalid(&unavailable_path, Json(unavailable), "may not be 0 when `maxSurge` is 0"));
    }
    int_or_percent::check_at_most_all(errors, &unavailable_path, unavailable);
}

fn validate_status(status: &DeploymentStatus, errors: &mut ErrorList) {
    check_not_negative(errors, &STATUS.child("observedGeneration"), status.observed_generation);
    for (field, count) in [
        ("replicas", status.replicas),
        ("updatedReplicas", status.updated_replicas),
        ("readyReplicas", status.ready_replicas),
        ("availableReplicas", status.available_replicas),
        ("unavailableReplicas", status.unavailable_replicas),
        ("terminatingReplicas", status.terminating_replicas),
        ("collisionCount", status.collision_count),
    ] {
        check_not_negative(errors, &STATUS.child(field), count);
    }
    let replicas = status.replicas.unwrap_or(0);
    for (field, count) in [
        ("updatedReplicas", status.updated_replicas),
        ("readyReplicas", status.ready_replicas),
        ("availableReplicas", status.available_replicas),
    ] {
        if let Some(count) = count.filter(|count| *count > replicas) {
            errors.push(invalid(&STATUS.child(field), count, "cannot be greater than status.replicas"));
        }
    }
    let available = status.available_replicas.unwrap_or(0);
    if available > status.ready_replicas.unwrap_or(0) {
        errors.push(invalid(&STATUS.child("availableReplicas"), available, "cannot be greater than readyReplicas"));
    }
}
