use super::*;

const ALL: &[&str] = &["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"];

const fn gvk(group: &'static str, version: &'static str, kind: &'static str) -> Gvk {
    Gvk { group, version, kind }
}

const fn info(gvk: Gvk, plural: &'static str, singular: &'static str, namespaced: bool) -> ResourceInfo {
    let (short_names, categories, subresources) = (&[], &[], &[]);
    ResourceInfo { gvk, plural, singular, short_names, categories, namespaced, verbs: ALL, subresources }
}

static RESOURCES: [ResourceInfo; 6] = [
    info(gvk("events.k8s.io", "v1", "Event"), "events", "event", true),
    info(
        gvk("autoscaling", "v1", "HorizontalPodAutoscaler"),
        "horizontalpodautoscalers",
        "horizontalpodautoscaler",
        true,
    ),
    info(
        gvk("autoscaling", "v2", "HorizontalPodAutoscaler"),
        "horizontalpodautoscalers",
        "horizontalpodautoscaler",
        true,
    ),
    ResourceInfo {
        short_names: &["po"],
        categories: &["all"],
        subresources: &[
            SubresourceInfo { name: "status", gvk: gvk("", "v1", "Pod"), verbs: &["get", "patch", "update"] },
            SubresourceInfo { name: "eviction", gvk: gvk("policy", "v1", "Eviction"), verbs: &["create"] },
        ],
        ..info(gvk("", "v1", "Pod"), "pods", "pod", true)
    },
    ResourceInfo { verbs: &["create"], ..info(gvk("", "v1", "Binding"), "bindings", "binding", true) },
    info(gvk("", "v1", "Node"), "nodes", "node", false),
];

fn parse(text: Option<Vec<u8>>) -> Value {
    serde_json::from_slice(&text.expect("a document")).expect("JSON")
}

#[test]
fn lists_the_resources_of_a_version() {
    let catalog = Catalog::new(&RESOURCES);
    let list = parse(catalog.resource_list("", "v1"));
    assert_eq!(list["groupVersion"], "v1");
    let names: Vec<_> = list["resources"].as_array().expect("rows").iter().map(|row| &row["name"]).collect();
    assert_eq!(names, ["bindings", "nodes", "pods", "pods/eviction", "pods/status"]);
    let pods = json!({"name": "pods", "singularName": "pod", "namespaced": true, "kind": "Pod", "verbs": ALL,
        "shortNames": ["po"], "categories": ["all"], "storageVersionHash": "xPOwRZ+Yhw8="});
    assert_eq!(list["resources"][2], pods);
    let eviction = json!({"name": "pods/eviction", "singularName": "", "namespaced": true, "kind": "Eviction",
        "group": "policy", "version": "v1", "verbs": ["create"]});
    assert_eq!(list["resources"][3], eviction);
    let events = parse(catalog.resource_list("events.k8s.io", "v1"));
    assert_eq!((&events["apiVersion"], &events["groupVersion"]), (&json!("v1"), &json!("events.k8s.io/v1")));
    assert_eq!(events["resources"][0]["storageVersionHash"], "r2yiGXH7wu8=");
    assert_eq!(catalog.resource_list("events.k8s.io", "v2"), None);
}

#[test]
fn lists_groups_by_priority_and_newer_versions_first() {
    let catalog = Catalog::new(&RESOURCES);
    let names: Vec<_> = catalog.groups();
    assert_eq!(names, ["events.k8s.io", "autoscaling"]);
    let group = json!({"kind": "APIGroup", "apiVersion": "v1", "name": "autoscaling",
        "preferredVersion": {"groupVersion": "autoscaling/v2", "version": "v2"},
        "versions": [{"groupVersion": "autoscaling/v2", "version": "v2"}, {"groupVersion": "autoscaling/v1", "version": "v1"}]});
    assert_eq!(parse(catalog.group("autoscaling")), group);
    assert_eq!(catalog.group(""), None);
    assert_eq!(parse(Some(catalog.api_versions("127.0.0.1:6443")))["versions"], json!(["v1"]));
}

#[test]
fn aggregates_everything_into_one_document() {
    let catalog = Catalog::new(&RESOURCES);
    let core = parse(Some(catalog.aggregated_core()));
    assert_eq!((&core["apiVersion"], &core["items"][0]["metadata"]), (&json!("apidiscovery.k8s.io/v2"), &json!({})));
    let pods = json!({"resource": "pods", "responseKind": {"group": "", "version": "", "kind": "Pod"},
    "scope": "Namespaced", "singularResource": "pod", "verbs": ALL, "shortNames": ["po"], "categories": ["all"],
    "subresources": [
        {"subresource": "eviction", "responseKind": {"group": "policy", "version": "v1", "kind": "Eviction"}, "verbs": ["create"]},
        {"subresource": "status", "responseKind": {"group": "", "version": "", "kind": "Pod"}, "verbs": ["get", "patch", "update"]},
    ]});
    assert_eq!(core["items"][0]["versions"][0]["resources"][2], pods);
    let groups = parse(Some(catalog.aggregated_groups()));
    assert_eq!(groups["apiVersion"], "apidiscovery.k8s.io/v2");
    assert_eq!(groups["items"][1]["versions"][0]["version"], "v2");
}

#[test]
fn accept_header_chooses_the_form() {
    let v2 = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList";
    let beta = "application/json;g=apidiscovery.k8s.io;v=v2beta1;as=APIGroupDiscoveryList";
    let unknown = "application/json;g=apidiscovery.k8s.io;v=v9;as=APIGroupDiscoveryList";
    for (accept, form) in [
        (format!("{v2},{beta},application/json"), Form::Aggregated),
        (format!("{beta},application/json"), Form::Plain),
        (format!("{unknown},application/json"), Form::Plain),
        (format!("application/json,{v2}"), Form::Plain),
        (format!("application/json;q=0.5,{v2}"), Form::Aggregated),
        (unknown.to_owned(), Form::Plain),
        (String::new(), Form::Plain),
    ] {
        assert_eq!(form_of(&accept), form, "{accept}");
    }
}

#[test]
fn entity_tags_change_with_the_document() {
    let tag = etag(b"a");
    assert!(tag.starts_with("\"1F40FC92DA24169475") && tag.ends_with('"') && tag.len() == 130, "{tag}");
    assert!(matches_etag(&format!("\"x\", W/{tag}"), &tag));
    assert!(!matches_etag("\"x\"", &tag));
}
