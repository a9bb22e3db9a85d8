//! Counting, and telling what was counted in Prometheus' text format.
//!
//! Counting is a few atomic additions; everything else (names, labels, sums over buckets) happens when somebody asks.

use std::fmt::Write as _;
use std::sync::atomic::{AtomicU64, Ordering};

/// Values sorted into buckets.
#[derive(Debug)]
pub struct Histogram {
    bounds: &'static [f64],
    /// One per bound, and one for what is above all.
    counts: Box<[AtomicU64]>,
    /// The sum, in millionths.
    sum_micros: AtomicU64,
}

impl Histogram {
    /// Without values.
    pub fn new(bounds: &'static [f64]) -> Self {
        let counts = (0..=bounds.len()).map(|_| AtomicU64::new(0)).collect();
        Self { bounds, counts, sum_micros: AtomicU64::new(0) }
    }

    /// How many values there are.
    pub fn count(&self) -> u64 {
        self.counts.iter().map(|count| count.load(Ordering::Relaxed)).sum()
    }

    /// Takes in a value that is not negative.
    pub fn observe(&self, value: f64) {
        let bucket = self.bounds.partition_point(|bound| *bound < value);
        self.counts[bucket].fetch_add(1, Ordering::Relaxed);
        self.sum_micros.fetch_add((value * 1e6) as u64, Ordering::Relaxed);
    }
}

/// What a family of samples is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Only grows.
    Counter,
    /// Any number.
    Gauge,
    /// Buckets.
    Histogram,
}

/// Metrics in Prometheus' text format.
#[derive(Debug, Default)]
pub struct Text(String);

impl Text {
    /// Begins a family. `help` starts with the stability in brackets, where upstream gives one.
    pub fn family(&mut self, name: &str, kind: Kind, help: &str) {
        let kind = match kind {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
            Kind::Histogram => "histogram",
        };
        _ = writeln!(self.0, "# HELP {name} {help}\n# TYPE {name} {kind}");
    }

    /// One sample.
    pub fn sample(&mut self, name: &str, labels: &[(&str, &str)], value: impl std::fmt::Display) {
        self.0.push_str(name);
        self.labels(labels, None);
        _ = writeln!(self.0, " {value}");
    }

    /// The samples of a histogram.
    pub fn histogram(&mut self, name: &str, labels: &[(&str, &str)], histogram: &Histogram) {
        let mut below = 0;
        for (place, count) in histogram.counts.iter().enumerate() {
            below += count.load(Ordering::Relaxed);
            let bound = histogram.bounds.get(place).map_or("+Inf".to_owned(), ToString::to_string);
            _ = write!(self.0, "{name}_bucket");
            self.labels(labels, Some(&bound));
            _ = writeln!(self.0, " {below}");
        }
        let sum = histogram.sum_micros.load(Ordering::Relaxed) as f64 / 1e6;
        _ = write!(self.0, "{name}_sum");
        self.labels(labels, None);
        _ = write!(self.0, " {sum}\n{name}_count");
        self.labels(labels, None);
        _ = writeln!(self.0, " {below}");
    }

    fn labels(&mut self, labels: &[(&str, &str)], bound: Option<&str>) {
        if labels.is_empty() && bound.is_none() {
            return;
        }
        let all = labels.iter().copied().chain(bound.map(|bound| ("le", bound)));
        for (place, (name, value)) in all.enumerate() {
            let before = if place == 0 { '{' } else { ',' };
            let value = value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
            _ = write!(self.0, "{before}{name}=\"{value}\"");
        }
        self.0.push('}');
    }

    /// The whole text.
    pub fn finish(self) -> String {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_text_is_prometheus() {
        let histogram = Histogram::new(&[0.1, 1.0]);
        for value in [0.05, 0.1, 0.5, 7.0] {
            histogram.observe(value);
        }
        let mut text = Text::default();
        text.family("h", Kind::Histogram, "[STABLE] A text.");
        text.histogram("h", &[("verb", "GET")], &histogram);
        text.sample("c", &[("a", "q\"\\\n")], 3);
        text.sample("g", &[], 0.5);
        let expected = "# HELP h [STABLE] A text.\n# TYPE h histogram\n\
                        h_bucket{verb=\"GET\",le=\"0.1\"} 2\nh_bucket{verb=\"GET\",le=\"1\"} 3\n\
                        h_bucket{verb=\"GET\",le=\"+Inf\"} 4\nh_sum{verb=\"GET\"} 7.65\nh_count{verb=\"GET\"} 4\n\
                        c{a=\"q\\\"\\\\\\n\"} 3\ng 0.5\n";
        assert_eq!(text.finish(), expected);
    }
}
