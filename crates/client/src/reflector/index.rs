//! Finding objects of a copy by something other than their names.

use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, PoisonError, RwLock};

use super::{Change, ObjectKey};

/// The objects of a copy by a term, such as their controller's uid. Clones show the same index.
///
/// It is part of the copy: whoever is told of a change finds it here.
pub struct Index<V> {
    objects: Arc<RwLock<Terms<V>>>,
}

type Terms<V> = HashMap<String, BTreeMap<ObjectKey, Arc<V>>>;

impl<V> Clone for Index<V> {
    fn clone(&self) -> Self {
        Self { objects: Arc::clone(&self.objects) }
    }
}

/// The term of an object, none when it is not in the index, and its key.
pub type Term<V> = fn(&V) -> Option<(String, ObjectKey)>;

impl<V> Index<V> {
    pub(super) fn new() -> Self {
        Self { objects: Arc::default() }
    }

    /// The objects of a term, ordered by name.
    pub fn of(&self, term: &str) -> Vec<Arc<V>> {
        let objects = self.objects.read().unwrap_or_else(PoisonError::into_inner);
        objects.get(term).into_iter().flat_map(BTreeMap::values).cloned().collect()
    }

    pub(super) fn follow(&self, change: &Change<V>, term: Term<V>) {
        let (old, new) = match change {
            Change::Added(new) => (None, Some(new)),
            Change::Updated { old, new } => (Some(old), Some(new)),
            Change::Deleted(old) => (Some(old), None),
            Change::Synced => return,
        };
        let mut objects = self.objects.write().unwrap_or_else(PoisonError::into_inner);
        if let Some((term, key)) = old.and_then(|old| term(old)) {
            remove(&mut objects, term, &key);
        }
        if let Some((new, (term, key))) = new.and_then(|new| Some((new, term(new)?))) {
            objects.entry(term).or_default().insert(key, Arc::clone(new));
        }
    }
}

fn remove<V>(objects: &mut Terms<V>, term: String, key: &ObjectKey) {
    let Entry::Occupied(mut entry) = objects.entry(term) else { return };
    entry.get_mut().remove(key);
    if entry.get().is_empty() {
        entry.remove();
    }
}
