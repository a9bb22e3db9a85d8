//! A ReplicaSet has as many Pods as it should, and never makes more.

use std::collections::BTreeMap;

use super::{Invariant, Remembered, ensure};
use crate::scenario::Scenario;
use crate::world::{Step, World};

/// As many Pods as wanted.
pub struct Replicas {
    /// What is wanted, by uid.
    wanted: BTreeMap<String, Remembered>,
    /// Whoever is not told that a Pod was made makes another.
    strict: bool,
}

impl Replicas {
    pub(super) fn new(scenario: &Scenario) -> Self {
        Self { wanted: BTreeMap::new(), strict: !scenario.loses_answers() }
    }
}

impl Invariant for Replicas {
    fn name(&self) -> &'static str {
        "replicas"
    }

    fn step(&mut self, world: &World, step: &Step) -> Result<(), String> {
        if let ("ReplicaSet", Some(set)) = (step.key.kind.as_str(), &step.new) {
            self.wanted.entry(set.uid().to_owned()).or_default().set(step.at, set.number("/spec/replicas"));
        }
        let Some(pod) = step.created().filter(|_| step.key.kind == "Pod" && self.strict) else { return Ok(()) };
        let Some(owner) = pod.controller().filter(|owner| owner["kind"] == "ReplicaSet") else { return Ok(()) };
        let uid = owner["uid"].as_str().unwrap_or("");
        let most = self.wanted.get_mut(uid).map_or(0, |wanted| wanted.most(step.at));
        let active = world.owned("Pod", &step.key.namespace, uid).filter(|(_, pod)| pod.is_active()).count();
        ensure(active as i64 <= most, || format!("{} is one of {active} of {most} of {owner}", step.key))
    }

    fn at_rest(&self, world: &World) -> Result<(), String> {
        for (key, set) in world.of_kind("ReplicaSet") {
            let wanted = set.number("/spec/replicas");
            let pods: Vec<_> = world.owned("Pod", &key.namespace, set.uid()).map(|(_, pod)| pod).collect();
            let active = pods.iter().filter(|pod| pod.is_active()).count() as i64;
            let short = set.has_condition("ReplicaFailure") && active < wanted;
            ensure(active == wanted || short, || format!("{key} has {active} Pods of {wanted}"))?;
            ensure(set.number("/status/replicas") == active, || format!("{key}'s status is old: {active} {set}"))?;
            let ready = pods.iter().filter(|pod| pod.is_serving()).count() as i64;
            ensure(set.number("/status/readyReplicas") == ready, || format!("{key} has {ready} ready: {set}"))?;
        }
        Ok(())
    }
}
