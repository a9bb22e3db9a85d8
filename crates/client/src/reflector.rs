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
//! **Memory**: an object is decoded, *projected* onto what the component reads, and only that is kept.
//!
//! **Assumptions**: handlers are quick and do not block; they wake somebody else. Who wants to be slow, or to hold the
//! watch back, consumes [`Reflector::changes`].

mod index;
mod lister;
#[cfg(test)]
mod tests;

use std::collections::{HashMap, VecDeque};
use std::fmt::Debug;
use std::sync::Arc;
use std::time::Duration;

use futures::stream::BoxStream;
use futures::{Stream, StreamExt};
use kube::runtime::watcher::{self, Event};
use kube::{Api, Resource};
use serde::de::DeserializeOwned;
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

pub use index::{Index, Term};
use lister::Shown;
pub use lister::{Lister, ObjectKey};

/// The first delay after a failed list or watch. Small, so that a component that starts with the server is in time.
const RETRY_INITIAL: Duration = Duration::from_millis(10);
/// The longest delay between two attempts.
const RETRY_MAX: Duration = Duration::from_secs(10);
/// From this delay on the trouble is worth a warning.
const RETRY_WARN: Duration = Duration::from_secs(1);

/// What can be reflected: any kind that kube can address and decode.
pub trait Reflected: Resource + Clone + Debug + DeserializeOwned + Send + Sync + 'static {}

impl<K> Reflected for K where K: Resource + Clone + Debug + DeserializeOwned + Send + Sync + 'static {}

/// A difference between two states of the copy.
#[derive(Debug)]
pub enum Change<V> {
    /// An object appeared.
    Added(Arc<V>),
    /// An object was replaced, perhaps by another one of the same name.
    Updated {
        /// As it was shown before.
        old: Arc<V>,
        /// As it is shown now.
        new: Arc<V>,
    },
    /// An object is gone; this is its last known state.
    Deleted(Arc<V>),
    /// The first complete list has been delivered. Sent once.
    Synced,
}

impl<V> Change<V> {
    /// The object concerned, in its newest known state; none for [`Change::Synced`].
    pub fn object(&self) -> Option<&Arc<V>> {
        match self {
            Self::Added(object) | Self::Updated { new: object, .. } | Self::Deleted(object) => Some(object),
            Self::Synced => None,
        }
    }
}

type Handler<V> = Box<dyn FnMut(&Change<V>) + Send>;
type Projection<K, V> = Box<dyn Fn(K) -> V + Send + Sync>;

/// Keeps a [`Lister`] up to date and tells handlers about changes, while it [runs](Reflector::run). `K` is the kind
/// watched, `V` what is kept of each object.
pub struct Reflector<K: Reflected, V = K> {
    api: Api<K>,
    config: watcher::Config,
    indices: Vec<Handler<V>>,
    handlers: Vec<Handler<V>>,
    copy: Copy<K, V>,
}

impl<K: Reflected> Reflector<K> {
    /// A reflector of what `api` lists: one namespace or all. Objects are kept whole but for `managedFields`.
    pub fn new(api: Api<K>) -> Self {
        Self::projecting(api, |object| object)
    }
}

impl<K: Reflected, V: Send + Sync + 'static> Reflector<K, V> {
    /// A reflector that keeps `projection` of each object.
    pub fn projecting(api: Api<K>, projection: impl Fn(K) -> V + Send + Sync + 'static) -> Self {
        let copy = Copy { projection: Box::new(projection), lister: Lister::new(), listing: HashMap::new(), newest: 0 };
        Self { api, config: watcher::Config::default(), indices: Vec::new(), handlers: Vec::new(), copy }
    }

    /// Restricts what is watched, by label or field selector.
    #[must_use]
    pub fn with_config(mut self, config: watcher::Config) -> Self {
        self.config = config;
        self
    }

    /// Adds a handler. It is called in the reflector's task and must not block.
    pub fn subscribe(&mut self, handler: impl FnMut(&Change<V>) + Send + 'static) {
        self.handlers.push(Box::new(handler));
    }

    /// As [`subscribe`](Self::subscribe), while building.
    #[must_use]
    pub fn on_change(mut self, handler: impl FnMut(&Change<V>) + Send + 'static) -> Self {
        self.subscribe(handler);
        self
    }

    /// The objects of the copy by a term.
    pub fn index(&mut self, term: Term<V>) -> Index<V> {
        let index = Index::new();
        let followed = index.clone();
        self.indices.push(Box::new(move |change| followed.follow(change, term)));
        index
    }

    /// The copy. It is empty until the reflector runs; [`Lister::synced`] waits for the first complete list.
    pub fn lister(&self) -> Lister<V> {
        self.copy.lister.clone()
    }

    /// Lists and watches until cancelled.
    pub async fn run(self, cancel: CancellationToken) {
        let follow = async {
            let mut changes = std::pin::pin!(self.changes());
            while changes.next().await.is_some() {}
        };
        tokio::select! {
            () = cancel.cancelled() => {}
            () = follow => {}
        }
    }

    /// Lists and watches as the stream is read; it never ends. Handlers are called as well. Dropping the future of one
    /// `next` loses nothing.
    pub fn changes(self) -> impl Stream<Item = Change<V>> + Send {
        let follower = Follower {
            source: self.api,
            config: self.config,
            indices: self.indices,
            handlers: self.handlers,
            copy: self.copy,
            watch: None,
            delay: RETRY_INITIAL,
            pending: VecDeque::new(),
        };
        futures::stream::unfold(follower, |mut follower| async move {
            let change = follower.next().await;
            Some((change, follower))
        })
    }
}

