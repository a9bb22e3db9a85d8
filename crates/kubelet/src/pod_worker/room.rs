//! Pods that have to make way are gone before the one they make way for begins, and everybody can wait for a Pod to
//! have given back what it used.

use std::collections::HashSet;
use std::time::Duration;

use super::{PodWorker, wants_end};
use crate::pod::Uid;

/// What a Pod waits for before anything of it is made.
#[derive(Debug, Clone, Default)]
pub struct Room {
    /// Pods that are making way.
    pub after: Vec<Uid>,
    /// How long they are waited for.
    pub patience: Duration,
}

impl Room {
    fn is_free(&self, holding: &HashSet<Uid>) -> bool {
        !self.after.iter().any(|uid| holding.contains(uid))
    }
}

impl PodWorker {
    /// Returns when the others are gone, or have had the time they get, or there is nothing to begin any more.
    pub(super) async fn wait_for(&self, room: &Room) {
        let (mut holding, mut inbox) = (self.context.holding.subscribe(), self.inbox.clone());
        // Errors mean that the process is ending; then nothing is to be begun either.
        tokio::select! {
            _ = tokio::time::timeout(room.patience, holding.wait_for(|holding| room.is_free(holding))) => {}
            _ = inbox.wait_for(wants_end) => {}
        }
    }

    /// Nothing of the Pod runs or is mounted any more.
    pub(super) fn let_go(&self) {
        self.context.holding.send_if_modified(|holding| holding.remove(&self.uid));
    }
}
