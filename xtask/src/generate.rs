//! `cargo run -p xtask -- generate`: rewrites the schema tables and definitions.
//!
//! The generator is a workspace of its own in `xtask/generate`, so that the k8s-openapi feature it needs never reaches a
//! build of ours.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};

/// Builds and runs the generator on this checkout.
pub fn run() -> Result<()> {
    let xtask = Path::new(env!("CARGO_MANIFEST_DIR"));
    let root = xtask.parent().context("xtask stands in the root of the checkout")?;
    let status = Command::new(env!("CARGO"))
        .args(["run", "--locked", "--manifest-path"])
        .arg(xtask.join("generate/Cargo.toml"))
        .args(["--target-dir".as_ref(), root.join("target/generate").as_os_str()])
        .arg("--")
        .arg(root)
        .status()
        .context("run the generator")?;
    ensure!(status.success(), "the generator failed: {status}");
    Ok(())
}
