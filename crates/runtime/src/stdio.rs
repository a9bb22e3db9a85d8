//! The daemon's ends of a process's standard streams, for asynchronous use.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use linux::{socket, terminal};
use tokio::io::unix::AsyncFd;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::unix::pipe;

/// Something to read from.
pub type Reader = Box<dyn AsyncRead + Send + Unpin>;
/// Something to write to.
pub type Writer = Box<dyn AsyncWrite + Send + Unpin>;

/// Standard streams of a process, seen from outside.
#[derive(Default)]
pub struct ProcessStreams {
    /// Its input; dropping it ends the input.
    pub stdin: Option<Writer>,
    /// Its output, or all of its terminal's.
    pub stdout: Option<Reader>,
    /// Its errors.
    pub stderr: Option<Reader>,
    /// Its terminal, to be told its size.
    pub terminal: Option<TerminalIo>,
}

/// A pipe for a process to read from: its end and ours.
///
/// # Errors
/// When no more files can be opened.
pub fn input_pipe() -> io::Result<(OwnedFd, Writer)> {
    let (theirs, ours) = io::pipe()?;
    Ok((theirs.into(), writer(ours.into())?))
}

/// A pipe for a process to write to: its end and ours.
///
/// # Errors
/// When no more files can be opened.
pub fn output_pipe() -> io::Result<(OwnedFd, Reader)> {
    let (ours, theirs) = io::pipe()?;
    Ok((theirs.into(), Box::new(pipe::Receiver::from_owned_fd(ours.into())?)))
}

/// Writes to our end of a pipe.
///
/// # Errors
/// When it is no pipe.
pub fn writer(file: OwnedFd) -> io::Result<Writer> {
    Ok(Box::new(pipe::Sender::from_owned_fd(file)?))
}

/// The master of a terminal. Clones share it.
#[derive(Debug, Clone)]
pub struct TerminalIo(Arc<AsyncFd<OwnedFd>>);

impl TerminalIo {
    /// Takes over a terminal's master.
    ///
    /// # Errors
    /// When it cannot be watched.
    pub fn new(master: OwnedFd) -> io::Result<Self> {
        socket::set_nonblocking(master.as_fd())?;
        // An `OwnedFd` keeps its descriptor for life, which is what the successor of this call has its caller promise.
        #[allow(deprecated)]
        let master = linux::readiness::register(master)?;
        Ok(Self(Arc::new(master)))
    }

    /// Tells programs on the terminal how large its window is.
    ///
    /// # Errors
    /// What the kernel says.
    pub fn resize(&self, columns: u16, rows: u16) -> io::Result<()> {
        terminal::resize(self.0.get_ref().as_fd(), columns, rows)
    }
}

impl AsyncRead for TerminalIo {
    fn poll_read(self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        loop {
            let mut guard = ready!(self.0.poll_read_ready(context))?;
            let space = buffer.initialize_unfilled();
            match guard.try_io(|master| rustix::io::read(master.get_ref(), &mut *space).map_err(io::Error::from)) {
                Ok(Ok(length)) => {
                    buffer.advance(length);
                    return Poll::Ready(Ok(()));
                }
                // What a master answers once no program has the terminal open any more.
                Ok(Err(error)) if error.raw_os_error() == Some(libc::EIO) => return Poll::Ready(Ok(())),
                Ok(Err(error)) => return Poll::Ready(Err(error)),
                Err(_would_block) => {}
            }
        }
    }
}

impl AsyncWrite for TerminalIo {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        loop {
            let mut guard = ready!(self.0.poll_write_ready(context))?;
            match guard.try_io(|master| rustix::io::write(master.get_ref(), bytes).map_err(io::Error::from)) {
                Ok(outcome) => return Poll::Ready(outcome),
                Err(_would_block) => {}
            }
        }
    }

    fn poll_flush(self: Pin<&mut Self>, _context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}
