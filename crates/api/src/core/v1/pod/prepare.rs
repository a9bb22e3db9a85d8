//! What the server does to a Pod before it validates a create: pure parts of its strategy.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{
    AppArmorProfile, Container, EphemeralContainer, Pod, PodAffinityTerm, PodCondition, SecurityContext,
    WeightedPodAffinityTerm,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, LabelSelectorRequirement};

use super::conditions::{self, POD_SCHEDULED};
use super::is_sidecar;

#[cfg(test)]
mod tests;

/// The annotations that once named the AppArmor profiles of containers.
pub(super) const APP_ARMOR: &str = "container.apparmor.security.beta.kubernetes.io/";

/// Copies AppArmor profiles from their old annotations to the fields of containers without one. Returns warnings for
/// the annotations that mattered.
pub fn sync_app_armor(pod: &mut Pod) -> Vec<String> {
    let mut warnings = Vec::new();
    let (Some(annotations), Some(spec)) = (&pod.metadata.annotations, &mut pod.spec) else { return warnings };
    if spec.os.as_ref().is_some_and(|os| os.name == "windows") {
        return warnings;
    }
    let of_pod = spec.security_context.as_ref().and_then(|context| context.app_armor_profile.clone());
    let mut sync = |name: &str, context: &mut Option<SecurityContext>| {
        let key = format!("{APP_ARMOR}{name}");
        let Some(annotation) = annotations.get(&key) else { return };
        if context.as_ref().is_some_and(|context| context.app_armor_profile.is_some()) {
            return;
        }
        let profile = app_armor_profile(annotation);
        if profile.is_some() && profile == of_pod {
            return;
        }
        if profile.is_some() {
            context.get_or_insert_default().app_armor_profile = profile;
        }
        warnings.push(format!(
            "metadata.annotations[{key}]: deprecated since v1.30; use the \"appArmorProfile\" field instead"
        ));
    };
    for Container { name, security_context, .. } in
        spec.init_containers.iter_mut().flatten().chain(&mut spec.containers)
    {
        sync(name, security_context);
    }
    for EphemeralContainer { name, security_context, .. } in spec.ephemeral_containers.iter_mut().flatten() {
        sync(name, security_context);
    }
    warnings
}

/// The profile an annotation names, if it names one.
fn app_armor_profile(annotation: &str) -> Option<AppArmorProfile> {
    let (kind, localhost) = match annotation {
        "runtime/default" => ("RuntimeDefault", None),
        "unconfined" => ("Unconfined", None),
        other => match other.strip_prefix("localhost/")? {
            "" => return None,
            name if name.trim() != name => return None,
            name => ("Localhost", Some(name.to_owned())),
        },
    };
    Some(AppArmorProfile { type_: kind.to_owned(), localhost_profile: localhost })
}

/// Turns the label keys of affinity terms and spread constraints into requirements on the Pod's own labels.
pub fn merge_label_keys(pod: &mut Pod) {
    let none = BTreeMap::new();
    let labels = pod.metadata.labels.as_ref().unwrap_or(&none);
    let Some(spec) = &mut pod.spec else { return };
    for constraint in spec.topology_spread_constraints.iter_mut().flatten() {
        merge(constraint.label_selector.as_mut(), constraint.match_label_keys.as_deref(), "In", labels);
    }
    let Some(affinity) = &mut spec.affinity else { return };
    if let Some(pods) = &mut affinity.pod_affinity {
        let preferred = pods.preferred_during_scheduling_ignored_during_execution.as_mut();
        merge_terms(pods.required_during_scheduling_ignored_during_execution.as_mut(), preferred, labels);
    }
    if let Some(pods) = &mut affinity.pod_anti_affinity {
        let preferred = pods.preferred_during_scheduling_ignored_during_execution.as_mut();
        merge_terms(pods.required_during_scheduling_ignored_during_execution.as_mut(), preferred, labels);
    }
}

