//! Writes to one namespace that are charged take turns: together they would only make each other compute again.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, Weak};

use tokio::sync::{Mutex, OwnedMutexGuard};

/// Whose turn it is, by namespace.
#[derive(Debug, Default)]
pub struct Turns(std::sync::Mutex<HashMap<String, Weak<Mutex<()>>>>);

impl Turns {
    /// Waits for a turn, which lasts until the guard is dropped.
    pub async fn take(&self, namespace: &str) -> OwnedMutexGuard<()> {
        let turn = self.of(namespace);
        turn.lock_owned().await
    }

    fn of(&self, namespace: &str) -> Arc<Mutex<()>> {
        let mut turns = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(turn) = turns.get(namespace).and_then(Weak::upgrade) {
            return turn;
        }
        turns.retain(|_, turn| turn.strong_count() > 0);
        let turn = Arc::default();
        turns.insert(namespace.to_owned(), Arc::downgrade(&turn));
        turn
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
        assert_eq!(turns.0.lock().unwrap().len(), 1);
    }
}
