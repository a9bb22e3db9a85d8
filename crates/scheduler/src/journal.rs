//! What changed on nodes, so that sums over all of them are brought up to date instead of being made anew.
//!
//! Plugins that count Pods per domain make the same sums for Pods that are alike, decision after decision, while only a
//! Pod or two were placed in between. A [`Memo`] keeps such sums beside the snapshot they were made from, and the
//! [`Journal`] says which placements came after. Whatever changes more than a placement (nodes, their labels and taints,
//! namespaces) begins a new journal, and every sum is made anew. A sum never differs from one made anew.

#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use crate::node_info::NodeFacts;
use crate::pod_info::PodInfo;

/// Placements that are remembered; sums older than that are made anew.
const PLACEMENTS_LIMIT: usize = 4096;
/// Sums that are kept per plugin.
const SUMS_LIMIT: usize = 32;

/// See the module.
#[derive(Debug, Default)]
pub struct Journal {
    placements: VecDeque<Placement>,
    /// The number of the placement that comes next.
    next: u64,
}

/// A Pod came to a node or left it.
#[derive(Debug, Clone)]
pub struct Placement {
    /// The Pod, as it was counted.
    pub pod: Arc<PodInfo>,
    /// The node.
    pub node: Arc<NodeFacts>,
    /// 1 or -1.
    pub by: i64,
}

impl Journal {
    /// Notes a placement.
    pub fn note(&mut self, placement: Placement) {
        if self.placements.len() == PLACEMENTS_LIMIT {
            self.placements.pop_front();
        }
        self.placements.push_back(placement);
        self.next += 1;
    }

    /// More changed than a placement.
    pub fn begin_anew(&mut self) {
        self.placements.clear();
        // A sum made before this moment has a smaller number.
        self.next += 1;
    }

    /// What came after a sum of this number was made; none when that is not known any more.
    fn since(&self, number: u64) -> Option<impl Iterator<Item = &Placement>> {
        let missing = usize::try_from(self.next - number).ok()?;
        let skipped = self.placements.len().checked_sub(missing)?;
        Some(self.placements.iter().skip(skipped))
    }
}

/// Sums of one sort, the most recently used first. Looking one up changes nothing that anybody can see.
#[derive(Debug)]
pub struct Memo<K, V>(Mutex<VecDeque<Sum<K, V>>>);

#[derive(Debug)]
struct Sum<K, V> {
    key: K,
    number: u64,
    value: V,
}

impl<K, V> Default for Memo<K, V> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<K, V: Clone> Memo<K, V> {
    /// The sum whose key `is_it`, brought up to date with `update`; made with `make` where there is none.
    pub fn get(
        &self,
        journal: &Journal,
        is_it: impl Fn(&K) -> bool,
        make: impl FnOnce() -> (K, V),
        mut update: impl FnMut(&mut V, &Placement),
    ) -> V {
        let mut sums = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let position = sums.iter().position(|sum| is_it(&sum.key));
        let kept = position.and_then(|position| sums.remove(position));
        let current = kept.and_then(|mut sum| {
            journal.since(sum.number)?.for_each(|placement| update(&mut sum.value, placement));
            Some(sum)
        });
        let sum = current.unwrap_or_else(|| {
            let (key, value) = make();
            Sum { key, number: 0, value }
        });
        let value = sum.value.clone();
        sums.truncate(SUMS_LIMIT - 1);
        sums.push_front(Sum { number: journal.next, ..sum });
        value
    }
}
