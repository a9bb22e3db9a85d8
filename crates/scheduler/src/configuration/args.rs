//! What plugins are told.

use std::sync::Arc;

use k8s_openapi::api::core::v1::{NodeAffinity, TopologySpreadConstraint};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::{ConfigurationError, invalid};
use crate::framework::{MAX_SCORE, PluginName};
use crate::plugins::node_resources_fit::{ResourceWeight, ScoringStrategy, Shape, StrategyType};
use crate::plugins::pod_topology_spread::Defaults;
use crate::pod_info;
use crate::profile::PluginArgs;

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
struct NodeAffinityArgs {
    added_affinity: Option<NodeAffinity>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
struct NodeResourcesFitArgs {
    ignored_resources: Vec<String>,
    ignored_resource_groups: Vec<String>,
    scoring_strategy: Option<Strategy>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Strategy {
    #[serde(rename = "type")]
    kind: String,
    #[serde(default)]
    resources: Vec<Resource>,
    #[serde(default)]
    requested_to_capacity_ratio: Option<Ratio>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Resource {
    name: String,
    #[serde(default)]
    weight: i64,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Ratio {
    shape: Vec<Point>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Point {
    utilization: i64,
    score: i64,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
struct BalancedAllocationArgs {
    resources: Vec<Resource>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
struct InterPodAffinityArgs {
    hard_pod_affinity_weight: Option<i64>,
    ignore_preferred_terms_of_existing_pods: bool,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
struct PodTopologySpreadArgs {
    default_constraints: Vec<TopologySpreadConstraint>,
    defaulting_type: Option<String>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
struct DefaultPreemptionArgs {
    min_candidate_nodes_percentage: Option<usize>,
    min_candidate_nodes_absolute: Option<usize>,
}

/// Takes over what a plugin is told.
pub(super) fn apply(path: &str, name: &str, args: Value, to: &mut PluginArgs) -> Result<(), ConfigurationError> {
    let path = format!("{path}.args");
    match PluginName::parse(name) {
        Some(PluginName::NodeAffinity) => {
            let args: NodeAffinityArgs = decode(&path, args)?;
            let added = args.added_affinity.as_ref().map(pod_info::NodeAffinity::of_affinity);
            to.node_affinity.added = added.map(Arc::new);
        }
        Some(PluginName::NodeResourcesFit) => {
            let args: NodeResourcesFitArgs = decode(&path, args)?;
            to.node_resources_fit.ignored_resources = args.ignored_resources;
            to.node_resources_fit.ignored_resource_groups = args.ignored_resource_groups;
            if let Some(strategy) = args.scoring_strategy {
                to.node_resources_fit.strategy = strategy.resolve(&format!("{path}.scoringStrategy"))?;
            }
        }
        Some(PluginName::NodeResourcesBalancedAllocation) => {
            let args: BalancedAllocationArgs = decode(&path, args)?;
            to.balanced_allocation.resources = resources(&path, args.resources)?;
        }
        Some(PluginName::InterPodAffinity) => {
            let args: InterPodAffinityArgs = decode(&path, args)?;
            let weight = args.hard_pod_affinity_weight.unwrap_or(1);
            if !(0..=100).contains(&weight) {
                return Err(invalid(format!("{path}.hardPodAffinityWeight"), "not in valid range [0-100]"));
            }
            to.inter_pod_affinity.hard_pod_affinity_weight = weight;
            to.inter_pod_affinity.ignore_preferred_terms_of_existing_pods =
                args.ignore_preferred_terms_of_existing_pods;
        }
        Some(PluginName::PodTopologySpread) => {
            to.spread_defaults = decode::<PodTopologySpreadArgs>(&path, args)?.resolve(&path)?
        }
        Some(PluginName::DefaultPreemption) => {
            let args: DefaultPreemptionArgs = decode(&path, args)?;
            to.min_candidate_nodes_percentage = args.min_candidate_nodes_percentage.unwrap_or(10);
            to.min_candidate_nodes_absolute = args.min_candidate_nodes_absolute.unwrap_or(100);
            if to.min_candidate_nodes_percentage > 100 {
                return Err(invalid(format!("{path}.minCandidateNodesPercentage"), "not in valid range [0, 100]"));
            }
        }
        Some(_) => return Err(invalid(path, format!("{name} takes no arguments here"))),
        None => return Err(invalid(path, format!("plugin {name:?} does not exist"))),
    }
    Ok(())
}

/// Arguments may name their own kind.
fn decode<T: DeserializeOwned + Default>(path: &str, args: Value) -> Result<T, ConfigurationError> {
    let mut args = match args {
        Value::Null => return Ok(T::default()),
        args => args,
    };
    if let Some(args) = args.as_object_mut() {
        args.remove("apiVersion");
        args.remove("kind");
    }
    serde_json::from_value(args).map_err(|error| invalid(path, error.to_string()))
}

fn resources(path: &str, resources: Vec<Resource>) -> Result<Vec<ResourceWeight>, ConfigurationError> {
    if resources.is_empty() {
        return Ok(ResourceWeight::cpu_and_memory());
    }
    let resolved = resources.into_iter().enumerate().map(|(position, resource)| {
        let weight = if resource.weight == 0 { 1 } else { resource.weight };
        if !(1..=100).contains(&weight) {
            let problem = format!("resource weight of {} not in valid range [1, 100]", resource.name);
            return Err(invalid(format!("{path}.resources[{position}].weight"), problem));
        }
        Ok(ResourceWeight { name: resource.name, weight })
    });
    resolved.collect()
}

impl Strategy {
    fn resolve(self, path: &str) -> Result<ScoringStrategy, ConfigurationError> {
        let strategy = match (self.kind.as_str(), self.requested_to_capacity_ratio) {
            ("LeastAllocated", _) => StrategyType::LeastAllocated,
            ("MostAllocated", _) => StrategyType::MostAllocated,
            ("RequestedToCapacityRatio", Some(ratio)) => {
                StrategyType::RequestedToCapacityRatio(ratio.resolve(&format!("{path}.requestedToCapacityRatio"))?)
            }
            ("RequestedToCapacityRatio", None) => {
                return Err(invalid(format!("{path}.requestedToCapacityRatio"), "Required value"));
            }
            (other, _) => return Err(invalid(format!("{path}.type"), format!("Unsupported value: {other:?}"))),
        };
        Ok(ScoringStrategy { resources: resources(path, self.resources)?, strategy })
    }
}

/// The best score that a point of a shape can have.
const MAX_POINT_SCORE: i64 = 10;

impl Ratio {
    fn resolve(self, path: &str) -> Result<Shape, ConfigurationError> {
        if self.shape.is_empty() {
            return Err(invalid(format!("{path}.shape"), "at least one point must be specified"));
        }
        let mut last = -1;
        for (position, point) in self.shape.iter().enumerate() {
            let path = format!("{path}.shape[{position}]");
            if point.utilization <= last || point.utilization > 100 {
                return Err(invalid(
                    format!("{path}.utilization"),
                    "values must be sorted in increasing order up to 100",
                ));
            }
            if !(0..=MAX_POINT_SCORE).contains(&point.score) {
                return Err(invalid(format!("{path}.score"), "not in valid range [0-10]"));
            }
            last = point.utilization;
        }
        let scale = MAX_SCORE / MAX_POINT_SCORE;
        Ok(Shape(self.shape.iter().map(|point| (point.utilization, point.score * scale)).collect()))
    }
}

impl PodTopologySpreadArgs {
    fn resolve(self, path: &str) -> Result<Defaults, ConfigurationError> {
        let selected = self.default_constraints.iter().position(|constraint| constraint.label_selector.is_some());
        if let Some(position) = selected {
            let path = format!("{path}.defaultConstraints[{position}].labelSelector");
            return Err(invalid(path, "constraint must not define a selector, as they deduced for each pod"));
        }
        match self.defaulting_type.as_deref() {
            Some("List") => Ok(Defaults::list(&self.default_constraints)),
            None | Some("System") if self.default_constraints.is_empty() => Ok(Defaults::system()),
            None | Some("System") => Err(invalid(
                format!("{path}.defaultingType"),
                "when .defaultConstraints are specified it must be \"List\"",
            )),
            Some(other) => Err(invalid(format!("{path}.defaultingType"), format!("Unsupported value: {other:?}"))),
        }
    }
}
