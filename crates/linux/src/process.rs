//! Processes: creating them in namespaces, signalling them, reaping them.

use std::io;

use rustix::process::{Pid, Signal};

/// Sends a signal to a process. Use a pidfd where the process could have been reaped by someone else in between.
///
/// # Errors
/// `ESRCH` when there is no such process, `EINVAL` for a number that is no signal or no process.
pub fn kill(pid: i32, signal: i32) -> io::Result<()> {
    let pid = Pid::from_raw(pid).filter(|pid| pid.as_raw_nonzero().get() > 0).ok_or(io::ErrorKind::InvalidInput)?;
    let signal = Signal::from_named_raw(signal).ok_or(io::ErrorKind::InvalidInput)?;
    rustix::process::kill_process(pid, signal).map_err(Into::into)
}
