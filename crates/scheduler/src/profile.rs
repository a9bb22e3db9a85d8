//! The plugins that serve the Pods of one scheduler name, and how.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::cluster_event::ClusterEvent;
use crate::cycle_state::CycleState;
use crate::framework::{Filter, PluginName, PluginSet, PreFilter, Rejection, Scope, Score};
use crate::node_info::NodeInfo;
use crate::objects::Objects;
use crate::plugins::balanced_allocation::BalancedAllocation;
use crate::plugins::default_preemption::DefaultPreemption;
use crate::plugins::image_locality::ImageLocality;
use crate::plugins::inter_pod_affinity::InterPodAffinity;
use crate::plugins::node_affinity::NodeAffinity;
use crate::plugins::node_name::NodeName;
use crate::plugins::node_ports::NodePorts;
use crate::plugins::node_resources_fit::NodeResourcesFit;
use crate::plugins::node_unschedulable::NodeUnschedulable;
use crate::plugins::node_volume_limits::NodeVolumeLimits;
use crate::plugins::pod_topology_spread::{Defaults, PodTopologySpread};
use crate::plugins::taint_toleration::TaintToleration;
use crate::plugins::volume_binding::VolumeBinding;
use crate::plugins::volume_restrictions::VolumeRestrictions;
use crate::plugins::volume_zone::VolumeZone;
use crate::pod_info::{PodInfo, SCHEDULER_NAME};
use crate::snapshot::Snapshot;

/// See the module.
pub struct Profile {
    /// The `schedulerName` of the Pods it serves.
    pub scheduler_name: String,
    /// In the order they are asked; the first rejection of a node counts.
    pub filters: Vec<FilterSlot>,
    /// With what each counts beside the others.
    pub scores: Vec<(i64, Box<dyn Score>)>,
    /// Makes room, unless it is switched off.
    pub preemption: Option<DefaultPreemption>,
    /// The share of nodes that must be found to fit before the best of them is taken; none: as the cluster's size asks.
    pub percentage_of_nodes_to_score: Option<u32>,
}

/// A filter, and what is looked up for every node.
pub struct FilterSlot {
    pub name: PluginName,
    pub sees_pods: bool,
    pub plugin: Box<dyn Filter>,
}

impl FilterSlot {
    fn of(plugin: Box<dyn Filter>) -> Self {
        Self { name: plugin.name(), sees_pods: plugin.sees_pods(), plugin }
    }
}

/// What a profile is made from.
#[derive(Debug, Clone)]
pub struct ProfileConfig {
    /// The `schedulerName` of the Pods it serves.
    pub scheduler_name: String,
    /// Which filters are asked.
    pub filters: Vec<PluginName>,
    /// Which plugins rank, with what each counts.
    pub scores: Vec<(PluginName, i64)>,
    /// Whether room is made.
    pub preempts: bool,
    /// See [`Profile::percentage_of_nodes_to_score`].
    pub percentage_of_nodes_to_score: Option<u32>,
    /// What each plugin is told.
    pub args: PluginArgs,
}

impl Default for ProfileConfig {
    fn default() -> Self {
        Self {
            scheduler_name: SCHEDULER_NAME.to_owned(),
            filters: FILTERS.to_vec(),
            scores: SCORES.to_vec(),
            preempts: true,
            percentage_of_nodes_to_score: None,
            args: PluginArgs::default(),
        }
    }
}

/// What each plugin is told.
#[derive(Debug, Clone)]
pub struct PluginArgs {
    pub node_affinity: NodeAffinity,
    pub node_resources_fit: NodeResourcesFit,
    pub balanced_allocation: BalancedAllocation,
    pub inter_pod_affinity: InterPodAffinity,
    pub spread_defaults: Defaults,
    pub min_candidate_nodes_percentage: usize,
    pub min_candidate_nodes_absolute: usize,
}

impl Default for PluginArgs {
    fn default() -> Self {
        Self {
            node_affinity: NodeAffinity::default(),
            node_resources_fit: NodeResourcesFit::default(),
            balanced_allocation: BalancedAllocation::default(),
            inter_pod_affinity: InterPodAffinity::default(),
            spread_defaults: Defaults::system(),
            min_candidate_nodes_percentage: 10,
            min_candidate_nodes_absolute: 100,
        }
    }
}

/// The filters there are, in the order they are asked.
pub const FILTERS: [PluginName; 12] = [
    PluginName::NodeUnschedulable,
    PluginName::NodeName,
    PluginName::TaintToleration,
    PluginName::NodeAffinity,
    PluginName::NodePorts,
    PluginName::NodeResourcesFit,
    PluginName::VolumeRestrictions,
    PluginName::NodeVolumeLimits,
    PluginName::VolumeBinding,
    PluginName::VolumeZone,
    PluginName::PodTopologySpread,
    PluginName::InterPodAffinity,
];

