//! The ports that Services have on every node. What is taken follows from the Services; it is kept here so that two
//! writes at once do not take the same.

use std::collections::BTreeSet;
use std::ops::RangeInclusive;
use std::sync::{Mutex, PoisonError};

use platform::random::Random;

/// The ports Services can have.
pub const RANGE: RangeInclusive<i32> = 30_000..=32_767;
/// So many at the start of the range are given out last: who asks for a port by number shall find one there.
const STATIC_BAND: u64 = 86;
/// What a dry run answers where a port would be chosen, and the ones after it.
const DRY_RUN: i32 = 32_768;

/// Why a port cannot be had.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NodePortError {
    /// It is outside the range.
    #[error(
        "provided port is not in the valid range. The range of valid ports is {}-{}",
        RANGE.start(),
        RANGE.end()
    )]
    NotInRange,
    /// Another Service has it.
    #[error("provided port is already allocated")]
    Allocated,
    /// All are taken.
    #[error("range is full")]
    Full,
}

/// The ports that are taken.
#[derive(Debug, Default)]
pub struct NodePorts(Mutex<BTreeSet<i32>>);

impl NodePorts {
    /// Takes a port.
    ///
    /// # Errors
    /// [`NodePortError::NotInRange`], [`NodePortError::Allocated`].
    pub fn take(&self, port: i32) -> Result<(), NodePortError> {
        if !RANGE.contains(&port) {
            return Err(NodePortError::NotInRange);
        }
        if self.lock().insert(port) { Ok(()) } else { Err(NodePortError::Allocated) }
    }

    /// Takes any port.
    ///
    /// # Errors
    /// [`NodePortError::Full`].
    pub fn take_any(&self, random: &dyn Random) -> Result<i32, NodePortError> {
        let mut taken = self.lock();
        let size = u64::from(RANGE.end().abs_diff(*RANGE.start())) + 1;
        let from = |first: u64, count: u64| {
            let start = random.bits() % count;
            (0..count).map(move |step| first + (start + step) % count)
        };
        let mut offsets = from(STATIC_BAND, size - STATIC_BAND).chain(from(0, STATIC_BAND));
        let port = offsets.find_map(|offset| {
            let port = RANGE.start() + i32::try_from(offset).expect("an offset within the range");
            taken.insert(port).then_some(port)
        });
        port.ok_or(NodePortError::Full)
    }

    /// Gives a port back.
    pub fn give_back(&self, port: i32) {
        self.lock().remove(&port);
    }

    fn is_free(&self, port: i32) -> Result<(), NodePortError> {
        match (RANGE.contains(&port), self.lock().contains(&port)) {
            (false, _) => Err(NodePortError::NotInRange),
            (true, true) => Err(NodePortError::Allocated),
            (true, false) => Ok(()),
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeSet<i32>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The ports of one write: taken for it, or only looked at in a dry run.
pub struct Operation<'a> {
    ports: &'a NodePorts,
    random: &'a dyn Random,
    dry_run: bool,
    /// What it has.
    pub taken: Vec<i32>,
}

impl<'a> Operation<'a> {
    /// An operation that has nothing yet.
    pub fn new(ports: &'a NodePorts, random: &'a dyn Random, dry_run: bool) -> Self {
        Self { ports, random, dry_run, taken: Vec::new() }
    }

    /// Takes a port.
    ///
    /// # Errors
    /// As [`NodePorts::take`].
    pub fn take(&mut self, port: i32) -> Result<(), NodePortError> {
        if !self.dry_run {
            self.ports.take(port)?;
        } else if self.taken.contains(&port) {
            return Err(NodePortError::Allocated);
        } else {
            self.ports.is_free(port)?;
        }
        self.taken.push(port);
        Ok(())
    }

    /// Takes any port. In a dry run it is one that nobody can have.
    ///
    /// # Errors
    /// As [`NodePorts::take_any`].
    pub fn take_any(&mut self) -> Result<i32, NodePortError> {
        let port = if self.dry_run {
            self.taken.iter().copied().max().unwrap_or(DRY_RUN) + 1
        } else {
            self.ports.take_any(self.random)?
        };
        self.taken.push(port);
        Ok(port)
    }
}

#[cfg(test)]
mod tests {
    use platform::random::SystemRandom;

    use super::*;

    #[test]
    fn each_port_is_given_once_and_the_low_ones_last() {
        let ports = NodePorts::default();
        let upper: BTreeSet<i32> = (0..2_682).map(|_| ports.take_any(&SystemRandom).unwrap()).collect();
        assert_eq!((upper.len(), *upper.first().unwrap()), (2_682, 30_086));
        let lower: BTreeSet<i32> = (0..86).map(|_| ports.take_any(&SystemRandom).unwrap()).collect();
        assert_eq!((lower.len(), *lower.last().unwrap()), (86, 30_085));
        assert_eq!(ports.take_any(&SystemRandom), Err(NodePortError::Full));
        ports.give_back(30_500);
        assert_eq!(ports.take_any(&SystemRandom), Ok(30_500));
    }

    #[test]
    fn ports_are_refused_in_upstreams_words() {
        let ports = NodePorts::default();
        ports.take(30_001).unwrap();
        assert_eq!(ports.take(30_001).unwrap_err().to_string(), "provided port is already allocated");
        assert_eq!(
            ports.take(80).unwrap_err().to_string(),
            "provided port is not in the valid range. The range of valid ports is 30000-32767"
        );
    }

    #[test]
    fn a_dry_run_takes_nothing() {
        let ports = NodePorts::default();
        let mut dry = Operation::new(&ports, &SystemRandom, true);
        dry.take(30_001).unwrap();
        assert_eq!(dry.take(30_001), Err(NodePortError::Allocated));
        assert_eq!((dry.take_any(), dry.take_any()), (Ok(30_002), Ok(30_003)));
        assert_eq!(Operation::new(&ports, &SystemRandom, true).take_any(), Ok(32_769));
        ports.take(30_001).unwrap();
    }
}
