use serde_json::{Value, json};

use super::*;

fn defaulted(value: Value) -> Value {
    let mut pod: Pod = serde_json::from_value(value).unwrap();
    Kind::set_defaults(&mut pod);
    let once = serde_json::to_value(&pod).unwrap();
    Kind::set_defaults(&mut pod);
    assert_eq!(serde_json::to_value(&pod).unwrap(), once, "defaults are idempotent");
    once
}

#[test]
fn defaults_fill_the_smallest_pod() {
    let value =
        defaulted(json!({"metadata": {"name": "p"}, "spec": {"containers": [{"name": "c", "image": "busybox:1"}]}}));
    assert_eq!(
        value,
        json!({
            "apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p"}, "status": {},
            "spec": {
                "containers": [{
                    "name": "c", "image": "busybox:1", "imagePullPolicy": "IfNotPresent", "resources": {},
                    "terminationMessagePath": "/dev/termination-log", "terminationMessagePolicy": "File",
                }],
                "dnsPolicy": "ClusterFirst", "enableServiceLinks": true, "restartPolicy": "Always",
                "schedulerName": "default-scheduler", "securityContext": {}, "terminationGracePeriodSeconds": 30,
            },
        })
    );
}

#[test]
fn requests_default_to_limits_in_canonical_form() {
    let value = defaulted(json!({"spec": {"containers": [{"name": "c", "image": "i", "resources": {
        "limits": {"cpu": "0.5", "memory": "1024Mi"}, "requests": {"cpu": "100m"}}}]}}));
    assert_eq!(
        value["spec"]["containers"][0]["resources"],
        json!({"limits": {"cpu": "500m", "memory": "1Gi"}, "requests": {"cpu": "100m", "memory": "1Gi"}})
    );
}

#[test]
fn resources_of_the_pod_follow_from_its_containers() {
    let value = defaulted(json!({"spec": {
        "resources": {"limits": {"cpu": "2", "memory": "1Gi"}},
        "containers": [{"name": "c", "image": "i", "resources": {"requests": {"cpu": "300m"}, "limits": {"hugepages-2Mi": "4Mi"}}}],
    }}));
    assert_eq!(
        value["spec"]["resources"],
        json!({
            "limits": {"cpu": "2", "memory": "1Gi", "hugepages-2Mi": "4Mi"},
            "requests": {"cpu": "300m", "memory": "1Gi", "hugepages-2Mi": "4Mi"},
        })
    );
}

#[test]
fn zeros_that_say_nothing_are_left_out() {
    let value = defaulted(json!({"metadata": {"name": "p", "labels": {}}, "spec": {
        "hostNetwork": false, "nodeName": "", "volumes": [], "serviceAccount": "s",
        "imagePullSecrets": [{}],
        "containers": [{"name": "c", "image": "i", "tty": false, "args": [], "ports": [{"containerPort": 80, "hostPort": 0}]}],
    }}));
    let spec = &value["spec"];
    assert!(spec.get("hostNetwork").is_none() && spec.get("nodeName").is_none() && spec.get("volumes").is_none());
    assert_eq!(spec["serviceAccountName"], "s");
    assert_eq!(spec["containers"][0]["ports"], json!([{"containerPort": 80, "protocol": "TCP"}]));
    assert!(value["metadata"].get("labels").is_none());
}

#[test]
fn host_network_publishes_ports() {
    let value = defaulted(json!({"spec": {"hostNetwork": true, "containers": [
        {"name": "c", "image": "i", "ports": [{"containerPort": 80}]}]}}));
    assert_eq!(value["spec"]["containers"][0]["ports"][0]["hostPort"], 80);
}

#[test]
fn volumes_and_probes_get_their_defaults() {
    let value = defaulted(json!({"spec": {
        "volumes": [
            {"name": "a"}, {"name": "b", "hostPath": {"path": "/x"}}, {"name": "c", "secret": {"secretName": "s"}},
            {"name": "d", "projected": {"sources": [{"serviceAccountToken": {"path": "t"}}]}},
            {"name": "e", "emptyDir": {"sizeLimit": "1024Mi", "medium": ""}},
        ],
        "containers": [{"name": "c", "image": "i",
            "livenessProbe": {"httpGet": {"port": 80}}, "readinessProbe": {"grpc": {"port": 9}, "periodSeconds": 0},
            "env": [{"name": "A", "value": "", "valueFrom": {"resourceFieldRef": {"resource": "limits.cpu"}}}]}],
    }}));
    assert_eq!(
        value["spec"]["volumes"],
        json!([
            {"name": "a", "emptyDir": {}},
            {"name": "b", "hostPath": {"path": "/x", "type": ""}},
            {"name": "c", "secret": {"secretName": "s", "defaultMode": 420}},
            {"name": "d", "projected": {"defaultMode": 420, "sources": [
                {"serviceAccountToken": {"path": "t", "expirationSeconds": 3600}}]}},
            {"name": "e", "emptyDir": {"sizeLimit": "1Gi"}},
        ])
    );
    let container = &value["spec"]["containers"][0];
    assert_eq!(
        container["livenessProbe"],
        json!({"httpGet": {"path": "/", "port": 80, "scheme": "HTTP"}, "timeoutSeconds": 1, "periodSeconds": 10,
            "successThreshold": 1, "failureThreshold": 3})
    );
    assert_eq!(container["readinessProbe"]["grpc"], json!({"port": 9, "service": ""}));
    assert_eq!(
        container["env"],
        json!([{"name": "A", "valueFrom": {"resourceFieldRef": {"resource": "limits.cpu", "divisor": "0"}}}])
    );
}

#[test]
fn addresses_of_the_status_agree() {
    let addresses = |status: Value| {
        let value = defaulted(json!({"spec": {"containers": []}, "status": status}));
        (value["status"]["podIP"].clone(), value["status"]["podIPs"].clone())
    };
    let both = (json!("10.0.0.1"), json!([{"ip": "10.0.0.1"}]));
    assert_eq!(addresses(json!({"podIP": "10.0.0.1"})), both);
    assert_eq!(addresses(json!({"podIPs": [{"ip": "10.0.0.1"}]})), both);
    assert_eq!(addresses(json!({"podIP": "10.0.0.1", "podIPs": [{"ip": "10.0.0.2"}]})), both);
}
