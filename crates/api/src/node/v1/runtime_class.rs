//! RuntimeClasses.

use k8s_openapi::api::node::v1::RuntimeClass;

use crate::core::v1::resource_list;
use crate::field::{ErrorList, Path, extend_invalid, invalid, required};
use crate::meta::{IMMUTABLE, Scope, validate_meta, validate_meta_update};
use crate::names::{dns1123_label, label_value, qualified_name, subdomain_name};
use crate::object::Kind;
use crate::omit_empty;
use crate::quantity::Quantity;

impl Kind for RuntimeClass {
    fn set_defaults(&mut self) {
        omit_empty::metadata(&mut self.metadata);
        resource_list::canonicalize(self.overhead.as_mut().and_then(|overhead| overhead.pod_fixed.as_mut()));
    }

    fn validate(&self) -> ErrorList {
        let mut errors = validate_meta(&self.metadata, Scope::Cluster, subdomain_name);
        let path = Path::new("handler");
        if self.handler.is_empty() {
            errors.push(required(&path, ""));
        } else {
            extend_invalid(&mut errors, &path, &self.handler, dns1123_label(&self.handler));
        }
        validate_overhead(self, &mut errors);
        validate_node_selector(self, &mut errors);
        errors
    }

    fn validate_update(&self, old: &Self) -> ErrorList {
        let mut errors = validate_meta_update(&self.metadata, &old.metadata);
        if self.handler != old.handler {
            errors.push(invalid(&Path::new("handler"), &self.handler, IMMUTABLE));
        }
        errors
    }

    fn validate_status_update(&self, old: &Self) -> ErrorList {
        Kind::validate_update(self, old)
    }
}

fn validate_overhead(class: &RuntimeClass, errors: &mut ErrorList) {
    let path = Path::new("overhead");
    let path = path.child("podFixed");
    let amounts = class.overhead.as_ref().and_then(|overhead| overhead.pod_fixed.as_ref());
    for (name, amount) in amounts.into_iter().flatten() {
        if Quantity::of(amount).is_negative() {
            errors.push(invalid(&path.key(name), &amount.0, crate::meta::NOT_NEGATIVE));
        }
    }
}

fn validate_node_selector(class: &RuntimeClass, errors: &mut ErrorList) {
    let path = Path::new("scheduling");
    let path = path.child("nodeSelector");
    let labels = class.scheduling.as_ref().and_then(|scheduling| scheduling.node_selector.as_ref());
    for (key, value) in labels.into_iter().flatten() {
        extend_invalid(errors, &path, key, qualified_name(key));
        extend_invalid(errors, &path, value, label_value(value));
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn handlers_are_labels_and_fixed() {
        let class = |handler: &str| -> RuntimeClass {
            serde_json::from_value(json!({
                "metadata": {"name": "a", "resourceVersion": "1"},
                "handler": handler, "overhead": {"podFixed": {"cpu": "0.1"}},
            }))
            .unwrap()
        };
        let mut good = class("runc");
        good.set_defaults();
        assert!(good.validate().is_empty());
        assert_eq!(good.overhead.as_ref().unwrap().pod_fixed.as_ref().unwrap()["cpu"].0, "100m");
        assert_eq!(class("Run C").validate().len(), 1);
        assert_eq!(Kind::validate_update(&class("kata"), &good).len(), 1);
    }
}
