//! What has to hold: after every commit, and when the cluster has come to rest.

mod cron_job;
mod daemon_set;
mod deployment;
mod disruption;
mod job;
mod ownership;
mod quota;
mod replica_set;
mod scheduling;
mod stateful_set;

use std::time::Duration;

use crate::scenario::Scenario;
use crate::world::{Step, World};

/// Who acts on what it saw may have seen it this long ago: a watch that stalls, and a request that waits.
pub const STALE: Duration = Duration::from_secs(30);

/// A rule.
pub trait Invariant: Send {
    /// Its name.
    fn name(&self) -> &'static str;

    /// After a commit.
    ///
    /// # Errors
    /// What is wrong.
    fn step(&mut self, _world: &World, _step: &Step) -> Result<(), String> {
        Ok(())
    }

    /// At rest.
    ///
    /// # Errors
    /// What is wrong.
    fn at_rest(&self, _world: &World) -> Result<(), String> {
        Ok(())
    }
}

/// All rules, as strict as the scenario lets them be.
pub fn all(scenario: &Scenario) -> Vec<Box<dyn Invariant>> {
    vec![
        Box::new(ownership::Ownership),
        Box::new(replica_set::Replicas::new(scenario)),
        Box::new(deployment::Deployments::new(scenario)),
        Box::new(stateful_set::Ordinals::new(scenario)),
        Box::new(daemon_set::OnePerNode::new(scenario)),
        Box::new(job::ExactlyOnce::default()),
        Box::new(cron_job::Concurrency::new(scenario)),
        Box::new(quota::Quotas::default()),
        Box::new(disruption::Budgets),
        Box::new(scheduling::Room::new(scenario)),
    ]
}

/// A number that may only be known as it was a while ago: its past values, as long as somebody may go by them.
#[derive(Debug, Default)]
struct Remembered(Vec<(Duration, i64)>);

impl Remembered {
    /// From now on it is this.
    fn set(&mut self, at: Duration, value: i64) {
        self.0.push((at, value));
    }

    /// The greatest somebody may go by.
    fn most(&mut self, now: Duration) -> i64 {
        self.forget(now);
        self.0.iter().map(|(_, value)| *value).max().unwrap_or(0)
    }

    /// The least somebody may go by.
    fn least(&mut self, now: Duration) -> i64 {
        self.forget(now);
        self.0.iter().map(|(_, value)| *value).min().unwrap_or(0)
    }

    /// A value is forgotten when the one after it is old.
    fn forget(&mut self, now: Duration) {
        while self.0.len() > 1 && self.0[1].0 + STALE < now {
            self.0.remove(0);
        }
    }
}

fn ensure(holds: bool, otherwise: impl FnOnce() -> String) -> Result<(), String> {
    if holds { Ok(()) } else { Err(otherwise()) }
}
