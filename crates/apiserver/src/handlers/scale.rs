//! `scale`: how many replicas an object has and shall have, of whatever kind it is.

use std::sync::Mutex;

use api::autoscaling::v1::scale::scale_of;
use api::k8s_openapi::api::autoscaling::v1::Scale;
use api::{Gvk, Kind, Object};
use bytes::Bytes;
use http::StatusCode;

use super::options::{WriteOptions, write_context};
use super::patch::{Body, Configuration};
use super::{Target, decode, forms, patch};
use crate::body;
use crate::error::{Conflict, Error, GroupResource};
use crate::field_manager::Tracker;
use crate::negotiate::{self, Accepted, Form, MEDIA_TYPES};
use crate::registry::store::{Make, WriteContext};
use crate::registry::strategy::Part;
use crate::request::{Request, Response};
use crate::table;
use crate::table::write::{Headers, Source};

const GVK: Gvk = Gvk { group: "autoscaling", version: "v1", kind: "Scale" };

/// Answers the Scale of an object.
///
/// # Errors
/// [`Error::NotFound`].
pub async fn get(target: Target<'_>, request: Request) -> Result<Response, Error> {
    let accepted = negotiate::negotiate(&request.headers, &request.query, MEDIA_TYPES, true)?;
    target.server.caches.fresh().await?;
    let key = target.kept.cache_key(&target.path.namespace, &target.path.name);
    let missing = || Error::not_found(target.kept.group_resource(), &target.path.name);
    let entry = target.kept.cache.get(&key).ok_or_else(missing)?;
    answer(&target, accepted, &entry.object(), &Mutex::default())
}

/// Scales to what the body says.
///
/// # Errors
/// Whatever refuses it.
pub async fn update(target: Target<'_>, resource: GroupResource, mut request: Request) -> Result<Response, Error> {
    let accepted = negotiate::negotiate(&request.headers, &request.query, MEDIA_TYPES, true)?;
    let options = WriteOptions::parse(&request.query, "UpdateOptions")?;
    let format = decode::format(&request.headers)?;
    let body = body::read_all(std::mem::take(&mut request.body)).await?;
    let warnings = Mutex::default();
    let context = write_context(&target, &request, options.dry_run, &warnings);
    let mut scale = decode::object(&body, format, GVK, options.field_validation, &warnings)?;
    decode::fit_name(scale.as_ref(), &target.path.name)?;
    decode::fit_namespace(scale.as_mut(), context.namespace)?;
    let tracker = Tracker::new(&target, &request, Part::Whole);
    let written = write(&target, resource, &context, &tracker, &|_| Ok(scale.clone_object())).await?;
    answer(&target, accepted, &written, &warnings)
}

/// Scales by a patch of the present Scale.
///
/// # Errors
/// Whatever refuses it.
pub async fn patch(target: Target<'_>, resource: GroupResource, mut request: Request) -> Result<Response, Error> {
    let accepted = negotiate::negotiate(&request.headers, &request.query, MEDIA_TYPES, true)?;
    let (body, options) = patch::read(&mut request).await?;
    let warnings = Mutex::default();
    let context = write_context(&target, &request, options.dry_run, &warnings);
    let tracker = Tracker::new(&target, &request, Part::Whole);
    let patch = match body {
        Body::Patch { patch, .. } => patch,
        Body::Configuration(applied) => {
            let written = apply(&target, resource, &context, &tracker, &applied).await?;
            return answer(&target, accepted, &written, &warnings);
        }
    };
    let patched = |present: &Scale| {
        let patched = patch.apply(Object::to_value(present), GVK).map_err(patch::refusal)?;
        let mut scale = patched.object;
        scale.set_defaults();
        decode::fit_name(scale.as_ref(), &target.path.name)?;
        decode::fit_namespace(scale.as_mut(), context.namespace)?;
        Ok(scale)
    };
    let written = write(&target, resource, &context, &tracker, &patched).await?;
    answer(&target, accepted, &written, &warnings)
}

/// Computes the Scale there shall be from the present one.
type Wanted<'a> = dyn Fn(&Scale) -> Result<Box<dyn Object>, Error> + Send + Sync + 'a;

