//! What the parts of a kubelet share: handles to the outside and facts about the node that do not change.

use std::collections::HashSet;
use std::path::PathBuf;
use std::sync::Arc;

use api::core::v1::pod::QosClass;
use client::Lister;
use k8s_openapi::api::core::v1::{Node, NodeStatus, Pod, Service};
use linux::cgroup::Limits;
use platform::clock::SharedClock;
use tokio::sync::watch;

use crate::allocation::Allocations;
use crate::config::{Config, Paths, PodConfig};
use crate::container_config::dns::ResolvConf;
use crate::container_config::field_ref::Allocatable;
use crate::container_config::{log_directory, pod_limits};
use crate::cpu_manager::CpuManager;
use crate::devices::Devices;
use crate::events::{EventSink, Events};
use crate::history::History;
use crate::host::Host;
use crate::images::Images;
use crate::machine::Machine;
use crate::node_status;
use crate::objects::Objects;
use crate::pod::{self, Uid};
use crate::probes::{ProbeCounts, Schedule};
use crate::qos;
use crate::resources::{NodeResources, cgroups};
use crate::status_manager::{MirrorKeeper, Mirrors};
use crate::under_way::UnderWay;
use crate::user_namespaces::UserNamespaces;

/// Shared by all workers.
pub struct NodeContext {
    /// The API.
    pub client: kube::Client,
    /// Sandboxes and containers.
    pub runtime: Arc<dyn cri::RuntimeService>,
    /// Images.
    pub images: Images,
    /// The runtime's image store.
    pub image_service: Arc<dyn cri::ImageService>,
    /// ConfigMaps, Secrets, tokens.
    pub objects: Arc<Objects>,
    /// Mounts and cgroups.
    pub host: Arc<dyn Host>,
    /// The time.
    pub clock: SharedClock,
    /// What befell Pods, kept past their deletion.
    pub history: History,
    /// What takes its time right now.
    pub under_way: UnderWay,
    /// What users are told.
    pub events: Events,
    /// The API's objects for static Pods.
    pub mirrors: Arc<Mirrors>,
    /// When probes run.
    pub probes: Arc<Schedule>,
    /// What they said so far.
    pub probe_counts: Arc<ProbeCounts>,
    /// Directories.
    pub paths: Paths,
    /// How Pods are run.
    pub pods: PodConfig,
    /// The node's addresses, the primary one first.
    pub host_ips: Vec<String>,
    /// The runtime's name, the scheme of container ids.
    pub runtime_name: String,
    /// Whether the node shuts down.
    pub shutting_down: watch::Sender<bool>,
    /// Pods of which something may run or be mounted here.
    pub holding: watch::Sender<HashSet<Uid>>,
    /// What stands in for limits that are not there.
    pub allocatable: Allocatable,
    /// What the node has.
    pub resources: NodeResources,
    /// Ids of Pods with users of their own.
    pub user_namespaces: UserNamespaces,
    /// What is promised to each Pod.
    pub allocations: Allocations,
    /// Who has CPUs for itself.
    pub cpus: CpuManager,
    /// What device plugins offer, and who has it.
    pub devices: Arc<Devices>,
    /// The Node object as last seen.
    pub node: watch::Sender<Arc<Node>>,
    /// What the node is short of: the types of its conditions.
    pub pressure: watch::Sender<Vec<&'static str>>,
    /// CPU that Burstable Pods request together.
    pub burstable_cpu_milli: watch::Sender<i64>,
    /// The most processes of one Pod; none for no limit.
    pub pod_pids_limit: Option<i64>,
    /// All Services, for what containers are told of them.
    pub services: Lister<Service>,
    /// The host's resolver configuration.
    pub resolv_conf: ResolvConf,
}

