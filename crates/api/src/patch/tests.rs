use serde_json::json;

use super::*;

mod differences;
mod properties;

const POD: Gvk = Gvk { group: "", version: "v1", kind: "Pod" };
const CONFIG_MAP: Gvk = Gvk { group: "", version: "v1", kind: "ConfigMap" };
const SERVICE: Gvk = Gvk { group: "", version: "v1", kind: "Service" };
const SERVICE_ACCOUNT: Gvk = Gvk { group: "", version: "v1", kind: "ServiceAccount" };
const DEPLOYMENT: Gvk = Gvk { group: "apps", version: "v1", kind: "Deployment" };

fn structure(gvk: Gvk) -> Type {
    Type::of_kind(gvk.group, gvk.version, gvk.kind).expect("a built-in kind")
}

/// The tree after a strategic merge patch, or why there is none.
fn strategic(gvk: Gvk, original: Value, patch: Value) -> Result<Value, String> {
    let (Value::Object(mut object), Value::Object(patch)) = (original, patch) else { panic!("maps") };
    strategic::apply(&mut object, patch, structure(gvk)).map_err(|error| error.to_string())?;
    unstructured::convert(object, structure(gvk)).map(|checked| checked.value)
}

/// The tree after a JSON patch.
fn patched(mut document: Value, operations: Value) -> Option<Value> {
    let (operations, _) = json_patch::parse(Node::from_value(&operations)).expect("operations");
    json_patch::apply(&mut document, &operations).ok().map(|()| document)
}

#[test]
fn json_patch_is_lenient_where_upstream_is() {
    let document = || json!({"data": {"k": "v", "a/b": 1, "c~d": 2}, "list": [1, 2, 3]});
    let cases = [
        (json!([{"op": "replace", "path": "/data/nope", "value": "z"}]), Some("/data/nope"), json!("z")),
        (json!([{"op": "copy", "from": "/data/zz", "path": "/data/m"}]), Some("/data/m"), json!(null)),
        (json!([{"op": "move", "from": "/data/k", "path": "/data/m"}]), Some("/data/m"), json!("v")),
        (json!([{"op": "replace", "path": "/data/a~1b", "value": "x"}]), Some("/data/a~1b"), json!("x")),
        (json!([{"op": "add", "path": "/list/-", "value": 4}]), Some("/list"), json!([1, 2, 3, 4])),
        (json!([{"op": "add", "path": "/list/1", "value": 4}]), Some("/list"), json!([1, 4, 2, 3])),
        (json!([{"op": "remove", "path": "/list/-1"}]), Some("/list"), json!([1, 2])),
        (json!([{"op": "test", "path": "/data/none", "value": null}]), Some("/data/k"), json!("v")),
        (json!([{"op": "remove", "path": "/data/nope"}]), None, json!(null)),
        (json!([{"op": "test", "path": "/data/k", "value": "nope"}]), None, json!(null)),
        (json!([{"op": "frob", "path": "/data/k", "value": "x"}]), None, json!(null)),
        (json!([{"op": "add", "path": "data", "value": "x"}]), None, json!(null)),
        (json!([{"op": "add", "path": "/list/9", "value": "x"}]), None, json!(null)),
        (json!([{"op": "add", "path": "/none/k", "value": "x"}]), None, json!(null)),
    ];
    for (operations, pointer, value) in cases {
        let result = patched(document(), operations.clone());
        let found = pointer.map(|pointer| result.as_ref().and_then(|value| value.pointer(pointer)).cloned());
        assert_eq!(found, pointer.map(|_| Some(value)), "{operations}");
        assert_eq!(result.is_some(), pointer.is_some(), "{operations}");
    }
}

