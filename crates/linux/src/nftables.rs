//! nftables rule sets, applied by `nft` in one transaction each.

use std::io::{self, Write};
use std::process::{Command, Stdio};

/// Why a rule set was not applied; nothing of it is in force then.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// There is no `nft` to run.
    #[error("cannot run nft (Debian package nftables)")]
    Missing(#[source] io::Error),
    /// `nft` refused the rule set, in its own words.
    #[error("nft: {0}")]
    Refused(String),
}

/// Applies a script in `nft -f` syntax as one transaction.
///
/// # Errors
/// [`Error`]; nothing has changed then.
pub fn apply(script: &str) -> Result<(), Error> {
    let mut child = Command::new("nft")
        .args(["-f", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(Error::Missing)?;
    let mut stdin = child.stdin.take().expect("stdin is piped");
    let written = stdin.write_all(script.as_bytes());
    drop(stdin);
    let output = child.wait_with_output().map_err(Error::Missing)?;
    if output.status.success() && written.is_ok() {
        return Ok(());
    }
    Err(Error::Refused(String::from_utf8_lossy(&output.stderr).trim().to_owned()))
}

/// Removes a table with all it holds; one that is not there is fine.
///
/// # Errors
/// [`Error`].
pub fn delete_table(name: &str) -> Result<(), Error> {
    apply(&format!("add table inet {name}\ndelete table inet {name}\n"))
}
