//! A store whose answers are timed, under the names that upstream gives its requests to etcd.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock};

use async_trait::async_trait;
use store::{Error, EventStream, Expect, KeyValue, Op, Revision, Snapshot, Store};
use tokio::time::Instant;

use super::{Histogram, Kind, Text};
use crate::watch_cache::ROOT;

/// Bounds of the durations, in seconds.
const SECONDS: &[f64] = &[
    0.005, 0.025, 0.05, 0.1, 0.2, 0.4, 0.6, 0.8, 1.0, 1.25, 1.5, 2.0, 3.0, 4.0, 5.0, 6.0, 8.0, 10.0, 15.0, 20.0, 30.0,
    45.0, 60.0,
];

/// Times, by operation and what follows the root in keys.
type Times = BTreeMap<&'static str, BTreeMap<Box<str>, Arc<Histogram>>>;

/// A timed store.
pub struct TimedStore {
    inner: Arc<dyn Store>,
    times: RwLock<Times>,
}

impl TimedStore {
    /// Times the answers of a store.
    pub fn new(inner: Arc<dyn Store>) -> Self {
        Self { inner, times: RwLock::default() }
    }

    fn note(&self, operation: &'static str, key: &str, since: Instant) {
        let seconds = since.elapsed().as_secs_f64();
        let below = key.strip_prefix(ROOT).unwrap_or(key);
        // A group has a dot; its resource is the next part.
        let first = below.find('/').unwrap_or(below.len());
        let more = below[..first].contains('.').then(|| below[first + 1..].find('/')).flatten();
        let resource = &below[..more.map_or(first, |more| first + 1 + more)];
        {
            let times = self.times.read().unwrap_or_else(PoisonError::into_inner);
            if let Some(histogram) = times.get(operation).and_then(|by_resource| by_resource.get(resource)) {
                return histogram.observe(seconds);
            }
        }
        let mut times = self.times.write().unwrap_or_else(PoisonError::into_inner);
        let by_resource = times.entry(operation).or_default();
        let histogram = by_resource.entry(resource.into()).or_insert_with(|| Arc::new(Histogram::new(SECONDS)));
        histogram.observe(seconds);
    }

    /// Writes the times.
    pub fn write_metrics(&self, text: &mut Text) {
        let name = "etcd_request_duration_seconds";
        let help = "[ALPHA] Etcd request latency in seconds for each operation and object type.";
        text.family(name, Kind::Histogram, help);
        let times = self.times.read().unwrap_or_else(PoisonError::into_inner);
        for (operation, by_resource) in times.iter() {
            for (resource, histogram) in by_resource {
                text.histogram(name, &[("operation", operation), ("type", resource)], histogram);
            }
        }
    }
}

#[async_trait]
impl Store for TimedStore {
    fn revision(&self) -> Revision {
        self.inner.revision()
    }

    async fn latest(&self) -> Result<Revision, Error> {
        self.inner.latest().await
    }

    fn keeps_time(&self) -> bool {
        self.inner.keeps_time()
    }

    async fn get(&self, key: &str) -> Result<Option<KeyValue>, Error> {
        let since = Instant::now();
        let outcome = self.inner.get(key).await;
        self.note("get", key, since);
        outcome
    }

    async fn list(&self, prefix: &str) -> Result<Snapshot, Error> {
        let since = Instant::now();
        let outcome = self.inner.list(prefix).await;
        self.note("list", prefix, since);
        outcome
    }

    async fn commit(&self, key: &str, expect: Expect, op: Op) -> Result<Revision, Error> {
        let operation = match (expect, &op) {
            (_, Op::Delete) => "delete",
            (Expect::Absent, Op::Put { .. }) => "create",
            (Expect::Revision(_), Op::Put { .. }) => "update",
        };
        let since = Instant::now();
        let outcome = self.inner.commit(key, expect, op).await;
        self.note(operation, key, since);
        outcome
    }

    async fn watch(&self, prefix: &str, after: Revision) -> Result<EventStream, Error> {
        self.inner.watch(prefix, after).await
    }

    async fn compact(&self, before: Revision) -> Result<(), Error> {
        self.inner.compact(before).await
    }

    async fn close(&self) -> Result<(), Error> {
        self.inner.close().await
    }
}
