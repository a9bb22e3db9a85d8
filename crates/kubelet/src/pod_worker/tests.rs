//! Whole Pods against a fake API, a fake runtime and a clock that only moves when everybody waits.

mod probes;
mod static_pods;

mod simulation;

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use testkit::fake_api::FakeApi;
use testkit::fake_cri::FakeCri;
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::config::{Config, NodeConfig, Paths, PodConfig};
use crate::context::NodeContext;
use crate::machine::Machine;
use crate::sync_loop::{KnownPods, SyncLoop};
use crate::testing::{EventLog, FakeHost, TokioClock};
use crate::{pleg, pod_source};

/// The Pod of every test.
const POD: &str = "/api/v1/namespaces/default/pods/web";

/// A node with a sync loop and nothing else.
struct Node {
    api: FakeApi,
    cri: FakeCri,
    host: Arc<FakeHost>,
    events: EventLog,
    context: Arc<NodeContext>,
    clock: Arc<TokioClock>,
    cancel: CancellationToken,
    _directory: tempfile::TempDir,
}

impl Node {
    fn new() -> Self {
        Self::with(|_| {})
    }

    /// A node that is configured in its own way; `static` below its directory is for manifests.
    fn with(configure: impl FnOnce(&mut Config)) -> Self {
        let clock = Arc::new(TokioClock::new());
        let directory = tempfile::tempdir().unwrap();
        let (api, host, events) = (FakeApi::new(), Arc::new(FakeHost::default()), EventLog::default());
        let cri = FakeCri::new(clock.clone(), &["nginx:latest", "busybox:latest"]);
        let mut config = Config {
            client: api.client(),
            runtime: cri.runtime(),
            host: host.clone(),
            clock: clock.clone(),
            random: Arc::new(platform::random::SystemRandom),
            node: NodeConfig {
                name: "n1".to_owned(),
                labels: Default::default(),
                addresses: vec!["192.0.2.1".parse().unwrap()],
                taints: Vec::new(),
                kubelet_port: 10250,
                pod_cidrs: Vec::new(),
                version: "v1".to_owned(),
                max_pods: 110,
            },
            paths: Paths::below(directory.path()),
            pods: PodConfig::default(),
            resources: Default::default(),
        };
        configure(&mut config);
        let context = NodeContext::new(&config, &Machine::default(), "fake".to_owned(), Arc::new(events.clone()));
        let mut node = Self {
            api,
            cri,
            host,
            events,
            context: Arc::new(context),
            clock,
            cancel: CancellationToken::new(),
            _directory: directory,
        };
        node.start();
        node
    }

    #[allow(clippy::disallowed_methods)] // tests need no supervision
    fn start(&mut self) {
        self.cancel = CancellationToken::new();
        let (events, queue) = mpsc::channel(64);
        let (changes, pods) = (watch::channel(0).0, watch::channel(KnownPods::new()).0);
        let sync_loop = SyncLoop::new(self.context.clone(), events.clone(), changes, pods);
        let parts = [
            tokio::spawn(pod_source::run_static(self.context.clone(), "n1".to_owned(), events.clone())),
            tokio::spawn(pleg::run(self.context.runtime.clone(), events.clone())),
            tokio::spawn({
                let client = self.api.client();
                async move { pod_source::run(client, "n1", events).await }
            }),
        ];
        let cancel = self.cancel.clone();
        tokio::spawn(async move {
            sync_loop.run(queue, cancel).await;
            parts.iter().for_each(tokio::task::JoinHandle::abort);
        });
    }

    /// As `kill -9` and a new daemon: everything in memory is gone.
    async fn restart(&mut self) {
        self.cancel.cancel();
        tokio::time::sleep(Duration::from_millis(10)).await;
        self.start();
    }

