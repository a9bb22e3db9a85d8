//! Network namespaces held by file descriptors: one lives as long as a process or an open file is in it.

use std::fs::File;
use std::io;
use std::os::fd::BorrowedFd;

use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

/// A fresh network namespace. A short-lived thread makes it, so the caller stays where it is.
///
/// # Errors
/// When the kernel refuses.
pub fn create() -> io::Result<File> {
    let made = std::thread::spawn(|| {
        // SAFETY: a network namespace is a property of the calling thread, which ends with this closure; nothing else
        // in the process observes it.
        if unsafe { libc::unshare(libc::CLONE_NEWNET) } != 0 {
            return Err(io::Error::last_os_error());
        }
        File::open("/proc/thread-self/ns/net")
    });
    made.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

/// Moves the calling thread into a network namespace. Threads it starts afterwards begin there.
///
/// # Errors
/// When the kernel refuses.
pub fn enter(netns: BorrowedFd<'_>) -> io::Result<()> {
    Ok(move_into_link_name_space(netns, Some(LinkNameSpaceType::Network))?)
}

/// Runs `body` in a network namespace, on a thread of its own that ends with it: the caller stays where it is.
///
/// # Errors
/// When no thread can be started or the kernel refuses.
pub fn run_in<T: Send>(netns: BorrowedFd<'_>, body: impl FnOnce() -> T + Send) -> io::Result<T> {
    std::thread::scope(|scope| {
        let thread = std::thread::Builder::new().spawn_scoped(scope, || enter(netns).map(|()| body()))?;
        thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}
