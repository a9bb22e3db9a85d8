//! How many seats a priority level wanted lately: what borrowing between levels is decided by.

use tokio::time::Instant;

/// The part of the older measure that stays in the smoothed one with each period, as upstream's.
const SMOOTHING: f64 = 0.977;

/// The wish for seats over time.
#[derive(Debug)]
pub struct Demand {
    value: f64,
    since: Instant,
    seconds: f64,
    /// The integrals of the value and of its square.
    sum: f64,
    squares: f64,
    max: f64,
    smoothed: f64,
}

/// The wish over the last period, and what is left of those before.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct DemandStats {
    /// The most that was wanted at any time.
    pub high_watermark: f64,
    /// The average plus one deviation, or what earlier periods make of it if that is more.
    pub smoothed: f64,
}

impl Demand {
    /// Nothing is wanted.
    pub fn new(now: Instant) -> Self {
        Self { value: 0.0, since: now, seconds: 0.0, sum: 0.0, squares: 0.0, max: 0.0, smoothed: 0.0 }
    }

    /// From now on so many seats are wanted.
    pub fn set(&mut self, now: Instant, seats: usize) {
        self.integrate(now);
        self.value = seats as f64;
        self.max = self.max.max(self.value);
    }

    fn integrate(&mut self, now: Instant) {
        let passed = now.saturating_duration_since(self.since).as_secs_f64();
        self.since = now;
        self.seconds += passed;
        self.sum += passed * self.value;
        self.squares += passed * self.value * self.value;
    }

    /// Ends a measurement that lasted `periods` periods and begins the next.
    pub fn take(&mut self, now: Instant, periods: u32) -> DemandStats {
        self.integrate(now);
        let (average, deviation) = if self.seconds > 0.0 {
            let average = self.sum / self.seconds;
            (average, (self.squares / self.seconds - average * average).max(0.0).sqrt())
        } else {
            (self.value, 0.0)
        };
        let envelope = average + deviation;
        let kept = SMOOTHING.powf(f64::from(periods));
        self.smoothed = envelope.max(kept * self.smoothed + (1.0 - kept) * envelope);
        let stats = DemandStats { high_watermark: self.max, smoothed: self.smoothed };
        (self.seconds, self.sum, self.squares, self.max) = (0.0, 0.0, 0.0, self.value);
        stats
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_burst_is_remembered_and_fades() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let mut demand = Demand::new(start);
        demand.set(at(0), 10);
        demand.set(at(5), 0);
        let first = demand.take(at(10), 1);
        assert_eq!((first.high_watermark, first.smoothed), (10.0, 10.0), "average 5, deviation 5");
        let second = demand.take(at(20), 1);
        assert_eq!(second.high_watermark, 0.0);
        assert!((second.smoothed - 9.77).abs() < 1e-9);
        assert!(demand.take(at(1020), 100).smoothed < 1.0);
    }
}
