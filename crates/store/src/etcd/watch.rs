//! A watch that outlives connections.
//!
//! # Flow
//! It asks etcd for every commit there is, not only for those under its prefix: so it hears of each revision, and readers
//! who wait for one never wait for a key of somebody else. Upstream asks for progress notices instead, which etcd before
//! 3.4.31 and 3.5.13 sends too early.
//!
//! # Guarantees
//! Commits come once and in order, whatever happens to connections: each is resumed after the last commit that was
//! told. It ends with [`Error::Compacted`] when etcd has forgotten what would come next. Nothing is queued here: a slow
//! reader holds up the connection, and etcd keeps the rest.

use std::collections::VecDeque;
use std::time::Duration;

use bytes::Bytes;
use futures::StreamExt as _;
use grpc::Messages;
use tracing::{info, warn};

use super::client::{Client, unsigned};
use super::messages::{KeyValue, WatchEvent, WatchResponse};
use crate::{Error, Event, Notice, Revision};

const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(2);

/// A watch in whatever state its connection is.
pub(super) struct Watch {
    client: Client,
    prefix: Box<str>,
    /// Every commit up to here was told.
    told: Revision,
    /// What arrived and was not told yet.
    arrived: VecDeque<Notice>,
    responses: Option<Messages<WatchResponse>>,
    /// How long to wait before the next attempt to connect.
    pause: Duration,
}

impl Watch {
    pub(super) fn new(client: Client, prefix: &str, after: Revision) -> Self {
        let arrived = VecDeque::new();
        Self { client, prefix: prefix.into(), told: after, arrived, responses: None, pause: FIRST_PAUSE }
    }

    /// What is next to tell; only ever fails with [`Error::Compacted`].
    pub(super) async fn next(&mut self) -> Result<Notice, Error> {
        loop {
            if let Some(notice) = self.arrived.pop_front() {
                return Ok(notice);
            }
            self.wait().await?;
        }
    }

    /// Waits until there is something to tell.
    pub(super) async fn wait(&mut self) -> Result<(), Error> {
        while self.arrived.is_empty() {
            let Some(responses) = &mut self.responses else {
                self.connect().await;
                continue;
            };
            match responses.next().await {
                Some(Ok(response)) => self.take(response)?,
                Some(Err(status)) => self.disconnected(&status.message).await,
                None => self.disconnected("the stream ended").await,
            }
        }
        Ok(())
    }

    async fn connect(&mut self) {
        match self.client.watch_everything(Revision(self.told.0 + 1)).await {
            Ok(responses) => self.responses = Some(responses),
            Err(failure) => self.disconnected(&failure.0.message).await,
        }
    }

    async fn disconnected(&mut self, reason: &str) {
        if self.pause == FIRST_PAUSE {
            warn!(reason, after = self.told.0, "lost the watch on etcd; resuming it");
        }
        self.responses = None;
        tokio::time::sleep(self.pause).await;
        self.pause = (self.pause * 2).min(LONGEST_PAUSE);
    }

    fn take(&mut self, response: WatchResponse) -> Result<(), Error> {
        if self.pause > FIRST_PAUSE {
            info!(after = self.told.0, "the watch on etcd goes on");
            self.pause = FIRST_PAUSE;
        }
        if response.compact_revision > 0 {
            // A watch may start with the commit at that revision, which is after the one before it.
            let oldest = Revision(unsigned(response.compact_revision).0.saturating_sub(1));
            return Err(Error::Compacted { requested: self.told, oldest });
        }
        if response.canceled {
            warn!(reason = response.cancel_reason, "etcd ended a watch");
            self.responses = None;
            self.pause = LONGEST_PAUSE;
            return Ok(());
        }
        if let Some(change) = response.events.iter().find(|event| lacks_its_past(event)) {
            let oldest = change.kv.as_ref().map_or(self.told, |kv| unsigned(kv.mod_revision));
            return Err(Error::Compacted { requested: self.told, oldest });
        }
        let (told, notices) = notices(&self.prefix, self.told, response.events);
        self.told = told;
        self.arrived.extend(notices);
        Ok(())
    }
}