impl NodeContext {
    /// Puts the parts together.
    pub fn new(config: &Config, machine: &Machine, runtime_name: String, sink: Arc<dyn EventSink>) -> Self {
        let history = History::start(config.paths.root.join("history"), Arc::clone(&config.clock));
        let events = Events::new(sink, history.clone());
        let objects = Arc::new(Objects::new(config.client.clone()));
        let images = Images::new(
            Arc::clone(&config.runtime.images),
            Arc::clone(&objects),
            events.clone(),
            Arc::clone(&config.clock),
        );
        let resources = NodeResources::of(machine, config.node.max_pods, &config.resources);
        let resolv_conf = std::fs::read_to_string(&config.paths.resolv_conf).unwrap_or_default();
        Self {
            client: config.client.clone(),
            runtime: Arc::clone(&config.runtime.runtime),
            images,
            image_service: Arc::clone(&config.runtime.images),
            objects,
            host: Arc::clone(&config.host),
            clock: Arc::clone(&config.clock),
            history,
            under_way: UnderWay::default(),
            events,
            mirrors: Arc::default(),
            probes: Arc::new(Schedule::start()),
            probe_counts: Arc::default(),
            paths: config.paths.clone(),
            pods: config.pods.clone(),
            host_ips: config.node.addresses.iter().map(ToString::to_string).collect(),
            runtime_name,
            shutting_down: watch::channel(false).0,
            holding: watch::channel(HashSet::new()).0,
            allocatable: resources.downward(),
            resources,
            user_namespaces: UserNamespaces::new(config.paths.root.join("pods"), config.node.max_pods),
            allocations: Allocations::default(),
            cpus: CpuManager::none(&config.paths.root),
            devices: Arc::new(Devices::open(&config.paths.root.join("device-plugins"))),
            node: watch::channel(Arc::new(node_status::new_node(&config.node, NodeStatus::default()))).0,
            pressure: watch::channel(Vec::new()).0,
            burstable_cpu_milli: watch::channel(0).0,
            pod_pids_limit: config.resources.pod_pids_limit,
            services: Lister::of_objects([]),
            resolv_conf: ResolvConf::parse(&resolv_conf),
        }
    }

    /// With the Services of a cluster.
    #[must_use]
    pub fn with_services(self, services: Lister<Service>) -> Self {
        Self { services, ..self }
    }

    /// With a policy about CPUs.
    #[must_use]
    pub fn with_cpus(self, cpus: CpuManager) -> Self {
        Self { cpus, ..self }
    }

    /// Limits of a Pod's own cgroup.
    pub fn pod_limits(&self, pod: &Pod) -> Limits {
        let mut limits = pod_limits(pod, self.pod_pids_limit);
        if self.cpus.has_exclusive(&pod::uid(pod)) {
            limits.cpu_quota_us = limits.cpu_quota_us.map(|_| -1);
        }
        limits
    }

    /// Who keeps the mirror of a static Pod.
    pub fn mirror_keeper(&self) -> MirrorKeeper {
        MirrorKeeper::new(self.client.clone(), Arc::clone(&self.mirrors), self.node.subscribe())
    }

    /// `pods/<uid>`.
    pub fn pod_dir(&self, uid: &Uid) -> PathBuf {
        self.paths.root.join("pods").join(uid.as_str())
    }

    /// Where the Pod's containers write their logs.
    pub fn log_dir(&self, pod: &Pod) -> PathBuf {
        self.paths.pod_logs.join(log_directory(pod))
    }

    /// The Pod's cgroup.
    pub fn cgroup(&self, pod: &Pod) -> String {
        format!("{}{}/pod{}", self.kubepods(), cgroups::of_class(qos::class_of(pod)), pod::uid(pod))
    }

    /// The cgroups a Pod can have: one, unless it is known from the runtime only, which does not tell its class.
    pub fn cgroups(&self, pod: &Pod) -> Vec<String> {
        if pod.spec.is_some() {
            return vec![self.cgroup(pod)];
        }
        let classes = [QosClass::Guaranteed, QosClass::Burstable, QosClass::BestEffort];
        classes.map(|class| format!("{}{}/pod{}", self.kubepods(), cgroups::of_class(class), pod::uid(pod))).into()
    }

    /// The cgroup of all Pods.
    pub fn kubepods(&self) -> String {
        let root = self.pods.cgroup_root.trim_matches('/');
        if root.is_empty() { "kubepods".to_owned() } else { format!("{root}/kubepods") }
    }
}
