//! Changes of a Pod that runs or is about to: little may.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{Affinity, Container, NodeAffinity, NodeSelectorTerm, Pod, PodSpec};

use super::{SPEC, annotations, validate_metadata_and_spec};
use crate::core::v1::difference::difference;
use crate::core::v1::pod::{MIRROR_ANNOTATION, spec_of};
use crate::core::v1::taints::validate_tolerations;
use crate::field::{ErrorList, Json, Path, forbidden, invalid, required};
use crate::internal;
use crate::meta::validate_meta_update;
use crate::names;

mod ephemeral_text;

const UPDATABLE: &str = "`spec.containers[*].image`,`spec.initContainers[*].image`,`spec.activeDeadlineSeconds`,`spec.tolerations` (only additions to existing tolerations),`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative)";
const MAX_DEADLINE_SECONDS: i64 = i32::MAX as i64;

pub(in crate::core::v1::pod) fn validate_update(new: &Pod, old: &Pod) -> ErrorList {
    let mut errors = validate_meta_update(&new.metadata, &old.metadata);
    errors.extend(validate_metadata_and_spec(new));
    annotations::validate_changes(new, old, &mut errors);
    validate_spec_changes(spec_of(new), spec_of(old), &mut errors);
    errors
}

fn validate_spec_changes(new: &PodSpec, old: &PodSpec, errors: &mut ErrorList) {
    let init_containers = (new.init_containers.as_deref(), old.init_containers.as_deref());
    let lists = [
        ("containers", &new.containers[..], &old.containers[..]),
        ("initContainers", init_containers.0.unwrap_or_default(), init_containers.1.unwrap_or_default()),
    ];
    for (field, new, old) in lists {
        if !validate_images(new, old, &SPEC.child(field), errors) {
            return;
        }
    }
    if !validate_deadline(new, old, errors) {
        return;
    }
    validate_added_tolerations(new, old, errors);
    validate_removed_gates(new, old, errors);
    if new == old {
        return;
    }
    let frozen = freeze(new, old, errors);
    if frozen != *old {
        let difference = difference(old, &frozen);
        let message = format!("pod updates may not change fields other than {UPDATABLE}\n{difference}");
        errors.push(forbidden(&SPEC, message));
    }
}

/// Images may change, the number of containers may not. Says whether to go on.
fn validate_images(new: &[Container], old: &[Container], list_path: &Path<'_>, errors: &mut ErrorList) -> bool {
    if new.len() != old.len() {
        errors.push(forbidden(list_path, "pod updates may not add or remove containers"));
        return false;
    }
    for (position, container) in new.iter().enumerate() {
        let image = container.image.as_deref().unwrap_or_default();
        let path = list_path.index(position);
        if image.is_empty() {
            errors.push(required(&path.child("image"), ""));
        }
        if image.trim().len() != image.len() {
            errors.push(invalid(&path.child("image"), image, "must not have leading or trailing whitespace"));
        }
    }
    true
}

/// A deadline may be set and come closer. Says whether to go on.
fn validate_deadline(new: &PodSpec, old: &PodSpec, errors: &mut ErrorList) -> bool {
    let path = SPEC.child("activeDeadlineSeconds");
    match (new.active_deadline_seconds, old.active_deadline_seconds) {
        (Some(new), _) if !(0..=MAX_DEADLINE_SECONDS).contains(&new) => {
            errors.push(invalid(&path, new, names::out_of_range(0, MAX_DEADLINE_SECONDS)));
            false
        }
        (Some(new), Some(old)) if old < new => {
            errors.push(invalid(&path, new, "must be less than or equal to previous value"));
            false
        }
        (None, Some(_)) => {
            errors.push(invalid(&path, None::<i64>, "must not update from a positive integer to nil value"));
            true
        }
        _ => true,
    }
}

fn validate_added_tolerations(new: &PodSpec, old: &PodSpec, errors: &mut ErrorList) {
    let path = SPEC.child("tolerations");
    let tolerations = new.tolerations.as_deref().unwrap_or_default();
    let kept = |old: &k8s_openapi::api::core::v1::Toleration| {
        tolerations.iter().any(|new| {
            (&new.key, &new.operator, &new.value, &new.effect) == (&old.key, &old.operator, &old.value, &old.effect)
        })
    };
    if !old.tolerations.iter().flatten().all(kept) {
        errors.push(forbidden(&path, "existing toleration can not be modified except its tolerationSeconds"));
        return;
    }
    errors.extend(validate_tolerations(tolerations, &path));
}

fn validate_removed_gates(new: &PodSpec, old: &PodSpec, errors: &mut ErrorList) {
    let list_path = SPEC.child("schedulingGates");
    for (position, gate) in new.scheduling_gates.iter().flatten().enumerate() {
        if !old.scheduling_gates.iter().flatten().any(|old| old.name == gate.name) {
            let message = format!("only deletion is allowed, but found new scheduling gate '{}'", gate.name);
            errors.push(forbidden(&list_path.index(position).child("name"), message));
        }
    }
}

