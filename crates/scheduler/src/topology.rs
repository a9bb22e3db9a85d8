//! Numbers per topology domain: per value of a node label.

use std::collections::HashMap;
use std::sync::Arc;

use api::labels::Labels;

/// A label, and numbers by its values.
type Domains = (Arc<str>, HashMap<String, i64>);

/// Numbers by label and value. A clone shares what was counted and keeps its own changes, so that preemption can try
/// each node in thought without copying thousands of domains.
#[derive(Debug, Clone, Default)]
pub struct TopologyCounts {
    counted: Arc<Vec<Domains>>,
    changes: Vec<Changed>,
    total: i64,
}

#[derive(Debug, Clone)]
struct Changed {
    key: Arc<str>,
    value: String,
    by: i64,
}

impl TopologyCounts {
    /// Adds to the domain of a node, if it has the label.
    pub fn add(&mut self, key: &Arc<str>, node: &Labels, change: i64) {
        let Some(value) = node.get(&**key) else { return };
        self.total += change;
        let Some(counted) = Arc::get_mut(&mut self.counted) else {
            self.changes.push(Changed { key: Arc::clone(key), value: value.clone(), by: change });
            return;
        };
        let position = counted.iter().position(|(other, _)| other == key).unwrap_or_else(|| {
            counted.push((Arc::clone(key), HashMap::new()));
            counted.len() - 1
        });
        match counted[position].1.get_mut(value) {
            Some(count) => *count += change,
            None => drop(counted[position].1.insert(value.clone(), change)),
        }
    }

    /// Makes what was counted its own, so that what is added is counted and no change beside it.
    pub fn own(&mut self) {
        Arc::make_mut(&mut self.counted);
    }

    /// The number of a domain.
    pub fn get(&self, key: &str, value: &str) -> i64 {
        let values = self.counted.iter().find(|(other, _)| **other == *key).map(|(_, values)| values);
        let counted = values.and_then(|values| values.get(value)).copied().unwrap_or_default();
        let changes = self.changes.iter().filter(|changed| *changed.key == *key && changed.value == value);
        counted + changes.map(|changed| changed.by).sum::<i64>()
    }

    /// Whether some domain that the node is in has a number above zero.
    pub fn any_positive_at(&self, node: &Labels) -> bool {
        let keys = self.counted.iter().map(|(key, _)| key).chain(self.changes.iter().map(|changed| &changed.key));
        let mut keys = keys.filter_map(|key| Some((key, node.get(&**key)?)));
        keys.any(|(key, value)| self.get(key, value) > 0)
    }

    /// The sum over all labels of the domains that the node is in. Changes after a clone do not count.
    pub fn sum_at(&self, node: &Labels) -> i64 {
        let of = |(key, values): &Domains| values.get(node.get(&**key)?).copied();
        self.counted.iter().filter_map(of).sum()
    }

    /// Whether nothing was ever counted.
    pub fn is_empty(&self) -> bool {
        self.counted.is_empty() && self.changes.is_empty()
    }

    /// The sum of all.
    pub fn total(&self) -> i64 {
        self.total
    }
}
