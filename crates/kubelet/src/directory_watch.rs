//! Waiting for what happens in a directory.

use std::io;
use std::path::Path;

use rustix::fs::inotify::{self, WatchFlags};
use tokio::net::unix::pipe;

/// Wakes when something happens in a directory.
pub struct DirectoryWatch {
    /// An inotify descriptor: polled and read as a pipe is, which is all that tokio does with one.
    events: pipe::Receiver,
}

impl DirectoryWatch {
    /// Wakes from now on when a file is written to, created or renamed.
    pub fn of_writes(directory: &Path) -> io::Result<Self> {
        Self::new(directory, WatchFlags::MODIFY | WatchFlags::CREATE | WatchFlags::MOVED_TO)
    }

    /// Wakes from now on when a file is there, is complete or is gone; also when the directory itself goes.
    pub fn of_files(directory: &Path) -> io::Result<Self> {
        let come = WatchFlags::CREATE | WatchFlags::CLOSE_WRITE | WatchFlags::MOVED_TO | WatchFlags::ATTRIB;
        let go = WatchFlags::DELETE | WatchFlags::MOVED_FROM | WatchFlags::DELETE_SELF | WatchFlags::MOVE_SELF;
        Self::new(directory, come | go)
    }

    fn new(directory: &Path, wanted: WatchFlags) -> io::Result<Self> {
        let descriptor = inotify::init(inotify::CreateFlags::CLOEXEC | inotify::CreateFlags::NONBLOCK)?;
        inotify::add_watch(&descriptor, directory, wanted)?;
        Ok(Self { events: pipe::Receiver::from_owned_fd_unchecked(descriptor)? })
    }

    /// Waits for a change since the last call; what changed is found out by looking.
    pub async fn changed(&self) -> io::Result<()> {
        let mut buffer = [0; 4096];
        self.events.readable().await?;
        loop {
            match self.events.try_read(&mut buffer) {
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error),
            }
        }
    }
}
