//! ReplicaSets.

use k8s_openapi::api::apps::v1::{ReplicaSet, ReplicaSetStatus};

use super::workload;
use crate::core::v1::pod::template;
use crate::field::{ErrorList, Json, Path, check_not_negative, invalid};
use crate::meta::{Scope, validate_meta, validate_meta_update};
use crate::names::subdomain_name;
use crate::object::Kind;
use crate::omit_empty::{self, omit_empty};

const SPEC: Path<'static> = Path::new("spec");
const STATUS: Path<'static> = Path::new("status");

impl Kind for ReplicaSet {
    fn set_defaults(&mut self) {
        omit_empty::metadata(&mut self.metadata);
        let spec = self.spec.get_or_insert_default();
        omit_empty!(spec => min_ready_seconds);
        spec.replicas.get_or_insert(1);
        template::set_defaults(spec.template.get_or_insert_default());
        let status = self.status.get_or_insert_default();
        omit_empty!(status => available_replicas, conditions, fully_labeled_replicas, observed_generation,
            ready_replicas);
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
        if let Some(status) = &self.status {
            validate_status(status, &mut errors);
        }
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
fn template_warnings(object: &ReplicaSet) -> Vec<String> {
    let pods = object.spec.iter().filter_map(|spec| spec.template.as_ref());
    pods.flat_map(|pods| template::warnings(pods, &SPEC.child("template"))).collect()
}

fn validate_spec(set: &ReplicaSet, errors: &mut ErrorList) {
    let Some(spec) = &set.spec else { return };
    let replicas = spec.replicas.unwrap_or(0);
    check_not_negative(errors, &SPEC.child("replicas"), Some(replicas));
    check_not_negative(errors, &SPEC.child("minReadySeconds"), spec.min_ready_seconds);
    let selector_path = SPEC.child("selector");
    workload::check_selector(&spec.selector, "empty selector is invalid for deployment", &selector_path, errors);
    match (workload::matcher(&spec.selector), &spec.template) {
        (Some(selector), Some(pods)) => {
            workload::check_template(pods, &selector, replicas, &SPEC.child("template"), errors);
        }
        (Some(_), None) => {}
        (None, _) => errors.push(invalid(&selector_path, Json(&spec.selector), "invalid label selector")),
    }
}

fn validate_status(status: &ReplicaSetStatus, errors: &mut ErrorList) {
    let parts = [
        ("fullyLabeledReplicas", status.fully_labeled_replicas),
        ("readyReplicas", status.ready_replicas),
        ("availableReplicas", status.available_replicas),
    ];
    check_not_negative(errors, &STATUS.child("replicas"), Some(status.replicas));
    for (field, count) in parts {
        check_not_negative(errors, &STATUS.child(field), count);
    }
    check_not_negative(errors, &STATUS.child("terminatingReplicas"), status.terminating_replicas);
    check_not_negative(errors, &STATUS.child("observedGeneration"), status.observed_generation);
    for (field, count) in parts {
        if let Some(count) = count.filter(|count| *count > status.replicas) {
            errors.push(invalid(&STATUS.child(field), count, "cannot be greater than status.replicas"));
        }
    }
    let available = status.available_replicas.unwrap_or(0);
    if available > status.ready_replicas.unwrap_or(0) {
        errors.push(invalid(&STATUS.child("availableReplicas"), available, "cannot be greater than readyReplicas"));
    }
}
