//! Requests, counted by what they are about.

use std::collections::HashMap;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use http::Method;
use http::header::CONTENT_TYPE;
use tokio::time::Instant;

use super::Histogram;
use crate::filters::request_info::RequestInfo;
use crate::registry::{self, Action};
use crate::request::Request;

/// Bounds of request durations, in seconds.
const SECONDS: &[f64] = &[
    0.005, 0.025, 0.05, 0.1, 0.2, 0.4, 0.6, 0.8, 1.0, 1.25, 1.5, 2.0, 3.0, 4.0, 5.0, 6.0, 8.0, 10.0, 15.0, 20.0, 30.0,
    45.0, 60.0,
];
/// Bounds of response sizes, in bytes.
const BYTES: &[f64] = &[1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9];
/// Paths besides resources that are counted, as upstream counts them.
const PATHS: [&str; 4] = ["/healthz", "/livez", "/readyz", "/metrics"];
const APPLY: [&str; 2] = ["application/apply-patch+yaml", "application/apply-patch+cbor"];

/// What a request is about, in words that cannot grow without bound.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct About {
    /// API group.
    pub group: &'static str,
    /// API version.
    pub version: &'static str,
    /// Resource, or empty.
    pub resource: &'static str,
    /// Subresource, or empty; the path where there is no resource.
    pub subresource: &'static str,
    /// `resource`, `namespace`, `cluster`, or empty.
    pub scope: &'static str,
    /// In capitals, with `APPLY`, `LIST`, `WATCH` and `CONNECT` told apart.
    pub verb: &'static str,
    /// `All`, or empty.
    pub dry_run: &'static str,
}

impl About {
    /// `None` for requests of things that do not exist.
    pub fn of(request: &Request) -> Option<Self> {
        let info = &request.info;
        let Some(at) = &info.resource else {
            let subresource = PATHS.into_iter().find(|path| *path == info.path)?;
            let none = ("", "", "");
            let (group, version, resource) = none;
            let verb = if request.method == Method::GET { "GET" } else { "" };
            return Some(Self { group, version, resource, subresource, scope: "", verb, dry_run: "" });
        };
        let resource = registry::lookup(&at.group, &at.version, &at.resource)?;
        let subresources = &resource.info.subresources;
        let subresource = match at.subresource.as_str() {
            "" => "",
            name => subresources.iter().find(|info| info.name == name)?.name,
        };
        let connects = matches!(resource.action(subresource), Some(Action::Node(_) | Action::Proxy));
        let applies = || {
            let kind = request.header(&CONTENT_TYPE).unwrap_or_default();
            APPLY.iter().any(|apply| kind.starts_with(apply))
        };
        Some(Self {
            group: resource.info.gvk.group,
            version: resource.info.gvk.version,
            resource: resource.info.plural,
            subresource,
            scope: scope(info),
            verb: if connects && subresource != "log" { "CONNECT" } else { verb(&info.verb, applies) },
            dry_run: if request.query.get("dryRun") == Some("All") { "All" } else { "" },
        })
    }
}

fn scope(info: &RequestInfo) -> &'static str {
    match &info.resource {
        Some(at) if !at.name.is_empty() || info.verb == "create" => "resource",
        Some(at) if !at.namespace.is_empty() => "namespace",
        Some(_) => "cluster",
        None => "",
    }
}

fn verb(verb: &str, applies: impl FnOnce() -> bool) -> &'static str {
    match verb {
        "get" => "GET",
        "list" => "LIST",
        "watch" => "WATCH",
        "create" => "POST",
        "update" => "PUT",
        "patch" if applies() => "APPLY",
        "patch" => "PATCH",
        "delete" => "DELETE",
        "deletecollection" => "DELETECOLLECTION",
        _ => "other",
    }
}

/// What was counted of one kind of request.
#[derive(Debug)]
pub struct Series {
    /// By status code.
    codes: RwLock<Vec<(u16, AtomicU64)>>,
    /// How long they took.
    pub duration: Histogram,
    /// How long their answers were.
    pub size: Histogram,
    /// How many that take as long as they like are under way.
    pub running: AtomicI64,
    /// Watch events sent, and how long they were.
    pub events: Histogram,
}

