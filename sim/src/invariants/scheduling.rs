//! A node never holds more than it has, and no Pod waits that has room.

use super::quota::{cpu, milli};
use super::{Invariant, ensure};
use crate::scenario::Scenario;
use crate::world::{Object, Step, World};

/// Room on nodes.
pub struct Room {
    /// Who is not told that a Pod was bound may give its room away.
    strict: bool,
}

impl Room {
    pub(super) fn new(scenario: &Scenario) -> Self {
        Self { strict: !scenario.loses_answers() }
    }
}

/// Thousandths of CPU and Pods that are left on a node.
fn left(world: &World, node: &str) -> Option<(i64, i64)> {
    let allocatable = world.get("Node", "", node)?;
    let pods = world.of_kind("Pod").map(|(_, pod)| pod);
    let here: Vec<_> = pods.filter(|pod| pod.text("/spec/nodeName") == node && !pod.has_ended()).collect();
    let cpu_left = milli(allocatable.text("/status/allocatable/cpu")) - here.iter().map(|pod| cpu(pod)).sum::<i64>();
    Some((cpu_left, milli(allocatable.text("/status/allocatable/pods")) / 1000 - here.len() as i64))
}

fn is_open(node: &Object) -> bool {
    node.list("/spec/taints").is_empty() && node.at("/spec/unschedulable").is_none() && node.has_condition("Ready")
}

impl Invariant for Room {
    fn name(&self) -> &'static str {
        "room on nodes"
    }

    fn step(&mut self, world: &World, step: &Step) -> Result<(), String> {
        let Some(pod) = step.new.as_ref().filter(|_| step.key.kind == "Pod" && self.strict) else { return Ok(()) };
        let node = pod.text("/spec/nodeName");
        let bound = !node.is_empty() && step.old.as_ref().is_some_and(|old| old.text("/spec/nodeName").is_empty());
        let Some((cpu, pods)) = left(world, node).filter(|_| bound) else { return Ok(()) };
        ensure(cpu >= 0 && pods >= 0, || format!("{} leaves {cpu}m and {pods} Pods on {node}", step.key))
    }

    fn at_rest(&self, world: &World) -> Result<(), String> {
        for (key, pod) in world.of_kind("Pod").filter(|(_, pod)| pod.is_active()) {
            let placed = !pod.text("/spec/nodeName").is_empty();
            ensure(!placed || pod.is_serving(), || format!("{key} is on a node and does not serve: {pod}"))?;
            if placed || pod.at("/spec/affinity").is_some() {
                continue;
            }
            let fits = |name: &str| left(world, name).is_some_and(|(left, pods)| left >= cpu(pod) && pods > 0);
            let free = world.of_kind("Node").find(|(node, object)| is_open(object) && fits(&node.name));
            ensure(free.is_none(), || format!("{key} waits, and {} has room", free.expect("one").0))?;
        }
        Ok(())
    }
}
