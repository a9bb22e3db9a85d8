//! `deletecollection`: every object of a namespace that selectors mean.

use std::sync::Mutex;

use super::options::{ListOptions, write_context};
use super::{Target, delete, forms, list};
use crate::error::Error;
use crate::negotiate::{self, MEDIA_TYPES};
use crate::request::{Request, Response};

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
    for entry in &listing.entries {
        match context.delete(&entry.facts.name, &options).await {
            Ok(_) | Err(Error::NotFound { .. }) => {}
            Err(error) => return Err(error),
        }
    }
    let token = list::next_token(&listing);
    forms::many(&target, accepted, &listing, token)
}
