use super::*;
use crate::capability::CapabilitySet;

/// Runs a program on a call as the kernel would.
fn verdict(program: &Program, name: &str, arguments: [u64; 6]) -> u32 {
    verdict_of(program, number(name).unwrap(), arguments)
}

fn verdict_of(program: &Program, number: u32, arguments: [u64; 6]) -> u32 {
    let mut data = Vec::new();
    data.extend(number.to_ne_bytes());
    let architecture: u32 = if cfg!(target_arch = "x86_64") { 0xc000_003e } else { 0xc000_00b7 };
    data.extend(architecture.to_ne_bytes());
    data.extend(0u64.to_ne_bytes());
    arguments.iter().for_each(|argument| data.extend(argument.to_ne_bytes()));
    let code: Vec<_> = program.as_bytes().chunks_exact(8).map(decode).collect();
    let (mut at, mut accumulator) = (0usize, 0u32);
    loop {
        let instruction = code[at];
        at += 1;
        let k = instruction.k;
        let branch = |taken: bool| usize::from(if taken { instruction.jt } else { instruction.jf });
        match instruction.code {
            0x20 => accumulator = u32::from_ne_bytes(data[k as usize..][..4].try_into().unwrap()),
            0x54 => accumulator &= k,
            0x05 => at += k as usize,
            0x15 => at += branch(accumulator == k),
            0x25 => at += branch(accumulator > k),
            0x35 => at += branch(accumulator >= k),
            0x06 => return k,
            other => panic!("unexpected instruction {other:#x}"),
        }
    }
}

const ALLOWED: u32 = libc::SECCOMP_RET_ALLOW;

fn errno(number: i32) -> u32 {
    libc::SECCOMP_RET_ERRNO | number as u32
}

#[test]
fn compares_64_bit_arguments() {
    use Comparison::*;
    let big = 0x1_0000_0005;
    for (comparison, value, argument, holds) in [
        (Equal, big, big, true),
        (Equal, big, 5, false),
        (NotEqual, big, big, false),
        (NotEqual, big, 5, true),
        (NotEqual, big, 0x1_0000_0006, true),
        (Less, big, 6, true),
        (Less, big, big, false),
        (Less, big, 0x2_0000_0000, false),
        (LessOrEqual, big, big, true),
        (LessOrEqual, big, big + 1, false),
        (Greater, big, big + 1, true),
        (Greater, big, 0x2_0000_0000, true),
        (Greater, big, u64::from(u32::MAX), false),
        (GreaterOrEqual, big, big, true),
        (GreaterOrEqual, big, big - 1, false),
        (MaskedEqual { mask: 0xf0 }, 0x10, 0x1f, true),
        (MaskedEqual { mask: 0xf0 }, 0x10, 0x2f, false),
        (MaskedEqual { mask: 1 << 40 }, 0, 1 << 40, false),
    ] {
        let mut filter = Filter::new(Action::Errno(1));
        // A second condition before it: both must hold, whatever the jump distances are.
        let first = Condition { argument: 1, comparison: Equal, value: 7 };
        filter.add("read", vec![first, Condition { argument: 0, comparison, value }], Action::Allow);
        let program = compile(&filter);
        let found = verdict(&program, "read", [argument, 7, 0, 0, 0, 0]) == ALLOWED;
        assert_eq!(found, holds, "{argument:#x} {comparison:?} {value:#x}");
        assert_eq!(verdict(&program, "read", [argument, 8, 0, 0, 0, 0]), errno(1));
    }
}

#[test]
fn first_matching_rule_decides() {
    let mut filter = Filter::new(Action::KillProcess);
    let is = |value| vec![Condition { argument: 0, comparison: Comparison::Equal, value }];
    filter.add("close", is(1), Action::Errno(9));
    filter.add("close", is(2), Action::Log);
    filter.add("close", Vec::new(), Action::Allow);
    filter.add("no_such_call", Vec::new(), Action::Allow);
    let program = compile(&filter);
    assert_eq!(verdict(&program, "close", [1, 0, 0, 0, 0, 0]), errno(9));
    assert_eq!(verdict(&program, "close", [2, 0, 0, 0, 0, 0]), libc::SECCOMP_RET_LOG);
    assert_eq!(verdict(&program, "close", [3, 0, 0, 0, 0, 0]), ALLOWED);
    assert_eq!(verdict(&program, "open", [0; 6]), libc::SECCOMP_RET_KILL_PROCESS);
}

#[test]
fn default_profile_allows_daily_work_and_nothing_beyond_the_container() {
    let program = compile(&default_profile::filter(CapabilitySet::container_default()));
    assert!(program.as_bytes().len() / 8 < MAX_INSTRUCTIONS);
    for name in ["read", "execve", "mmap", "futex", "chroot", "setuid", "exit_group", "openat", "accept4"] {
        assert_eq!(verdict(&program, name, [0; 6]), ALLOWED, "{name}");
    }
    for name in ["mount", "bpf", "unshare", "setns", "init_module", "keyctl", "io_uring_setup", "reboot", "swapon"] {
        assert_eq!(verdict(&program, name, [0; 6]), errno(libc::EPERM), "{name}");
    }
    assert_eq!(verdict(&program, "clone", [libc::CLONE_VM as u64, 0, 0, 0, 0, 0]), ALLOWED);
    assert_eq!(verdict(&program, "clone", [libc::CLONE_NEWUSER as u64, 0, 0, 0, 0, 0]), errno(libc::EPERM));
    assert_eq!(verdict(&program, "clone3", [0; 6]), errno(libc::ENOSYS));
    assert_eq!(verdict(&program, "socket", [libc::AF_VSOCK as u64, 0, 0, 0, 0, 0]), errno(libc::EPERM));
    assert_eq!(verdict(&program, "socket", [libc::AF_INET as u64, 0, 0, 0, 0, 0]), ALLOWED);
    assert_eq!(verdict_of(&program, syscalls::HIGHEST + 1, [0; 6]), errno(libc::ENOSYS));
}

#[test]
fn default_profile_widens_with_capabilities() {
    let admin = CapabilitySet::parse(["CAP_SYS_ADMIN"].iter()).unwrap();
    let program = compile(&default_profile::filter(admin));
    for name in ["mount", "clone", "clone3", "setns"] {
        assert_eq!(verdict(&program, name, [u64::MAX, 0, 0, 0, 0, 0]), ALLOWED, "{name}");
    }
    assert_eq!(verdict(&program, "chroot", [0; 6]), errno(libc::EPERM));
}

#[test]
fn programs_survive_a_file() {
    let program = compile(&default_profile::filter(CapabilitySet::container_default()));
    assert_eq!(Program::from_bytes(program.as_bytes().to_vec()).unwrap(), program);
    assert!(Program::from_bytes(vec![0; 7]).is_err());
    assert!(Program::from_bytes(Vec::new()).is_err());
}
