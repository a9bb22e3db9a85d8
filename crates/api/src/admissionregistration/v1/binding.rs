//! Bindings: which policy holds where, and with what parameters.

use k8s_openapi::api::admissionregistration::v1::{
    MutatingAdmissionPolicyBinding, ParamRef, ValidatingAdmissionPolicyBinding,
};

use super::rules::{default_match_resources, validate_choice, validate_match_resources, validate_mutable};
use crate::field::{ErrorList, Json, Path, duplicate, extend_invalid, forbidden, invalid, not_supported, required};
use crate::labels::{SelectorRules, validate_label_selector};
use crate::meta::{Scope, text, validate_meta};
use crate::names::{path_segment_name, subdomain_name};
use crate::object::Kind;
use crate::omit_empty::{self, omit_empty};

const SPEC: Path<'static> = Path::new("spec");
const ACTIONS: &[&str] = &["Audit", "Deny", "Warn"];

impl Kind for ValidatingAdmissionPolicyBinding {
    fn set_defaults(&mut self) {
        omit_empty::metadata(&mut self.metadata);
        self.spec.match_resources.iter_mut().for_each(default_match_resources);
        self.spec.param_ref.iter_mut().for_each(default_param_ref);
    }

    fn validate(&self) -> ErrorList {
        let mut errors = validate_meta(&self.metadata, Scope::Cluster, subdomain_name);
        let spec = &self.spec;
        validate_policy_name(&spec.policy_name, &mut errors);
        validate_param_ref(spec.param_ref.as_ref(), &mut errors);
        if let Some(resources) = &spec.match_resources {
            // Upstream's spelling.
            validate_match_resources(resources, &SPEC.child("matchResouces"), &mut errors);
        }
        validate_actions(&spec.validation_actions, &SPEC.child("validationActions"), &mut errors);
        errors
    }

    fn validate_update(&self, _old: &Self) -> ErrorList {
        self.validate()
    }

    fn validate_status_update(&self, _old: &Self) -> ErrorList {
        ErrorList::new()
    }
}

impl Kind for MutatingAdmissionPolicyBinding {
    fn set_defaults(&mut self) {
        omit_empty::metadata(&mut self.metadata);
        let spec = self.spec.get_or_insert_default();
        omit_empty!(spec => policy_name);
        spec.match_resources.iter_mut().for_each(default_match_resources);
        spec.param_ref.iter_mut().for_each(default_param_ref);
    }

    fn validate(&self) -> ErrorList {
        let mut errors = validate_meta(&self.metadata, Scope::Cluster, subdomain_name);
        let Some(spec) = &self.spec else { return errors };
        validate_policy_name(text(&spec.policy_name), &mut errors);
        validate_param_ref(spec.param_ref.as_ref(), &mut errors);
        if let Some(resources) = &spec.match_resources {
            let path = SPEC.child("matchResources");
            validate_match_resources(resources, &path, &mut errors);
            validate_mutable(resources, &path, &mut errors);
        }
        errors
    }

    fn validate_update(&self, _old: &Self) -> ErrorList {
        self.validate()
    }

    fn validate_status_update(&self, _old: &Self) -> ErrorList {
        ErrorList::new()
    }
}

fn default_param_ref(reference: &mut ParamRef) {
    omit_empty!(reference => name, namespace);
}

fn validate_policy_name(name: &str, errors: &mut ErrorList) {
    let path = SPEC.child("policyName");
    if name.is_empty() {
        errors.push(required(&path, ""));
    } else {
        extend_invalid(errors, &path, name, subdomain_name(name, false));
    }
}

fn validate_param_ref(reference: Option<&ParamRef>, errors: &mut ErrorList) {
    let Some(reference) = reference else { return };
    let path = SPEC.child("paramRef");
    let (name, selector) = (text(&reference.name), reference.selector.as_ref());
    let both = !name.is_empty() && selector.is_some();
    let exclusive = |field| both.then(|| forbidden(&path.child(field), "name and selector are mutually exclusive"));
    if !name.is_empty() {
        extend_invalid(errors, &path.child("name"), name, path_segment_name(name, false));
        errors.extend(exclusive("name"));
    }
    errors.extend(validate_label_selector(selector, SelectorRules::Strict, &path.child("selector")));
    errors.extend(exclusive("selector"));
    if name.is_empty() && selector.is_none() {
        errors.push(required(&path, "one of name or selector must be specified"));
    }
    let path = path.child("parameterNotFoundAction");
    validate_choice(&reference.parameter_not_found_action, &path, &["Deny", "Allow"], errors);
}

fn validate_actions(actions: &[String], path: &Path<'_>, errors: &mut ErrorList) {
    for (position, action) in actions.iter().enumerate() {
        if !ACTIONS.contains(&action.as_str()) {
            errors.push(not_supported(&path.index(position), action, ACTIONS));
        }
        if actions[..position].contains(action) {
            errors.push(duplicate(&path.index(position), action));
        }
    }
    let has = |wanted: &str| actions.iter().any(|action| action == wanted);
    if has("Deny") && has("Warn") {
        let message = "must not contain both Deny and Warn (repeating the same validation failure information in the \
                       API response and headers serves no purpose)";
        errors.push(invalid(path, Json(&actions), message));
    }
    if actions.is_empty() {
        errors.push(required(path, "at least one validation action is required"));
    }
}
