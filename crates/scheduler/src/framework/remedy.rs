//! What would make a node take a Pod.

use serde::{Deserialize, Serialize};

/// See the module. In plain words, for whoever asks why a Pod waits.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Remedy {
    /// The node needs this, for instance "200m more CPU".
    Needs(String),
    /// Somebody does this, for instance "tolerate taint dedicated=gpu:NoSchedule".
    Do(String),
}

/// A remedy and how far away it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Way {
    /// What would help.
    pub remedies: Vec<Remedy>,
    /// The smaller the nearer. What is short counts in thousandths of what the node has.
    pub distance: i64,
}

impl Way {
    /// One act.
    pub fn act(distance: i64, text: impl Into<String>) -> Self {
        Self { remedies: vec![Remedy::Do(text.into())], distance }
    }
}
