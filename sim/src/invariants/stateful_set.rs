//! Pods with ordinals come and go in order.

use super::{Invariant, ensure};
use crate::scenario::Scenario;
use crate::world::{Key, Object, Step, World};

/// One after the other.
pub struct Ordinals {
    /// Pods only go when a controller decides so.
    strict: bool,
}

impl Ordinals {
    pub(super) fn new(scenario: &Scenario) -> Self {
        Self { strict: !scenario.rough }
    }
}

fn ordinal(key: &Key) -> i64 {
    key.name.rsplit('-').next().and_then(|number| number.parse().ok()).unwrap_or(-1)
}

fn set_of<'a>(world: &'a World, step: &Step, pod: &Object) -> Option<&'a Object> {
    let owner = pod.controller().filter(|owner| owner["kind"] == "StatefulSet")?;
    let set = world.get("StatefulSet", &step.key.namespace, owner["name"].as_str()?)?;
    // Who empties a namespace asks for no order.
    let empties = world.get("Namespace", "", &step.key.namespace).is_none_or(Object::is_doomed);
    (owner["uid"] == set.uid() && !set.is_doomed() && !empties).then_some(set)
}

impl Invariant for Ordinals {
    fn name(&self) -> &'static str {
        "ordinals"
    }

    fn step(&mut self, world: &World, step: &Step) -> Result<(), String> {
        if step.key.kind != "Pod" || !self.strict {
            return Ok(());
        }
        let Some(pod) = step.created().or(step.began_to_go()) else { return Ok(()) };
        let Some(set) = set_of(world, step, pod) else { return Ok(()) };
        if set.text("/spec/podManagementPolicy") != "OrderedReady" {
            return Ok(());
        }
        let others: Vec<_> =
            world.owned("Pod", &step.key.namespace, set.uid()).filter(|(key, _)| **key != step.key).collect();
        if step.created().is_some() {
            let serving = others.iter().filter(|(key, pod)| ordinal(key) < ordinal(&step.key) && pod.is_serving());
            let before = serving.count() as i64;
            return ensure(before == ordinal(&step.key), || format!("{} comes after {before} that serve", step.key));
        }
        let going = others.iter().find(|(_, pod)| pod.is_doomed());
        ensure(going.is_none(), || format!("{} goes with {}", step.key, going.expect("one").0))
    }

    fn at_rest(&self, world: &World) -> Result<(), String> {
        for (key, set) in world.of_kind("StatefulSet") {
            let pods: Vec<_> = world.owned("Pod", &key.namespace, set.uid()).collect();
            let replicas = set.number("/spec/replicas");
            ensure(pods.iter().all(|(pod, _)| ordinal(pod) < replicas), || format!("{key} has Pods above {replicas}"))?;
            let observed = set.number("/status/observedGeneration");
            ensure(observed == set.number("/metadata/generation"), || format!("{key} is not looked at"))?;
            if pods.iter().any(|(_, pod)| !pod.is_serving()) || pods.len() as i64 != replicas {
                // Something has to hold it up.
                let held =
                    pods.iter().any(|(_, pod)| !pod.is_serving()) || super::quota::is_tight(world, &key.namespace);
                ensure(held, || format!("{key} has {} Pods of {replicas}: {set}", pods.len()))?;
                continue;
            }
            let same = |field: &str| set.number(&format!("/status/{field}")) == replicas;
            let done = ["replicas", "readyReplicas", "availableReplicas"].into_iter().all(same);
            ensure(done, || format!("{key}'s status is old: {set}"))?;
            let partition = set.number("/spec/updateStrategy/rollingUpdate/partition");
            let revision = set.text("/status/updateRevision");
            let old = pods.iter().find(|(pod, object)| {
                ordinal(pod) >= partition && object.text("/metadata/labels/controller-revision-hash") != revision
            });
            ensure(old.is_none(), || format!("{} is not updated", old.expect("one").0))?;
        }
        Ok(())
    }
}
