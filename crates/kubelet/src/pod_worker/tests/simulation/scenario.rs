//! What befalls a Pod.

use std::time::Duration;

use jiff::SignedDuration;
use serde_json::{Value, json};
use tokio::time::Instant;

use super::Node;
use super::random_pod::{FAR_IMAGE, Kind, RESTART_ALL_CODE, RESTART_CODE, Random, SimulatedPod, random_pod};
use super::settled;

/// What was done to the Pod, and when.
pub struct Story {
    pub began: Instant,
    /// The kubelet was started anew.
    pub restarts: Vec<Instant>,
    /// Deletes with their grace periods, in order.
    pub deletes: Vec<(Instant, i64)>,
    /// The object went without a word.
    pub vanished: Option<Instant>,
    /// A container was to have another image, or other resources.
    pub changes: Vec<(Instant, String)>,
    /// By how much the clock was set.
    pub jumps: Vec<i64>,
    /// For people.
    pub told: Vec<(Instant, String)>,
}

impl Story {
    fn begin() -> Self {
        let began = Instant::now();
        let (restarts, deletes, changes, jumps, told) = Default::default();
        Self { began, restarts, deletes, vanished: None, changes, jumps, told }
    }

    /// Whether the kubelet was started anew since.
    pub fn restarted_since(&self, at: Instant) -> bool {
        self.restarts.iter().any(|restart| *restart >= at)
    }
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
        let mut story = Story::begin();
        self.set_the_stage(node);
        node.create(self.pod.spec.clone());
        let mut seen = Value::Null;
        for _ in 0..5 + self.random.below(20) {
            tokio::time::sleep(self.gap()).await;
            let status = node.status();
            settled::check_progress(&seen, &status);
            let over = status["phase"] == "Succeeded" || status["phase"] == "Failed";
            seen = status;
            if over {
                break;
            }
            self.befall(node, &mut story).await;
        }
        if self.random.one_in(2) {
            settled::settle(&self.pod, node, &story).await;
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
            for word in ["startup", "live", "post"] {
                if self.random.one_in(6) {
                    node.cri.behave(|fake| fake.commands.extend([(format!("{word}-{name}"), (1, String::new()))]));
                }
            }
            for word in ["post", "pre"] {
                let time = Duration::from_millis(self.random.below(12_000));
                node.cri.behave(|fake| fake.command_times.extend([(format!("{word}-{name}"), time)]));
            }
        }
        if self.random.one_in(3) {
            node.cri.behave(|fake| drop(fake.pull_failures.insert(FAR_IMAGE.to_owned(), "no route".to_owned())));
        }
        node.cri.behave(|fake| fake.pull_time = Duration::from_millis(700));
    }

    async fn befall(&mut self, node: &mut Node, story: &mut Story) {
        let (name, kind) = self.random.pick(&self.pod.containers);
        let text = match self.random.below(16) {
            0..5 => {
                let code = self.random.pick(&[0, 0, 1, RESTART_ALL_CODE, RESTART_CODE as i32, 137]);
                if node.cri.is_running(&name) {
                    node.cri.exit(&name, code);
                }
                format!("{name} exits with {code}")
            }
            5 => {
                node.cri.kill_sandbox("web");
                "the sandbox dies".to_owned()
            }
            6..8 => {
                let (code, word) =
                    (self.random.pick(&[0, 0, 1]), self.random.pick(&["live", "startup", "ready", "post", "pre"]));
                node.cri.behave(|fake| drop(fake.commands.insert(format!("{word}-{name}"), (code, String::new()))));
                format!("{word}-{name} answers {code}")
            }
            8 => {
                node.cri.behave(|fake| fake.pull_failures.clear());
                "images can be pulled".to_owned()
            }
            9 => {
                let fails = self.random.one_in(2);
                node.cri.behave(|fake| fake.sandbox_failure = fails.then(|| "no room".to_owned()));
                format!("sandboxes fail: {fails}")
            }
            10 => {
                let fails = self.random.one_in(2);
                node.cri.behave(|fake| match fails {
                    true => drop(fake.start_failures.insert(name.clone(), "no such file".to_owned())),
                    false => fake.start_failures.clear(),
                });
                format!("{name} can not be started: {fails}")
            }
            11 => self.restart(node, story).await,
            12 => {
                let seconds = self.random.below(1_200) as i64 - 600;
                node.clock.jump(SignedDuration::from_secs(seconds));
                story.jumps.push(seconds);
                format!("the clock jumps by {seconds} s")
            }
            13 => self.debug(node),
            14 if matches!(kind, Kind::Regular | Kind::Sidecar) => {
                let image = self.random.pick(&["nginx", "busybox"]);
                self.change(node, story, &name, "image", json!(image))
            }
            _ if matches!(kind, Kind::Regular | Kind::Sidecar) && self.pod.has(&name, "/resources") => {
                let limits = json!({ "limits": { "cpu": self.random.pick(&["1", "2", "500m"]) } });
                self.change(node, story, &name, "resources", limits)
            }
            _ => "nothing happens".to_owned(),
        };
        story.told.push((Instant::now(), text));
    }

    async fn restart(&mut self, node: &mut Node, story: &mut Story) -> String {
        node.restart().await;
        story.restarts.push(Instant::now());
        "the kubelet is restarted".to_owned()
    }

    fn debug(&mut self, node: &Node) -> String {
        let name = format!("debug{}", self.pod.containers.len());
        let image = self.random.pick(&["nginx", FAR_IMAGE]);
        let container = json!({ "name": name, "image": image, "imagePullPolicy": "IfNotPresent" });
        self.pod.containers.push((name.clone(), Kind::Ephemeral));
        let all = &mut self.pod.spec["ephemeralContainers"];
        match all.as_array_mut() {
            Some(all) => all.push(container),
            None => *all = json!([container]),
        }
        node.respec(&self.pod.spec);
        format!("{name} is added")
    }

    fn change(&mut self, node: &Node, story: &mut Story, name: &str, field: &str, value: Value) -> String {
        let text = format!("{name}'s {field} is {value}");
        for list in ["initContainers", "containers"] {
            let mut all = self.pod.spec[list].as_array_mut().into_iter().flatten();
            if let Some(container) = all.find(|container| container["name"] == name) {
                container[field] = value.clone();
            }
        }
        story.changes.push((Instant::now(), name.to_owned()));
        node.respec(&self.pod.spec);
        text
    }

    /// Deletes the Pod, perhaps more than once and with a crash in between, and waits until nothing is left.
    async fn end(&mut self, node: &mut Node, story: &mut Story) {
        if self.random.one_in(8) {
            story.vanished = Some(Instant::now());
            node.vanish();
        } else {
            let mut grace_seconds = self.pod.grace_seconds().min(self.random.pick(&[2, 10, 30, 60]));
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
