//! DaemonSets.

use k8s_openapi::api::apps::v1::{
    DaemonSet, DaemonSetSpec, DaemonSetStatus, DaemonSetUpdateStrategy, RollingUpdateDaemonSet,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use super::workload::{self, ShownRollingUpdate, ShownStrategy};
use crate::core::v1::pod::template;
use crate::field::{
    ErrorList, Json, Path, check_not_decremented, check_not_negative, invalid, not_supported, required,
};
use crate::int_or_percent;
use crate::labels::{SelectorRules, validate_label_selector};
use crate::meta::{Scope, text, validate_meta, validate_meta_update};
use crate::names::subdomain_name;
use crate::object::Kind;
use crate::omit_empty::{self, omit_empty};

/// Pods are replaced when somebody deletes them.
pub const ON_DELETE: &str = "OnDelete";
/// Pods are replaced node by node.
pub const ROLLING_UPDATE: &str = "RollingUpdate";
/// The annotation that counts the changes of the template, as long as older versions of the kind are remembered.
pub const TEMPLATE_GENERATION: &str = "deprecated.daemonset.template.generation";

const SPEC: Path<'static> = Path::new("spec");
const STATUS: Path<'static> = Path::new("status");

impl Kind for DaemonSet {
    fn set_defaults(&mut self) {
        omit_empty::metadata(&mut self.metadata);
        let spec = self.spec.get_or_insert_default();
        omit_empty!(spec => min_ready_seconds);
        template::set_defaults(&mut spec.template);
        default_strategy(spec.update_strategy.get_or_insert_default());
        spec.revision_history_limit.get_or_insert(10);
        let status = self.status.get_or_insert_default();
        omit_empty!(status => conditions, number_available, number_unavailable, observed_generation,
            updated_number_scheduled);
    }

    fn validate(&self) -> ErrorList {
        let mut errors = validate_meta(&self.metadata, Scope::Namespaced, subdomain_name);
        errors.extend(self.spec.iter().flat_map(validate_spec));
        errors
    }

    fn validate_update(&self, old: &Self) -> ErrorList {
        let mut errors = validate_meta_update(&self.metadata, &old.metadata);
        errors.extend(self.spec.iter().flat_map(validate_spec));
        if let (Some(new), Some(old)) = (&self.spec, &old.spec) {
            workload::check_selector_kept(&new.selector, &old.selector, &mut errors);
        }
        errors
    }

    fn validate_status_update(&self, old: &Self) -> ErrorList {
        let mut errors = validate_meta_update(&self.metadata, &old.metadata);
        let none = DaemonSetStatus::default();
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
fn template_warnings(object: &DaemonSet) -> Vec<String> {
    object.spec.iter().flat_map(|spec| template::warnings(&spec.template, &SPEC.child("template"))).collect()
}

fn default_strategy(strategy: &mut DaemonSetUpdateStrategy) {
    omit_empty!(strategy => type_);
    let kind = strategy.type_.get_or_insert_with(|| ROLLING_UPDATE.to_owned());
    if kind == ROLLING_UPDATE {
        let update = strategy.rolling_update.get_or_insert_default();
        update.max_unavailable.get_or_insert(IntOrString::Int(1));
        update.max_surge.get_or_insert(IntOrString::Int(0));
    }
}

fn validate_spec(spec: &DaemonSetSpec) -> ErrorList {
    let (selector_path, template_path) = (SPEC.child("selector"), SPEC.child("template"));
    let mut errors = validate_label_selector(Some(&spec.selector), SelectorRules::Strict, &selector_path);
    if let Some(selector) = workload::matcher(&spec.selector) {
        workload::check_selects(&selector, &spec.template, &template_path, &mut errors);
        if selector.is_everything() {
            let message = "empty selector is invalid for daemonset";
            errors.push(invalid(&selector_path, Json(&LabelSelector::default()), message));
        }
    }
    errors.extend(template::validate(&spec.template, &template_path));
    let pod_path = template_path.child("spec");
    let volumes = template::spec_of(&spec.template).volumes.as_ref();
    template::validate_shared_volumes(volumes, &pod_path.child("volumes"), &mut errors);
    workload::check_restart_policy(&spec.template, &template_path, &mut errors);
    workload::forbid_deadline(&spec.template, "DaemonSet", &template_path, &mut errors);
    check_not_negative(&mut errors, &SPEC.child("minReadySeconds"), spec.min_ready_seconds);
    if let Some(strategy) = &spec.update_strategy {
        validate_strategy(strategy, &SPEC.child("updateStrategy"), &mut errors);
    }
    check_not_negative(&mut errors, &SPEC.child("revisionHistoryLimit"), spec.revision_history_limit);
    errors
}

fn validate_strategy(strategy: &DaemonSetUpdateStrategy, path: &Path<'_>, errors: &mut ErrorList) {
    let update_path = path.child("rollingUpdate");
    match (text(&strategy.type_), &strategy.rolling_update) {
        (ON_DELETE, _) => {}
        (ROLLING_UPDATE, None) => errors.push(required(&update_path, "")),
        (ROLLING_UPDATE, Some(update)) => validate_rolling_update(update, &update_path, errors),
        (other, update) => {
            let shown = ShownStrategy {
                r#type: other,
                rolling_update: update.as_ref().map(|update| ShownRollingUpdate {
                    max_unavailable: &update.max_unavailable,
                    max_surge: &update.max_surge,
                }),
            };
            errors.push(not_supported(path, Json(&shown), &[ROLLING_UPDATE, ON_DELETE]));
        }
    }
}

fn validate_rolling_update(update: &RollingUpdateDaemonSet, path: &Path<'_>, errors: &mut ErrorList) {
    let (Some(unavailable), Some(surge)) = (&update.max_unavailable, &update.max_surge) else { return };
    let (unavailable_path, surge_path) = (path.child("maxUnavailable"), path.child("maxSurge"));
    int_or_percent::check(errors, &unavailable_path, unavailable);
    int_or_percent::check(errors, &surge_path, surge);
    int_or_percent::check_at_most_all(errors, &unavailable_path, unavailable);
    int_or_percent::check_at_most_all(errors, &surge_path, surge);
    match (int_or_percent::bare_value(unavailable), int_or_percent::bare_value(surge)) {
        (0, 0) => errors.push(required(&unavailable_path, "cannot be 0 when maxSurge is 0")),
        (0, _) | (_, 0) => {}
        _ => errors.push(invalid(&surge_path, Json(surge), "may not be set when maxUnavailable is non-zero")),
    }
}

fn validate_status(status: &DaemonSetStatus, errors: &mut ErrorList) {
    for (field, count) in [
        ("currentNumberScheduled", Some(status.current_number_scheduled)),
        ("numberMisscheduled", Some(status.number_misscheduled)),
        ("desiredNumberScheduled", Some(status.desired_number_scheduled)),
        ("numberReady", Some(status.number_ready)),
    ] {
        check_not_negative(errors, &STATUS.child(field), count);
    }
    check_not_negative(errors, &STATUS.child("observedGeneration"), status.observed_generation);
    for (field, count) in [
        ("updatedNumberScheduled", status.updated_number_scheduled),
        ("numberAvailable", status.number_available),
        ("numberUnavailable", status.number_unavailable),
        ("collisionCount", status.collision_count),
    ] {
        check_not_negative(errors, &STATUS.child(field), count);
    }
}
