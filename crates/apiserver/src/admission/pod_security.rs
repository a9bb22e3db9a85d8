//! The Pod Security Standards: what a namespace's labels say Pods must keep to, may be warned about, or are audited for.
//! Without labels and a configuration that says otherwise, everything is privileged.

use api::Object;
use api::k8s_openapi::api::core::v1::{Container, EphemeralContainer, Namespace, Pod};
use async_trait::async_trait;

use super::{Attributes, Operation, Plugin};
use crate::error::Error;
use crate::watch_cache::{Filter, ListRequest};

mod checks;
pub mod configuration;
mod existing;
mod policy;
mod template;

use checks::{Violations, evaluate};
use configuration::Configuration as PodSecurityConfiguration;
use existing::warnings_about;
use policy::{Level, Policy, Standard};
use template::template_of;

/// Pods that are looked at when a namespace becomes stricter.
const MAX_PODS_TO_CHECK: usize = 3000;
/// Parts of Pods whose change matters to nobody here.
const OTHER_PARTS: [&str; 3] = ["binding", "eviction", "status"];

/// What the audit log is told: what was enforced, what else would have been violated, and what nobody understood.
const ENFORCED: &str = "pod-security.kubernetes.io/enforce-policy";
const VIOLATIONS: &str = "pod-security.kubernetes.io/audit-violations";
const ERROR: &str = "pod-security.kubernetes.io/error";
const EXEMPT: &str = "pod-security.kubernetes.io/exempt";
/// Annotations that once were what `seccompProfile` is.
const SECCOMP: [&str; 2] =
    ["seccomp.security.alpha.kubernetes.io/pod", "container.seccomp.security.alpha.kubernetes.io/"];

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
        if let Some(reason) = exemption(attributes) {
            attributes.annotations.add(EXEMPT, || reason.to_owned());
            return Ok(());
        }
        let (policy, problems) = policy_of(attributes);
        let enforced = is_pod && policy.enforce.level != Level::Privileged;
        let is_told = policy.warn.level != Level::Privileged || policy.audit.level != Level::Privileged;
        if problems.is_empty() && !enforced && !is_told {
            if is_pod {
                attributes.annotations.add(ENFORCED, || Standard::PRIVILEGED.to_string());
            }
            return Ok(());
        }
        if is_pod && !is_significant(attributes, object) {
            return Ok(());
        }
        let exempt_classes = &attributes.server.plugins.configuration().pod_security.exemptions.runtime_classes;
        if spec.runtime_class_name.as_ref().is_some_and(|class| exempt_classes.contains(class)) {
            attributes.annotations.add(EXEMPT, || "runtimeClass".to_owned());
            return Ok(());
        }
        if !problems.is_empty() {
            attributes.annotations.add(ERROR, || format!("Failed to parse policy: {}", aggregate(&problems)));
        }
        judge(attributes, object, &policy, is_pod, |standard| evaluate(standard, metadata, spec))
    }
}

/// Refuses what is enforced, of Pods themselves, and tells client and audit log of the rest.
fn judge(
    attributes: &Attributes<'_>,
    object: &dyn Object,
    policy: &Policy,
    is_pod: bool,
    evaluate: impl Fn(Standard) -> Option<Violations>,
) -> Result<(), Error> {
    let would = |standard: Standard| {
        let violations = evaluate(standard)?;
        Some(format!("would violate PodSecurity \"{standard}\": {}", violations.details()))
    };
    if let Some(text) = would(policy.audit) {
        attributes.annotations.add(VIOLATIONS, || text);
    }
    if is_pod {
        attributes.annotations.add(ENFORCED, || policy.enforce.to_string());
        if let Some(violations) = evaluate(policy.enforce) {
            let text = format!("violates PodSecurity \"{}\": {}", policy.enforce, violations.details());
            return Err(attributes.forbidden(object, text));
        }
    }
    would(policy.warn).into_iter().for_each(|text| attributes.warn(text));
    Ok(())
}

/// Several problems in one line.
fn aggregate(problems: &api::field::ErrorList) -> String {
    let texts: Vec<String> = problems.iter().map(ToString::to_string).collect();
    match texts.as_slice() {
        [only] => only.clone(),
        several => format!("[{}]", several.join(", ")),
    }
}

/// Why nothing is asked of a request, whatever it writes.
fn exemption(attributes: &Attributes<'_>) -> Option<&'static str> {
    let exemptions = &attributes.server.plugins.configuration().pod_security.exemptions;
    if exemptions.namespaces.iter().any(|namespace| namespace == attributes.namespace) {
        return Some("namespace");
    }
    exemptions.usernames.contains(&attributes.user.name).then_some("user")
}

/// What the namespace of a request asks for. One that is gone asks for nothing: nothing is created there.
fn policy_of(attributes: &Attributes<'_>) -> (Policy, api::field::ErrorList) {
    let namespace = attributes.server.core("namespaces").and_then(|kept| kept.cache.get(attributes.namespace));
    let labels = namespace.as_ref().and_then(|entry| entry.facts.labels.as_deref());
    Policy::of(labels, attributes.server.plugins.configuration().pod_security.defaults)
}

/// Labels that change must be understood, and what is already there is warned about.
async fn check_namespace(attributes: &Attributes<'_>, object: &dyn Object) -> Result<(), Error> {
    let Some(namespace) = object.as_any().downcast_ref::<Namespace>() else { return Ok(()) };
    let PodSecurityConfiguration { defaults, exemptions } = &attributes.server.plugins.configuration().pod_security;
    let (policy, problems) = Policy::of(namespace.metadata.labels.as_ref(), *defaults);
    let name = namespace.metadata.name.clone().unwrap_or_default();
    let Some(old) = attributes.old else {
        return labels_refused(problems, name);
    };
    let (before, known_problems) = Policy::of(old.metadata().labels.as_ref(), *defaults);
    if problems != known_problems {
        labels_refused(problems, name.clone())?;
    }
    if policy.enforce.is_stricter_than(before.enforce) && !exemptions.namespaces.contains(&name) {
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
    attributes.server.caches.settled().await;
    let Some(kept) = attributes.server.core("pods") else { return Ok(Vec::new()) };
    let filter = Filter { namespace: namespace.to_owned(), ..Filter::default() };
    let listing = kept.cache.list(&ListRequest { filter, ..ListRequest::default() });
    let entries = listing.map_err(|_| Error::Internal("the newest state is never gone".to_owned()))?.entries;
    let pods = entries.iter().map(|entry| Ok(kept.decode(&entry.object())?.into_any().downcast::<Pod>().ok()));
    pods.filter_map(|pod| pod.map(|pod| pod.map(|pod| *pod)).transpose()).collect()
}

/// Whether a write of a Pod changes what the standards look at: containers come, or images or seccomp profiles change.
fn is_significant(attributes: &Attributes<'_>, object: &dyn Object) -> bool {
    let pod = |object: &dyn Object| object.as_any().downcast_ref::<Pod>().cloned();
    let (Some(new), Some(old)) = (pod(object), attributes.old.and_then(pod)) else { return true };
    if seccomp(&new) != seccomp(&old) {
        return true;
    }
    let (Some(new), Some(old)) = (new.spec, old.spec) else { return true };
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

/// What a Pod's annotations say of seccomp.
fn seccomp(pod: &Pod) -> Vec<(&str, &str)> {
    let annotations = pod.metadata.annotations.iter().flatten();
    let of_seccomp = annotations.filter(|(name, _)| SECCOMP.iter().any(|prefix| name.starts_with(prefix)));
    of_seccomp.map(|(name, value)| (name.as_str(), value.as_str())).collect()
}
