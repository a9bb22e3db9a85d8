use serde_json::{Value, json};

use super::*;

fn pod(value: Value) -> Pod {
    serde_json::from_value(value).unwrap()
}

#[test]
fn app_armor_annotations_become_fields() {
    let mut pod = pod(json!({
        "metadata": {"annotations": {
            "container.apparmor.security.beta.kubernetes.io/a": "localhost/x",
            "container.apparmor.security.beta.kubernetes.io/b": "odd",
        }},
        "spec": {"containers": [{"name": "a"}, {"name": "b"}, {"name": "c"}]},
    }));
    let warnings = sync_app_armor(&mut pod);
    assert_eq!(warnings.len(), 2);
    assert!(
        warnings[0].starts_with("metadata.annotations[container.apparmor.security.beta.kubernetes.io/a]: deprecated")
    );
    let spec = serde_json::to_value(pod.spec).unwrap();
    assert_eq!(
        spec["containers"][0]["securityContext"],
        json!({"appArmorProfile": {"type": "Localhost", "localhostProfile": "x"}})
    );
    assert!(spec["containers"][1].get("securityContext").is_none());
}

#[test]
fn label_keys_select_by_the_pods_own_labels() {
    let mut pod = pod(json!({
        "metadata": {"labels": {"a": "1", "b": "2"}},
        "spec": {"containers": [], "affinity": {"podAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [
            {"topologyKey": "z", "labelSelector": {}, "matchLabelKeys": ["a", "nope"], "mismatchLabelKeys": ["b"]},
            {"topologyKey": "z", "matchLabelKeys": ["a"]},
        ]}}},
    }));
    merge_label_keys(&mut pod);
    let spec = serde_json::to_value(pod.spec).unwrap();
    let terms = &spec["affinity"]["podAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"];
    assert_eq!(
        terms[0]["labelSelector"]["matchExpressions"],
        json!([{"key": "a", "operator": "In", "values": ["1"]}, {"key": "b", "operator": "NotIn", "values": ["2"]}])
    );
    assert!(terms[1].get("labelSelector").is_none());
}

#[test]
fn gated_pods_say_so() {
    let mut gated = pod(json!({"spec": {"containers": [], "schedulingGates": [{"name": "a/b"}]}}));
    note_gates(&mut gated);
    let status = gated.status.unwrap();
    assert_eq!(status.conditions.unwrap()[0].reason.as_deref(), Some("SchedulingGated"));
}

#[test]
fn a_resize_changes_resources_of_containers_and_sidecars_only() {
    let spec = |cpu: &str, image: &str| {
        let of = |name: &str| json!({"name": name, "image": image, "resources": {"requests": {"cpu": cpu}}});
        let mut sidecar = of("s");
        sidecar["restartPolicy"] = json!("Always");
        json!({"containers": [of("a")], "initContainers": [of("i"), sidecar]})
    };
    let old = pod(json!({"metadata": {"generation": 3, "labels": {"a": "b"}}, "spec": spec("1", "x")}));
    let mut new = pod(json!({"metadata": {"generation": 3, "labels": {"c": "d"}}, "spec": spec("2", "y")}));
    keep_resize_only(&mut new, &old);
    assert_eq!((new.metadata.generation, &new.metadata.labels), (Some(4), &old.metadata.labels));
    let mut expected = spec("2", "x");
    expected["initContainers"][0]["resources"]["requests"]["cpu"] = json!("1");
    assert_eq!(serde_json::to_value(new.spec).unwrap(), expected);
}
