//! So many requests at a time: who is let in, who waits, who is told to come again.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use http::header::{HeaderName, RETRY_AFTER};
use http::{HeaderMap, HeaderValue, StatusCode};
use tokio::sync::OwnedSemaphorePermit;

use crate::api_server::Server;
use crate::flow_control::max_in_flight::MaxInFlight;
use crate::flow_control::work::{self, Listed};
use crate::flow_control::{Flow, FlowControl, Permit};
use crate::identity::MASTERS;
use crate::metrics::requests::is_mutating;
use crate::negotiate;
use crate::request::{Request, Response};

const FLOW_SCHEMA_UID: HeaderName = HeaderName::from_static("x-kubernetes-pf-flowschema-uid");
const PRIORITY_LEVEL_UID: HeaderName = HeaderName::from_static("x-kubernetes-pf-prioritylevel-uid");
/// Nobody waits longer, however much time the request has.
const MAX_PATIENCE: Duration = Duration::from_secs(60);

/// What limits the requests of this server.
pub enum Limiter {
    /// API Priority and Fairness.
    Fair(FlowControl),
    /// Two numbers.
    Simple(MaxInFlight),
}

impl Limiter {
    /// API Priority and Fairness, if it is on.
    pub fn flow_control(&self) -> Option<&FlowControl> {
        match self {
            Self::Fair(flow_control) => Some(flow_control),
            Self::Simple(_) => None,
        }
    }
}

/// A request that was let in, until dropped.
pub struct Admitted {
    server: Arc<Server>,
    writes: usize,
    _room: Room,
}

/// What a request takes up.
#[expect(dead_code, reason = "held for its end")]
enum Room {
    Seats(Permit),
    Place(Option<OwnedSemaphorePermit>),
    /// Those who must always come through.
    Extra,
}

impl Drop for Admitted {
    fn drop(&mut self) {
        self.server.requests.in_flight[self.writes].fetch_sub(1, Ordering::Relaxed);
    }
}

/// Lets a request in, after a wait perhaps, and tells how it was sorted. What takes as long as it likes is not limited,
/// but for watches, which are until they have begun.
///
/// # Errors
/// The answer to a request that there is no room for.
pub async fn admit(
    server: &Arc<Server>,
    request: &Request,
    limit: Duration,
    sorted: &mut Option<Arc<Flow>>,
) -> Result<Option<Admitted>, Response> {
    if request.info.is_long_running() && request.info.verb != "watch" {
        return Ok(None);
    }
    let mutating = is_mutating(&request.info);
    let writes = usize::from(mutating);
    let room = match &server.limiter {
        Limiter::Fair(flow_control) => {
            let flow = sorted.insert(flow_control.classify(&request.user, &request.info));
            let seats = seats(server, request, flow);
            let patience = (limit / 4).min(MAX_PATIENCE);
            flow.enter(&request.user, &request.info, seats, patience).await.map(Room::Seats)
        }
        Limiter::Simple(limits) => match limits.enter(mutating) {
            Ok(place) => Ok(Room::Place(place)),
            Err(_) if request.user.is_in(MASTERS) => Ok(Room::Extra),
            Err(_) => Err(1),
        },
    };
    match room {
        Ok(room) => {
            server.requests.in_flight[writes].fetch_add(1, Ordering::Relaxed);
            Ok(Some(Admitted { server: Arc::clone(server), writes, _room: room }))
        }
        Err(seconds) => {
            server.requests.dropped[writes].fetch_add(1, Ordering::Relaxed);
            Err(too_many(seconds))
        }
    }
}

/// The seats of a request: lists take more the longer they are.
fn seats(server: &Server, request: &Request, flow: &Flow) -> usize {
    let Some(at) = &request.info.resource else { return 1 };
    let lists = match request.info.verb.as_str() {
        "list" => true,
        "watch" => request.query.flag("sendInitialEvents"),
        _ => false,
    };
    let resource = if lists { crate::registry::lookup(&at.group, &at.version, &at.resource) } else { None };
    let Some(kept) = resource.and_then(|resource| server.kept(resource)) else { return 1 };
    let (objects, bytes) = kept.cache.size();
    let limit = request.query.get("limit").and_then(|limit| limit.parse().ok()).unwrap_or(0);
    let listed = Listed { objects: objects as u64, bytes: bytes as u64, limit, single: !at.name.is_empty() };
    work::list_seats(listed, flow.max_seats())
}

fn too_many(retry_after_seconds: u32) -> Response {
    let text = "Too many requests, please try again later.\n";
    let mut response = negotiate::text(StatusCode::TOO_MANY_REQUESTS, text);
    response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(retry_after_seconds));
    response
}

/// Tells the client how its request was sorted: by uids, because names could tell too much.
pub fn sign(flow: &Flow, headers: &mut HeaderMap) {
    headers.insert(FLOW_SCHEMA_UID, flow.uid.clone());
    headers.insert(PRIORITY_LEVEL_UID, flow.level_uid.clone());
}
