//! Waiting in tokio until a descriptor can be read or written.

use std::io;
use std::os::fd::OwnedFd;

use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// Registers a descriptor with the current tokio runtime. It must be non-blocking. It is closed when the value is dropped.
///
/// # Errors
/// When the kernel cannot poll such a descriptor.
pub fn register(descriptor: OwnedFd) -> io::Result<AsyncFd<OwnedFd>> {
    // SAFETY: an `OwnedFd` names the same open descriptor as long as it lives, which is what registration relies on.
    unsafe { AsyncFd::register(descriptor) }.map_err(io::Error::from)
}

/// Like [`register`], for what else a descriptor can tell, such as urgent news.
///
/// # Errors
/// When the kernel cannot poll such a descriptor.
pub fn register_for(descriptor: OwnedFd, interest: Interest) -> io::Result<AsyncFd<OwnedFd>> {
    // SAFETY: as above.
    unsafe { AsyncFd::register_with_interest(descriptor, interest) }.map_err(io::Error::from)
}
