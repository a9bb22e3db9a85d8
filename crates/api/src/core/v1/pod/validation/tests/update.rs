//! Changes of Pods.

use serde_json::{Value, json};

use super::super::{validate_ephemeral_containers_update, validate_resize, validate_status_update, validate_update};
use super::{pod, texts};

fn check_update(old: Value, new: Value, expected: &[&str]) {
    check_with(validate_update, old, new, expected);
}

type Rule = fn(&super::Pod, &super::Pod) -> super::ErrorList;

fn check_with(rule: Rule, old: Value, new: Value, expected: &[&str]) {
    let errors = texts(&rule(&pod(&new), &pod(&old)));
    let fits =
        errors.len() == expected.len() && errors.iter().zip(expected).all(|(error, text)| error.starts_with(text));
    assert!(fits, "{old} to {new}\nexpected {expected:#?}\nfound {errors:#?}");
}

#[test]
fn images_tolerations_and_deadlines_may_change() {
    let toleration = json!({"key": "a", "operator": "Exists", "effect": "NoExecute"});
    let longer = json!({"key": "a", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 5});
    check_update(
        json!({"spec": {"activeDeadlineSeconds": 9, "tolerations": [toleration]}}),
        json!({"spec": {
            "activeDeadlineSeconds": 5, "containers": [{"name": "c", "image": "other", "imagePullPolicy": "Always"}],
            "tolerations": [longer, {"operator": "Exists"}],
        }}),
        &[],
    );
    check_update(
        json!({"spec": {"activeDeadlineSeconds": 5, "tolerations": [toleration]}}),
        json!({"spec": {"activeDeadlineSeconds": 9, "tolerations": []}}),
        &["spec.activeDeadlineSeconds: Invalid value: 9: must be less than or equal to previous value"],
    );
    check_update(
        json!({"spec": {"tolerations": [toleration]}}),
        json!({"spec": {"tolerations": [{"key": "b", "operator": "Exists"}]}}),
        &["spec.tolerations: Forbidden: existing toleration can not be modified except its tolerationSeconds"],
    );
}

#[test]
fn everything_else_stays() {
    check_update(
        json!({}),
        json!({"spec": {"containers": [{"name": "c", "image": "i", "command": ["x"]}]}}),
        &["spec: Forbidden: pod updates may not change fields other than `spec.containers[*].image`"],
    );
    check_update(
        json!({}),
        json!({"spec": {"containers": [{"name": "c", "image": "i"}, {"name": "d", "image": "i"}]}}),
        &["spec.containers: Forbidden: pod updates may not add or remove containers"],
    );
    check_update(
        json!({"metadata": {"annotations": {}}}),
        json!({"metadata": {"annotations": {"kubernetes.io/config.mirror": "x"}}, "spec": {"nodeName": ""}}),
        &[
            "metadata.annotations[kubernetes.io/config.mirror]: Invalid value",
            "metadata.annotations[kubernetes.io/config.mirror]: Forbidden: may not add mirror pod annotation",
            "metadata.annotations[kubernetes.io/config.mirror]: Invalid value",
        ],
    );
}

#[test]
fn gated_pods_may_be_narrowed_and_released() {
    let gates = json!([{"name": "a/b"}, {"name": "a/c"}]);
    check_update(
        json!({"spec": {"schedulingGates": gates, "nodeSelector": {"a": "b"}}}),
        json!({"spec": {"schedulingGates": [{"name": "a/c"}], "nodeSelector": {"a": "b", "c": "d"}}}),
        &[],
    );
    check_update(
        json!({"spec": {"schedulingGates": [{"name": "a/b"}], "nodeSelector": {"a": "b"}}}),
        json!({"spec": {"schedulingGates": gates, "nodeSelector": {"a": "z"}}}),
        &[
            "spec.schedulingGates[1].name: Forbidden: only deletion is allowed, but found new scheduling gate 'a/c'",
            "spec.nodeSelector: Invalid value: {\"a\":\"z\"}: only additions to spec.nodeSelector are allowed",
        ],
    );
}

#[test]
fn status_updates_keep_node_and_class() {
    let status = |status: Value| json!({"status": status});
    check_with(
        validate_status_update,
        status(json!({"qosClass": "BestEffort"})),
        json!({"spec": {"nodeName": "n"}, "status": {
            "qosClass": "Burstable", "podIPs": [{"ip": "x"}], "nominatedNodeName": "B_",
            "conditions": [{"type": "a b", "status": "True"}],
        }}),
        &[
            "metadata.conditions[0].Type: Invalid value: \"a b\"",
            "status.nodeName: Forbidden: may not be changed directly",
            "status.nominatedNodeName: Invalid value: \"B_\"",
            "status.qosClass: Invalid value: \"Burstable\": field is immutable",
            "status.podIPs[0]: Invalid value: \"x\": must be a valid IP address",
        ],
    );
    check_with(
        validate_status_update,
        status(json!({})),
        status(json!({"podIPs": [{"ip": "10.0.0.1"}, {"ip": "10.0.0.1"}], "hostIPs": [{"ip": "1.1.1.1"}]})),
        &[
            "status.podIPs: Invalid value: [{\"IP\":\"10.0.0.1\"},{\"IP\":\"10.0.0.1\"}]: may specify no more than one IP",
            "status.podIPs[1]: Duplicate value: {\"IP\":\"10.0.0.1\"}",
            "status.hostIPs[0].ip: Invalid value: \"1.1.1.1\": must be equal to `hostIP`",
        ],
    );
}

