//! `delete`: one object, now or gracefully.

use std::sync::Mutex;

use api::Gvk;
use api::decode::Format;
use api::field::{self, ErrorList, Path};
use api::k8s_openapi::apimachinery::pkg::apis::meta::v1 as meta;
use http::StatusCode;

use super::options::{self, write_context};
use super::{Target, decode, forms};
use crate::body;
use crate::error::Error;
use crate::negotiate::{self, MEDIA_TYPES};
use crate::registry::store::{DeleteOptions, Deleted, PropagationPolicy};
use crate::request::{Request, Response};
use crate::status::{Details, Status};

const OPTIONS: Gvk = Gvk { group: "", version: "v1", kind: "DeleteOptions" };

/// Deletes an object.
///
/// # Errors
/// Whatever refuses it.
pub async fn delete(target: Target<'_>, mut request: Request) -> Result<Response, Error> {
    let accepted = negotiate::negotiate(&request.headers, &request.query, MEDIA_TYPES, true)?;
    let given = read(&mut request).await?;
    // Only those who ask for the dependents' end in the old way hear that it is not over yet: others might not know 202.
    let pending = if given.orphan_dependents == Some(false) { StatusCode::ACCEPTED } else { StatusCode::OK };
    let (options, dry_run) = convert(given)?;
    let warnings = Mutex::default();
    let context = write_context(&target, &request, dry_run, &warnings);
    let deleted = context.delete(&target.path.name, &options).await?;
    match deleted {
        Deleted::Pending { object } => forms::one(&target, accepted, pending, &object, &warnings),
        Deleted::Gone { object, .. } if target.kept.strategy.returns_deleted() => {
            forms::one(&target, accepted, StatusCode::OK, &object, &warnings)
        }
        Deleted::Gone { uid, .. } => Ok(negotiate::object(StatusCode::OK, accepted, gone(&target, uid).to_json())),
    }
}

fn gone(target: &Target<'_>, uid: String) -> Status {
    let resource = target.kept.group_resource();
    let details = Details {
        name: target.path.name.clone(),
        group: resource.group.to_owned(),
        kind: resource.resource.to_owned(),
        uid,
        ..Details::default()
    };
    Status::success(0, Some(details))
}

/// Reads the options from the body, or from the query where there is none.
///
/// # Errors
/// [`Error::BadRequest`], [`Error::Invalid`].
pub async fn read_options(request: &mut Request) -> Result<(DeleteOptions, bool), Error> {
    convert(read(request).await?)
}

async fn read(request: &mut Request) -> Result<meta::DeleteOptions, Error> {
    let body = body::read_all(std::mem::take(&mut request.body)).await?;
    if body.is_empty() {
        return from_query(request);
    }
    let format = decode::format(&request.headers).unwrap_or(Format::Json);
    decode::plain(&body, format, OPTIONS)
}

fn from_query(request: &Request) -> Result<meta::DeleteOptions, Error> {
    let query = &request.query;
    Ok(meta::DeleteOptions {
        grace_period_seconds: options::integer(query, "gracePeriodSeconds")?,
        propagation_policy: query.get("propagationPolicy").filter(|text| !text.is_empty()).map(str::to_owned),
        orphan_dependents: query.get("orphanDependents").map(|_| query.flag("orphanDependents")),
        dry_run: Some(query.all("dryRun").map(str::to_owned).collect()),
        ..meta::DeleteOptions::default()
    })
}

/// Checks options that were decoded.
///
/// # Errors
/// [`Error::Invalid`].
pub fn convert(given: meta::DeleteOptions) -> Result<(DeleteOptions, bool), Error> {
    let mut problems = ErrorList::new();
    let path = Path::new("propagationPolicy");
    if given.propagation_policy.is_some() && given.orphan_dependents.is_some() {
        let text = "orphanDependents and deletionPropagation cannot be both set";
        problems.push(field::invalid(&path, given.propagation_policy.clone().unwrap_or_default(), text));
    }
    let propagation_policy = match (given.propagation_policy.as_deref(), given.orphan_dependents) {
        (Some("Orphan"), _) | (None, Some(true)) => Some(PropagationPolicy::Orphan),
        (Some("Background"), _) | (None, Some(false)) => Some(PropagationPolicy::Background),
        (Some("Foreground"), _) => Some(PropagationPolicy::Foreground),
        (None, None) => None,
        (Some(other), _) => {
            problems.push(field::not_supported(&path, other, &["Foreground", "Background", "Orphan", "nil"]));
            None
        }
    };
    let dry_run = options::dry_run(given.dry_run.iter().flatten().map(String::as_str), &mut problems);
    options::refuse("DeleteOptions", problems)?;
    let preconditions = given.preconditions.unwrap_or_default();
    let options = DeleteOptions {
        grace_period_seconds: given.grace_period_seconds,
        uid: preconditions.uid,
        resource_version: preconditions.resource_version,
        propagation_policy,
    };
    Ok((options, dry_run))
}