/// The running side of a reflector.
struct Follower<K: Reflected, V> {
    source: Api<K>,
    config: watcher::Config,
    indices: Vec<Handler<V>>,
    handlers: Vec<Handler<V>>,
    copy: Copy<K, V>,
    /// None until the first use, and after the server forgot where we were.
    watch: Option<BoxStream<'static, watcher::Result<Event<K>>>>,
    /// How long to wait after the next failure.
    delay: Duration,
    pending: VecDeque<Change<V>>,
}

impl<K: Reflected, V: Send + Sync + 'static> Follower<K, V> {
    async fn next(&mut self) -> Change<V> {
        loop {
            if let Some(change) = self.pending.pop_front() {
                for handler in &mut self.handlers {
                    handler(&change);
                }
                return change;
            }
            let (source, config) = (&self.source, &self.config);
            let watch = self.watch.get_or_insert_with(|| watcher::watcher(source.clone(), config.clone()).boxed());
            match watch.next().await {
                Some(Ok(event)) => {
                    // `Init` comes before the list is even tried, so it proves nothing.
                    if !matches!(event, Event::Init) {
                        self.delay = RETRY_INITIAL;
                    }
                    self.copy.apply(event, &mut self.pending);
                    self.index();
                }
                Some(Err(error)) => self.wait_after(&error).await,
                None => self.watch = None,
            }
        }
    }

    /// Brings the indices up to the copy, before anybody is told.
    fn index(&mut self) {
        for change in &self.pending {
            self.indices.iter_mut().for_each(|index| index(change));
        }
        self.copy.lister.show_version(self.copy.newest);
    }

    async fn wait_after(&mut self, error: &watcher::Error) {
        let resource = self.source.resource_url();
        if self.delay >= RETRY_WARN {
            warn!(resource, %error, retry_seconds = self.delay.as_secs(), "watch broken");
        } else {
            debug!(resource, %error, "watch broken");
        }
        // The watcher would resume from the same version for ever.
        if matches!(error, watcher::Error::WatchStartFailed(cause) if crate::is_gone(cause)) {
            self.watch = None;
        }
        tokio::time::sleep(self.delay).await;
        self.delay = (self.delay * 2).min(RETRY_MAX);
    }
}

/// The writing side of the lister.
struct Copy<K: Reflected, V> {
    projection: Projection<K, V>,
    lister: Lister<V>,
    /// Objects of a list that is not complete yet.
    listing: HashMap<ObjectKey, Shown<V>>,
    /// The newest resource version received.
    newest: u64,
}

impl<K: Reflected, V> Copy<K, V> {
    fn apply(&mut self, event: Event<K>, changes: &mut VecDeque<Change<V>>) {
        if let Event::Apply(object) | Event::InitApply(object) | Event::Delete(object) = &event {
            let version = object.meta().resource_version.as_deref().and_then(|version| version.parse().ok());
            self.newest = self.newest.max(version.unwrap_or(0));
        }
        match event {
            Event::Init => self.listing.clear(),
            Event::InitApply(object) => {
                let (key, shown) = self.project(object);
                self.listing.insert(key, shown);
            }
            Event::InitDone => self.replace_all(changes),
            Event::Apply(object) => {
                let (key, shown) = self.project(object);
                let new = Arc::clone(&shown.object);
                changes.push_back(match self.lister.insert(key, shown) {
                    Some(old) => Change::Updated { old: old.object, new },
                    None => Change::Added(new),
                });
            }
            Event::Delete(object) => {
                let (key, shown) = self.project(object);
                if self.lister.remove(&key).is_some() {
                    changes.push_back(Change::Deleted(shown.object));
                }
            }
        }
    }

    fn project(&self, mut object: K) -> (ObjectKey, Shown<V>) {
        let key = ObjectKey::of(&object);
        let version = object.meta().resource_version.clone();
        object.meta_mut().managed_fields = None;
        (key, Shown { version, object: Arc::new((self.projection)(object)) })
    }

    fn replace_all(&mut self, changes: &mut VecDeque<Change<V>>) {
        let new = std::mem::take(&mut self.listing);
        let mut old = self.lister.replace(new.clone());
        for (key, shown) in new {
            match old.remove(&key) {
                None => changes.push_back(Change::Added(shown.object)),
                Some(old) if old.version == shown.version => {}
                Some(old) => changes.push_back(Change::Updated { old: old.object, new: shown.object }),
            }
        }
        // Deletions come first: what they free may be what the others need.
        for gone in old.into_values() {
            changes.push_front(Change::Deleted(gone.object));
        }
        if self.lister.mark_synced() {
            changes.push_back(Change::Synced);
        }
    }
}
