//! A random Pod and what befalls it.

use std::time::Duration;

use jiff::SignedDuration;
use serde_json::{Value, json};
use tokio::time::Instant;

use super::Node;

/// The exit code that makes the whole Pod start over.
const RESTART_ALL_CODE: i32 = 42;

/// A small generator of numbers that only depend on the seed (SplitMix64).
pub struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut bits = self.0;
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        bits ^ (bits >> 31)
    }

    fn below(&mut self, limit: u64) -> u64 {
        self.next() % limit
    }

    fn one_in(&mut self, count: u64) -> bool {
        self.below(count) == 0
    }

    fn pick<T: Clone>(&mut self, choices: &[T]) -> T {
        choices[self.below(choices.len() as u64) as usize].clone()
    }
}

/// What a container of the Pod is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Init,
    Sidecar,
    Regular,
}

/// The Pod as the checker needs it.
pub struct SimulatedPod {
    /// Containers in the order of the spec, init containers first.
    pub containers: Vec<(String, Kind)>,
    /// `spec.terminationGracePeriodSeconds`.
    pub grace_seconds: i64,
    pub spec: Value,
}

/// What was done to the Pod, and when.
pub struct Story {
    pub began: Instant,
    /// The kubelet was started anew.
    pub restarts: Vec<Instant>,
    /// Deletes with their grace periods, in order.
    pub deletes: Vec<(Instant, i64)>,
    /// The object went without a word.
    pub vanished: Option<Instant>,
    /// For people.
    pub told: Vec<(Instant, String)>,
}

pub struct Scenario {
    random: Random,
    pub pod: SimulatedPod,
}

impl Scenario {
    pub fn new(seed: u64) -> Self {
        let mut random = Random(seed);
        let pod = random_pod(&mut random);
        Self { random, pod }
    }

    /// Plays it to the Pod's end.
    pub async fn play(&mut self, node: &mut Node) -> Story {
        let began = Instant::now();
        let mut story = Story { began, restarts: vec![], deletes: vec![], vanished: None, told: vec![] };
        self.set_the_stage(node);
        node.create(self.pod.spec.clone());
        for _ in 0..5 + self.random.below(20) {
            tokio::time::sleep(self.gap()).await;
            if node.status()["phase"] == "Succeeded" || node.status()["phase"] == "Failed" {
                break;
            }
            self.befall(node, &mut story).await;
        }
        self.end(node, &mut story).await;
        story
    }

    fn gap(&mut self) -> Duration {
        let milliseconds = match self.random.below(10) {
            0..4 => self.random.below(20),
            4..7 => self.random.below(5_000),
            7..9 => self.random.below(60_000),
            _ => self.random.below(900_000),
        };
        Duration::from_millis(milliseconds)
    }

    fn set_the_stage(&mut self, node: &Node) {
        for (name, kind) in self.pod.containers.clone() {
            if self.random.one_in(3) {
                node.cri.behave(|fake| fake.deaf.push(name.clone()));
            }
            if kind == Kind::Init && !self.random.one_in(3) {
                node.cri.behave(|fake| fake.exits_at_once.extend([(name.clone(), 0)]));
            }
        }
        if self.random.one_in(3) {
            node.cri.behave(|fake| drop(fake.pull_failures.insert("far/away:1".to_owned(), "no route".to_owned())));
        }
        node.cri.behave(|fake| fake.pull_time = Duration::from_millis(700));
    }

    async fn befall(&mut self, node: &mut Node, story: &mut Story) {
        let (name, _) = self.random.pick(&self.pod.containers);
        let text = match self.random.below(12) {
            0..5 => {
                let code = self.random.pick(&[0, 0, 1, RESTART_ALL_CODE, 137]);
                if node.cri.is_running(&name) {
                    node.cri.exit(&name, code);
                }
                format!("{name} exits with {code}")
            }
            5 => {
                node.cri.kill_sandbox("web");
                "the sandbox dies".to_owned()
            }
            6 => {
                let code = self.random.pick(&[0, 0, 1]);
                node.cri.behave(|fake| drop(fake.commands.insert(format!("probe-{name}"), (code, String::new()))));
                format!("probes of {name} answer {code}")
            }
            7 => {
                node.cri.behave(|fake| fake.pull_failures.clear());
                "images can be pulled".to_owned()
            }
            8 => {
                let fails = self.random.one_in(2);
                node.cri.behave(|fake| fake.sandbox_failure = fails.then(|| "no room".to_owned()));
                format!("sandboxes fail: {fails}")
            }
            9 => {
                let fails = self.random.one_in(2);
                node.cri.behave(|fake| match fails {
                    true => drop(fake.start_failures.insert(name.clone(), "no such file".to_owned())),
                    false => fake.start_failures.clear(),
                });
                format!("{name} can not be started: {fails}")
            }
            10 => self.restart(node, story).await,
            _ => {
                let seconds = self.random.below(1_200) as i64 - 600;
                node.clock.jump(SignedDuration::from_secs(seconds));
                format!("the clock jumps by {seconds} s")
            }
        };
        story.told.push((Instant::now(), text));
    }

