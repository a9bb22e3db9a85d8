//! What happened to sandboxes and containers, and when: what a simulation's checker reads.

use std::collections::BTreeMap;

/// One thing that happened.
#[derive(Debug, Clone)]
pub struct Trace {
    /// When, on a clock that nobody sets.
    pub at: tokio::time::Instant,
    /// When, in the runtime's nanoseconds since 1970.
    pub time: i64,
    /// To which sandbox or container.
    pub id: String,
    /// The container's name; empty for a sandbox.
    pub name: String,
    /// The container's sandbox; empty for a sandbox.
    pub sandbox_id: String,
    /// The container's annotations.
    pub annotations: BTreeMap<String, String>,
    /// What.
    pub what: Happening,
}

/// What can happen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Happening {
    /// A sandbox runs.
    SandboxRun,
    /// A sandbox and all in it ended.
    SandboxStopped,
    /// A container was made.
    Created,
    /// It runs.
    Started,
    /// It could not be started.
    StartFailed,
    /// It was told to end, and will be killed after that long.
    StopAsked {
        /// Seconds between the signals.
        timeout_seconds: i64,
    },
    /// It ended.
    Exited(i32),
    /// It got other resources.
    Updated,
    /// A command was started in it; its first word.
    CommandBegan(String),
    /// A command ended, and how. Nothing of it is heard when nobody waits for it any more.
    CommandEnded(String, i32),
}
