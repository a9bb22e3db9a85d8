//! The audit log: who asked for what, when, and what came of it. How much of it is told, a policy decides.
//!
//! Each request that the policy wants to see becomes a [`Record`], which writes one event per stage it passes. Without a
//! policy there is no record, and requests cost nothing more.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use http::HeaderMap;
use http::header::USER_AGENT;
use jiff::Timestamp;
use platform::clock::SharedClock;
use serde_json::Value;
use tracing::error;

mod bodies;
mod event;
pub mod log;
pub mod policy;

use crate::filters::request_info::RequestInfo;
use crate::identity::UserInfo;
use crate::metrics::{Kind, Text};
use crate::request::{Request, Response};
use crate::status::Status;
use event::{Event, ObjectReference, ResponseStatus, User};
use log::Log;
use policy::{Decision, Level, Policy, Stage};

/// Longer names of clients are cut.
const MAX_USER_AGENT: usize = 1024;

/// A policy with the log it fills.
#[derive(Debug)]
pub struct Audit {
    policy: Policy,
    log: Log,
    events: AtomicU64,
    failed: AtomicU64,
    levels: [AtomicU64; 4],
}

/// What admission and authorization add to a request's events.
#[derive(Debug, Clone, Default)]
pub struct Annotations(Option<Arc<Mutex<BTreeMap<String, String>>>>);

impl Annotations {
    /// Those that nobody reads.
    pub const UNREAD: &'static Self = &Self(None);

    /// Adds a note, if anybody reads it; the first one with a key stands.
    pub fn add(&self, key: &str, value: impl FnOnce() -> String) {
        if let Some(notes) = &self.0 {
            let mut notes = notes.lock().unwrap_or_else(PoisonError::into_inner);
            notes.entry(key.to_owned()).or_insert_with(value);
        }
    }

    fn all(&self) -> BTreeMap<String, String> {
        let notes = self.0.as_ref().map(|notes| notes.lock().unwrap_or_else(PoisonError::into_inner).clone());
        notes.unwrap_or_default()
    }
}

impl Audit {
    /// A log that is filled by a policy.
    pub fn new(policy: Policy, log: Log) -> Self {
        let (events, failed) = (AtomicU64::new(0), AtomicU64::new(0));
        Self { policy, log, events, failed, levels: Default::default() }
    }

    /// Begins to tell of a request, if the policy wants it.
    pub fn begin(self: &Arc<Self>, clock: &SharedClock, asked: &Asked<'_>) -> Option<Record> {
        let decision = self.policy.decide(asked.user, asked.info);
        self.levels[decision.level as usize].fetch_add(1, Ordering::Relaxed);
        if decision.level == Level::None {
            return None;
        }
        let annotations = Annotations(Some(Arc::default()));
        let event = asked.event(decision.level);
        let record = Record {
            audit: Arc::clone(self),
            clock: Arc::clone(clock),
            long: asked.info.is_long_running(),
            stages_left: true,
            decision,
            annotations,
            event,
        };
        record.write(Stage::RequestReceived, asked.received);
        Some(record)
    }

    /// Writes the counters.
    pub fn write_metrics(&self, text: &mut Text) {
        let name = "apiserver_audit_event_total";
        let help = "[ALPHA] Counter of audit events generated and sent to the audit backend.";
        text.family(name, Kind::Counter, help);
        text.sample(name, &[], self.events.load(Ordering::Relaxed));
        let name = "apiserver_audit_error_total";
        let help = "[ALPHA] Counter of audit events that failed to be audited properly. Plugin identifies the plugin \
                    affected by the error.";
        text.family(name, Kind::Counter, help);
        text.sample(name, &[("plugin", "log")], self.failed.load(Ordering::Relaxed));
        let name = "apiserver_audit_level_total";
        text.family(name, Kind::Counter, "[ALPHA] Counter of policy levels for audit events (1 per request).");
        for level in Level::ALL {
            text.sample(name, &[("level", level.name())], self.levels[level as usize].load(Ordering::Relaxed));
        }
    }
}

/// Where a request came from.
#[derive(Debug, Clone, Copy)]
pub struct RemoteAddress(pub IpAddr);

/// What is known of a request when it comes.
#[derive(Debug)]
pub struct Asked<'a> {
    /// Its id.
    pub id: &'a str,
    /// When it came.
    pub received: Timestamp,
    /// What it is about.
    pub info: &'a RequestInfo,
    /// Path and query.
    pub uri: &'a str,
    /// Who asks.
    pub user: &'a UserInfo,
    /// Its headers.
    pub headers: &'a HeaderMap,
    /// Where it came from; `None` from within this process.
    pub remote: Option<RemoteAddress>,
}

