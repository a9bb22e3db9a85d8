//! What is told about Pods that were there before their namespace became strict.

use std::collections::{BTreeMap, BTreeSet};

use api::k8s_openapi::api::core::v1::Pod;

use super::checks::evaluate;
use super::policy::Standard;

/// How many Pods have one and the same problem, and the first of their names.
struct Offenders<'a> {
    first: &'a str,
    count: usize,
}

/// The warnings about existing Pods, of which at most `limit` are looked at: of each controller's Pods one before the rest.
pub fn warnings_about(namespace: &str, standard: Standard, pods: &[Pod], limit: usize) -> Vec<String> {
    let pods = by_controller(pods);
    let checked = pods.len().min(limit);
    let mut offenders: BTreeMap<String, Offenders<'_>> = BTreeMap::new();
    for pod in &pods[..checked] {
        let Some(violations) = pod.spec.as_ref().and_then(|spec| evaluate(standard, &pod.metadata, spec)) else {
            continue;
        };
        let name = pod.metadata.name.as_deref().unwrap_or_default();
        let known = offenders.entry(violations.reasons()).or_insert(Offenders { first: name, count: 0 });
        known.first = known.first.min(name);
        known.count += 1;
    }
    let mut warnings = Vec::new();
    if checked < pods.len() {
        let total = pods.len();
        warnings.push(format!(
            "new PodSecurity enforce level only checked against the first {checked} of {total} existing pods"
        ));
    }
    if !offenders.is_empty() {
        warnings.push(format!(
            "existing pods in namespace {namespace:?} violate the new PodSecurity enforce level \"{standard}\""
        ));
    }
    let mut each: Vec<String> = offenders.iter().map(|(reasons, offenders)| describe(reasons, offenders)).collect();
    each.sort();
    warnings.extend(each);
    warnings
}

fn describe(reasons: &str, Offenders { first, count }: &Offenders<'_>) -> String {
    match count {
        1 => format!("{first}: {reasons}"),
        2 => format!("{first} (and 1 other pod): {reasons}"),
        _ => format!("{first} (and {} other pods): {reasons}", count - 1),
    }
}

/// Pods of one controller are mostly alike, so that the first of each come first.
fn by_controller(pods: &[Pod]) -> Vec<&Pod> {
    let mut seen = BTreeSet::new();
    let (mut first, mut rest) = (Vec::new(), Vec::new());
    for pod in pods {
        let mut owners = pod.metadata.owner_references.iter().flatten();
        match owners.find(|owner| owner.controller == Some(true)) {
            Some(controller) if !seen.insert(&controller.uid) => rest.push(pod),
            _ => first.push(pod),
        }
    }
    first.extend(rest);
    first
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::super::policy::{Level, Version};
    use super::*;

    const BASELINE: Standard = Standard { level: Level::Baseline, version: Version::Latest };

    fn pod(name: &str, owner: Option<&str>, spec: Value) -> Pod {
        let owners =
            owner.map(|uid| json!([{"apiVersion": "v1", "kind": "K", "name": "n", "uid": uid, "controller": true}]));
        serde_json::from_value(json!({"metadata": {"name": name, "ownerReferences": owners}, "spec": spec})).unwrap()
    }

    #[test]
    fn pods_with_the_same_problem_are_told_of_together() {
        let host = || json!({"hostNetwork": true, "containers": []});
        let path = json!({"volumes": [{"name": "v", "hostPath": {"path": "/"}}], "containers": []});
        let fine = json!({"containers": []});
        let pods = [
            pod("c", None, host()),
            pod("a", None, host()),
            pod("b", None, host()),
            pod("p", None, path),
            pod("f", None, fine),
        ];
        let warnings = warnings_about("n", BASELINE, &pods, 10);
        assert_eq!(
            warnings,
            [
                "existing pods in namespace \"n\" violate the new PodSecurity enforce level \"baseline:latest\"",
                "a (and 2 other pods): host namespaces",
                "p: hostPath volumes",
            ]
        );
        assert_eq!(warnings_about("n", BASELINE, &pods[..2], 10)[1], "a (and 1 other pod): host namespaces");
        assert!(warnings_about("n", BASELINE, &pods[4..], 10).is_empty());
    }

    #[test]
    fn one_pod_of_each_controller_is_looked_at_first() {
        let host = || json!({"hostNetwork": true, "containers": []});
        let fine = || json!({"containers": []});
        let pods = [pod("a", Some("1"), fine()), pod("b", Some("1"), fine()), pod("z", None, host())];
        let warnings = warnings_about("n", BASELINE, &pods, 2);
        assert_eq!(warnings[0], "new PodSecurity enforce level only checked against the first 2 of 3 existing pods");
        assert_eq!(warnings[2], "z: host namespaces");
    }
}
