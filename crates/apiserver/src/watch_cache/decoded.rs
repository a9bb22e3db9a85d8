//! The objects of a small resource as their type: what the server itself reads over and over, such as roles.

use std::sync::{Arc, OnceLock, PoisonError, RwLock};

use api::Kind;

use super::{Entry, WatchCache};

/// The objects of one resource, decoded when first looked at and again only after they change.
#[derive(Debug)]
pub struct Decoded<K> {
    cache: Arc<WatchCache>,
    held: RwLock<Held<K>>,
}

#[derive(Debug)]
struct Held<K> {
    /// What [`WatchCache::changes`] was when these were current.
    changes: u64,
    objects: Arc<[Arc<Item<K>>]>,
}

/// One object.
#[derive(Debug)]
pub struct Item<K> {
    /// `namespace/name`, or `name`.
    pub key: Arc<str>,
    entry: Arc<Entry>,
    object: OnceLock<Option<K>>,
}

impl<K: Kind> Item<K> {
    /// The object; `None` when its bytes are not one of this kind.
    pub fn object(&self) -> Option<&K> {
        self.object.get_or_init(|| serde_json::from_slice(&self.entry.object()).ok()).as_ref()
    }
}

impl<K: Kind> Decoded<K> {
    /// The objects in a cache, which must be of this kind.
    pub fn new(cache: Arc<WatchCache>) -> Self {
        Self { cache, held: RwLock::new(Held { changes: u64::MAX, objects: Arc::new([]) }) }
    }

    /// All objects as they are now, in key order.
    pub fn all(&self) -> Arc<[Arc<Item<K>>]> {
        let current = self.cache.changes();
        {
            let held = self.held.read().unwrap_or_else(PoisonError::into_inner);
            if held.changes == current {
                return Arc::clone(&held.objects);
            }
        }
        let mut held = self.held.write().unwrap_or_else(PoisonError::into_inner);
        let (changes, entries) = self.cache.entries();
        if held.changes != changes {
            let present = entries.into_iter().map(|(key, entry)| held.item(key, entry)).collect();
            *held = Held { changes, objects: present };
        }
        Arc::clone(&held.objects)
    }

    /// One object.
    pub fn get(&self, key: &str) -> Option<Arc<Item<K>>> {
        let all = self.all();
        let position = all.binary_search_by(|item| item.key.as_ref().cmp(key)).ok()?;
        Some(Arc::clone(&all[position]))
    }
}

impl<K> Held<K> {
    /// An item that is still good, or a new one.
    fn item(&self, key: Arc<str>, entry: Arc<Entry>) -> Arc<Item<K>> {
        let known =
            self.objects.binary_search_by(|item| item.key.cmp(&key)).ok().map(|position| &self.objects[position]);
        match known {
            Some(item) if Arc::ptr_eq(&item.entry, &entry) => Arc::clone(item),
            _ => Arc::new(Item { key, entry, object: OnceLock::new() }),
        }
    }
}

/// The objects of one namespace.
pub fn in_namespace<'a, K>(all: &'a [Arc<Item<K>>], namespace: &str) -> &'a [Arc<Item<K>>] {
    // What follows the namespace decides where a key stands: `a-b/x` comes before `a/x`, and `0` follows `/`.
    let (low, high) = (format!("{namespace}/"), format!("{namespace}0"));
    let start = all.partition_point(|item| item.key.as_ref() < low.as_str());
    let end = all.partition_point(|item| item.key.as_ref() < high.as_str());
    &all[start..end]
}
