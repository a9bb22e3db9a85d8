//! What a controller wrote and its copies do not show yet.
//!
//! A pass that created objects must not be followed by one that does not see them: it would create them again. So a
//! pass waits until the copy is as new as the last creation (resource versions of a resource grow), and objects whose
//! deletion was accepted count as deleted from then on, whatever the copy says.

use std::collections::{HashMap, HashSet};
use std::hash::Hash;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use client::Lister;
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use tokio::time::Instant;

use crate::pod_facts::PodFacts;

/// A copy that was listed anew may have missed a creation and the deletion after it: nobody waits longer.
const PATIENCE: Duration = Duration::from_secs(30);

/// Writes by key of the controller.
#[derive(Debug)]
pub struct InFlight<K> {
    flights: Mutex<HashMap<K, Flight>>,
}

#[derive(Debug)]
struct Flight {
    version: u64,
    since: Instant,
    deleted: HashSet<String>,
}

impl<K> Default for InFlight<K> {
    fn default() -> Self {
        Self { flights: Mutex::default() }
    }
}

impl<K: Clone + Eq + Hash> InFlight<K> {
    /// An object was created or changed; this is what the server answered.
    pub fn wrote(&self, key: &K, metadata: &ObjectMeta) {
        let version = metadata.resource_version.as_deref().and_then(|version| version.parse().ok()).unwrap_or(0);
        let mut flights = self.lock();
        let flight = flights.entry(key.clone()).or_insert_with(Flight::new);
        flight.version = flight.version.max(version);
        flight.since = Instant::now();
    }

    /// The deletion of an object was accepted.
    pub fn deleted(&self, key: &K, uid: &str) {
        self.lock().entry(key.clone()).or_insert_with(Flight::new).deleted.insert(uid.to_owned());
    }

    /// How long to wait at most for the copy to show what was written; none when it does.
    pub fn wait<V>(&self, key: &K, copy: &Lister<V>) -> Option<Duration> {
        let flights = self.lock();
        let flight = flights.get(key).filter(|flight| !copy.shows_version(flight.version))?;
        PATIENCE.checked_sub(flight.since.elapsed()).filter(|left| !left.is_zero())
    }

    /// The uids whose deletion was accepted, of those still `shown`; the others are forgotten.
    pub fn being_deleted(&self, key: &K, shown: impl Fn(&str) -> bool) -> HashSet<String> {
        let mut flights = self.lock();
        let Some(flight) = flights.get_mut(key) else { return HashSet::new() };
        flight.deleted.retain(|uid| shown(uid));
        flight.deleted.clone()
    }

    /// The Pods as they will be: those whose deletion was accepted are being deleted.
    pub fn as_will_be(&self, key: &K, pods: Vec<Arc<PodFacts>>, now: Timestamp) -> Vec<Arc<PodFacts>> {
        let doomed = self.being_deleted(key, |uid| pods.iter().any(|pod| pod.uid == uid));
        let as_will_be = |pod: Arc<PodFacts>| {
            if pod.deleted_at.is_none() && doomed.contains(&pod.uid) {
                return Arc::new(PodFacts { deleted_at: Some(now), ..(*pod).clone() });
            }
            pod
        };
        pods.into_iter().map(as_will_be).collect()
    }

    /// The key is gone.
    pub fn forget(&self, key: &K) {
        self.lock().remove(key);
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<K, Flight>> {
        // Nothing panics while it holds the lock.
        self.flights.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Flight {
    fn new() -> Self {
        Self { version: 0, since: Instant::now(), deleted: HashSet::new() }
    }
}
