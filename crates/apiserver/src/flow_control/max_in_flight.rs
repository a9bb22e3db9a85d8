//! What limits requests without API Priority and Fairness: two numbers.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// So many requests that read, and so many that write.
#[derive(Debug)]
pub struct MaxInFlight {
    /// Unlimited when `None`.
    read_only: Option<Arc<Semaphore>>,
    mutating: Option<Arc<Semaphore>>,
}

impl MaxInFlight {
    /// With these limits; zero is none.
    pub fn new(read_only: usize, mutating: usize) -> Self {
        let semaphore = |limit: usize| (limit > 0).then(|| Arc::new(Semaphore::new(limit)));
        Self { read_only: semaphore(read_only), mutating: semaphore(mutating) }
    }

    /// Room for a request, if there is any. Nobody waits.
    ///
    /// # Errors
    /// There is none.
    pub fn enter(&self, mutating: bool) -> Result<Option<OwnedSemaphorePermit>, NoRoom> {
        let semaphore = if mutating { &self.mutating } else { &self.read_only };
        let Some(semaphore) = semaphore else { return Ok(None) };
        Arc::clone(semaphore).try_acquire_owned().map(Some).map_err(|_| NoRoom)
    }
}

/// As many requests as may be are under way.
#[derive(Debug)]
pub struct NoRoom;
