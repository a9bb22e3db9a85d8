//! Standard streams of a new process: one end for it, the other for whoever talks to it.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use super::protocol::Streams;

/// What a new process is to have as standard streams.
#[derive(Debug)]
pub enum ChildStdio {
    /// Input, output, error.
    Files(StandardFiles),
    /// A terminal it opens itself, because the terminal must belong to the container.
    Terminal,
}

/// Three open files.
#[derive(Debug)]
pub struct StandardFiles([OwnedFd; 3]);

impl StandardFiles {
    /// The files in the order of their numbers.
    pub fn iter(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        self.0.iter().map(AsFd::as_fd)
    }
}

/// Our ends of a container's pipes.
#[derive(Debug)]
pub struct ParentPipes {
    /// Where its input comes from, if it has any.
    pub stdin: Option<OwnedFd>,
    /// Where its output goes.
    pub stdout: OwnedFd,
    /// Where its errors go.
    pub stderr: OwnedFd,
}

/// New pipes for a container.
///
/// # Errors
/// When no more files can be opened.
pub fn pipes(stdin: bool) -> io::Result<(ChildStdio, ParentPipes)> {
    let (stdout, child_stdout) = io::pipe()?;
    let (stderr, child_stderr) = io::pipe()?;
    let (child_stdin, stdin) = match stdin {
        true => io::pipe().map(|(reader, writer)| (reader.into(), Some(writer.into())))?,
        false => (null()?, None),
    };
    let child = StandardFiles([child_stdin, child_stdout.into(), child_stderr.into()]);
    Ok((ChildStdio::Files(child), ParentPipes { stdin, stdout: stdout.into(), stderr: stderr.into() }))
}

/// Files that came with a request, in the order of their numbers, completed by nothing at all.
///
/// # Errors
/// `InvalidInput` when fewer files came than were announced.
pub fn given(streams: Streams, files: Vec<OwnedFd>) -> io::Result<ChildStdio> {
    let mut files = files.into_iter();
    let mut take = |wanted: bool| match wanted {
        true => files.next().ok_or_else(|| io::ErrorKind::InvalidInput.into()),
        false => null(),
    };
    Ok(ChildStdio::Files(StandardFiles([take(streams.stdin)?, take(streams.stdout)?, take(streams.stderr)?])))
}

fn null() -> io::Result<OwnedFd> {
    File::options().read(true).write(true).open("/dev/null").map(Into::into)
}