#[test]
fn says_why_a_body_is_no_patch() {
    for (patch_type, body, error) in [
        (PatchType::Merge, "not json", "error decoding patch: invalid character 'o' in literal null (expecting 'u')"),
        (
            PatchType::Merge,
            "[1]",
            "error decoding patch: json: cannot unmarshal array into Go value of type map[string]interface {}",
        ),
        (PatchType::Strategic, "", "unexpected end of JSON input"),
        (
            PatchType::Json,
            r#"{"op":"add"}"#,
            "error decoding patch: json: cannot unmarshal object into Go value of type []handlers.jsonPatchOp",
        ),
        (
            PatchType::Json,
            r#"[{"op":5}]"#,
            "error decoding patch: json: cannot unmarshal number into Go struct field jsonPatchOp.op of type string",
        ),
    ] {
        let result = Patch::parse(patch_type, body.as_bytes(), FieldValidation::Warn);
        assert_eq!(result.expect_err(body), Error::BadRequest(error.to_owned()));
    }
    let many = format!("[{}]", vec![r#"{"op":"test"}"#; 10_001].join(","));
    let error = Patch::parse(PatchType::Json, many.as_bytes(), FieldValidation::Warn).expect_err("too many");
    let text = "The allowed maximum operations in a JSON patch is 10000, got 10001";
    assert_eq!(error, Error::TooLarge(text.to_owned()));
}

#[test]
fn words_the_result_that_is_no_object() {
    let current = || json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}, "data": {"k": "v"}});
    let apply = |patch_type, body: &str| {
        Patch::parse(patch_type, body.as_bytes(), FieldValidation::Strict).expect(body).apply(current(), CONFIG_MAP)
    };
    for (patch_type, body, end) in [
        (PatchType::Merge, r#"{"data":{"a":"1","a":"2"}}"#, r#": strict decoding error: duplicate field "data.a""#),
        (
            PatchType::Merge,
            r#"{"metadata":{"resourceVersion":5}}"#,
            ": json: cannot unmarshal number into Go struct field ObjectMeta.metadata.resourceVersion of type string",
        ),
        (
            PatchType::Merge,
            r#"{"apiVersion":"v9"}"#,
            r#": no kind "ConfigMap" is registered for version "v9" in scheme "pkg/api/legacyscheme/scheme.go:30""#,
        ),
        (PatchType::Strategic, r#"{"data":5}"#, r#""map[data:5]": cannot restore map from int64"#),
        (PatchType::Strategic, r#"{"data":{"k":5}}"#, r#""map[data:map[k:5]]": cannot convert int64 to string"#),
        (PatchType::Strategic, r#"{"immutable":"x"}"#, r#""map[immutable:x]": unrecognized type: bool"#),
        (
            PatchType::Strategic,
            r#"{"zz":1,"aa":1}"#,
            r#": strict decoding error: unknown field "aa", unknown field "zz""#,
        ),
    ] {
        let Error::Invalid(text) = apply(patch_type, body).expect_err(body) else { panic!("{body}") };
        assert!(text.starts_with("Invalid value: \"") && text.ends_with(end), "{body}: {text}");
    }
    assert_eq!(
        apply(PatchType::Json, r#"[{"op":"remove","path":"/x"}]"#).expect_err("nothing there"),
        Error::DoesNotApply
    );
}

#[test]
fn merge_patch_deletes_by_null() {
    let mut document = json!({"a": {"b": 1, "c": 2}, "l": [1, 2], "s": "x"});
    let Value::Object(patch) = json!({"a": {"b": null, "d": {"e": null, "f": 1}}, "l": [3], "s": {"t": 1}}) else {
        panic!()
    };
    merge::apply(&mut document, patch);
    assert_eq!(document, json!({"a": {"c": 2, "d": {"f": 1}}, "l": [3], "s": {"t": 1}}));
}

#[test]
fn strategic_patch_merges_lists_by_key() {
    let pod = |containers: Value| json!({"spec": {"containers": containers}});
    let abc = || pod(json!([{"name": "a", "image": "a"}, {"name": "b", "image": "b"}, {"name": "c", "image": "c"}]));
    for (patch, expected) in [
        (
            pod(json!([{"name": "b", "image": "bb"}])),
            pod(json!([{"name": "a", "image": "a"}, {"name": "b", "image": "bb"}, {"name": "c", "image": "c"}])),
        ),
        (
            json!({"spec": {"$setElementOrder/containers": [{"name": "c"}, {"name": "a"}, {"name": "b"}],
                "containers": [{"name": "b", "image": "bb"}]}}),
            pod(json!([{"name": "c", "image": "c"}, {"name": "a", "image": "a"}, {"name": "b", "image": "bb"}])),
        ),
        (
            pod(json!([{"name": "a", "$patch": "delete"}, {"name": "d", "image": "d"}])),
            pod(json!([{"name": "d", "image": "d"}, {"name": "b", "image": "b"}, {"name": "c", "image": "c"}])),
        ),
        (pod(json!([{"$patch": "replace"}, {"name": "z"}])), pod(json!([{"name": "z"}]))),
    ] {
        assert_eq!(strategic(POD, abc(), patch.clone()).as_ref(), Ok(&expected), "{patch}");
    }
}

#[test]
fn strategic_patch_puts_new_elements_of_the_patch_first() {
    let original = json!({"imagePullSecrets": [{"name": "a"}], "secrets": [{"name": "x"}]});
    let patch = json!({"imagePullSecrets": [{"name": "b"}], "secrets": [{"name": "y"}]});
    let expected = json!({"imagePullSecrets": [{"name": "b"}], "secrets": [{"name": "y"}, {"name": "x"}]});
    assert_eq!(strategic(SERVICE_ACCOUNT, original, patch), Ok(expected));
}

#[test]
fn strategic_patch_obeys_directives() {
    let data = |data: Value| json!({ "data": data });
    for (patch, expected) in [
        (data(json!({"$patch": "replace", "n": "w"})), data(json!({"n": "w"}))),
        (data(json!({"$patch": "delete"})), data(json!({}))),
        (data(json!({"k": null, "n": null, "o": "p"})), data(json!({"o": "p"}))),
    ] {
        assert_eq!(strategic(CONFIG_MAP, data(json!({"k": "v"})), patch.clone()).as_ref(), Ok(&expected), "{patch}");
    }
    let deployment = |strategy: Value| json!({"spec": {"strategy": strategy}});
    let rolling = deployment(json!({"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1}}));
    let patch = deployment(json!({"$retainKeys": ["type"], "type": "Recreate"}));
    assert_eq!(strategic(DEPLOYMENT, rolling, patch), Ok(deployment(json!({"type": "Recreate"}))));
    let finalizers = |list: Value| json!({ "metadata": list });
    let patch = finalizers(json!({"$deleteFromPrimitiveList/finalizers": ["a/b"], "finalizers": ["e/f"]}));
    let expected = finalizers(json!({"finalizers": ["e/f", "c/d"]}));
    assert_eq!(strategic(POD, finalizers(json!({"finalizers": ["a/b", "c/d"]})), patch), Ok(expected));
}

#[test]
fn strategic_patch_says_what_is_wrong() {
    for (gvk, original, patch, error) in [
        (
            CONFIG_MAP,
            json!({"data": {"k": "v"}}),
            json!({"data": {"$patch": "frob"}}),
            "unknown patch type: frob in map: map[$patch:frob]",
        ),
        (
            POD,
            json!({"spec": {"containers": [{"name": "a"}]}}),
            json!({"spec": {"containers": [{"image": "z"}]}}),
            "map: map[image:z] does not contain declared merge key: name",
        ),
        (
            SERVICE,
            json!({"spec": {"ports": [{"name": "a", "port": 80}]}}),
            json!({"spec": {"ports": [{"name": "a", "targetPort": 99}]}}),
            "map: map[name:a targetPort:99] does not contain declared merge key: port",
        ),
        (DEPLOYMENT, json!({"spec": {"replicas": 1}}), json!({"spec": {"replicas": "x"}}), "unrecognized type: int32"),
        (
            DEPLOYMENT,
            json!({"spec": {"template": {"spec": {"containers": []}}}}),
            json!({"spec": {"template": {"spec": {"containers": "x"}}}}),
            "cannot restore slice from string",
        ),
        (POD, json!({}), json!({"spec": {"$setElementOrder": 1}}), "invalid patch format of setElementOrder list"),
        (POD, json!({"spec": {}}), json!({"spec": {"$retainKeys": 1}}), "invalid patch format of retainKeys"),
    ] {
        let found = strategic(gvk, original, patch.clone());
        if patch.pointer("/spec/$setElementOrder").is_some() {
            assert!(found.is_ok(), "nothing to merge with, so directives are dropped");
            continue;
        }
        assert_eq!(found, Err(error.to_owned()), "{patch}");
    }
}

#[test]
fn json_patch_cannot_grow_a_document_without_bounds() {
    let deep: Vec<Value> =
        (1..200).map(|level| json!({"op": "add", "path": "/a".repeat(level), "value": {}})).collect();
    assert_eq!(patched(json!({}), Value::Array(deep)), None);
    let wide: Vec<Value> =
        (0..64).map(|copy| json!({"op": "copy", "from": "/a", "path": format!("/a/{copy}")})).collect();
    assert_eq!(patched(json!({"a": {}}), Value::Array(wide)), None);
}
