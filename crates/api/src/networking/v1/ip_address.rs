//! IPAddresses: who has an address of a ServiceCIDR. The name is the address, so nobody can have it twice.

use std::net::IpAddr;

use k8s_openapi::api::networking::v1::{IPAddress, ParentReference};
use serde::Serialize;

use crate::field::{ErrorList, Json, Path, extend_invalid, invalid, required};
use crate::meta::{IMMUTABLE, Scope, text, validate_meta, validate_meta_update};
use crate::names::{Problems, dns1123_subdomain, path_segment_name};
use crate::object::Kind;
use crate::omit_empty::{self, omit_empty};

/// The label with the address's family, `IPv4` or `IPv6`.
pub const FAMILY_LABEL: &str = "ipaddress.kubernetes.io/ip-family";
/// The label with the one who made the object.
pub const MANAGED_BY_LABEL: &str = "ipaddress.kubernetes.io/managed-by";

const SPEC: Path<'static> = Path::new("spec");

impl Kind for IPAddress {
    fn set_defaults(&mut self) {
        omit_empty::metadata(&mut self.metadata);
        omit_empty!(self.spec.parent_ref => group, namespace);
    }

    fn validate(&self) -> ErrorList {
        let mut errors = validate_meta(&self.metadata, Scope::Cluster, address_name);
        validate_parent(&self.spec.parent_ref, &SPEC.child("parentRef"), &mut errors);
        errors
    }

    fn validate_update(&self, old: &Self) -> ErrorList {
        let mut errors = validate_meta_update(&self.metadata, &old.metadata);
        let parent = &self.spec.parent_ref;
        if *parent != old.spec.parent_ref {
            errors.push(invalid(&SPEC.child("parentRef"), Json(&shown(parent)), IMMUTABLE));
        }
        errors
    }

    fn validate_status_update(&self, old: &Self) -> ErrorList {
        Kind::validate_update(self, old)
    }
}

/// A parent as upstream's messages show it.
fn shown(parent: &ParentReference) -> impl Serialize {
    #[derive(Serialize)]
    #[serde(rename_all = "PascalCase")]
    struct Parent<'a> {
        group: &'a str,
        resource: &'a str,
        namespace: &'a str,
        name: &'a str,
    }
    Parent {
        group: text(&parent.group),
        resource: &parent.resource,
        namespace: text(&parent.namespace),
        name: &parent.name,
    }
}

fn address_name(name: &str, _prefix: bool) -> Problems {
    match name.parse::<IpAddr>() {
        Err(_) => vec![format!("ParseAddr(\"{name}\"): unable to parse IP").into()],
        Ok(address) if address.to_string() != name => vec!["must be a canonical format IP address".into()],
        Ok(_) => Problems::new(),
    }
}

fn validate_parent(parent: &ParentReference, path: &Path<'_>, errors: &mut ErrorList) {
    if *parent == ParentReference::default() {
        return errors.push(required(path, ""));
    }
    match text(&parent.group) {
        "" => {}
        group => extend_invalid(errors, &path.child("group"), group, dns1123_subdomain(group)),
    }
    for (field, value) in [("resource", &parent.resource), ("name", &parent.name)] {
        let path = path.child(field);
        if value.is_empty() {
            errors.push(required(&path, ""));
        } else {
            extend_invalid(errors, &path, value, path_segment_name(value, false));
        }
    }
    let namespace = text(&parent.namespace);
    extend_invalid(errors, &path.child("namespace"), namespace, path_segment_name(namespace, false));
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn address(name: &str, parent: serde_json::Value) -> IPAddress {
        serde_json::from_value(json!({"metadata": {"name": name}, "spec": {"parentRef": parent}})).unwrap()
    }

    #[test]
    fn the_name_is_the_address() {
        let parent = || json!({"resource": "services", "name": "s", "namespace": "n"});
        for (name, problem) in [
            ("192.0.2.7", None),
            ("2001:db8::1", None),
            ("2001:DB8::1", Some("must be a canonical format IP address")),
            ("a", Some("ParseAddr(\"a\"): unable to parse IP")),
        ] {
            let errors = address(name, parent()).validate();
            assert_eq!(
                errors.first().map(|error| error.message.rsplit_once("\": ").unwrap().1),
                problem.map(|it| it.rsplit_once("\": ").map_or(it, |(_, end)| end)),
                "{name}"
            );
        }
    }

    #[test]
    fn parents_are_named_and_stay() {
        let errors = address("192.0.2.7", json!({"resource": "", "name": "a/b"})).validate();
        let fields: Vec<&str> = errors.iter().map(|error| error.field.as_str()).collect();
        assert_eq!(fields, ["spec.parentRef.resource", "spec.parentRef.name"]);
        let mut old = address("192.0.2.7", json!({"resource": "services", "name": "a"}));
        old.metadata.resource_version = Some("1".to_owned());
        let mut new = old.clone();
        new.spec.parent_ref.name = "b".to_owned();
        assert_eq!(Kind::validate_update(&new, &old).len(), 1);
    }
}
