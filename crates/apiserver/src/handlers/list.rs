//! `list`: objects of one revision, in pages where the client asks for them.

use api::decode::json;
use base64::engine::general_purpose::{GeneralPurpose, NO_PAD};
use base64::{DecodeError, Engine, alphabet};
use serde::{Deserialize, Serialize};

use super::options::{AsOf, ListOptions};
use super::{Target, forms};
use crate::api_server::Server;
use crate::error::Error;
use crate::negotiate::{self, STREAM_MEDIA_TYPES};
use crate::request::{Request, Response};
use crate::watch_cache::{ListRequest, Listing};

/// Base64 as Go reads it: bits that belong to no byte may be anything.
const BASE64: GeneralPurpose = GeneralPurpose::new(&alphabet::URL_SAFE, NO_PAD.with_decode_allow_trailing_bits(true));

/// Where a list goes on. The shape is upstream's; what a token leaves out is empty.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default)]
struct ContinueToken {
    v: String,
    rv: i64,
    start: String,
}

const TOKEN_VERSION: &str = "meta.k8s.io/v1";
/// The revision of a token that goes on with whatever there is now.
const INCONSISTENT: i64 = -1;

/// Lists objects.
///
/// # Errors
/// [`Error::Expired`] when the revision asked for is too old.
pub async fn list(target: Target<'_>, request: Request) -> Result<Response, Error> {
    let options = ListOptions::parse(&target, &request.query, false)?;
    let accepted = negotiate::negotiate(&request.headers, &request.query, STREAM_MEDIA_TYPES, true)?;
    let listing = page(&target, options).await?;
    let token = next_token(&listing);
    forms::many(&target, accepted, &listing, token)
}

fn too_old() -> Error {
    let message = "The resourceVersion for the provided list is too old.".to_owned();
    Error::Expired { message, continue_token: None }
}

/// The objects, or the page of them, that options ask for.
///
/// # Errors
/// [`Error::Expired`] when the revision asked for is too old, [`Error::BadRequest`] for tokens that are none.
pub async fn page(target: &Target<'_>, options: ListOptions) -> Result<Listing, Error> {
    if !options.continue_token.is_empty() {
        return next_page(target, options).await;
    }
    let at_revision = wait_for(target.server, options.as_of).await?;
    let asked = ListRequest { filter: options.filter, limit: options.limit, after_key: None, at_revision };
    target.kept.cache.list(&asked).map_err(|_| too_old())
}

/// Waits until the cache can show the state asked for; returns its revision if that is not the newest.
///
/// # Errors
/// [`Error::FutureRevision`] when there is no such state yet, [`Error::Expired`] when there is none any more.
pub async fn wait_for(server: &Server, as_of: AsOf) -> Result<Option<u64>, Error> {
    let (requested, is_exact) = match as_of {
        AsOf::Any => return Ok(None),
        AsOf::Newest => {
            server.caches.fresh().await?;
            return Ok(None);
        }
        AsOf::NotOlderThan(requested) => (requested, false),
        AsOf::Exact(requested) => (requested, true),
    };
    if requested > server.caches.applied() {
        let current = server.store.latest().await?.0;
        if requested > current {
            return Err(Error::FutureRevision { requested, current });
        }
        server.caches.reached(requested).await;
    }
    match is_exact {
        false => Ok(None),
        true if server.caches.reach_back(requested).await => Ok(Some(requested)),
        true => Err(too_old()),
    }
}

async fn next_page(target: &Target<'_>, options: ListOptions) -> Result<Listing, Error> {
    let token = parse_token(&options.continue_token)?;
    if options.revision.is_some_and(|revision| revision > 0) {
        return Err(Error::bad_request("specifying resource version is not allowed when using continue"));
    }
    let expired =
        || Error::Expired { message: String::new(), continue_token: Some(write_token(INCONSISTENT, &token.start)) };
    // Whatever there is now, for a token of no revision.
    let as_of = u64::try_from(token.rv).map_or(AsOf::Newest, AsOf::Exact);
    let at_revision = match wait_for(target.server, as_of).await {
        Err(Error::Expired { .. }) => return Err(expired()),
        reached => reached?,
    };
    let asked =
        ListRequest { filter: options.filter, limit: options.limit, after_key: Some(&token.start), at_revision };
    target.kept.cache.list(&asked).map_err(|_| expired())
}

/// Reads a token. Where it goes on must lie in the collection: it is compared with keys, never looked up.
fn parse_token(text: &str) -> Result<ContinueToken, Error> {
    let refuse = |why: String| Error::BadRequest(format!("invalid continue token: continue key is not valid{why}"));
    let bytes = BASE64.decode(text).map_err(|error| {
        let place = match error {
            DecodeError::InvalidByte(place, _) | DecodeError::InvalidLastSymbol(place, _) => place,
            DecodeError::InvalidLength(length) => length.saturating_sub(1),
            DecodeError::InvalidPadding => text.find('=').unwrap_or_default(),
        };
        refuse(format!(": illegal base64 data at input byte {place}"))
    })?;
    json::parse(&bytes).map_err(|error| refuse(format!(": {error}")))?;
    let token: ContinueToken = serde_json::from_slice(&bytes).map_err(|_| refuse(": it is no token".to_owned()))?;
    let climbs = token.start.split('/').any(|part| matches!(part, "" | "." | ".."));
    match token.v.as_str() {
        TOKEN_VERSION if token.rv == 0 => {
            Err(refuse(format!(": incorrect encoded start resourceVersion (version {TOKEN_VERSION})")))
        }
        TOKEN_VERSION if token.start.is_empty() => {
            Err(refuse(format!(": encoded start key empty (version {TOKEN_VERSION})")))
        }
        TOKEN_VERSION if climbs => Err(refuse(format!(": {}", token.start))),
        TOKEN_VERSION => Ok(token),
        other => Err(refuse(format!(": server does not recognize this encoded version {other}"))),
    }
}

fn write_token(revision: i64, start: &str) -> String {
    let token = ContinueToken { v: TOKEN_VERSION.to_owned(), rv: revision, start: start.to_owned() };
    BASE64.encode(serde_json::to_vec(&token).expect("a token always encodes"))
}

/// The token of the page after this one.
pub fn next_token(listing: &Listing) -> Option<String> {
    let revision = i64::try_from(listing.revision).unwrap_or(INCONSISTENT);
    listing.next.as_deref().map(|key| write_token(revision, key))
}
