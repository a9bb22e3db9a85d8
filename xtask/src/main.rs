//! Chores of the project: `cargo run -p xtask -- <task>`.

mod generate;

use anyhow::Result;
use clap::Parser;

/// Chores of the project.
#[derive(Parser)]
enum Task {
    /// Rewrite the schema tables and definitions from k8s-openapi and xtask/generate/facts.tsv.
    Generate,
}

fn main() -> Result<()> {
    match Task::parse() {
        Task::Generate => generate::run(),
    }
}
