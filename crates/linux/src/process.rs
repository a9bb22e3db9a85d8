//! Processes: creating them in namespaces, replacing them by a program, signalling and reaping them.

#[cfg(test)]
mod tests;

use std::convert::Infallible;
use std::ffi::{CStr, CString};
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::ptr;

use rustix::process::{Pid, Signal, WaitOptions};

use crate::namespace::Namespaces;

/// The kernel's flag; libc's constant has a type too narrow for it.
const CLONE_INTO_CGROUP: u64 = 0x2_0000_0000;

/// How a child is to be created.
#[derive(Debug, Default)]
pub struct CloneRequest<'a> {
    /// New namespaces the child starts in.
    pub namespaces: Namespaces,
    /// Version 2 cgroup the child starts in.
    pub cgroup: Option<BorrowedFd<'a>>,
}

/// A child of this process. Dropping it neither ends nor reaps the process.
#[derive(Debug)]
pub struct Child {
    /// Its process id in our PID namespace; it stays taken until we reap it.
    pub pid: i32,
    /// A handle that never names another process; readable when the child has exited.
    pub pidfd: OwnedFd,
}

/// How a process ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExitStatus {
    /// It exited with this code.
    Code(i32),
    /// A signal ended it.
    Signal(i32),
}

impl ExitStatus {
    /// One number as shells and container runtimes report it: 128 plus the signal.
    pub fn code(self) -> i32 {
        match self {
            Self::Code(code) => code,
            Self::Signal(signal) => 128 + signal,
        }
    }
}

/// Creates a child that runs `body` on a copy of this process's memory. The child starts with default signal handlers
/// and an empty signal mask, and exits with code 70 should `body` panic; it never returns to the caller's stack.
///
/// # Errors
/// `EINVAL` when this process has more than one thread: the copy would hold locks whose owners do not exist in it.
/// Otherwise what `clone3` says.
pub fn clone_child(request: &CloneRequest<'_>, body: impl FnOnce() -> Infallible) -> io::Result<Child> {
    require_single_thread()?;
    let mut pidfd: libc::c_int = -1;
    // SAFETY: an all-zero clone_args is valid: it asks for a plain fork.
    let mut arguments: libc::clone_args = unsafe { std::mem::zeroed() };
    arguments.flags = u64::from(request.namespaces.bits()) | libc::CLONE_PIDFD as u64;
    arguments.pidfd = ptr::from_mut(&mut pidfd) as u64;
    arguments.exit_signal = libc::SIGCHLD as u64;
    if let Some(cgroup) = request.cgroup {
        arguments.flags |= CLONE_INTO_CGROUP;
        arguments.cgroup = cgroup.as_raw_fd() as u64;
    }
    // SAFETY: without CLONE_VM the child gets its own copy of all memory, and with one thread no lock is held in it by
    // anyone but the calling code; `arguments` outlives the call.
    let pid = unsafe { libc::syscall(libc::SYS_clone3, &raw const arguments, size_of::<libc::clone_args>()) };
    match pid {
        -1 => Err(io::Error::last_os_error()),
        0 => run_child(body),
        // SAFETY: the kernel stored a new descriptor there, which nobody else owns.
        pid => Ok(Child { pid: pid as i32, pidfd: unsafe { OwnedFd::from_raw_fd(pidfd) } }),
    }
}

fn run_child(body: impl FnOnce() -> Infallible) -> ! {
    reset_signals();
    let body = std::panic::AssertUnwindSafe(body);
    let _ = std::panic::catch_unwind(|| match { body }.0() {});
    exit_now(70)
}

/// `unshare(CLONE_THREAD)` changes nothing in a process of one thread and fails in any other.
fn require_single_thread() -> io::Result<()> {
    // SAFETY: takes no pointers and, where it succeeds, has no effect.
    check(unsafe { libc::unshare(libc::CLONE_THREAD) }).map(drop)
}

/// Default action for every signal, none blocked: what a program expects to start with.
fn reset_signals() {
    // SAFETY: both structures are plain data for which zero (SIG_DFL, the empty set) is valid; the calls only read them.
    unsafe {
        let default: libc::sigaction = std::mem::zeroed();
        for signal in 1..=64 {
            libc::sigaction(signal, &raw const default, ptr::null_mut());
        }
        let mut empty: libc::sigset_t = std::mem::zeroed();
        libc::sigemptyset(&raw mut empty);
        libc::sigprocmask(libc::SIG_SETMASK, &raw const empty, ptr::null_mut());
    }
}

/// Ends the process at once, without running destructors or flushing anything of a copied parent.
pub fn exit_now(code: i32) -> ! {
    // SAFETY: always allowed.
    unsafe { libc::_exit(code) }
}

/// Detaches from whoever started this process: continues in a child that leads its own session, which init adopts,
/// while the original exits with 0.
///
/// # Errors
/// As [`clone_child`].
pub fn daemonize() -> io::Result<()> {
    require_single_thread()?;
    // SAFETY: one thread, as checked.
    match check(unsafe { libc::fork() })? {
        0 => rustix::process::setsid().map(drop).map_err(Into::into),
        _ => exit_now(0),
    }
}

