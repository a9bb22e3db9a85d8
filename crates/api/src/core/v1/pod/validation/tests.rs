use serde_json::{Value, json};

use super::*;
use crate::object::Kind;

mod update;

/// A Pod of one container, with parts of its spec replaced.
fn pod(changes: &Value) -> Pod {
    let mut value = json!({
        "metadata": {"name": "p", "namespace": "n", "resourceVersion": "1"},
        "spec": {"serviceAccountName": "s", "containers": [{"name": "c", "image": "i"}]},
    });
    merge(&mut value, changes);
    let mut pod: Pod = serde_json::from_value(value).unwrap();
    Kind::set_defaults(&mut pod);
    pod
}

/// Merges objects field by field; everything else is replaced.
fn merge(value: &mut Value, changes: &Value) {
    match (value, changes) {
        (Value::Object(fields), Value::Object(changes)) => {
            for (key, change) in changes {
                merge(fields.entry(key).or_insert(Value::Null), change);
            }
        }
        (value, change) => *value = change.clone(),
    }
}

fn texts(errors: &ErrorList) -> Vec<String> {
    errors.iter().map(ToString::to_string).collect()
}

/// Each problem begins with one of the texts, in order.
fn check(changes: Value, expected: &[&str]) {
    let errors = texts(&validate_create(&pod(&changes)));
    let fits =
        errors.len() == expected.len() && errors.iter().zip(expected).all(|(error, text)| error.starts_with(text));
    assert!(fits, "{changes}\nexpected {expected:#?}\nfound {errors:#?}");
}

/// The same for the fields of the only container.
fn check_container(fields: Value, expected: &[&str]) {
    let mut container = json!({"name": "c", "image": "i"});
    merge(&mut container, &fields);
    check(json!({"spec": {"containers": [container], "volumes": [{"name": "v"}]}}), expected);
}

#[test]
fn the_smallest_pod_is_valid() {
    check(json!({}), &[]);
}

#[test]
fn containers_have_unique_names_and_images() {
    check(json!({"spec": {"containers": []}}), &["spec.containers: Required value"]);
    check(
        json!({"spec": {"containers": [{"name": "c", "image": "i"}, {"name": "c", "image": ""}, {"name": "A"}]}}),
        &[
            "spec.containers[1].image: Required value",
            "spec.containers[1].name: Duplicate value: \"c\"",
            "spec.containers[2].name: Invalid value: \"A\": a lowercase RFC 1123 label",
            "spec.containers[2].image: Required value",
        ],
    );
    check_container(
        json!({"image": " i", "imagePullPolicy": "Odd", "terminationMessagePolicy": "Odd"}),
        &[
            "spec.containers[0].terminationMessagePolicy: Unsupported value: \"Odd\": supported values: \"File\", \"FallbackToLogsOnError\"",
            "spec.containers[0].imagePullPolicy: Unsupported value: \"Odd\": supported values: \"Always\", \"IfNotPresent\", \"Never\"",
            "spec.containers[0].image: Invalid value: \" i\": must not have leading or trailing whitespace",
        ],
    );
}

#[test]
fn init_containers_have_no_probes_unless_they_stay() {
    let probe = json!({"tcpSocket": {"port": 1}});
    let init = |policy: Value| json!({"spec": {"initContainers": [{"name": "i", "image": "i", "restartPolicy": policy, "startupProbe": probe}]}});
    check(init(json!("Always")), &[]);
    check(
        init(Value::Null),
        &[
            "spec.initContainers[0].startupProbe: Forbidden: may not be set for init containers without restartPolicy=Always",
        ],
    );
    check(
        init(json!("Odd")),
        &[
            "spec.initContainers[0].restartPolicy: Unsupported value: \"Odd\": supported values: \"Always\", \"Never\", \"OnFailure\"",
            "spec.initContainers[0].startupProbe: Forbidden",
        ],
    );
    let duplicate = json!({"spec": {"initContainers": [{"name": "c", "image": "i"}]}});
    check(duplicate, &["spec.initContainers[0].name: Duplicate value: \"c\""]);
}

