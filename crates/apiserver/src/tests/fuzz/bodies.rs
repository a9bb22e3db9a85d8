//! Bodies of writes: objects in every syntax, patches of every type.

use api::protobuf;
use api::schema::Type;
use http::Request;
use serde_json::{Value, json};
use testkit::dice::Dice;
use testkit::fuzz::{Campaign, Shape};
use testkit::objects::random;

use super::Target;
use crate::registry::RESOURCES;

const VALIDATIONS: [&str; 3] = ["Ignore", "Warn", "Strict"];

/// Objects that are there, each with the collection it is in.
pub fn objects() -> Vec<(&'static str, Value)> {
    let template = json!({
        "metadata": {"labels": {"a": "b"}},
        "spec": {
            "containers": [{
                "name": "c", "image": "i",
                "ports": [{"containerPort": 80}, {"containerPort": 80, "protocol": "UDP", "name": "u"}],
                "env": [{"name": "A", "value": "b"}, {"name": "B", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}}],
                "resources": {"limits": {"cpu": "100m"}},
                "volumeMounts": [{"name": "v", "mountPath": "/v"}],
                "livenessProbe": {"httpGet": {"port": "u"}},
            }],
            "volumes": [{"name": "v", "emptyDir": {}}],
            "tolerations": [{"key": "a", "operator": "Exists"}],
        },
    });
    let pod = json!({"metadata": {"name": "p", "labels": {"a": "b"}, "finalizers": ["a/b"]}, "spec": template["spec"]});
    let deployment =
        json!({"metadata": {"name": "p"}, "spec": {"selector": {"matchLabels": {"a": "b"}}, "template": template}});
    let ports = json!([{"name": "a", "port": 53}, {"name": "b", "port": 53, "protocol": "UDP"}]);
    vec![
        ("/api/v1/namespaces/default/pods", pod),
        ("/apis/apps/v1/namespaces/default/deployments", deployment),
        (
            "/api/v1/namespaces/default/services",
            json!({"metadata": {"name": "p"}, "spec": {"clusterIP": "None", "ports": ports}}),
        ),
        ("/api/v1/namespaces/default/configmaps", json!({"metadata": {"name": "p"}, "data": {"a": "b"}})),
    ]
}

/// Where an object can be posted, and its kind.
struct Place {
    path: String,
    kind: api::Gvk,
}

fn places() -> Vec<Place> {
    let creatable = RESOURCES.iter().filter(|resource| resource.info.verbs.contains(&"create"));
    creatable
        .map(|resource| {
            let (kind, plural) = (resource.info.gvk, resource.info.plural);
            let root = if kind.group.is_empty() { "/api".to_owned() } else { format!("/apis/{}", kind.group) };
            let namespace = if resource.info.namespaced { "/namespaces/default" } else { "" };
            Place { path: format!("{root}/{}{namespace}/{plural}", kind.version), kind }
        })
        .collect()
}

/// An object that says what it is.
fn typed(place: &Place, mut object: Value) -> Value {
    let kind = place.kind;
    let group = if kind.group.is_empty() { String::new() } else { format!("{}/", kind.group) };
    object["kind"] = kind.kind.into();
    object["apiVersion"] = format!("{group}{}", kind.version).into();
    object
}

/// Valid and nearly valid objects of every kind.
fn seeds(places: &[Place], write: impl Fn(&Place, Value) -> Option<Vec<u8>>) -> Vec<Vec<u8>> {
    let mut dice = Dice::new(5);
    let mut seeds = Vec::new();
    for (index, place) in places.iter().enumerate() {
        let structure = Type::of_kind(place.kind.group, place.kind.version, place.kind.kind);
        let mut all: Vec<Value> = structure.iter().map(|structure| random(&mut dice, *structure, 4)).collect();
        all.extend(objects().into_iter().filter(|(path, _)| *path == place.path).map(|(_, object)| object));
        for mut object in all {
            object["metadata"]["name"] = "new".into();
            let body = write(place, object);
            seeds.extend(body.map(|body| [&[index as u8, 2][..], &body].concat()));
        }
    }
    seeds
}

/// Posts what comes behind the first two bytes, which choose the kind and how strictly it is read.
fn post(name: &'static str, shape: Shape, media: &str, write: impl Fn(&Place, Value) -> Option<Vec<u8>>) {
    let (target, places) = (Target::start(), places());
    Campaign::new(name, shape).with_head(2).run(seeds(&places, write), |input| {
        let [place, validation, body @ ..] = input else { return String::new() };
        let place = &places[usize::from(*place) % places.len()];
        let validation = VALIDATIONS[usize::from(*validation) % VALIDATIONS.len()];
        let url = format!("{}?dryRun=All&fieldValidation={validation}", place.path);
        let accept = if media.contains("protobuf") { media } else { "application/json" };
        let request = Request::post(url).header("content-type", media).header("accept", accept);
        target.answer(request, body).unwrap_or_default()
    });
}