    async fn restart(&mut self, node: &mut Node, story: &mut Story) -> String {
        node.restart().await;
        story.restarts.push(Instant::now());
        "the kubelet is restarted".to_owned()
    }

    /// Deletes the Pod, perhaps more than once and with a crash in between, and waits until nothing is left.
    async fn end(&mut self, node: &mut Node, story: &mut Story) {
        if self.random.one_in(8) {
            story.vanished = Some(Instant::now());
            node.vanish();
        } else {
            let mut grace_seconds = self.pod.grace_seconds.min(self.random.pick(&[2, 10, 30, 60]));
            for _ in 0..1 + self.random.below(2) {
                story.deletes.push((Instant::now(), grace_seconds));
                node.delete(grace_seconds);
                tokio::time::sleep(Duration::from_millis(self.random.below(4_000))).await;
                grace_seconds = (grace_seconds / 2).max(1);
                if self.random.one_in(4) {
                    self.restart(node, story).await;
                }
            }
            node.until_gone().await;
        }
        node.until("the runtime is empty", |node| node.cri.sandboxes() == 0).await;
        tokio::time::sleep(Duration::from_secs(1)).await;
        assert!(!node.context.paths.root.join("pods/u1").exists(), "the Pod's directory is left");
        assert_eq!(node.host.mounts().len(), 0, "mounts are left");
        let cgroups = node.host.calls();
        let made = cgroups.iter().rposition(|call| call.starts_with("create"));
        let removed = cgroups.iter().rposition(|call| call.starts_with("remove"));
        assert!(made.is_none() || removed > made, "a cgroup is left: {cgroups:?}");
    }
}

fn random_pod(random: &mut Random) -> SimulatedPod {
    let restarts_all = random.one_in(4);
    let grace_seconds = random.pick(&[1, 5, 30]);
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
        "terminationGracePeriodSeconds": grace_seconds,
        "initContainers": init,
        "containers": regular,
        "volumes": [{ "name": "v", "emptyDir": { "medium": "Memory" } }],
    });
    if random.one_in(8) {
        spec["activeDeadlineSeconds"] = json!(1 + random.below(600));
    }
    SimulatedPod { containers, grace_seconds, spec }
}

fn random_container(random: &mut Random, name: &str, kind: Kind, restarts_all: bool) -> Value {
    let image = random.pick(&["nginx", "nginx", "nginx", "far/away:1"]);
    let mut container = json!({ "name": name, "image": image, "imagePullPolicy": "IfNotPresent" });
    let probe = json!({
        "exec": { "command": [format!("probe-{name}")] }, "periodSeconds": 5, "failureThreshold": 2,
    });
    let sleep = |seconds: u64| json!({ "sleep": { "seconds": seconds } });
    if kind == Kind::Sidecar {
        container["restartPolicy"] = json!("Always");
    }
    if kind != Kind::Init && random.one_in(5) {
        container["livenessProbe"] = probe.clone();
    }
    if kind != Kind::Init && random.one_in(5) {
        container["startupProbe"] = probe;
    }
    if kind != Kind::Init && random.one_in(4) {
        container["lifecycle"]["postStart"] = sleep(random.below(8));
    }
    if kind == Kind::Regular && random.one_in(4) {
        container["lifecycle"]["preStop"] = sleep(random.below(12));
    }
    if kind == Kind::Regular && restarts_all {
        container["restartPolicy"] = json!("Never");
        let exit_codes = json!({ "operator": "In", "values": [RESTART_ALL_CODE] });
        container["restartPolicyRules"] = json!([{ "action": "RestartAllContainers", "exitCodes": exit_codes }]);
    }
    container
}
