//! `pods/binding`: a Pod gets its node, once.

use std::sync::{Arc, Mutex};

use api::Object;
use api::decode::FieldValidation;
use api::field::{self, ErrorList, Path};
use api::k8s_openapi::api::core::v1::{Binding, Pod, PodCondition};
use api::k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use http::StatusCode;
use jiff::Timestamp;

use super::options::{WriteOptions, write_context};
use super::{Target, decode};
use crate::api_server::Server;
use crate::body;
use crate::error::{Conflict, Error};
use crate::filters::request_info::ResourcePath;
use crate::negotiate::{self, MEDIA_TYPES};
use crate::registry::core::binding::GVK;
use crate::registry::strategy::Part;
use crate::request::{Request, Response};
use crate::status::Status;

/// Binds the Pod of the path.
///
/// # Errors
/// [`Error::Conflict`] when the Pod has a node already or is being deleted.
pub async fn bind(target: Target<'_>, mut request: Request) -> Result<Response, Error> {
    let (binding, dry_run) = read(&mut request).await?;
    decode::fit_name(&binding, &target.path.name)?;
    assign(&target, &request, &binding, dry_run).await
}

/// Binds the Pod that the body names: POST to `bindings`.
///
/// # Errors
/// As [`bind`].
pub async fn bind_named(server: &Arc<Server>, path: &ResourcePath, mut request: Request) -> Result<Response, Error> {
    let (binding, dry_run) = read(&mut request).await?;
    let name = binding.metadata.name.clone().unwrap_or_default();
    let path = ResourcePath { name, subresource: "binding".to_owned(), ..path.clone() };
    let kept = server.core("pods").ok_or(Error::UnknownPath)?;
    assign(&Target { server, kept, path: &path }, &request, &binding, dry_run).await
}

async fn read(request: &mut Request) -> Result<(Binding, bool), Error> {
    let options = WriteOptions::parse(&request.query, "CreateOptions")?;
    let format = decode::format(&request.headers)?;
    let body = body::read_all(std::mem::take(&mut request.body)).await?;
    let object = decode::object(&body, format, GVK, FieldValidation::Ignore, &Mutex::default())?;
    let binding = object.into_any().downcast::<Binding>();
    let binding = binding.map_err(|_| Error::Internal("a Binding decodes as one".to_owned()))?;
    Ok((*binding, options.dry_run))
}

async fn assign(target: &Target<'_>, request: &Request, binding: &Binding, dry_run: bool) -> Result<Response, Error> {
    let accepted = negotiate::negotiate(&request.headers, &request.query, MEDIA_TYPES, false)?;
    let name = binding.metadata.name.clone().unwrap_or_default();
    let problems = validate(binding);
    if !problems.is_empty() {
        return Err(Error::Invalid { group: "", kind: "Binding".to_owned(), name, problems });
    }
    let warnings = Mutex::default();
    let context = write_context(target, request, dry_run, &warnings);
    let now = target.server.clock.now();
    let make = |present: &dyn Object| -> Result<Box<dyn Object>, Error> {
        let pod = present.as_any().downcast_ref::<Pod>().ok_or(Error::UnknownPath)?;
        let bound = bound(pod, binding, now).map_err(|text| Error::Conflict {
            group: "",
            kind: "pods/binding".to_owned(),
            name: name.clone(),
            conflict: Conflict::Other(text),
        })?;
        Ok(Box::new(bound))
    };
    context.update(&target.path.name, Part::Binding, &make).await?;
    Ok(negotiate::object(StatusCode::CREATED, accepted, Status::success(201, None).to_json()))
}

fn validate(binding: &Binding) -> ErrorList {
    let target = Path::new("target");
    let mut problems = ErrorList::new();
    match binding.target.kind.as_deref().unwrap_or_default() {
        "" | "Node" => {}
        other => problems.push(field::not_supported(&target.child("kind"), other, &["Node", "<empty>"])),
    }
    if binding.target.name.as_deref().unwrap_or_default().is_empty() {
        problems.push(field::required(&target.child("name"), ""));
    }
    problems
}

/// The Pod with its node, or why it can't have it.
fn bound(pod: &Pod, binding: &Binding, now: Timestamp) -> Result<Pod, String> {
    let name = pod.metadata.name.as_deref().unwrap_or_default();
    let node = binding.target.name.clone().unwrap_or_default();
    if pod.metadata.deletion_timestamp.is_some() {
        return Err(format!("pod {name} is being deleted, cannot be assigned to a host"));
    }
    let uid = binding.metadata.uid.as_deref().unwrap_or_default();
    if !uid.is_empty() && pod.metadata.uid.as_deref() != Some(uid) {
        return Err(format!("the UID of pod {name} is not {uid}"));
    }
    let mut pod = pod.clone();
    let spec = pod.spec.get_or_insert_default();
    if let Some(taken) = spec.node_name.as_deref().filter(|taken| !taken.is_empty()) {
        return Err(format!("pod {name} is already assigned to node {taken:?}"));
    }
    if spec.scheduling_gates.as_ref().is_some_and(|gates| !gates.is_empty()) {
        return Err(format!("pod {name} has non-empty .spec.schedulingGates"));
    }
    spec.node_name = Some(node);
    if let Some(annotations) = binding.metadata.annotations.clone() {
        pod.metadata.annotations.get_or_insert_default().extend(annotations);
    }
    if let Some(labels) = binding.metadata.labels.clone() {
        pod.metadata.labels.get_or_insert_default().extend(labels);
    }
    mark_scheduled(&mut pod, now);
    Ok(pod)
}

fn mark_scheduled(pod: &mut Pod, now: Timestamp) {
    let condition = PodCondition {
        type_: "PodScheduled".to_owned(),
        status: "True".to_owned(),
        last_transition_time: Some(Time(Timestamp::from_second(now.as_second()).unwrap_or(now))),
        observed_generation: pod.metadata.generation,
        ..PodCondition::default()
    };
    let conditions = pod.status.get_or_insert_default().conditions.get_or_insert_default();
    match conditions.iter_mut().find(|present| present.type_ == condition.type_) {
        Some(present) => *present = condition,
        None => conditions.push(condition),
    }
}
