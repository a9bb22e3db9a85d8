use api::k8s_openapi::api::core::v1::Pod;
use serde_json::{Value, json};

use super::write::{Headers, Source, partial_list, table};
use super::*;
use crate::negotiate::IncludeObject;

const NOW: &str = "2026-01-02T00:00:00Z";

fn row(kind: (&'static str, &'static str, &'static str), object: Value) -> Row {
    let gvk = Gvk { group: kind.0, version: kind.1, kind: kind.2 };
    let entry = api::scheme::lookup(gvk.group, gvk.version, gvk.kind).expect("a built-in kind");
    let object = (entry.from_value)(object).expect("an object");
    columns_for(gvk).row(&*object, NOW.parse().expect("a time"))
}

/// Ready, status and restarts of a Pod.
fn pod(spec: Value, status: Value) -> String {
    let metadata = json!({"name": "p", "creationTimestamp": "2026-01-01T00:00:00Z"});
    let cells = row(("", "v1", "Pod"), json!({"metadata": metadata, "spec": spec, "status": status})).cells;
    cells[1..4].iter().filter_map(Value::as_str).collect::<Vec<_>>().join(" ")
}

fn two() -> Value {
    json!({"containers": [{"name": "a"}, {"name": "b"}]})
}

#[test]
fn spans_of_time_have_two_or_three_figures() {
    for (seconds, text) in [
        (-2, "<invalid>"),
        (-1, "0s"),
        (0, "0s"),
        (119, "119s"),
        (120, "2m"),
        (125, "2m5s"),
        (600, "10m"),
        (10_799, "179m"),
        (10_800, "3h"),
        (11_460, "3h11m"),
        (28_800, "8h"),
        (172_799, "47h"),
        (172_800, "2d"),
        (180_000, "2d2h"),
        (691_200, "8d"),
        (63_072_000, "2y"),
        (70_000_000, "2y80d"),
        (252_288_000, "8y"),
    ] {
        assert_eq!(age::human(seconds), text, "{seconds}");
    }
}

#[test]
fn pod_status_is_one_word() {
    let waiting = |reason: &str| json!({"waiting": {"reason": reason}});
    let containers = |a: Value, b: Value| {
        json!({"phase": "Running", "containerStatuses": [
            {"name": "a", "ready": a.get("running").is_some(), "restartCount": 0, "state": a},
            {"name": "b", "ready": b.get("running").is_some(), "restartCount": 0, "state": b},
        ]})
    };
    let (running, done) = (json!({"running": {}}), json!({"terminated": {"exitCode": 0, "reason": "Completed"}}));
    for (status, expected) in [
        (json!({"phase": "Pending"}), "0/2 Pending 0"),
        (json!({"phase": "Failed", "reason": "Evicted"}), "0/2 Evicted 0"),
        (
            json!({"phase": "Pending", "conditions":
                [{"type": "PodScheduled", "status": "False", "reason": "SchedulingGated"}]}),
            "0/2 SchedulingGated 0",
        ),
        (containers(running.clone(), running.clone()), "2/2 Running 0"),
        (containers(running.clone(), waiting("CrashLoopBackOff")), "1/2 CrashLoopBackOff 0"),
        (containers(done.clone(), done.clone()), "0/2 Completed 0"),
        (containers(running.clone(), done.clone()), "1/2 NotReady 0"),
        (containers(json!({"terminated": {"exitCode": 3}}), running.clone()), "1/2 ExitCode:3 0"),
        (containers(json!({"terminated": {"exitCode": 137, "signal": 9}}), running), "1/2 Signal:9 0"),
    ] {
        assert_eq!(pod(two(), status.clone()), expected, "{status}");
    }
}

#[test]
fn pod_status_follows_init_containers() {
    let spec = json!({"containers": [{"name": "a"}], "initContainers": [
        {"name": "side", "restartPolicy": "Always"}, {"name": "one"}, {"name": "two"}]});
    let status = |one: Value, two: Value| {
        json!({"phase": "Pending", "initContainerStatuses": [
            {"name": "side", "ready": true, "started": true, "restartCount": 2, "state": {"running": {}}},
            {"name": "one", "restartCount": 1, "state": one},
            {"name": "two", "restartCount": 0, "state": two},
        ]})
    };
    let done = || json!({"terminated": {"exitCode": 0}});
    for (one, two, expected) in [
        (json!({"running": {}}), json!({}), "1/2 Init:1/3 3"),
        (done(), json!({"waiting": {"reason": "PodInitializing"}}), "1/2 Init:2/3 3"),
        (done(), json!({"waiting": {"reason": "ImagePullBackOff"}}), "1/2 Init:ImagePullBackOff 3"),
        (done(), json!({"terminated": {"exitCode": 1, "reason": "Error"}}), "1/2 Init:Error 3"),
        (done(), json!({"terminated": {"exitCode": 2}}), "1/2 Init:ExitCode:2 3"),
        (done(), done(), "1/2 Pending 2"),
    ] {
        assert_eq!(pod(spec.clone(), status(one, two)), expected);
    }
}

#[test]
fn pod_restarts_say_when() {
    let status = json!({"phase": "Running", "containerStatuses": [{"name": "a", "ready": true, "restartCount": 3,
        "state": {"running": {}}, "lastState": {"terminated": {"exitCode": 1, "finishedAt": "2026-01-01T23:54:50Z"}}}]});
    assert_eq!(pod(two(), status), "1/2 Running 3 (5m10s ago)");
}

#[test]
fn deleted_pod_is_terminating_unless_it_is_done_or_lost() {
    for (phase, reason, expected) in
        [("Running", "", "Terminating"), ("Succeeded", "", "Succeeded"), ("Running", "NodeLost", "Unknown")]
    {
        let object = json!({"metadata": {"name": "p", "deletionTimestamp": NOW}, "spec": two(),
            "status": {"phase": phase, "reason": reason}});
        assert_eq!(row(("", "v1", "Pod"), object).cells[2], expected);
    }
}

#[test]
fn wide_cells_of_a_pod() {
    let object = json!({"metadata": {"name": "p"},
        "spec": {"containers": [], "nodeName": "n", "readinessGates": [{"conditionType": "a"}, {"conditionType": "b"}]},
        "status": {"podIPs": [{"ip": "10.0.0.1"}], "conditions": [{"type": "b", "status": "True"}]}});
    let cells = row(("", "v1", "Pod"), object).cells;
    assert_eq!(cells[4..], [json!("<unknown>"), json!("10.0.0.1"), json!("n"), json!("<none>"), json!("1/2")]);
}

#[test]
fn rows_of_other_kinds() {
    let created = "2026-01-01T23:59:00Z";
    let metadata = json!({"name": "x", "creationTimestamp": created});
    let node = json!({"metadata": {"name": "x", "creationTimestamp": created, "labels": {
            "node-role.kubernetes.io/worker": "", "node-role.kubernetes.io/control-plane": "", "kubernetes.io/role": "edge"}},
        "spec": {"unschedulable": true},
        "status": {"conditions": [{"type": "Ready", "status": "True"}],
            "addresses": [{"type": "InternalIP", "address": "192.0.2.1"}]}});
    for (kind, object, cells) in [
        (
            ("", "v1", "ConfigMap"),
            json!({"metadata": metadata, "data": {"a": ""}, "binaryData": {"b": ""}}),
            json!(["x", 2, "60s"]),
        ),
        (("", "v1", "Secret"), json!({"metadata": metadata, "type": "Opaque"}), json!(["x", "Opaque", 0, "60s"])),
        (("", "v1", "ServiceAccount"), json!({"metadata": metadata}), json!(["x", "60s"])),
        (
            ("", "v1", "Namespace"),
            json!({"metadata": metadata, "status": {"phase": "Active"}}),
            json!(["x", "Active", "60s"]),
        ),
        (
            ("coordination.k8s.io", "v1", "Lease"),
            json!({"metadata": metadata, "spec": {"holderIdentity": "h"}}),
            json!(["x", "h", "60s"]),
        ),
        (
            ("", "v1", "Node"),
            node,
            json!([
                "x",
                "Ready,SchedulingDisabled",
                "control-plane,edge,worker",
                "60s",
                "",
                "192.0.2.1",
                "<none>",
                "<unknown>",
                "<unknown>",
                "<unknown>"
            ]),
        ),
        (
            ("", "v1", "Event"),
            json!({"metadata": metadata, "involvedObject": {"kind": "Pod", "name": "p"}, "type": "Normal", "reason": "R",
                "message": " M\n", "source": {"component": "kubelet", "host": "n"},
                "firstTimestamp": "2026-01-01T23:00:00Z", "lastTimestamp": created, "count": 4}),
            json!(["60s", "Normal", "R", "pod/p", "", "kubelet, n", "M", "60m", 4, "x"]),
        ),
        (
            ("events.k8s.io", "v1", "Event"),
            json!({"metadata": metadata, "regarding": {"kind": "Node"}, "note": "M", "reportingController": "c",
                "eventTime": "2026-01-01T23:59:00.000000Z"}),
            json!(["60s", "", "", "node", "", "c", "M", "60s", 1, "x"]),
        ),
    ] {
        assert_eq!(Value::Array(row(kind, object).cells), cells, "{kind:?}");
    }
}

#[test]
fn every_row_fills_every_column() {
    for entry in api::scheme::KINDS {
        let object = (entry.from_value)(json!({"metadata": {"name": "x"}})).expect("an object");
        let columns = columns_for(entry.gvk);
        assert_eq!(columns.row(&*object, NOW.parse().expect("a time")).cells.len(), columns.definitions.len());
    }
}

#[test]
fn tables_carry_what_was_asked_for() {
    let object: Pod =
        serde_json::from_value(json!({"metadata": {"name": "p"}, "status": {"phase": "Succeeded"}})).expect("a Pod");
    let gvk = Gvk { group: "", version: "v1", kind: "Pod" };
    let source = Source { object: &object, json: br#"{"whole":1}"#, metadata: br#"{"name":"p"}"# };
    let write = |include, headers| -> Value {
        let text = table(
            columns_for(gvk),
            br#"{"resourceVersion":"7"}"#,
            [source, source],
            include,
            headers,
            Timestamp::UNIX_EPOCH,
        );
        serde_json::from_slice(&text).expect("JSON")
    };
    let found = write(IncludeObject::Metadata, Headers::Shown);
    assert_eq!((&found["kind"], &found["metadata"]["resourceVersion"]), (&json!("Table"), &json!("7")));
    assert_eq!(found["columnDefinitions"].as_array().map(Vec::len), Some(9));
    assert_eq!(found["rows"].as_array().map(Vec::len), Some(2));
    assert_eq!(found["rows"][0]["conditions"][0]["reason"], "Succeeded");
    let partial = json!({"kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1", "metadata": {"name": "p"}});
    assert_eq!(found["rows"][1]["object"], partial);
    let found = write(IncludeObject::Object, Headers::Hidden);
    assert_eq!((&found["rows"][0]["object"], &found["columnDefinitions"]), (&json!({"whole": 1}), &json!([])));
    assert_eq!(write(IncludeObject::None, Headers::Shown)["rows"][0]["object"], Value::Null);
}

#[test]
fn empty_metadata_lists_have_no_items() {
    let parse = |text: Vec<u8>| serde_json::from_slice::<Value>(&text).expect("JSON");
    assert_eq!(parse(partial_list(b"{}", []))["items"], Value::Null);
    let found = parse(partial_list(b"{}", [br#"{"name":"a"}"#.as_slice(), br#"{"name":"b"}"#]));
    assert_eq!(found["items"][1]["metadata"]["name"], "b");
}
