//! The clock seam.

use std::sync::Arc;

use jiff::Timestamp;

/// Wall-clock time. Waiting is tokio's business (`tokio::time`), which tests pause and advance.
pub trait Clock: Send + Sync {
    /// The present moment in UTC.
    fn now(&self) -> Timestamp;
}

/// A clock that many parts share.
pub type SharedClock = Arc<dyn Clock>;

/// The machine's clock.
#[derive(Debug, Default, Clone, Copy)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[allow(clippy::disallowed_methods)] // the seam itself
    fn now(&self) -> Timestamp {
        Timestamp::now()
    }
}