#[test]
fn restart_rules_need_a_policy_and_exit_codes() {
    let path = "spec.containers[0].restartPolicy";
    check_container(
        json!({"restartPolicyRules": [{"action": "Odd", "exitCodes": {"operator": "Equals"}}, {"action": "Restart"}]}),
        &[
            &format!("{path}: Required value: must specify restartPolicy when restart rules are used"),
            &format!(
                "{path}Rules[0].action: Unsupported value: \"Odd\": supported values: \"Restart\", \"RestartAllContainers\""
            ),
            &format!(
                "{path}Rules[0].exitCodes.operator: Unsupported value: \"Equals\": supported values: \"In\", \"NotIn\""
            ),
            &format!("{path}Rules[1].exitCodes: Required value: must be specified"),
        ],
    );
}

#[test]
fn ports_are_numbers_and_unique() {
    check_container(
        json!({"ports": [{"containerPort": 0, "name": "x"}, {"containerPort": 70000, "name": "x", "hostPort": 80},
            {"containerPort": 1, "hostPort": 80, "protocol": "ICMP"}, {"containerPort": 2, "hostPort": 80}]}),
        &[
            "spec.containers[0].ports[0].containerPort: Required value",
            "spec.containers[0].ports[1].name: Duplicate value: \"x\"",
            "spec.containers[0].ports[1].containerPort: Invalid value: 70000: must be between 1 and 65535, inclusive",
            "spec.containers[0].ports[2].protocol: Unsupported value: \"ICMP\": supported values: \"SCTP\", \"TCP\", \"UDP\"",
            "spec.containers[0].ports[3].hostPort: Duplicate value: \"TCP//80\"",
        ],
    );
    check(
        json!({"spec": {"hostNetwork": true, "containers": [
            {"name": "c", "image": "i", "ports": [{"containerPort": 80, "hostPort": 81}]}]}}),
        &["spec.containers[0].ports[0].hostPort: Invalid value: 81: must match `containerPort`"],
    );
}

#[test]
fn environment_comes_from_one_source() {
    let path = "spec.containers[0].env";
    check_container(
        json!({"env": [
            {"name": ""}, {"name": "a=b"}, {"name": "A", "valueFrom": {}},
            {"name": "B", "value": "x", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}},
            {"name": "C", "valueFrom": {"fieldRef": {"fieldPath": "spec.nope"}}},
            {"name": "D", "valueFrom": {"fieldRef": {"fieldPath": "metadata.labels['a b']"}}},
            {"name": "E", "valueFrom": {"configMapKeyRef": {"name": "c", "key": ".."}}},
            {"name": "F", "valueFrom": {"resourceFieldRef": {"resource": "limits.cpu", "divisor": "3m"}}},
        ]}),
        &[
            &format!("{path}[0].name: Required value"),
            &format!("{path}[1].name: Invalid value: \"a=b\": a valid environment variable name"),
            &format!("{path}[2].valueFrom: Invalid value: \"\": must specify one of"),
            &format!("{path}[3].valueFrom: Invalid value: \"\": may not be specified when `value` is not empty"),
            &format!(
                "{path}[4].valueFrom.fieldRef.fieldPath: Invalid value: \"spec.nope\": error converting fieldPath: field label not supported: spec.nope"
            ),
            &format!("{path}[5].valueFrom.fieldRef: Invalid value: \"a b\": name part"),
            &format!("{path}[6].valueFrom.configMapKeyRef.key: Invalid value: \"..\": must not be '..'"),
            &format!(
                "{path}[7].valueFrom.resourceFieldRef.divisor: Invalid value: \"limits.cpu\": only divisor's values 1m and 1"
            ),
        ],
    );
    check_container(
        json!({"envFrom": [{}, {"configMapRef": {"name": ""}}]}),
        &[
            "spec.containers[0].envFrom: Invalid value: \"\": must specify one of: `configMapRef` or `secretRef`",
            "spec.containers[0].envFrom[1].configMapRef.name: Required value",
        ],
    );
}

