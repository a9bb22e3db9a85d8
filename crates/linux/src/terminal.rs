//! Pseudo-terminals of a particular devpts instance.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::Path;

use rustix::fs::OFlags;
use rustix::pty::OpenptFlags;
use rustix::termios::Winsize;

use crate::process::check;

/// Both ends of a new pseudo-terminal.
#[derive(Debug)]
pub struct Terminal {
    /// The end of whoever shows the terminal.
    pub master: OwnedFd,
    /// The end programs run on.
    pub slave: OwnedFd,
}

/// Opens a terminal of the devpts instance mounted at `devpts`.
///
/// # Errors
/// `ENOENT` when nothing is mounted there, `EIO` when it refuses.
pub fn open(devpts: &Path) -> io::Result<Terminal> {
    use std::os::unix::fs::OpenOptionsExt;
    let custom = (OFlags::NOCTTY | OFlags::NOFOLLOW).bits() as i32;
    let master: OwnedFd = File::options().read(true).write(true).custom_flags(custom).open(devpts.join("ptmx"))?.into();
    rustix::pty::unlockpt(&master)?;
    let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
    let slave = rustix::pty::ioctl_tiocgptpeer(&master, flags)?;
    Ok(Terminal { master, slave })
}

/// Makes the terminal the controlling one of this process, which becomes the leader of a new session.
///
/// # Errors
/// `EPERM` when the process leads a group already or the terminal controls another session.
pub fn take_control(slave: BorrowedFd<'_>) -> io::Result<()> {
    rustix::process::setsid()?;
    rustix::process::ioctl_tiocsctty(slave).map_err(Into::into)
}

/// Tells programs on the terminal how large its window is.
///
/// # Errors
/// When it is no terminal.
pub fn resize(master: BorrowedFd<'_>, columns: u16, rows: u16) -> io::Result<()> {
    let size = Winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
    rustix::termios::tcsetwinsize(master, size).map_err(Into::into)
}

/// Makes a file the standard input, output or error (0, 1, 2) of this process.
///
/// # Errors
/// What the kernel says.
pub fn set_standard(file: BorrowedFd<'_>, number: i32) -> io::Result<()> {
    debug_assert!((0..=2).contains(&number), "only the standard streams may be replaced");
    // SAFETY: takes numbers only; the standard streams are never owned by an `OwnedFd` of this crate.
    check(unsafe { libc::dup2(file.as_fd().as_raw_fd(), number) }).map(drop)
}
