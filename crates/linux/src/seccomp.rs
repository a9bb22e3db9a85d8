//! System call filters: a list of rules becomes a BPF program, the program is installed in a process.
//!
//! Written here rather than taken from a crate, because Kubernetes profiles mix actions freely (allow, an error number
//! per call, kill, log), which the filters of available crates cannot say. The program is a value: it is compiled once
//! by the daemon and only loaded where containers start.

mod compile;
pub mod default_profile;
mod syscalls;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::io;

use crate::process::check;

pub use compile::compile;
pub use syscalls::number;

/// What happens to a system call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// It runs.
    Allow,
    /// It runs and is logged by the kernel.
    Log,
    /// It fails with this error number.
    Errno(u16),
    /// The thread gets SIGSYS, which it may handle.
    Trap,
    /// The thread ends.
    KillThread,
    /// The process ends.
    KillProcess,
}

impl Action {
    fn code(self) -> u32 {
        match self {
            Self::Allow => libc::SECCOMP_RET_ALLOW,
            Self::Log => libc::SECCOMP_RET_LOG,
            Self::Errno(number) => libc::SECCOMP_RET_ERRNO | u32::from(number),
            Self::Trap => libc::SECCOMP_RET_TRAP,
            Self::KillThread => libc::SECCOMP_RET_KILL_THREAD,
            Self::KillProcess => libc::SECCOMP_RET_KILL_PROCESS,
        }
    }
}

/// How an argument is compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Comparison {
    /// Equal.
    Equal,
    /// Not equal.
    NotEqual,
    /// Less than.
    Less,
    /// Less than or equal.
    LessOrEqual,
    /// Greater than.
    Greater,
    /// Greater than or equal.
    GreaterOrEqual,
    /// Equal after masking the argument.
    MaskedEqual {
        /// The bits that count.
        mask: u64,
    },
}

/// A condition on one argument, compared as unsigned 64-bit number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Condition {
    /// Index of the argument, 0 to 5.
    pub argument: u8,
    /// How it is compared.
    pub comparison: Comparison,
    /// With what.
    pub value: u64,
}

/// One rule for a system call; it applies when all conditions hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rule {
    /// All must hold; none means always.
    pub conditions: Vec<Condition>,
    /// What happens then.
    pub action: Action,
}

/// Rules by system call; the first that applies decides.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Filter {
    /// What happens to calls no rule applies to.
    pub default: Action,
    /// What happens to calls newer than the table of names, which no profile can speak about.
    pub unknown: Action,
    /// Rules by number.
    pub rules: BTreeMap<u32, Vec<Rule>>,
}

impl Filter {
    /// A filter without rules. Calls too new for the table look unimplemented, unless everything is allowed, so that
    /// programs fall back to older ones.
    pub fn new(default: Action) -> Self {
        let unknown = if matches!(default, Action::Errno(_)) { Action::Errno(libc::ENOSYS as u16) } else { default };
        Self { default, unknown, rules: BTreeMap::new() }
    }

    /// Adds a rule for a call by name. Names this machine's architecture does not have are skipped: profiles list the
    /// calls of all architectures.
    pub fn add(&mut self, name: &str, conditions: Vec<Condition>, action: Action) {
        if let Some(number) = number(name) {
            self.rules.entry(number).or_default().push(Rule { conditions, action });
        }
    }
}

/// A compiled filter: BPF instructions in the kernel's encoding.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Program(Vec<u8>);

const INSTRUCTION_BYTES: usize = size_of::<libc::sock_filter>();
/// The kernel's limit on the length of one program.
const MAX_INSTRUCTIONS: usize = 4096;

impl Program {
    /// The encoded instructions, to be kept in a file.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// Takes encoded instructions back.
    ///
    /// # Errors
    /// `EINVAL` when the length cannot be that of a program.
    pub fn from_bytes(bytes: Vec<u8>) -> io::Result<Self> {
        let whole = bytes.len().is_multiple_of(INSTRUCTION_BYTES);
        if !whole || bytes.is_empty() || bytes.len() / INSTRUCTION_BYTES > MAX_INSTRUCTIONS {
            return Err(io::Error::from_raw_os_error(libc::EINVAL));
        }
        Ok(Self(bytes))
    }

    /// Filters the calling process and all its future children, for good. Needs `CAP_SYS_ADMIN` or
    /// [`forbid_new_privileges`](crate::process::forbid_new_privileges) before.
    ///
    /// # Errors
    /// `EACCES` without either, `EINVAL` when the kernel rejects the program.
    pub fn install(&self) -> io::Result<()> {
        let mut instructions: Vec<libc::sock_filter> = self.0.chunks_exact(INSTRUCTION_BYTES).map(decode).collect();
        let program = libc::sock_fprog { len: instructions.len() as u16, filter: instructions.as_mut_ptr() };
        // SAFETY: `program` points at `len` instructions that outlive the call; the kernel copies and verifies them.
        let outcome = unsafe { libc::syscall(libc::SYS_seccomp, libc::SECCOMP_SET_MODE_FILTER, 0, &raw const program) };
        check(outcome as libc::c_int).map(drop)
    }
}

fn decode(bytes: &[u8]) -> libc::sock_filter {
    libc::sock_filter {
        code: u16::from_ne_bytes([bytes[0], bytes[1]]),
        jt: bytes[2],
        jf: bytes[3],
        k: u32::from_ne_bytes([bytes[4], bytes[5], bytes[6], bytes[7]]),
    }
}

fn encode(instruction: libc::sock_filter) -> [u8; INSTRUCTION_BYTES] {
    let mut bytes = [0; INSTRUCTION_BYTES];
    bytes[..2].copy_from_slice(&instruction.code.to_ne_bytes());
    bytes[2] = instruction.jt;
    bytes[3] = instruction.jf;
    bytes[4..].copy_from_slice(&instruction.k.to_ne_bytes());
    bytes
}
