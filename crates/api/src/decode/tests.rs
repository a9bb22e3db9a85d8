use super::*;

const POD: Gvk = Gvk { group: "", version: "v1", kind: "Pod" };
const CONFIG_MAP: Gvk = Gvk { group: "", version: "v1", kind: "ConfigMap" };
const SECRET: Gvk = Gvk { group: "", version: "v1", kind: "Secret" };

fn structure(gvk: Gvk) -> Type {
    Type::of_kind(gvk.group, gvk.version, gvk.kind).expect("a built-in kind")
}

/// The checked tree of a body, or the message.
fn tree(gvk: Gvk, body: &str) -> Result<Checked, String> {
    decode_tree(body.as_bytes(), Format::Json, structure(gvk)).map_err(|error| error.0)
}

fn message(gvk: Gvk, body: &str) -> String {
    decode(body.as_bytes(), Format::Json, gvk, FieldValidation::Strict).expect_err(body).0
}

#[test]
fn says_what_is_wrong_with_a_type() {
    for (body, error) in [
        (r#"{"metadata":"x"}"#, "string into Go struct field Pod.metadata of type v1.ObjectMeta"),
        (
            r#"{"spec":{"containers":[{"command":"sh"}]}}"#,
            "string into Go struct field Container.spec.containers.command of type []string",
        ),
        (
            r#"{"spec":{"containers":[{"ports":[{"containerPort":"80"}]}]}}"#,
            "string into Go struct field ContainerPort.spec.containers.ports.containerPort of type int32",
        ),
        (
            r#"{"spec":{"containers":[{"ports":[{"containerPort":8.5}]}]}}"#,
            "number 8.5 into Go struct field ContainerPort.spec.containers.ports.containerPort of type int32",
        ),
        (r#"{"spec":{"containers":{}}}"#, "object into Go struct field PodSpec.spec.containers of type []v1.Container"),
        (r#"{"metadata":{"labels":{"a":1}}}"#, "number into Go struct field ObjectMeta.metadata.labels of type string"),
        (
            r#"{"metadata":{"creationTimestamp":5}}"#,
            "number into Go struct field ObjectMeta.metadata.creationTimestamp of type string",
        ),
        (
            r#"{"spec":{"containers":[{"livenessProbe":{"httpGet":{"port":true}}}]}}"#,
            "bool into Go struct field HTTPGetAction.spec.containers.livenessProbe.httpGet.port of type int32",
        ),
    ] {
        assert_eq!(tree(POD, body).expect_err(body), format!("json: cannot unmarshal {error}"));
    }
}

#[test]
fn says_which_text_is_malformed() {
    for (gvk, body, error) in [
        (SECRET, r#"{"data":{"k":"not base64"}}"#, "illegal base64 data at input byte 3"),
        (SECRET, r#"{"data":{"k":"YQ="}}"#, "illegal base64 data at input byte 3"),
        (
            CONFIG_MAP,
            r#"{"metadata":{"creationTimestamp":"2020-13-01"}}"#,
            r#"parsing time "2020-13-01": month out of range"#,
        ),
        (
            CONFIG_MAP,
            r#"{"metadata":{"creationTimestamp":"x"}}"#,
            r#"parsing time "x" as "2006-01-02T15:04:05Z07:00": cannot parse "x" as "2006""#,
        ),
        (
            CONFIG_MAP,
            r#"{"metadata":{"creationTimestamp":"2020-02-30T00:00:00Z"}}"#,
            r#"parsing time "2020-02-30T00:00:00Z": day out of range"#,
        ),
        (
            CONFIG_MAP,
            r#"{"metadata":{"creationTimestamp":"2020-02-03T00:00:00Zz"}}"#,
            r#"parsing time "2020-02-03T00:00:00Zz": extra text: "z""#,
        ),
    ] {
        assert_eq!(tree(gvk, body).expect_err(body), error);
    }
    let quantity = r#"{"spec":{"containers":[{"resources":{"limits":{"cpu":"a"}}}]}}"#;
    assert!(tree(POD, quantity).expect_err("no quantity").starts_with("quantities must match the regular expression"));
}

#[test]
fn names_unknown_and_duplicate_fields_in_order() {
    let body = r#"{"metadata":{"labbels":{}},"spec":{"containers":[{"imagge":"x","image":"a","image":"b",
        "resources":{"limitz":{}}}],"bogus":1,"DNSPolicy":"x","nodeSelector":{"a":"1","a":"2"}},"top":{"a":1}}"#;
    let checked = tree(POD, body).expect("decodes");
    assert_eq!(
        checked.problems,
        [
            r#"unknown field "metadata.labbels""#,
            r#"unknown field "spec.containers[0].imagge""#,
            r#"duplicate field "spec.containers[0].image""#,
            r#"unknown field "spec.containers[0].resources.limitz""#,
            r#"unknown field "spec.bogus""#,
            r#"unknown field "spec.DNSPolicy""#,
            r#"duplicate field "spec.nodeSelector.a""#,
            r#"unknown field "top""#,
        ]
    );
    assert_eq!(checked.value.pointer("/spec/containers/0/image"), Some(&"b".into()));
    assert_eq!(checked.value.pointer("/spec/nodeSelector/a"), Some(&"2".into()));
    assert_eq!(checked.value.get("top"), None);
}

#[test]
fn refuses_problems_only_when_strict() {
    let body = br#"{"kind":"ConfigMap","apiVersion":"v1","bogus":1}"#;
    let warnings = |validation| {
        decode(body, Format::Json, CONFIG_MAP, validation).map(|decoded| decoded.warnings).map_err(|error| error.0)
    };
    assert_eq!(warnings(FieldValidation::Ignore), Ok(vec![]));
    assert_eq!(warnings(FieldValidation::Warn), Ok(vec![r#"unknown field "bogus""#.to_owned()]));
    let error =
        r#"ConfigMap in version "v1" cannot be handled as a ConfigMap: strict decoding error: unknown field "bogus""#;
    assert_eq!(warnings(FieldValidation::Strict), Err(error.to_owned()));
}

#[test]
fn takes_null_as_go_does() {
    let checked =
        tree(POD, r#"{"metadata":{"labels":{"a":null},"creationTimestamp":null},"spec":{"containers":[null]}}"#);
    let value = serde_json::json!({"metadata": {"labels": {"a": ""}}, "spec": {"containers": [{}]}});
    assert_eq!(checked.expect("decodes").value, value);
}

#[test]
fn names_the_body_that_is_no_object() {
    let head =
        "the object provided is unrecognized (must be of type ConfigMap): couldn't get version/kind; json parse error";
    let go_struct =
        r#"struct { APIVersion string "json:\"apiVersion,omitempty\""; Kind string "json:\"kind,omitempty\"" }"#;
    for (body, error) in [
        ("", "unexpected end of JSON input (<empty>)".to_owned()),
        (
            r#"{"apiVersion": "v1", "kind": "Pod", "#,
            r#"unexpected end of JSON input ({"apiVersion": "v1", "kind": " ...)"#.to_owned(),
        ),
        (r#""x""#, format!("json: cannot unmarshal string into Go value of type {go_struct} (227822)")),
        ("{} trailing", "invalid character 't' after top-level value ({} trailing)".to_owned()),
        (
            r#"{"kind":5}"#,
            r#"json: cannot unmarshal number into Go struct field .kind of type string ({"kind":5})"#.to_owned(),
        ),
    ] {
        assert_eq!(message(CONFIG_MAP, body), format!("{head}: {error}"));
    }
}

#[test]
fn names_the_kind_that_does_not_belong() {
    for (body, error) in [
        (
            r#"{"apiVersion":"v1","kind":"Podd"}"#,
            r#"Podd in version "v1" cannot be handled as a Pod: no kind "Podd" is registered for version "v1" in scheme "pkg/api/legacyscheme/scheme.go:30""#,
        ),
        (
            r#"{"apiVersion":"apps/v1","kind":"Deployment"}"#,
            r#"Deployment in version "v1" cannot be handled as a Pod: converting (v1.Deployment) to (core.Pod): unknown conversion"#,
        ),
    ] {
        assert_eq!(message(POD, body), error);
    }
    let event = Gvk { group: "events.k8s.io", version: "v1", kind: "Event" };
    let error = "the API version in the data (v1) does not match the expected API version (events.k8s.io/v1)";
    assert_eq!(message(event, r#"{"apiVersion":"v1","kind":"Event"}"#), error);
}

#[test]
fn scans_json_as_go_does() {
    for (text, error) in [
        ("not json", "invalid character 'o' in literal null (expecting 'u')"),
        ("[.]", "invalid character '.' looking for beginning of value"),
        ("{a}", "invalid character 'a' looking for beginning of object key string"),
        (r#"{"a" 1}"#, "invalid character '1' after object key"),
        (r#"{"a":1 "b"}"#, "invalid character '\"' after object key:value pair"),
        ("[1 2]", "invalid character '2' after array element"),
        ("[1,]", "invalid character ']' looking for beginning of value"),
        ("-x", "invalid character 'x' in numeric literal"),
        ("1.x", "invalid character 'x' after decimal point in numeric literal"),
        ("1ex", "invalid character 'x' in exponent of numeric literal"),
        ("\"\n\"", "invalid character '\\n' in string literal"),
        (r#""\x""#, "invalid character 'x' in string escape code"),
        (r#""\u00x0""#, r"invalid character 'x' in \u hexadecimal character escape"),
        ("tru", "unexpected end of JSON input"),
        ("01", "invalid character '1' after top-level value"),
    ] {
        assert_eq!(json::parse(text.as_bytes()).expect_err(text).to_string(), error);
    }
    let nested = "[".repeat(100_000);
    assert_eq!(json::parse(nested.as_bytes()), Err(json::SyntaxError::TooDeep));
    let text = json::parse(br#""a\n\u00e9\ud83d\ude00\ud800x\"""#).expect("parses");
    assert_eq!(text, Node::String("a\né😀\u{fffd}x\"".into()));
}

#[test]
fn reads_yaml_as_kubernetes_does() {
    let text = "b: yes\na: 0777\nc: &x {k: 1_000, s: '1', t: 2001-01-01}\nd: *x\nf: 1.5e3\nnothing: ~\ne:\n- on\n- {<<: *x, k: 2}\n1: x\n";
    let document = yaml::parse(text).expect("parses");
    let expected = serde_json::json!({
        "1": "x", "a": 511, "b": true, "c": {"k": 1000, "s": "1", "t": "2001-01-01"},
        "d": {"k": 1000, "s": "1", "t": "2001-01-01"}, "e": [true, {"k": 2, "s": "1", "t": "2001-01-01"}],
        "f": 1500.0, "nothing": null,
    });
    assert_eq!(document.node.into_value(), expected);
    let document = yaml::parse("kind: x\ndata: {a: '1', a: '2'}\n").expect("parses");
    assert_eq!(document.duplicates, [r#"line 2: key "a" already set in map"#]);
    let mapping = "mapping values are not allowed in this context";
    assert_eq!(yaml::parse("a: b: c").expect_err("no YAML"), format!("yaml: {mapping}"));
    assert_eq!(yaml::parse("a: b\nc: d: e").expect_err("no YAML"), format!("yaml: line 2: {mapping}"));
}

#[test]
fn bounds_what_aliases_can_make() {
    let mut text = String::from("a0: &a0 [x,x,x,x,x,x,x,x,x,x]\n");
    for level in 1..12 {
        let inner = vec![format!("*a{}", level - 1); 10].join(",");
        text.push_str(&format!("a{level}: &a{level} [{inner}]\n"));
    }
    assert!(yaml::parse(&text).expect_err("too much").contains("excessive aliasing"));
    assert!(yaml::parse(&"[".repeat(10_000)).is_err());
    assert!(yaml::parse("a: &a [*a]").is_err());
}

#[test]
fn yaml_duplicates_are_one_strict_error() {
    let body = b"apiVersion: v1\nkind: ConfigMap\ndata: {a: '1', a: '2'}\nzz: 1\n";
    let decoded = decode(body, Format::Yaml, CONFIG_MAP, FieldValidation::Warn).expect("decodes");
    assert_eq!(decoded.warnings, [r#"line 3: key "a" already set in map"#, r#"unknown field "zz""#]);
    let error = decode(body, Format::Yaml, CONFIG_MAP, FieldValidation::Strict).expect_err("strict").0;
    let text =
        "strict decoding error: yaml: unmarshal errors:\n  line 3: key \"a\" already set in map, unknown field \"zz\"";
    assert!(error.ends_with(text), "{error}");
}

#[test]
fn tells_an_empty_required_selector_from_none() {
    let kind = |kind| Gvk { group: "apps", version: "v1", kind };
    let problems = |gvk: Gvk, selector: &str| {
        let pods = r#"{"metadata":{"labels":{"a":"b"}},"spec":{"containers":[{"name":"c","image":"i"}]}}"#;
        let body = format!(r#"{{"metadata":{{"name":"w","namespace":"n"}},"spec":{{{selector}"template":{pods}}}}}"#);
        let mut object =
            decode(body.as_bytes(), Format::Json, gvk, FieldValidation::Strict).expect("a workload").object;
        object.set_defaults();
        object.validate().iter().map(ToString::to_string).collect::<Vec<_>>()
    };
    let empty = |of: &str| vec![format!("spec.selector: Invalid value: {{}}: empty selector is invalid for {of}")];
    for (name, of) in [
        ("DaemonSet", "daemonset"),
        ("Deployment", "deployment"),
        ("ReplicaSet", "deployment"),
        ("StatefulSet", "statefulset"),
    ] {
        assert_eq!(problems(kind(name), r#""selector":{},"#), empty(of), "{name}");
    }
    let mismatch =
        "spec.template.metadata.labels: Invalid value: {\"a\":\"b\"}: `selector` does not match template `labels`";
    assert_eq!(problems(kind("Deployment"), ""), ["spec.selector: Required value", mismatch]);
}
