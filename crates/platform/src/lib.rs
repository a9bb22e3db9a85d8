//! Seams and small mechanisms every crate may use; no Kubernetes word appears here.
//!
//! Nothing outside this crate and `linux` reads wall clock or randomness: tests and the simulation pass in their own.

pub mod backoff;
pub mod clock;
pub mod metrics;
pub mod random;
pub mod tasks;
pub mod tls;