/// Makes this process the leader of a new session without a terminal.
///
/// # Errors
/// `EPERM` when it leads a group already.
pub fn lead_session() -> io::Result<()> {
    rustix::process::setsid().map(drop).map_err(Into::into)
}

/// Replaces this process by a program. Returns only on failure.
pub fn exec(program: &CStr, arguments: &[CString], environment: &[CString]) -> io::Error {
    let (arguments, environment) = (pointers(arguments), pointers(environment));
    // SAFETY: both arrays end with a null pointer and, like the path, outlive the call.
    unsafe { libc::execve(program.as_ptr(), arguments.as_ptr(), environment.as_ptr()) };
    io::Error::last_os_error()
}

/// Replaces this process by the program in an open file. Returns only on failure.
pub fn exec_file(file: BorrowedFd<'_>, arguments: &[CString], environment: &[CString]) -> io::Error {
    let (arguments, environment) = (pointers(arguments), pointers(environment));
    // SAFETY: both arrays end with a null pointer and outlive the call; the path is a literal.
    unsafe {
        libc::syscall(
            libc::SYS_execveat,
            file.as_raw_fd(),
            c"".as_ptr(),
            arguments.as_ptr(),
            environment.as_ptr(),
            libc::AT_EMPTY_PATH,
        )
    };
    io::Error::last_os_error()
}

fn pointers(strings: &[CString]) -> Vec<*const libc::c_char> {
    strings.iter().map(|string| string.as_ptr()).chain([ptr::null()]).collect()
}

/// Sends a signal to a process. Use [`signal`] where the process could have been reaped by someone else in between.
///
/// # Errors
/// `ESRCH` when there is no such process, `EINVAL` for a number that is no signal or no single process.
pub fn kill(pid: i32, signal: i32) -> io::Result<()> {
    if pid <= 0 {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    // SAFETY: takes no pointers.
    check(unsafe { libc::kill(pid, signal) }).map(drop)
}

/// Sends a signal to the process behind a pidfd.
///
/// # Errors
/// `ESRCH` when it has ended, `EINVAL` for a number that is no signal.
pub fn signal(pidfd: BorrowedFd<'_>, signal: i32) -> io::Result<()> {
    // SAFETY: the only pointer, the siginfo, is null, which asks for the default.
    let sent = unsafe {
        libc::syscall(libc::SYS_pidfd_send_signal, pidfd.as_raw_fd(), signal, ptr::null::<libc::siginfo_t>(), 0)
    };
    check(sent as i32).map(drop)
}

/// A handle on a process by its id.
///
/// # Errors
/// `ESRCH` when there is none.
pub fn open(pid: i32) -> io::Result<OwnedFd> {
    let pid = Pid::from_raw(pid).ok_or(io::ErrorKind::InvalidInput)?;
    rustix::process::pidfd_open(pid, rustix::process::PidfdFlags::empty()).map_err(Into::into)
}

/// Reaps one exited child, if there is one; never waits.
///
/// # Errors
/// What the kernel says, except "no children", which is `None`.
pub fn reap() -> io::Result<Option<(i32, ExitStatus)>> {
    match rustix::process::wait(WaitOptions::NOHANG) {
        Ok(Some((pid, status))) => Ok(Some((pid.as_raw_nonzero().get(), exit_status(status)))),
        Ok(None) | Err(rustix::io::Errno::CHILD) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// Waits for one child to end and reaps it.
///
/// # Errors
/// `ECHILD` when it is not our child.
pub fn wait(pid: i32) -> io::Result<ExitStatus> {
    let pid = Pid::from_raw(pid).ok_or(io::ErrorKind::InvalidInput)?;
    loop {
        match rustix::process::waitpid(Some(pid), WaitOptions::empty()) {
            Ok(Some((_, status))) => return Ok(exit_status(status)),
            Ok(None) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
}

fn exit_status(status: rustix::process::WaitStatus) -> ExitStatus {
    match status.terminating_signal() {
        Some(signal) => ExitStatus::Signal(signal),
        None => ExitStatus::Code(status.exit_status().unwrap_or_default()),
    }
}

/// Makes orphaned descendants children of this process instead of init's.
///
/// # Errors
/// What the kernel says.
pub fn become_subreaper() -> io::Result<()> {
    rustix::process::set_child_subreaper(Some(rustix::process::getpid())).map_err(Into::into)
}

/// The signal this process gets when its parent ends. Forgotten when its user or group changes.
///
/// # Errors
/// What the kernel says.
pub fn die_with_parent() -> io::Result<()> {
    rustix::process::set_parent_process_death_signal(Some(Signal::KILL)).map_err(Into::into)
}

/// The name `ps` and `pstree` show; cut to 15 bytes.
///
/// # Errors
/// What the kernel says.
pub fn set_name(name: &CStr) -> io::Result<()> {
    rustix::thread::set_name(name).map_err(Into::into)
}

/// Forbids this process and its children to gain privileges by executing programs.
///
/// # Errors
/// What the kernel says.
pub fn forbid_new_privileges() -> io::Result<()> {
    rustix::thread::set_no_new_privs(true).map_err(Into::into)
}

/// Turns the return value of a libc call into a result.
pub(crate) fn check(returned: libc::c_int) -> io::Result<libc::c_int> {
    if returned == -1 { Err(io::Error::last_os_error()) } else { Ok(returned) }
}
