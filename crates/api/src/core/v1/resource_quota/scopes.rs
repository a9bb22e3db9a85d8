//! Which objects a quota is about.

use k8s_openapi::api::core::v1::{
    PersistentVolumeClaim, Pod, PodAffinityTerm, PodSpec, ResourceQuotaSpec, ScopedResourceSelectorRequirement,
};

use super::super::pod::{QosClass, qos_class, spec_of};
use super::usage::Item;

/// Whether an object is within all scopes of a quota.
pub fn is_within(spec: Option<&ResourceQuotaSpec>, item: Item<'_>) -> bool {
    let Some(spec) = spec else { return true };
    let selector = spec.scope_selector.as_ref().and_then(|selector| selector.match_expressions.as_deref());
    spec.scopes.iter().flatten().all(|scope| matches(scope, "Exists", &[], item))
        && selector.unwrap_or_default().iter().all(|expression| {
            let ScopedResourceSelectorRequirement { scope_name, operator, values } = expression;
            matches(scope_name, operator, values.as_deref().unwrap_or_default(), item)
        })
}

fn matches(scope: &str, operator: &str, values: &[String], item: Item<'_>) -> bool {
    match (item, scope) {
        (Item::Pod(pod), "Terminating") => has_deadline(pod),
        (Item::Pod(pod), "NotTerminating") => !has_deadline(pod),
        (Item::Pod(pod), "BestEffort") => qos_class(pod) == QosClass::BestEffort,
        (Item::Pod(pod), "NotBestEffort") => qos_class(pod) != QosClass::BestEffort,
        (Item::Pod(pod), "PriorityClass") => {
            let class = spec_of(pod).priority_class_name.as_deref().filter(|class| !class.is_empty());
            selects(operator, values, class)
        }
        (Item::Pod(pod), "CrossNamespacePodAffinity") => looks_elsewhere(spec_of(pod)),
        (Item::Claim(claim), "VolumeAttributesClass") => {
            let classes = attribute_classes(claim);
            let mut classes = classes.into_iter().map(Some).peekable();
            if classes.peek().is_none() {
                selects(operator, values, None)
            } else {
                classes.any(|class| selects(operator, values, class))
            }
        }
        _ => false,
    }
}

/// As label selectors do, of one label.
fn selects(operator: &str, values: &[String], value: Option<&str>) -> bool {
    let listed = value.is_some_and(|value| values.iter().any(|listed| listed == value));
    match operator {
        "In" => listed,
        "NotIn" => !listed,
        "Exists" => value.is_some(),
        "DoesNotExist" => value.is_none(),
        _ => false,
    }
}

fn has_deadline(pod: &Pod) -> bool {
    spec_of(pod).active_deadline_seconds.is_some_and(|seconds| seconds >= 0)
}

/// The classes a claim has, had and will have.
fn attribute_classes(claim: &PersistentVolumeClaim) -> Vec<&str> {
    let wanted = claim.spec.as_ref().and_then(|spec| spec.volume_attributes_class_name.as_deref());
    let status = claim.status.as_ref();
    let current = status.and_then(|status| status.current_volume_attributes_class_name.as_deref());
    let target = status.and_then(|status| status.modify_volume_status.as_ref());
    let target = target.and_then(|target| target.target_volume_attributes_class_name.as_deref());
    [wanted, current, target].into_iter().flatten().filter(|class| !class.is_empty()).collect()
}

/// Whether a Pod's affinity looks at Pods of other namespaces.
fn looks_elsewhere(spec: &PodSpec) -> bool {
    let elsewhere = |term: &PodAffinityTerm| {
        term.namespaces.as_ref().is_some_and(|namespaces| !namespaces.is_empty()) || term.namespace_selector.is_some()
    };
    let Some(affinity) = &spec.affinity else { return false };
    let (near, far) = (affinity.pod_affinity.as_ref(), affinity.pod_anti_affinity.as_ref());
    let near_required = near.and_then(|near| near.required_during_scheduling_ignored_during_execution.as_ref());
    let far_required = far.and_then(|far| far.required_during_scheduling_ignored_during_execution.as_ref());
    let near_preferred = near.and_then(|near| near.preferred_during_scheduling_ignored_during_execution.as_ref());
    let far_preferred = far.and_then(|far| far.preferred_during_scheduling_ignored_during_execution.as_ref());
    let preferred = near_preferred.into_iter().chain(far_preferred).flatten().map(|term| &term.pod_affinity_term);
    near_required.into_iter().chain(far_required).flatten().chain(preferred).any(elsewhere)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn pod_is_within(scope: Value, pod: Value) -> bool {
        let spec = serde_json::from_value(scope).unwrap();
        let pod = serde_json::from_value(json!({ "spec": pod })).unwrap();
        is_within(Some(&spec), Item::Pod(&pod))
    }

    #[test]
    fn pods_are_within_scopes() {
        let plain = || json!({"containers": [{"name": "c"}]});
        let sized = || json!({"containers": [{"name": "c", "resources": {"requests": {"cpu": "1"}}}]});
        let term = json!({"topologyKey": "t", "namespaces": ["other"]});
        let cross = json!({"containers": [], "affinity": {"podAntiAffinity":
            {"preferredDuringSchedulingIgnoredDuringExecution": [{"weight": 1, "podAffinityTerm": term}]}}});
        let deadline = json!({"containers": [], "activeDeadlineSeconds": 0});
        for (scope, pod, expected) in [
            ("BestEffort", plain(), true),
            ("BestEffort", sized(), false),
            ("NotBestEffort", sized(), true),
            ("Terminating", deadline.clone(), true),
            ("NotTerminating", deadline, false),
            ("NotTerminating", plain(), true),
            ("CrossNamespacePodAffinity", cross, true),
            ("CrossNamespacePodAffinity", plain(), false),
            ("PriorityClass", json!({"containers": [], "priorityClassName": "high"}), true),
            ("PriorityClass", plain(), false),
        ] {
            assert_eq!(pod_is_within(json!({ "scopes": [scope] }), pod.clone()), expected, "{scope} {pod}");
        }
        let both = json!({"scopes": ["BestEffort", "Terminating"]});
        assert!(!pod_is_within(both, plain()));
    }

    #[test]
    fn classes_are_selected_as_labels_are() {
        for (operator, values, class, expected) in [
            ("In", vec!["high"], "high", true),
            ("In", vec!["high"], "low", false),
            ("NotIn", vec!["high"], "low", true),
            ("NotIn", vec!["high"], "", true),
            ("Exists", vec![], "", false),
            ("DoesNotExist", vec![], "", true),
        ] {
            let expression = json!({"scopeName": "PriorityClass", "operator": operator, "values": values});
            let scope = json!({"scopeSelector": {"matchExpressions": [expression]}});
            let pod = json!({"containers": [], "priorityClassName": class});
            assert_eq!(pod_is_within(scope, pod), expected, "{operator} {class}");
        }
        let claim: PersistentVolumeClaim =
            serde_json::from_value(json!({"spec": {"volumeAttributesClassName": "gold"}})).unwrap();
        assert!(matches("VolumeAttributesClass", "In", &["gold".to_owned()], Item::Claim(&claim)));
        assert!(!matches("BestEffort", "Exists", &[], Item::Other));
    }
}
