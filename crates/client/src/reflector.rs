//! A watched copy of one resource.
//!
//! **Flow**: list in pages, then watch from the list's resource version; after a break resume from the last version
//! seen, and list again only when the server forgot it (`410 Gone`). kube's `watcher` is that state machine. Its store
//! is not used: it copies every object once more and does not tell which objects vanished while the watch was broken.
//!
//! **Guarantees**: the [`Lister`] shows each object as it was at some moment, never older than what it showed before.
//! Handlers see every difference between two states of the copy, deletions during a break included, in order, after
//! the lister shows them. Errors never end the reflector; they are retried with growing, bounded delays.
//!
//! **Assumptions**: handlers are quick and do not block; they wake somebody else.

mod lister;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::fmt::Debug;
use std::hash::Hash;
use std::sync::Arc;
use std::time::Duration;

use futures::{Stream, StreamExt};
use kube::runtime::watcher::{self, Event};
use kube::{Api, Resource};
use serde::de::DeserializeOwned;
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

pub use lister::{Lister, ObjectKey};

/// The first delay after a failed list or watch. Small, so that a component that starts with the server is in time.
const RETRY_INITIAL: Duration = Duration::from_millis(10);
/// The longest delay between two attempts.
const RETRY_MAX: Duration = Duration::from_secs(10);
/// From this delay on the trouble is worth a warning.
const RETRY_WARN: Duration = Duration::from_secs(1);

/// What can be reflected: any kind that kube can address and decode.
pub trait Reflected:
    Resource<DynamicType: Default + Eq + Hash> + Clone + Debug + DeserializeOwned + Send + Sync + 'static
{
}

impl<K> Reflected for K where
    K: Resource<DynamicType: Default + Eq + Hash> + Clone + Debug + DeserializeOwned + Send + Sync + 'static
{
}

/// A difference between two states of the copy.
#[derive(Debug, Clone)]
pub enum Change<K> {
    /// An object appeared.
    Added(Arc<K>),
    /// An object was replaced.
    Updated {
        /// As it was shown before.
        old: Arc<K>,
        /// As it is shown now.
        new: Arc<K>,
    },
    /// An object is gone; this is its last known state.
    Deleted(Arc<K>),
    /// The first complete list has been delivered. Sent once.
    Synced,
}

impl<K> Change<K> {
    /// The object concerned, in its newest known state; none for [`Change::Synced`].
    pub fn object(&self) -> Option<&Arc<K>> {
        match self {
            Self::Added(object) | Self::Updated { new: object, .. } | Self::Deleted(object) => Some(object),
            Self::Synced => None,
        }
    }
}

type Handler<K> = Box<dyn FnMut(&Change<K>) + Send>;

/// Keeps a [`Lister`] up to date and tells handlers about changes, while it [runs](Reflector::run).
pub struct Reflector<K: Reflected> {
    api: Api<K>,
    config: watcher::Config,
    trim: fn(&mut K),
    handlers: Vec<Handler<K>>,
    lister: Lister<K>,
}

impl<K: Reflected> Reflector<K> {
    /// A reflector of what `api` lists: one namespace or all.
    pub fn new(api: Api<K>) -> Self {
        Self { api, config: watcher::Config::default(), trim: |_| (), handlers: Vec::new(), lister: Lister::new() }
    }

    /// Restricts what is watched, by label or field selector.
    #[must_use]
    pub fn with_config(mut self, config: watcher::Config) -> Self {
        self.config = config;
        self
    }

    /// Drops what the component never reads before an object is kept. `managedFields` are always dropped: what is read
    /// here must never be written back as a whole.
    #[must_use]
    pub fn trim(mut self, trim: fn(&mut K)) -> Self {
        self.trim = trim;
        self
    }

    /// Adds a handler. It is called in the reflector's task and must not block.
    #[must_use]
    pub fn on_change(mut self, handler: impl FnMut(&Change<K>) + Send + 'static) -> Self {
        self.handlers.push(Box::new(handler));
        self
    }

    /// The copy. It is empty until the reflector runs; [`Lister::synced`] waits for the first complete list.
    pub fn lister(&self) -> Lister<K> {
        self.lister.clone()
    }