fn merge_terms(
    required: Option<&mut Vec<PodAffinityTerm>>,
    preferred: Option<&mut Vec<WeightedPodAffinityTerm>>,
    labels: &BTreeMap<String, String>,
) {
    let preferred = preferred.into_iter().flatten().map(|weighted| &mut weighted.pod_affinity_term);
    for term in required.into_iter().flatten().chain(preferred) {
        merge(term.label_selector.as_mut(), term.match_label_keys.as_deref(), "In", labels);
        merge(term.label_selector.as_mut(), term.mismatch_label_keys.as_deref(), "NotIn", labels);
    }
}

fn merge(
    selector: Option<&mut LabelSelector>,
    keys: Option<&[String]>,
    operator: &str,
    labels: &BTreeMap<String, String>,
) {
    let (Some(selector), Some(keys)) = (selector, keys) else { return };
    for (key, value) in keys.iter().filter_map(|key| Some((key, labels.get(key)?))) {
        selector.match_expressions.get_or_insert_default().push(LabelSelectorRequirement {
            key: key.clone(),
            operator: operator.to_owned(),
            values: Some(vec![value.clone()]),
        });
    }
}

/// Says of a Pod behind scheduling gates that it waits there.
pub fn note_gates(pod: &mut Pod) {
    let gated =
        pod.spec.as_ref().and_then(|spec| spec.scheduling_gates.as_ref()).is_some_and(|gates| !gates.is_empty());
    let status = pod.status.get_or_insert_default();
    if !gated || conditions::get(status.conditions.as_ref(), POD_SCHEDULED).is_some() {
        return;
    }
    let condition = PodCondition {
        type_: POD_SCHEDULED.to_owned(),
        status: "False".to_owned(),
        reason: Some("SchedulingGated".to_owned()),
        message: Some("Scheduling is blocked due to non-empty scheduling gates".to_owned()),
        ..PodCondition::default()
    };
    conditions::set(&mut status.conditions, condition);
}

/// Takes over the ephemeral containers of an update through their subresource, and nothing else.
pub fn keep_ephemeral_containers_only(new: &mut Pod, old: &Pod) {
    let mut kept = old.clone();
    kept.metadata.resource_version.clone_from(&new.metadata.resource_version);
    kept.metadata.managed_fields.clone_from(&new.metadata.managed_fields);
    let sent = new.spec.take().and_then(|spec| spec.ephemeral_containers);
    let spec = kept.spec.get_or_insert_default();
    if spec.ephemeral_containers != sent {
        spec.ephemeral_containers = sent;
        kept.metadata.generation = Some(old.metadata.generation.unwrap_or_default() + 1);
    }
    *new = kept;
}

/// Makes a Pod sent to the `resize` subresource the old one, with the sent resources and resize policies of its
/// containers and sidecars. Containers the old Pod does not have stay, so that validation sees them.
pub fn keep_resize_only(new: &mut Pod, old: &Pod) {
    let mut kept = old.clone();
    kept.metadata.resource_version.clone_from(&new.metadata.resource_version);
    kept.metadata.managed_fields.clone_from(&new.metadata.managed_fields);
    let (Some(sent), Some(spec)) = (new.spec.take(), kept.spec.as_mut()) else { return };
    spec.resources = sent.resources;
    take_resources(sent.containers, &mut spec.containers, |_| true);
    let init_containers = spec.init_containers.as_deref_mut().unwrap_or_default();
    take_resources(sent.init_containers.unwrap_or_default(), init_containers, is_sidecar);
    if kept.spec != old.spec {
        kept.metadata.generation = Some(old.metadata.generation.unwrap_or_default() + 1);
    }
    *new = kept;
}

fn take_resources(sent: Vec<Container>, kept: &mut [Container], resizable: impl Fn(&Container) -> bool) {
    for container in sent {
        if let Some(target) = kept.iter_mut().find(|one| one.name == container.name && resizable(one)) {
            target.resources = container.resources;
            target.resize_policy = container.resize_policy;
        }
    }
}
