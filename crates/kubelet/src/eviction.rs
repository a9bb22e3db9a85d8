//! Making room when the node runs short: Pods end before the node does.

mod thresholds;

pub use thresholds::{DEFAULT_HARD, EvictionConfig, Limit, Signal, Threshold, Thresholds};