/// The plugins that rank, with what each counts.
pub const SCORES: [(PluginName, i64); 7] = [
    (PluginName::TaintToleration, 3),
    (PluginName::NodeAffinity, 2),
    (PluginName::NodeResourcesFit, 1),
    (PluginName::PodTopologySpread, 2),
    (PluginName::InterPodAffinity, 2),
    (PluginName::NodeResourcesBalancedAllocation, 1),
    (PluginName::ImageLocality, 1),
];

impl Profile {
    /// The profile of a configuration.
    pub fn of(config: &ProfileConfig, objects: &Objects) -> Self {
        let args = &config.args;
        let filter = |plugin: &PluginName| args.filter(*plugin, objects).map(FilterSlot::of);
        let score = |(plugin, weight): &(PluginName, i64)| Some((*weight, args.score(*plugin, objects)?));
        Self {
            scheduler_name: config.scheduler_name.clone(),
            filters: config.filters.iter().filter_map(filter).collect(),
            scores: config.scores.iter().filter_map(score).collect(),
            preemption: config.preempts.then(|| args.preemption(objects)),
            percentage_of_nodes_to_score: config.percentage_of_nodes_to_score,
        }
    }

    /// PreFilter: prepares all filters. Returns the nodes that come into question by name, if only some do, with the
    /// plugins that say so.
    ///
    /// # Errors
    /// Why no node can take the Pod.
    pub fn pre_filter(
        &self,
        state: &mut CycleState,
        pod: &PodInfo,
        snapshot: &Snapshot,
    ) -> Result<Option<Narrowed>, Rejection> {
        let mut narrowed: Option<Narrowed> = None;
        for FilterSlot { name, plugin, .. } in &self.filters {
            match plugin.pre_filter(state, pod, snapshot)? {
                PreFilter::Nodes => {}
                PreFilter::Skip => state.skipped.insert(*name),
                PreFilter::Only(names) => {
                    let narrowed = narrowed.get_or_insert_with(|| Narrowed { names: names.clone(), by: Vec::new() });
                    narrowed.names.retain(|name| names.contains(name));
                    narrowed.by.push(*name);
                }
            }
        }
        Ok(narrowed)
    }

    /// Whether the Pod can run on the node.
    ///
    /// # Errors
    /// The first rejection.
    pub fn filter(&self, state: &CycleState, pod: &PodInfo, node: &NodeInfo) -> Result<(), Rejection> {
        let mut judges = self.filters.iter().filter(|slot| state.judges(slot.name));
        judges.try_for_each(|slot| slot.plugin.filter(state, pod, node))
    }

    /// The same for a node that took the Pod with other Pods on it: those are asked who look at Pods.
    ///
    /// # Errors
    /// The first rejection.
    fn filter_again(&self, state: &CycleState, pod: &PodInfo, node: &NodeInfo) -> Result<(), Rejection> {
        let mut judges = self.filters.iter().filter(|slot| slot.sees_pods && state.judges(slot.name));
        judges.try_for_each(|slot| slot.plugin.filter(state, pod, node))
    }

    /// The same, with and without the Pods of no lower priority for which room is made on the node.
    ///
    /// # Errors
    /// The first rejection.
    pub fn filter_beside_nominated(
        &self,
        state: &CycleState,
        pod: &PodInfo,
        node: &NodeInfo,
        snapshot: &Snapshot,
    ) -> Result<(), Rejection> {
        self.with_and_without_nominated(pod, node, snapshot, state, Self::filter)
    }

    /// The same for a node that took the Pod with other Pods on it.
    ///
    /// # Errors
    /// The first rejection.
    pub fn filter_again_beside_nominated(
        &self,
        state: &CycleState,
        pod: &PodInfo,
        node: &NodeInfo,
        snapshot: &Snapshot,
    ) -> Result<(), Rejection> {
        self.with_and_without_nominated(pod, node, snapshot, state, Self::filter_again)
    }

    fn with_and_without_nominated(
        &self,
        pod: &PodInfo,
        node: &NodeInfo,
        snapshot: &Snapshot,
        state: &CycleState,
        filter: fn(&Self, &CycleState, &PodInfo, &NodeInfo) -> Result<(), Rejection>,
    ) -> Result<(), Rejection> {
        if !node.usage.awaited {
            return filter(self, state, pod, node);
        }
        let nominated = snapshot.nominated(&node.facts.name).iter();
        let before = |other: &&Arc<PodInfo>| other.uid != pod.uid && other.facts.priority >= pod.facts.priority;
        let mut nominated = nominated.filter(before).peekable();
        if nominated.peek().is_some() {
            let (mut state, mut node) = (state.clone(), node.clone());
            for other in nominated {
                self.add_pod(&mut state, pod, other, &mut node);
            }
            filter(self, &state, pod, &node)?;
        }
        filter(self, state, pod, node)
    }

    /// `added` is on the node, in thought.
    pub fn add_pod(&self, state: &mut CycleState, pod: &PodInfo, added: &Arc<PodInfo>, node: &mut NodeInfo) {
        node.usage.add(Arc::clone(added));
        for FilterSlot { name, sees_pods, plugin } in &self.filters {
            if *sees_pods && state.judges(*name) {
                plugin.add_pod(state, pod, added, node);
            }
        }
    }

