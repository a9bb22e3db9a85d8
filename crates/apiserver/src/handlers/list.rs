//! `list`: objects of one revision, in pages where the client asks for them.

use api::field;
use base64::Engine;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use serde::{Deserialize, Serialize};

use super::options::{AsOf, ListOptions};
use super::{Target, forms};
use crate::api_server::Server;
use crate::error::Error;
use crate::negotiate::{self, STREAM_MEDIA_TYPES};
use crate::request::{Request, Response};
use crate::watch_cache::{ListRequest, Listing};

/// Where a list goes on. The shape is upstream's.
#[derive(Debug, Serialize, Deserialize)]
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
    let listing = if options.continue_token.is_empty() {
        let at_revision = wait_for(target.server, options.as_of).await?;
        let asked = ListRequest { filter: options.filter, limit: options.limit, after_key: None, at_revision };
        target.kept.cache.list(&asked).map_err(|_| too_old())?
    } else {
        next_page(&target, options).await?
    };
    let token = next_token(&listing);
    forms::many(&target, accepted, &listing, token)
}

fn too_old() -> Error {
    let message = "The resourceVersion for the provided list is too old.".to_owned();
    Error::Expired { message, continue_token: None }
}

/// Waits until the cache can show the state asked for; returns its revision if that is not the newest.
async fn wait_for(server: &Server, as_of: AsOf) -> Result<Option<u64>, Error> {
    let current = server.store.latest().await?.0;
    match as_of {
        AsOf::Any => Ok(None),
        AsOf::Newest => {
            server.caches.fresh().await?;
            Ok(None)
        }
        AsOf::NotOlderThan(requested) | AsOf::Exact(requested) if requested > current => {
            Err(Error::FutureRevision { requested, current })
        }
        AsOf::NotOlderThan(requested) => {
            server.caches.reached(requested).await;
            Ok(None)
        }
        AsOf::Exact(requested) => {
            server.caches.reached(requested).await;
            if server.caches.reach_back(requested).await { Ok(Some(requested)) } else { Err(too_old()) }
        }
    }
}

async fn next_page(target: &Target<'_>, options: ListOptions) -> Result<Listing, Error> {
    let token = parse_token(&options.continue_token)?;
    let at_revision = if token.rv == INCONSISTENT { None } else { u64::try_from(token.rv).ok() };
    let caches = &target.server.caches;
    caches.fresh().await?;
    let expired =
        || Error::Expired { message: String::new(), continue_token: Some(write_token(INCONSISTENT, &token.start)) };
    if let Some(revision) = at_revision
        && !caches.reach_back(revision).await
    {
        return Err(expired());
    }
    let asked =
        ListRequest { filter: options.filter, limit: options.limit, after_key: Some(&token.start), at_revision };
    target.kept.cache.list(&asked).map_err(|_| expired())
}

fn parse_token(text: &str) -> Result<ContinueToken, Error> {
    let refuse = |why: &str| {
        let path = field::Path::new("continue");
        let problem = field::invalid(&path, text, format!("continue key is not valid: {why}"));
        Error::BadRequest(problem.message)
    };
    let trimmed = text.trim_end_matches('=');
    let bytes = URL_SAFE_NO_PAD.decode(trimmed).or_else(|_| STANDARD_NO_PAD.decode(trimmed));
    let bytes = bytes.map_err(|_| refuse("illegal base64 data"))?;
    let token: ContinueToken = serde_json::from_slice(&bytes).map_err(|_| refuse("it is no token"))?;
    match token.v.as_str() {
        TOKEN_VERSION if token.rv != 0 && !token.start.is_empty() => Ok(token),
        TOKEN_VERSION => Err(refuse("incorrect encoded start resourceVersion")),
        _ => Err(refuse("server does not recognize this encoded version")),
    }
}

fn write_token(revision: i64, start: &str) -> String {
    let token = ContinueToken { v: TOKEN_VERSION.to_owned(), rv: revision, start: start.to_owned() };
    URL_SAFE_NO_PAD.encode(serde_json::to_vec(&token).expect("a token always encodes"))
}

/// The token of the page after this one.
fn next_token(listing: &Listing) -> Option<String> {
    let revision = i64::try_from(listing.revision).unwrap_or(INCONSISTENT);
    listing.next.as_deref().map(|key| write_token(revision, key))
}
