//! What nodes and their Pods use right now: the difference of two readings of a node's counters.
//!
//! Nothing is read until somebody asks. The reading before serves as the beginning of the window if it is not too old;
//! otherwise the counters are read twice, a second apart.

mod summary;

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use crate::api_server::Server;
use crate::error::Error;
use crate::node_proxy;

pub use summary::Reading;
use summary::{PodKey, Scrape};

/// The shortest window that says something.
const MIN_WINDOW: SignedDuration = SignedDuration::from_secs(1);
/// A window longer than this says nothing about now.
const MAX_WINDOW: SignedDuration = SignedDuration::from_secs(90);
/// Counters only; disks are not looked at.
const PATH: &str = "/stats/summary?only_cpu_and_memory=true";

/// The readings kept for each node that was asked about.
#[derive(Default)]
pub struct NodeUsages {
    nodes: Mutex<HashMap<String, Arc<tokio::sync::Mutex<History>>>>,
}

/// The readings a window is between.
#[derive(Debug, Default)]
struct History {
    base: Option<Arc<Scrape>>,
    latest: Option<Arc<Scrape>>,
}

impl History {
    /// Takes a new reading. What was the latest begins the next window, unless it is too close.
    fn add(&mut self, scrape: Arc<Scrape>) {
        let distance = |earlier: &Scrape| scrape.node.time.duration_since(earlier.node.time);
        if self.latest.as_deref().is_some_and(|latest| distance(latest) >= MIN_WINDOW) {
            self.base = self.latest.take();
        }
        self.latest = Some(scrape);
    }

    /// The window up to the latest reading, if there is a fit one.
    fn window(&self) -> Option<Window> {
        let (base, latest) = (self.base.clone()?, self.latest.clone()?);
        let length = latest.node.time.duration_since(base.node.time);
        (MIN_WINDOW..=MAX_WINDOW).contains(&length).then_some(Window { base, latest })
    }
}

/// Two readings of one node.
#[derive(Debug, Clone)]
pub struct Window {
    base: Arc<Scrape>,
    latest: Arc<Scrape>,
}

/// What something used during a window.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Used {
    /// CPU time per time: a billion is one core.
    pub cpu_nanocores: u64,
    /// Memory that could not be reclaimed, at the end.
    pub memory_bytes: u64,
    /// The window's end.
    pub at: Timestamp,
    /// Its length.
    pub window: SignedDuration,
}

impl Window {
    /// What the node used as a whole.
    pub fn node(&self) -> Option<Used> {
        used(Some(&self.base.node), &self.latest.node)
    }

    /// What the containers of a Pod used; nothing when one of them has not been measured for long enough.
    pub fn pod(&self, namespace: &str, name: &str) -> Option<BTreeMap<String, Used>> {
        let key = PodKey { namespace: namespace.to_owned(), name: name.to_owned() };
        let before = self.base.pods.get(&key);
        let containers = self.latest.pods.get(&key)?.iter();
        let measured = containers.map(|(name, reading)| {
            let base = before.and_then(|containers| containers.get(name));
            used(base, reading).map(|used| (name.clone(), used))
        });
        measured.collect::<Option<BTreeMap<_, _>>>().filter(|containers| !containers.is_empty())
    }
}

/// The use between two readings. A container that started in between is measured from its start.
fn used(base: Option<&Reading>, latest: &Reading) -> Option<Used> {
    let same_run = base.filter(|base| base.cpu_nanoseconds <= latest.cpu_nanoseconds && base.started >= latest.started);
    let (from, cpu) = match same_run {
        Some(base) => (base.time, base.cpu_nanoseconds),
        None => (latest.started?, 0),
    };
    let window = latest.time.duration_since(from);
    let nanoseconds = u128::try_from(window.as_nanos()).ok().filter(|nanoseconds| *nanoseconds > 0)?;
    let spent = u128::from(latest.cpu_nanoseconds - cpu);
    Some(Used {
        cpu_nanocores: u64::try_from(spent * 1_000_000_000 / nanoseconds).unwrap_or(u64::MAX),
        memory_bytes: latest.memory_bytes,
        at: latest.time,
        window,
    })
}

/// The use of a node and its Pods at this moment.
///
/// # Errors
/// [`Error::Internal`] when its kubelet does not answer.
pub async fn measure(server: &Server, node: &str) -> Result<Window, Error> {
    let history = {
        let mut nodes = server.usage.nodes.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(nodes.entry(node.to_owned()).or_default())
    };
    let mut history = history.lock().await;
    history.add(scrape(server, node).await?);
    if let Some(window) = history.window() {
        return Ok(window);
    }
    // A little more than the shortest window, which the kubelet's clock decides.
    tokio::time::sleep(Duration::from_millis(1010)).await;
    history.add(scrape(server, node).await?);
    let failed = || Error::Internal(format!("the kubelet of {node} does not measure what it runs"));
    history.window().ok_or_else(failed)
}

async fn scrape(server: &Server, node: &str) -> Result<Arc<Scrape>, Error> {
    let text = node_proxy::fetch(server, node, PATH).await?;
    let scrape = Scrape::parse(&text);
    scrape.map(Arc::new).map_err(|error| Error::Internal(format!("reading the stats of {node}: {error}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reading(time: i64, cpu_seconds: u64, started: i64) -> Reading {
        let at = |seconds| Timestamp::from_second(seconds).expect("in range");
        Reading {
            time: at(time),
            cpu_nanoseconds: cpu_seconds * 1_000_000_000,
            memory_bytes: 7,
            started: Some(at(started)),
        }
    }

    #[test]
    fn use_is_the_difference_of_two_readings() {
        let check = |base: Option<Reading>, latest: Reading, nanocores: u64, window: i64| {
            let used = used(base.as_ref(), &latest).expect("measured");
            assert_eq!((used.cpu_nanocores, used.window.as_secs()), (nanocores, window));
        };
        check(Some(reading(100, 10, 0)), reading(110, 15, 0), 500_000_000, 10);
        // Started in between, and started again in between.
        check(None, reading(110, 1, 108), 500_000_000, 2);
        check(Some(reading(100, 10, 0)), reading(110, 1, 109), 1_000_000_000, 1);
        assert_eq!(used(None, &Reading { started: None, ..reading(1, 1, 0) }), None);
    }

    #[test]
    fn windows_are_neither_short_nor_stale() {
        let scrape = |time| Arc::new(Scrape { node: reading(time, 0, 0), pods: BTreeMap::new() });
        let mut history = History::default();
        let window = |history: &History| {
            history.window().map(|window| window.latest.node.time.duration_since(window.base.node.time).as_secs())
        };
        for (time, expected) in [(100, None), (101, Some(1)), (101, Some(1)), (130, Some(29)), (300, None)] {
            history.add(scrape(time));
            assert_eq!(window(&history), expected, "at {time}");
        }
    }
}
