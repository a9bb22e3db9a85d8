//! `deletecollection`: every object of a namespace that selectors mean.

use std::sync::Mutex;

use futures::future::join_all;

use super::options::{ListOptions, write_context};
use super::{Target, delete, forms, list};
use crate::error::Error;
use crate::negotiate::{self, MEDIA_TYPES};
use crate::request::{Request, Response};

/// So many objects are deleted at a time, so that one commit of the store takes several.
const SIDE_BY_SIDE: usize = 16;

/// Deletes a collection, or the page of it that was asked for; answers what was in it.
///
/// # Errors
/// The first refusal; objects that are gone already are no error.
pub async fn delete_collection(target: Target<'_>, mut request: Request) -> Result<Response, Error> {
    let accepted = negotiate::negotiate(&request.headers, &request.query, MEDIA_TYPES, true)?;
    let selected = ListOptions::parse(&target, &request.query, false)?;
    let (options, dry_run) = delete::read_options(&mut request).await?;
    let listing = list::page(&target, selected).await?;
    let warnings = Mutex::default();
    let context = write_context(&target, &request, dry_run, &warnings);
    for some in listing.entries.chunks(SIDE_BY_SIDE) {
        let deletions: Vec<_> = some.iter().map(|entry| context.delete(&entry.facts.name, &options)).collect();
        for deleted in join_all(deletions).await {
            match deleted {
                Ok(_) | Err(Error::NotFound { .. }) => {}
                Err(error) => return Err(error),
            }
        }
    }
    let token = list::next_token(&listing);
    forms::many(&target, accepted, &listing, token)
}
