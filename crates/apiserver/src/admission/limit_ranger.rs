//! The LimitRanges of a namespace: what containers get that say nothing, and what Pods and claims must keep to.

use api::Object;
use api::core::v1::limit_range::TYPE_CONTAINER;
use api::core::v1::resource_list::ResourceList;
use api::k8s_openapi::api::core::v1::{Container, LimitRange, PersistentVolumeClaim, Pod};
use async_trait::async_trait;

use super::{Attributes, Operation, Plugin};
use crate::error::Error;
use crate::watch_cache::in_namespace;

mod constraints;

use constraints::{claim_problems, pod_problems};

/// Tells what was set.
const ANNOTATION: &str = "kubernetes.io/limit-ranger";

/// The plugin.
pub struct LimitRanger;

#[async_trait]
impl Plugin for LimitRanger {
    async fn admit(&self, attributes: &Attributes<'_>, object: &mut dyn Object) -> Result<(), Error> {
        let concerned = match attributes.operation {
            Operation::Create => attributes.is("pods", ""),
            Operation::Update => attributes.is("pods", "resize") && !is_ending(attributes),
            Operation::Delete => false,
        };
        if !concerned {
            return Ok(());
        }
        let Some(pod) = object.as_any_mut().downcast_mut::<Pod>() else { return Ok(()) };
        let ranges = attributes.server.limit_ranges.all();
        for item in in_namespace(&ranges, attributes.namespace) {
            item.object().into_iter().for_each(|range| set_defaults(pod, range));
        }
        Ok(())
    }

    async fn validate(&self, attributes: &Attributes<'_>, object: &dyn Object) -> Result<(), Error> {
        if !concerns(attributes) {
            return Ok(());
        }
        let ranges = attributes.server.limit_ranges.all();
        let ranges = in_namespace(&ranges, attributes.namespace);
        if ranges.is_empty() || is_ending(attributes) {
            return Ok(());
        }
        let problems = |range: &LimitRange| match object.as_any().downcast_ref::<Pod>() {
            Some(pod) => pod_problems(range, pod),
            None => object
                .as_any()
                .downcast_ref::<PersistentVolumeClaim>()
                .map_or_else(Vec::new, |claim| claim_problems(range, claim)),
        };
        match ranges.iter().filter_map(|item| item.object()).map(problems).find(|problems| !problems.is_empty()) {
            Some(problems) => Err(attributes.forbidden(object, aggregate(problems))),
            None => Ok(()),
        }
    }
}

/// Containers cannot change but by a resize; claims grow in place.
fn concerns(attributes: &Attributes<'_>) -> bool {
    match attributes.operation {
        Operation::Create => attributes.is("pods", "") || attributes.is("persistentvolumeclaims", ""),
        Operation::Update => attributes.is("pods", "resize") || attributes.is("persistentvolumeclaims", ""),
        Operation::Delete => false,
    }
}

/// What is on its way out only has its finalizers removed.
fn is_ending(attributes: &Attributes<'_>) -> bool {
    attributes.old.is_some_and(|old| old.metadata().deletion_timestamp.is_some())
}

/// Several problems as upstream shows them: each once, in brackets.
fn aggregate(problems: Vec<String>) -> String {
    let mut unique: Vec<String> = Vec::new();
    for problem in problems {
        if !unique.contains(&problem) {
            unique.push(problem);
        }
    }
    match unique.as_slice() {
        [one] => one.clone(),
        many => format!("[{}]", many.join(", ")),
    }
}

/// Gives containers what they do not say themselves, and notes it.
fn set_defaults(pod: &mut Pod, range: &LimitRange) {
    let Some(spec) = &mut pod.spec else { return };
    let (mut requests, mut limits) = (ResourceList::new(), ResourceList::new());
    for item in range.spec.iter().flat_map(|spec| &spec.limits).filter(|item| item.type_ == TYPE_CONTAINER) {
        requests.extend(item.default_request.clone().unwrap_or_default());
        limits.extend(item.default.clone().unwrap_or_default());
    }
    let mut notes = Vec::new();
    for container in &mut spec.containers {
        notes.extend(complete(container, "container", &requests, &limits));
    }
    for container in spec.init_containers.iter_mut().flatten() {
        notes.extend(complete(container, "init container", &requests, &limits));
    }
    if !notes.is_empty() {
        let note = format!("LimitRanger plugin set: {}", notes.join("; "));
        pod.metadata.annotations.get_or_insert_default().insert(ANNOTATION.to_owned(), note);
    }
}

/// Completes one container; returns what to note.
fn complete(container: &mut Container, what: &str, requests: &ResourceList, limits: &ResourceList) -> Vec<String> {
    if requests.is_empty() && limits.is_empty() {
        return Vec::new();
    }
    let resources = container.resources.get_or_insert_default();
    let limits_set = add_missing(&mut resources.limits, limits);
    let requests_set = add_missing(&mut resources.requests, requests);
    let name = &container.name;
    let note = |set: &[&str], which: &str| format!("{} {which} for {what} {name}", set.join(", "));
    [(requests_set, "request"), (limits_set, "limit")]
        .into_iter()
        .filter(|(set, _)| !set.is_empty())
        .map(|(set, which)| note(&set, which))
        .collect()
}

/// Adds what is not there; returns the names of what was added.
fn add_missing<'a>(list: &mut Option<ResourceList>, defaults: &'a ResourceList) -> Vec<&'a str> {
    let present = |name: &str| list.as_ref().is_some_and(|list| list.contains_key(name));
    let missing: Vec<_> = defaults.iter().filter(|(name, _)| !present(name)).collect();
    for (name, quantity) in &missing {
        list.get_or_insert_default().insert((*name).clone(), (*quantity).clone());
    }
    missing.into_iter().map(|(name, _)| name.as_str()).collect()
}

#[cfg(test)]
mod tests;
