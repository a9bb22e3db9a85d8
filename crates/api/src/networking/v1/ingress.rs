//! Ingresses.

use k8s_openapi::api::core::v1::TypedLocalObjectReference;
use k8s_openapi::api::networking::v1::{
    HTTPIngressPath, Ingress, IngressBackend, IngressLoadBalancerStatus, IngressRule, IngressServiceBackend, IngressTLS,
};

use crate::core::v1::service::validate_host_name;
use crate::field::{ErrorList, Path, extend_invalid, invalid, not_supported, required};
use crate::meta::{Scope, text, validate_meta, validate_meta_update};
use crate::names::{self, subdomain_name};
use crate::net;
use crate::object::Kind;
use crate::omit_empty::{self, omit_empty};

/// Named the class before there was a field.
pub const CLASS_ANNOTATION: &str = "kubernetes.io/ingress.class";

const SPEC: Path<'static> = Path::new("spec");
const INVALID_SEQUENCES: [&str; 5] = ["//", "/./", "/../", "%2f", "%2F"];
const INVALID_ENDS: [&str; 2] = ["/..", "/."];

impl Kind for Ingress {
    fn set_defaults(&mut self) {
        omit_empty::metadata(&mut self.metadata);
        let spec = self.spec.get_or_insert_default();
        omit_empty!(spec => rules, tls);
        spec.default_backend.iter_mut().for_each(default_backend);
        for rule in spec.rules.iter_mut().flatten() {
            omit_empty!(rule => host);
            for path in rule.http.iter_mut().flat_map(|http| &mut http.paths) {
                omit_empty!(path => path);
                default_backend(&mut path.backend);
            }
        }
        for tls in spec.tls.iter_mut().flatten() {
            omit_empty!(tls => hosts, secret_name);
        }
        let balancer = self.status.get_or_insert_default().load_balancer.get_or_insert_default();
        omit_empty!(balancer => ingress);
        for ingress in balancer.ingress.iter_mut().flatten() {
            omit_empty!(ingress => hostname, ip, ports);
        }
    }

    fn validate(&self) -> ErrorList {
        let mut errors = validate_ingress(self);
        let annotation = self.metadata.annotations.as_ref().and_then(|annotations| annotations.get(CLASS_ANNOTATION));
        let class = self.spec.as_ref().and_then(|spec| spec.ingress_class_name.as_ref());
        if let (Some(annotation), Some(class)) = (annotation, class)
            && annotation != class
        {
            let path = Path::new("annotations");
            let text = "must match `ingressClassName` when both are specified";
            errors.push(invalid(&path.child(CLASS_ANNOTATION), annotation, text));
        }
        errors
    }

    fn validate_update(&self, old: &Self) -> ErrorList {
        let mut errors = validate_meta_update(&self.metadata, &old.metadata);
        errors.extend(validate_ingress(self));
        errors
    }

    fn validate_status_update(&self, old: &Self) -> ErrorList {
        let mut errors = validate_meta_update(&self.metadata, &old.metadata);
        let balancer = |object: &Ingress| object.status.as_ref().and_then(|status| status.load_balancer.clone());
        validate_status(&balancer(self).unwrap_or_default(), &balancer(old).unwrap_or_default(), &mut errors);
        errors
    }

    fn warnings(&self) -> Vec<String> {
        let annotated = self.metadata.annotations.as_ref().is_some_and(|all| all.contains_key(CLASS_ANNOTATION));
        annotated
            .then(|| {
                format!("annotation \"{CLASS_ANNOTATION}\" is deprecated, please use 'spec.ingressClassName' instead")
            })
            .into_iter()
            .collect()
    }

    fn update_warnings(&self, _old: &Self) -> Vec<String> {
        Vec::new()
    }
}

fn default_backend(backend: &mut IngressBackend) {
    if let Some(service) = &mut backend.service {
        omit_empty!(service.port.get_or_insert_default() => name, number);
    }
}

