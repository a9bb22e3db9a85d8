use serde_json::{Value, json};

use crate::Kind;

fn check(spec: Value, expected: &[&str]) {
    let pod: k8s_openapi::api::core::v1::Pod = serde_json::from_value(json!({"metadata": {}, "spec": spec})).unwrap();
    assert_eq!(Kind::warnings(&pod), expected, "{spec}");
}

#[test]
fn what_cannot_have_been_meant_is_warned_of() {
    check(
        json!({"containers": [], "terminationGracePeriodSeconds": -1}),
        &["spec.terminationGracePeriodSeconds: must be >= 0; negative values are invalid and will be treated as 1"],
    );
    let term = json!({"topologyKey": "z"});
    let preferred = json!([{"weight": 1, "podAffinityTerm": term}]);
    check(
        json!({"containers": [], "affinity": {
            "podAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [term]},
            "podAntiAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": preferred}}}),
        &[
            "spec.affinity.podAffinity.requiredDuringSchedulingIgnoredDuringExecution[0].labelSelector: a null \
             labelSelector results in matching no pod",
            "spec.affinity.podAntiAffinity.preferredDuringSchedulingIgnoredDuringExecution[0].podAffinityTerm.\
             labelSelector: a null labelSelector results in matching no pod",
        ],
    );
    check(
        json!({"containers": [{"name": "c", "ports": [{"containerPort": 80, "protocol": "TCP", "hostIP": "10.0.0.1"}]}]}),
        &["spec.containers[0].ports[0]: hostIP set without hostPort: {Name: HostPort:0 ContainerPort:80 Protocol:TCP \
           HostIP:10.0.0.1}"],
    );
    let claim = json!({"spec": {"accessModes": [], "resources": {"requests": {"storage": "200m"}}}});
    check(
        json!({"containers": [], "volumes": [{"name": "v", "ephemeral": {"volumeClaimTemplate": claim}}]}),
        &["spec.volumes[0].ephemeral.volumeClaimTemplate.spec.resources.requests[storage]: fractional byte value \
           \"200m\" is invalid, must be an integer"],
    );
}

#[test]
fn suspicious_pods_are_warned_of() {
    let containers = |container: Value| json!({"containers": [container]});
    check(containers(json!({"name": "c"})), &[]);
    check(
        json!({"containers": [], "nodeSelector": {"beta.kubernetes.io/os": "linux"}}),
        &["spec.nodeSelector[beta.kubernetes.io/os]: deprecated since v1.14; use \"kubernetes.io/os\" instead"],
    );
    check(
        json!({"containers": [], "topologySpreadConstraints": [{"maxSkew": 1, "topologyKey": "z", "whenUnsatisfiable": "x"}]}),
        &["spec.topologySpreadConstraints[0].labelSelector: a null labelSelector results in matching no pod"],
    );
    check(
        json!({"containers": [], "imagePullSecrets": [{}, {}]}),
        &[
            "spec.imagePullSecrets[1].name: duplicate name \"\"",
            "spec.imagePullSecrets[0].name: invalid empty name \"\"",
            "spec.imagePullSecrets[1].name: invalid empty name \"\"",
        ],
    );
    check(
        containers(
            json!({"name": "c", "env": [{"name": "A", "value": "1"}, {"name": "A", "value": "$(A)2"}, {"name": "A", "value": "3"}]}),
        ),
        &["spec.containers[0].env[2]: hides previous definition of \"A\", which may be dropped when using apply"],
    );
    check(
        containers(json!({"name": "c", "resources": {"limits": {"memory": "100m"}}})),
        &["spec.containers[0].resources.limits[memory]: fractional byte value \"100m\" is invalid, must be an integer"],
    );
    check(
        containers(
            json!({"name": "c", "ports": [{"containerPort": 80}, {"containerPort": 80, "hostPort": 81}, {"containerPort": 80}]}),
        ),
        &[
            "spec.containers[0].ports[1]: overlapping port definition with spec.containers[0].ports[0]",
            "spec.containers[0].ports[2]: duplicate port definition with spec.containers[0].ports[0]",
            "spec.containers[0].ports[2]: overlapping port definition with spec.containers[0].ports[1]",
        ],
    );
}
