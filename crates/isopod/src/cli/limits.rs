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
    /// How long to go on serving after a signal to end, while /readyz fails, so that clients find another server
    #[arg(long, default_value = "0s", value_name = "DURATION", value_parser = duration)]
    pub shutdown_delay_duration: Duration,
    /// Tell requests that come after that to try again (429), for a moment, before the port is closed
    #[arg(long)]
    pub shutdown_send_retry_after: bool,
    /// How often, from 0 to 0.02, a client on HTTP/2 is asked to connect anew after a request, so that clients spread
    /// over several servers
    #[arg(long, default_value_t = 0.0, value_name = "FRACTION", value_parser = goaway_chance)]
    pub goaway_chance: f64,
}

/// The largest fraction that makes sense, which is upstream's.
const MAX_GOAWAY_CHANCE: f64 = 0.02;

fn goaway_chance(text: &str) -> Result<f64, String> {
    let chance: f64 = text.parse().map_err(|_| "not a number".to_owned())?;
    match (0.0..=MAX_GOAWAY_CHANCE).contains(&chance) {
        true => Ok(chance),
        false => Err(format!("must be from 0 to {MAX_GOAWAY_CHANCE}")),
    }
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
            shutdown_delay: self.shutdown_delay_duration,
            shutdown_send_retry_after: self.shutdown_send_retry_after,
            goaway_chance: self.goaway_chance,
        }
    }
}
