//! Local sockets that keep message boundaries and carry open files.

#[cfg(test)]
mod tests;

use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::Path;

use rustix::fs::{CWD, Mode, OFlags};
use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage,
    SendFlags, SocketAddrUnix, SocketFlags, SocketType,
};

/// The most open files one message carries.
pub const MAX_FILES: usize = 8;

/// A message that was received.
#[derive(Debug, Default)]
pub struct Received {
    /// The message; empty means that the other side is gone.
    pub message: Vec<u8>,
    /// Files that came with it, closed on execution of a program.
    pub files: Vec<OwnedFd>,
}

/// Two connected sockets.
///
/// # Errors
/// When no more files can be opened.
pub fn pair() -> io::Result<(OwnedFd, OwnedFd)> {
    rustix::net::socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None).map_err(Into::into)
}

/// A listening socket at `directory/name` that only its owner may connect to. What was there is replaced.
///
/// # Errors
/// When the directory does not exist or is not writable.
pub fn listen(directory: &Path, name: &str) -> io::Result<OwnedFd> {
    let directory = open_directory(directory)?;
    match rustix::fs::unlinkat(&directory, name, rustix::fs::AtFlags::empty()) {
        Ok(()) | Err(rustix::io::Errno::NOENT) => {}
        Err(error) => return Err(error.into()),
    }
    let socket = new_socket()?;
    rustix::net::bind(&socket, &address(&directory, name)?)?;
    rustix::fs::chmodat(&directory, name, Mode::RUSR | Mode::WUSR, rustix::fs::AtFlags::empty())?;
    rustix::net::listen(&socket, 16)?;
    Ok(socket)
}

/// Connects to the socket at `directory/name`.
///
/// # Errors
/// `ENOENT` when there is none, `ECONNREFUSED` when nobody listens any more.
pub fn connect(directory: &Path, name: &str) -> io::Result<OwnedFd> {
    let directory = open_directory(directory)?;
    let socket = new_socket()?;
    rustix::net::connect(&socket, &address(&directory, name)?)?;
    Ok(socket)
}

/// Takes a connection that is waiting.
///
/// # Errors
/// `EAGAIN` when the listener does not block and nobody waits.
pub fn accept(listener: BorrowedFd<'_>) -> io::Result<OwnedFd> {
    rustix::net::accept_with(listener, SocketFlags::CLOEXEC).map_err(Into::into)
}

/// Makes calls on a socket return `EAGAIN` where they would wait.
///
/// # Errors
/// What the kernel says.
pub fn set_nonblocking(file: BorrowedFd<'_>) -> io::Result<()> {
    let flags = rustix::fs::fcntl_getfl(file)?;
    rustix::fs::fcntl_setfl(file, flags | OFlags::NONBLOCK).map_err(Into::into)
}

/// Sends one message with up to [`MAX_FILES`] open files; the other side gets its own handles on them.
///
/// # Errors
/// `EPIPE` when the other side is gone, `EAGAIN` when its queue is full and the socket does not block.
pub fn send(socket: BorrowedFd<'_>, message: &[u8], files: &[BorrowedFd<'_>]) -> io::Result<()> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MAX_FILES))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    if !files.is_empty() && !control.push(SendAncillaryMessage::ScmRights(files)) {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    rustix::net::sendmsg(socket, &[IoSlice::new(message)], &mut control, SendFlags::NOSIGNAL)?;
    Ok(())
}

/// Receives one message, whatever its length: the kernel's socket buffer bounds it.
///
/// # Errors
/// `EAGAIN` when there is none and the socket does not block.
pub fn receive(socket: BorrowedFd<'_>) -> io::Result<Received> {
    let (_, length) = rustix::net::recv(socket, &mut [0u8; 0][..], RecvFlags::PEEK | RecvFlags::TRUNC)?;
    let mut message = vec![0; length];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MAX_FILES))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let buffers = &mut [IoSliceMut::new(&mut message)];
    let received = rustix::net::recvmsg(socket, buffers, &mut control, RecvFlags::CMSG_CLOEXEC)?;
    let mut files = Vec::new();
    for ancillary in control.drain() {
        if let RecvAncillaryMessage::ScmRights(rights) = ancillary {
            files.extend(rights);
        }
    }
    message.truncate(received.bytes);
    Ok(Received { message, files })
}

fn new_socket() -> io::Result<OwnedFd> {
    rustix::net::socket_with(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None).map_err(Into::into)
}

fn open_directory(path: &Path) -> io::Result<OwnedFd> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    rustix::fs::openat(CWD, path, flags, Mode::empty()).map_err(Into::into)
}

/// An address may have 107 bytes, less than many data directories: go through the open directory.
fn address(directory: &OwnedFd, name: &str) -> io::Result<SocketAddrUnix> {
    SocketAddrUnix::new(format!("/proc/self/fd/{}/{name}", directory.as_fd().as_raw_fd())).map_err(Into::into)
}
