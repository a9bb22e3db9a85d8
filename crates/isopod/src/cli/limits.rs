//! How much the API server does at a time, under the names that upstream's API server gives the flags.

use std::time::Duration;

use clap::{ArgAction, Args};

use super::kubelet::duration;

/// Limits of the API server.
#[derive(Debug, Clone, Args)]
pub struct Limits {
    /// Requests that only read to serve at a time; with API Priority and Fairness, seats shared out to priority levels
    #[arg(long, default_value_t = 400, value_name = "COUNT")]
    pub max_requests_inflight: usize,
    /// The same for requests that write
    #[arg(long, default_value_t = 200, value_name = "COUNT")]
    pub max_mutating_requests_inflight: usize,
    /// Share those out by FlowSchemas and PriorityLevelConfigurations
    #[arg(long, default_value_t = true, action = ArgAction::Set, num_args = 0..=1, default_missing_value = "true",
        require_equals = true, value_name = "BOOL")]
    pub enable_priority_and_fairness: bool,
    /// The longest a request may take that is neither a watch nor a stream
    #[arg(long, default_value = "60s", value_name = "DURATION", value_parser = duration)]
    pub request_timeout: Duration,
    /// Seconds a watch runs when the client does not say; a random part of the same is added
    #[arg(long, default_value_t = 1800, value_name = "SECONDS")]
    pub min_request_timeout: u64,
}

impl Limits {
    /// In the API server's terms.
    pub fn resolve(&self) -> apiserver::Limits {
        apiserver::Limits {
            max_requests_inflight: self.max_requests_inflight,
            max_mutating_requests_inflight: self.max_mutating_requests_inflight,
            priority_and_fairness: self.enable_priority_and_fairness,
            request_timeout: self.request_timeout,
            min_request_timeout: Duration::from_secs(self.min_request_timeout),
        }
    }
}
