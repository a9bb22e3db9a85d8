//! Ownership through the eyes of clients: each test applies and updates in turn, and looks at the object and its owners.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use k8s_openapi::jiff::Timestamp;
use serde_json::{Value as Json, json};

use super::manager::{ApplyError, FieldManager, conflict_message, managed_for_update};
use super::typed::{self, Place};
use super::updater::Versions;
use super::{Managed, ResetFields, fields_v1};
use crate::object::Gvk;
use crate::schema::Type;

mod properties;
mod sets;
mod walks;

pub(super) const CONFIG_MAP: Gvk = Gvk { group: "", version: "v1", kind: "ConfigMap" };
pub(super) const POD: Gvk = Gvk { group: "", version: "v1", kind: "Pod" };
pub(super) const SERVICE: Gvk = Gvk { group: "", version: "v1", kind: "Service" };
const DEPLOYMENT: Gvk = Gvk { group: "apps", version: "v1", kind: "Deployment" };

/// The one version of a kind.
struct OneVersion(Gvk);

impl Versions for OneVersion {
    fn root(&self, api_version: &str) -> Option<Place> {
        (api_version == self.0.api_version()).then(|| Place::root(structure(self.0)))
    }

    fn convert(&self, object: &Json, from: &str, to: &str) -> Option<Json> {
        (from == to).then(|| object.clone())
    }
}

pub(super) fn structure(gvk: Gvk) -> Type {
    Type::of_kind(gvk.group, gvk.version, gvk.kind).expect("a built-in kind")
}

/// An object that clients write to, without a server.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct World {
    gvk: Gvk,
    pub object: Json,
    pub managed: Managed,
    seconds: i64,
    exists: bool,
}

impl World {
    pub fn new(gvk: Gvk) -> Self {
        Self { gvk, object: typed::zero(structure(gvk)), managed: Managed::default(), seconds: 0, exists: false }
    }

