//! Gives Pods their nodes.
//!
//! One loop owns all state ([`scheduler`]): it learns of Pods and nodes from watches, keeps them in the [`cache`] and the
//! [`queue`], and decides one Pod at a time with a pure function ([`schedule_one`]) over the [`plugins`] that a
//! [`profile`] puts together. What it decided is written by short-lived tasks ([`writes`]): a Binding, the reasons why
//! there is none, or who must go to make room.

mod cache;
mod cluster_event;
mod configuration;
mod cycle_state;
#[cfg(test)]
mod fixtures;
mod framework;
mod journal;
mod metrics;
mod node_info;
mod objects;
mod offline;
mod plugins;
mod pod_info;
mod profile;
mod queue;
mod requests;
mod resources;
mod schedule_one;
mod scheduler;
mod snapshot;
mod topology;
mod verdicts;
mod volume_binding;
mod writes;

use platform::clock::SharedClock;
use platform::random::SharedRandom;

pub use configuration::{Configuration, ConfigurationError};
pub use framework::Remedy;
pub use metrics::Metrics;
pub use offline::{Offline, Step};
pub use scheduler::run;
pub use verdicts::{Attempt, NodeVerdict, Obstacle, Verdicts};

/// What the scheduler needs beside a client.
#[derive(Clone)]
pub struct Config {
    /// For the times in conditions and Events.
    pub clock: SharedClock,
    /// Picks among equally good nodes.
    pub random: SharedRandom,
    /// Tells this instance from others in its Events, usually the host's name.
    pub instance: String,
    /// Which profiles there are.
    pub configuration: Configuration,
    /// Where it keeps what it found of Pods that no node took.
    pub verdicts: Verdicts,
    /// Where it counts.
    pub metrics: Metrics,
}
