//! `get`: one object, straight from the cache.

use super::{Target, forms};
use crate::error::Error;
use crate::negotiate::{self, MEDIA_TYPES};
use crate::request::{Request, Response};

/// Answers one object.
///
/// # Errors
/// [`Error::NotFound`].
pub async fn get(target: Target<'_>, request: Request) -> Result<Response, Error> {
    let accepted = negotiate::negotiate(&request.headers, &request.query, MEDIA_TYPES, true)?;
    if request.query.get("resourceVersion") != Some("0") {
        target.server.caches.fresh().await?;
    }
    let name = &target.path.name;
    let entry = target.kept.cache.get(&target.kept.cache_key(&target.path.namespace, name));
    let entry = entry.ok_or_else(|| Error::not_found(target.kept.group_resource(), name))?;
    forms::entry(&target, accepted, &entry)
}
