//! How much history a store keeps for watches to resume from.

use std::time::Duration;

/// Bounds on the history. What exceeds any of them is forgotten, oldest first; the newest state is never touched.
///
/// History is trimmed when something is written anyway: an idle store keeps what it has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HistoryLimits {
    /// The most commits to keep.
    pub commits: u64,
    /// The most bytes of keys and values to keep.
    pub bytes: u64,
    /// The oldest commit to keep.
    pub age: Duration,
}

impl Default for HistoryLimits {
    fn default() -> Self {
        Self { commits: 20_000, bytes: 16 << 20, age: Duration::from_secs(24 * 3600) }
    }
}

/// What the history amounts to right now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct HistorySize {
    pub(crate) commits: u64,
    pub(crate) bytes: u64,
}

impl HistorySize {
    pub(crate) fn add(&mut self, bytes: u64) {
        self.commits += 1;
        self.bytes += bytes;
    }

    pub(crate) fn remove(&mut self, bytes: u64) {
        self.commits = self.commits.saturating_sub(1);
        self.bytes = self.bytes.saturating_sub(bytes);
    }
}

impl HistoryLimits {
    /// Whether the oldest commit, made `age` ago, has to go.
    pub(crate) fn exceeded_by(&self, size: HistorySize, oldest_age: Duration) -> bool {
        size.commits > self.commits || size.bytes > self.bytes || oldest_age > self.age
    }
}
