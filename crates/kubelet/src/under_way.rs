//! What takes its time right now. It is not history yet, and if it hangs it never will be.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::pod::Uid;

/// Something that was begun for a Pod and has not ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Act {
    /// What, as in `volume "data" is being set up (nfs 192.0.2.1:/export)`.
    pub what: String,
    /// Since when.
    pub since: Timestamp,
}

/// What is under way. Clones look at the same.
#[derive(Debug, Clone, Default)]
pub struct UnderWay(Arc<Mutex<Acts>>);

#[derive(Debug, Default)]
struct Acts {
    begun: u64,
    by_number: BTreeMap<u64, (Uid, Act)>,
}

/// An act; over when dropped.
#[derive(Debug)]
pub struct Running {
    all: UnderWay,
    number: u64,
}

impl UnderWay {
    /// Something begins.
    #[must_use]
    pub fn begin(&self, pod: Uid, what: String, since: Timestamp) -> Running {
        self.with(|acts| {
            acts.begun += 1;
            acts.by_number.insert(acts.begun, (pod, Act { what, since }));
            Running { all: self.clone(), number: acts.begun }
        })
    }

    /// What has begun for a Pod, the oldest first.
    pub fn of(&self, pod: &Uid) -> Vec<Act> {
        let of_pod = |(whose, act): &(Uid, Act)| (whose == pod).then(|| act.clone());
        self.with(|acts| acts.by_number.values().filter_map(of_pod).collect())
    }

    fn with<T>(&self, look: impl FnOnce(&mut Acts) -> T) -> T {
        look(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.all.with(|acts| acts.by_number.remove(&self.number));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn acts_are_known_until_they_end() {
        let (all, pod) = (UnderWay::default(), Uid::new("a"));
        let names = || all.of(&pod).into_iter().map(|act| act.what).collect::<Vec<_>>();
        let first = all.begin(pod.clone(), "first".to_owned(), Timestamp::UNIX_EPOCH);
        let second = all.begin(pod.clone(), "second".to_owned(), Timestamp::UNIX_EPOCH);
        let _others = all.begin(Uid::new("b"), "other".to_owned(), Timestamp::UNIX_EPOCH);
        assert_eq!(names(), ["first", "second"]);
        drop(first);
        assert_eq!(names(), ["second"]);
        drop(second);
        assert!(names().is_empty());
    }
}
