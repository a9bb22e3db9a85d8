//! Signals: their names, and receiving them as messages.

#[cfg(test)]
mod tests;

use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

use crate::process::check;

/// Signals of Linux in the order of their numbers, from 1.
const NAMES: [&str; 31] = [
    "HUP", "INT", "QUIT", "ILL", "TRAP", "ABRT", "BUS", "FPE", "KILL", "USR1", "SEGV", "USR2", "PIPE", "ALRM", "TERM",
    "STKFLT", "CHLD", "CONT", "STOP", "TSTP", "TTIN", "TTOU", "URG", "XCPU", "XFSZ", "VTALRM", "PROF", "WINCH", "IO",
    "PWR", "SYS",
];
const RTMIN: i32 = 34;
const RTMAX: i32 = 64;

/// The number of a signal written as `SIGTERM`, `TERM`, `15`, `SIGRTMIN+3` or `RTMAX-1`.
pub fn number(text: &str) -> Option<i32> {
    if let Ok(number) = text.parse::<i32>() {
        return (1..=RTMAX).contains(&number).then_some(number);
    }
    let upper = text.to_ascii_uppercase();
    let name = upper.strip_prefix("SIG").unwrap_or(&upper);
    if let Some(index) = NAMES.iter().position(|known| *known == name) {
        return Some(index as i32 + 1);
    }
    let offset = |rest: &str, sign: char| match rest {
        "" => Some(0),
        rest => rest.strip_prefix(sign)?.parse::<i32>().ok(),
    };
    let number = match (name.strip_prefix("RTMIN"), name.strip_prefix("RTMAX")) {
        (Some(rest), _) => RTMIN + offset(rest, '+')?,
        (_, Some(rest)) => RTMAX - offset(rest, '-')?,
        _ => return None,
    };
    (RTMIN..=RTMAX).contains(&number).then_some(number)
}

/// The name of a signal, such as `SIGTERM` or `SIGRTMIN+3`.
pub fn name(number: i32) -> Option<String> {
    let index = usize::try_from(number).ok()?.checked_sub(1)?;
    if let Some(name) = NAMES.get(index) {
        return Some(format!("SIG{name}"));
    }
    match number {
        RTMIN => Some("SIGRTMIN".to_owned()),
        RTMAX => Some("SIGRTMAX".to_owned()),
        35..=49 => Some(format!("SIGRTMIN+{}", number - RTMIN)),
        50..=63 => Some(format!("SIGRTMAX-{}", RTMAX - number)),
        _ => None,
    }
}

/// A file that becomes readable when this thread's process gets one of the signals, which no longer act by themselves.
///
/// # Errors
/// `EINVAL` for a number that is no signal.
pub fn receiver(signals: &[i32]) -> io::Result<OwnedFd> {
    // SAFETY: a zeroed set is plain data; the calls below only fill and read it. The new descriptor is nobody else's.
    unsafe {
        let mut set: libc::sigset_t = std::mem::zeroed();
        libc::sigemptyset(&raw mut set);
        for signal in signals {
            check(libc::sigaddset(&raw mut set, *signal))?;
        }
        check(libc::sigprocmask(libc::SIG_BLOCK, &raw const set, std::ptr::null_mut()))?;
        let file = check(libc::signalfd(-1, &raw const set, libc::SFD_CLOEXEC | libc::SFD_NONBLOCK))?;
        Ok(OwnedFd::from_raw_fd(file))
    }
}

/// Takes the next signal from a [`receiver`], if one has come.
///
/// # Errors
/// What the kernel says.
pub fn take(receiver: &OwnedFd) -> io::Result<Option<i32>> {
    // SAFETY: the structure is plain data of the size given, which the kernel fills.
    let (read, info) = unsafe {
        let mut info: libc::signalfd_siginfo = std::mem::zeroed();
        let size = size_of::<libc::signalfd_siginfo>();
        (libc::read(receiver.as_raw_fd(), (&raw mut info).cast(), size), info)
    };
    match read {
        -1 => match io::Error::last_os_error() {
            error if error.kind() == io::ErrorKind::WouldBlock => Ok(None),
            error => Err(error),
        },
        _ => Ok(Some(info.ssi_signo as i32)),
    }
}
