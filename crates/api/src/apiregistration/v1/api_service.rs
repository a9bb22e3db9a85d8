//! APIServices: groups and versions, served here or by someone else.

use k8s_openapi::kube_aggregator::pkg::apis::apiregistration::v1::{APIService, APIServiceSpec};

use crate::field::{ErrorList, Path, extend_invalid, invalid, required};
use crate::meta::{METADATA, Scope, text, validate_meta, validate_meta_update};
use crate::names::{dns1035_label, dns1123_subdomain, path_segment_name, port_number};
use crate::object::Kind;
use crate::omit_empty::{self, omit_empty};

const SPEC: Path<'static> = Path::new("spec");
const DEFAULT_PORT: i32 = 443;

impl Kind for APIService {
    fn set_defaults(&mut self) {
        omit_empty::metadata(&mut self.metadata);
        let spec = self.spec.get_or_insert_default();
        omit_empty!(spec => group, insecure_skip_tls_verify, version);
        if let Some(service) = &mut spec.service {
            service.port.get_or_insert(DEFAULT_PORT);
        }
        omit_empty!(self.status.get_or_insert_default() => conditions);
    }

    fn validate(&self) -> ErrorList {
        let mut errors = validate_meta(&self.metadata, Scope::Cluster, path_segment_name);
        if let Some(spec) = &self.spec {
            let wanted = format!("{}.{}", text(&spec.version), text(&spec.group));
            let name = text(&self.metadata.name);
            if name != wanted {
                let message = format!("must be `spec.version+\".\"+spec.group`: {wanted:?}");
                errors.push(invalid(&METADATA.child("name"), name, message));
            }
            validate_spec(spec, &mut errors);
        }
        errors
    }

    fn validate_update(&self, old: &Self) -> ErrorList {
        let mut errors = validate_meta_update(&self.metadata, &old.metadata);
        errors.extend(self.validate());
        errors
    }

    fn validate_status_update(&self, old: &Self) -> ErrorList {
        validate_meta_update(&self.metadata, &old.metadata)
    }
}

fn validate_spec(spec: &APIServiceSpec, errors: &mut ErrorList) {
    let (group, version) = (text(&spec.group), text(&spec.version));
    if !group.is_empty() {
        extend_invalid(errors, &SPEC.child("group"), group, dns1123_subdomain(group));
    }
    extend_invalid(errors, &SPEC.child("version"), version, dns1035_label(version));
    for (field, number, max) in [
        ("groupPriorityMinimum", spec.group_priority_minimum, 20_000),
        ("versionPriority", spec.version_priority, 1000),
    ] {
        if !(1..=max).contains(&number) {
            errors.push(invalid(&SPEC.child(field), number, format!("must be positive and less than {max}")));
        }
    }
    let bundled = spec.ca_bundle.as_ref().is_some_and(|bundle| !bundle.0.is_empty());
    let insecure = spec.insecure_skip_tls_verify == Some(true);
    let insecure_path = SPEC.child("insecureSkipTLSVerify");
    let Some(service) = &spec.service else {
        if bundled {
            errors.push(invalid(&SPEC.child("caBundle"), "", "local APIServices may not have a caBundle"));
        }
        if insecure {
            let message = "local APIServices may not have insecureSkipTLSVerify";
            errors.push(invalid(&insecure_path, true, message));
        }
        return;
    };
    let path = SPEC.child("service");
    for (field, value) in [("namespace", text(&service.namespace)), ("name", text(&service.name))] {
        if value.is_empty() {
            errors.push(required(&path.child(field), ""));
        }
    }
    if let Some((port, problem)) = service.port.and_then(|port| Some((port, port_number(port)?))) {
        errors.push(invalid(&path.child("port"), port, format!("port is not valid: {problem}")));
    }
    if insecure && bundled {
        errors.push(invalid(&insecure_path, true, "may not be true if caBundle is present"));
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn services_are_named_after_what_they_serve() {
        let problems = |name: &str, priority: i32| -> Vec<String> {
            let spec = json!({"group": "g.example.com", "version": "v1", "groupPriorityMinimum": priority,
                "versionPriority": 10, "service": {"name": "s", "namespace": "n"}});
            let object = json!({"metadata": {"name": name}, "spec": spec});
            let mut service: APIService = serde_json::from_value(object).unwrap();
            service.set_defaults();
            service.validate().iter().map(ToString::to_string).collect()
        };
        assert_eq!(problems("v1.g.example.com", 100), [""; 0]);
        assert_eq!(
            problems("wrong", 0),
            [
                "metadata.name: Invalid value: \"wrong\": must be `spec.version+\".\"+spec.group`: \"v1.g.example.com\"",
                "spec.groupPriorityMinimum: Invalid value: 0: must be positive and less than 20000",
            ]
        );
    }
}
