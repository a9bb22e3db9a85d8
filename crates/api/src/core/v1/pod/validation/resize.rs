//! Changes of a running Pod's resources, through the `resize` subresource.

use k8s_openapi::api::core::v1::{Container, ContainerResizePolicy, Pod, PodSpec, ResourceRequirements};

use super::{SPEC, validate_metadata_and_spec};
use crate::core::v1::pod::{MIRROR_ANNOTATION, is_sidecar, qos_class, spec_of, status_of};
use crate::core::v1::resource_list::{ResourceList, get};
use crate::field::{ErrorList, Path, forbidden, invalid};
use crate::meta::{text, validate_meta_update};

/// Every problem of resizing a Pod. Only the resources of containers and of the Pod as a whole may differ between both.
pub fn validate_resize(new: &Pod, old: &Pod) -> ErrorList {
    let (new_spec, old_spec) = (spec_of(new), spec_of(old));
    if let Some(message) = unsupported(old) {
        return vec![forbidden(&Path::new(""), message)];
    }
    let mut errors = validate_meta_update(&new.metadata, &old.metadata);
    errors.extend(validate_metadata_and_spec(new));
    if qos_class(new) != qos_class(old) {
        let class = text(&status_of(new).qos_class);
        errors.push(invalid(&SPEC, class, "Pod QOS Class may not change as a result of resizing"));
    }
    if !is_supported_by_node(old) {
        errors.push(forbidden(&SPEC, "Pod running on node without support for resize"));
    }
    validate_lists(new_spec, old_spec, &mut errors);
    if errors.is_empty() && frozen(new_spec, old_spec) != *old_spec {
        errors.push(forbidden(&SPEC, "only cpu and memory resources are mutable"));
    }
    errors
}

/// Why a Pod can never be resized.
fn unsupported(old: &Pod) -> Option<&'static str> {
    if old.metadata.annotations.as_ref().is_some_and(|annotations| annotations.contains_key(MIRROR_ANNOTATION)) {
        return Some("static pods cannot be resized");
    }
    let windows = spec_of(old).os.as_ref().is_some_and(|os| os.name == "windows");
    windows.then_some("windows pods cannot be resized")
}

/// A node that can resize says what resources its running containers have.
fn is_supported_by_node(pod: &Pod) -> bool {
    let running = status_of(pod)
        .container_statuses
        .iter()
        .flatten()
        .find(|status| status.state.as_ref().is_some_and(|state| state.running.is_some()));
    running.is_none_or(|status| status.resources.is_some())
}

fn validate_lists(new: &PodSpec, old: &PodSpec, errors: &mut ErrorList) {
    validate_kept(new.resources.as_ref(), old.resources.as_ref(), &SPEC.child("resources"), errors);
    let init_containers = (new.init_containers.as_deref(), old.init_containers.as_deref());
    let (new_init, old_init) = (init_containers.0.unwrap_or_default(), init_containers.1.unwrap_or_default());
    if new_init.len() != old_init.len() || new.containers.len() != old.containers.len() {
        errors.push(forbidden(&SPEC, "only cpu and memory resources are mutable"));
        return;
    }
    let list_path = SPEC.child("initContainers");
    for (position, (new, old)) in new_init.iter().zip(old_init).enumerate() {
        if is_sidecar(old) {
            validate_container(new, old, &list_path.index(position), errors);
        }
    }
    let list_path = SPEC.child("containers");
    for (position, (new, old)) in new.containers.iter().zip(&old.containers).enumerate() {
        validate_container(new, old, &list_path.index(position), errors);
    }
    for _ in new.containers.iter().zip(&old.containers).filter(|(new, old)| keep_compute(new, old) != **old) {
        errors.push(forbidden(&SPEC, "only cpu and memory resources are mutable"));
    }
    for (new, old) in new_init.iter().zip(old_init) {
        if is_sidecar(new) && keep_compute(new, old) != *old {
            errors.push(forbidden(&SPEC, "only cpu and memory resources for sidecar containers are mutable"));
        } else if !is_sidecar(new) && new != old {
            errors.push(forbidden(&SPEC, "resources for non-sidecar init containers are immutable"));
        }
    }
}

fn validate_container(new: &Container, old: &Container, path: &Path<'_>, errors: &mut ErrorList) {
    validate_kept(new.resources.as_ref(), old.resources.as_ref(), &path.child("resources"), errors);
}

/// Amounts may change, but not go.
fn validate_kept(
    new: Option<&ResourceRequirements>,
    old: Option<&ResourceRequirements>,
    path: &Path<'_>,
    errors: &mut ErrorList,
) {
    let empty = ResourceRequirements::default();
    let (new, old) = (new.unwrap_or(&empty), old.unwrap_or(&empty));
    if is_removed(new.requests.as_ref(), old.requests.as_ref()) {
        errors.push(forbidden(&path.child("requests"), "resource requests cannot be removed"));
    }
    if is_removed(new.limits.as_ref(), old.limits.as_ref()) {
        errors.push(forbidden(&path.child("limits"), "resource limits cannot be removed"));
    }
}

fn is_removed(new: Option<&ResourceList>, old: Option<&ResourceList>) -> bool {
    old.into_iter().flatten().any(|(name, _)| get(new, name).is_none())
}

/// The container with the CPU and memory of the old one, and its resize policy.
fn keep_compute(new: &Container, old: &Container) -> Container {
    let resources = keep_amounts(new.resources.as_ref(), old.resources.as_ref());
    let resize_policy: Option<Vec<ContainerResizePolicy>> = old.resize_policy.clone();
    Container { resources, resize_policy, ..new.clone() }
}

/// Resources with the CPU and memory of the old ones.
fn keep_amounts(
    new: Option<&ResourceRequirements>,
    old: Option<&ResourceRequirements>,
) -> Option<ResourceRequirements> {
    fn keep(new: &Option<ResourceList>, old: &Option<ResourceList>) -> Option<ResourceList> {
        let mut kept = new.clone().unwrap_or_default();
        for name in ["cpu", "memory"] {
            kept.remove(name);
            if let Some(amount) = old.as_ref().and_then(|old| old.get(name)) {
                kept.insert(name.to_owned(), amount.clone());
            }
        }
        (!kept.is_empty()).then_some(kept)
    }
    let empty = ResourceRequirements::default();
    let (new, old) = (new.unwrap_or(&empty), old?);
    Some(ResourceRequirements {
        limits: keep(&new.limits, &old.limits),
        requests: keep(&new.requests, &old.requests),
        claims: new.claims.clone(),
    })
}

fn frozen(new: &PodSpec, old: &PodSpec) -> PodSpec {
    let containers = new.containers.iter().zip(&old.containers);
    let containers = containers.map(|(new, old)| keep_compute(new, old)).collect();
    let init = new.init_containers.as_ref().zip(old.init_containers.as_ref());
    let init_containers = init.map(|(new, old)| new.iter().zip(old).map(|(new, old)| keep_compute(new, old)).collect());
    let resources = keep_amounts(new.resources.as_ref(), old.resources.as_ref());
    PodSpec { containers, init_containers, resources, ..new.clone() }
}
