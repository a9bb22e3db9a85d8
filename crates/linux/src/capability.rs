//! Capabilities: sets of them, and giving up all others.

#[cfg(test)]
mod tests;

use std::io;

use crate::process::check;

macro_rules! capabilities {
    ($($name:ident $text:literal,)*) => {
        /// One capability; the value is the kernel's number.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        #[repr(u8)]
        #[allow(missing_docs)] // the kernel's names, explained in capabilities(7)
        pub enum Capability { $($name),* }

        /// Capabilities in the order of their numbers.
        const NAMES: &[(Capability, &str)] = &[$((Capability::$name, $text)),*];
    };
}

capabilities! {
    Chown "CHOWN",
    DacOverride "DAC_OVERRIDE",
    DacReadSearch "DAC_READ_SEARCH",
    Fowner "FOWNER",
    Fsetid "FSETID",
    Kill "KILL",
    Setgid "SETGID",
    Setuid "SETUID",
    Setpcap "SETPCAP",
    LinuxImmutable "LINUX_IMMUTABLE",
    NetBindService "NET_BIND_SERVICE",
    NetBroadcast "NET_BROADCAST",
    NetAdmin "NET_ADMIN",
    NetRaw "NET_RAW",
    IpcLock "IPC_LOCK",
    IpcOwner "IPC_OWNER",
    SysModule "SYS_MODULE",
    SysRawio "SYS_RAWIO",
    SysChroot "SYS_CHROOT",
    SysPtrace "SYS_PTRACE",
    SysPacct "SYS_PACCT",
    SysAdmin "SYS_ADMIN",
    SysBoot "SYS_BOOT",
    SysNice "SYS_NICE",
    SysResource "SYS_RESOURCE",
    SysTime "SYS_TIME",
    SysTtyConfig "SYS_TTY_CONFIG",
    Mknod "MKNOD",
    Lease "LEASE",
    AuditWrite "AUDIT_WRITE",
    AuditControl "AUDIT_CONTROL",
    Setfcap "SETFCAP",
    MacOverride "MAC_OVERRIDE",
    MacAdmin "MAC_ADMIN",
    Syslog "SYSLOG",
    WakeAlarm "WAKE_ALARM",
    BlockSuspend "BLOCK_SUSPEND",
    AuditRead "AUDIT_READ",
    Perfmon "PERFMON",
    Bpf "BPF",
    CheckpointRestore "CHECKPOINT_RESTORE",
}

/// A set of capabilities.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct CapabilitySet(u64);

/// A name that is no capability.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("unknown capability {0:?}")]
pub struct UnknownCapability(pub String);

impl CapabilitySet {
    /// The set the kernel's bit mask describes.
    pub const fn from_bits(bits: u64) -> Self {
        Self(bits)
    }

    /// The kernel's bit mask.
    pub const fn bits(self) -> u64 {
        self.0
    }

    /// Every capability.
    pub const fn all() -> Self {
        Self((1 << NAMES.len()) - 1)
    }

    /// What a container has that asks for nothing: enough to run ordinary images as root, nothing that reaches the host.
    pub fn container_default() -> Self {
        use Capability::*;
        [
            Chown,
            DacOverride,
            Fsetid,
            Fowner,
            Mknod,
            NetRaw,
            Setgid,
            Setuid,
            Setfcap,
            Setpcap,
            NetBindService,
            SysChroot,
            Kill,
            AuditWrite,
        ]
        .into_iter()
        .fold(Self::default(), Self::with)
    }

    /// The set with one more.
    #[must_use]
    pub const fn with(self, capability: Capability) -> Self {
        Self(self.0 | 1 << capability as u8)
    }

    /// Whether the capability is in the set.
    pub const fn contains(self, capability: Capability) -> bool {
        self.0 & 1 << capability as u8 != 0
    }

    /// What is in either.
    #[must_use]
    pub const fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// What is in both.
    #[must_use]
    pub const fn intersection(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    /// What is not in `other`.
    #[must_use]
    pub const fn difference(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    /// Reads names such as `NET_ADMIN`, `CAP_NET_ADMIN` or `ALL`, in any case.
    ///
    /// # Errors
    /// The first name that is none.
    pub fn parse<I: IntoIterator<Item = S>, S: AsRef<str>>(names: I) -> Result<Self, UnknownCapability> {
        names.into_iter().try_fold(Self::default(), |set, name| {
            let upper = name.as_ref().to_ascii_uppercase();
            let short = upper.strip_prefix("CAP_").unwrap_or(&upper);
            if short == "ALL" {
                return Ok(set.union(Self::all()));
            }
            let found = NAMES.iter().find(|(_, text)| *text == short);
            found.map(|(capability, _)| set.with(*capability)).ok_or_else(|| UnknownCapability(name.as_ref().into()))
        })
    }

    /// The base set with some added and some dropped. Adding wins over dropping the same by name, dropping `ALL` leaves
    /// just the added, adding `ALL` leaves all but the dropped.
    ///
    /// # Errors
    /// The first name that is no capability.
    pub fn adjusted<S: AsRef<str>>(self, add: &[S], drop: &[S]) -> Result<Self, UnknownCapability> {
        let all = |names: &[S]| names.iter().any(|name| name.as_ref().eq_ignore_ascii_case("ALL"));
        let named = |names: &[S]| Self::parse(names.iter().filter(|name| !name.as_ref().eq_ignore_ascii_case("ALL")));
        let base = if all(add) { Self::all() } else { self };
        let base = if all(drop) { Self::default() } else { base };
        Ok(if all(add) {
            base.union(named(add)?).difference(named(drop)?)
        } else {
            base.difference(named(drop)?).union(named(add)?)
        })
    }

    /// What this process could pass on at most.
    ///
    /// # Errors
    /// What the kernel says.
    pub fn bounding() -> io::Result<Self> {
        // SAFETY: `prctl` with this operation takes numbers only.
        let in_bounding = |number: usize| unsafe { libc::prctl(libc::PR_CAPBSET_READ, number, 0, 0, 0) } == 1;
        Ok(Self((0..NAMES.len()).filter(|number| in_bounding(*number)).fold(0, |bits, number| bits | 1 << number)))
    }
}

/// Takes every capability outside `keep` out of the bounding set: no program can gain it any more.
///
/// # Errors
/// `EPERM` without `CAP_SETPCAP`.
pub fn limit_bounding(keep: CapabilitySet) -> io::Result<()> {
    let excess = CapabilitySet::bounding()?.difference(keep);
    for number in (0..NAMES.len()).filter(|number| excess.0 & 1 << number != 0) {
        // SAFETY: `prctl` with this operation takes numbers only.
        check(unsafe { libc::prctl(libc::PR_CAPBSET_DROP, number, 0, 0, 0) })?;
    }
    Ok(())
}

/// Lets permitted capabilities survive the change from user 0 to another, until the next program is executed.
///
/// # Errors
/// What the kernel says.
pub fn keep_over_user_change() -> io::Result<()> {
    rustix::thread::set_keep_capabilities(true).map_err(Into::into)
}

/// Leaves this process with exactly `set` as effective and permitted, and nothing to inherit. A program executed by a
/// user other than 0 starts without any.
///
/// # Errors
/// `EPERM` when `set` has some this process lacks.
pub fn set(set: CapabilitySet) -> io::Result<()> {
    use rustix::thread::{CapabilitySet as Bits, CapabilitySets};
    let effective = Bits::from_bits_retain(set.0);
    rustix::thread::set_capabilities(
        None,
        CapabilitySets { effective, permitted: effective, inheritable: Bits::empty() },
    )
    .map_err(Into::into)
}
