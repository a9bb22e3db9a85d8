//! A connected daemon.

use std::collections::VecDeque;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use linux::socket::{self, Received};

use super::protocol::{Answer, Failure, Message};

/// How many messages wait for a daemon that does not read before it is disconnected; it finds everything on disk.
const MAX_WAITING: usize = 1024;

/// A connection.
#[derive(Debug)]
pub struct Client {
    /// Tells connections apart, also closed ones.
    pub id: u64,
    socket: OwnedFd,
    waiting: VecDeque<(Vec<u8>, Vec<OwnedFd>)>,
}

/// Whom to answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReplyTo {
    /// The connection.
    pub client: u64,
    /// The request's number.
    pub number: u64,
}

/// The outcome of a call, with files that go with it.
pub type Outcome = Result<(Answer, Vec<OwnedFd>), Failure>;

impl Client {
    /// Serves a new connection.
    ///
    /// # Errors
    /// What the kernel says.
    pub fn new(id: u64, socket: OwnedFd) -> io::Result<Self> {
        socket::set_nonblocking(socket.as_fd())?;
        Ok(Self { id, socket, waiting: VecDeque::new() })
    }

    /// The connection.
    pub fn socket(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }

    /// Whether messages wait to be sent.
    pub fn is_behind(&self) -> bool {
        !self.waiting.is_empty()
    }

    /// The next message, or `None` if there is none now.
    ///
    /// # Errors
    /// When the other side is gone.
    pub fn receive(&self) -> io::Result<Option<Received>> {
        match socket::receive(self.socket.as_fd()) {
            Ok(received) if received.message.is_empty() => Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(received) => Ok(Some(received)),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Sends a message now or as soon as the other side reads.
    ///
    /// # Errors
    /// When the other side is gone or has not read for too long.
    pub fn send(&mut self, message: &Message, files: Vec<OwnedFd>) -> io::Result<()> {
        if self.waiting.len() >= MAX_WAITING {
            return Err(io::ErrorKind::TimedOut.into());
        }
        self.waiting.push_back((serde_json::to_vec(message)?, files));
        self.flush()
    }

    /// Sends what waits.
    ///
    /// # Errors
    /// When the other side is gone.
    pub fn flush(&mut self) -> io::Result<()> {
        while let Some((message, files)) = self.waiting.front() {
            let files: Vec<BorrowedFd<'_>> = files.iter().map(AsFd::as_fd).collect();
            match socket::send(self.socket.as_fd(), message, &files) {
                Ok(()) => drop(self.waiting.pop_front()),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}
