//! What the node and its Pods use: counters of the runtime, the kernel and the disks, read when somebody asks.
//!
//! [`Stats::summary`] observes; [`summary`] is the shape upstream's `/stats/summary` has; [`crate::server`] answers it as
//! JSON or as metrics. Nothing is sampled in the background: an idle node measures nothing.

pub mod disk;
mod node;
mod pods;
mod rates;
pub mod summary;

use std::sync::{Arc, Mutex, PoisonError};

use k8s_openapi::api::core::v1::Pod;

use crate::context::NodeContext;
use rates::Rates;
use summary::{NodeStats, Summary};

/// How much is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Detail {
    /// Counters of CPU and memory only.
    CpuAndMemory,
    /// Disks, too, which takes a walk through every Pod's directories.
    All,
}

/// Measures this node.
pub struct Stats {
    context: Arc<NodeContext>,
    node_name: String,
    /// The counters read before, so that the next reader gets rates.
    rates: Mutex<Rates>,
}

impl Stats {
    /// A measurer that has measured nothing.
    pub fn new(context: Arc<NodeContext>, node_name: String) -> Self {
        Self { context, node_name, rates: Mutex::default() }
    }

    /// Measures the node and those of its Pods that run.
    ///
    /// # Errors
    /// The runtime's, when it does not answer.
    pub async fn summary(&self, pods: Vec<Arc<Pod>>, detail: Detail) -> cri::Result<Summary> {
        let mut summary =
            Summary { node: self.node(detail).await, pods: pods::observe(&self.context, pods, detail).await? };
        let mut rates = self.rates.lock().unwrap_or_else(PoisonError::into_inner);
        rates.fill(&mut summary);
        Ok(summary)
    }

    async fn node(&self, detail: Detail) -> NodeStats {
        let (context, name) = (Arc::clone(&self.context), self.node_name.clone());
        let now = context.clock.now();
        let mut stats = node::observe(&context, name, now);
        if detail == Detail::All {
            stats.fs = disk::file_system(&context.paths.root, now);
            stats.runtime = node::images(&context, now).await;
        } else {
            stats.network = None;
            stats.rlimit = None;
        }
        stats
    }
}
