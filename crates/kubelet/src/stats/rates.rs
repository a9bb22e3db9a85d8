//! Rates: counters read now against those that the reader before got.

use std::collections::HashMap;

use jiff::{SignedDuration, Timestamp};

use super::summary::{CpuStats, Summary};

/// Readings closer than this tell nothing; the rate known before stands.
const MIN_WINDOW: SignedDuration = SignedDuration::from_secs(1);
/// Older readings tell nothing about now.
const MAX_WINDOW: SignedDuration = SignedDuration::from_mins(5);

/// The last readings, by what was read.
#[derive(Debug, Default)]
pub(super) struct Rates {
    readings: HashMap<String, Reading>,
}

#[derive(Debug, Clone, Copy)]
struct Reading {
    at: Timestamp,
    cpu_nanoseconds: u64,
    nano_cores: Option<u64>,
}

impl Rates {
    /// Fills in the rates of a summary and keeps its counters for the next one. What is gone is forgotten.
    pub(super) fn fill(&mut self, summary: &mut Summary) {
        let before = std::mem::take(&mut self.readings);
        let mut take = |key: String, cpu: &mut Option<CpuStats>| {
            let Some(cpu) = cpu else { return };
            let Some(reading) = next(before.get(&key), cpu) else { return };
            cpu.usage_nano_cores = reading.nano_cores;
            self.readings.insert(key, reading);
        };
        take(String::new(), &mut summary.node.compute.cpu);
        for container in &mut summary.node.system_containers {
            take(container.name.clone(), &mut container.compute.cpu);
        }
        for pod in &mut summary.pods {
            take(pod.pod_ref.uid.clone(), &mut pod.compute.cpu);
            for container in &mut pod.containers {
                take(container.identity.id.clone(), &mut container.compute.cpu);
            }
        }
    }
}

fn next(before: Option<&Reading>, cpu: &CpuStats) -> Option<Reading> {
    let cpu_nanoseconds = cpu.usage_core_nano_seconds?;
    let fresh = Reading { at: cpu.time, cpu_nanoseconds, nano_cores: cpu.usage_nano_cores };
    let Some(before) = before else { return Some(fresh) };
    let window = cpu.time.duration_since(before.at);
    if window < MIN_WINDOW {
        return Some(*before);
    }
    let spent = cpu_nanoseconds.checked_sub(before.cpu_nanoseconds).filter(|_| window <= MAX_WINDOW);
    let rate = spent
        .zip(u128::try_from(window.as_nanos()).ok())
        .map(|(spent, window)| u64::try_from(u128::from(spent) * 1_000_000_000 / window).unwrap_or(u64::MAX));
    Some(Reading { nano_cores: rate.or(fresh.nano_cores), ..fresh })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::at;

    fn cpu(millis: i64, cpu_millis: u64) -> CpuStats {
        let time = at(0) + SignedDuration::from_millis(millis);
        CpuStats { time, usage_nano_cores: None, usage_core_nano_seconds: Some(cpu_millis * 1_000_000) }
    }

    #[test]
    fn a_rate_is_between_two_readings_that_are_neither_close_nor_far() {
        let mut summary = Summary::default();
        let mut rates = Rates::default();
        // Time and CPU time in milliseconds, and the rate in thousandths of a core.
        let readings = [
            (0, 0, None),
            (500, 400, None),
            (10_000, 5_000, Some(500)),
            (10_100, 5_100, Some(500)),
            (20_000, 5_000, Some(0)),
            (30_000, 1_000, None),
            (900_000, 90_000, None),
        ];
        for (millis, cpu_millis, expected) in readings {
            summary.node.compute.cpu = Some(cpu(millis, cpu_millis));
            rates.fill(&mut summary);
            let rate = summary.node.compute.cpu.and_then(|cpu| cpu.usage_nano_cores).map(|rate| rate / 1_000_000);
            assert_eq!(rate, expected, "at {millis}");
        }
    }
}
