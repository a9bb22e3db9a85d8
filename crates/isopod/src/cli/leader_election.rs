//! Which of several servers on one store schedules and controls, under upstream's names.

use std::time::Duration;

use anyhow::{Result, ensure};
use clap::Args;
use client::leader_election::Timing;

use super::kubelet::duration;

/// How servers agree on one that leads.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Leader election options")]
#[allow(clippy::struct_field_names)] // upstream's flags all begin so
pub struct LeaderElection {
    /// Let scheduler and controllers run on one of the servers that share a store, by Leases in kube-system
    /// [default: with --datastore-endpoint]
    #[arg(long, value_name = "BOOL", num_args = 0..=1, default_missing_value = "true", require_equals = true)]
    pub leader_elect: Option<bool>,
    /// Silence of the leader after which another one takes over
    #[arg(long, default_value = "15s", value_name = "DURATION", value_parser = duration)]
    pub leader_elect_lease_duration: Duration,
    /// Time without a renewal after which the leader stops
    #[arg(long, default_value = "10s", value_name = "DURATION", value_parser = duration)]
    pub leader_elect_renew_deadline: Duration,
    /// How often the leader renews and the others look
    #[arg(long, default_value = "2s", value_name = "DURATION", value_parser = duration)]
    pub leader_elect_retry_period: Duration,
}

impl LeaderElection {
    /// How to elect, if that is to be.
    pub fn resolve(&self, store_is_shared: bool) -> Result<Option<Timing>> {
        let timing = Timing {
            lease_duration: self.leader_elect_lease_duration,
            renew_deadline: self.leader_elect_renew_deadline,
            retry_period: self.leader_elect_retry_period,
        };
        ensure!(
            timing.lease_duration > timing.renew_deadline,
            "--leader-elect-lease-duration must be above --leader-elect-renew-deadline"
        );
        ensure!(
            timing.renew_deadline > timing.retry_period && !timing.retry_period.is_zero(),
            "--leader-elect-renew-deadline must be above --leader-elect-retry-period, which is not 0"
        );
        Ok(self.leader_elect.unwrap_or(store_is_shared).then_some(timing))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn servers_on_one_store_elect_unless_told_otherwise() {
        let flags = |leader_elect: Option<bool>, [lease, renew, retry]: [u64; 3]| LeaderElection {
            leader_elect,
            leader_elect_lease_duration: Duration::from_secs(lease),
            leader_elect_renew_deadline: Duration::from_secs(renew),
            leader_elect_retry_period: Duration::from_secs(retry),
        };
        let elects = |asked: Option<bool>, shared: bool| flags(asked, [15, 10, 2]).resolve(shared).unwrap().is_some();
        assert_eq!([elects(None, true), elects(None, false)], [true, false]);
        assert_eq!([elects(Some(false), true), elects(Some(true), false)], [false, true]);
        for bad in [[10, 10, 2], [15, 2, 2], [15, 10, 0]] {
            assert!(flags(None, bad).resolve(true).is_err(), "{bad:?}");
        }
    }
}
