//! `watch`: a stream of changes. Events are encoded once and shared by all watchers that want them in the same form.

use std::sync::Arc;
use std::time::Duration;

use api::protobuf::{body, watch_event};
use bytes::Bytes;
use futures::StreamExt;
use http::StatusCode;
use http::header::CONTENT_TYPE;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::error;

use super::Target;
use super::forms::{self, ListMeta};
use super::options::ListOptions;
use crate::api_server::Server;
use crate::body::Body;
use crate::error::Error;
use crate::negotiate::{self, Accepted, Form, STREAM_MEDIA_TYPES, Syntax};
use crate::protobuf;
use crate::registry::Kept;
use crate::request::{Request, Response};
use crate::status::Status;
use crate::table::write::Headers;
use crate::watch_cache::{Backlog, CLOSING, Delivery, Entry, EventKind, Gone, Subscription, Waiting, WatchStart, wrap};
use crate::websocket::{Messages, WebSocket};

/// How often a watch tells how far it is, if the client wants to know.
const BOOKMARK_INTERVAL: Duration = Duration::from_secs(60);
/// The last bookmark comes so long before a watch ends.
const LAST_BOOKMARK: Duration = Duration::from_secs(2);
/// So many events of the snapshot are sent at a time.
const SNAPSHOT_BATCH: usize = 64;

/// Starts a watch.
///
/// # Errors
/// Options that make no sense. History that is gone is told in the stream.
pub async fn watch(target: Target<'_>, request: Request) -> Result<Response, Error> {
    let options = ListOptions::parse(&target, &request.query, true)?;
    let accepted = negotiate::negotiate(&request.headers, &request.query, STREAM_MEDIA_TYPES, true)?;
    let content_type = accepted.stream_content_type()?;
    let mut request = request;
    let messages = if accepted.syntax == Syntax::Protobuf { Messages::Framed } else { Messages::Lines };
    let socket = WebSocket::of(&mut request, &[("", messages)])?;
    let subscription = subscribe(&target, &options).await?;
    let body = match subscription {
        Ok(subscription) => {
            let stream = WatchStream::new(&target, accepted, &options, subscription);
            let frames = futures::stream::unfold(stream, |mut stream| async move {
                let frame = stream.next().await?;
                Some((Ok(frame), stream))
            });
            Body::Stream(frames.boxed())
        }
        Err(gone) => Body::from(expired(accepted.syntax, options.revision.unwrap_or_default(), gone)?),
    };
    if let Some(socket) = socket {
        return Ok(socket.carry(body));
    }
    let mut response = Response::new(body);
    *response.status_mut() = StatusCode::OK;
    response.headers_mut().insert(CONTENT_TYPE, content_type);
    Ok(response)
}

/// Starts at what the cache shows, without a question to the store, unless the client wants to begin with the newest
/// state or names a revision that the cache has not seen yet.
async fn subscribe(target: &Target<'_>, options: &ListOptions) -> Result<Result<Subscription, Gone>, Error> {
    let caches = &target.server.caches;
    let requested = options.revision.filter(|revision| *revision > 0);
    let start = match (requested, options.send_initial_events) {
        (_, Some(true)) => WatchStart::Snapshot,
        (None, Some(false)) => WatchStart::Now,
        (None, None) => WatchStart::Snapshot,
        (Some(revision), _) => WatchStart::After(revision),
    };
    match requested {
        Some(requested) if requested > caches.applied() => {
            let current = target.server.store.latest().await?.0;
            if requested > current {
                // A revision of a store that is no more: the client has to list again.
                return Ok(Err(Gone { oldest: current, current }));
            }
            caches.reached(requested).await;
        }
        None if start == WatchStart::Snapshot
            && options.revision.is_none()
            && options.send_initial_events.is_some() =>
        {
            caches.fresh().await?;
        }
        _ => {}
    }
    if let WatchStart::After(revision) = start
        && !caches.reach_back(revision).await
    {
        let current = caches.applied();
        return Ok(Err(Gone { oldest: current, current }));
    }
    Ok(target.kept.cache.subscribe(options.filter.clone(), start))
}

