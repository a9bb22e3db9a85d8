//! Ranking nodes by the share of each resource that would be used.

#[cfg(test)]
mod tests;

use crate::framework::MAX_SCORE;
use crate::node_info::NodeInfo;
use crate::pod_info::PodInfo;

/// What is ranked by and how.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScoringStrategy {
    /// The resources that count.
    pub resources: Vec<ResourceWeight>,
    /// Which share is best.
    pub strategy: StrategyType,
}

/// How much a resource counts beside others.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResourceWeight {
    /// The resource.
    pub name: String,
    /// What it counts.
    pub weight: i64,
}

/// Which share of a resource is best.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StrategyType {
    /// The less is used, the better.
    LeastAllocated,
    /// The more is used, the better.
    MostAllocated,
    /// As drawn.
    RequestedToCapacityRatio(Shape),
}

/// Points (percent used, score up to [`MAX_SCORE`]) with straight lines between them, by rising percentage.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Shape(pub Vec<(i64, i64)>);

impl ResourceWeight {
    /// CPU and memory, alike.
    pub fn cpu_and_memory() -> Vec<Self> {
        ["cpu", "memory"].map(|name| Self { name: name.into(), weight: 1 }).into()
    }
}

impl Default for ScoringStrategy {
    fn default() -> Self {
        Self { resources: ResourceWeight::cpu_and_memory(), strategy: StrategyType::LeastAllocated }
    }
}

impl ScoringStrategy {
    /// The weighted mean over the resources that the node has.
    pub fn score(&self, pod: &PodInfo, node: &NodeInfo) -> i64 {
        let (mut sum, mut weights) = (0, 0);
        for resource in &self.resources {
            let Some((requested, allocatable)) = amounts(&resource.name, pod, node) else { continue };
            let score = self.strategy.score(requested, allocatable);
            // A drawn shape does not count what is worth nothing.
            if score > 0 || !matches!(self.strategy, StrategyType::RequestedToCapacityRatio(_)) {
                sum += score * resource.weight;
                weights += resource.weight;
            }
        }
        match self.strategy {
            _ if weights == 0 => 0,
            StrategyType::RequestedToCapacityRatio(_) => (2 * sum + weights) / (2 * weights),
            _ => sum / weights,
        }
    }
}

impl StrategyType {
    fn score(&self, requested: i64, allocatable: i64) -> i64 {
        match self {
            Self::LeastAllocated => percent((allocatable - requested).max(0), allocatable),
            Self::MostAllocated => percent(requested.min(allocatable), allocatable),
            Self::RequestedToCapacityRatio(shape) => shape.at(percent(requested.min(allocatable), allocatable)),
        }
    }
}

impl Shape {
    fn at(&self, percent: i64) -> i64 {
        let Some(position) = self.0.iter().position(|point| percent <= point.0) else {
            return self.0.last().map_or(0, |point| point.1);
        };
        let (x, y) = self.0[position];
        let Some((x0, y0)) = position.checked_sub(1).map(|before| self.0[before]) else { return y };
        y0 + (y - y0) * (percent - x0) / (x - x0)
    }
}

/// What would be used of a resource, and what there is of it; none where the node has none or the Pod wants none of an
/// extended one.
fn amounts(resource: &str, pod: &PodInfo, node: &NodeInfo) -> Option<(i64, i64)> {
    let requests = &pod.facts.requests;
    let (requested, allocatable) = match resource {
        // CPU and memory count for something even where a container states nothing.
        "cpu" => {
            (requests.assumed.cpu_milli.saturating_add(node.usage.assumed.cpu_milli), node.facts.allocatable.cpu_milli)
        }
        "memory" => (
            requests.assumed.memory_bytes.saturating_add(node.usage.assumed.memory_bytes),
            node.facts.allocatable.memory_bytes,
        ),
        _ => {
            let wanted = requests.exact.amount(resource);
            if wanted == 0 && resource.contains('/') {
                return None;
            }
            (wanted.saturating_add(node.usage.requested.amount(resource)), node.facts.allocatable.amount(resource))
        }
    };
    (allocatable > 0).then_some((requested, allocatable))
}

fn percent(part: i64, whole: i64) -> i64 {
    i64::try_from(i128::from(part) * i128::from(MAX_SCORE) / i128::from(whole)).unwrap_or(MAX_SCORE)
}
