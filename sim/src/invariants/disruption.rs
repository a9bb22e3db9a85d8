//! What budgets say is so.

use super::{Invariant, ensure};
use crate::world::{Object, World};

/// Budgets know their Pods.
pub struct Budgets;

fn selects(budget: &Object, pod: &Object) -> bool {
    let wanted = budget.at("/spec/selector/matchLabels").and_then(|labels| labels.as_object());
    let has = |(name, value): (&String, &serde_json::Value)| {
        pod.at("/metadata/labels").is_some_and(|labels| labels[name] == *value)
    };
    wanted.is_some_and(|wanted| wanted.iter().all(has))
}

impl Invariant for Budgets {
    fn name(&self) -> &'static str {
        "budgets"
    }

    fn at_rest(&self, world: &World) -> Result<(), String> {
        for (key, budget) in world.of_kind("PodDisruptionBudget") {
            let conditions = budget.list("/status/conditions");
            // Nobody knows how many Pods there should be: some have no controller.
            if conditions.iter().any(|one| one["reason"] == "SyncFailed") {
                continue;
            }
            let pods = world.in_namespace("Pod", &key.namespace).map(|(_, pod)| pod).filter(|pod| selects(budget, pod));
            let healthy = pods.filter(|pod| pod.is_serving()).count() as i64;
            let observed = budget.number("/status/observedGeneration");
            ensure(observed == budget.number("/metadata/generation"), || format!("{key} is not looked at"))?;
            let said = budget.number("/status/currentHealthy");
            ensure(said == healthy, || format!("{key} says {said} of {healthy} healthy Pods"))?;
            let allowed = (healthy - budget.number("/status/desiredHealthy")).max(0);
            let said = budget.number("/status/disruptionsAllowed");
            ensure(said == allowed, || format!("{key} allows {said} of {allowed} disruptions"))?;
        }
        Ok(())
    }
}
