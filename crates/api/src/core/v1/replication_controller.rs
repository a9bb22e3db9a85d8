//! ReplicationControllers: ReplicaSets from before there were any.

use k8s_openapi::api::core::v1::{ReplicationController, ReplicationControllerStatus};

use super::pod::template;
use crate::apps::v1::workload;
use crate::field::{ErrorList, Path, check_not_negative, invalid, required};
use crate::labels::Selector;
use crate::meta::{Scope, validate_meta, validate_meta_update};
use crate::names::subdomain_name;
use crate::object::Kind;
use crate::omit_empty::{self, omit_empty};

const SPEC: Path<'static> = Path::new("spec");
const STATUS: Path<'static> = Path::new("status");

impl Kind for ReplicationController {
    fn set_defaults(&mut self) {
        omit_empty::metadata(&mut self.metadata);
        let spec = self.spec.get_or_insert_default();
        omit_empty!(spec => min_ready_seconds, selector);
        if let Some(labels) = spec.template.as_ref().and_then(template::labels_of).filter(|labels| !labels.is_empty()) {
            spec.selector.get_or_insert_with(|| labels.clone());
            self.metadata.labels.get_or_insert_with(|| labels.clone());
        }
        spec.replicas.get_or_insert(1);
        spec.template.iter_mut().for_each(template::set_defaults);
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
fn template_warnings(object: &ReplicationController) -> Vec<String> {
    let pods = object.spec.iter().filter_map(|spec| spec.template.as_ref());
    pods.flat_map(|pods| template::warnings(pods, &SPEC.child("template"))).collect()
}

fn validate_spec(controller: &ReplicationController, errors: &mut ErrorList) {
    let Some(spec) = &controller.spec else { return };
    check_not_negative(errors, &SPEC.child("minReadySeconds"), spec.min_ready_seconds);
    if spec.selector.is_none() {
        errors.push(required(&SPEC.child("selector"), ""));
    }
    let replicas = spec.replicas.unwrap_or(0);
    check_not_negative(errors, &SPEC.child("replicas"), Some(replicas));
    let path = SPEC.child("template");
    let Some(pods) = &spec.template else { return errors.push(required(&path, "")) };
    if let Some(selector) = &spec.selector {
        workload::check_selects(&Selector::from_labels(selector), pods, &path, errors);
    }
    errors.extend(template::validate(pods, &path));
    if replicas > 1 {
        let spec_path = path.child("spec");
        let volumes = template::spec_of(pods).volumes.as_ref();
        template::validate_shared_volumes(volumes, &spec_path.child("volumes"), errors);
    }
    workload::check_restart_policy(pods, &path, errors);
    workload::forbid_deadline(pods, "ReplicationController", &path, errors);
}

fn validate_status(status: &ReplicationControllerStatus, errors: &mut ErrorList) {
    let parts = [
        ("fullyLabeledReplicas", status.fully_labeled_replicas),
        ("readyReplicas", status.ready_replicas),
        ("availableReplicas", status.available_replicas),
    ];
    check_not_negative(errors, &STATUS.child("replicas"), Some(status.replicas));
    for (field, count) in parts {
        check_not_negative(errors, &STATUS.child(field), count);
    }
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

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn controller(spec: Value) -> ReplicationController {
        let mut object: ReplicationController =
            serde_json::from_value(json!({"metadata": {"name": "r", "namespace": "n"}, "spec": spec})).unwrap();
        object.set_defaults();
        object
    }

    #[test]
    fn selector_and_labels_come_from_the_template() {
        let pods = json!({"metadata": {"labels": {"a": "b"}}, "spec": {"containers": [{"name": "c", "image": "i"}]}});
        let object = controller(json!({"template": pods}));
        assert_eq!(object.metadata.labels, object.spec.as_ref().unwrap().selector);
        assert_eq!(object.spec.as_ref().unwrap().replicas, Some(1));
        assert!(object.validate().is_empty());
        let other = controller(json!({"template": pods, "selector": {"a": "c"}, "replicas": -1}));
        let fields: Vec<String> = other.validate().into_iter().map(|error| error.field).collect();
        assert_eq!(fields, ["spec.replicas", "spec.template.metadata.labels"]);
    }
}
