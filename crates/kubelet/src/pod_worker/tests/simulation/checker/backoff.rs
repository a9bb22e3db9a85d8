//! How long what keeps exiting has to wait.

use std::time::Duration;

use testkit::fake_cri::Trace;
use tokio::time::Instant;

use super::Checker;

/// A container that ran for longer has recovered.
const RECOVERED_NANOSECONDS: i64 = 600_000_000_000;

/// What the next restart of a container has to wait for.
#[derive(Debug, Default)]
pub(super) struct Waits {
    exited: Option<i64>,
    /// When it was restarted, by both clocks, and how long it waits after its next exit.
    restarted: Option<(i64, Instant, Duration)>,
}

impl Checker<'_> {
    pub(super) fn note_exit(&mut self, one: &Trace) {
        self.waits.entry(one.name.clone()).or_default().exited = Some(one.time);
    }

    pub(super) fn waited(&mut self, one: &Trace) -> Result<(), String> {
        let waits = self.waits.entry(one.name.clone()).or_default();
        let Some(exited) = waits.exited else { return Ok(()) };
        let is_other = |since: &Instant| self.story.changes.iter().any(|(at, name)| *name == one.name && at >= since);
        let known = waits.restarted.filter(|(_, at, _)| !self.story.restarted_since(*at) && !is_other(at));
        let valid = known.filter(|(time, _, _)| exited - time <= RECOVERED_NANOSECONDS).map(|(_, _, delay)| delay);
        let next = valid.map_or(Duration::from_secs(10), |delay| (delay * 2).min(Duration::from_secs(300)));
        waits.restarted = Some((one.time, one.at, next));
        let waited = Duration::from_nanos(u64::try_from(one.time - exited).unwrap_or(0));
        match valid {
            Some(delay) if waited + Duration::from_millis(1) < delay => {
                Err(format!("{} waited {waited:?} instead of {delay:?}", one.name))
            }
            _ => Ok(()),
        }
    }
}
