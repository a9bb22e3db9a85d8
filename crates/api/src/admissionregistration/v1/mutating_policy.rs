//! MutatingAdmissionPolicies: expressions that change objects on their way in.

use k8s_openapi::api::admissionregistration::v1::{MutatingAdmissionPolicy, Mutation};

use super::expressions::{validate_conditions, validate_param_kind, validate_variables};
use super::rules::{
    default_match_resources, require_failure_policy, validate_choice, validate_constraints, validate_mutable,
};
use crate::field::{ErrorList, Path, invalid, not_supported, required};
use crate::meta::{Scope, text, validate_meta};
use crate::names::subdomain_name;
use crate::object::Kind;
use crate::omit_empty::{self, omit_empty};

const SPEC: Path<'static> = Path::new("spec");
const REINVOCATION_POLICIES: &[&str] = &["Never", "IfNeeded"];
const APPLY: &str = "ApplyConfiguration";
const JSON_PATCH: &str = "JSONPatch";

impl Kind for MutatingAdmissionPolicy {
    fn set_defaults(&mut self) {
        omit_empty::metadata(&mut self.metadata);
        let spec = self.spec.get_or_insert_default();
        omit_empty!(spec => match_conditions, mutations, reinvocation_policy, variables);
        spec.failure_policy.get_or_insert_with(|| "Fail".to_owned());
        spec.match_constraints.iter_mut().for_each(default_match_resources);
    }

    fn validate(&self) -> ErrorList {
        validate(self, true)
    }

    fn validate_update(&self, old: &Self) -> ErrorList {
        let said = |policy: &Self| policy.spec.clone().map(|spec| (spec.param_kind, spec.match_conditions));
        validate(self, said(self) != said(old))
    }

    fn validate_status_update(&self, _old: &Self) -> ErrorList {
        ErrorList::new()
    }
}

fn validate(policy: &MutatingAdmissionPolicy, conditions_changed: bool) -> ErrorList {
    let mut errors = validate_meta(&policy.metadata, Scope::Cluster, subdomain_name);
    let Some(spec) = &policy.spec else { return errors };
    require_failure_policy(spec.failure_policy.as_deref(), &SPEC, &mut errors);
    if let Some(kind) = &spec.param_kind {
        validate_param_kind(kind, &SPEC, &mut errors);
    }
    let path = SPEC.child("matchConstraints");
    validate_constraints(spec.match_constraints.as_ref(), &path, &mut errors);
    if let Some(constraints) = &spec.match_constraints {
        validate_mutable(constraints, &path, &mut errors);
    }
    if conditions_changed {
        validate_conditions(spec.match_conditions.as_deref(), &SPEC, &mut errors);
    }
    validate_variables(spec.variables.as_deref(), &SPEC, &mut errors);
    let (path, mutations) = (SPEC.child("mutations"), spec.mutations.as_deref().unwrap_or_default());
    if mutations.is_empty() {
        errors.push(required(&path, "mutations must contain at least one item"));
    }
    for (position, mutation) in mutations.iter().enumerate() {
        validate_mutation(mutation, &path.index(position), &mut errors);
    }
    let path = SPEC.child("reinvocationPolicy");
    validate_choice(&spec.reinvocation_policy, &path, REINVOCATION_POLICIES, &mut errors);
    errors
}

/// A mutation has the expression of its patch type, and only that.
fn validate_mutation(mutation: &Mutation, path: &Path<'_>, errors: &mut ErrorList) {
    let apply = mutation.apply_configuration.as_ref().map(|apply| text(&apply.expression));
    let patch = mutation.json_patch.as_ref().map(|patch| text(&patch.expression));
    let (own, own_field, other, other_field) = match mutation.patch_type.as_str() {
        "" => return errors.push(required(&path.child("patchType"), "")),
        APPLY => (apply, "applyConfiguration", patch, "jsonPatch"),
        JSON_PATCH => (patch, "jsonPatch", apply, "applyConfiguration"),
        unknown => {
            return errors.push(not_supported(&path.child("patchType"), unknown, &[APPLY, JSON_PATCH]));
        }
    };
    let patch_type = &mutation.patch_type;
    if other.is_some() {
        let message = format!("must not be specified when patchType is {patch_type}");
        errors.push(invalid(&path.child(other_field), format!("{{{other_field}}}"), message));
    }
    let path = path.child(own_field);
    match own {
        None => errors.push(required(&path, &format!("must be specified when patchType is {patch_type}"))),
        Some(expression) if expression.trim().is_empty() => {
            errors.push(required(&path.child("expression"), "expression is not specified"));
        }
        Some(_) => {}
    }
}
