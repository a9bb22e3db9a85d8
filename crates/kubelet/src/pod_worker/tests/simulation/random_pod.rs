//! A random Pod, and what its spec promises: read here once more, so that the kubelet's reading is checked as well.

use serde_json::{Value, json};

/// The exit code that makes the whole Pod start over.
pub const RESTART_ALL_CODE: i32 = 42;
/// The exit code that rules of single containers speak of.
pub const RESTART_CODE: i64 = 7;
/// The image that is not always to be had.
pub const FAR_IMAGE: &str = "far/away:1";

/// A small generator of numbers that only depend on the seed (SplitMix64).
pub struct Random(pub u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut bits = self.0;
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        bits ^ (bits >> 31)
    }

    pub fn below(&mut self, limit: u64) -> u64 {
        self.next() % limit
    }

    pub fn one_in(&mut self, count: u64) -> bool {
        self.below(count) == 0
    }

    pub fn pick<T: Clone>(&mut self, choices: &[T]) -> T {
        choices[self.below(choices.len() as u64) as usize].clone()
    }
}

/// What a container of the Pod is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Init,
    Sidecar,
    Regular,
    Ephemeral,
}

/// The Pod as the checker needs it.
pub struct SimulatedPod {
    /// Containers in the order of the spec: init containers, regular ones, ephemeral ones.
    pub containers: Vec<(String, Kind)>,
    pub spec: Value,
}

impl SimulatedPod {
    /// Where a container stands among the others, and what it is.
    pub fn position(&self, name: &str) -> (usize, Kind) {
        let position = self.containers.iter().position(|(other, _)| other == name).expect("it is of the Pod");
        (position, self.containers[position].1)
    }

    pub fn container(&self, name: &str) -> &Value {
        let lists = ["initContainers", "containers", "ephemeralContainers"];
        let mut all = lists.iter().filter_map(|list| self.spec[list].as_array()).flatten();
        all.find(|container| container["name"] == name).expect("it is of the Pod")
    }

    pub fn has(&self, name: &str, pointer: &str) -> bool {
        self.container(name).pointer(pointer).is_some()
    }

    /// `spec.terminationGracePeriodSeconds`.
    pub fn grace_seconds(&self) -> i64 {
        self.spec["terminationGracePeriodSeconds"].as_i64().expect("it is set")
    }

    /// `spec.activeDeadlineSeconds`.
    pub fn deadline_seconds(&self) -> Option<u64> {
        self.spec["activeDeadlineSeconds"].as_u64()
    }

    /// Whether a container is started again after it exited so.
    pub fn restarts(&self, name: &str, code: i32) -> bool {
        let (container, kind) = (self.container(name), self.position(name).1);
        let rules = container["restartPolicyRules"].as_array().into_iter().flatten();
        let listed =
            |rule: &Value| rule["exitCodes"]["values"].as_array().is_some_and(|all| all.contains(&json!(code)));
        let ruled = rules.into_iter().any(|rule| listed(rule) == (rule["exitCodes"]["operator"] == "In"));
        let policy = container["restartPolicy"].as_str().or(self.spec["restartPolicy"].as_str());
        match kind {
            Kind::Sidecar => true,
            Kind::Ephemeral => false,
            _ if ruled => true,
            Kind::Init => policy != Some("Never") && code != 0,
            Kind::Regular => policy == Some("Always") || (policy == Some("OnFailure") && code != 0),
        }
    }

    /// Whether the exit makes the whole Pod start over.
    pub fn restarts_all(&self, name: &str, code: i32) -> bool {
        code == RESTART_ALL_CODE && self.container(name)["restartPolicyRules"][0]["action"] == "RestartAllContainers"
    }
}

pub fn random_pod(random: &mut Random) -> SimulatedPod {
    let restarts_all = random.one_in(4);
    let (mut containers, mut init, mut regular) = (Vec::new(), Vec::new(), Vec::new());
    for index in 0..random.below(5) {
        let kind = random.pick(&[Kind::Init, Kind::Sidecar]);
        let name = format!("{}{index}", if kind == Kind::Init { "init" } else { "side" });
        init.push(random_container(random, &name, kind, restarts_all));
        containers.push((name, kind));
    }
    for index in 0..1 + random.below(2) {
        let name = format!("main{index}");
        regular.push(random_container(random, &name, Kind::Regular, restarts_all));
        containers.push((name, Kind::Regular));
    }
    let mut spec = json!({
        "restartPolicy": random.pick(&["Always", "Always", "OnFailure", "Never"]),
        "terminationGracePeriodSeconds": random.pick(&[1, 5, 30]),
        "initContainers": init,
        "containers": regular,
        "volumes": [{ "name": "v", "emptyDir": { "medium": "Memory" } }],
    });
    if random.one_in(8) {
        spec["activeDeadlineSeconds"] = json!(1 + random.below(600));
    }
    SimulatedPod { containers, spec }
}

fn random_container(random: &mut Random, name: &str, kind: Kind, restarts_all: bool) -> Value {
    let image = random.pick(&["nginx", "nginx", "nginx", FAR_IMAGE]);
    let mut container = json!({ "name": name, "image": image, "imagePullPolicy": "IfNotPresent" });
    let command = |word: &str| json!({ "exec": { "command": [format!("{word}-{name}")] } });
    if kind == Kind::Sidecar {
        container["restartPolicy"] = json!("Always");
    }
    for (field, word) in [("livenessProbe", "live"), ("startupProbe", "startup"), ("readinessProbe", "ready")] {
        if kind != Kind::Init && random.one_in(5) {
            let mut probe = command(word);
            probe["periodSeconds"] = json!(5);
            probe["failureThreshold"] = json!(random.pick(&[1, 2, 3]));
            if word != "ready" && random.one_in(3) {
                probe["terminationGracePeriodSeconds"] = json!(random.pick(&[3, 60]));
            }
            container[field] = probe;
        }
    }
    if kind != Kind::Init && random.one_in(4) {
        container["lifecycle"]["postStart"] = command("post");
    }
    if kind != Kind::Init && random.one_in(4) {
        container["lifecycle"]["preStop"] = command("pre");
    }
    if kind != Kind::Init && random.one_in(3) {
        container["resources"] = json!({ "limits": { "cpu": "1" } });
        let policy = random.pick(&["NotRequired", "RestartContainer"]);
        container["resizePolicy"] = json!([{ "resourceName": "cpu", "restartPolicy": policy }]);
    }
    let rule =
        |action: &str, code: i64| json!([{ "action": action, "exitCodes": { "operator": "In", "values": [code] } }]);
    if kind == Kind::Regular && restarts_all {
        container["restartPolicy"] = json!("Never");
        container["restartPolicyRules"] = rule("RestartAllContainers", RESTART_ALL_CODE.into());
    } else if kind != Kind::Sidecar && random.one_in(4) {
        container["restartPolicy"] = json!(random.pick(&["OnFailure", "Never"]));
        container["restartPolicyRules"] = rule("Restart", RESTART_CODE);
    }
    container
}