    /// `removed` is no longer on the node, in thought.
    pub fn remove_pod(&self, state: &mut CycleState, pod: &PodInfo, removed: &PodInfo, node: &mut NodeInfo) {
        node.usage.remove(&removed.uid);
        for FilterSlot { name, sees_pods, plugin } in &self.filters {
            if *sees_pods && state.judges(*name) {
                plugin.remove_pod(state, pod, removed, node);
            }
        }
    }

    /// Whether a Pod that these plugins rejected could pass after the event.
    pub fn could_help(
        &self,
        pod: &PodInfo,
        rejected_by: PluginSet,
        event: &ClusterEvent<'_>,
        snapshot: &Snapshot,
    ) -> bool {
        let rejected = |plugin: &dyn Filter| rejected_by.contains(plugin.name());
        let of_scope = |scope: Scope| {
            self.filters.iter().map(|slot| slot.plugin.as_ref()).filter(move |plugin| plugin.scope() == scope)
        };
        // Without any node there was nobody to reject it.
        let by_node = rejected_by.is_empty() || of_scope(Scope::Node).any(rejected);
        let mut cluster = of_scope(Scope::Cluster);
        (by_node && event.node().is_some_and(|node| self.node_takes(pod, node)))
            || cluster.any(|plugin| rejected(plugin) && plugin.hint(pod, event, snapshot))
    }

    /// Whether all plugins that look at the node alone let the Pod pass.
    fn node_takes(&self, pod: &PodInfo, node: &NodeInfo) -> bool {
        let nothing = CycleState::default();
        let mut local = self.filters.iter().filter(|slot| slot.plugin.scope() == Scope::Node);
        local.all(|slot| slot.plugin.filter(&nothing, pod, node).is_ok())
    }
}

/// Nodes by name, and the plugins that know of no others.
#[derive(Debug)]
pub struct Narrowed {
    /// The names.
    pub names: BTreeSet<String>,
    /// The plugins.
    pub by: Vec<PluginName>,
}

impl Narrowed {
    /// Why another node does not come into question.
    pub fn reason(&self) -> String {
        let plugins = self.by.iter().map(|plugin| plugin.as_str()).collect::<Vec<_>>().join(" ");
        format!("node(s) didn't satisfy plugin(s) [{plugins}]")
    }
}

impl PluginArgs {
    /// A filter.
    pub fn filter(&self, plugin: PluginName, objects: &Objects) -> Option<Box<dyn Filter>> {
        let volumes = || objects.volumes.clone();
        Some(match plugin {
            PluginName::NodeUnschedulable => Box::new(NodeUnschedulable),
            PluginName::NodeName => Box::new(NodeName),
            PluginName::TaintToleration => Box::new(TaintToleration),
            PluginName::NodeAffinity => Box::new(self.node_affinity.clone()),
            PluginName::NodePorts => Box::new(NodePorts),
            PluginName::NodeResourcesFit => Box::new(self.node_resources_fit.clone()),
            PluginName::VolumeRestrictions => Box::new(VolumeRestrictions { claims: objects.volumes.claims.clone() }),
            PluginName::NodeVolumeLimits => {
                Box::new(NodeVolumeLimits { objects: volumes(), csi_nodes: objects.csi_nodes.clone() })
            }
            PluginName::VolumeBinding => Box::new(VolumeBinding { objects: volumes() }),
            PluginName::VolumeZone => Box::new(VolumeZone { objects: volumes() }),
            PluginName::PodTopologySpread => Box::new(self.spread(objects)),
            PluginName::InterPodAffinity => Box::new(self.inter_pod_affinity.clone()),
            _ => return None,
        })
    }

    /// A plugin that ranks.
    pub fn score(&self, plugin: PluginName, objects: &Objects) -> Option<Box<dyn Score>> {
        Some(match plugin {
            PluginName::TaintToleration => Box::new(TaintToleration),
            PluginName::NodeAffinity => Box::new(self.node_affinity.clone()),
            PluginName::NodeResourcesFit => Box::new(self.node_resources_fit.clone()),
            PluginName::PodTopologySpread => Box::new(self.spread(objects)),
            PluginName::InterPodAffinity => Box::new(self.inter_pod_affinity.clone()),
            PluginName::NodeResourcesBalancedAllocation => Box::new(self.balanced_allocation.clone()),
            PluginName::ImageLocality => Box::new(ImageLocality),
            _ => return None,
        })
    }

    /// Preemption.
    pub fn preemption(&self, objects: &Objects) -> DefaultPreemption {
        DefaultPreemption {
            min_candidate_nodes_percentage: self.min_candidate_nodes_percentage,
            min_candidate_nodes_absolute: self.min_candidate_nodes_absolute,
            budgets: objects.budgets.clone(),
        }
    }

    fn spread(&self, objects: &Objects) -> PodTopologySpread {
        PodTopologySpread { defaults: self.spread_defaults.clone(), workloads: objects.workloads.clone() }
    }
}
