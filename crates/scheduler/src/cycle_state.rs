//! What the plugins prepared for one Pod. Each plugin has its own place, so nothing is looked up by name.

use crate::framework::{PluginName, PluginSet};
use crate::plugins::inter_pod_affinity as affinity;
use crate::plugins::node_volume_limits::NewVolumes;
use crate::plugins::pod_topology_spread as spread;
use crate::plugins::volume_restrictions::ExclusiveClaims;
use crate::plugins::volume_zone::ZonedVolumes;
use crate::volume_binding::VolumeNeeds;

/// See the module. A clone is what preemption tries its thoughts on.
#[derive(Debug, Clone, Default)]
pub struct CycleState {
    /// Filters that have nothing to judge.
    pub skipped: PluginSet,
    pub volume_restrictions: ExclusiveClaims,
    pub node_volume_limits: NewVolumes,
    pub volume_binding: VolumeNeeds,
    pub volume_zone: ZonedVolumes,
    pub pod_topology_spread: spread::Counts,
    pub pod_topology_spread_score: spread::Scoring,
    pub inter_pod_affinity: affinity::Counts,
    pub inter_pod_affinity_score: affinity::Scoring,
}

impl CycleState {
    /// Whether a filter has something to judge.
    pub fn judges(&self, plugin: PluginName) -> bool {
        !self.skipped.contains(plugin)
    }
}
