//! Random Pods, each with the state it must end in.

use serde_json::{Value, json};

use super::seed::Seed;

/// `spec.restartPolicy`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Policy {
    /// Restarted however it ends.
    Always,
    /// Restarted after a failure.
    OnFailure,
    /// Never restarted.
    Never,
}

/// The state a Pod comes to rest in when nobody disturbs it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// Running and Ready.
    Ready,
    /// All containers ended well.
    Succeeded,
    /// A container failed for good, or the Pod was too slow.
    Failed,
    /// Containers end and are started again for ever.
    CrashLoop,
    /// Init containers fail and are started again for ever.
    InitCrashLoop,
}

/// A Pod to make.
#[derive(Debug, Clone)]
pub struct PodPlan {
    /// Its name.
    pub name: String,
    /// Its manifest.
    pub manifest: Value,
    /// Where it leads.
    pub end: End,
    /// When its containers are restarted.
    pub policy: Policy,
}

/// What the main container does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Deed {
    /// Works until asked to stop.
    Serve,
    /// Works and has to be killed.
    Ignore,
    /// Ends well.
    Finish,
    /// Fails.
    Fail,
}

const SERVE: &str = "trap 'exit 0' TERM; echo up; touch /tmp/up; while :; do sleep 1000 & wait $!; done";
const IGNORE: &str = "echo up; touch /tmp/up; sleep 1000";

impl PodPlan {
    /// Draws one.
    pub fn random(seed: &mut Seed, round: u32, index: u64) -> Self {
        let policy = seed.pick(&[Policy::Always, Policy::Always, Policy::OnFailure, Policy::Never]);
        let deed = seed.pick(&[Deed::Serve, Deed::Serve, Deed::Serve, Deed::Ignore, Deed::Finish, Deed::Fail]);
        let (init, init_fails) = init_containers(seed);
        let late = matches!(deed, Deed::Serve | Deed::Ignore) && !init_fails && seed.chance(6);
        let name = format!("r{round}-{index}");
        let mut spec = json!({
            "restartPolicy": format!("{policy:?}"),
            "terminationGracePeriodSeconds": seed.between(1, 2),
            "initContainers": init,
            "containers": main_containers(seed, deed),
            "volumes": volumes(),
        });
        for (field, value) in namespaces(seed) {
            spec[field] = json!(value);
        }
        if seed.chance(10) && spec["hostUsers"].is_null() {
            spec["hostNetwork"] = json!(true);
        } else if seed.chance(15) {
            spec["containers"][0]["ports"] = json!([{"containerPort": 80, "hostPort": 42000 + index}]);
        }
        if late {
            spec["activeDeadlineSeconds"] = json!(1);
        }
        let metadata = json!({"name": name, "labels": {"round": round.to_string()}});
        let manifest = json!({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec});
        let end = if late { End::Failed } else { end(policy, deed, init_fails) };
        Self { name, manifest, end, policy }
    }
}

/// What the Pod shares with the host, or keeps from it, other than the network.
fn namespaces(seed: &mut Seed) -> Vec<(&'static str, bool)> {
    if seed.chance(15) {
        return vec![("hostUsers", false)];
    }
    let shared = [("hostPID", 8), ("hostIPC", 8), ("shareProcessNamespace", 10)];
    let chosen = shared.into_iter().filter(|(_, chance)| seed.chance(*chance)).map(|(field, _)| (field, true));
    // Its own processes are not shared by a Pod that sees the host's.
    let mut chosen: Vec<_> = chosen.collect();
    if chosen.contains(&("hostPID", true)) {
        chosen.retain(|(field, _)| *field != "shareProcessNamespace");
    }
    chosen
}

fn end(policy: Policy, deed: Deed, init_fails: bool) -> End {
    match (policy, deed) {
        (Policy::Never, _) if init_fails => End::Failed,
        _ if init_fails => End::InitCrashLoop,
        (_, Deed::Serve | Deed::Ignore) => End::Ready,
        (Policy::Always, _) | (Policy::OnFailure, Deed::Fail) => End::CrashLoop,
        (_, Deed::Finish) => End::Succeeded,
        (Policy::Never, Deed::Fail) => End::Failed,
    }
}

