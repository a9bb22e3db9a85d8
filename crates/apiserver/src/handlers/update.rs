//! `update`: PUT of an object, or of a part of it.

use std::sync::Mutex;

use api::Object;
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

/// Replaces an object.
///
/// # Errors
/// Whatever refuses it.
pub async fn update(target: Target<'_>, part: Part, mut request: Request) -> Result<Response, Error> {
    let accepted = negotiate::negotiate(&request.headers, &request.query, MEDIA_TYPES, true)?;
    let options = WriteOptions::parse(&request.query, "UpdateOptions")?;
    let format = decode::format(&request.headers)?;
    let body = body::read_all(std::mem::take(&mut request.body)).await?;
    let warnings = Mutex::default();
    let gvk = *target.kept.resource.gvk();
    let mut object = decode::object(&body, format, gvk, options.field_validation, &warnings)?;
    forms::warn(&warnings, owner_references::dedup(object.as_mut(), Moment::Sent));
    let context = write_context(&target, &request, options.dry_run, &warnings);
    decode::fit_name(object.as_ref(), &target.path.name)?;
    decode::fit_namespace(object.as_mut(), context.namespace)?;
    let tracker = Tracker::new(&target, &request, part);
    let make = |present: &dyn Object| {
        context.check_uid(object.as_ref(), present, &target.path.name)?;
        let mut object = object.clone_object();
        tracker.track_update(present, object.as_mut());
        Ok(object)
    };
    let make_new = || {
        let mut object = object.clone_object();
        tracker.track_new(object.as_mut());
        Ok(object)
    };
    let name = &target.path.name;
    let updated = if part == Part::Whole && target.kept.strategy.creates_on_update() {
        context.update_or_create(name, part, &make, &make_new).await?
    } else {
        context.update(name, part, &make).await?
    };
    let code = if updated.created { StatusCode::CREATED } else { StatusCode::OK };
    forms::one(&target, accepted, code, &updated.object, &warnings)
}
