use serde_json::json;

use super::*;
use crate::fixtures::{asking, cache, node, pod};

fn score(strategy: StrategyType, resources: &[(&str, i64)]) -> i64 {
    let gpus = json!({ "status": { "allocatable": { "x.io/gpu": "8" } } });
    let mut cache = cache([node("n", gpus)]);
    cache.assume(pod("other", asking(json!({ "cpu": "1", "memory": "1Gi", "x.io/gpu": "2" }))), &"n".into());
    let resources = resources.iter().map(|(name, weight)| ResourceWeight { name: (*name).into(), weight: *weight });
    let strategy = ScoringStrategy { resources: resources.collect(), strategy };
    // 2 of 4 CPUs, 3 of 8 GiB and 4 of 8 GPUs are used in the end.
    strategy
        .score(&pod("p", asking(json!({ "cpu": "1", "memory": "2Gi", "x.io/gpu": "2" }))), &cache.snapshot().nodes()[0])
}

#[test]
fn strategies_rank_by_free_share_used_share_and_shape() {
    let bin_packing = || StrategyType::RequestedToCapacityRatio(Shape(vec![(0, 0), (100, 100)]));
    let spreading = || StrategyType::RequestedToCapacityRatio(Shape(vec![(0, 100), (100, 0)]));
    let late = || StrategyType::RequestedToCapacityRatio(Shape(vec![(40, 0), (60, 100)]));
    let cases = [
        (StrategyType::LeastAllocated, &[("cpu", 1), ("memory", 1)][..], 56),
        (StrategyType::LeastAllocated, &[("cpu", 3), ("memory", 1)], 53),
        (StrategyType::MostAllocated, &[("cpu", 1), ("memory", 1)], 43),
        (StrategyType::MostAllocated, &[("cpu", 1), ("memory", 1), ("x.io/gpu", 5)], 48),
        (StrategyType::MostAllocated, &[("x.io/unknown", 5)], 0),
        (bin_packing(), &[("cpu", 1), ("memory", 1)], 44),
        (spreading(), &[("x.io/gpu", 1)], 50),
        (late(), &[("cpu", 1), ("memory", 1)], 50),
    ];
    for (strategy, resources, expected) in cases {
        let shown = format!("{strategy:?} {resources:?}");
        assert_eq!(score(strategy, resources), expected, "{shown}");
    }
}

#[test]
fn a_shape_is_flat_beyond_its_ends() {
    let shape = Shape(vec![(20, 10), (70, 60), (80, 0)]);
    assert_eq!([0, 20, 45, 70, 75, 80, 100].map(|percent| shape.at(percent)), [10, 10, 35, 60, 30, 0, 0]);
}
