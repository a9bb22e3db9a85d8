//! One Pod per node.

use super::{Invariant, ensure};
use crate::scenario::Scenario;
use crate::world::{Object, Step, World};

/// One per node and DaemonSet.
pub struct OnePerNode {
    /// Whoever is not told that a Pod was made makes another.
    strict: bool,
}

impl OnePerNode {
    pub(super) fn new(scenario: &Scenario) -> Self {
        Self { strict: !scenario.loses_answers() }
    }
}

/// The node a Pod is meant for: where it is, or where it may only go.
fn node_of(pod: &Object) -> &str {
    let terms = "/spec/affinity/nodeAffinity/requiredDuringSchedulingIgnoredDuringExecution/nodeSelectorTerms/0";
    match pod.text("/spec/nodeName") {
        "" => pod.text(&format!("{terms}/matchFields/0/values/0")),
        node => node,
    }
}

impl Invariant for OnePerNode {
    fn name(&self) -> &'static str {
        "one per node"
    }

    fn step(&mut self, world: &World, step: &Step) -> Result<(), String> {
        let Some(pod) = step.created().filter(|_| step.key.kind == "Pod" && self.strict) else { return Ok(()) };
        let Some(owner) = pod.controller().filter(|owner| owner["kind"] == "DaemonSet") else { return Ok(()) };
        let (name, uid) = (owner["name"].as_str().unwrap_or(""), owner["uid"].as_str().unwrap_or(""));
        let set = world.get("DaemonSet", &step.key.namespace, name);
        let surge = set.is_some_and(|set| set.number("/spec/updateStrategy/rollingUpdate/maxSurge") > 0);
        let here = world.owned("Pod", &step.key.namespace, uid);
        let here = here.filter(|(_, one)| one.is_active() && node_of(one) == node_of(pod)).count();
        ensure(here <= 1 + usize::from(surge), || format!("{} is one of {here} on {}", step.key, node_of(pod)))
    }

    fn at_rest(&self, world: &World) -> Result<(), String> {
        for (key, set) in world.of_kind("DaemonSet") {
            let observed = set.number("/status/observedGeneration");
            ensure(observed == set.number("/metadata/generation"), || format!("{key} is not looked at"))?;
            if super::quota::is_tight(world, &key.namespace) {
                continue;
            }
            for (node, _) in world.of_kind("Node") {
                let pods = world.owned("Pod", &key.namespace, set.uid());
                let here: Vec<_> = pods.filter(|(_, pod)| node_of(pod) == node.name).map(|(_, pod)| pod).collect();
                let waits = here.iter().any(|pod| !pod.is_serving());
                ensure(here.len() == 1 || waits && here.len() == 2, || {
                    format!("{key} has {} Pods on {node}", here.len())
                })?;
            }
        }
        Ok(())
    }
}
