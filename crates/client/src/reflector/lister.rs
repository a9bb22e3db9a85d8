//! Reading the copy.

use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use kube::Resource;
use tokio::sync::watch;

/// Namespace and name of an object; the namespace of cluster-scoped objects is empty.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ObjectKey {
    /// The namespace, or the empty string.
    pub namespace: String,
    /// The name.
    pub name: String,
}

impl ObjectKey {
    /// The key of an object in a namespace.
    pub fn new(namespace: impl Into<String>, name: impl Into<String>) -> Self {
        Self { namespace: namespace.into(), name: name.into() }
    }

    /// The key of a cluster-scoped object.
    pub fn cluster(name: impl Into<String>) -> Self {
        Self::new("", name)
    }

    /// The key of an object that came from the server.
    pub fn of<K: Resource>(object: &K) -> Self {
        let meta = object.meta();
        Self::new(meta.namespace.clone().unwrap_or_default(), meta.name.clone().unwrap_or_default())
    }
}

impl fmt::Display for ObjectKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.namespace.is_empty() {
            formatter.write_str(&self.name)
        } else {
            write!(formatter, "{}/{}", self.namespace, self.name)
        }
    }
}

/// One object of the copy.
#[derive(Debug)]
pub(super) struct Shown<V> {
    /// Its resource version, to tell whether it changed while nobody watched.
    pub(super) version: Option<String>,
    pub(super) object: Arc<V>,
}

impl<V> Clone for Shown<V> {
    fn clone(&self) -> Self {
        Self { version: self.version.clone(), object: Arc::clone(&self.object) }
    }
}

type Objects<V> = HashMap<ObjectKey, Shown<V>>;

/// A read handle of a [`Reflector`](crate::Reflector)'s copy. Clones show the same copy.
pub struct Lister<V> {
    objects: Arc<RwLock<Objects<V>>>,
    synced: Arc<watch::Sender<bool>>,
    /// The newest resource version shown so far by name and by term.
    newest: Arc<AtomicU64>,
}

impl<V> Clone for Lister<V> {
    fn clone(&self) -> Self {
        let (objects, synced) = (Arc::clone(&self.objects), Arc::clone(&self.synced));
        Self { objects, synced, newest: Arc::clone(&self.newest) }
    }
}

impl<V> Lister<V> {
    pub(super) fn new() -> Self {
        let synced = Arc::new(watch::Sender::new(false));
        Self { objects: Arc::default(), synced, newest: Arc::default() }
    }

    /// A lister of fixed objects, for tests of what reads one.
    pub fn of_objects(objects: impl IntoIterator<Item = V>) -> Self
    where
        V: Resource,
    {
        let lister = Self::new();
        let shown = |object: V| Shown { version: object.meta().resource_version.clone(), object: Arc::new(object) };
        lister.replace(objects.into_iter().map(|object| (ObjectKey::of(&object), shown(object))).collect());
        lister.mark_synced();
        lister
    }

    /// The object of this key.
    pub fn get(&self, key: &ObjectKey) -> Option<Arc<V>> {
        self.read(|objects| objects.get(key).map(|shown| Arc::clone(&shown.object)))
    }

    /// All objects, in no order.
    pub fn all(&self) -> Vec<Arc<V>> {
        self.read(|objects| objects.values().map(|shown| Arc::clone(&shown.object)).collect())
    }

    /// The objects that satisfy `wanted`, in no order.
    pub fn matching(&self, wanted: impl Fn(&V) -> bool) -> Vec<Arc<V>> {
        self.read(|objects| {
            objects.values().map(|shown| &shown.object).filter(|object| wanted(object)).cloned().collect()
        })
    }

    /// How many objects there are.
    pub fn len(&self) -> usize {
        self.read(HashMap::len)
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether what was written with this resource version, or before, is shown, by name and by term. Resource
    /// versions of one resource are numbers that grow with every write.
    pub fn shows_version(&self, version: u64) -> bool {
        self.newest.load(Ordering::Acquire) >= version
    }

    pub(super) fn show_version(&self, version: u64) {
        self.newest.fetch_max(version, Ordering::Release);
    }

    /// Waits for the first complete list.
    pub async fn synced(&self) {
        let mut receiver = self.synced.subscribe();
        // The sender lives in `self`, so the channel can't close.
        let _ = receiver.wait_for(|synced| *synced).await;
    }

    /// Whether the first complete list has arrived.
    pub fn is_synced(&self) -> bool {
        *self.synced.borrow()
    }

    pub(super) fn insert(&self, key: ObjectKey, object: Shown<V>) -> Option<Shown<V>> {
        self.write(|objects| objects.insert(key, object))
    }

    pub(super) fn remove(&self, key: &ObjectKey) -> Option<Shown<V>> {
        self.write(|objects| objects.remove(key))
    }

    pub(super) fn replace(&self, new: Objects<V>) -> Objects<V> {
        self.write(|objects| std::mem::replace(objects, new))
    }

    /// Returns whether this was the first time.
    pub(super) fn mark_synced(&self) -> bool {
        !self.synced.send_replace(true)
    }

    fn read<T>(&self, read: impl FnOnce(&Objects<V>) -> T) -> T {
        // No code of ours panics while it holds the lock, and the map is whole between any two statements.
        read(&self.objects.read().unwrap_or_else(PoisonError::into_inner))
    }

    fn write<T>(&self, write: impl FnOnce(&mut Objects<V>) -> T) -> T {
        write(&mut self.objects.write().unwrap_or_else(PoisonError::into_inner))
    }
}