/// Bounds of watch events' sizes, in bytes.
const EVENT_BYTES: &[f64] = &[1024.0, 2048.0, 4096.0, 8192.0, 16384.0, 32768.0, 65536.0, 131_072.0];

impl Series {
    fn new() -> Self {
        Self {
            codes: RwLock::default(),
            duration: Histogram::new(SECONDS),
            size: Histogram::new(BYTES),
            running: AtomicI64::new(0),
            events: Histogram::new(EVENT_BYTES),
        }
    }

    fn count(&self, code: u16) {
        {
            let codes = self.codes.read().unwrap_or_else(PoisonError::into_inner);
            if let Some((_, count)) = codes.iter().find(|(known, _)| *known == code) {
                count.fetch_add(1, Ordering::Relaxed);
                return;
            }
        }
        let mut codes = self.codes.write().unwrap_or_else(PoisonError::into_inner);
        match codes.iter().find(|(known, _)| *known == code) {
            Some((_, count)) => _ = count.fetch_add(1, Ordering::Relaxed),
            None => codes.push((code, AtomicU64::new(1))),
        }
    }

    /// How many ended with each status code.
    pub fn codes(&self) -> Vec<(u16, u64)> {
        let codes = self.codes.read().unwrap_or_else(PoisonError::into_inner);
        codes.iter().map(|(code, count)| (*code, count.load(Ordering::Relaxed))).collect()
    }

    fn end(&self, code: u16, took: Duration) {
        self.count(code);
        self.duration.observe(took.as_secs_f64());
    }
}

/// All requests.
#[derive(Debug, Default)]
pub struct Requests {
    series: RwLock<HashMap<About, Arc<Series>>>,
    /// Requests under way that only read, and that write.
    pub in_flight: [AtomicI64; 2],
    /// The same of those that were refused for want of room.
    pub dropped: [AtomicU64; 2],
}

impl Requests {
    /// The counters of one kind of request.
    pub fn series(&self, about: About) -> Arc<Series> {
        {
            let series = self.series.read().unwrap_or_else(PoisonError::into_inner);
            if let Some(known) = series.get(&about) {
                return Arc::clone(known);
            }
        }
        let mut series = self.series.write().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(series.entry(about).or_insert_with(|| Arc::new(Series::new())))
    }

    /// All counters, in a lasting order.
    pub fn all(&self) -> Vec<(About, Arc<Series>)> {
        let series = self.series.read().unwrap_or_else(PoisonError::into_inner);
        let mut all: Vec<_> = series.iter().map(|(about, series)| (*about, Arc::clone(series))).collect();
        all.sort_by_key(|(about, _)| *about);
        all
    }
}

/// A request that takes as long as it likes: counted when this is dropped.
#[derive(Debug)]
pub struct Running {
    series: Arc<Series>,
    code: u16,
    since: Instant,
}

impl Running {
    /// From now on it runs.
    pub fn new(series: Arc<Series>, code: u16, since: Instant) -> Self {
        series.running.fetch_add(1, Ordering::Relaxed);
        Self { series, code, since }
    }

    /// A part of its answer was sent.
    pub fn sent(&self, bytes: usize) {
        self.series.events.observe(bytes as f64);
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.series.running.fetch_sub(1, Ordering::Relaxed);
        self.series.end(self.code, self.since.elapsed());
    }
}

/// Notes the end of any other request.
pub fn ended(series: &Series, about: &About, code: u16, took: Duration, bytes: Option<u64>) {
    series.end(code, took);
    if matches!(about.verb, "GET" | "LIST")
        && let Some(bytes) = bytes
    {
        series.size.observe(bytes as f64);
    }
}

/// Whether a request writes, in the terms of `apiserver_current_inflight_requests`.
pub fn is_mutating(info: &RequestInfo) -> bool {
    !matches!(info.verb.as_str(), "get" | "list" | "watch")
}