#[test]
fn mounts_name_volumes_of_the_pod() {
    let path = "spec.containers[0].volumeMounts";
    check_container(
        json!({"volumeMounts": [
            {"name": "v", "mountPath": "/x"}, {"name": "v", "mountPath": "/x"}, {"name": "w", "mountPath": ""},
            {"name": "v", "mountPath": "/y", "subPath": "../a", "mountPropagation": "Bidirectional"},
            {"name": "v", "mountPath": "/z", "recursiveReadOnly": "Enabled"},
        ]}),
        &[
            &format!("{path}[1].mountPath: Invalid value: \"/x\": must be unique"),
            &format!("{path}[2].name: Not found: \"w\""),
            &format!("{path}[2].mountPath: Required value"),
            &format!("{path}.subPath: Invalid value: \"../a\": must not contain '..'"),
            &format!("{path}.mountPropagation: Forbidden: Bidirectional mount propagation"),
            &format!("{path}.recursiveReadOnly: Forbidden: may only be specified when readOnly is true"),
        ],
    );
    check_container(
        json!({"volumeDevices": [{"name": "v", "devicePath": "/dev/../x"}, {"name": "w", "devicePath": ""}]}),
        &[
            "spec.containers[0].volumeDevices[0].name: Invalid value: \"v\": can only use volume source type",
            "spec.containers[0].volumeDevices[0].devicePath: Invalid value: \"/dev/../x\": can not contain backsteps",
            "spec.containers[0].volumeDevices[1].name: Not found: \"w\"",
            "spec.containers[0].volumeDevices[1].devicePath: Required value",
        ],
    );
}

#[test]
fn volumes_have_one_source_each() {
    let volumes = |volumes: Value| json!({"spec": {"volumes": volumes}});
    check(
        volumes(json!([
            {"name": "a", "emptyDir": {}, "hostPath": {"path": "/x"}}, {"name": "b"}, {"name": "b"}, {"name": ""},
        ])),
        &[
            "spec.volumes[0].hostPath: Forbidden: may not specify more than 1 volume type",
            "spec.volumes[2].name: Duplicate value: \"b\"",
            "spec.volumes[3].name: Required value",
        ],
    );
    check(
        volumes(json!([
            {"name": "a", "hostPath": {"path": "/a/../b", "type": "Odd"}}, {"name": "b", "emptyDir": {"sizeLimit": "-1"}},
            {"name": "c", "configMap": {"name": "", "defaultMode": 512, "items": [{"key": "", "path": "/x"}]}},
            {"name": "d", "persistentVolumeClaim": {"claimName": ""}}, {"name": "e", "csi": {"driver": ""}},
            {"name": "f", "nfs": {"server": "s", "path": "x"}}, {"name": "g", "iscsi": {"iqn": "iqn.x", "targetPortal": "t", "lun": 0}},
        ])),
        &[
            "spec.volumes[0].hostPath.path: Invalid value: \"/a/../b\": must not contain '..'",
            "spec.volumes[0].hostPath.type: Unsupported value: \"Odd\"",
            "spec.volumes[1].emptyDir.sizeLimit: Forbidden",
            "spec.volumes[2].configMap.name: Required value",
            "spec.volumes[2].configMap.defaultMode: Invalid value: 512: must be a number between 0 and 0777",
            "spec.volumes[2].configMap.items[0].key: Required value",
            "spec.volumes[2].configMap.items[0].path: Invalid value: \"/x\": must be a relative path",
            "spec.volumes[3].persistentVolumeClaim.claimName: Required value",
            "spec.volumes[4].csi.driver: Required value",
            "spec.volumes[5].nfs.path: Invalid value: \"x\": must be an absolute path",
            "spec.volumes[6].iscsi.iqn: Invalid value: \"iqn.x\": must be valid format",
        ],
    );
}

