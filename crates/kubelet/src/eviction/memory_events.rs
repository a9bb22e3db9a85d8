//! The kernel's word that memory runs short, so that nobody has to keep looking.

use std::time::Duration;

use futures::StreamExt as _;
use futures::stream::FuturesUnordered;
use linux::cgroup::MemoryEvent;
use tracing::debug;

use super::judge::Observations;
use super::{Signal, Threshold};
use crate::context::NodeContext;

/// Nobody fills memory faster, as far as looking in time goes.
const BYTES_PER_SECOND: i64 = 1 << 30;
/// Where the kernel does not tell exactly, the node is looked at no more often than this.
const SHORTEST_LOOK: Duration = Duration::from_secs(1);

/// How far memory is from a threshold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Line {
    signal: Signal,
    /// Negative once the threshold is crossed.
    distance: i64,
}

/// The lines of all thresholds on memory.
fn lines(thresholds: &[Threshold], seen: &Observations) -> Vec<Line> {
    let of_memory = thresholds.iter().filter(|threshold| threshold.signal.is_of_memory());
    of_memory
        .filter_map(|threshold| {
            let observation = seen.get(&threshold.signal)?;
            let wanted = threshold.value.of(observation.capacity).value();
            Some(Line { signal: threshold.signal, distance: observation.available.value() - wanted })
        })
        .collect()
}

/// When to look again at a line about which the kernel keeps silent.
fn look_after(line: &Line) -> Duration {
    let seconds = u64::try_from(line.distance / BYTES_PER_SECOND).unwrap_or(0);
    Duration::from_secs(seconds).max(SHORTEST_LOOK)
}

/// Listens for memory that passes a threshold.
#[derive(Debug, Default)]
pub struct MemoryEvents {
    events: Vec<MemoryEvent>,
    look_after: Option<Duration>,
}

impl MemoryEvents {
    /// Listens to the thresholds as far away as they are now. What is cached moves a line, so this is done anew after
    /// each look.
    pub fn listen(context: &NodeContext, thresholds: &[Threshold], seen: &Observations) -> Self {
        let mut this = Self::default();
        for line in lines(thresholds, seen) {
            let cgroup = match line.signal {
                Signal::AllocatableMemoryAvailable => context.kubepods(),
                _ => String::new(),
            };
            let event = context.host.memory_event(&cgroup, line.distance);
            if !event.as_ref().is_ok_and(MemoryEvent::is_exact) {
                this.look_after = this.look_after.into_iter().chain([look_after(&line)]).min();
            }
            match event {
                Ok(event) => this.events.push(event),
                Err(error) => debug!(%error, cgroup, "the kernel does not tell when memory runs short"),
            }
        }
        this
    }

    /// How soon memory could run short without a word, if it could.
    pub fn look_after(&self) -> Option<Duration> {
        self.look_after
    }

    /// Returns when a line may have been passed.
    pub async fn passed(&self) {
        let mut events: FuturesUnordered<_> = self.events.iter().map(MemoryEvent::happened).collect();
        if events.next().await.is_none() {
            std::future::pending::<()>().await;
        }
    }
}

#[cfg(test)]
mod tests {
    use api::quantity::Quantity;

    use super::super::judge::Observation;
    use super::super::{EvictionConfig, Thresholds};
    use super::*;

    #[test]
    fn lines_are_as_far_away_as_there_is_memory_above_the_threshold() {
        let hard: Thresholds = "memory.available<100Mi,nodefs.available<10%".parse().unwrap();
        let thresholds = EvictionConfig::resolve(&hard, &Thresholds::default(), "", "").unwrap();
        let of = |mebibytes: i64| Quantity::from_bytes(mebibytes << 20);
        let seen = Observations::from([
            (Signal::MemoryAvailable, Observation { available: of(4196), capacity: of(9000) }),
            (Signal::AllocatableMemoryAvailable, Observation { available: of(90), capacity: of(500) }),
        ]);
        let lines = lines(&thresholds, &seen);
        let expected = [(Signal::MemoryAvailable, 4096 << 20), (Signal::AllocatableMemoryAvailable, -10 << 20)];
        assert_eq!(lines, expected.map(|(signal, distance)| Line { signal, distance }));
        assert_eq!(lines.iter().map(|line| look_after(line).as_secs()).collect::<Vec<_>>(), [4, 1]);
    }
}
