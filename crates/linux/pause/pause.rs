//! The infra container: holds a Pod's namespaces and, as process 1 of a shared PID namespace, lets the kernel reap
//! orphans. It waits for ever in a few pages of memory; only SIGKILL from outside ends it.
//!
//! Compiled apart by the build script, without any library. The assembly is the three system calls it makes.
#![no_std]
#![no_main]

use core::arch::{asm, global_asm};

/// `struct sigaction` of the kernel with the handler SIG_IGN.
#[repr(C)]
struct Ignore {
    handler: usize,
    flags: usize,
    restorer: usize,
    mask: u64,
}

static IGNORE: Ignore = Ignore { handler: 1, flags: 0, restorer: 0, mask: 0 };
static NAME: [u8; 6] = *b"pause\0";

const PR_SET_NAME: usize = 15;
const SIGCHLD: usize = 17;

#[cfg(target_arch = "x86_64")]
mod numbers {
    pub const PRCTL: usize = 157;
    pub const RT_SIGACTION: usize = 13;
    pub const PPOLL: usize = 271;
}
#[cfg(target_arch = "aarch64")]
mod numbers {
    pub const PRCTL: usize = 167;
    pub const RT_SIGACTION: usize = 134;
    pub const PPOLL: usize = 73;
}

#[cfg(target_arch = "x86_64")]
global_asm!(".globl _start", "_start:", "xor ebp, ebp", "and rsp, -16", "call {run}", run = sym run);
#[cfg(target_arch = "aarch64")]
global_asm!(".globl _start", "_start:", "mov x29, xzr", "bl {run}", run = sym run);

extern "C" fn run() -> ! {
    call(numbers::PRCTL, [PR_SET_NAME, NAME.as_ptr() as usize, 0, 0]);
    // Ignoring SIGCHLD makes the kernel reap children by itself.
    call(numbers::RT_SIGACTION, [SIGCHLD, &raw const IGNORE as usize, 0, size_of::<u64>()]);
    loop {
        // Waits on no file, without time limit; a handled signal would end one round.
        call(numbers::PPOLL, [0, 0, 0, 0]);
    }
}

#[cfg(target_arch = "x86_64")]
fn call(number: usize, arguments: [usize; 4]) {
    // SAFETY: the kernel only reads the two statics passed by address; it clobbers rcx, r11 and rax.
    unsafe {
        asm!(
            "syscall",
            inout("rax") number => _,
            in("rdi") arguments[0],
            in("rsi") arguments[1],
            in("rdx") arguments[2],
            in("r10") arguments[3],
            in("r8") 0usize,
            out("rcx") _,
            out("r11") _,
        );
    }
}

#[cfg(target_arch = "aarch64")]
fn call(number: usize, arguments: [usize; 4]) {
    // SAFETY: the kernel only reads the two statics passed by address; it returns in x0.
    unsafe {
        asm!(
            "svc 0",
            in("x8") number,
            inout("x0") arguments[0] => _,
            in("x1") arguments[1],
            in("x2") arguments[2],
            in("x3") arguments[3],
            in("x4") 0usize,
        );
    }
}

#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    loop {}
}