fn validate_ingress(ingress: &Ingress) -> ErrorList {
    let mut errors = validate_meta(&ingress.metadata, Scope::Namespaced, subdomain_name);
    let Some(spec) = &ingress.spec else { return errors };
    let rules = spec.rules.as_deref().unwrap_or_default();
    if rules.is_empty() && spec.default_backend.is_none() {
        let text = "either `defaultBackend` or `rules` must be specified";
        errors.push(invalid(&SPEC, None::<&str>, text));
    }
    if let Some(backend) = &spec.default_backend {
        validate_backend(backend, &SPEC.child("defaultBackend"), &mut errors);
    }
    let path = SPEC.child("rules");
    for (position, rule) in rules.iter().enumerate() {
        validate_rule(rule, &path.index(position), &mut errors);
    }
    let path = SPEC.child("tls");
    for (position, tls) in spec.tls.iter().flatten().enumerate() {
        validate_tls(tls, &path.index(position), &mut errors);
    }
    if let Some(class) = &spec.ingress_class_name {
        extend_invalid(&mut errors, &SPEC.child("ingressClassName"), class, names::dns1123_subdomain(class));
    }
    errors
}

fn validate_host(host: &str, path: &Path<'_>, errors: &mut ErrorList) {
    let problems =
        if host.contains('*') { names::wildcard_dns1123_subdomain(host) } else { names::dns1123_subdomain(host) };
    extend_invalid(errors, path, host, problems);
}

fn validate_rule(rule: &IngressRule, path: &Path<'_>, errors: &mut ErrorList) {
    if let Some(host) = &rule.host {
        let path = path.child("host");
        if net::parse_ip_leniently(host).is_some() {
            errors.push(invalid(&path, host, "must be a DNS name, not an IP address"));
        }
        validate_host(host, &path, errors);
    }
    let Some(http) = &rule.http else { return };
    let path = path.child("http");
    let path = path.child("paths");
    if http.paths.is_empty() {
        errors.push(required(&path, ""));
    }
    for (position, http_path) in http.paths.iter().enumerate() {
        validate_path(http_path, &path.index(position), errors);
    }
}

fn validate_path(http_path: &HTTPIngressPath, path: &Path<'_>, errors: &mut ErrorList) {
    let own = text(&http_path.path);
    let own_path = path.child("path");
    let mut complain = |text: String| errors.push(invalid(&own_path, own, text));
    match http_path.path_type.as_str() {
        "" => return errors.push(required(&path.child("pathType"), "pathType must be specified")),
        "Exact" | "Prefix" => {
            if !own.starts_with('/') {
                complain("must be an absolute path".to_owned());
            }
            for sequence in INVALID_SEQUENCES.iter().filter(|sequence| own.contains(**sequence)) {
                complain(format!("must not contain '{sequence}'"));
            }
            for end in INVALID_ENDS.iter().filter(|end| own.ends_with(**end)) {
                complain(format!("cannot end with '{end}'"));
            }
        }
        "ImplementationSpecific" => {
            if !own.is_empty() && !own.starts_with('/') {
                complain("must be an absolute path".to_owned());
            }
        }
        other => {
            let supported = &["Exact", "ImplementationSpecific", "Prefix"];
            errors.push(not_supported(&path.child("pathType"), other, supported));
        }
    }
    validate_backend(&http_path.backend, &path.child("backend"), errors);
}

fn validate_backend(backend: &IngressBackend, path: &Path<'_>, errors: &mut ErrorList) {
    match (&backend.resource, &backend.service) {
        (Some(_), Some(_)) => errors.push(invalid(path, "", "cannot set both resource and service backends")),
        (Some(resource), None) => validate_reference(resource, &path.child("resource"), errors),
        (None, Some(service)) => validate_service(service, path, errors),
        (None, None) => errors.push(invalid(path, "", "resource or service backend is required")),
    }
}

