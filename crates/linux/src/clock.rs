//! The machine's clock, for processes that have no other seam: shims.

use std::time::{SystemTime, UNIX_EPOCH};

/// Time since the Unix epoch in nanoseconds.
#[allow(clippy::disallowed_methods)] // a seam of its own
pub fn realtime_nanoseconds() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| i64::try_from(since.as_nanos()).unwrap_or(i64::MAX))
}
