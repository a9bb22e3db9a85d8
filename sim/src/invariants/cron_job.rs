//! Jobs at their times, and not two at once where that is forbidden.

use super::{Invariant, ensure};
use crate::scenario::Scenario;
use crate::world::{Object, Step, World};

/// Concurrency policies.
pub struct Concurrency {
    /// Whoever is not told that a Job was made may not know of it.
    strict: bool,
}

impl Concurrency {
    pub(super) fn new(scenario: &Scenario) -> Self {
        Self { strict: !scenario.loses_answers() }
    }
}

fn is_over(job: &Object) -> bool {
    job.has_condition("Complete") || job.has_condition("Failed")
}

impl Invariant for Concurrency {
    fn name(&self) -> &'static str {
        "concurrency of cron jobs"
    }

    fn step(&mut self, world: &World, step: &Step) -> Result<(), String> {
        let Some(job) = step.created().filter(|_| step.key.kind == "Job" && self.strict) else { return Ok(()) };
        let Some(owner) = job.controller().filter(|owner| owner["kind"] == "CronJob") else { return Ok(()) };
        let (name, uid) = (owner["name"].as_str().unwrap_or(""), owner["uid"].as_str().unwrap_or(""));
        let Some(cron) = world.get("CronJob", &step.key.namespace, name) else { return Ok(()) };
        if cron.text("/spec/concurrencyPolicy") == "Allow" {
            return Ok(());
        }
        let jobs = world.owned("Job", &step.key.namespace, uid).filter(|(_, job)| !is_over(job) && !job.is_doomed());
        let active = jobs.count();
        ensure(active <= 1, || format!("{} runs with {active} at once", step.key))
    }

    fn at_rest(&self, world: &World) -> Result<(), String> {
        for (key, cron) in world.of_kind("CronJob") {
            let jobs: Vec<_> = world.owned("Job", &key.namespace, cron.uid()).map(|(_, job)| job).collect();
            for (condition, field) in [("Complete", "successful"), ("Failed", "failed")] {
                let kept = jobs.iter().filter(|job| job.has_condition(condition)).count() as i64;
                let most = cron.number(&format!("/spec/{field}JobsHistoryLimit"));
                ensure(kept <= most, || format!("{key} keeps {kept} Jobs that are {condition}, of {most}"))?;
            }
            let active = jobs.iter().filter(|job| !is_over(job)).count();
            let listed = cron.list("/status/active").len();
            ensure(listed == active, || format!("{key} lists {listed} Jobs of {active}"))?;
        }
        Ok(())
    }
}