impl Asked<'_> {
    fn event(&self, level: Level) -> Event {
        let text = |name: &str| self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let mut agent = text(USER_AGENT.as_str()).to_owned();
        if agent.len() > MAX_USER_AGENT {
            agent.truncate(MAX_USER_AGENT); // a header's text is ASCII
            agent.push_str("...TRUNCATED");
        }
        Event {
            level: level.name(),
            audit_id: self.id.to_owned(),
            request_uri: self.uri.to_owned(),
            verb: self.info.verb.clone(),
            user: User::of(self.user),
            source_ips: self.source_ips(&text),
            user_agent: agent,
            object_ref: self.info.resource.as_ref().map(ObjectReference::of),
            received: event::micros(self.received),
            ..Event::default()
        }
    }

    /// Where the request came from by its own account, then where it did.
    fn source_ips<'h>(&self, header: &impl Fn(&str) -> &'h str) -> Vec<String> {
        let parse = |text: &str| text.trim().parse::<IpAddr>().ok();
        let mut all: Vec<_> = header("x-forwarded-for").split(',').filter_map(parse).collect();
        let real = parse(header("x-real-ip")).filter(|address| !all.contains(address));
        all.extend(real);
        let remote = self.remote.map_or(IpAddr::from([127, 0, 0, 1]), |remote| remote.0);
        if all.last() != Some(&remote) {
            all.push(remote);
        }
        all.iter().map(ToString::to_string).collect()
    }
}

/// A request that is told of.
pub struct Record {
    audit: Arc<Audit>,
    clock: SharedClock,
    decision: Decision,
    long: bool,
    /// Whether its end is still to be told.
    stages_left: bool,
    annotations: Annotations,
    event: Event,
}

impl Record {
    /// Where others add their notes.
    pub fn annotations(&self) -> Annotations {
        self.annotations.clone()
    }

    /// The caller acts as somebody else.
    pub fn impersonated(&mut self, user: &UserInfo) {
        self.event.impersonated_user = Some(User::of(user));
    }

    /// Whether the body of the request is to be told.
    pub fn wants_request(&self, request: &Request) -> bool {
        let writes =
            matches!(request.info.verb.as_str(), "create" | "update" | "patch" | "delete" | "deletecollection");
        self.decision.level >= Level::Request && request.info.resource.is_some() && writes && !self.long
    }

    /// The body of the request.
    pub fn request(&mut self, body: &[u8], content_type: &str) {
        let object = if body.is_empty() { None } else { bodies::json(body, content_type) };
        if let (Some(object), Some(at)) = (&object, &mut self.event.object_ref) {
            at.complete(object);
        }
        self.event.request_object = object.map(|object| self.strip(object));
    }

    /// The answer is there: for a request with an end, this is it.
    pub fn answered(&mut self, response: &Response, status: Option<&Status>) {
        if !self.stages_left {
            return; // it panicked
        }
        let told = ResponseStatus::of(status, response.status().as_u16());
        self.event.response_status = Some(told);
        if self.decision.level >= Level::RequestResponse && self.event.object_ref.is_some() && !self.long {
            self.event.response_object = bodies::of_response(response).map(|object| self.strip(object));
        }
        if self.long {
            self.write(Stage::ResponseStarted, self.clock.now());
        } else {
            self.end(Stage::ResponseComplete);
        }
    }

    /// The handler panicked.
    pub fn panicked(&mut self) {
        self.event.response_status = Some(ResponseStatus::of_panic());
        self.end(Stage::Panic);
    }

    fn end(&mut self, stage: Stage) {
        if std::mem::take(&mut self.stages_left) {
            self.write(stage, self.clock.now());
        }
    }

    fn strip(&self, mut object: Value) -> Value {
        if self.decision.omit_managed_fields {
            bodies::strip_managed_fields(&mut object);
        }
        object
    }

    fn write(&self, stage: Stage, at: Timestamp) {
        if self.decision.omits(stage) {
            return;
        }
        self.audit.events.fetch_add(1, Ordering::Relaxed);
        let line = self.event.line(stage, at, &self.annotations.all());
        if let Err(error) = self.audit.log.write(&line, at) {
            self.audit.failed.fetch_add(1, Ordering::Relaxed);
            error!(%error, "writing the audit log");
        }
    }
}

impl Drop for Record {
    /// A request that takes as long as it likes ends when its record does.
    fn drop(&mut self) {
        if self.event.response_status.is_none() {
            self.event.response_status = Some(ResponseStatus::closed_early());
        }
        self.end(Stage::ResponseComplete);
    }
}