#[test]
fn ended_containers_stay_ended_unless_they_may_restart() {
    let state = |state: Value, exit: i32, policy: &str| {
        let state = if state == "ended" { json!({"terminated": {"exitCode": exit}}) } else { json!({"running": {}}) };
        let status =
            json!({"name": "c", "image": "", "imageID": "", "ready": false, "restartCount": 0, "state": state});
        json!({"spec": {"restartPolicy": policy}, "status": {"containerStatuses": [status]}})
    };
    for (policy, exit, allowed) in
        [("Always", 0, true), ("OnFailure", 1, true), ("OnFailure", 0, false), ("Never", 1, false)]
    {
        let message = "status.containerStatuses[0].state: Forbidden: may not be transitioned to non-terminated state";
        let expected: &[&str] = if allowed { &[] } else { &[message] };
        let (old, new) = (state(json!("ended"), exit, policy), state(json!("runs"), exit, policy));
        check_with(validate_status_update, old, new, expected);
    }
}

#[test]
fn ended_init_containers_come_back_when_the_pod_may_start_over() {
    let pod = |state: Value, action: &str| {
        let exits = json!({"operator": "In", "values": [42]});
        let rules = json!([{"action": action, "exitCodes": exits}]);
        let main = json!({"name": "c", "restartPolicy": "Never", "restartPolicyRules": rules});
        let status =
            json!({"name": "i", "image": "", "imageID": "", "ready": false, "restartCount": 0, "state": state});
        json!({
            "spec": {"restartPolicy": "Never", "initContainers": [{"name": "i"}], "containers": [main]},
            "status": {"initContainerStatuses": [status]},
        })
    };
    let message = "status.initContainerStatuses[0].state: Forbidden: may not be transitioned to non-terminated state";
    for (action, expected) in [("RestartAllContainers", &[][..]), ("Restart", &[message][..])] {
        let old = pod(json!({"terminated": {"exitCode": 0}}), action);
        check_with(validate_status_update, old, pod(json!({"running": {}}), action), expected);
    }
}

#[test]
fn ephemeral_containers_are_only_added() {
    let containers = |containers: Value| json!({"spec": {"ephemeralContainers": containers}});
    let first = json!({"name": "e", "image": "i", "targetContainerName": "c"});
    let rule = validate_ephemeral_containers_update;
    check_with(rule, json!({}), containers(json!([first])), &[]);
    check_with(rule, containers(json!([first])), containers(json!([first, {"name": "f", "image": "i"}])), &[]);
    check_with(
        rule,
        containers(json!([first])),
        containers(json!([])),
        &["spec.ephemeralContainers: Forbidden: existing ephemeral containers \"e\" may not be removed"],
    );
    check_with(
        rule,
        containers(json!([{"name": "e", "image": "i"}])),
        containers(json!([{"name": "e", "image": "j"}])),
        &[
            "spec.ephemeralContainers: Forbidden: existing ephemeral containers \"e\" may not be changed\n@@ -1,6 +1,6 @@\n {\n  \"Name\": \"e\",\n- \"Image\": \"i\",\n+ \"Image\": \"j\",\n  \"Command\": null,\n",
        ],
    );
    check_with(
        rule,
        json!({}),
        containers(json!([{"name": "c", "image": "i", "ports": [{"containerPort": 1}], "targetContainerName": "z"}])),
        &[
            "spec.ephemeralContainers[0].name: Duplicate value: \"c\"",
            "spec.ephemeralContainers[0].targetContainerName: Not found: \"z\"",
            "spec.ephemeralContainers[0].ports: Forbidden: cannot be set for an Ephemeral Container",
        ],
    );
}

#[test]
fn only_cpu_and_memory_are_resized() {
    let resources =
        |resources: Value| json!({"spec": {"containers": [{"name": "c", "image": "i", "resources": resources}]}});
    let old = resources(json!({"requests": {"cpu": "1", "memory": "1Gi"}}));
    check_with(validate_resize, old.clone(), resources(json!({"requests": {"cpu": "2", "memory": "2Gi"}})), &[]);
    check_with(
        validate_resize,
        old.clone(),
        resources(json!({"requests": {"cpu": "2"}})),
        &["spec.containers[0].resources.requests: Forbidden: resource requests cannot be removed"],
    );
    check_with(
        validate_resize,
        old,
        resources(json!({"requests": {"cpu": "1", "memory": "1Gi", "ephemeral-storage": "1Gi"}})),
        &["spec: Forbidden: only cpu and memory resources are mutable"],
    );
}
