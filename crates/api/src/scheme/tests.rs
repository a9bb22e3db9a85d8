use serde_json::json;

use super::*;

#[test]
fn finds_kinds_and_decodes_their_objects() {
    let pod = lookup("", "v1", "Pod").unwrap();
    let value = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p"}, "spec": {"containers": []}});
    let object = (pod.from_value)(value.clone()).unwrap();
    assert_eq!(object.gvk(), pod.gvk);
    assert_eq!(object.metadata().name.as_deref(), Some("p"));
    assert!((pod.from_json)(value.to_string().as_bytes()).unwrap().equals(&*object));
    assert!((pod.from_value)(json!({"apiVersion": "v1", "kind": "Node"})).is_err());
}

#[test]
fn groups_and_versions_distinguish_kinds() {
    assert_eq!(lookup("events.k8s.io", "v1", "Event").unwrap().gvk.group, "events.k8s.io");
    assert_eq!(lookup("", "v1", "Event").unwrap().gvk.group, "");
    assert!(lookup("", "v2", "Pod").is_none());
    assert!(lookup("", "v1", "Nonsense").is_none());
}

#[test]
fn every_kind_stands_once() {
    for entry in KINDS {
        let Gvk { group, version, kind } = entry.gvk;
        assert_eq!(KINDS.iter().filter(|other| other.gvk == entry.gvk).count(), 1, "{group}/{version} {kind}");
    }
}
