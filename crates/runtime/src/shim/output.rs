//! One stream of a container's output: from the container into its log and to whoever is attached.

use std::io::{self, Read as _};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use linux::socket;

use super::log::{LineCutter, LogFile, Source};

/// How much is read at a time.
pub const CHUNK: usize = 16 * 1024;

/// A stream of output. While an attached client is slow, nothing more is read: the container waits, as it would on a
/// terminal.
#[derive(Debug)]
pub struct Output {
    /// The container's end, until it has ended.
    file: Option<std::fs::File>,
    cutter: LineCutter,
    sinks: Vec<Sink>,
}

/// An attached client, and what it has still to take.
#[derive(Debug)]
struct Sink {
    file: OwnedFd,
    pending: Vec<u8>,
}

impl Output {
    /// Reads from `file`, which is made non-blocking.
    ///
    /// # Errors
    /// What the kernel says.
    pub fn new(file: OwnedFd, source: Source) -> io::Result<Self> {
        socket::set_nonblocking(file.as_fd())?;
        Ok(Self { file: Some(file.into()), cutter: LineCutter::new(source), sinks: Vec::new() })
    }

    /// Sends a copy of everything from now on to `file`.
    ///
    /// # Errors
    /// What the kernel says.
    pub fn attach(&mut self, file: OwnedFd) -> io::Result<()> {
        socket::set_nonblocking(file.as_fd())?;
        if self.file.is_some() {
            self.sinks.push(Sink { file, pending: Vec::new() });
        }
        Ok(())
    }

    /// The file to read from, unless it has ended or a client is slow.
    pub fn readable(&self) -> Option<BorrowedFd<'_>> {
        let slow = self.sinks.iter().any(|sink| !sink.pending.is_empty());
        self.file.as_ref().filter(|_| !slow).map(AsFd::as_fd)
    }

    /// The clients that have still to take something.
    pub fn writable(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        self.sinks.iter().filter(|sink| !sink.pending.is_empty()).map(|sink| sink.file.as_fd())
    }

    /// Gives slow clients what they missed.
    pub fn flush(&mut self) {
        self.sinks.retain_mut(|sink| write_some(sink.file.as_fd(), &mut sink.pending).is_ok());
        self.release_sinks();
    }

    /// Reads what is there, once. Returns whether there was something.
    pub fn pump(&mut self, buffer: &mut [u8], log: Option<&mut LogFile>, time: i64) -> bool {
        let Some(file) = &mut self.file else { return false };
        let mut lines = Vec::new();
        let more = match file.read(buffer) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return false,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => return true,
            // A terminal whose last program has gone answers EIO.
            Ok(0) | Err(_) => {
                self.cutter.finish(time, &mut lines);
                self.file = None;
                self.release_sinks();
                false
            }
            Ok(length) => {
                self.cutter.push(&buffer[..length], time, &mut lines);
                self.copy(&buffer[..length]);
                true
            }
        };
        if let Some(log) = log
            && let Err(error) = log.append(&lines)
        {
            // The container must not hang on a full disk; what is lost is lost.
            eprintln!("cannot write container log: {error}");
        }
        more
    }

    /// Reads all that is left, now that the container is gone.
    pub fn drain(&mut self, buffer: &mut [u8], mut log: Option<&mut LogFile>, time: i64) {
        while self.pump(buffer, log.as_deref_mut(), time) {}
        let mut lines = Vec::new();
        self.cutter.finish(time, &mut lines);
        self.file = None;
        self.release_sinks();
        if let Some(log) = log
            && let Err(error) = log.append(&lines)
        {
            eprintln!("cannot write container log: {error}");
        }
    }

    /// Whether nothing can come any more and everybody has everything.
    pub fn is_finished(&self) -> bool {
        self.file.is_none() && self.sinks.is_empty()
    }

    fn copy(&mut self, output: &[u8]) {
        self.sinks.retain_mut(|sink| {
            sink.pending.extend_from_slice(output);
            write_some(sink.file.as_fd(), &mut sink.pending).is_ok()
        });
    }

    /// After the end of the stream, clients that have everything see the end, too.
    fn release_sinks(&mut self) {
        if self.file.is_none() {
            self.sinks.retain(|sink| !sink.pending.is_empty());
        }
    }
}

/// Writes as much as the file takes now and keeps the rest.
///
/// # Errors
/// When the other side is gone.
fn write_some(file: BorrowedFd<'_>, pending: &mut Vec<u8>) -> io::Result<()> {
    let mut written = 0;
    while written < pending.len() {
        match rustix::io::write(file, &pending[written..]) {
            Ok(length) => written += length,
            Err(rustix::io::Errno::AGAIN) => break,
            Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
    pending.drain(..written);
    if pending.is_empty() {
        *pending = Vec::new();
    }
    Ok(())
}