#[test]
fn json_bodies() {
    post("json_bodies", Shape::Json, "application/json", |place, object| {
        Some(typed(place, object).to_string().into_bytes())
    });
}

#[test]
fn yaml_bodies() {
    post("yaml_bodies", Shape::Bytes, "application/yaml", |place, object| {
        serde_saphyr::to_string(&typed(place, object)).ok().map(String::into_bytes)
    });
}

#[test]
fn protobuf_bodies() {
    post("protobuf_bodies", Shape::Protobuf(4), "application/vnd.kubernetes.protobuf", |place, object| {
        let structure = Type::of_kind(place.kind.group, place.kind.version, place.kind.kind)?;
        let message = protobuf::encode(object.to_string().as_bytes(), structure).ok()?;
        let typed = typed(place, json!({}));
        Some(protobuf::body(typed["apiVersion"].as_str()?, place.kind.kind, &message))
    });
}

/// Patches one of the objects, which the first byte chooses.
fn patch(name: &'static str, media: &str, seeds: &[Value]) {
    let (target, objects) = (Target::start(), objects());
    let seeds = (0..objects.len()).flat_map(|index| seeds.iter().map(move |seed| (index, seed)));
    let seeds = seeds.map(|(index, seed)| [&[index as u8][..], seed.to_string().as_bytes()].concat()).collect();
    Campaign::new(name, Shape::Json).with_head(1).run(seeds, |input| {
        let [index, body @ ..] = input else { return String::new() };
        let (path, _) = &objects[usize::from(*index) % objects.len()];
        let apply = if media.contains("apply") { "&fieldManager=m&force=true" } else { "" };
        let request = Request::patch(format!("{path}/p?dryRun=All{apply}")).header("content-type", media);
        target.answer(request, body).unwrap_or_default()
    });
}

/// The objects themselves, as patches, and more.
fn objects_and(more: &[Value]) -> Vec<Value> {
    objects().into_iter().map(|(_, object)| object).chain(more.iter().cloned()).collect()
}

#[test]
fn json_patches() {
    let seeds = [
        json!([{"op": "test", "path": "/metadata/name", "value": "p"}, {"op": "remove", "path": "/spec"}]),
        json!([{"op": "add", "path": "/metadata/labels", "value": {"a~1b": "c"}}]),
        json!([{"op": "add", "path": "/spec/containers/-", "value": {"name": "x", "image": "y"}}]),
        json!([{"op": "replace", "path": "/spec/ports/0/port", "value": 54}]),
        json!([{"op": "move", "from": "/metadata/labels/a", "path": "/metadata/labels/b"}]),
        json!([{"op": "copy", "from": "/spec", "path": "/metadata/annotations"}]),
    ];
    patch("json_patches", "application/json-patch+json", &seeds);
}

#[test]
fn merge_patches() {
    let more = [json!({"metadata": {"labels": null}}), json!({"spec": {"replicas": 3}}), json!({"data": {"a": null}})];
    patch("merge_patches", "application/merge-patch+json", &objects_and(&more));
}

#[test]
fn strategic_patches() {
    let volumes = json!([{"name": "v", "$retainKeys": ["name", "hostPath"], "hostPath": {"path": "/"}}]);
    let containers = json!([{"name": "n", "image": "i"}]);
    let more = [
        json!({"spec": {"containers": [{"name": "c", "$patch": "delete"}, {"name": "n", "image": "i"}]}}),
        json!({"spec": {"$setElementOrder/containers": [{"name": "n"}, {"name": "c"}], "containers": containers}}),
        json!({"metadata": {"$deleteFromPrimitiveList/finalizers": ["a/b"]}, "spec": {"$retainKeys": ["containers"]}}),
        json!({"spec": {"template": {"spec": {"volumes": volumes}}}}),
        json!({"metadata": {"$patch": "replace", "name": "p"}}),
        json!({"spec": {"ports": [{"port": 53, "protocol": "UDP", "$patch": "merge"}]}}),
    ];
    patch("strategic_patches", "application/strategic-merge-patch+json", &objects_and(&more));
}

#[test]
fn apply_patches() {
    let kinds = [("v1", "Pod"), ("apps/v1", "Deployment"), ("v1", "Service"), ("v1", "ConfigMap")];
    let mut seeds = objects_and(&[]);
    for (object, (version, kind)) in seeds.iter_mut().zip(kinds) {
        object["kind"] = kind.into();
        object["apiVersion"] = version.into();
    }
    patch("apply_patches", "application/apply-patch+yaml", &seeds);
}
