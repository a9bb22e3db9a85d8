//! RuntimeClasses.

use k8s_openapi::api::node::v1::{RuntimeClass, Scheduling};

use crate::core::v1::deprecated_labels::deprecation;
use crate::core::v1::pod::validate_overhead;
use crate::core::v1::resource_list;
use crate::core::v1::taints::validate_tolerations;
use crate::field::{ErrorList, Path, extend_invalid, invalid, required};
use crate::labels::validate_labels;
use crate::meta::{IMMUTABLE, Scope, validate_meta, validate_meta_update};
use crate::names::{dns1123_label, subdomain_name};
use crate::object::Kind;
use crate::omit_empty;

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
        if let Some(overhead) = &self.overhead {
            validate_overhead(overhead.pod_fixed.as_ref(), &Path::new("overhead"), &mut errors);
        }
        self.scheduling.iter().for_each(|scheduling| validate_scheduling(scheduling, &mut errors));
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

    fn warnings(&self) -> Vec<String> {
        let selector = self.scheduling.as_ref().and_then(|scheduling| scheduling.node_selector.as_ref());
        let texts = selector.into_iter().flatten().filter_map(|(label, _)| deprecation(label));
        texts.map(|text| format!("scheduling.nodeSelector: {text}")).collect()
    }
}

fn validate_scheduling(scheduling: &Scheduling, errors: &mut ErrorList) {
    let path = Path::new("scheduling");
    errors.extend(validate_labels(scheduling.node_selector.as_ref(), &path.child("nodeSelector")));
    let tolerations = scheduling.tolerations.as_deref().unwrap_or_default();
    errors.extend(validate_tolerations(tolerations, &path.child("tolerations")));
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
    #[test]
    fn overhead_and_tolerations_have_the_rules_of_pods() {
        let class: RuntimeClass = serde_json::from_value(json!({
            "metadata": {"name": "a"}, "handler": "h", "overhead": {"podFixed": {"cpu": "-1"}},
            "scheduling": {"tolerations": [{"key": "a", "operator": "Exists", "value": "x", "effect": "NoSchedule"}]},
        }))
        .unwrap();
        let problems: Vec<_> = class.validate().iter().map(ToString::to_string).collect();
        assert_eq!(problems.len(), 2, "{problems:?}");
        assert!(problems[0].starts_with("overhead.limits[cpu]: Invalid value: \"-1\""), "{problems:?}");
        assert!(problems[1].starts_with("scheduling.tolerations[0]."), "{problems:?}");
    }
}