/// The only event of a watch that cannot start.
fn expired(syntax: Syntax, requested: u64, gone: Gone) -> Result<Bytes, Error> {
    let message = format!("too old resource version: {requested} ({})", gone.oldest);
    let status = Status::from(&Error::Expired { message, continue_token: None });
    if syntax == Syntax::Protobuf {
        return Ok(watch_event("ERROR", &protobuf::object(&status.to_json())?).into());
    }
    Ok([br#"{"type":"ERROR","object":"#.as_slice(), &status.to_json(), CLOSING.as_bytes()].concat().into())
}

/// A running watch.
struct WatchStream {
    server: Arc<Server>,
    kept: Arc<Kept>,
    form: Form,
    syntax: Syntax,
    /// Whether the next table carries its columns.
    columns_due: bool,
    backlog: Backlog,
    /// The bookmark that ends the snapshot, when the client asked for it.
    snapshot_bookmark: Option<u64>,
    start_revision: u64,
    next_bookmark: Option<Instant>,
    /// A bookmark that waits for deliveries which came before it.
    pending_bookmark: Option<u64>,
    ends_at: Instant,
    shutdown: CancellationToken,
}

/// What a watch waits for.
enum Wake {
    Delivery(Option<Delivery>),
    Bookmark,
    End,
}

impl WatchStream {
    fn new(target: &Target<'_>, accepted: Accepted, options: &ListOptions, subscription: Subscription) -> Self {
        let now = Instant::now();
        let least = target.server.limits.min_request_timeout.as_secs();
        let jitter = target.server.random.bits() % least.max(1);
        let timeout = Duration::from_secs(options.timeout_seconds.unwrap_or(least + jitter));
        let ends_at = now.checked_add(timeout).unwrap_or(now + BOOKMARK_INTERVAL);
        let bookmark_first = options.bookmarks && options.send_initial_events == Some(true);
        Self {
            server: Arc::clone(target.server),
            kept: Arc::clone(target.kept),
            form: accepted.form,
            syntax: accepted.syntax,
            columns_due: true,
            backlog: subscription.backlog,
            snapshot_bookmark: bookmark_first.then_some(subscription.revision),
            start_revision: subscription.revision,
            next_bookmark: if options.bookmarks { next_bookmark(now, ends_at, true) } else { None },
            pending_bookmark: None,
            ends_at,
            shutdown: target.server.shutdown.clone(),
        }
    }

    /// The next bytes to send; `None` when the watch is over.
    async fn next(&mut self) -> Option<Bytes> {
        loop {
            let entries = self.backlog.snapshot(SNAPSHOT_BATCH);
            if !entries.is_empty() {
                return self.snapshot_frames(entries);
            }
            if let Some(revision) = self.snapshot_bookmark.take() {
                return self.bookmark(revision, true);
            }
            if let Some(delivery) = self.backlog.replay() {
                return self.frame(&delivery);
            }
            if self.pending_bookmark.is_some() {
                match self.backlog.take() {
                    Waiting::Delivery(delivery) => {
                        if let Some(frame) = self.fresh_frame(&delivery) {
                            return Some(frame);
                        }
                        continue;
                    }
                    Waiting::Nothing => {
                        let revision = self.pending_bookmark.take()?;
                        return self.bookmark(revision, false);
                    }
                    Waiting::Over => return None,
                }
            }
            match self.wait().await {
                Wake::Delivery(None) | Wake::End => return None,
                Wake::Delivery(Some(delivery)) => {
                    if let Some(frame) = self.fresh_frame(&delivery) {
                        return Some(frame);
                    }
                }
                Wake::Bookmark => {
                    // Everything up to this revision is in the channel by now.
                    self.pending_bookmark = Some(self.server.caches.applied());
                    self.next_bookmark = next_bookmark(Instant::now(), self.ends_at, false);
                }
            }
        }
    }

    async fn wait(&mut self) -> Wake {
        let bookmark = async {
            match self.next_bookmark {
                Some(at) => tokio::time::sleep_until(at).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            delivery = self.backlog.next() => Wake::Delivery(delivery),
            () = bookmark => Wake::Bookmark,
            () = tokio::time::sleep_until(self.ends_at) => Wake::End,
            () = self.shutdown.cancelled() => Wake::End,
        }
    }

    /// The event of a delivery that is not part of the start.
    fn fresh_frame(&mut self, delivery: &Delivery) -> Option<Bytes> {
        if delivery.event.revision <= self.start_revision { None } else { self.frame(delivery) }
    }

    fn snapshot_frames(&mut self, entries: Vec<Arc<Entry>>) -> Option<Bytes> {
        let mut frames = Vec::with_capacity(entries.len());
        for entry in entries {
            frames.push(match (self.form, self.syntax) {
                (Form::Object, Syntax::Protobuf) if !self.kept.is_view() => self.message(EventKind::Added, &entry)?,
                (Form::Object, _) if !self.kept.is_view() => entry.frame(EventKind::Added),
                _ => {
                    let object = self.represent(&entry.object(), entry.revision)?;
                    self.wrap(EventKind::Added, &object)?
                }
            });
        }
        match frames.as_slice() {
            [only] => Some(only.clone()),
            _ => Some(frames.concat().into()),
        }
    }

    /// The bytes of a change, from the cache of encodings where they do not depend on this watch.
    fn frame(&mut self, delivery: &Delivery) -> Option<Bytes> {
        let Delivery { event, kind } = delivery;
        let prefix = &self.kept.cache.prefix;
        if self.form == Form::Object && self.syntax != Syntax::Protobuf && !self.kept.is_view() {
            return Some(match (&event.current, kind) {
                (Some(entry), EventKind::Added | EventKind::Modified) => entry.frame(*kind),
                _ => event.encoded(Form::Object.id(), *kind, || wrap(*kind, &event.object(*kind, prefix))),
            });
        }
        if self.columns_due && matches!(self.form, Form::Table(_)) {
            let object = self.represent(&event.object(*kind, prefix), event.revision)?;
            return self.wrap(*kind, &object);
        }
        let mut representation = self.form.id() | if self.kept.is_view() { VIEW } else { 0 };
        if self.syntax == Syntax::Protobuf {
            representation |= PROTOBUF;
        }
        let bytes = event.encoded(representation, *kind, || self.encode(delivery).unwrap_or_default());
        (!bytes.is_empty()).then_some(bytes)
    }

    /// The bytes of a change, for all watches of this form and syntax.
    fn encode(&mut self, delivery: &Delivery) -> Option<Bytes> {
        let Delivery { event, kind } = delivery;
        if self.form == Form::Object
            && !self.kept.is_view()
            && let (Some(entry), EventKind::Added | EventKind::Modified) = (&event.current, kind)
        {
            return self.message(*kind, entry); // only protobuf comes here
        }
        let object = self.represent(&event.object(*kind, &self.kept.cache.prefix), event.revision)?;
        self.wrap(*kind, &object)
    }

    /// The event of a kind in protobuf, about an object as it is stored.
    fn message(&self, kind: EventKind, entry: &Entry) -> Option<Bytes> {
        let message = self.kept.structure().and_then(|structure| entry.message(structure));
        let message = message.inspect_err(|error| error!(%error, "a watch cannot encode an object")).ok()?;
        let gvk = self.kept.resource.gvk();
        Some(watch_event(kind.name(), &body(&gvk.api_version(), gvk.kind, message)).into())
    }

    /// Puts an object, given as JSON, into an event in this watch's syntax.
    fn wrap(&self, kind: EventKind, object: &[u8]) -> Option<Bytes> {
        if self.syntax != Syntax::Protobuf {
            return Some(wrap(kind, object));
        }
        let body = protobuf::object(object);
        let body = body.inspect_err(|error| error!(%error, "a watch cannot encode an object")).ok()?;
        Some(watch_event(kind.name(), &body).into())
    }

    /// An object in this watch's form. An object that cannot be decoded ends the watch.
    fn represent(&mut self, served: &Bytes, revision: u64) -> Option<Bytes> {
        let outcome = match self.form {
            Form::Object => self.kept.present(served),
            Form::Partial => Ok(forms::partial(&self.kept, served)),
            Form::Table(include) => {
                let headers = if std::mem::take(&mut self.columns_due) { Headers::Shown } else { Headers::Hidden };
                let meta = ListMeta { revision, ..ListMeta::default() };
                let served = std::slice::from_ref(served);
                forms::table(&self.kept, &meta, served, include, headers, self.server.now())
            }
        };
        outcome.inspect_err(|error| error!(%error, "a watch cannot show an object")).ok()
    }

    /// Tells how far this watch is.
    fn bookmark(&self, revision: u64, initial_events_end: bool) -> Option<Bytes> {
        let gvk = self.kept.resource.gvk();
        let (version, kind) = match self.form {
            Form::Object => (gvk.api_version(), gvk.kind),
            Form::Partial => ("meta.k8s.io/v1".to_owned(), "PartialObjectMetadata"),
            Form::Table(_) => ("meta.k8s.io/v1".to_owned(), "Table"),
        };
        let annotations =
            if initial_events_end { r#","annotations":{"k8s.io/initial-events-end":"true"}"# } else { "" };
        let metadata = format!(r#"{{"resourceVersion":"{revision}"{annotations}}}"#);
        let rest = match self.form {
            Form::Table(_) => table_bookmark(&metadata),
            _ => format!(r#""metadata":{metadata}"#),
        };
        let object = format!(r#"{{"kind":"{kind}","apiVersion":"{version}",{rest}}}"#);
        if self.syntax == Syntax::Protobuf {
            let body = protobuf::object(object.as_bytes());
            let body = body.inspect_err(|error| error!(%error, "a watch cannot encode a bookmark")).ok()?;
            return Some(watch_event("BOOKMARK", &body).into());
        }
        Some(format!(r#"{{"type":"BOOKMARK","object":{object}{CLOSING}"#).into())
    }
}

/// Tells encodings of a view from those of the stored kind.
const VIEW: u8 = 0x80;
/// Tells encodings in protobuf from those in JSON.
const PROTOBUF: u8 = 0x40;

/// A table's bookmark has one row without cells, whose object carries the revision.
fn table_bookmark(metadata: &str) -> String {
    let object = format!(r#"{{"kind":"PartialObjectMetadata","apiVersion":"meta.k8s.io/v1","metadata":{metadata}}}"#);
    format!(r#""metadata":{metadata},"columnDefinitions":[],"rows":[{{"cells":[],"object":{object}}}]"#)
}

/// A minute from now, or shortly before the end if that is sooner. A watch of seconds gets its only one at once.
fn next_bookmark(now: Instant, ends_at: Instant, first: bool) -> Option<Instant> {
    let last = ends_at.checked_sub(LAST_BOOKMARK).filter(|last| *last > now);
    last.map(|last| last.min(now + BOOKMARK_INTERVAL)).or_else(|| first.then_some(now))
}
