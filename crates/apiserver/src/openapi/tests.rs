use api::Gvk;

use super::*;
use crate::registry::{ResourceInfo, SubresourceInfo};

const ALL: &[&str] = &["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"];

const fn gvk(group: &'static str, version: &'static str, kind: &'static str) -> Gvk {
    Gvk { group, version, kind }
}

static RESOURCES: [ResourceInfo; 3] = [
    ResourceInfo {
        gvk: gvk("", "v1", "Pod"),
        plural: "pods",
        singular: "pod",
        short_names: &[],
        categories: &[],
        namespaced: true,
        verbs: ALL,
        subresources: &[
            SubresourceInfo { name: "exec", gvk: gvk("", "v1", "PodExecOptions"), verbs: &["create", "get"] },
            SubresourceInfo { name: "eviction", gvk: gvk("policy", "v1", "Eviction"), verbs: &["create"] },
            SubresourceInfo { name: "log", gvk: gvk("", "v1", "Pod"), verbs: &["get"] },
            SubresourceInfo { name: "status", gvk: gvk("", "v1", "Pod"), verbs: &["get", "patch", "update"] },
        ],
    },
    ResourceInfo {
        gvk: gvk("", "v1", "Node"),
        plural: "nodes",
        singular: "node",
        short_names: &[],
        categories: &[],
        namespaced: false,
        verbs: ALL,
        subresources: &[],
    },
    ResourceInfo {
        gvk: gvk("coordination.k8s.io", "v1", "Lease"),
        plural: "leases",
        singular: "lease",
        short_names: &[],
        categories: &[],
        namespaced: true,
        verbs: ALL,
        subresources: &[],
    },
];

fn read(path: &str) -> Value {
    serde_json::from_slice(&document(&Catalog::new(&RESOURCES), path).expect(path)).expect("JSON")
}

#[test]
fn index_names_every_document_with_its_hash() {
    let catalog = Catalog::new(&RESOURCES);
    let index: Value = serde_json::from_slice(&index(&catalog)).expect("JSON");
    let paths: Vec<_> = index["paths"].as_object().expect("paths").keys().collect();
    let expected = [
        ".well-known/openid-configuration",
        "api",
        "api/v1",
        "apis",
        "apis/coordination.k8s.io",
        "apis/coordination.k8s.io/v1",
        "openid/v1/jwks",
        "version",
    ];
    assert_eq!(paths, expected);
    for path in paths {
        let hash = document_hash(&catalog, path).expect("a hash");
        assert_eq!(index["paths"][path]["serverRelativeURL"], format!("/openapi/v3/{path}?hash={hash}"));
        assert!(document(&catalog, path).is_some());
    }
    for path in ["", "api/v2", "apis/none", "apis/apps/v1", "apis//v1", "api/v1/x"] {
        assert_eq!((document(&catalog, path), document_hash(&catalog, path)), (None, None), "{path}");
    }
}

#[test]
fn every_reference_leads_somewhere() {
    let catalog = Catalog::new(&RESOURCES);
    for path in ["api", "api/v1", "apis", "apis/coordination.k8s.io", "apis/coordination.k8s.io/v1"] {
        let text = String::from_utf8(document(&catalog, path).expect(path)).expect("UTF-8");
        let document = read(path);
        for reference in text.split(REFERENCE).skip(1).filter_map(|rest| rest.split('"').next()) {
            assert!(document["components"]["schemas"][reference].is_object(), "{path}: {reference}");
        }
    }
}

#[test]
fn explains_fields() {
    let schemas = &read("api/v1")["components"]["schemas"];
    let containers = &schemas["io.k8s.api.core.v1.PodSpec"]["properties"]["containers"];
    assert!(containers["description"].as_str().is_some_and(|text| text.starts_with("List of containers")));
    assert_eq!(containers["x-kubernetes-patch-merge-key"], "name");
    assert_eq!(schemas["io.k8s.api.core.v1.ContainerPort"]["properties"]["protocol"]["default"], "TCP");
    let kind = json!([{"group": "", "kind": "PodList", "version": "v1"}]);
    assert_eq!(schemas["io.k8s.api.core.v1.PodList"]["x-kubernetes-group-version-kind"], kind);
    assert_eq!(schemas["io.k8s.api.coordination.v1.Lease"], Value::Null);
}

#[test]
fn paths_follow_from_the_registry() {
    let document = read("api/v1");
    let paths: Vec<_> = document["paths"].as_object().expect("paths").keys().map(String::as_str).collect();
    let pods = "/api/v1/namespaces/{namespace}/pods";
    let expected = [
        "/api/v1/".to_owned(),
        pods.to_owned(),
        format!("{pods}/{{name}}"),
        format!("{pods}/{{name}}/eviction"),
        format!("{pods}/{{name}}/exec"),
        format!("{pods}/{{name}}/log"),
        format!("{pods}/{{name}}/status"),
        "/api/v1/nodes".to_owned(),
        "/api/v1/nodes/{name}".to_owned(),
        "/api/v1/pods".to_owned(),
        "/api/v1/watch/namespaces/{namespace}/pods".to_owned(),
        "/api/v1/watch/namespaces/{namespace}/pods/{name}".to_owned(),
        "/api/v1/watch/nodes".to_owned(),
        "/api/v1/watch/nodes/{name}".to_owned(),
        "/api/v1/watch/pods".to_owned(),
    ];
    assert_eq!(paths, expected);
    let item = &document["paths"][format!("{pods}/{{name}}")];
    let names = |value: &Value| -> Vec<String> {
        value
            .as_array()
            .expect("parameters")
            .iter()
            .map(|parameter| parameter["name"].as_str().expect("name").to_owned())
            .collect()
    };
    assert_eq!(names(&item["parameters"]), ["name", "namespace", "pretty"]);
    assert_eq!(names(&item["patch"]["parameters"]), ["dryRun", "fieldManager", "fieldValidation", "force"]);
    assert_eq!(item["patch"]["operationId"], "patchCoreV1NamespacedPod");
    assert_eq!(item["patch"]["x-kubernetes-group-version-kind"]["kind"], "Pod");
    let status = &document["paths"][format!("{pods}/{{name}}/status")]["put"];
    assert_eq!(status["operationId"], "replaceCoreV1NamespacedPodStatus");
    let exec = &document["paths"][format!("{pods}/{{name}}/exec")];
    assert_eq!(exec["post"]["operationId"], "connectCoreV1PostNamespacedPodExec");
    assert_eq!(
        read("apis/coordination.k8s.io/v1")["paths"]["/apis/coordination.k8s.io/v1/leases"]["get"]["tags"],
        json!(["coordination_v1"])
    );
}

