//! `patch`: three kinds of patches by content type. Computed on the present object, and again when another write wins.

use std::sync::Mutex;

use api::Object;
use api::patch::{self, Patch, PatchType};
use http::StatusCode;

use super::options::{WriteOptions, write_context};
use super::{Target, decode, forms};
use crate::body;
use crate::error::Error;
use crate::negotiate::{self, MEDIA_TYPES};
use crate::registry::strategy::Part;
use crate::request::{Request, Response};

/// What a patch can be.
const PATCH_TYPES: &[&str] = &[
    "application/json-patch+json",
    "application/merge-patch+json",
    "application/strategic-merge-patch+json",
    "application/apply-patch+yaml",
];
const APPLY_NOT_SERVED: &str = "server-side apply (application/apply-patch+yaml) is not served yet: use client-side \
    apply, or a strategic merge, merge or JSON patch";

/// Patches an object.
///
/// # Errors
/// Whatever refuses it.
pub async fn patch(target: Target<'_>, part: Part, mut request: Request) -> Result<Response, Error> {
    let accepted = negotiate::negotiate(&request.headers, &request.query, MEDIA_TYPES, true)?;
    let (patch, options) = read(&mut request).await?;
    let warnings = Mutex::default();
    let context = write_context(&target, &request, options.dry_run, &warnings);
    let gvk = *target.kept.resource.gvk();
    let make = |present: &dyn Object| {
        let patched = patch.apply(present.to_value(), gvk).map_err(refusal)?;
        let mut attempt = warnings.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        *attempt = patched.warnings; // of the last attempt only
        let mut object = patched.object;
        object.set_defaults();
        decode::fit_name(object.as_ref(), &target.path.name)?;
        decode::fit_namespace(object.as_mut(), context.namespace)?;
        Ok(object)
    };
    let updated = context.update(&target.path.name, part, &make).await?;
    forms::one(&target, accepted, StatusCode::OK, &updated.object, &warnings)
}

/// Reads a patch.
///
/// # Errors
/// [`Error::UnsupportedMediaType`], or what makes it no patch.
pub async fn read(request: &mut Request) -> Result<(Patch, WriteOptions), Error> {
    let patch_type = match decode::media_type(&request.headers) {
        "application/json-patch+json" => PatchType::Json,
        "application/merge-patch+json" => PatchType::Merge,
        "application/strategic-merge-patch+json" => PatchType::Strategic,
        "application/apply-patch+yaml" => return Err(Error::UnsupportedBody(APPLY_NOT_SERVED.to_owned())),
        _ => return Err(Error::UnsupportedMediaType { accepted: PATCH_TYPES }),
    };
    let options = WriteOptions::parse(&request.query, "PatchOptions")?;
    let body = body::read_all(std::mem::take(&mut request.body)).await?;
    let patch = Patch::parse(patch_type, &body, options.field_validation).map_err(refusal)?;
    Ok((patch, options))
}

/// Why a patch cannot be read or applied.
pub fn refusal(error: patch::Error) -> Error {
    let invalid = |problems| Error::Invalid { group: "", kind: String::new(), name: String::new(), problems };
    match error {
        patch::Error::BadRequest(text) => Error::BadRequest(text),
        patch::Error::TooLarge(text) => Error::TooLarge(text),
        patch::Error::DoesNotApply => Error::Unprocessable(error.to_string()),
        patch::Error::Invalid(text) => invalid(vec![api::field::Error {
            kind: api::field::ErrorType::Invalid,
            field: "patch".to_owned(),
            message: text,
        }]),
        patch::Error::CannotMerge(text) => Error::Unspecific(text),
    }
}