    /// Lists and watches until cancelled.
    pub async fn run(self, cancel: CancellationToken) {
        let watch = self.watch_forever();
        tokio::select! {
            () = cancel.cancelled() => {}
            () = watch => {}
        }
    }

    async fn watch_forever(self) {
        let Self { api, config, trim, handlers, lister } = self;
        let mut copy = Copy { trim, handlers, lister, listing: HashMap::new() };
        let mut delay = RETRY_INITIAL;
        loop {
            let stream = watcher::watcher(api.clone(), config.clone());
            follow::<K>(stream, &mut copy, &mut delay).await;
        }
    }
}

/// Follows one watcher until it can't be resumed.
async fn follow<K: Reflected>(
    stream: impl Stream<Item = watcher::Result<Event<K>>> + Send,
    copy: &mut Copy<K>,
    delay: &mut Duration,
) {
    let mut stream = std::pin::pin!(stream);
    while let Some(item) = stream.next().await {
        match item {
            Ok(event) => {
                // `Init` comes before the list is even tried, so it proves nothing.
                if !matches!(event, Event::Init) {
                    *delay = RETRY_INITIAL;
                }
                copy.apply(event);
            }
            Err(error) => {
                let kind = K::kind(&K::DynamicType::default()).into_owned();
                if *delay >= RETRY_WARN {
                    warn!(kind, %error, retry_seconds = delay.as_secs(), "watch broken");
                } else {
                    debug!(kind, %error, "watch broken");
                }
                tokio::time::sleep(*delay).await;
                *delay = (*delay * 2).min(RETRY_MAX);
                // The watcher would resume from the same version for ever.
                if matches!(&error, watcher::Error::WatchStartFailed(cause) if crate::is_gone(cause)) {
                    return;
                }
            }
        }
    }
}

/// The writing side of the lister.
struct Copy<K: Reflected> {
    trim: fn(&mut K),
    handlers: Vec<Handler<K>>,
    lister: Lister<K>,
    /// Objects of a list that is not complete yet.
    listing: HashMap<ObjectKey, Arc<K>>,
}

impl<K: Reflected> Copy<K> {
    fn apply(&mut self, event: Event<K>) {
        match event {
            Event::Init => self.listing.clear(),
            Event::InitApply(object) => {
                let (key, object) = self.keep(object);
                self.listing.insert(key, object);
            }
            Event::InitDone => self.replace_all(),
            Event::Apply(object) => {
                let (key, object) = self.keep(object);
                let change = match self.lister.insert(key, Arc::clone(&object)) {
                    Some(old) => Change::Updated { old, new: object },
                    None => Change::Added(object),
                };
                self.tell(&change);
            }
            Event::Delete(object) => {
                let (key, object) = self.keep(object);
                if self.lister.remove(&key).is_some() {
                    self.tell(&Change::Deleted(object));
                }
            }
        }
    }

    fn keep(&self, mut object: K) -> (ObjectKey, Arc<K>) {
        object.meta_mut().managed_fields = None;
        (self.trim)(&mut object);
        (ObjectKey::of(&object), Arc::new(object))
    }

    fn replace_all(&mut self) {
        let new = std::mem::take(&mut self.listing);
        let old = self.lister.replace(new.clone());
        let gone = old.iter().filter(|(key, _)| !new.contains_key(*key));
        let mut changes: Vec<_> = gone.map(|(_, object)| Change::Deleted(Arc::clone(object))).collect();
        changes.extend(new.into_iter().filter_map(|(key, new)| match old.get(&key) {
            None => Some(Change::Added(new)),
            Some(old) if old.meta().resource_version == new.meta().resource_version => None,
            // Another object under the same name: whoever counts by uid must see the first one go.
            Some(old) => Some(Change::Updated { old: Arc::clone(old), new }),
        }));
        for change in &changes {
            self.tell(change);
        }
        if self.lister.mark_synced() {
            self.tell(&Change::Synced);
        }
    }

    fn tell(&mut self, change: &Change<K>) {
        for handler in &mut self.handlers {
            handler(change);
        }
    }
}
