//! The kernel's randomness, replaced by a seed's.
//!
//! The standard library asks `getrandom` by a weak symbol for the keys of its hash maps, "to allow interposition"; tokio
//! draws the order of `select!` from such a map. With this symbol in the binary both follow from the seed.

#![allow(unsafe_code)] // a symbol for others to call; no production crate is linked with it

use std::sync::atomic::{AtomicU64, Ordering};

static STATE: AtomicU64 = AtomicU64::new(0);

/// What is asked for from now on follows from the seed.
pub fn seed(seed: u64) {
    STATE.store(seed, Ordering::Relaxed);
}

fn next() -> u8 {
    let state = STATE.fetch_add(0x9E37_79B9_7F4A_7C15, Ordering::Relaxed);
    let mixed = (state ^ (state >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    (mixed >> 56) as u8
}

/// In place of the C library's.
///
/// # Safety
/// `buffer` has room for `length` bytes.
#[unsafe(no_mangle)]
unsafe extern "C" fn getrandom(buffer: *mut u8, length: usize, _flags: u32) -> isize {
    for offset in 0..length {
        // SAFETY: the caller's promise.
        unsafe { buffer.add(offset).write(next()) };
    }
    isize::try_from(length).unwrap_or(isize::MAX)
}
