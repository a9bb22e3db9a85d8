//! What a new process says to its shim while it sets itself up, over a socket that closes when it executes its program.

use std::fmt;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use linux::{process, socket};
use serde::{Deserialize, Serialize};

use super::spec::ResolvedUser;

/// One message of a process that sets itself up.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Progress {
    /// Its terminal; the master comes with the message.
    Terminal,
    /// Who it is going to be.
    User(ResolvedUser),
    /// Something that could not be done as asked, without which it goes on.
    Warning(String),
    /// It gives up.
    Failed(String),
}

/// Why a process could not be set up: what was tried, and what the kernel said.
#[derive(Debug, thiserror::Error)]
pub enum SetupError {
    /// A step failed.
    #[error("{act}: {}", describe(source))]
    Step {
        /// What was tried.
        act: String,
        /// What the kernel said.
        source: io::Error,
    },
    /// In words for the user.
    #[error("{0}")]
    Other(String),
}

/// The outcome of a step.
pub type Result<T> = std::result::Result<T, SetupError>;

/// Names what was tried.
pub trait During<T> {
    /// Attaches the act to an error.
    ///
    /// # Errors
    /// The error with its act.
    fn during(self, act: impl fmt::Display) -> Result<T>;
}

impl<T, E: Into<io::Error>> During<T> for std::result::Result<T, E> {
    fn during(self, act: impl fmt::Display) -> Result<T> {
        self.map_err(|source| SetupError::Step { act: act.to_string(), source: source.into() })
    }
}

/// The kernel's words without Rust's error number.
pub fn describe(error: &io::Error) -> String {
    let text = error.to_string();
    let words = text.split(" (os error").next().unwrap_or(&text);
    let mut characters = words.chars();
    characters.next().map_or_else(String::new, |first| first.to_lowercase().chain(characters).collect())
}

/// The process's end of the socket.
#[derive(Debug)]
pub struct Reporter(OwnedFd);

impl Reporter {
    /// Reports on this socket.
    pub fn new(socket: OwnedFd) -> Self {
        Self(socket)
    }

    /// Tells the shim. A shim that is gone takes this process with it anyway.
    pub fn tell(&self, progress: &Progress, files: &[BorrowedFd<'_>]) {
        let message = serde_json::to_vec(progress).expect("plain data");
        let _ = socket::send(self.0.as_fd(), &message, files);
    }

    /// Tells the shim why this process gives up, and ends it.
    pub fn give_up(&self, error: &SetupError) -> ! {
        self.tell(&Progress::Failed(error.to_string()), &[]);
        process::exit_now(128)
    }
}

/// The shim's end: a child that sets itself up.
#[derive(Debug)]
pub struct Birth {
    socket: OwnedFd,
    /// Who it says it is going to be.
    pub user: ResolvedUser,
    /// What it complained about.
    pub warnings: Vec<String>,
    /// Its terminal's master.
    pub terminal: Option<OwnedFd>,
}

/// How far a child is.
#[derive(Debug, PartialEq, Eq)]
pub enum Stage {
    /// It is still setting itself up.
    Unborn,
    /// It executes its program.
    Born,
    /// It gave up, in words for the user.
    Failed(String),
}

impl Birth {
    /// Listens on the shim's end of the socket, which must not block.
    pub fn new(socket: OwnedFd) -> Self {
        Self { socket, user: ResolvedUser::default(), warnings: Vec::new(), terminal: None }
    }

    /// Readable when there is news.
    pub fn socket(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }

    /// Takes in all there is.
    pub fn observe(&mut self) -> Stage {
        loop {
            let mut received = match socket::receive(self.socket.as_fd()) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Stage::Unborn,
                Err(error) => return Stage::Failed(describe(&error)),
                Ok(received) if received.message.is_empty() => return Stage::Born,
                Ok(received) => received,
            };
            match serde_json::from_slice(&received.message) {
                Ok(Progress::Terminal) => self.terminal = received.files.pop(),
                Ok(Progress::User(user)) => self.user = user,
                Ok(Progress::Warning(warning)) => self.warnings.push(warning),
                Ok(Progress::Failed(words)) => return Stage::Failed(words),
                Err(error) => return Stage::Failed(error.to_string()),
            }
        }
    }
}

/// A socket between a shim and a child to be.
///
/// # Errors
/// When no more files can be opened.
pub fn line() -> io::Result<(Birth, Reporter)> {
    let (near, far) = socket::pair()?;
    socket::set_nonblocking(near.as_fd())?;
    Ok((Birth::new(near), Reporter::new(far)))
}
