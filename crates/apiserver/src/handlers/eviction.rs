//! `pods/eviction`: a delete that asks first. Nothing can object until PodDisruptionBudgets are served.

use std::sync::Mutex;

use api::Gvk;
use api::k8s_openapi::api::policy::v1::Eviction;
use http::StatusCode;

use super::options::{WriteOptions, write_context};
use super::{Target, decode, delete};
use crate::body;
use crate::error::Error;
use crate::negotiate::{self, MEDIA_TYPES};
use crate::request::{Request, Response};
use crate::status::Status;

const GVK: Gvk = Gvk { group: "policy", version: "v1", kind: "Eviction" };

/// Evicts a Pod.
///
/// # Errors
/// Those of a delete.
pub async fn evict(target: Target<'_>, mut request: Request) -> Result<Response, Error> {
    let accepted = negotiate::negotiate(&request.headers, &request.query, MEDIA_TYPES, false)?;
    let options = WriteOptions::parse(&request.query, "CreateOptions")?;
    let format = decode::format(&request.headers)?;
    let body = body::read_all(std::mem::take(&mut request.body)).await?;
    let eviction: Eviction = decode::plain(&body, format, GVK)?;
    let name = eviction.metadata.name.as_deref().unwrap_or_default();
    if !name.is_empty() && name != target.path.name {
        return Err(Error::bad_request("name in URL does not match name in Eviction object"));
    }
    let (delete_options, dry_run) = delete::convert(eviction.delete_options.unwrap_or_default())?;
    let warnings = Mutex::default();
    let context = write_context(&target, &request, options.dry_run || dry_run, &warnings);
    context.delete(&target.path.name, &delete_options).await?;
    Ok(negotiate::object(StatusCode::CREATED, accepted, Status::success(201, None).to_json()))
}
