//! What the server keeps resident: what it uses, and not what a start or a burst once used.

use std::time::Duration;

use linux::memory;
use platform::tasks::{TaskKind, spawn};
use tokio_util::sync::CancellationToken;
use tracing::warn;

/// A start has ended its last echoes.
const AFTER_START: Duration = Duration::from_secs(1);
/// The heap says nothing when things become free, so it is asked now and then.
const EVERY: Duration = Duration::from_secs(30);

/// Gives back what the start needed, and later what each burst leaves behind, until `cancel`.
pub fn keep_small(cancel: CancellationToken) {
    spawn(TaskKind::Worker, "memory", async move {
        let mut next = AFTER_START;
        let mut started = false;
        while cancel.run_until_cancelled(tokio::time::sleep(next)).await.is_some() {
            let outcome = memory::give_back_free_heap()
                .and_then(|burst| if burst || !started { memory::give_back_code() } else { Ok(()) });
            if let Err(error) = outcome {
                warn!(%error, "cannot give memory back");
                return;
            }
            (next, started) = (EVERY, true);
        }
    });
}
