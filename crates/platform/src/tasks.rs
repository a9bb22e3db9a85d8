//! Supervised tasks: each has a kind, and the kind says what its failure means.

use std::future::Future;

use futures::FutureExt;
use tokio::task::JoinHandle;
use tracing::error;

/// What a task is for, and so what happens when it panics.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TaskKind {
    /// A component's main loop: without it the process is of no use, so a panic ends the process.
    Component,
    /// A worker for one key (a Pod, a connection, a watch): a panic is logged and ends that worker alone.
    Worker,
}

/// Starts a task. `name` appears in logs. The task ends when its future does, or when the handle is aborted; whoever
/// starts it passes it a cancellation token or owns its inputs.
#[allow(clippy::disallowed_methods)] // the one place that may
pub fn spawn<F>(kind: TaskKind, name: &'static str, future: F) -> JoinHandle<()>
where
    F: Future<Output = ()> + Send + 'static,
{
    tokio::spawn(async move {
        if std::panic::AssertUnwindSafe(future).catch_unwind().await.is_err() {
            error!(task = name, "task panicked");
            if kind == TaskKind::Component {
                std::process::abort();
            }
        }
    })
}
