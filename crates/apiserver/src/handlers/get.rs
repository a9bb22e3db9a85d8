//! `get`: one object, straight from the cache.

use super::options::{self, AsOf};
use super::{Target, forms, list};
use crate::error::Error;
use crate::negotiate::{self, MEDIA_TYPES};
use crate::request::{Request, Response};

/// Answers one object, at least as new as the `resourceVersion` asked for.
///
/// # Errors
/// [`Error::NotFound`], [`Error::FutureRevision`].
pub async fn get(target: Target<'_>, request: Request) -> Result<Response, Error> {
    let accepted = negotiate::negotiate(&request.headers, &request.query, MEDIA_TYPES, true)?;
    let as_of = match options::revision(&request.query)? {
        None => AsOf::Newest,
        Some(0) => AsOf::Any,
        Some(revision) => AsOf::NotOlderThan(revision),
    };
    list::wait_for(target.server, as_of).await?;
    let name = &target.path.name;
    let entry = target.kept.cache.get(&target.kept.cache_key(&target.path.namespace, name));
    let entry = entry.ok_or_else(|| Error::not_found(target.kept.group_resource(), name))?;
    forms::entry(&target, accepted, &entry)
}
