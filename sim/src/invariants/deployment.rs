//! A rollout never takes more away than it may, never adds more, and ends.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::Value;

use super::{Invariant, Remembered, STALE, ensure};
use crate::scenario::Scenario;
use crate::world::{Key, Object, Step, World};

/// Rolling within bounds.
pub struct Deployments {
    known: BTreeMap<String, Known>,
    /// Pods only go when a controller decides so.
    strict: bool,
}

/// What is known of one Deployment.
#[derive(Default)]
struct Known {
    /// How many Pods have to serve.
    floor: Remembered,
    /// How many Pods there may be.
    ceiling: Remembered,
    /// How many served and were known to, as far as they had to.
    reached: i64,
    /// Since when each Pod serves.
    serving: BTreeMap<String, Duration>,
}

impl Deployments {
    pub(super) fn new(scenario: &Scenario) -> Self {
        Self { known: BTreeMap::new(), strict: !scenario.rough }
    }

    fn learn(&mut self, step: &Step) {
        let Some(deployment) = &step.new else { return };
        let known = self.known.entry(deployment.uid().to_owned()).or_default();
        let replicas = deployment.number("/spec/replicas");
        let rolling = deployment.text("/spec/strategy/type") == "RollingUpdate" && !deployment.is_doomed();
        let (surge, unavailable) = bounds(deployment, replicas);
        let floor = if rolling { replicas - unavailable } else { 0 };
        known.floor.set(step.at, floor);
        known.ceiling.set(step.at, replicas + if rolling { surge } else { 0 });
        known.reached = known.reached.min(floor);
    }

    fn count(&mut self, world: &World, step: &Step, owner: (&Key, &Object)) -> Result<(), String> {
        let (key, deployment) = owner;
        let Some(known) = self.known.get_mut(deployment.uid()) else { return Ok(()) };
        let sets = world.owned("ReplicaSet", &key.namespace, deployment.uid());
        let pods = sets.flat_map(|(_, set)| world.owned("Pod", &key.namespace, set.uid()));
        let before = std::mem::take(&mut known.serving);
        let since = |uid: &str| before.get(uid).copied().unwrap_or(step.at);
        let serving = pods.filter(|(_, pod)| pod.is_serving()).map(|(_, pod)| (pod.uid().to_owned(), since(pod.uid())));
        known.serving = serving.collect();
        // Pods of whom not everybody knows yet that they serve may be taken for the ones that do not.
        let settled = known.serving.values().filter(|since| **since + STALE < step.at).count() as i64;
        let serving = known.serving.len() as i64;
        let floor = known.floor.least(step.at).min(known.reached);
        ensure(serving >= floor, || format!("{key} has {serving} Pods that serve, and has to have {floor}"))?;
        let wanted = known.floor.0.last().map_or(0, |(_, floor)| *floor);
        known.reached = known.reached.max(settled).min(wanted);
        Ok(())
    }

    /// The sizes of all ReplicaSets never exceed what a rollout may add.
    fn size(&mut self, world: &World, step: &Step, owner: (&Key, &Object)) -> Result<(), String> {
        let (key, deployment) = owner;
        let grown = |set: &Object| set.number("/spec/replicas");
        let (Some(new), before) = (&step.new, step.old.as_ref().map_or(0, grown)) else { return Ok(()) };
        if grown(new) <= before || new.is_doomed() {
            return Ok(());
        }
        let Some(known) = self.known.get_mut(deployment.uid()) else { return Ok(()) };
        let sizes = world.owned("ReplicaSet", &key.namespace, deployment.uid()).map(|(_, set)| grown(set));
        let (all, most) = (sizes.sum::<i64>(), known.ceiling.most(step.at));
        ensure(all <= most, || format!("{key} has ReplicaSets of {all} Pods together and may have {most}"))
    }
}

fn bounds(deployment: &Object, replicas: i64) -> (i64, i64) {
    let share = |field: &str, up: bool| match deployment.at(&format!("/spec/strategy/rollingUpdate/{field}")) {
        Some(Value::String(percent)) => {
            let percent: i64 = percent.trim_end_matches('%').parse().unwrap_or(0);
            if up { (replicas * percent + 99) / 100 } else { replicas * percent / 100 }
        }
        Some(number) => number.as_i64().unwrap_or(0),
        None => 0,
    };
    let (surge, unavailable) = (share("maxSurge", true), share("maxUnavailable", false));
    // Nothing could ever happen.
    (surge, if surge == 0 && unavailable == 0 { 1 } else { unavailable }.min(replicas))
}

fn owner_of<'a>(world: &'a World, namespace: &str, object: &Object, kind: &str) -> Option<(&'a Key, &'a Object)> {
    let owner = object.controller().filter(|owner| owner["kind"] == kind)?;
    let (key, found) = world.find(kind, namespace, owner["name"].as_str()?)?;
    (owner["uid"] == found.uid()).then_some((key, found))
}

impl Invariant for Deployments {
    fn name(&self) -> &'static str {
        "rollouts"
    }

    fn step(&mut self, world: &World, step: &Step) -> Result<(), String> {
        let Some(object) = step.new.as_ref().or(step.old.as_ref()) else { return Ok(()) };
        match step.key.kind.as_str() {
            "Deployment" => self.learn(step),
            "ReplicaSet" => {
                if let Some(owner) = owner_of(world, &step.key.namespace, object, "Deployment") {
                    self.size(world, step, owner)?;
                }
            }
            "Pod" if self.strict => {
                let set = owner_of(world, &step.key.namespace, object, "ReplicaSet");
                let owner = set.and_then(|(_, set)| owner_of(world, &step.key.namespace, set, "Deployment"));
                if let Some(owner) = owner.filter(|(_, deployment)| !deployment.is_doomed()) {
                    self.count(world, step, owner)?;
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn at_rest(&self, world: &World) -> Result<(), String> {
        for (key, deployment) in world.of_kind("Deployment") {
            let sets: Vec<_> =
                world.owned("ReplicaSet", &key.namespace, deployment.uid()).map(|(_, set)| set).collect();
            let observed = deployment.number("/status/observedGeneration");
            ensure(observed == deployment.number("/metadata/generation"), || format!("{key} is not looked at"))?;
            let hindered = sets.iter().any(|set| {
                let ready = set.number("/status/readyReplicas");
                ready < set.number("/spec/replicas")
            });
            if hindered || deployment.at("/spec/paused") == Some(&Value::Bool(true)) {
                continue;
            }
            let replicas = deployment.number("/spec/replicas");
            let same = |field: &str| deployment.number(&format!("/status/{field}")) == replicas;
            let done = ["replicas", "updatedReplicas", "readyReplicas", "availableReplicas"].into_iter().all(same);
            ensure(done, || format!("{key} is not rolled out: {deployment}"))?;
            let old = sets.iter().filter(|set| set.number("/spec/replicas") == 0).count() as i64;
            let most = deployment.number("/spec/revisionHistoryLimit") + i64::from(replicas == 0);
            ensure(old <= most, || format!("{key} keeps {old} old ReplicaSets of {most}"))?;
        }
        Ok(())
    }
}