#[test]
fn projected_files_do_not_collide() {
    let sources = json!([
        {"configMap": {"name": "c", "items": [{"key": "k", "path": "p"}]}},
        {"downwardAPI": {"items": [{"path": "p", "fieldRef": {"fieldPath": "metadata.name"}}, {"path": "q"}]}},
        {"serviceAccountToken": {"path": "", "expirationSeconds": 5}, "secret": {"name": "s"}},
    ]);
    check(
        json!({"spec": {"volumes": [{"name": "v", "projected": {"sources": sources}}]}}),
        &[
            "spec.volumes[0].projected: Invalid value: \"p\": conflicting duplicate paths",
            "spec.volumes[0].projected.sources[1].downwardAPI: Required value: one of fieldRef and resourceFieldRef",
            "spec.volumes[0].projected.sources[2].serviceAccountToken.expirationSeconds: Invalid value: 5: may not specify",
            "spec.volumes[0].projected.path: Required value",
            "spec.volumes[0].projected.sources[2]: Forbidden: may not specify more than 1 volume type per source",
        ],
    );
}

#[test]
fn requests_stay_within_limits() {
    let path = "spec.containers[0].resources";
    check_container(
        json!({"resources": {
            "requests": {"cpu": "2", "memory": "-1", "bogus": "1", "example.com/g": "1"},
            "limits": {"cpu": "1", "example.com/g": "2"},
        }}),
        &[
            &format!(
                "{path}.requests[bogus]: Invalid value: \"bogus\": must be a standard resource type or fully qualified"
            ),
            &format!("{path}.requests[bogus]: Invalid value: \"bogus\": must be a standard resource for containers"),
            &format!("{path}.requests: Invalid value: \"2\": must be less than or equal to cpu limit of 1"),
            &format!("{path}.requests: Invalid value: \"1\": must be equal to example.com/g limit of 2"),
            &format!("{path}.requests[memory]: Invalid value: \"-1\": must be greater than or equal to 0"),
        ],
    );
    check_container(
        json!({"resources": {"limits": {"hugepages-2Mi": "3Mi"}}}),
        &[
            &format!("{path}.limits[hugepages-2Mi]: Invalid value: \"3Mi\": 3Mi is not positive integer multiple"),
            &format!("{path}.requests[hugepages-2Mi]: Invalid value: \"3Mi\""),
            &format!("{path}: Forbidden: HugePages require cpu or memory"),
        ],
    );
    check(
        json!({"spec": {"resources": {"requests": {"cpu": "1"}, "limits": {"cpu": "1"}},
            "containers": [{"name": "c", "image": "i", "resources": {"limits": {"cpu": "2"}}}]}}),
        &[
            "spec.resources.requests[cpu]: Invalid value: \"1\": must be greater than or equal to aggregate container requests of 2",
            "spec.resources.containers[0][cpu].limits: Invalid value: \"2\": must be less than or equal to pod limits of 1",
        ],
    );
}

#[test]
fn probes_have_one_action_and_sane_numbers() {
    let path = "spec.containers[0]";
    check_container(
        json!({
            "livenessProbe": {"tcpSocket": {"port": 1}, "exec": {"command": ["a"]}, "successThreshold": 2},
            "readinessProbe": {"httpGet": {"port": "Bad_"}, "periodSeconds": -1, "terminationGracePeriodSeconds": 1},
            "lifecycle": {"postStart": {}, "preStop": {"sleep": {"seconds": 31}}},
        }),
        &[
            &format!("{path}.lifecycle.postStart: Required value: must specify a handler type"),
            &format!(
                "{path}.lifecycle.preStop.sleep: Invalid value: 31: must be non-negative and less than terminationGracePeriodSeconds (30)"
            ),
            &format!("{path}.livenessProbe.tcpSocket: Forbidden: may not specify more than 1 handler type"),
            &format!("{path}.livenessProbe.successThreshold: Invalid value: 2: must be 1"),
            &format!(
                "{path}.readinessProbe.httpGet.port: Invalid value: \"Bad_\": must contain only alpha-numeric characters"
            ),
            &format!("{path}.readinessProbe.periodSeconds: Invalid value: -1: must be greater than or equal to 0"),
            &format!("{path}.readinessProbe.terminationGracePeriodSeconds: Invalid value: 1: must not be set"),
        ],
    );
}