/// The length-delimited members of a protobuf message with that number.
fn members(mut message: &[u8], wanted: u64) -> Vec<&[u8]> {
    fn varint(message: &mut &[u8]) -> u64 {
        let mut number = 0;
        for shift in (0..).step_by(7) {
            let (first, rest) = message.split_first().expect("a whole message");
            *message = rest;
            number |= u64::from(first & 0x7f) << shift;
            if first & 0x80 == 0 {
                break;
            }
        }
        number
    }
    let mut found = Vec::new();
    while !message.is_empty() {
        let key = varint(&mut message);
        let length = usize::try_from(varint(&mut message)).expect("a length");
        let (member, rest) = message.split_at(length);
        message = rest;
        if key >> 3 == wanted {
            found.push(member);
        }
    }
    found
}

#[test]
fn old_clients_find_kinds_and_field_validation() {
    let document = v2::document(&Catalog::new(&RESOURCES));
    assert_eq!(members(&document, 1), [b"2.0"]);
    let paths = members(members(&document, 8)[0], 2);
    let names: Vec<_> = paths.iter().map(|path| String::from_utf8_lossy(members(path, 1)[0])).collect();
    let pod =
        names.iter().position(|name| name == "/api/v1/namespaces/{namespace}/pods/{name}").expect("the path of a Pod");
    let patch = members(members(paths[pod], 2)[0], 7)[0];
    let parameter = |item: &&[u8]| members(members(members(members(item, 1)[0], 2)[0], 3)[0], 4)[0].to_vec();
    let parameters: Vec<_> = members(patch, 8).iter().map(parameter).collect();
    assert!(parameters.contains(&b"fieldValidation".to_vec()));
    assert_eq!(members(members(patch, 13)[1], 1), [b"x-kubernetes-group-version-kind"]);
    let definitions = members(members(&document, 9)[0], 1);
    let spec = definitions.iter().find(|named| members(named, 1) == [b"io.k8s.api.core.v1.PodSpec"]).expect("PodSpec");
    let properties = members(members(members(spec, 2)[0], 25)[0], 1);
    assert!(properties.iter().any(|property| members(property, 1) == [b"containers"]));
}

#[test]
fn kinds_of_every_version_name_the_document_s() {
    let kinds = |path: &str| {
        let options = &read(path)["components"]["schemas"][format!("{META}DeleteOptions")];
        let kinds = options["x-kubernetes-group-version-kind"].as_array().expect("kinds").iter();
        kinds.map(|kind| kind["group"].as_str().expect("group").to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(kinds("api/v1"), [""]);
    assert_eq!(kinds("apis/coordination.k8s.io/v1"), ["", "coordination.k8s.io"]);
}

#[test]
fn documents_without_definitions_have_no_place_for_them() {
    assert_eq!(read("openid/v1/jwks")["components"]["schemas"], Value::Null);
    let version = &read("version")["components"]["schemas"]["io.k8s.apimachinery.pkg.version.Info"];
    assert_eq!(version["properties"]["major"]["default"], "");
}

#[test]
fn measurements_are_explained_too() {
    static PODS: [ResourceInfo; 1] = [ResourceInfo {
        gvk: gvk("metrics.k8s.io", "v1beta1", "PodMetrics"),
        plural: "pods",
        singular: "pod",
        short_names: &[],
        categories: &[],
        namespaced: true,
        verbs: &["get", "list"],
        subresources: &[],
    }];
    let text = document(&Catalog::new(&PODS), "apis/metrics.k8s.io/v1beta1").expect("a document");
    let document: Value = serde_json::from_slice(&text).expect("JSON");
    let schemas = &document["components"]["schemas"];
    let structure = |name: &str| &schemas[format!("io.k8s.metrics.pkg.apis.metrics.v1beta1.{name}")];
    let kind = json!([{"group": "metrics.k8s.io", "kind": "PodMetrics", "version": "v1beta1"}]);
    assert_eq!(structure("PodMetrics")["x-kubernetes-group-version-kind"], kind);
    assert!(structure("ContainerMetrics")["properties"]["usage"].is_object());
    assert!(structure("PodMetricsList")["properties"]["items"].is_object());
    let text = String::from_utf8(text).expect("UTF-8");
    for reference in text.split(REFERENCE).skip(1).filter_map(|rest| rest.split('"').next()) {
        assert!(schemas[reference].is_object(), "{reference}");
    }
}
