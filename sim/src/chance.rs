//! Randomness and time that follow from the seed.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use platform::clock::Clock;
use platform::random::Random;
use testkit::dice::Dice;
use tokio::time::Instant;

/// When every simulation begins.
pub const NEW_YEAR: Timestamp = Timestamp::constant(1_767_225_600, 0);

/// Identifiers from a seed.
#[derive(Debug)]
pub struct Seeded(Mutex<Dice>);

impl Seeded {
    /// The same identifiers in the same order for the same seed.
    pub fn new(seed: u64) -> Self {
        Self(Mutex::new(Dice::new(seed)))
    }
}

impl Random for Seeded {
    fn uuid(&self) -> String {
        let (high, low) = (self.bits(), self.bits());
        let [a, b, c] = [high >> 32, (high >> 16) & 0xffff, high & 0xfff];
        format!("{a:08x}-{b:04x}-4{c:03x}-8{:03x}-{:012x}", (low >> 48) & 0xfff, low & 0xffff_ffff_ffff)
    }

    fn bits(&self) -> u64 {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).bits()
    }
}

/// A clock that moves with tokio's, which only moves when everybody waits.
#[derive(Debug, Clone, Copy)]
pub struct PausedClock {
    started: Instant,
}

impl PausedClock {
    /// It is [`NEW_YEAR`].
    pub fn start() -> Self {
        Self { started: Instant::now() }
    }

    /// How long the simulation has run.
    pub fn elapsed(&self) -> Duration {
        self.started.elapsed()
    }
}

impl Clock for PausedClock {
    fn now(&self) -> Timestamp {
        NEW_YEAR + self.elapsed()
    }
}