/// The new spec with everything that may change as it was; problems of how it changed are added.
fn freeze(new: &PodSpec, old: &PodSpec, errors: &mut ErrorList) -> PodSpec {
    let mut frozen = new.clone();
    for (container, old) in frozen.containers.iter_mut().zip(&old.containers) {
        container.image.clone_from(&old.image);
    }
    let old_init = old.init_containers.iter().flatten();
    for (container, old) in frozen.init_containers.iter_mut().flatten().zip(old_init) {
        container.image.clone_from(&old.image);
    }
    frozen.active_deadline_seconds = old.active_deadline_seconds;
    frozen.scheduling_gates.clone_from(&old.scheduling_gates);
    frozen.tolerations.clone_from(&old.tolerations);
    let was_negative = old.termination_grace_period_seconds.is_some_and(|seconds| seconds < 0);
    if was_negative && new.termination_grace_period_seconds == Some(1) {
        frozen.termination_grace_period_seconds = old.termination_grace_period_seconds;
    }
    if old.scheduling_gates.as_ref().is_some_and(|gates| !gates.is_empty()) {
        freeze_gated(&mut frozen, old, errors);
    }
    frozen
}

/// A Pod that waits behind gates may be told more narrowly where to run.
fn freeze_gated(frozen: &mut PodSpec, old: &PodSpec, errors: &mut ErrorList) {
    if frozen.node_selector != old.node_selector {
        let none = BTreeMap::new();
        let selector = frozen.node_selector.as_ref().unwrap_or(&none);
        if old.node_selector.iter().flatten().any(|(key, value)| selector.get(key) != Some(value)) {
            let message = "only additions to spec.nodeSelector are allowed (no mutations or deletions)";
            errors.push(invalid(&SPEC.child("nodeSelector"), Json(selector), message));
        }
        frozen.node_selector.clone_from(&old.node_selector);
    }
    let node_affinity =
        |affinity: &Option<Affinity>| affinity.as_ref().and_then(|affinity| affinity.node_affinity.clone());
    let (new_affinity, old_affinity) = (node_affinity(&frozen.affinity), node_affinity(&old.affinity));
    if new_affinity == old_affinity {
        return;
    }
    validate_affinity_change(new_affinity.as_ref(), old_affinity.as_ref(), errors);
    match &mut frozen.affinity {
        Some(affinity)
            if old.affinity.is_none() && affinity.pod_affinity.is_none() && affinity.pod_anti_affinity.is_none() =>
        {
            frozen.affinity = None;
        }
        Some(affinity) => affinity.node_affinity = old_affinity,
        None => frozen.affinity = Some(Affinity { node_affinity: old_affinity, ..Affinity::default() }),
    }
}

fn validate_affinity_change(new: Option<&NodeAffinity>, old: Option<&NodeAffinity>, errors: &mut ErrorList) {
    fn terms(affinity: Option<&NodeAffinity>) -> &[NodeSelectorTerm] {
        let required =
            affinity.and_then(|affinity| affinity.required_during_scheduling_ignored_during_execution.as_ref());
        required.map_or(&[], |selector| &selector.node_selector_terms)
    }
    let (new, old) = (terms(new), terms(old));
    let path = SPEC.child("affinity");
    let path = path.child("nodeAffinity");
    let path = path.child("requiredDuringSchedulingIgnoredDuringExecution");
    let path = path.child("nodeSelectorTerms");
    if !old.is_empty() && old.len() != new.len() {
        let message = "no additions/deletions to non-empty NodeSelectorTerms list are allowed";
        errors.push(invalid(&path, Json(&internal::node_selector_terms(new)), message));
        return;
    }
    for (position, (new, old)) in new.iter().zip(old).enumerate() {
        if !only_adds(new, old) {
            let message = "only additions are allowed (no mutations or deletions)";
            errors.push(invalid(&path.index(position), Json(&internal::node_selector_term(new)), message));
        }
    }
}

fn only_adds(new: &NodeSelectorTerm, old: &NodeSelectorTerm) -> bool {
    let lists = |term: &NodeSelectorTerm| {
        (term.match_expressions.clone().unwrap_or_default(), term.match_fields.clone().unwrap_or_default())
    };
    let ((new_expressions, new_fields), (old_expressions, old_fields)) = (lists(new), lists(old));
    if old_expressions.is_empty() && old_fields.is_empty() {
        return new_expressions.is_empty() && new_fields.is_empty();
    }
    new_expressions.starts_with(&old_expressions) && new_fields.starts_with(&old_fields)
}

/// Every problem of replacing a Pod's ephemeral containers, through the subresource of that name: they may be added,
/// never changed or removed. Nothing else of both Pods may differ.
pub fn validate_ephemeral_containers_update(new: &Pod, old: &Pod) -> ErrorList {
    if old.metadata.annotations.as_ref().is_some_and(|annotations| annotations.contains_key(MIRROR_ANNOTATION)) {
        return vec![forbidden(&Path::new(""), "static pods do not support ephemeral containers")];
    }
    let mut errors = validate_meta_update(&new.metadata, &old.metadata);
    errors.extend(validate_metadata_and_spec(new));
    annotations::validate_changes(new, old, &mut errors);
    let path = SPEC.child("ephemeralContainers");
    let (new, old) = (&spec_of(new).ephemeral_containers, &spec_of(old).ephemeral_containers);
    for old in old.iter().flatten() {
        let name = &old.name;
        match new.iter().flatten().find(|new| new.name == *name) {
            None => {
                let message = format!("existing ephemeral containers \"{name}\" may not be removed\n");
                errors.push(forbidden(&path, message));
            }
            Some(new) if new != old => {
                let difference = difference(&ephemeral_text::internal(old), &ephemeral_text::internal(new));
                let message = format!("existing ephemeral containers \"{name}\" may not be changed\n{difference}");
                errors.push(forbidden(&path, message));
            }
            Some(_) => {}
        }
    }
    errors
}
