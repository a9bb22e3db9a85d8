//! Attaching to the streams of a running container.

use std::io;

use super::Container;
use super::exec::{pipes, running};
use crate::shim::protocol::{Call, Streams};
use crate::stdio::{self, ProcessStreams, TerminalIo};

/// Copies of the container's output from now on, and its input if it has one.
///
/// # Errors
/// [`cri::Error::Failed`] when the container does not run.
pub async fn attach(container: &Container, wanted: Streams) -> cri::Result<ProcessStreams> {
    let shim = running(container)?;
    let failed = |error: io::Error| cri::Error::Failed(format!("attach: {error}"));
    let tty = container.record.spec.process.tty;
    // A terminal has one output.
    let output = Streams { stdin: false, stderr: wanted.stderr && !tty, ..wanted };
    let (mut streams, files) = pipes(output).map_err(failed)?;
    let call =
        Call::Attach { container: container.id().to_owned(), streams: Streams { stdin: wanted.stdin, ..output } };
    let (_, mut files) = shim.call(call, files).await?;
    let Some(input) = files.pop() else { return Ok(streams) };
    if tty {
        let terminal = TerminalIo::new(input).map_err(failed)?;
        streams.stdin = wanted.stdin.then(|| Box::new(terminal.clone()) as stdio::Writer);
        streams.terminal = Some(terminal);
    } else {
        streams.stdin = Some(stdio::writer(input).map_err(failed)?);
    }
    Ok(streams)
}