async fn write(
    target: &Target<'_>,
    resource: GroupResource,
    context: &WriteContext<'_>,
    tracker: &Tracker<'_>,
    wanted: &Wanted<'_>,
) -> Result<Bytes, Error> {
    let make = |present: &dyn Object| {
        let scale = wanted(&of(target, present)?)?;
        let scale = scale.as_any().downcast_ref::<Scale>();
        let scale = scale.ok_or_else(|| Error::Internal("a Scale decodes as one".to_owned()))?;
        check(scale, present, resource)?;
        let mut object = present.clone_object();
        object.metadata_mut().resource_version.clone_from(&scale.metadata.resource_version);
        let replicas = scale.spec.as_ref().and_then(|spec| spec.replicas).unwrap_or(0);
        target.kept.strategy.set_replicas(object.as_mut(), replicas);
        tracker.track_update(present, object.as_mut());
        Ok(object)
    };
    update_object(target, resource, context, &make).await
}

/// Applies a Scale: its replicas are those of the object, owned through this subresource.
async fn apply(
    target: &Target<'_>,
    resource: GroupResource,
    context: &WriteContext<'_>,
    tracker: &Tracker<'_>,
    applied: &Configuration,
) -> Result<Bytes, Error> {
    tracker.check_applied(&applied.tree, GVK)?;
    let gvk = target.kept.resource.gvk();
    let mut tree = serde_json::json!({"apiVersion": gvk.api_version(), "kind": gvk.kind, "metadata": {}});
    for (pointer, part, field) in [("/spec/replicas", "spec", "replicas"), ("/metadata/name", "metadata", "name")] {
        if let Some(value) = applied.tree.pointer(pointer) {
            tree[part][field] = value.clone();
        }
    }
    let make = |present: &dyn Object| {
        let object = tracker.apply(Some(present), &tree, applied.force)?;
        decode::fit_name(object.as_ref(), &target.path.name)?;
        check(&of(target, object.as_ref())?, present, resource)?;
        Ok(object)
    };
    update_object(target, resource, context, &make).await
}

async fn update_object(
    target: &Target<'_>,
    resource: GroupResource,
    context: &WriteContext<'_>,
    make: &Make<'_>,
) -> Result<Bytes, Error> {
    match context.update(&target.path.name, Part::Whole, make).await {
        Ok(updated) => Ok(updated.object),
        Err(Error::NotFound { .. }) => Err(Error::not_found(resource, &target.path.name)),
        Err(error) => Err(error),
    }
}

/// Whether a Scale is one, and one of this object.
fn check(scale: &Scale, present: &dyn Object, resource: GroupResource) -> Result<(), Error> {
    let name = present.metadata().name.clone().unwrap_or_default();
    let problems = Kind::validate(scale);
    if !problems.is_empty() {
        return Err(Error::Invalid { group: GVK.group, kind: GVK.kind.to_owned(), name, problems });
    }
    let wanted = scale.metadata.uid.as_deref().unwrap_or_default();
    let uid = present.metadata().uid.as_deref().unwrap_or_default();
    if wanted.is_empty() || wanted == uid {
        return Ok(());
    }
    let text = format!("Precondition failed: UID in precondition: {wanted}, UID in object meta: {uid}");
    let (group, kind) = (resource.group, resource.resource.to_owned());
    Err(Error::Conflict { group, kind, name, conflict: Conflict::Other(text) })
}

/// The Scale of an object of this resource.
fn of(target: &Target<'_>, object: &dyn Object) -> Result<Scale, Error> {
    let replicas = target.kept.strategy.replicas(object).ok_or(Error::UnknownPath)?;
    Ok(scale_of(object.metadata(), replicas))
}

fn answer(
    target: &Target<'_>,
    accepted: Accepted,
    served: &Bytes,
    warnings: &Mutex<Vec<String>>,
) -> Result<Response, Error> {
    let object = target.kept.decode(served)?;
    let scale = of(target, object.as_ref())?;
    let json = Object::to_json(&scale);
    let body = match accepted.form {
        Form::Object => json,
        Form::Partial => table::write::partial(&metadata_of(&scale)),
        Form::Table(include) => {
            let metadata = metadata_of(&scale);
            let source = Source { object: &scale, json: &json, metadata: &metadata };
            let revision = scale.metadata.resource_version.as_deref().unwrap_or_default();
            let list = serde_json::json!({"resourceVersion": revision}).to_string();
            let columns = table::columns_for(GVK);
            table::write::table(columns, list.as_bytes(), [source], include, Headers::Shown, target.server.now())
        }
    };
    let mut response = negotiate::object(StatusCode::OK, accepted, body);
    forms::add_warnings(&mut response, warnings);
    Ok(response)
}

fn metadata_of(scale: &Scale) -> Vec<u8> {
    Object::to_value(scale)["metadata"].to_string().into_bytes()
}
