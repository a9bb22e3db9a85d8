//! How many files this process may have open.

use std::io;
use std::sync::OnceLock;

/// The soft limit there was before [`raise`].
static BEFORE: OnceLock<u64> = OnceLock::new();

/// Raises the soft limit of open files to the hard one, and returns it. The soft limit is low for the sake of programs
/// that count files from zero; this one does not. Children inherit it: see [`before`].
///
/// # Errors
/// When the kernel refuses.
pub fn raise() -> io::Result<u64> {
    let limit = get()?;
    BEFORE.get_or_init(|| limit.rlim_cur);
    set(libc::rlimit { rlim_cur: limit.rlim_max, ..limit })?;
    Ok(limit.rlim_max)
}

/// The soft limit there was before it was raised, if it was: what children shall have.
pub fn before() -> Option<u64> {
    BEFORE.get().copied()
}

/// Sets the soft limit, which is at most the hard one.
///
/// # Errors
/// When the kernel refuses.
pub fn set_soft(files: u64) -> io::Result<()> {
    let limit = get()?;
    set(libc::rlimit { rlim_cur: files.min(limit.rlim_max), ..limit })
}

fn get() -> io::Result<libc::rlimit> {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: the kernel writes one `rlimit` where there is room for one.
    if unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut limit) } != 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(limit)
}

fn set(limit: libc::rlimit) -> io::Result<()> {
    // SAFETY: the kernel reads one `rlimit` from where there is one.
    if unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &raw const limit) } != 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_soft_limit_becomes_the_hard_one_and_is_remembered() {
        let old = get().unwrap();
        assert_eq!(raise().unwrap(), old.rlim_max);
        assert_eq!(get().unwrap().rlim_cur, old.rlim_max);
        assert_eq!(before(), Some(old.rlim_cur));
        set_soft(old.rlim_cur).unwrap();
        assert_eq!(get().unwrap().rlim_cur, old.rlim_cur);
    }
}
