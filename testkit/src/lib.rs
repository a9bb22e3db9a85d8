//! What tests of several crates share.

pub mod fake_api;
