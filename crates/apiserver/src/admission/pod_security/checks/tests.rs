use serde_json::{Value, json};

use super::*;

fn details(level: Level, version: Version, annotations: Value, spec: Value) -> String {
    let metadata = serde_json::from_value(json!({ "annotations": annotations })).unwrap();
    let spec = serde_json::from_value(spec).unwrap();
    evaluate(Standard { level, version }, &metadata, &spec).map_or_else(String::new, |found| found.details())
}

fn baseline_of(spec: Value) -> String {
    details(Level::Baseline, Version::Latest, json!({}), spec)
}

/// A Pod of two containers with one security context.
fn two(security: &Value) -> Value {
    json!({"containers": [{"name": "a", "securityContext": security}, {"name": "b", "securityContext": security}]})
}

/// A Pod that keeps to the restricted standard, changed.
fn restricted_but(change: impl Fn(&mut Value)) -> String {
    let mut spec = json!({
        "securityContext": {"runAsNonRoot": true, "seccompProfile": {"type": "RuntimeDefault"}},
        "containers": [{"name": "a", "securityContext":
            {"allowPrivilegeEscalation": false, "capabilities": {"drop": ["ALL"], "add": ["NET_BIND_SERVICE"]}}}],
        "volumes": [{"name": "v", "emptyDir": {}}, {"name": "i", "image": {"reference": "x"}}],
    });
    change(&mut spec);
    details(Level::Restricted, Version::Latest, json!({}), spec)
}

#[test]
fn the_plainest_pod_is_baseline_and_not_restricted() {
    let spec = json!({"containers": [{"name": "nginx"}]});
    assert_eq!(baseline_of(spec.clone()), "");
    assert_eq!(
        details(Level::Restricted, Version::Latest, json!({}), spec),
        "allowPrivilegeEscalation != false (container \"nginx\" must set \
         securityContext.allowPrivilegeEscalation=false), unrestricted capabilities (container \"nginx\" must set \
         securityContext.capabilities.drop=[\"ALL\"]), runAsNonRoot != true (pod or container \"nginx\" must set \
         securityContext.runAsNonRoot=true), seccompProfile (pod or container \"nginx\" must set \
         securityContext.seccompProfile.type to \"RuntimeDefault\" or \"Localhost\")"
    );
    assert_eq!(restricted_but(|_| {}), "");
}

#[test]
fn baseline_forbids_ways_to_more_privileges() {
    for (spec, expected) in [
        (
            json!({"hostNetwork": true, "hostIPC": true, "hostPID": false, "containers": []}),
            "host namespaces (hostNetwork=true, hostIPC=true)",
        ),
        (
            two(&json!({"privileged": true})),
            "privileged (containers \"a\", \"b\" must not set securityContext.privileged=true)",
        ),
        (
            two(&json!({"capabilities": {"add": ["SYS_ADMIN", "CHOWN", "NET_RAW"]}})),
            "non-default capabilities (containers \"a\", \"b\" must not include \"NET_RAW\", \"SYS_ADMIN\" in \
             securityContext.capabilities.add)",
        ),
        (
            json!({"containers": [], "volumes": [{"name": "v", "hostPath": {"path": "/"}}]}),
            "hostPath volumes (volume \"v\")",
        ),
        (
            json!({"containers": [{"name": "a", "ports": [{"containerPort": 1, "hostPort": 80}]}],
                   "initContainers": [{"name": "i", "ports": [{"containerPort": 1, "hostPort": 8080}]}]}),
            "hostPort (containers \"i\", \"a\" use hostPorts 80, 8080)",
        ),
        (
            json!({"containers": [{"name": "a", "livenessProbe": {"httpGet": {"host": "h", "port": 1}},
                                   "lifecycle": {"preStop": {"tcpSocket": {"host": "g", "port": 1}}}}]}),
            "probe or lifecycle host (container \"a\" uses probe or lifecycle hosts \"g\", \"h\")",
        ),
        (
            two(&json!({"procMount": "Unmasked"})),
            "procMount (containers \"a\", \"b\" must not set securityContext.procMount to \"Unmasked\")",
        ),
        (
            json!({"securityContext": {"seLinuxOptions": {"type": "spc_t", "user": "u"}},
                   "containers": [{"name": "a", "securityContext": {"seLinuxOptions": {"role": "r"}}}]}),
            "seLinuxOptions (pod and container \"a\" set forbidden securityContext.seLinuxOptions: type \"spc_t\"; user \
             may not be set; role may not be set)",
        ),
        (
            json!({"securityContext": {"seccompProfile": {"type": "Unconfined"}}, "containers": []}),
            "seccompProfile (pod must not set securityContext.seccompProfile.type to \"Unconfined\")",
        ),
        (
            json!({"securityContext": {"sysctls": [{"name": "net.ipv4.tcp_wmem", "value": "1"},
                                                   {"name": "kernel.msgmax", "value": "1"}]}, "containers": []}),
            "forbidden sysctls (kernel.msgmax)",
        ),
        (
            json!({"securityContext": {"windowsOptions": {"hostProcess": true}}, "containers": []}),
            "hostProcess (pod must not set securityContext.windowsOptions.hostProcess=true)",
        ),
        (
            json!({"securityContext": {"appArmorProfile": {"type": "Unconfined"}}, "containers": []}),
            "forbidden AppArmor profile (pod must not set AppArmor profile type to \"Unconfined\")",
        ),
        (
            json!({"containers": [], "ephemeralContainers": [{"name": "e", "securityContext": {"privileged": true}}]}),
            "privileged (container \"e\" must not set securityContext.privileged=true)",
        ),
    ] {
        assert_eq!(baseline_of(spec), expected);
    }
}

