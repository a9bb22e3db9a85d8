//! What tests of several crates share; production crates never depend on it.

pub mod dice;
pub mod fake_api;
pub mod fake_cri;
pub mod fuzz;
pub mod objects;
