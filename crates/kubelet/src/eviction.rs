//! Making room when the node runs short: Pods end before the node does.
//!
//! Flow: look at the node ([`look`]: a few files, no walk) every ten seconds and when the kernel says that memory runs
//! short ([`memory_events`]), judge what it is short of ([`judge`]), and only then measure the Pods
//! and choose who makes way ([`rank`]); one Pod at a time, and the next look waits until it is gone. Pods that write more
//! to the node's disk than they may are looked at apart ([`local_storage`]), and only if there are any.

mod judge;
mod local_storage;
mod look;
mod manager;
mod memory_events;
mod message;
mod node_level;
mod rank;
mod thresholds;

pub use manager::EvictionManager;
pub use thresholds::{DEFAULT_HARD, Disks, EvictionConfig, Limit, Signal, Threshold, Thresholds};
