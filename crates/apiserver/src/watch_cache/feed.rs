//! The one task that follows the store and keeps all caches up to date.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use futures::StreamExt;
use store::{Notice, Revision, Snapshot, Store};
use tokio::sync::{Mutex, watch};
use tracing::{error, warn};

use super::entry::{Entry, EventKind};
use super::facts::Facts;
use super::{SelectableField, WatchCache};
use crate::encoding::Prefix;

/// Everything this server keeps is below.
pub const ROOT: &str = "/registry/";
/// So many changes are taken in before readers who wait are told.
const BATCH: usize = 64;
/// How long to wait after a list that failed.
const RETRY_PAUSE: std::time::Duration = std::time::Duration::from_secs(1);

/// Why the caches could not be filled.
#[derive(Debug, thiserror::Error)]
pub enum FeedError {
    /// The store cannot be read.
    #[error("reading the store")]
    Store(#[from] store::Error),
    /// The store holds something this server did not write, or that was damaged.
    #[error("the stored object at {key} is not readable")]
    Object {
        /// Where it is.
        key: String,
        /// Why.
        #[source]
        source: serde_json::Error,
    },
    /// The store holds an object of a shape this server does not write.
    #[error("the stored object at {key} does not start like one")]
    Shape {
        /// Where it is.
        key: String,
    },
}

/// The caches of all resources.
pub struct Caches {
    pub(super) store: Arc<dyn Store>,
    /// By `<plural>`, or `<group>/<plural>`.
    by_path: HashMap<&'static str, Arc<WatchCache>>,
    applied: watch::Sender<u64>,
    /// The revision the caches began with.
    pub(super) loaded_at: u64,
    /// The histories know everything after this revision, unless they have forgotten it again.
    pub(super) known_after: Mutex<u64>,
}

/// One resource to keep: where its keys are, how it is encoded, what selectors can ask.
#[derive(Debug)]
pub struct CacheSpec {
    /// `<plural>`, or `<group>/<plural>`.
    pub path: &'static str,
    /// How its objects start.
    pub prefix: Prefix,
    /// What selectors can ask for.
    pub selectable: &'static [SelectableField],
}

impl Caches {
    /// Loads everything there is.
    ///
    /// # Errors
    /// [`FeedError`] when the store fails or holds something unreadable.
    pub async fn load(store: Arc<dyn Store>, specs: Vec<CacheSpec>) -> Result<Arc<Self>, FeedError> {
        let snapshot = store.list(ROOT).await?;
        let revision = snapshot.revision.0;
        let by_path = specs.into_iter().map(|spec| {
            let cache = WatchCache::new(spec.prefix, spec.selectable, revision);
            (spec.path, Arc::new(cache))
        });
        let caches = Self {
            store,
            by_path: by_path.collect(),
            applied: watch::Sender::new(revision),
            loaded_at: revision,
            known_after: Mutex::new(revision),
        };
        caches.restart_from(&snapshot)?;
        Ok(Arc::new(caches))
    }

    /// The cache of a resource.
    pub fn of(&self, path: &str) -> Option<&Arc<WatchCache>> {
        self.by_path.get(path)
    }

    /// All caches.
    pub(super) fn all(&self) -> impl Iterator<Item = &Arc<WatchCache>> {
        self.by_path.values()
    }

    /// The revision all caches have reached.
    pub fn applied(&self) -> u64 {
        *self.applied.borrow()
    }

    /// Waits until the caches show everything that was committed before this call, by whichever server.
    ///
    /// # Errors
    /// [`store::Error::Remote`] when it cannot be told what was.
    pub async fn fresh(&self) -> Result<u64, store::Error> {
        Ok(self.reached(self.store.latest().await?.0).await)
    }

    /// Waits until the caches show everything that this server knows to be committed. For what upstream's servers look
    /// up in caches of their own: with a single server it is as good as [`Caches::fresh`].
    pub async fn settled(&self) -> u64 {
        self.reached(self.store.revision().0).await
    }

    /// Waits until the caches show a revision; returns the one they show.
    pub async fn reached(&self, revision: u64) -> u64 {
        let applied = self.applied();
        if applied >= revision {
            return applied;
        }
        let mut receiver = self.applied.subscribe();
        // The sender lives in `self`, so this cannot fail.
        receiver.wait_for(|applied| *applied >= revision).await.map_or(revision, |applied| *applied)
    }

