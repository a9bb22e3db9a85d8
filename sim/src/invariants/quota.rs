//! Quotas are never exceeded, and their usage is what there is.

use std::collections::BTreeMap;

use super::{Invariant, Remembered, ensure};
use crate::world::{Object, Step, World};

/// Never more than the quota.
#[derive(Default)]
pub struct Quotas {
    /// What each allows, by uid and resource.
    hard: BTreeMap<(String, &'static str), Remembered>,
}

const RESOURCES: &[&str] = &["pods", "requests.cpu"];

/// In thousandths.
pub(super) fn milli(text: &str) -> i64 {
    match text.strip_suffix('m') {
        Some(milli) => milli.parse().unwrap_or(0),
        None => text.parse::<i64>().unwrap_or(0) * 1000,
    }
}

/// What a Pod requests.
pub(super) fn cpu(pod: &Object) -> i64 {
    pod.list("/spec/containers")
        .iter()
        .map(|one| milli(one["resources"]["requests"]["cpu"].as_str().unwrap_or("")))
        .sum()
}

fn used(world: &World, namespace: &str, resource: &str) -> i64 {
    let pods = world.in_namespace("Pod", namespace).map(|(_, pod)| pod);
    // One that should have been gone long ago, on a node that is silent, does not count.
    let pods = pods.filter(|pod| !pod.has_ended() && !pod.is_overdue(world.now));
    match resource {
        "pods" => pods.count() as i64 * 1000,
        _ => pods.map(cpu).sum(),
    }
}

fn amount(quota: &Object, part: &str, resource: &str) -> Option<i64> {
    quota.at(&format!("/{part}/{resource}")).and_then(|text| text.as_str()).map(milli)
}

/// Whether a quota leaves no room for a Pod of any size.
pub(super) fn is_tight(world: &World, namespace: &str) -> bool {
    let largest = |resource: &str| if resource == "pods" { 1000 } else { 500 };
    world.in_namespace("ResourceQuota", namespace).any(|(_, quota)| {
        let full = |resource: &&str| {
            let hard = amount(quota, "spec/hard", resource);
            hard.is_some_and(|hard| used(world, namespace, resource) + largest(resource) > hard)
        };
        RESOURCES.iter().any(full)
    })
}

impl Invariant for Quotas {
    fn name(&self) -> &'static str {
        "quotas"
    }

    fn step(&mut self, world: &World, step: &Step) -> Result<(), String> {
        if let ("ResourceQuota", Some(quota)) = (step.key.kind.as_str(), &step.new) {
            for resource in RESOURCES {
                // It binds once the controller has seen it.
                let hard = amount(quota, "status/hard", resource).unwrap_or(i64::MAX);
                self.hard.entry((quota.uid().to_owned(), resource)).or_default().set(step.at, hard);
            }
        }
        if step.key.kind != "Pod" || step.created().is_none() {
            return Ok(());
        }
        for (key, quota) in world.in_namespace("ResourceQuota", &step.key.namespace) {
            for resource in RESOURCES {
                let known = self.hard.get_mut(&(quota.uid().to_owned(), resource));
                let hard = known.map_or(i64::MAX, |hard| hard.most(step.at));
                let used = used(world, &step.key.namespace, resource);
                ensure(used <= hard, || format!("{} makes {key} {used}m {resource} of {hard}m", step.key))?;
            }
        }
        Ok(())
    }

    fn at_rest(&self, world: &World) -> Result<(), String> {
        for (key, quota) in world.of_kind("ResourceQuota") {
            for resource in RESOURCES {
                let (said, truth) = (amount(quota, "status/used", resource), used(world, &key.namespace, resource));
                ensure(said == Some(truth), || format!("{key} says {said:?} {resource}, and {truth} are used"))?;
            }
        }
        Ok(())
    }
}