fn validate_service(service: &IngressServiceBackend, path: &Path<'_>, errors: &mut ErrorList) {
    let service_path = path.child("service");
    let name_path = service_path.child("name");
    if service.name.is_empty() {
        errors.push(required(&name_path, ""));
    } else {
        extend_invalid(errors, &name_path, &service.name, names::dns1123_label(&service.name));
    }
    let port_path = service_path.child("port");
    let port = service.port.clone().unwrap_or_default();
    match (port.name, port.number) {
        (Some(_), Some(_)) => errors.push(invalid(path, "", "cannot set both port name & port number")),
        (Some(name), None) => extend_invalid(errors, &port_path.child("name"), &name, names::port_name(&name)),
        (None, Some(number)) => {
            let problem = names::port_number(number);
            errors.extend(problem.map(|problem| invalid(&port_path.child("number"), number, problem)));
        }
        (None, None) => errors.push(required(path, "port name or number is required")),
    }
}

/// A reference to an object of the same namespace.
pub(super) fn validate_reference(reference: &TypedLocalObjectReference, path: &Path<'_>, errors: &mut ErrorList) {
    if let Some(group) = &reference.api_group {
        extend_invalid(errors, &path.child("apiGroup"), group, names::dns1123_subdomain(group));
    }
    for (field, value) in [("kind", &reference.kind), ("name", &reference.name)] {
        if value.is_empty() {
            errors.push(required(&path.child(field), &format!("{field} is required")));
        } else {
            extend_invalid(errors, &path.child(field), value, names::path_segment_name(value, false));
        }
    }
}

fn validate_tls(tls: &IngressTLS, path: &Path<'_>, errors: &mut ErrorList) {
    let hosts = path.child("hosts");
    for (position, host) in tls.hosts.iter().flatten().enumerate() {
        validate_host(host, &hosts.index(position), errors);
    }
    if let Some(name) = &tls.secret_name {
        extend_invalid(errors, &path.child("secretName"), name, names::dns1123_subdomain(name));
    }
}

fn validate_status(status: &IngressLoadBalancerStatus, old: &IngressLoadBalancerStatus, errors: &mut ErrorList) {
    let known: Vec<String> = old.ingress.iter().flatten().filter_map(|ingress| ingress.ip.clone()).collect();
    let path = Path::new("status");
    let path = path.child("loadBalancer");
    let path = path.child("ingress");
    for (position, ingress) in status.ingress.iter().flatten().enumerate() {
        let path = path.index(position);
        if let Some(address) = &ingress.ip {
            errors.extend(net::validate_ip_unless_known(&path.child("ip"), address, Some(&known)));
        }
        validate_host_name(text(&ingress.hostname), &path.child("hostname"), errors);
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn problems_have_upstreams_places_and_words() {
        let backend = json!({"service": {"name": "s", "port": {"number": 80}}});
        let path = |path: &str, kind: &str| json!({"rules": [{"http": {"paths": [{"path": path, "pathType": kind, "backend": backend}]}}]});
        const PATH: &str = "spec.rules[0].http.paths[0].path: Invalid value: ";
        for (spec, problem) in [
            (path("/", "Prefix"), String::new()),
            (path("", "ImplementationSpecific"), String::new()),
            (path("x", "Prefix"), format!("{PATH}\"x\": must be an absolute path")),
            (path("/a//b", "Exact"), format!("{PATH}\"/a//b\": must not contain '//'")),
            (path("/a/..", "Exact"), format!("{PATH}\"/a/..\": cannot end with '/..'")),
            (json!({}), "spec: Invalid value: null: either `defaultBackend` or `rules` must be specified".to_owned()),
            (
                json!({"defaultBackend": {}}),
                "spec.defaultBackend: Invalid value: \"\": resource or service backend is required".to_owned(),
            ),
            (
                json!({"defaultBackend": {"service": {"name": "s"}}}),
                "spec.defaultBackend: Required value: port name or number is required".to_owned(),
            ),
        ] {
            let value: Value = json!({"metadata": {"name": "i", "namespace": "n"}, "spec": spec});
            let mut object: Ingress = serde_json::from_value(value).unwrap();
            object.set_defaults();
            let found = object.validate().first().map(ToString::to_string).unwrap_or_default();
            assert_eq!(found, problem, "{spec}");
        }
    }
}