    /// Follows the store until its watch ends, which is when it is closed.
    pub async fn follow(&self) {
        loop {
            let end = match self.store.watch(ROOT, Revision(self.applied())).await {
                Ok(stream) => self.take_in(stream).await,
                Err(error) => Some(error),
            };
            match end {
                None => return,
                Some(store::Error::Engine(message)) => return error!(message, "the store failed; caches stand still"),
                Some(error) => warn!(%error, "starting the caches over"),
            }
            if let Err(error) = self.start_over().await {
                return error!(%error, "the caches cannot be filled");
            }
        }
    }

    /// Lists everything anew, however long it takes until that is possible.
    async fn start_over(&self) -> Result<(), FeedError> {
        loop {
            match self.store.list(ROOT).await {
                Err(error @ store::Error::Remote(_)) => warn!(%error, "listing everything"),
                outcome => return self.restart_from(&outcome?),
            }
            tokio::time::sleep(RETRY_PAUSE).await;
        }
    }

    /// Takes in events until the stream ends; returns the error it ended with.
    async fn take_in(&self, stream: store::EventStream) -> Option<store::Error> {
        let mut batches = stream.ready_chunks(BATCH);
        while let Some(batch) = batches.next().await {
            let mut reached = None;
            for notice in batch {
                match notice {
                    Ok(Notice::Commit(event)) => {
                        self.apply(&event);
                        reached = Some(event.revision.0);
                    }
                    Ok(Notice::Reached(revision)) => reached = Some(revision.0),
                    Err(error) => return Some(error),
                }
            }
            if let Some(revision) = reached {
                self.publish(revision);
            }
        }
        None
    }

    fn publish(&self, revision: u64) {
        for cache in self.all() {
            cache.advance(revision);
        }
        self.applied.send_replace(revision);
    }

    fn apply(&self, event: &store::Event) {
        let Some((cache, key)) = self.route(&event.key) else {
            return warn!(key = %event.key, "a change of no resource this server has");
        };
        let value = match &event.value {
            None => None,
            Some(value) => match read_facts(cache, &event.key, value) {
                Ok(facts) => Some((value.as_ref(), facts)),
                Err(error) => return error!(%error, "a change that cannot be read"),
            },
        };
        cache.apply(key.into(), event.revision.0, value);
    }

    /// The cache a key belongs to, and the key within it.
    pub(super) fn route<'k>(&self, key: &'k str) -> Option<(&Arc<WatchCache>, &'k str)> {
        let rest = key.strip_prefix(ROOT)?;
        let (first, below) = rest.split_once('/')?;
        if let Some(cache) = self.by_path.get(first) {
            return Some((cache, below));
        }
        let (second, below) = below.split_once('/')?;
        let path = &rest[..first.len() + 1 + second.len()];
        self.by_path.get(path).map(|cache| (cache, below))
    }

    fn restart_from(&self, snapshot: &Snapshot) -> Result<(), FeedError> {
        let revision = snapshot.revision.0;
        let mut objects: HashMap<*const WatchCache, BTreeMap<Arc<str>, Arc<Entry>>> = HashMap::new();
        for item in &snapshot.items {
            let Some((cache, key)) = self.route(&item.key) else {
                warn!(key = %item.key, "an object of no resource this server has");
                continue;
            };
            let facts = read_facts(cache, &item.key, &item.value)?;
            let entry = Entry::new(&cache.prefix, &item.value, item.revision.0, facts, EventKind::Added);
            objects.entry(Arc::as_ptr(cache)).or_default().insert(key.into(), Arc::new(entry));
        }
        for cache in self.all() {
            cache.replace(objects.remove(&Arc::as_ptr(cache)).unwrap_or_default(), revision);
        }
        self.applied.send_replace(revision);
        Ok(())
    }
}

pub(super) fn read_facts(cache: &WatchCache, key: &str, value: &[u8]) -> Result<Facts, FeedError> {
    if !cache.prefix.fits(value) {
        return Err(FeedError::Shape { key: key.to_owned() });
    }
    Facts::read(value, cache.selectable).map_err(|source| FeedError::Object { key: key.to_owned(), source })
}
