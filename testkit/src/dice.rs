//! Chance, the same on every run from the same seed.

use std::time::Duration;

/// A small generator of numbers.
#[derive(Debug, Clone)]
pub struct Dice(u64);

impl Dice {
    /// From a seed.
    pub fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1)
    }

    /// 64 bits.
    pub fn bits(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    /// A number below `limit`, which is not zero.
    pub fn below(&mut self, limit: usize) -> usize {
        usize::try_from(self.bits() % limit as u64).expect("below the limit")
    }

    /// Whether one of so many cases comes.
    pub fn one_in(&mut self, cases: usize) -> bool {
        self.below(cases) == 0
    }

    /// Whether one of so many cases of a thousand comes.
    pub fn per_mille(&mut self, cases: usize) -> bool {
        self.below(1000) < cases
    }

    /// A time of whole milliseconds, the limit included.
    pub fn up_to(&mut self, limit: Duration) -> Duration {
        Duration::from_millis(self.bits() % (u64::try_from(limit.as_millis()).unwrap_or(u64::MAX - 1) + 1))
    }

    /// A short text, often the same as another.
    pub fn text(&mut self) -> String {
        (*self.choose(&["x", "y", "z"])).to_owned()
    }

    /// One of them.
    pub fn choose<'a, T>(&mut self, from: &'a [T]) -> &'a T {
        &from[self.below(from.len())]
    }
}