#[test]
fn restricted_demands_hardened_pods() {
    let first = |spec: &mut Value, path: &str, value: Value| spec["containers"][0]["securityContext"][path] = value;
    assert_eq!(
        restricted_but(|spec| first(spec, "capabilities", json!({"drop": ["ALL"], "add": ["CHOWN"]}))),
        "unrestricted capabilities (container \"a\" must not include \"CHOWN\" in securityContext.capabilities.add)"
    );
    assert_eq!(
        restricted_but(|spec| {
            first(spec, "runAsNonRoot", json!(false));
            spec["securityContext"]["runAsUser"] = json!(0);
        }),
        "runAsNonRoot != true (container \"a\" must not set securityContext.runAsNonRoot=false), runAsUser=0 (pod must not \
         set runAsUser=0)"
    );
    assert_eq!(
        restricted_but(|spec| spec["volumes"] = json!([{"name": "n", "nfs": {"path": "/", "server": "s"}},
                                                       {"name": "h", "hostPath": {"path": "/"}}])),
        "restricted volume types (volumes \"n\", \"h\" use restricted volume types \"hostPath\", \"nfs\")"
    );
    assert_eq!(
        restricted_but(|spec| first(spec, "seccompProfile", json!({"type": "Unconfined"}))),
        "seccompProfile (container \"a\" must not set securityContext.seccompProfile.type to \"Unconfined\")"
    );
    let windows =
        json!({"os": {"name": "windows"}, "securityContext": {"runAsNonRoot": true}, "containers": [{"name": "a"}]});
    assert_eq!(restricted_but(|spec| *spec = windows.clone()), "");
}

#[test]
fn user_namespaces_relax_what_root_can_do() {
    let unmasked =
        json!({"hostUsers": false, "containers": [{"name": "a", "securityContext": {"procMount": "Unmasked"}}]});
    assert_eq!(baseline_of(unmasked.clone()), "");
    assert!(details(Level::Baseline, Version::Minor(34), json!({}), unmasked).starts_with("procMount"));
    assert_eq!(
        restricted_but(|spec| {
            spec["hostUsers"] = json!(false);
            spec["securityContext"]["runAsNonRoot"] = json!(false);
            spec["securityContext"]["runAsUser"] = json!(0);
            spec["containers"][0]["securityContext"]["procMount"] = json!("Unmasked");
        }),
        "procMount (container \"a\" must not set securityContext.procMount to \"Unmasked\")"
    );
}

#[test]
fn standards_are_those_of_their_release() {
    let check = |level, minor, spec: &Value, expected: &str| {
        assert_eq!(details(level, Version::Minor(minor), json!({}), spec.clone()), expected, "v1.{minor}");
    };
    let probe = json!({"containers": [{"name": "a", "startupProbe": {"tcpSocket": {"host": "h", "port": 1}}}]});
    check(Level::Baseline, 33, &probe, "");
    check(Level::Baseline, 99, &probe, "probe or lifecycle host (container \"a\" uses probe or lifecycle host \"h\")");
    let sysctl =
        json!({"securityContext": {"sysctls": [{"name": "net.ipv4.tcp_fin_timeout", "value": "1"}]}, "containers": []});
    check(Level::Baseline, 28, &sysctl, "forbidden sysctls (net.ipv4.tcp_fin_timeout)");
    check(Level::Baseline, 29, &sysctl, "");
    let plain = json!({"securityContext": {"runAsNonRoot": true}, "containers": [{"name": "a"}]});
    check(Level::Restricted, 7, &plain, "");
    let escalation = "allowPrivilegeEscalation != false (container \"a\" must set \
                      securityContext.allowPrivilegeEscalation=false)";
    check(Level::Restricted, 18, &plain, escalation);
    // Until there is a stricter check, that of baseline holds.
    let capabilities = json!({"securityContext": {"runAsNonRoot": true, "seccompProfile": {"type": "Localhost"}},
        "containers": [{"name": "a", "securityContext":
            {"allowPrivilegeEscalation": false, "capabilities": {"add": ["SYS_TIME"]}}}]});
    let old =
        "non-default capabilities (container \"a\" must not include \"SYS_TIME\" in securityContext.capabilities.add)";
    check(Level::Restricted, 21, &capabilities, old);
    let new = "unrestricted capabilities (container \"a\" must set securityContext.capabilities.drop=[\"ALL\"]; container \
               \"a\" must not include \"SYS_TIME\" in securityContext.capabilities.add)";
    check(Level::Restricted, 22, &capabilities, new);
}

#[test]
fn annotations_of_old_count_too() {
    let spec = json!({"containers": [{"name": "a"}]});
    let key = "container.apparmor.security.beta.kubernetes.io/a";
    assert_eq!(
        details(Level::Baseline, Version::Latest, json!({ key: "unconfined" }), spec.clone()),
        format!(
            "forbidden AppArmor profile (annotation must not set AppArmor profile type to \"{key}=\"unconfined\"\")"
        )
    );
    let key = "seccomp.security.alpha.kubernetes.io/pod";
    assert_eq!(details(Level::Baseline, Version::Latest, json!({ key: "unconfined" }), spec.clone()), "");
    assert_eq!(
        details(Level::Baseline, Version::Minor(18), json!({ key: "unconfined" }), spec),
        format!("seccompProfile (forbidden annotation {key}=\"unconfined\")")
    );
}
