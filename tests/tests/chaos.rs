//! A handful of rounds of the fault campaign; `make chaos SEED=.. ROUNDS=..` runs as many as one likes.

use std::process::ExitCode;

use anyhow::Result;
use tests::chaos::Campaign;
use tests::{cases, suite};

/// What everybody runs, so that a failure is everybody's.
const SEED: u64 = 1;
const ROUNDS: u32 = 5;

fn main() -> ExitCode {
    suite::run(|| Campaign::from_environment(SEED, ROUNDS), cases![pods_survive_faults], |_| String::new())
}

fn pods_survive_faults(campaign: &Campaign) -> Result<()> {
    campaign.run()
}
