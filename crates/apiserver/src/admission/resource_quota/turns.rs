//! Who charges when. Writes to one namespace that are charged take turns: together they would only make each other
//! compute again. And whoever counts anew first waits for the writes that are charged but not stored, which a list would
//! not show.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, Weak};

use tokio::sync::{Mutex, OwnedMutexGuard, OwnedRwLockReadGuard, RwLock};

/// Held by a write from before it is charged until it is stored or was given its charge back.
pub type UnderWay = OwnedRwLockReadGuard<()>;

/// Whose turn it is, and which writes are under way.
#[derive(Debug, Default)]
pub struct Turns {
    charging: ByNamespace<Mutex<()>>,
    under_way: ByNamespace<RwLock<()>>,
}

impl Turns {
    /// Waits for a turn, which lasts until the guard is dropped.
    pub async fn take(&self, namespace: &str) -> OwnedMutexGuard<()> {
        self.charging.of(namespace).lock_owned().await
    }

    /// Says that a write is under way, until the guard is dropped.
    pub async fn begin(&self, namespace: &str) -> UnderWay {
        self.under_way.of(namespace).read_owned().await
    }

    /// Waits until the writes that are under way have ended.
    pub async fn settled(&self, namespace: &str) {
        drop(self.under_way.of(namespace).write_owned().await);
    }
}

/// One lock per namespace, as long as somebody has it.
#[derive(Debug, Default)]
struct ByNamespace<L>(std::sync::Mutex<HashMap<String, Weak<L>>>);

impl<L: Default> ByNamespace<L> {
    fn of(&self, namespace: &str) -> Arc<L> {
        let mut locks = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(lock) = locks.get(namespace).and_then(Weak::upgrade) {
            return lock;
        }
        locks.retain(|_, lock| lock.strong_count() > 0);
        let lock = Arc::default();
        locks.insert(namespace.to_owned(), Arc::downgrade(&lock));
        lock
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt as _;

    use super::*;

    #[tokio::test]
    async fn one_namespace_has_one_turn_and_leaves_nothing_behind() {
        let turns = Turns::default();
        let held = turns.take("a").await;
        assert!(turns.take("a").now_or_never().is_none());
        let other = turns.take("b").now_or_never();
        assert!(other.is_some());
        drop((held, other));
        assert!(turns.take("a").now_or_never().is_some());
        assert!(turns.take("c").now_or_never().is_some());
        assert_eq!(turns.charging.0.lock().unwrap().len(), 1);
    }

    #[tokio::test]
    async fn counting_waits_for_what_is_under_way() {
        let turns = Turns::default();
        let (first, second) = (turns.begin("a").await, turns.begin("a").await);
        assert!(turns.settled("b").now_or_never().is_some());
        let mut settled = Box::pin(turns.settled("a"));
        assert!(settled.as_mut().now_or_never().is_none());
        drop(first);
        assert!(settled.as_mut().now_or_never().is_none());
        drop(second);
        assert!(settled.now_or_never().is_some());
    }
}