    fn with<T>(&mut self, manager: &str, subresource: &str, work: impl FnOnce(&Self, &FieldManager<'_>) -> T) -> T {
        self.seconds += 1;
        let reset = match subresource {
            "status" => ResetFields::These(&["spec"]),
            _ => ResetFields::These(&["status"]),
        };
        let now = Time(Timestamp::from_second(self.seconds).expect("a time"));
        let versions = OneVersion(self.gvk);
        work(self, &FieldManager { versions: &versions, gvk: self.gvk, subresource, reset, manager, now })
    }

    fn named(&self, config: &Json) -> Json {
        let mut config = config.clone();
        config["apiVersion"] = self.gvk.api_version().into();
        config["kind"] = self.gvk.kind.into();
        config
    }

    /// Applies; the error is what the client is told.
    pub fn apply_through(&mut self, sub: &str, manager: &str, config: &Json, force: bool) -> Result<bool, String> {
        let config = self.named(config);
        let nothing = typed::zero(structure(self.gvk));
        let outcome = self.with(manager, sub, |world, manager| {
            manager.apply(&world.object, &config, &nothing, world.managed.clone(), force)
        });
        let applied = outcome.map_err(|error| match error {
            ApplyError::BadRequest(text) | ApplyError::Unfit(text) => text,
            ApplyError::Conflicts(conflicts) => conflict_message(&conflicts),
        })?;
        self.exists = true;
        self.managed = applied.managed;
        let changed = applied.object.is_some();
        self.object = applied.object.unwrap_or_else(|| self.object.clone());
        Ok(changed)
    }

    pub fn apply(&mut self, manager: &str, config: &Json) -> Result<bool, String> {
        self.apply_through("", manager, config, false)
    }

    /// Replaces the object.
    pub fn update_through(&mut self, sub: &str, manager: &str, object: &Json) {
        let object = self.named(object);
        let is_new = !self.exists;
        let managed = self
            .with(manager, sub, |world, manager| manager.update(&world.object, &object, world.managed.clone(), is_new));
        self.managed = managed.expect("objects fit their schema");
        self.object = object;
        self.exists = true;
    }

    pub fn update(&mut self, manager: &str, object: &Json) {
        self.update_through("", manager, object);
    }

    /// Who owns what: `manager operation` with the set.
    fn owners(&self) -> Json {
        let owners = self.managed.0.iter().map(|(key, owner)| {
            let at = if key.subresource.is_empty() { String::new() } else { format!("/{}", key.subresource) };
            (format!("{} {:?}{at}", key.manager, key.operation), fields_v1::encode(&owner.set))
        });
        Json::Object(owners.collect())
    }
}

#[test]
fn an_update_owns_what_it_adds_and_changes() {
    let mut map = World::new(CONFIG_MAP);
    map.update("u1", &json!({"data": {"k": "v"}}));
    assert_eq!(map.owners(), json!({"u1 Update": {"f:data": {".": {}, "f:k": {}}}}));
    map.update("u2", &json!({"data": {"k": "v", "n": "x"}}));
    map.update("u2", &json!({"data": {"k": "z", "n": "x"}}));
    assert_eq!(map.owners(), json!({"u1 Update": {"f:data": {}}, "u2 Update": {"f:data": {"f:k": {}, "f:n": {}}}}));
    map.update("u1", &json!({"data": {"k": "z"}}));
    assert_eq!(map.owners(), json!({"u1 Update": {"f:data": {}}, "u2 Update": {"f:data": {"f:k": {}}}}));
}

#[test]
fn nobody_owns_names_versions_and_what_a_request_cannot_write() {
    let mut pod = World::new(POD);
    let metadata = json!({"name": "a", "namespace": "b", "uid": "c", "generation": 1, "labels": {"l": "m"}});
    pod.update("u", &json!({"metadata": metadata, "spec": {"containers": null}, "status": {"phase": "Pending"}}));
    assert_eq!(pod.owners(), json!({"u Update": {"f:metadata": {"f:labels": {".": {}, "f:l": {}}}}}));
    let status = json!({"phase": "Running"});
    pod.update_through("status", "u", &json!({"metadata": metadata, "spec": {"nodeName": "x"}, "status": status}));
    assert_eq!(pod.owners()["u Update/status"], json!({"f:status": {"f:phase": {}}}));
}

#[test]
fn an_update_that_changes_nothing_leaves_owners_and_their_times() {
    let mut map = World::new(CONFIG_MAP);
    map.update("u1", &json!({"data": {"k": "v"}}));
    let before = map.managed.clone();
    map.update("u2", &json!({"data": {"k": "v"}}));
    assert_eq!(map.managed, before);
}

#[test]
fn apply_owns_what_it_names_and_shares_what_is_alike() {
    let mut map = World::new(CONFIG_MAP);
    assert_eq!(map.apply("m1", &json!({"data": {"k": "v"}})), Ok(true));
    assert_eq!(map.apply("m1", &json!({"data": {"k": "v"}})), Ok(false));
    assert_eq!(map.apply("m2", &json!({"data": {"k": "v"}})), Ok(false));
    let shared = json!({"f:data": {"f:k": {}}});
    assert_eq!(map.owners(), json!({"m1 Apply": shared, "m2 Apply": shared}));
    let time = |map: &World, name| {
        map.managed
            .encode()
            .unwrap_or_default()
            .into_iter()
            .find(|it| it.manager.as_deref() == Some(name))
            .unwrap()
            .time
    };
    assert_eq!((time(&map, "m1").is_some(), time(&map, "m2")), (true, None), "m2 changed nothing");
    assert_eq!(map.apply("m1", &json!({"data": {}})), Ok(false));
    assert_eq!(map.object["data"], json!({"k": "v"}), "m2 still wants it");
    assert_eq!(map.apply("m2", &json!({})), Ok(true));
    assert_eq!(map.object["data"], Json::Null);
}

#[test]
fn what_is_no_longer_applied_goes_unless_somebody_else_owns_it() {
    let mut map = World::new(CONFIG_MAP);
    map.apply("m1", &json!({"data": {"a": "1", "b": "2"}})).unwrap();
    let mut object = map.object.clone();
    object["data"]["b"] = "3".into();
    object["data"]["c"] = "4".into();
    map.update("u", &object);
    assert_eq!(map.owners()["m1 Apply"], json!({"f:data": {"f:a": {}}}));
    map.apply("m1", &json!({"data": {}})).unwrap();
    assert_eq!(map.object["data"], json!({"b": "3", "c": "4"}));
}

#[test]
fn conflicts_name_the_owners_and_their_fields() {
    let mut map = World::new(CONFIG_MAP);
    map.update("upd", &json!({"data": {"k": "v", "l": "w"}}));
    let other = json!({"data": {"k": "other"}});
    let text = "Apply failed with 1 conflict: conflict with \"upd\" using v1: .data.k";
    assert_eq!(map.apply("m1", &other), Err(text.to_owned()));
    map.apply("m0", &json!({"data": {"n": "1"}})).unwrap();
    assert_eq!(
        map.apply("m1", &json!({"data": {"k": "x", "l": "y", "n": "z"}})),
        Err("Apply failed with 3 conflicts: conflicts with \"m0\":\n- .data.n\nconflicts with \"upd\" using v1:\n\
             - .data.k\n- .data.l"
            .to_owned())
    );
    assert_eq!(map.apply_through("", "m1", &other, true), Ok(true));
    assert_eq!(map.owners()["m1 Apply"], json!({"f:data": {"f:k": {}}}));
    assert_eq!(map.owners()["upd Update"], json!({"f:data": {".": {}, "f:l": {}}}));
}

#[test]
fn subresources_are_owned_apart() {
    let mut pod = World::new(POD);
    pod.update("u", &json!({"spec": {"containers": [{"name": "c", "image": "i"}]}, "status": {}}));
    let condition = |status: &str| json!({"status": {"conditions": [{"type": "x.y/z", "status": status}]}});
    assert_eq!(pod.apply_through("status", "m1", &condition("True"), false), Ok(true));
    let owned =
        json!({"f:status": {"f:conditions": {"k:{\"type\":\"x.y/z\"}": {".": {}, "f:status": {}, "f:type": {}}}}});
    assert_eq!(pod.owners()["m1 Apply/status"], owned);
    assert_eq!(
        pod.apply_through("status", "m2", &condition("False"), false),
        Err("Apply failed with 1 conflict: conflict with \"m1\" with subresource \"status\": \
             .status.conditions[type=\"x.y/z\"].status"
            .to_owned())
    );
    assert_eq!(pod.apply_through("status", "m1", &json!({"status": {"conditions": []}}), false), Ok(true));
    assert_eq!(pod.object["status"], Json::Null);
    assert_eq!(pod.owners().as_object().unwrap().len(), 1);
}

#[test]
fn elements_of_lists_are_found_by_all_their_keys() {
    let mut service = World::new(SERVICE);
    let port = |name: &str, port: i32, protocol: &str| json!({"name": name, "port": port, "protocol": protocol});
    let ports = |ports: &[Json]| json!({"spec": {"ports": ports}});
    service.apply("m1", &ports(&[port("a", 80, "TCP"), port("b", 80, "UDP")])).unwrap();
    service.apply("m2", &ports(&[port("c", 81, "TCP")])).unwrap();
    service.apply("m1", &ports(&[port("b", 80, "UDP")])).unwrap();
    assert_eq!(service.object["spec"]["ports"], json!([port("b", 80, "UDP"), port("c", 81, "TCP")]));
    assert_eq!(
        service.apply("m2", &ports(&[port("zz", 80, "UDP")])),
        Err("Apply failed with 1 conflict: conflict with \"m1\": .spec.ports[port=80,protocol=\"UDP\"].name".to_owned())
    );
    // A key that is left out has its default.
    assert_eq!(service.apply("m1", &ports(&[json!({"name": "t", "port": 90})])), Ok(true));
    assert_eq!(
        service.owners()["m1 Apply"]["f:spec"]["f:ports"],
        json!({"k:{\"port\":90,\"protocol\":\"TCP\"}": {".": {}, "f:name": {}, "f:port": {}}})
    );
}

#[test]
fn atomic_values_are_owned_as_one() {
    let mut service = World::new(SERVICE);
    service.apply("m1", &json!({"spec": {"selector": {"a": "b"}}})).unwrap();
    assert_eq!(service.owners()["m1 Apply"], json!({"f:spec": {"f:selector": {}}}));
    assert_eq!(
        service.apply("m2", &json!({"spec": {"selector": {"c": "d"}}})),
        Err("Apply failed with 1 conflict: conflict with \"m1\": .spec.selector".to_owned())
    );
}

#[test]
fn nested_lists_merge_by_their_keys() {
    let mut deployment = World::new(DEPLOYMENT);
    let containers = |containers: Json| json!({"spec": {"template": {"spec": {"containers": containers}}}});
    let env = |name: &str| json!({"name": name, "value": "v"});
    deployment.apply("m1", &containers(json!([{"name": "c", "image": "i", "env": [env("A"), env("B")]}]))).unwrap();
    deployment
        .apply("m2", &containers(json!([{"name": "d", "image": "j"}, {"name": "c", "env": [env("X")]}])))
        .unwrap();
    deployment.apply("m1", &containers(json!([{"name": "c", "image": "i", "env": [env("B")]}]))).unwrap();
    assert_eq!(
        deployment.object["spec"]["template"]["spec"]["containers"],
        json!([{"name": "d", "image": "j"}, {"name": "c", "image": "i", "env": [env("B"), env("X")]}])
    );
    deployment.apply("m2", &json!({})).unwrap();
    assert_eq!(
        deployment.object["spec"]["template"]["spec"]["containers"],
        json!([{"name": "c", "image": "i", "env": [env("B")]}])
    );
}

#[test]
fn sets_merge_by_their_values() {
    let mut map = World::new(CONFIG_MAP);
    let finalizers = |names: &[&str]| json!({"metadata": {"finalizers": names}});
    map.apply("m1", &finalizers(&["a.b/one", "a.b/two"])).unwrap();
    map.apply("m2", &finalizers(&["a.b/three", "a.b/two"])).unwrap();
    map.apply("m1", &finalizers(&[])).unwrap();
    assert_eq!(map.object["metadata"]["finalizers"], json!(["a.b/three", "a.b/two"]));
    assert_eq!(
        map.owners()["m2 Apply"],
        json!({"f:metadata": {"f:finalizers": {"v:\"a.b/three\"": {}, "v:\"a.b/two\"": {}}}})
    );
}

#[test]
fn what_cannot_be_applied_is_refused_in_upstreams_words() {
    let mut pod = World::new(POD);
    let mut refused = |config: Json| pod.apply("m", &config).expect_err("refused");
    let unfit = "failed to create typed patch object (/; /v1, Kind=Pod): ";
    let container = |name: &str| json!({"name": name, "image": "i"});
    for (config, text) in [
        (json!({"bogus": 1}), ".bogus: field not declared in schema"),
        (
            json!({"spec": {"containers": [container("c"), container("c")]}}),
            ".spec.containers: duplicate entries for key [name=\"c\"]",
        ),
        (
            json!({"metadata": {"finalizers": ["a.b/c", "a.b/c"]}}),
            ".metadata.finalizers: duplicate entries for key [=\"a.b/c\"]",
        ),
        (
            json!({"spec": {"containers": [{"name": "c", "env": [{"name": "A", "value": 1}]}]}}),
            ".spec.containers[name=\"c\"].env[name=\"A\"].value: expected string, got \
             &value.valueUnstructured{Value:1}",
        ),
        (
            json!({"spec": {"containers": [{"name": "c", "command": "sh"}]}}),
            ".spec.containers[name=\"c\"].command: expected list, got &{sh}",
        ),
        (
            json!({"spec": {"terminationGracePeriodSeconds": "1", "hostNetwork": "yes"}}),
            "errors:\n  .spec.hostNetwork: expected boolean, got &{yes}\n  \
             .spec.terminationGracePeriodSeconds: expected numeric (int or float), got string",
        ),
        (json!({"metadata": []}), ".metadata: expected map, got &{[]}"),
        (
            json!({"spec": {"containers": [1]}}),
            ".spec.containers: element 0: associative list with keys may not have non-map elements",
        ),
    ] {
        assert_eq!(refused(config), format!("{unfit}{text}"));
    }
    assert_eq!(refused(json!({"metadata": {"managedFields": []}})), "metadata.managedFields must be nil");
    let mut other = World::new(DEPLOYMENT);
    other.gvk = POD;
    let wrong = other.named(&json!({}));
    let text = other.with("m", "", |world, manager| {
        let manager = FieldManager { gvk: DEPLOYMENT, now: manager.now.clone(), ..*manager };
        manager.apply(&world.object, &wrong, &json!({}), Managed::default(), false).expect_err("another kind")
    });
    assert_eq!(text, ApplyError::BadRequest("invalid object type: /v1, Kind=Pod".to_owned()));
}

#[test]
fn objects_without_entries_are_tracked_from_the_next_apply_on() {
    let mut map = World::new(CONFIG_MAP);
    map.update("u", &json!({"data": {"k": "v"}}));
    map.managed = Managed::default();
    map.update("u", &json!({"data": {"k": "w"}}));
    assert_eq!(map.owners(), json!({}));
    map.apply("m", &json!({"data": {"n": "x"}})).unwrap();
    assert_eq!(
        map.owners(),
        json!({
            "before-first-apply Update": {"f:data": {".": {}, "f:k": {}}},
            "m Apply": {"f:data": {"f:n": {}}},
        })
    );
}

#[test]
fn clients_can_send_entries_reset_them_or_leave_them_alone() {
    let mut map = World::new(CONFIG_MAP);
    map.update("u", &json!({"data": {"k": "v"}}));
    let live = map.managed.encode().unwrap();
    let entry = Default::default();
    let judge = |sent: Option<&[_]>, subresource| managed_for_update(Some(&live), sent, subresource);
    assert_eq!(judge(None, ""), map.managed);
    assert_eq!(judge(Some(&[]), ""), Managed::default());
    assert_eq!(judge(Some(&[entry]), ""), Managed::default());
    assert_eq!(judge(Some(&[]), "status"), map.managed, "not through a subresource");
    let mut renamed = live.clone();
    renamed[0].manager = Some("other".to_owned());
    assert_eq!(judge(Some(&renamed), "").0.keys().next().unwrap().manager, "other");
    renamed[0].operation = Some("Bogus".to_owned());
    assert_eq!(judge(Some(&renamed), ""), map.managed, "nonsense counts as nothing");
}

#[test]
fn kubectl_takes_over_what_it_applied_from_the_client() {
    let annotation = "kubectl.kubernetes.io/last-applied-configuration";
    let mut map = World::new(CONFIG_MAP);
    let last = r#"{"apiVersion":"v1","kind":"ConfigMap","data":{"k":"v"}}"#;
    map.update(
        "kubectl-client-side-apply",
        &json!({"metadata": {"annotations": {annotation: last}}, "data": {"k": "v"}}),
    );
    let config = json!({"data": {"k": "w"}});
    assert!(map.clone().apply("helm", &config).is_err(), "only kubectl may");
    assert_eq!(map.apply("kubectl", &config), Ok(true));
    let annotations = json!({annotation: "{\"apiVersion\":\"v1\",\"data\":{\"k\":\"w\"},\"kind\":\"ConfigMap\"}\n"});
    assert_eq!(map.object["metadata"]["annotations"], annotations);
    assert_eq!(map.owners()["kubectl Apply"], json!({"f:data": {"f:k": {}}}));
    // What somebody changed in between is a conflict all the same.
    let mut object = map.object.clone();
    object["data"]["k"] = "x".into();
    map.update("edit", &object);
    let text = "Apply failed with 1 conflict: conflict with \"edit\" using v1: .data.k";
    assert_eq!(map.apply("kubectl", &config), Err(text.to_owned()));
}

#[test]
fn the_oldest_of_too_many_updates_become_one() {
    let mut map = World::new(CONFIG_MAP);
    let mut data = json!({});
    for number in 0..12 {
        data[format!("k{number}")] = "v".into();
        map.update(&format!("u{number}"), &json!({"data": data}));
    }
    let owners = map.owners();
    assert_eq!(owners.as_object().unwrap().len(), 10);
    assert_eq!(owners["ancient-changes Update"], json!({"f:data": {".": {}, "f:k0": {}, "f:k1": {}, "f:k2": {}}}));
}
