//! Printing numbers, each as soon as it is known.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result};

/// The printed report.
#[derive(Debug)]
pub struct Report;

impl Report {
    /// Says what is measured.
    pub fn start(binary: &Path) -> Result<Self> {
        let size = std::fs::metadata(binary).with_context(|| format!("find {}", binary.display()))?.len();
        let mut report = Self;
        report.line("binary size", mebibytes(size));
        Ok(report)
    }

    /// One number.
    pub fn line(&mut self, name: &str, value: impl std::fmt::Display) {
        println!("{name:<46} {value}");
    }
}

/// Measurements of one kind: durations if nothing else is said.
#[derive(Debug)]
pub struct Samples<T = Duration>(Vec<T>);

impl<T> Default for Samples<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<T: Copy + Ord + Default> Samples<T> {
    /// Adds one.
    pub fn push(&mut self, sample: T) {
        self.0.push(sample);
    }

    /// The sample that this share of all samples does not exceed; zero without samples.
    pub fn quantile(&self, share: f64) -> T {
        let mut sorted = self.0.clone();
        sorted.sort_unstable();
        let rank = (share * sorted.len() as f64).ceil() as usize;
        sorted.get(rank.clamp(1, sorted.len().max(1)) - 1).copied().unwrap_or_default()
    }
}

impl std::fmt::Display for Samples {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let [p50, p99] = [0.5, 0.99].map(|share| milliseconds(self.quantile(share)));
        write!(formatter, "p50 {p50}, p99 {p99}")
    }
}

/// `12.3 ms`.
pub fn milliseconds(duration: Duration) -> String {
    format!("{:.1} ms", duration.as_secs_f64() * 1e3)
}

/// `12.3 MiB`.
pub fn mebibytes(bytes: u64) -> String {
    format!("{:.1} MiB", bytes as f64 / f64::from(1 << 20))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_samples() {
        let mut samples = Samples::<Duration>::default();
        assert_eq!(samples.quantile(0.5), Duration::ZERO);
        (1..=100).rev().for_each(|n| samples.push(Duration::from_millis(n)));
        for (share, expected) in [(0.0, 1), (0.5, 50), (0.99, 99), (1.0, 100)] {
            assert_eq!(samples.quantile(share), Duration::from_millis(expected), "{share}");
        }
        assert_eq!(samples.to_string(), "p50 50.0 ms, p99 99.0 ms");
    }
}
