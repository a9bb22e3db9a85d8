//! Single walks over values.

use serde_json::{Value as Json, json};

use super::{POD, SERVICE, structure};
use crate::managed_fields::typed::{self, Place};
use crate::managed_fields::{Set, fields_v1};
use crate::object::Gvk;

fn place(gvk: Gvk) -> Place {
    Place::root(structure(gvk))
}

fn containers(list: Json) -> Json {
    json!({"spec": {"containers": list}})
}

#[test]
fn an_object_without_content_has_what_go_always_writes() {
    assert_eq!(
        typed::zero(structure(Gvk { group: "apps", version: "v1", kind: "Deployment" })),
        json!({
            "metadata": {},
            "spec": {
                "selector": null, "strategy": {}, "template": {"metadata": {}, "spec": {"containers": null}},
            },
            "status": {},
        })
    );
    assert_eq!(typed::zero(structure(SERVICE)), json!({"metadata": {}, "spec": {}, "status": {"loadBalancer": {}}}));
}

#[test]
fn extracts_leaves_elements_and_keys() {
    let set = |object: Json| fields_v1::encode(&typed::extract(&object, place(POD)).unwrap());
    assert_eq!(
        set(json!({"metadata": {"labels": {"a": "b"}, "annotations": {}}, "spec": {"nodeSelector": {"x": "y"},
            "containers": [], "volumes": null, "tolerations": [{"key": "k"}]}})),
        json!({
            "f:metadata": {"f:annotations": {}, "f:labels": {"f:a": {}}},
            "f:spec": {"f:nodeSelector": {}, "f:volumes": {}, "f:tolerations": {}},
        })
    );
    let twice = json!([{"name": "c", "image": "i"}, {"name": "c"}, {"name": "d"}]);
    assert_eq!(
        set(containers(twice))["f:spec"]["f:containers"],
        json!({"k:{\"name\":\"c\"}": {}, "k:{\"name\":\"d\"}": {".": {}, "f:name": {}}}),
        "an element that stands twice is owned as a whole"
    );
}

#[test]
fn compares_element_by_element() {
    let compare = |old: Json, new: Json| {
        let comparison = typed::compare(&containers(old), &containers(new), place(POD)).unwrap();
        let text = |set: &Set| fields_v1::encode(set).to_string().replace("{\"f:spec\":{\"f:containers\":", "");
        (text(&comparison.removed), text(&comparison.modified), text(&comparison.added))
    };
    let c = |image: &str| json!({"name": "c", "image": image});
    let key = r#"{"k:{\"name\":\"c\"}":"#;
    let none = || "{}".to_owned();
    assert_eq!(compare(json!([c("i")]), json!([c("i")])), (none(), none(), none()));
    assert_eq!(compare(json!([c("i")]), json!([c("j")])), (none(), format!("{key}{{\"f:image\":{{}}}}}}}}}}"), none()));
    let (removed, modified, added) = compare(json!([c("i"), c("j")]), json!([c("i")]));
    assert_eq!((removed, modified), (format!("{key}{{}}}}}}}}"), none()), "the mark of a duplicate goes");
    assert_eq!(added, format!("{key}{{\".\":{{}},\"f:image\":{{}},\"f:name\":{{}}}}}}}}}}"));
    assert_eq!(compare(json!([c("i"), c("j")]), json!([c("j"), c("i")])).1, format!("{key}{{}}}}}}}}"));
    assert_eq!(compare(json!(null), json!([])), (none(), "{}}}".to_owned(), none()), "empty and nothing differ");
}

#[test]
fn merges_lists_in_the_applied_order() {
    let merge = |live: &str, applied: &str| {
        let list = |names: &str| containers(names.chars().map(|name| json!({"name": name.to_string()})).collect());
        let merged = typed::merge(&list(live), &list(applied), place(POD)).unwrap();
        let merged = merged["spec"]["containers"].as_array().unwrap().clone();
        merged.iter().map(|item| item["name"].as_str().unwrap().to_owned()).collect::<String>()
    };
    for (live, applied, merged) in [
        ("abc", "", "abc"),
        ("", "abc", "abc"),
        ("abc", "ca", "bca"),
        ("abc", "d", "abcd"),
        ("abc", "dc", "abdc"),
        ("abc", "adc", "abdc"),
        ("axbyc", "cba", "xycba"),
        ("abc", "bxa", "bcxa"),
    ] {
        assert_eq!(merge(live, applied), merged, "{live} with {applied}");
    }
}

#[test]
fn removing_the_last_member_leaves_null() {
    let object = json!({"spec": {"containers": [{"name": "c", "image": "i"}], "nodeSelector": {"a": "b"}}});
    let without = |set: Json| typed::remove(&object, &fields_v1::decode(&set).unwrap(), place(POD))["spec"].clone();
    let container = r#"k:{"name":"c"}"#;
    let selector = json!({"a": "b"});
    let removed = without(json!({"f:spec": {"f:containers": {container: {"f:image": {}}}}}));
    assert_eq!(removed, json!({"containers": [{"name": "c"}], "nodeSelector": selector}));
    let removed = without(json!({"f:spec": {"f:containers": {container: {}}}}));
    assert_eq!(removed, json!({"containers": null, "nodeSelector": selector}));
    assert_eq!(without(json!({"f:spec": {"f:nodeSelector": {}}})), json!({"containers": object["spec"]["containers"]}));
}
