//! `create`: POST to a collection.

use std::sync::Mutex;

use http::StatusCode;

use super::options::{WriteOptions, write_context};
use super::owner_references::{self, Moment};
use super::{Target, decode, forms};
use crate::body;
use crate::error::Error;
use crate::field_manager::Tracker;
use crate::negotiate::{self, MEDIA_TYPES};
use crate::registry::strategy::Part;
use crate::request::{Request, Response};

/// Creates an object.
///
/// # Errors
/// Whatever refuses it.
pub async fn create(target: Target<'_>, mut request: Request) -> Result<Response, Error> {
    let accepted = negotiate::negotiate(&request.headers, &request.query, MEDIA_TYPES, true)?;
    let options = WriteOptions::parse(&request.query, "CreateOptions")?;
    let format = decode::format(&request.headers)?;
    let body = body::read_all(std::mem::take(&mut request.body)).await?;
    let warnings = Mutex::default();
    let gvk = *target.kept.resource.gvk();
    let mut object = decode::object(&body, format, gvk, options.field_validation, &warnings)?;
    forms::warn(&warnings, owner_references::dedup(object.as_mut(), Moment::Sent));
    let context = write_context(&target, &request, options.dry_run, &warnings);
    decode::fit_namespace(object.as_mut(), context.namespace)?;
    Tracker::new(&target, &request, Part::Whole).track_new(object.as_mut());
    let created = context.create(object).await?;
    forms::one(&target, accepted, StatusCode::CREATED, &created, &warnings)
}