    fn create(&self, spec: Value) {
        // What holds a Pod's object in the real API is its grace period; the fake knows finalizers only.
        let metadata = json!({
            "name": "web", "namespace": "default", "uid": "u1", "generation": 1, "finalizers": ["grace"],
        });
        self.api.put(json!({ "apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec }));
    }

    /// As a user's change of the spec.
    fn respec(&self, spec: &Value) {
        let generation = self.api.get(POD).map_or(0, |pod| pod["metadata"]["generation"].as_i64().unwrap_or(0));
        self.api.patch(POD, json!({ "metadata": { "generation": generation + 1 }, "spec": spec }));
    }

    /// As a user's delete: the kubelet ends the Pod and deletes the object.
    fn delete(&self, grace_seconds: i64) {
        let metadata = json!({
            "deletionTimestamp": "2026-01-01T00:00:00Z", "deletionGracePeriodSeconds": grace_seconds,
        });
        self.api.patch(POD, json!({ "metadata": metadata }));
    }

    /// The object goes at once.
    fn vanish(&self) {
        self.api.patch(POD, json!({ "metadata": { "finalizers": [], "deletionTimestamp": "2026-01-01T00:00:00Z" } }));
    }

    fn status(&self) -> Value {
        self.api.get(POD).map(|pod| pod["status"].clone()).unwrap_or_default()
    }

    fn container(&self, index: usize) -> Value {
        self.status()["containerStatuses"][index].clone()
    }

    fn waiting_reason(&self) -> String {
        self.container(0)["state"]["waiting"]["reason"].as_str().unwrap_or_default().to_owned()
    }

    async fn until(&self, what: &str, found: impl Fn(&Self) -> bool) {
        let limit = Instant::now() + Duration::from_secs(400);
        while !found(self) {
            if Instant::now() > limit {
                let state = (self.cri.calls(), self.events.all(), self.status(), self.api.requests());
                panic!("not seen: {what}\n{state:#?}");
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    async fn until_running(&self) {
        self.until("Running and Ready", |node| node.status()["phase"] == "Running" && node.is_ready()).await;
    }

    async fn until_gone(&self) {
        let request = format!("DELETE {POD}");
        self.until("the delete", |node| node.api.requests().contains(&request)).await;
        self.vanish();
        // What follows the object's end is quick.
        tokio::time::sleep(Duration::from_millis(50)).await;
    }

    fn is_ready(&self) -> bool {
        let status = self.status();
        let mut conditions = status["conditions"].as_array().into_iter().flatten();
        conditions.any(|one| one["type"] == "Ready" && one["status"] == "True")
    }

    fn status_patches(&self) -> usize {
        self.api.requests().iter().filter(|request| request.starts_with("PATCH") && request.contains("status")).count()
    }
}

fn one() -> Value {
    json!({ "containers": [{ "name": "app", "image": "nginx" }] })
}

#[tokio::test(start_paused = true)]
async fn a_pod_that_starts_quickly_needs_one_status_patch() {
    let node = Node::new();
    node.create(one());
    node.until_running().await;
    assert_eq!(node.cri.calls(), ["run sandbox web-0", "create app", "start app"]);
    assert_eq!(node.status()["podIP"], "10.9.0.1");
    assert_eq!(node.container(0)["containerID"], "fake://c2");
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!(node.status_patches(), 1);
    assert_eq!(
        node.events.all(),
        [
            "Pulled: Container image \"nginx\" already present on machine and can be accessed by the pod",
            "Created: Container created",
            "Started: Container started",
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn a_pod_that_takes_longer_is_seen_while_its_containers_are_made() {
    let node = Node::new();
    node.cri.behave(|fake| fake.pull_time = Duration::from_millis(100));
    node.create(json!({ "containers": [{ "name": "app", "image": "big" }] }));
    node.until("ContainerCreating", |node| node.waiting_reason() == "ContainerCreating").await;
    assert_eq!(node.status()["phase"], "Pending");
    node.until_running().await;
    assert_eq!(node.status_patches(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_deleted_pod_leaves_nothing() {
    let node = Node::new();
    node.create(json!({
        "containers": [{ "name": "app", "image": "nginx", "volumeMounts": [{ "name": "v", "mountPath": "/v" }] }],
        "volumes": [{ "name": "v", "emptyDir": { "medium": "Memory" } }],
    }));
    node.until_running().await;
    assert_eq!(node.host.mounts().len(), 1);
    node.cri.forget_calls();
    node.delete(7);
    node.until_gone().await;
    assert_eq!(node.cri.calls(), ["stop app 7", "stop sandbox web", "remove sandbox web"]);
    assert_eq!(node.host.mounts().len(), 0);
    assert_eq!(node.host.calls(), ["create kubepods/besteffort/podu1", "remove kubepods/besteffort/podu1"]);
    assert!(!node.context.paths.root.join("pods/u1").exists());
    assert!(node.events.all().contains(&"Killing: Stopping container app".to_owned()));
}

#[tokio::test(start_paused = true)]
async fn a_container_that_ignores_the_signal_is_killed_after_its_grace_period() {
    let node = Node::new();
    node.cri.behave(|fake| fake.deaf.push("app".to_owned()));
    node.create(one());
    node.until_running().await;
    let before = Instant::now();
    node.delete(30);
    node.until_gone().await;
    let took = before.elapsed();
    assert!((30..32).contains(&took.as_secs()), "{took:?}");
}

#[tokio::test(start_paused = true)]
async fn a_second_delete_shortens_the_grace_period() {
    let node = Node::new();
    node.cri.behave(|fake| fake.deaf.push("app".to_owned()));
    node.create(one());
    node.until_running().await;
    let before = Instant::now();
    node.delete(300);
    tokio::time::sleep(Duration::from_secs(5)).await;
    node.delete(2);
    node.until_gone().await;
    assert!((7..9).contains(&before.elapsed().as_secs()), "{:?}", before.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_delete_does_not_wait_for_a_container_that_is_being_restarted() {
    let node = Node::new();
    node.cri.behave(|fake| {
        fake.deaf.push("app".to_owned());
        fake.commands.insert("check".to_owned(), (1, "dead".to_owned()));
    });
    let probe = json!({ "exec": { "command": ["check"] }, "periodSeconds": 1, "failureThreshold": 1 });
    node.create(json!({ "terminationGracePeriodSeconds": 300, "containers": [
        { "name": "app", "image": "nginx", "livenessProbe": probe },
        { "name": "log", "image": "nginx" },
    ] }));
    node.until("the kill", |node| node.cri.calls().contains(&"stop app 300".to_owned())).await;
    let before = Instant::now();
    node.delete(5);
    node.until("the other's stop", |node| node.cri.calls().contains(&"stop log 5".to_owned())).await;
    node.until_gone().await;
    assert!((5..7).contains(&before.elapsed().as_secs()), "{:?}", before.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_force_deleted_pod_is_killed() {
    let node = Node::new();
    node.create(one());
    node.until_running().await;
    node.cri.forget_calls();
    node.vanish();
    node.until("the sandbox's end", |node| node.cri.sandboxes() == 0).await;
    assert_eq!(node.cri.calls(), ["stop app 2", "stop sandbox web", "remove sandbox web"]);
}

#[tokio::test(start_paused = true)]
async fn a_crashing_container_is_backed_off_and_says_so() {
    let node = Node::new();
    node.cri.behave(|fake| fake.exits_at_once.extend([("app".to_owned(), 1)]));
    node.create(one());
    let before = Instant::now();
    node.until("CrashLoopBackOff", |node| node.waiting_reason() == "CrashLoopBackOff").await;
    let waiting = &node.container(0)["state"]["waiting"];
    assert_eq!(waiting["message"], "back-off 10s restarting failed container=app pod=web_default(u1)");
    assert_eq!(node.container(0)["restartCount"], 1);
    assert_eq!(node.container(0)["lastState"]["terminated"]["exitCode"], 1);
    let third = |node: &Node| node.container(0)["restartCount"] == 3;
    node.until("the third restart", third).await;
    assert!((30..32).contains(&before.elapsed().as_secs()), "{:?}", before.elapsed());
    assert!(node.events.count("BackOff") >= 2);
}

#[tokio::test(start_paused = true)]
async fn a_container_is_restarted_when_it_exits_and_counted() {
    let node = Node::new();
    node.create(one());
    node.until_running().await;
    tokio::time::sleep(Duration::from_secs(5)).await;
    node.cri.exit("app", 0);
    node.until("the restart", |node| node.container(0)["restartCount"] == 1 && node.is_ready()).await;
    assert_eq!(node.container(0)["lastState"]["terminated"]["reason"], "Completed");
    assert_eq!(node.cri.container_config("app").unwrap().log_path, "app/1.log");
}

#[tokio::test(start_paused = true)]
async fn a_dead_sandbox_is_replaced() {
    let node = Node::new();
    node.create(one());
    node.until_running().await;
    node.cri.forget_calls();
    node.cri.kill_sandbox("web");
    node.until("the new container", |node| node.container(0)["restartCount"] == 1 && node.is_ready()).await;
    assert_eq!(node.cri.calls(), ["stop sandbox web", "run sandbox web-1", "create app", "start app"]);
    assert_eq!(node.events.count("SandboxChanged"), 1);
}

#[tokio::test(start_paused = true)]
async fn a_restarted_kubelet_adopts_what_runs() {
    let mut node = Node::new();
    node.create(one());
    node.until_running().await;
    node.cri.forget_calls();
    node.restart().await;
    tokio::time::sleep(Duration::from_secs(30)).await;
    assert_eq!(node.cri.calls(), Vec::<String>::new());
    assert_eq!(node.container(0)["restartCount"], 0);
    assert_eq!(node.status_patches(), 1);
    node.delete(5);
    node.until_gone().await;
    assert_eq!(node.cri.sandboxes(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_pod_that_vanished_while_no_kubelet_ran_is_ended() {
    let mut node = Node::new();
    let lifecycle = json!({ "preStop": { "exec": { "command": ["bye"] } } });
    node.create(json!({ "containers": [{ "name": "app", "image": "nginx", "lifecycle": lifecycle }] }));
    node.until_running().await;
    node.cancel.cancel();
    tokio::time::sleep(Duration::from_millis(10)).await;
    node.vanish();
    node.cri.forget_calls();
    node.restart().await;
    node.until("the orphan's end", |node| node.cri.sandboxes() == 0).await;
    // Its hook is known from the container itself, and has as little time as anything of a Pod nobody wants.
    assert_eq!(node.cri.calls()[..2], ["exec app bye", "stop app 2"]);
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert!(!node.context.paths.root.join("pods/u1").exists());
}

#[tokio::test(start_paused = true)]
async fn a_job_like_pod_succeeds_and_keeps_its_record_until_deleted() {
    let node = Node::new();
    let mut spec = one();
    spec["restartPolicy"] = json!("Never");
    node.create(spec);
    node.until_running().await;
    node.cri.exit("app", 0);
    node.until("Succeeded", |node| node.status()["phase"] == "Succeeded").await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(node.cri.sandboxes(), 1);
    assert_eq!(node.container(0)["state"]["terminated"]["reason"], "Completed");
    assert_eq!(node.host.calls().last().unwrap(), "remove kubepods/besteffort/podu1");
    node.delete(30);
    node.until_gone().await;
    assert_eq!(node.cri.sandboxes(), 0);
}

#[tokio::test(start_paused = true)]
async fn init_containers_run_in_order_before_the_others() {
    let node = Node::new();
    node.cri.behave(|fake| {
        fake.exits_at_once.insert("a".to_owned(), 0);
        fake.exits_at_once.insert("b".to_owned(), 0);
    });
    node.create(json!({
        "initContainers": [{ "name": "a", "image": "busybox" }, { "name": "b", "image": "busybox" }],
        "containers": [{ "name": "app", "image": "nginx" }],
    }));
    node.until_running().await;
    let starts: Vec<_> = node.cri.calls().into_iter().filter(|call| call.starts_with("start")).collect();
    assert_eq!(starts, ["start a", "start b", "start app"]);
}

#[tokio::test(start_paused = true)]
async fn a_missing_image_is_pulled_with_backoff() {
    let node = Node::new();
    node.cri.behave(|fake| drop(fake.pull_failures.insert("gone:latest".to_owned(), "no such image".to_owned())));
    node.create(json!({ "containers": [{ "name": "app", "image": "gone", "imagePullPolicy": "IfNotPresent" }] }));
    node.until("ErrImagePull", |node| node.waiting_reason() == "ErrImagePull").await;
    assert_eq!(node.container(0)["state"]["waiting"]["message"], "no such image");
    node.until("ImagePullBackOff", |node| node.waiting_reason() == "ImagePullBackOff").await;
    let message = "Back-off pulling image \"gone\": ErrImagePull: no such image";
    assert_eq!(node.container(0)["state"]["waiting"]["message"], message);
    assert_eq!(node.status()["phase"], "Pending");
    node.cri.behave(|fake| fake.pull_failures.clear());
    node.until_running().await;
    assert!(node.events.all().contains(&"BackOff: Back-off pulling image \"gone\"".to_owned()));
    assert!(node.events.all().contains(&"Failed: Failed to pull image \"gone\": no such image".to_owned()));
    assert!(node.events.all().contains(&"Failed: Error: ErrImagePull".to_owned()));
}

#[tokio::test(start_paused = true)]
async fn other_containers_start_while_one_waits_for_its_image() {
    let node = Node::new();
    node.cri.behave(|fake| fake.pull_time = Duration::from_secs(60));
    node.create(json!({ "containers": [
        { "name": "app", "image": "nginx" },
        { "name": "big", "image": "big" },
    ] }));
    node.until("the first container in the status", |node| !node.container(0)["state"]["running"].is_null()).await;
    assert_eq!(node.container(1)["state"]["waiting"]["reason"], "ContainerCreating");
    node.until_running().await;
}

#[tokio::test(start_paused = true)]
async fn a_pod_can_be_deleted_while_it_pulls() {
    let node = Node::new();
    node.cri.behave(|fake| fake.pull_time = Duration::from_secs(3600));
    node.create(json!({ "containers": [{ "name": "app", "image": "big" }] }));
    node.until("the pull", |node| node.cri.calls().contains(&"pull big:latest".to_owned())).await;
    let before = Instant::now();
    node.delete(30);
    node.until_gone().await;
    assert!(before.elapsed() < Duration::from_secs(1));
    assert_eq!(node.cri.sandboxes(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_pod_can_be_deleted_in_crash_backoff_and_during_initialization() {
    let node = Node::new();
    node.cri.behave(|fake| fake.exits_at_once.extend([("app".to_owned(), 1)]));
    node.create(one());
    node.until("CrashLoopBackOff", |node| node.waiting_reason() == "CrashLoopBackOff").await;
    node.delete(30);
    node.until_gone().await;
    node.create(json!({
        "initContainers": [{ "name": "slow", "image": "busybox" }],
        "containers": [{ "name": "app", "image": "nginx" }],
    }));
    node.until("the init container", |node| node.cri.is_running("slow")).await;
    node.delete(30);
    node.until_gone().await;
    assert_eq!(node.cri.sandboxes(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_missing_secret_key_is_said_and_waited_for() {
    let node = Node::new();
    let from = json!({ "secretKeyRef": { "name": "s", "key": "k" } });
    node.create(json!({ "containers": [{
        "name": "app", "image": "nginx", "env": [{ "name": "K", "valueFrom": from }],
    }] }));
    node.until("the reason", |node| node.waiting_reason() == "CreateContainerConfigError").await;
    assert_eq!(node.container(0)["state"]["waiting"]["message"], "secret \"s\" not found");
    node.api.put(json!({
        "apiVersion": "v1", "kind": "Secret", "metadata": { "name": "s", "namespace": "default" },
        "data": { "k": "dg==" },
    }));
    node.until_running().await;
    let env = node.cri.container_config("app").unwrap().envs;
    assert!(env.iter().any(|variable| variable.key == "K" && variable.value == "v"));
}

#[tokio::test(start_paused = true)]
async fn an_unsupported_volume_is_reported_and_the_pod_waits() {
    let node = Node::new();
    let mut spec = one();
    spec["volumes"] = json!([{ "name": "v", "csi": { "driver": "d" } }]);
    node.create(spec);
    node.until("the event", |node| node.events.count("FailedMount") > 0).await;
    node.until("the status", |node| node.waiting_reason() == "ContainerCreating").await;
    assert!(node.events.all()[0].contains("volume type csi is not supported"));
    node.delete(30);
    node.until_gone().await;
}

#[tokio::test(start_paused = true)]
async fn a_claim_that_gets_bound_late_starts_the_pod_within_a_second() {
    let node = Node::new();
    let directory = tempfile::tempdir().unwrap();
    let claim = |status: serde_json::Value| {
        json!({
            "apiVersion": "v1", "kind": "PersistentVolumeClaim",
            "metadata": { "name": "c", "namespace": "default", "uid": "uc" },
            "spec": { "volumeName": "v" }, "status": status,
        })
    };
    node.api.put(claim(json!({ "phase": "Pending" })));
    node.api.put(json!({
        "apiVersion": "v1", "kind": "PersistentVolume", "metadata": { "name": "v" },
        "spec": {
            "hostPath": { "path": directory.path() },
            "claimRef": { "name": "c", "namespace": "default", "uid": "uc" },
        },
    }));
    let mut spec = one();
    spec["volumes"] = json!([{ "name": "v", "persistentVolumeClaim": { "claimName": "c" } }]);
    node.create(spec);
    node.until("the event", |node| node.events.count("FailedMount") > 0).await;
    tokio::time::sleep(Duration::from_secs(60)).await;
    node.api.put(claim(json!({ "phase": "Bound" })));
    let bound = tokio::time::Instant::now();
    node.until_running().await;
    assert!(bound.elapsed() < Duration::from_secs(2), "{:?}", bound.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_failing_sandbox_is_reported_and_tried_again() {
    let node = Node::new();
    node.cri.behave(|fake| fake.sandbox_failure = Some("no address left".to_owned()));
    node.create(one());
    node.until("the event", |node| node.events.count("FailedCreatePodSandBox") > 1).await;
    assert!(node.events.all()[0].ends_with("Failed to create pod sandbox: no address left"));
    node.cri.behave(|fake| fake.sandbox_failure = None);
    node.until_running().await;
}

#[tokio::test(start_paused = true)]
async fn a_command_that_cannot_start_is_a_run_container_error() {
    let node = Node::new();
    let problem = "exec: \"nope\": executable file not found in $PATH";
    node.cri.behave(|fake| drop(fake.start_failures.insert("app".to_owned(), problem.to_owned())));
    node.create(one());
    node.until("the reason", |node| node.waiting_reason() == "RunContainerError").await;
    node.until("the back-off", |node| node.waiting_reason() == "CrashLoopBackOff").await;
    assert_eq!(node.container(0)["lastState"]["terminated"]["reason"], "StartError");
    assert!(node.events.all().contains(&format!("Failed: Error: {problem}")));
}

#[tokio::test(start_paused = true)]
async fn readiness_follows_the_probe() {
    let node = Node::new();
    node.cri.behave(|fake| drop(fake.commands.insert("check".to_owned(), (1, "not yet".to_owned()))));
    let probe = json!({ "exec": { "command": ["check"] }, "periodSeconds": 2 });
    node.create(json!({ "containers": [{ "name": "app", "image": "nginx", "readinessProbe": probe }] }));
    node.until("Running", |node| node.status()["phase"] == "Running").await;
    tokio::time::sleep(Duration::from_secs(10)).await;
    assert!(!node.is_ready());
    assert!(node.events.all().contains(&"Unhealthy: Readiness probe failed: not yet".to_owned()));
    node.cri.behave(|fake| fake.commands.clear());
    node.until_running().await;
}

#[tokio::test(start_paused = true)]
async fn a_failing_liveness_probe_restarts_the_container() {
    let node = Node::new();
    node.cri.behave(|fake| drop(fake.commands.insert("check".to_owned(), (1, "dead".to_owned()))));
    let probe = json!({ "exec": { "command": ["check"] }, "periodSeconds": 1, "failureThreshold": 3 });
    node.create(json!({ "containers": [{ "name": "app", "image": "nginx", "livenessProbe": probe }] }));
    node.until("the restart", |node| node.container(0)["restartCount"] == 1).await;
    let killing = "Killing: Container app failed liveness probe, will be restarted";
    assert!(node.events.all().contains(&killing.to_owned()));
}

#[tokio::test(start_paused = true)]
async fn hooks_run_after_the_start_and_before_the_stop() {
    let node = Node::new();
    let exec = |word: &str| json!({ "exec": { "command": [word] } });
    let lifecycle = json!({ "postStart": exec("hello"), "preStop": exec("bye") });
    node.create(json!({ "containers": [{ "name": "app", "image": "nginx", "lifecycle": lifecycle }] }));
    node.until_running().await;
    node.delete(9);
    node.until_gone().await;
    let calls = node.cri.calls();
    let expected = ["start app", "exec app hello", "exec app bye", "stop app 9"];
    let found: Vec<_> = calls.iter().filter(|call| expected.contains(&call.as_str())).collect();
    assert_eq!(found, expected.iter().collect::<Vec<_>>());
}

#[tokio::test(start_paused = true)]
async fn a_pod_past_its_deadline_fails() {
    let node = Node::new();
    let mut spec = one();
    spec["activeDeadlineSeconds"] = json!(20);
    node.create(spec);
    node.until_running().await;
    node.until("Failed", |node| node.status()["phase"] == "Failed").await;
    assert_eq!(node.status()["reason"], "DeadlineExceeded");
    node.until("the stop", |node| !node.cri.is_running("app")).await;
}

#[tokio::test(start_paused = true)]
async fn a_deadline_does_not_wait_for_a_hook() {
    let node = Node::new();
    node.cri.behave(|fake| fake.command_times.extend([("slow".to_owned(), Duration::from_secs(300))]));
    let hook = json!({ "postStart": { "exec": { "command": ["slow"] } } });
    node.create(json!({ "activeDeadlineSeconds": 5, "containers": [
        { "name": "app", "image": "nginx", "lifecycle": hook },
        { "name": "next", "image": "nginx" },
    ] }));
    let before = Instant::now();
    node.until("Failed", |node| node.status()["phase"] == "Failed").await;
    assert!((5..7).contains(&before.elapsed().as_secs()), "{:?}", before.elapsed());
    assert!(!node.cri.calls().contains(&"create next".to_owned()));
}

#[tokio::test(start_paused = true)]
async fn a_status_is_written_in_spite_of_failures() {
    let node = Node::new();
    node.api.fail_next("PATCH", 500);
    node.create(one());
    node.until_running().await;
}
