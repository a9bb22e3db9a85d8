//! ValidatingAdmissionPolicies: expressions that requests must satisfy.

use k8s_openapi::api::admissionregistration::v1::{
    AuditAnnotation, ExpressionWarning, ValidatingAdmissionPolicy, ValidatingAdmissionPolicySpec, Validation,
};

use super::expressions::{validate_conditions, validate_param_kind, validate_variables};
use super::rules::{default_match_resources, require_failure_policy, validate_constraints};
use crate::field::{ErrorList, Json, Path, duplicate, extend_invalid, invalid, not_supported, required};
use crate::meta::{Scope, text, validate_conditions as validate_status_conditions, validate_meta};
use crate::names::{qualified_name, subdomain_name};
use crate::object::Kind;
use crate::omit_empty::{self, omit_empty};

const SPEC: Path<'static> = Path::new("spec");
const REASONS: &[&str] = &["Forbidden", "Invalid", "RequestEntityTooLarge"];
const MAX_ANNOTATIONS: usize = 20;
const MAX_EXPRESSION_BYTES: usize = 5 * 1024;

impl Kind for ValidatingAdmissionPolicy {
    fn set_defaults(&mut self) {
        omit_empty::metadata(&mut self.metadata);
        let spec = self.spec.get_or_insert_default();
        omit_empty!(spec => audit_annotations, match_conditions, validations, variables);
        spec.failure_policy.get_or_insert_with(|| "Fail".to_owned());
        spec.match_constraints.iter_mut().for_each(default_match_resources);
        for validation in spec.validations.iter_mut().flatten() {
            omit_empty!(validation => message, message_expression);
        }
        omit_empty!(self.status.get_or_insert_default() => conditions, observed_generation);
    }

    fn validate(&self) -> ErrorList {
        validate(self, true)
    }

    fn validate_update(&self, old: &Self) -> ErrorList {
        let said = |policy: &Self| policy.spec.clone().map(|spec| (spec.param_kind, spec.match_conditions));
        validate(self, said(self) != said(old))
    }

    fn validate_status_update(&self, _old: &Self) -> ErrorList {
        let mut errors = ErrorList::new();
        let Some(status) = &self.status else { return errors };
        let path = Path::new("status");
        let (checking_path, conditions_path) = (path.child("typeChecking"), path.child("conditions"));
        let list_path = checking_path.child("expressionWarnings");
        let warnings = status.type_checking.iter().filter_map(|checking| checking.expression_warnings.as_ref());
        for (position, warning) in warnings.flatten().enumerate() {
            validate_warning(warning, &list_path.index(position), &mut errors);
        }
        errors.extend(validate_status_conditions(status.conditions.as_deref().unwrap_or_default(), &conditions_path));
        errors
    }
}

fn validate(policy: &ValidatingAdmissionPolicy, conditions_changed: bool) -> ErrorList {
    let mut errors = validate_meta(&policy.metadata, Scope::Cluster, subdomain_name);
    let Some(spec) = &policy.spec else { return errors };
    require_failure_policy(spec.failure_policy.as_deref(), &SPEC, &mut errors);
    if let Some(kind) = &spec.param_kind {
        validate_param_kind(kind, &SPEC, &mut errors);
    }
    validate_constraints(spec.match_constraints.as_ref(), &SPEC.child("matchConstraints"), &mut errors);
    if conditions_changed {
        validate_conditions(spec.match_conditions.as_deref(), &SPEC, &mut errors);
    }
    validate_variables(spec.variables.as_deref(), &SPEC, &mut errors);
    validate_outcomes(spec, text(&policy.metadata.name), &mut errors);
    errors
}

/// What the policy does with a request: refuse it, or note something about it.
fn validate_outcomes(spec: &ValidatingAdmissionPolicySpec, name: &str, errors: &mut ErrorList) {
    let validations = spec.validations.as_deref().unwrap_or_default();
    let annotations = spec.audit_annotations.as_deref().unwrap_or_default();
    let (validations_path, annotations_path) = (SPEC.child("validations"), SPEC.child("auditAnnotations"));
    if validations.is_empty() && annotations.is_empty() {
        let message = "validations or auditAnnotations must contain at least one item";
        errors.extend([required(&validations_path, message), required(&annotations_path, message)]);
        return;
    }
    for (position, validation) in validations.iter().enumerate() {
        validate_validation(validation, &validations_path.index(position), errors);
    }
    if annotations.len() > MAX_ANNOTATIONS {
        let message = format!("must not have more than {MAX_ANNOTATIONS} auditAnnotations");
        errors.push(invalid(&annotations_path, Json(&annotations), message));
    }
    for (position, annotation) in annotations.iter().enumerate() {
        let path = annotations_path.index(position);
        validate_annotation(annotation, name, &path, errors);
        if annotations[..position].iter().any(|other| other.key == annotation.key) {
            errors.push(duplicate(&path.child("key"), &annotation.key));
        }
    }
}

fn validate_validation(validation: &Validation, path: &Path<'_>, errors: &mut ErrorList) {
    if validation.expression.trim().is_empty() {
        errors.push(required(&path.child("expression"), "expression is not specified"));
    }
    let expression = text(&validation.message_expression);
    if !expression.is_empty() && expression.trim().is_empty() {
        let message = "must be non-empty if specified";
        errors.push(invalid(&path.child("messageExpression"), expression, message));
    }
    let (path_of_message, message) = (path.child("message"), text(&validation.message));
    if !message.is_empty() && message.trim().is_empty() {
        errors.push(invalid(&path_of_message, message, "message must be non-empty if specified"));
    } else if message.trim().contains(['\n', '\r']) {
        errors.push(invalid(&path_of_message, message, "message must not contain line breaks"));
    }
    if let Some(reason) = validation.reason.as_deref().filter(|reason| !REASONS.contains(reason)) {
        errors.push(not_supported(&path.child("reason"), reason, REASONS));
    }
}

fn validate_annotation(annotation: &AuditAnnotation, name: &str, path: &Path<'_>, errors: &mut ErrorList) {
    let key_path = path.child("key");
    if name.is_empty() {
        errors.push(invalid(&key_path, &annotation.key, "requires metadata.name be non-empty"));
    } else {
        let key = format!("{name}/{}", annotation.key);
        extend_invalid(errors, &key_path, &key, qualified_name(&key));
    }
    let expression_path = path.child("valueExpression");
    match annotation.value_expression.trim().len() {
        0 => errors.push(required(&expression_path, "valueExpression is not specified")),
        bytes if bytes > MAX_EXPRESSION_BYTES => {
            let message = format!("must not exceed {MAX_EXPRESSION_BYTES} bytes in length");
            errors.push(required(&expression_path, &message));
        }
        _ => {}
    }
}

fn validate_warning(warning: &ExpressionWarning, path: &Path<'_>, errors: &mut ErrorList) {
    if warning.warning.is_empty() {
        errors.push(required(&path.child("warning"), ""));
    }
    if warning.field_ref.trim().is_empty() {
        errors.push(required(&path.child("fieldRef"), ""));
    }
}