/// Init containers and sidecars, and whether one of them never succeeds.
fn init_containers(seed: &mut Seed) -> (Vec<Value>, bool) {
    let mut containers = Vec::new();
    let fails = seed.chance(8);
    for index in 0..seed.pick(&[0, 0, 1, 1, 2]) {
        let sidecar = seed.chance(40);
        let script =
            if sidecar { SERVE.to_owned() } else { format!("sleep 0.{}; echo {index} > /v/disk/init", index + 1) };
        let mut container = container(&format!("init{index}"), &script);
        if sidecar {
            container["restartPolicy"] = json!("Always");
            if seed.chance(50) {
                container["startupProbe"] = exec_probe("test -f /tmp/up");
            }
        }
        containers.push(container);
    }
    if fails {
        containers.push(container("broken", "sleep 0.2; exit 4"));
    }
    (containers, fails)
}

fn main_containers(seed: &mut Seed, deed: Deed) -> Vec<Value> {
    let pause = seed.between(0, 9);
    let mut main = match deed {
        Deed::Serve => container("main", SERVE),
        Deed::Ignore => container("main", IGNORE),
        Deed::Finish => container("main", &format!("sleep 0.{pause}; echo done")),
        Deed::Fail => container("main", &format!("sleep 0.{pause}; echo failing; exit 3")),
    };
    let serves = matches!(deed, Deed::Serve | Deed::Ignore);
    if serves {
        let kinds = ["readinessProbe", "livenessProbe", "startupProbe"];
        for kind in kinds.into_iter().filter(|_| seed.chance(25)).collect::<Vec<_>>() {
            // Liveness without a startup probe must not give up on a container that has only begun.
            main[kind] = exec_probe(if kind == "livenessProbe" { "true" } else { "test -f /tmp/up" });
        }
        if seed.chance(20) {
            main["lifecycle"]["postStart"] = json!({"exec": {"command": ["sh", "-c", "sleep 0.1; touch /tmp/hook"]}});
        }
        if seed.chance(20) {
            main["lifecycle"]["preStop"] = json!({"exec": {"command": ["sh", "-c", "sleep 0.2"]}});
        }
    }
    if seed.chance(30) {
        main["resources"] = seed.pick(&[
            json!({"requests": {"cpu": "10m", "memory": "16Mi"}}),
            json!({"limits": {"cpu": "100m", "memory": "32Mi"}}),
        ]);
    }
    let mut containers = vec![main];
    if serves && seed.chance(25) {
        containers.push(container("second", SERVE));
    }
    containers
}

fn exec_probe(script: &str) -> Value {
    json!({"exec": {"command": ["sh", "-c", script]}, "periodSeconds": 1, "timeoutSeconds": 10, "failureThreshold": 30})
}

fn container(name: &str, script: &str) -> Value {
    let mounts = [("disk", "/v/disk"), ("memory", "/v/memory"), ("settings", "/v/settings"), ("mixed", "/v/mixed")];
    let mounts = mounts.map(|(name, path)| json!({"name": name, "mountPath": path}));
    // Files in memory are where a volume that was lost shows: a container that starts finds what it relies on.
    let script = format!("test -f /v/settings/color && test -f /v/mixed/word || exit 9; {script}");
    json!({"name": name, "image": "busybox", "command": ["sh", "-c", script], "volumeMounts": mounts})
}

fn volumes() -> Value {
    let name = json!([{"path": "name", "fieldRef": {"fieldPath": "metadata.name"}}]);
    json!([
        {"name": "disk", "emptyDir": {}},
        {"name": "memory", "emptyDir": {"medium": "Memory", "sizeLimit": "1Mi"}},
        {"name": "settings", "configMap": {"name": "settings"}},
        {"name": "mixed", "projected": {"sources": [
            {"secret": {"name": "password"}},
            {"downwardAPI": {"items": name}},
        ]}},
    ])
}
