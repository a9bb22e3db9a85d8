//! Controllers and scheduler against the real API server, in process, each under its own identity.

#![allow(clippy::unwrap_used)] // what a test can not do without, in helpers too

use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use apiserver::{ApiServer, NodeDialer, NodeStream, UserInfo};
use async_trait::async_trait;
use client::Client;
use k8s_openapi::api::core::v1::{ConfigMap, Event, Namespace, Node, Pod, Secret, ServiceAccount};
use kube::Api;
use kube::api::{DeleteParams, ListParams, Patch, PatchParams};
use platform::clock::SystemClock;
use platform::random::SystemRandom;
use platform::tasks::{TaskKind, spawn};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

struct NoNodes;

#[async_trait]
impl NodeDialer for NoNodes {
    async fn dial(&self, _: &str) -> io::Result<Box<dyn NodeStream>> {
        Err(io::Error::from(io::ErrorKind::NotConnected))
    }
}

/// A control plane in memory; it stops when dropped.
struct ControlPlane {
    admin: Client,
    cancel: CancellationToken,
    _api_server: Arc<ApiServer>,
}

impl Drop for ControlPlane {
    fn drop(&mut self) {
        self.cancel.cancel();
    }
}

impl ControlPlane {
    async fn start() -> Self {
        let key = rcgen::KeyPair::generate().unwrap().serialize_pem();
        let api_server = ApiServer::start(apiserver::Config {
            store: Arc::new(store::memory::MemoryStore::default()),
            clock: Arc::new(SystemClock),
            random: Arc::new(SystemRandom),
            service_account_key_pem: key.into_bytes(),
            service_account_issuer: "https://kubernetes.default.svc.cluster.local".into(),
            node_dialer: Arc::new(NoNodes),
            companions: Arc::new(()),
            runtime_config: apiserver::RuntimeConfig::default(),
            admission_plugins: apiserver::AdmissionPlugins::default(),
            tokens: apiserver::TokenConfig::default(),
            authentication: apiserver::AuthenticationConfig::default(),
            encryption: None,
            limits: apiserver::Limits::default(),
            audit: None,
            service_ranges: vec!["10.96.0.0/16".parse().unwrap()],
        })
        .await
        .unwrap();
        let client = |user: UserInfo| Client::new(api_server.in_process(user), "default");
        let none: [&str; 0] = [];
        let admin = client(UserInfo::new("admin", ["system:masters"]));
        for name in ["kube-public", "kube-system"] {
            let namespace = json!({ "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": name } });
            let request = http::Request::post("/api/v1/namespaces").header("content-type", "application/json");
            let made = admin.request::<Namespace>(request.body(namespace.to_string().into_bytes()).unwrap()).await;
            made.unwrap();
        }
        bootstrap::policy::reconcile(&admin).await.unwrap();
        let cancel = CancellationToken::new();
        let controllers = controllers::Config {
            clock: Arc::new(SystemClock),
            random: Arc::new(SystemRandom),
            authority: None,
            secret_tokens: Arc::new(|_| Ok("token".to_owned())),
            bootstrap_tokens: true,
            root_ca: "PEM".into(),
            local_path: None,
            node_monitor_grace_period: controllers::NODE_MONITOR_GRACE_PERIOD,
            eviction_rates: controllers::EvictionRates::default(),
            autoscaling: controllers::Autoscaling::default(),
        };
        let shared = client(UserInfo::new("system:kube-controller-manager", none));
        let server = Arc::clone(&api_server);
        let clients = controllers::Clients::new(shared, move |controller| {
            Client::new(server.in_process(UserInfo::service_account("kube-system", controller)), "default")
        });
        spawn(TaskKind::Worker, "controllers", controllers::run(clients, controllers, cancel.clone()));
        let scheduler = scheduler::Config {
            clock: Arc::new(SystemClock),
            random: Arc::new(SystemRandom),
            instance: "host".into(),
            configuration: scheduler::Configuration::default(),
            verdicts: scheduler::Verdicts::default(),
            metrics: scheduler::Metrics::default(),
        };
        let user = client(UserInfo::new("system:kube-scheduler", none));
        spawn(TaskKind::Worker, "scheduler", scheduler::run(user, scheduler, cancel.clone()));
        let this = Self { admin, cancel, _api_server: api_server };
        this.create::<Namespace>(None, json!({ "metadata": { "name": "shop" } })).await;
        this.until("the default account", || this.exists::<ServiceAccount>("default")).await;
        this
    }

    fn api<K>(&self) -> Api<K>
    where
        K: kube::Resource<DynamicType = (), Scope = kube::core::NamespaceResourceScope>,
    {
        Api::namespaced(self.admin.clone(), "shop")
    }

    async fn create<K>(&self, namespace: Option<&str>, object: Value) -> K
    where
        K: kube::Resource<DynamicType = ()> + Clone + std::fmt::Debug + DeserializeOwned + serde::Serialize,
        K: k8s_openapi::Resource,
    {
        let path = match namespace {
            Some(namespace) => format!("/api/v1/namespaces/{namespace}/{}", K::plural(&())),
            None => format!("/api/v1/{}", K::plural(&())),
        };
        let mut object = object;
        object["apiVersion"] = json!("v1");
        object["kind"] = json!(K::KIND);
        let request = http::Request::post(path).header("content-type", "application/json");
        self.admin.request(request.body(object.to_string().into_bytes()).unwrap()).await.unwrap()
    }

    async fn exists<K>(&self, name: &str) -> Option<()>
    where
        K: kube::Resource<DynamicType = (), Scope = kube::core::NamespaceResourceScope>,
        K: Clone + std::fmt::Debug + DeserializeOwned,
    {
        self.api::<K>().get_opt(name).await.unwrap().map(drop)
    }

    async fn until<T, F: Future<Output = Option<T>>>(&self, what: &str, look: impl Fn() -> F) -> T {
        let start = Instant::now();
        loop {
            if let Some(seen) = look().await {
                return seen;
            }
            assert!(start.elapsed() < Duration::from_secs(20), "not seen: {what}");
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }

    async fn add_node(&self, name: &str) {
        let allocatable = json!({ "cpu": "2", "memory": "4Gi", "pods": "10" });
        let conditions = json!([{ "type": "Ready", "status": "True", "reason": "KubeletReady", "message": "ok",
                                  "lastHeartbeatTime": "2026-01-01T00:00:00Z",
                                  "lastTransitionTime": "2026-01-01T00:00:00Z" }]);
        let status = json!({ "capacity": allocatable, "allocatable": allocatable, "conditions": conditions });
        self.create::<Node>(None, json!({ "metadata": { "name": name }, "status": status })).await;
    }

    async fn add_pod(&self, name: &str, selector: Value) {
        let container = json!({ "name": "c", "image": "busybox", "resources": { "requests": { "cpu": "1" } } });
        let spec = json!({ "containers": [container], "nodeSelector": selector });
        self.create::<Pod>(Some("shop"), json!({ "metadata": { "name": name }, "spec": spec })).await;
    }

    async fn node_of(&self, pod: &str) -> Option<String> {
        self.api::<Pod>().get(pod).await.unwrap().spec?.node_name
    }

    async fn condition_message(&self, pod: &str) -> Option<String> {
        let conditions = self.api::<Pod>().get(pod).await.unwrap().status?.conditions?;
        conditions.into_iter().find(|condition| condition.type_ == "PodScheduled")?.message
    }

    async fn event(&self, reason: &str) -> Option<Event> {
        let events = self.api::<Event>().list(&ListParams::default()).await.unwrap();
        events.items.into_iter().find(|event| event.reason.as_deref() == Some(reason))
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_ready_node_takes_pods_and_a_label_brings_the_one_that_waited_for_it() {
    let plane = ControlPlane::start().await;
    plane.add_node("n1").await;
    plane.add_pod("web", json!({})).await;
    assert_eq!(plane.until("web bound", || plane.node_of("web")).await, "n1");
    let scheduled = plane.until("Scheduled", || plane.event("Scheduled")).await;
    assert_eq!(scheduled.message.as_deref(), Some("Successfully assigned shop/web to n1"));

    plane.add_pod("picky", json!({ "disktype": "ssd" })).await;
    let reason = plane.until("the reason", || plane.condition_message("picky")).await;
    assert_eq!(
        reason,
        "0/1 nodes are available: 1 node(s) didn't match Pod's node affinity/selector. no new claims to deallocate, \
         preemption: 0/1 nodes are available: 1 Preemption is not helpful for scheduling."
    );
    let failed = plane.until("FailedScheduling", || plane.event("FailedScheduling")).await;
    assert_eq!(failed.message.as_deref(), Some(reason.as_str()));
    let nodes: Api<Node> = Api::all(plane.admin.clone());
    let label = Patch::Merge(json!({ "metadata": { "labels": { "disktype": "ssd" } } }));
    nodes.patch("n1", &PatchParams::default(), &label).await.unwrap();
    let start = Instant::now();
    assert_eq!(plane.until("picky bound", || plane.node_of("picky")).await, "n1");
    assert!(start.elapsed() < Duration::from_millis(500), "{:?}", start.elapsed());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_namespace_is_furnished_and_goes_with_all_that_is_in_it() {
    let plane = ControlPlane::start().await;
    plane.until("the CA", || plane.exists::<ConfigMap>("kube-root-ca.crt")).await;
    plane.api::<ConfigMap>().delete("kube-root-ca.crt", &DeleteParams::default()).await.unwrap();
    plane.until("the CA again", || plane.exists::<ConfigMap>("kube-root-ca.crt")).await;
    plane.create::<ConfigMap>(Some("shop"), json!({ "metadata": { "name": "held", "finalizers": ["x.io/y"] } })).await;
    plane.add_pod("web", json!({})).await;
    plane.until("the reason", || plane.condition_message("web")).await;

    let namespaces: Api<Namespace> = Api::all(plane.admin.clone());
    namespaces.delete("shop", &DeleteParams::default()).await.unwrap();
    let remaining = || async {
        let conditions = namespaces.get("shop").await.unwrap().status?.conditions?;
        let messages = conditions.into_iter().filter_map(|condition| condition.message);
        messages.into_iter().find(|message| message.contains("configmaps. has 1 resource instances"))
    };
    plane.until("what remains", remaining).await;
    let release = Patch::Merge(json!({ "metadata": { "finalizers": null } }));
    plane.api::<ConfigMap>().patch("held", &PatchParams::default(), &release).await.unwrap();
    let gone = || async { namespaces.get_opt("shop").await.unwrap().is_none().then_some(()) };
    plane.until("the namespace gone", gone).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn objects_go_with_their_owner() {
    let plane = ControlPlane::start().await;
    let owner = plane.create::<ConfigMap>(Some("shop"), json!({ "metadata": { "name": "owner" } })).await;
    let reference =
        |name: &str, uid: &str| json!([{ "apiVersion": "v1", "kind": "ConfigMap", "name": name, "uid": uid }]);
    let uid = owner.metadata.uid.unwrap();
    for (name, owners) in [("child", reference("owner", &uid)), ("orphan", reference("nobody", "no-such-uid"))] {
        let metadata = json!({ "name": name, "ownerReferences": owners });
        plane.create::<Secret>(Some("shop"), json!({ "metadata": metadata })).await;
    }
    let gone = |name: &'static str| {
        let secrets = plane.api::<Secret>();
        move || {
            let secrets = secrets.clone();
            async move { secrets.get_opt(name).await.unwrap().is_none().then_some(()) }
        }
    };
    plane.until("the orphan gone", gone("orphan")).await;
    plane.exists::<Secret>("child").await.unwrap();
    plane.api::<ConfigMap>().delete("owner", &DeleteParams::default()).await.unwrap();
    plane.until("the child gone", gone("child")).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_burst_is_bound_quickly() {
    const PODS: usize = 300;
    let plane = ControlPlane::start().await;
    for number in 0..40 {
        plane.add_node(&format!("n{number}")).await;
    }
    for number in 0..PODS {
        let container = json!({ "name": "c", "image": "busybox" });
        let pod = json!({ "metadata": { "name": format!("p{number}") }, "spec": { "containers": [container] } });
        plane.create::<Pod>(Some("shop"), pod).await;
    }
    let unbound = ListParams::default().fields("spec.nodeName=");
    let start = Instant::now();
    let all_bound = || async {
        let waiting = plane.api::<Pod>().list_metadata(&unbound).await.unwrap();
        waiting.items.is_empty().then_some(())
    };
    plane.until("all bound", all_bound).await;
    assert!(start.elapsed() < Duration::from_secs(5), "{:?}", start.elapsed());
}
