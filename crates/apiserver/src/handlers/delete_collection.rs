//! `deletecollection`: every object of a namespace that selectors mean.

use std::sync::Mutex;

use super::options::{ListOptions, write_context};
use super::{Target, delete, forms};
use crate::error::Error;
use crate::negotiate::{self, MEDIA_TYPES};
use crate::request::{Request, Response};
use crate::watch_cache::ListRequest;

/// Deletes a collection; answers what was in it.
///
/// # Errors
/// The first refusal; objects that are gone already are no error.
pub async fn delete_collection(target: Target<'_>, mut request: Request) -> Result<Response, Error> {
    let accepted = negotiate::negotiate(&request.headers, &request.query, MEDIA_TYPES, true)?;
    let list = ListOptions::parse(&target, &request.query, false)?;
    let (options, dry_run) = delete::read_options(&mut request).await?;
    target.server.caches.fresh().await?;
    let asked = ListRequest { filter: list.filter, limit: list.limit, ..ListRequest::default() };
    let listing = target.kept.cache.list(&asked).map_err(|_| Error::UnknownPath)?;
    let warnings = Mutex::default();
    let context = write_context(&target, &request, dry_run, &warnings);
    for entry in &listing.entries {
        match context.delete(&entry.facts.name, &options).await {
            Ok(_) | Err(Error::NotFound { .. }) => {}
            Err(error) => return Err(error),
        }
    }
    forms::many(&target, accepted, &listing, None)
}
