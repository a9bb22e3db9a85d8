//! Chores of the project: `cargo run -p xtask -- <task>`.

mod bench;
mod compare;
mod generate;

use anyhow::Result;
use clap::Parser;

/// Chores of the project.
#[derive(Parser)]
enum Task {
    /// Rewrite the schema tables and definitions from k8s-openapi and xtask/generate/facts.tsv.
    Generate,
    /// Compare what a running server says of itself with a recorded reference, and print the differences.
    Compare(compare::Arguments),
    /// Measure start-up, idle cost, Pod starts and API speed of a release binary, on a cluster of its own.
    Bench(Box<bench::Arguments>),
}

fn main() -> Result<()> {
    match Task::parse() {
        Task::Generate => generate::run(),
        Task::Compare(arguments) => compare::run(&arguments),
        Task::Bench(arguments) => bench::run(&arguments),
    }
}
