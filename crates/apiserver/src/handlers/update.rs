//! `update`: PUT of an object, or of a part of it.

use std::sync::Mutex;

use http::StatusCode;

use super::options::{WriteOptions, write_context};
use super::{Target, decode, forms};
use crate::body;
use crate::error::Error;
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
    let context = write_context(&target, &request, options.dry_run, &warnings);
    decode::fit_name(object.as_ref(), &target.path.name)?;
    decode::fit_namespace(object.as_mut(), context.namespace)?;
    let updated = context.replace(&target.path.name, part, object.as_ref()).await?;
    let code = if updated.created { StatusCode::CREATED } else { StatusCode::OK };
    forms::one(&target, accepted, code, &updated.object, &warnings)
}
