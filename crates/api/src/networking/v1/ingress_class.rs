//! IngressClasses.

use k8s_openapi::api::core::v1::TypedLocalObjectReference;
use k8s_openapi::api::networking::v1::{IngressClass, IngressClassParametersReference, IngressClassSpec};

use super::ingress::validate_reference;
use crate::field::{ErrorList, Path, extend_invalid, forbidden, invalid, not_supported, required, too_long};
use crate::meta::{IMMUTABLE, Scope, text, validate_meta, validate_meta_update};
use crate::names::{self, subdomain_name};
use crate::object::Kind;
use crate::omit_empty::{self, omit_empty};

/// Marks the class of Ingresses that name none.
pub const DEFAULT_ANNOTATION: &str = "ingressclass.kubernetes.io/is-default-class";

const SPEC: Path<'static> = Path::new("spec");
const MAX_CONTROLLER_BYTES: usize = 250;
const PATH: &str = "[A-Za-z0-9/\\-._~%!$&'()*+,;=:]+";

impl Kind for IngressClass {
    fn set_defaults(&mut self) {
        omit_empty::metadata(&mut self.metadata);
        let spec = self.spec.get_or_insert_default();
        omit_empty!(spec => controller);
        if let Some(parameters) = &mut spec.parameters {
            parameters.scope.get_or_insert_with(|| "Cluster".to_owned());
        }
    }

    fn validate(&self) -> ErrorList {
        let mut errors = validate_meta(&self.metadata, Scope::Cluster, subdomain_name);
        self.spec.iter().for_each(|spec| validate_spec(spec, &mut errors));
        errors
    }

    fn validate_update(&self, old: &Self) -> ErrorList {
        let mut errors = validate_meta_update(&self.metadata, &old.metadata);
        self.spec.iter().for_each(|spec| validate_spec(spec, &mut errors));
        let controller = |class: &IngressClass| class.spec.as_ref().and_then(|spec| spec.controller.clone());
        if controller(self) != controller(old) {
            errors.push(invalid(&SPEC.child("controller"), controller(self).unwrap_or_default(), IMMUTABLE));
        }
        errors
    }

    fn validate_status_update(&self, old: &Self) -> ErrorList {
        Kind::validate_update(self, old)
    }
}

/// Whether Ingresses that name no class are of this one.
pub fn is_default(class: &IngressClass) -> bool {
    let annotation = class.metadata.annotations.as_ref().and_then(|annotations| annotations.get(DEFAULT_ANNOTATION));
    annotation.is_some_and(|value| value == "true")
}

fn validate_spec(spec: &IngressClassSpec, errors: &mut ErrorList) {
    let (path, controller) = (SPEC.child("controller"), text(&spec.controller));
    if controller.len() > MAX_CONTROLLER_BYTES {
        errors.push(too_long(&path, MAX_CONTROLLER_BYTES));
    }
    validate_prefixed_path(controller, &path, errors);
    if let Some(parameters) = &spec.parameters {
        validate_parameters(parameters, &SPEC.child("parameters"), errors);
    }
}

/// A path below a domain, such as `example.com/ingress-controller`.
fn validate_prefixed_path(value: &str, path: &Path<'_>, errors: &mut ErrorList) {
    if value.is_empty() {
        return errors.push(required(path, ""));
    }
    let Some((domain, rest)) = value.split_once('/').filter(|(domain, rest)| !domain.is_empty() && !rest.is_empty())
    else {
        let text = "must be a domain-prefixed path (such as \"acme.io/foo\")";
        return errors.push(invalid(path, value, text));
    };
    extend_invalid(errors, path, domain, names::dns1123_subdomain(domain));
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"/-._~%!$&'()*+,;=:".contains(&byte);
    if !rest.bytes().all(allowed) {
        errors.push(invalid(path, rest, format!("Invalid path (regex used for validation is '{PATH}')")));
    }
}

fn validate_parameters(parameters: &IngressClassParametersReference, path: &Path<'_>, errors: &mut ErrorList) {
    let reference = TypedLocalObjectReference {
        api_group: parameters.api_group.clone(),
        kind: parameters.kind.clone(),
        name: parameters.name.clone(),
    };
    validate_reference(&reference, path, errors);
    let namespace_path = path.child("namespace");
    match (parameters.scope.as_deref(), parameters.namespace.as_deref()) {
        (None, _) => errors.push(required(&path.child("scope"), "")),
        (Some("Namespace"), None | Some("")) => {
            errors.push(required(&namespace_path, "`parameters.scope` is set to 'Namespace'"));
        }
        (Some("Namespace"), Some(name)) => {
            extend_invalid(errors, &namespace_path, name, names::dns1123_label(name));
        }
        (Some("Cluster"), Some(_)) => {
            errors.push(forbidden(&namespace_path, "`parameters.scope` is set to 'Cluster'"));
        }
        (Some("Cluster"), None) => {}
        (Some(other), _) => {
            errors.push(not_supported(&path.child("scope"), other, &["Cluster", "Namespace"]));
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn problems_have_upstreams_places_and_words() {
        let parameters = |scope: &str, namespace: Value| json!({"controller": "a.b/c", "parameters": {"kind": "K", "name": "n", "scope": scope, "namespace": namespace}});
        for (spec, problem) in [
            (json!({"controller": "a.b/c"}), ""),
            (json!({}), "spec.controller: Required value"),
            (
                json!({"controller": "x"}),
                "spec.controller: Invalid value: \"x\": must be a domain-prefixed path (such as \\\"acme.io/foo\\\")",
            ),
            (parameters("Cluster", Value::Null), ""),
            (
                parameters("Cluster", json!("n")),
                "spec.parameters.namespace: Forbidden: `parameters.scope` is set to 'Cluster'",
            ),
            (
                parameters("Namespace", Value::Null),
                "spec.parameters.namespace: Required value: `parameters.scope` is set to 'Namespace'",
            ),
        ] {
            let mut object: IngressClass =
                serde_json::from_value(json!({"metadata": {"name": "i"}, "spec": spec})).unwrap();
            object.set_defaults();
            let found = object.validate().first().map(ToString::to_string).unwrap_or_default();
            assert_eq!(found, problem.replace("\\\"", "\""), "{spec}");
        }
    }
}