/// Whether a change tells not what was there before it, because a compaction in between took that away.
fn lacks_its_past(event: &WatchEvent) -> bool {
    let replaces = event.kv.as_ref().is_some_and(|kv| event.kind == WatchEvent::DELETE || kv.version > 1);
    replaces && event.prev_kv.is_none()
}

/// What etcd's events come to for the watch of a prefix that was told everything up to `told`.
fn notices(prefix: &str, mut told: Revision, events: Vec<WatchEvent>) -> (Revision, Vec<Notice>) {
    let mut notices = Vec::new();
    let mut reached = None;
    for event in events {
        let revision = unsigned(event.kv.as_ref().map_or(0, |kv| kv.mod_revision));
        told = told.max(revision);
        match commit(prefix, event) {
            Some(event) => {
                reached = None;
                notices.push(Notice::Commit(event));
            }
            None => reached = Some(Notice::Reached(told)),
        }
    }
    notices.extend(reached);
    (told, notices)
}

/// The commit that an event stands for, if it is under the prefix.
fn commit(prefix: &str, event: WatchEvent) -> Option<Event> {
    let kv = event.kv?;
    let key = std::str::from_utf8(&kv.key).ok().filter(|key| key.starts_with(prefix))?.into();
    let value: Option<Bytes> = (event.kind != WatchEvent::DELETE).then_some(kv.value);
    let previous = event.prev_kv.map(|KeyValue { value, mod_revision, .. }| (value, unsigned(mod_revision)));
    Some(Event { key, value, previous, revision: unsigned(kv.mod_revision) })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kv(key: &'static str, revision: i64) -> KeyValue {
        KeyValue { key: key.into(), mod_revision: revision, version: 1, value: "v".into() }
    }

    fn event(kind: i32, key: &'static str, revision: i64, previous: Option<i64>) -> WatchEvent {
        WatchEvent { kind, kv: Some(kv(key, revision)), prev_kv: previous.map(|revision| kv(key, revision)) }
    }

    #[test]
    fn commits_under_the_prefix_are_told_and_of_others_that_they_were() {
        let put = |revision| event(0, "/a/1", revision, None);
        let other = |revision| event(0, "compact_rev_key", revision, None);
        let told = |events: Vec<WatchEvent>| {
            let (told, notices) = notices("/a/", Revision(3), events);
            let words = notices.iter().map(|notice| match notice {
                Notice::Commit(event) => format!("{} {}", event.revision.0, event.key),
                Notice::Reached(revision) => format!("{}", revision.0),
            });
            (told.0, words.collect::<Vec<_>>().join(", "))
        };
        assert_eq!(told(vec![]), (3, String::new()));
        assert_eq!(told(vec![put(4), put(5)]), (5, "4 /a/1, 5 /a/1".to_owned()));
        assert_eq!(told(vec![other(4), other(5)]), (5, "5".to_owned()));
        assert_eq!(told(vec![other(4), put(5), other(6)]), (6, "5 /a/1, 6".to_owned()));
    }

    #[test]
    fn changes_of_what_a_compaction_took_away_are_told_from_creations() {
        let second = KeyValue { version: 2, ..kv("/a", 7) };
        let change = |kind, kv, prev_kv| lacks_its_past(&WatchEvent { kind, kv: Some(kv), prev_kv });
        assert!(!change(0, kv("/a", 7), None));
        assert!(change(0, second.clone(), None));
        assert!(!change(0, second, Some(kv("/a", 4))));
        assert!(change(WatchEvent::DELETE, kv("/a", 7), None));
        assert!(!change(WatchEvent::DELETE, kv("/a", 7), Some(kv("/a", 4))));
    }

    #[test]
    fn removals_have_no_value_and_tell_what_was_there() {
        let removed = commit("/a", event(WatchEvent::DELETE, "/a/1", 7, Some(4))).unwrap();
        assert_eq!((removed.value, removed.previous), (None, Some(("v".into(), Revision(4)))));
        assert_eq!(commit("/a", event(0, "/b", 7, None)), None);
        assert_eq!(commit("", WatchEvent { kind: 0, kv: None, prev_kv: None }), None);
    }
}