#[test]
fn security_contexts_are_consistent() {
    let path = "spec.containers[0].securityContext";
    check_container(
        json!({"securityContext": {
            "runAsUser": -1, "procMount": "Unmasked", "seccompProfile": {"type": "RuntimeDefault", "localhostProfile": "x"},
            "privileged": true, "allowPrivilegeEscalation": false, "appArmorProfile": {"type": "Localhost"},
        }}),
        &[
            &format!("{path}.runAsUser: Invalid value: -1: must be between 0 and 2147483647, inclusive"),
            &format!("{path}.procMount: Invalid value: \"Unmasked\": `hostUsers` must be false"),
            &format!(
                "{path}.seccompProfile.localhostProfile: Invalid value: {{\"Type\":\"RuntimeDefault\",\"LocalhostProfile\":\"x\"}}: can only be set"
            ),
            &format!("{path}: Invalid value: {{"),
            &format!(
                "{path}.appArmorProfile.localhostProfile: Required value: must be set when AppArmor type is Localhost"
            ),
        ],
    );
    check(
        json!({"spec": {"hostNetwork": true, "hostUsers": false, "securityContext": {
            "sysctls": [{"name": "net.x", "value": ""}, {"name": "A", "value": ""}], "fsGroup": -1}}}),
        &[
            "spec.securityContext.fsGroup: Invalid value: -1",
            "spec.securityContext.sysctls[0].name: Invalid value: \"net.x\": may not be specified when 'hostNetwork' is true",
            "spec.securityContext.sysctls[1].name: Invalid value: \"A\": must have at most 253 characters",
            "spec.hostNetwork: Forbidden: when `hostUsers` is false",
        ],
    );
    check(
        json!({"spec": {"os": {"name": "windows"}, "hostPID": true, "securityContext": {"runAsUser": 1}}}),
        &["spec.hostPID: Forbidden: cannot be set for a windows pod", "spec.securityContext.runAsUser: Forbidden"],
    );
}

