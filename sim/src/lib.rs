//! A whole cluster from one seed: the real API server over an in-memory store, the real scheduler and controllers, and
//! nodes without containers, in one thread under a clock that only moves when everybody waits.
//!
//! **Flow**: the seed makes a [`scenario`] and throws the dice for everything after: what users do ([`workload`]), what
//! the [`network`] does to requests and watches, what Pods do ([`kubelet`]), which parts of the [`cluster`] end and when.
//! After so many acts all faults cease, everything runs, and the cluster has to come to rest.
//!
//! **Judgement**: whatever is committed to the store is taken into the [`world`] and held against the [`invariants`],
//! most of which speak of every commit, others of the cluster at rest.
//!
//! **Guarantees**: the same seed makes the same commits at the same times. Hash maps and `select!` are the only chance
//! that is not thrown here; the test binary takes it away, and plays every seed in a process of its own.

pub mod chance;
pub mod cluster;
pub mod invariants;
pub mod kubelet;
pub mod network;
pub mod scenario;
pub mod simulation;
pub mod workload;
pub mod world;

pub use simulation::{Outcome, simulate};
