//! Waiting for a log to grow.

use std::io;
use std::path::Path;

use rustix::fs::inotify;
use tokio::net::unix::pipe;

/// Wakes when something in a directory is written, created or renamed.
pub(super) struct DirectoryWatch {
    /// An inotify descriptor: polled and read as a pipe is, which is all that tokio does with one.
    events: pipe::Receiver,
}

impl DirectoryWatch {
    /// Watches a directory from now on.
    pub(super) fn new(directory: &Path) -> io::Result<Self> {
        let descriptor = inotify::init(inotify::CreateFlags::CLOEXEC | inotify::CreateFlags::NONBLOCK)?;
        let wanted = inotify::WatchFlags::MODIFY | inotify::WatchFlags::CREATE | inotify::WatchFlags::MOVED_TO;
        inotify::add_watch(&descriptor, directory, wanted)?;
        Ok(Self { events: pipe::Receiver::from_owned_fd_unchecked(descriptor)? })
    }

    /// Waits for a change since the last call; what changed is found out by looking.
    pub(super) async fn changed(&self) -> io::Result<()> {
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
