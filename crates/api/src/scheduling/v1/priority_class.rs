//! PriorityClasses.

use k8s_openapi::api::scheduling::v1::PriorityClass;

use crate::field::{ErrorList, Path, forbidden, invalid, not_supported, required};
use crate::meta::{IMMUTABLE, Scope, text, validate_meta, validate_meta_update};
use crate::names::subdomain_name;
use crate::object::Kind;
use crate::omit_empty;

/// Pods of such a class preempt others.
pub const PREEMPT_LOWER_PRIORITY: &str = "PreemptLowerPriority";
const PREEMPTION_POLICIES: &[&str] = &[PREEMPT_LOWER_PRIORITY, "Never"];
/// The highest value of a class that is not the system's.
const HIGHEST_USER_VALUE: i32 = 1_000_000_000;
/// Names, values and descriptions of the classes that every cluster has.
pub const SYSTEM_CLASSES: [(&str, i32, &str); 2] = [
    (
        "system-node-critical",
        2_000_001_000,
        "Used for system critical pods that must not be moved from their current node.",
    ),
    (
        "system-cluster-critical",
        2_000_000_000,
        "Used for system critical pods that must run in the cluster, but can be moved to another node if necessary.",
    ),
];

impl Kind for PriorityClass {
    fn set_defaults(&mut self) {
        omit_empty::metadata(&mut self.metadata);
        self.preemption_policy.get_or_insert_with(|| PREEMPT_LOWER_PRIORITY.to_owned());
        // False is what it means when it is not there.
        self.global_default = self.global_default.filter(|default| *default);
        self.value.get_or_insert(0);
    }

    fn validate(&self) -> ErrorList {
        let mut errors = validate_meta(&self.metadata, Scope::Cluster, subdomain_name);
        let value = self.value.unwrap_or_default();
        let name = text(&self.metadata.name);
        if name.starts_with("system-") {
            if let Some(problem) = system_problem(self) {
                let metadata = Path::new("metadata");
                let detail = format!(
                    "priority class names with 'system-' prefix are reserved for system use only. error: {problem}"
                );
                errors.push(forbidden(&metadata.child("name"), detail));
            }
        } else if value > HIGHEST_USER_VALUE {
            let detail = format!("maximum allowed value of a user defined priority is {HIGHEST_USER_VALUE}");
            errors.push(forbidden(&Path::new("value"), detail));
        }
        let path = Path::new("preemptionPolicy");
        match text(&self.preemption_policy) {
            "" => errors.push(required(&path, "")),
            policy if !PREEMPTION_POLICIES.contains(&policy) => {
                errors.push(not_supported(&path, policy, PREEMPTION_POLICIES));
            }
            _ => {}
        }
        errors
    }

    fn validate_update(&self, old: &Self) -> ErrorList {
        let mut errors = validate_meta_update(&self.metadata, &old.metadata);
        if self.value.unwrap_or_default() != old.value.unwrap_or_default() {
            errors.push(forbidden(&Path::new("value"), "may not be changed in an update."));
        }
        if self.preemption_policy != old.preemption_policy {
            errors.push(invalid(&Path::new("preemptionPolicy"), text(&self.preemption_policy), IMMUTABLE));
        }
        errors
    }

    fn validate_status_update(&self, old: &Self) -> ErrorList {
        Kind::validate_update(self, old)
    }
}

/// What is wrong with a class that has a name of the system.
fn system_problem(class: &PriorityClass) -> Option<String> {
    let name = text(&class.metadata.name);
    let Some((_, value, _)) = SYSTEM_CLASSES.iter().find(|(known, ..)| *known == name) else {
        return Some(format!("{name} is not a known system priority class"));
    };
    if class.value != Some(*value) {
        return Some(format!("value of {name} has to be {value}"));
    }
    class.global_default.filter(|default| *default).map(|_| format!("globalDefault of {name} has to be false"))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn class(name: &str, fields: Value) -> PriorityClass {
        let mut class: PriorityClass = serde_json::from_value(fields).unwrap();
        class.metadata.name = Some(name.to_owned());
        class.set_defaults();
        class
    }

    fn problems(errors: &ErrorList) -> Vec<String> {
        errors.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn users_stay_below_the_system() {
        for (name, fields, expected) in [
            ("high", json!({"value": 1_000_000_000}), None),
            (
                "high",
                json!({"value": 1_000_000_001}),
                Some("maximum allowed value of a user defined priority is 1000000000"),
            ),
            ("system-node-critical", json!({"value": 2_000_001_000}), None),
            ("system-node-critical", json!({"value": 5}), Some("value of system-node-critical has to be 2000001000")),
            ("system-x", json!({"value": 5}), Some("system-x is not a known system priority class")),
            ("p", json!({"value": 5, "preemptionPolicy": "Sometimes"}), Some("supported values")),
        ] {
            let found = problems(&class(name, fields).validate());
            match expected {
                None => assert!(found.is_empty(), "{found:?}"),
                Some(words) => assert!(found.len() == 1 && found[0].contains(words), "{found:?}"),
            }
        }
    }

    #[test]
    fn value_and_policy_are_fixed() {
        let (old, mut new) =
            (class("a", json!({"value": 1})), class("a", json!({"value": 2, "preemptionPolicy": "Never"})));
        for class in [&old, &new].map(|class| class.metadata.resource_version.clone()) {
            assert!(class.is_none());
        }
        new.metadata.resource_version = Some("1".to_owned());
        let found = problems(&Kind::validate_update(&new, &old));
        assert!(found.iter().any(|one| one.contains("may not be changed in an update.")), "{found:?}");
        assert!(found.iter().any(|one| one.contains("field is immutable")), "{found:?}");
    }
}
