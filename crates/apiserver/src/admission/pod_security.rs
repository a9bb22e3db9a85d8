//! The Pod Security Standards: what a namespace's labels say Pods must keep to, may be warned about, or are audited for.
//! No configuration exempts anybody; without labels, everything is privileged.

use api::Object;
use api::k8s_openapi::api::core::v1::{Container, EphemeralContainer, Namespace, Pod};
use async_trait::async_trait;

use super::{Attributes, Operation, Plugin};
use crate::error::Error;
use crate::watch_cache::{Filter, ListRequest};

mod checks;
mod existing;
mod policy;
mod template;

use checks::evaluate;
use existing::warnings_about;
use policy::{Level, Policy};
use template::template_of;

/// Pods that are looked at when a namespace becomes stricter.
const MAX_PODS_TO_CHECK: usize = 3000;
/// Parts of Pods whose change matters to nobody here.
const OTHER_PARTS: [&str; 3] = ["binding", "eviction", "status"];

/// The plugin.
pub struct PodSecurity;

#[async_trait]
impl Plugin for PodSecurity {
    async fn validate(&self, attributes: &Attributes<'_>, object: &dyn Object) -> Result<(), Error> {
        if attributes.operation == Operation::Delete {
            return Ok(());
        }
        if attributes.is("namespaces", "") {
            return check_namespace(attributes, object).await;
        }
        let Some((metadata, spec)) = template_of(object) else { return Ok(()) };
        let is_pod = attributes.is("pods", attributes.subresource);
        if is_pod && OTHER_PARTS.contains(&attributes.subresource) || !is_pod && !attributes.subresource.is_empty() {
            return Ok(());
        }
        let (policy, _) = policy_of(attributes);
        let enforced = is_pod && policy.enforce.level != Level::Privileged;
        if (!enforced && policy.warn.level == Level::Privileged) || is_pod && !is_significant(attributes, object) {
            return Ok(());
        }
        if enforced && let Some(violations) = evaluate(policy.enforce, metadata, spec) {
            let text = format!("violates PodSecurity \"{}\": {}", policy.enforce, violations.details());
            return Err(attributes.forbidden(object, text));
        }
        if let Some(violations) = evaluate(policy.warn, metadata, spec) {
            attributes.warn(format!("would violate PodSecurity \"{}\": {}", policy.warn, violations.details()));
        }
        Ok(())
    }
}

/// What the namespace of a request asks for. One that is gone asks for nothing: nothing is created there.
fn policy_of(attributes: &Attributes<'_>) -> (Policy, api::field::ErrorList) {
    let namespace = attributes.server.core("namespaces").and_then(|kept| kept.cache.get(attributes.namespace));
    Policy::of(namespace.as_ref().and_then(|entry| entry.facts.labels.as_deref()))
}

/// Labels that change must be understood, and what is already there is warned about.
async fn check_namespace(attributes: &Attributes<'_>, object: &dyn Object) -> Result<(), Error> {
    let Some(namespace) = object.as_any().downcast_ref::<Namespace>() else { return Ok(()) };
    let (policy, problems) = Policy::of(namespace.metadata.labels.as_ref());
    let name = namespace.metadata.name.clone().unwrap_or_default();
    let Some(old) = attributes.old else {
        return labels_refused(problems, name);
    };
    let (before, known_problems) = Policy::of(old.metadata().labels.as_ref());
    if problems != known_problems {
        labels_refused(problems, name.clone())?;
    }
    if policy.enforce.is_stricter_than(before.enforce) {
        let pods = pods_in(attributes, &name).await?;
        warnings_about(&name, policy.enforce, &pods, MAX_PODS_TO_CHECK)
            .into_iter()
            .for_each(|text| attributes.warn(text));
    }
    Ok(())
}

fn labels_refused(problems: api::field::ErrorList, name: String) -> Result<(), Error> {
    if problems.is_empty() {
        return Ok(());
    }
    Err(Error::Invalid { group: "", kind: "Namespace".to_owned(), name, problems })
}

async fn pods_in(attributes: &Attributes<'_>, namespace: &str) -> Result<Vec<Pod>, Error> {
    attributes.server.caches.fresh().await?;
    let Some(kept) = attributes.server.core("pods") else { return Ok(Vec::new()) };
    let filter = Filter { namespace: namespace.to_owned(), ..Filter::default() };
    let listing = kept.cache.list(&ListRequest { filter, ..ListRequest::default() });
    let entries = listing.map_err(|_| Error::Internal("the newest state is never gone".to_owned()))?.entries;
    let pods = entries.iter().map(|entry| Ok(kept.decode(&entry.object())?.into_any().downcast::<Pod>().ok()));
    pods.filter_map(|pod| pod.map(|pod| pod.map(|pod| *pod)).transpose()).collect()
}

/// Whether a write of a Pod changes what the standards look at: containers come, or images change.
fn is_significant(attributes: &Attributes<'_>, object: &dyn Object) -> bool {
    let pod = |object: &dyn Object| object.as_any().downcast_ref::<Pod>().and_then(|pod| pod.spec.clone());
    let (Some(new), Some(old)) = (pod(object), attributes.old.and_then(pod)) else { return true };
    let images = |containers: &[Container]| -> Vec<Option<String>> {
        containers.iter().map(|container| container.image.clone()).collect()
    };
    let init = |containers: &Option<Vec<Container>>| images(containers.as_deref().unwrap_or_default());
    let known = |container: &EphemeralContainer| {
        old.ephemeral_containers.iter().flatten().any(|old| old.name == container.name && old.image == container.image)
    };
    images(&new.containers) != images(&old.containers)
        || init(&new.init_containers) != init(&old.init_containers)
        || !new.ephemeral_containers.iter().flatten().all(known)
}
