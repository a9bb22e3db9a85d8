//! What tests of several crates share; production crates never depend on it.

pub mod fake_api;
pub mod fake_cri;