#[test]
fn affinities_are_checked() {
    let path = "spec.affinity.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution.nodeSelectorTerms";
    let required = |terms: Value| json!({"spec": {"affinity": {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": terms}}}}});
    check(required(json!([])), &[&format!("{path}: Required value: must have at least one node selector term")]);
    check(
        required(
            json!([{"matchExpressions": [{"key": "a", "operator": "In"}, {"key": "a", "operator": "Gt", "values": ["1", "2"]}],
            "matchFields": [{"key": "x", "operator": "In", "values": ["a"]}]}]),
        ),
        &[
            &format!("{path}[0].matchExpressions[0].values: Required value: must be specified when"),
            &format!("{path}[0].matchExpressions[1].values: Required value: must be specified single value"),
            &format!("{path}[0].matchFields[0].key: Invalid value: \"x\": not a valid field selector key"),
        ],
    );
    let path = "spec.affinity.podAntiAffinity.preferredDuringSchedulingIgnoredDuringExecution[0]";
    let term = json!({"topologyKey": "z", "namespaces": ["A"], "matchLabelKeys": ["a"]});
    check(
        json!({"spec": {"affinity": {"podAntiAffinity": {
            "preferredDuringSchedulingIgnoredDuringExecution": [{"weight": 0, "podAffinityTerm": term}]}}}}),
        &[
            &format!("{path}.weight: Invalid value: 0: must be in the range 1-100"),
            &format!("{path}.podAffinityTerm.namespace: Invalid value: \"A\""),
            &format!(
                "{path}.podAffinityTerm.matchLabelKeys: Forbidden: must not be specified when labelSelector is not set"
            ),
        ],
    );
}

#[test]
fn spread_constraints_are_unique() {
    let path = "spec.topologySpreadConstraints";
    let constraint = json!({"maxSkew": 1, "topologyKey": "z", "whenUnsatisfiable": "ScheduleAnyway"});
    let other = json!({"maxSkew": 0, "topologyKey": "", "whenUnsatisfiable": "ScheduleAnyway", "minDomains": 2});
    check(
        json!({"spec": {"topologySpreadConstraints": [constraint, constraint, other]}}),
        &[
            &format!("{path}[0].{{topologyKey, whenUnsatisfiable}}: Duplicate value: \"{{z, ScheduleAnyway}}\""),
            &format!("{path}[2].maxSkew: Invalid value: 0: must be greater than zero"),
            &format!("{path}[2].topologyKey: Required value: can not be empty"),
            &format!("{path}[2].minDomains: Invalid value: 2: can only use minDomains"),
        ],
    );
}

#[test]
fn names_and_policies_of_the_pod_are_checked() {
    check(
        json!({"metadata": {"name": "A"}, "spec": {
            "restartPolicy": "Odd", "dnsPolicy": "None", "nodeName": "B_", "activeDeadlineSeconds": 0, "hostname": "a.b",
            "tolerations": [{"key": "a", "operator": "Exists", "value": "v"}], "hostAliases": [{"ip": "x"}],
            "schedulingGates": [{"name": "a/b"}], "readinessGates": [{"conditionType": "a b"}],
        }}),
        &[
            "metadata.name: Invalid value: \"A\"",
            "spec.restartPolicy: Unsupported value: \"Odd\": supported values: \"Always\", \"OnFailure\", \"Never\"",
            "spec.dnsConfig: Required value: must provide `dnsConfig` when `dnsPolicy` is None",
            "spec.readinessGates[0].conditionType: Invalid value: \"a b\"",
            "spec.nodeName: Invalid value: \"B_\"",
            "spec.activeDeadlineSeconds: Invalid value: 0: must be between 1 and 2147483647, inclusive",
            "spec.hostname: Invalid value: \"a.b\": must not contain dots",
            "spec.tolerations[0].operator: Invalid value: \"v\": value must be empty when `operator` is 'Exists'",
            "spec.hostAliases[0].ip: Invalid value: \"x\": must be a valid IP address",
            "spec.nodeName: Forbidden: cannot be set until all schedulingGates have been cleared",
        ],
    );
}

#[test]
fn annotations_agree_with_the_spec() {
    check(
        json!({"metadata": {"annotations": {
            "kubernetes.io/config.mirror": "x", "controller.kubernetes.io/pod-deletion-cost": "+1",
            "container.apparmor.security.beta.kubernetes.io/nope": "odd",
        }}}),
        &[
            "metadata.annotations[kubernetes.io/config.mirror]: Invalid value: \"x\": must set spec.nodeName",
            "metadata.annotations[controller.kubernetes.io/pod-deletion-cost]: Invalid value: \"+1\": must be a 32bit integer",
            "metadata.annotations[container.apparmor.security.beta.kubernetes.io/nope]: Invalid value: \"nope\": container not found",
            "metadata.annotations[container.apparmor.security.beta.kubernetes.io/nope]: Invalid value: \"odd\": invalid AppArmor profile name: \"odd\"",
        ],
    );
}

#[test]
fn trust_bundles_are_named_or_of_a_signer() {
    let volume = |bundle: Value| json!({"spec": {"volumes": [{"name": "v", "projected": {"sources": [{"clusterTrustBundle": bundle}]}}]}});
    let path = "spec.volumes[0].projected.sources[0].clusterTrustBundle";
    check(volume(json!({"name": "example.com:s:b", "path": "p"})), &[]);
    check(volume(json!({"signerName": "example.com/s", "path": "p"})), &[]);
    check(
        volume(json!({"name": "example.com:s:B", "path": "p"})),
        &[&format!("{path}.name: Invalid value: \"example.com:s:B\": not a valid clustertrustbundlename: a lowercase")],
    );
    check(
        volume(json!({"signerName": "s", "path": "p"})),
        &[&format!("{path}.signerName: Invalid value: \"s\": must be a fully qualified domain and path")],
    );
    check(
        volume(json!({"name": "a", "signerName": "b.c/d", "path": "p"})),
        &[&format!("{path}: Invalid value: {{\"Name\":\"a\",\"SignerName\":\"b.c/d\",\"LabelSelector\":null,")],
    );
}
