//! A scheduler without an API: the same queue, cache and decisions, one step at a time over a cluster in memory.
//!
//! For measurements and for questions of the kind "what would happen if". Nothing is written and no time passes unless
//! the owner says so; what the scheduler decides comes true at once.

use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::core::v1::{Node, Pod};
use tokio::time::Instant;

use crate::cache::Cache;
use crate::cluster_event::ClusterEvent;
use crate::configuration::Configuration;
use crate::cycle_state::CycleState;
use crate::framework::PluginSet;
use crate::node_info::NodeFacts;
use crate::objects::Objects;
use crate::plugins::default_preemption::Outcome;
use crate::pod_info::{PodInfo, Stage};
use crate::profile::Profile;
use crate::queue::Queue;
use crate::schedule_one::{Decision, Turn, Unfit, schedule_one};
use crate::scheduler::wake;
use crate::verdicts::{Attempt, Verdicts};

/// See the module.
pub struct Offline {
    profiles: Vec<Profile>,
    cache: Cache,
    queue: Queue,
    verdicts: Verdicts,
    start: usize,
    now: Instant,
    /// State of the generator that breaks ties.
    random: u64,
}

/// What one step came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// A Pod has a node now.
    Bound {
        /// The Pod.
        pod: String,
        /// The node.
        node: String,
    },
    /// Pods went to make room for a Pod, which waits to be tried again.
    Preempted {
        /// The Pod.
        pod: String,
        /// How many went.
        victims: usize,
    },
    /// No node took a Pod.
    Unschedulable {
        /// The Pod.
        pod: String,
        /// What its condition would say.
        message: String,
    },
}

impl Offline {
    /// An empty cluster whose profiles see nothing but Pods and nodes.
    pub fn new(configuration: &Configuration) -> Self {
        let objects = Objects::none();
        let profiles = configuration.profiles().iter().map(|profile| Profile::of(profile, &objects));
        Self {
            profiles: profiles.collect(),
            cache: Cache::default(),
            queue: Queue::new(configuration.backoff()),
            verdicts: Verdicts::default(),
            start: 0,
            now: Instant::now(),
            random: 1,
        }
    }

    /// Adds or changes a node.
    pub fn set_node(&mut self, node: Node) {
        let facts = Arc::new(NodeFacts::of(node));
        let old = self.cache.set_node(Arc::clone(&facts));
        let Some(node) = self.cache.node(&facts.name) else { return };
        let event = ClusterEvent::NodeChanged { old: old.as_deref(), node };
        wake(&mut self.queue, &self.profiles, &self.cache, &event, self.now);
    }

    /// Removes a node.
    pub fn remove_node(&mut self, name: &str) {
        let Some(facts) = self.cache.node(name).map(|node| Arc::clone(&node.facts)) else { return };
        self.cache.remove_node(name);
        let event = ClusterEvent::NodeDeleted(&facts);
        wake(&mut self.queue, &self.profiles, &self.cache, &event, self.now);
    }

    /// Adds a Pod: it waits, or is where it says.
    pub fn set_pod(&mut self, pod: Pod) {
        let pod = Arc::new(PodInfo::of(pod));
        match &pod.stage {
            Stage::Waiting => self.queue.set(pod, self.now),
            Stage::Assigned(node) => {
                let node = Arc::clone(node);
                self.cache.set_pod(Arc::clone(&pod), &node);
                self.tell(&ClusterEvent::PodAdded(&pod));
            }
            Stage::Gone | Stage::Ended => {}
        }
    }

    /// Removes a Pod by its uid.
    pub fn remove_pod(&mut self, uid: &str) {
        self.queue.remove(uid);
        self.cache.forget_nomination(uid);
        if let Some((pod, node)) = self.cache.remove_pod(uid) {
            let event = ClusterEvent::PodDeleted { pod: &pod, node: self.cache.snapshot().node(&node) };
            wake(&mut self.queue, &self.profiles, &self.cache, &event, self.now);
        }
    }

    /// Lets time pass.
    pub fn advance(&mut self, time: Duration) {
        self.now += time;
    }

    /// Tries the next Pod; none when all that wait have been tried.
    pub fn step(&mut self) -> Option<Step> {
        let pod = self.queue.pop(self.now)?;
        let name = pod.key.name.clone();
        let profile = self.profiles.iter().find(|profile| profile.scheduler_name == pod.scheduler_name)?;
        let snapshot = self.cache.snapshot();
        self.random = self.random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let turn = Turn { start: self.start, random: self.random >> 33 };
        let (decision, seen) = schedule_one(profile, &pod, snapshot, turn);
        self.start = (self.start + seen) % snapshot.nodes().len().max(1);
        Some(match decision {
            Decision::Node { node, .. } => {
                self.queue.remove(&pod.uid);
                self.cache.forget_nomination(&pod.uid);
                self.cache.assume(Arc::clone(&pod), &node);
                self.tell(&ClusterEvent::PodAdded(&pod));
                Step::Bound { pod: name, node: node.to_string() }
            }
            Decision::NoNodes => {
                self.queue.park(&pod.uid, PluginSet::default(), self.now);
                Step::Unschedulable { pod: name, message: "no nodes available to schedule pods".to_owned() }
            }
            Decision::Unfit { unfit, state } => self.post_filter(&pod, &unfit, &state, name),
        })
    }

    fn post_filter(&mut self, pod: &Arc<PodInfo>, unfit: &Unfit, state: &CycleState, name: String) -> Step {
        let profile = self.profiles.iter().find(|profile| profile.scheduler_name == pod.scheduler_name);
        self.queue.park(&pod.uid, unfit.plugins(), self.now);
        let snapshot = self.cache.snapshot();
        let preemption = profile.and_then(|profile| Some((profile, profile.preemption.as_ref()?)));
        let outcome = preemption
            .map(|(profile, preemption)| preemption.post_filter(profile, state, pod, snapshot, unfit, self.random));
        let Some(Outcome::Nominated { node, victims }) = outcome else {
            if let Some(profile) = profile {
                let attempt = Attempt::explain(profile, state, pod, snapshot);
                self.verdicts.keep(&pod.key, attempt);
            }
            return Step::Unschedulable { pod: name, message: unfit.message(None) };
        };
        let nominated = Arc::new(PodInfo { nominated_node: Some(Arc::clone(&node)), ..PodInfo::clone(pod) });
        self.cache.nominate(&nominated, Some(&node));
        self.queue.set(nominated, self.now);
        let count = victims.len();
        victims.iter().for_each(|victim| self.remove_pod(&victim.uid));
        Step::Preempted { pod: name, victims: count }
    }

    fn tell(&mut self, event: &ClusterEvent<'_>) {
        wake(&mut self.queue, &self.profiles, &self.cache, event, self.now);
    }
}
