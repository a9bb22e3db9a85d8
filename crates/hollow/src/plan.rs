//! What a hollow node does with a Pod. Pure.

#[cfg(test)]
mod tests;

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use crate::pod::{Ends, HollowPod, Phase};

/// The next thing to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// Say that it runs.
    Run,
    /// Say that it is ready after all: somebody else said that it is not, as its node was silent for too long.
    Recover,
    /// Say that it has succeeded.
    Complete,
    /// Take the object away.
    Remove,
    /// Look again after this time.
    Wait(Duration),
    /// Nothing until it changes.
    Rest,
}

/// Decides. `job_duration` is how long Pods of Jobs run.
pub fn plan(pod: &HollowPod, job_duration: Duration, now: Timestamp) -> Action {
    if pod.deleted {
        return Action::Remove;
    }
    match pod.phase {
        Phase::Pending => Action::Run,
        Phase::Ended => Action::Rest,
        Phase::Running => match pod.ends {
            _ if !pod.ready => Action::Recover,
            Ends::Never => Action::Rest,
            Ends::After(duration) => complete(pod, duration, now),
            Ends::AsJob => complete(pod, job_duration, now),
        },
    }
}

fn complete(pod: &HollowPod, after: Duration, now: Timestamp) -> Action {
    let Some(started) = pod.started else { return Action::Complete };
    let after = SignedDuration::try_from(after).unwrap_or(SignedDuration::MAX);
    let left = after.saturating_sub(now.duration_since(started));
    match Duration::try_from(left) {
        Ok(left) if !left.is_zero() => Action::Wait(left),
        _ => Action::Complete,
    }
}
