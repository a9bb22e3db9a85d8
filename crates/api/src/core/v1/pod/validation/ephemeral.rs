//! Ephemeral containers, which join a running Pod for debugging.

use std::collections::HashSet;

use super::SPEC;
use super::container::{Context, validate_common};
use crate::core::v1::pod::ContainerRef;
use crate::field::{ErrorList, Path, duplicate, forbidden, invalid, not_found};
use crate::meta::text;

const NOT_FOR_EPHEMERAL: &str = "cannot be set for an Ephemeral Container";

pub(super) fn validate_ephemeral_containers(context: &Context<'_>, errors: &mut ErrorList) {
    let spec = context.spec;
    let Some(containers) = spec.ephemeral_containers.as_ref().filter(|containers| !containers.is_empty()) else {
        return;
    };
    let others = spec.containers.iter().chain(spec.init_containers.iter().flatten());
    let others: HashSet<&str> = others.map(|container| container.name.as_str()).collect();
    let mut names = others.clone();
    let list_path = SPEC.child("ephemeralContainers");
    for (position, ephemeral) in containers.iter().enumerate() {
        let path = list_path.index(position);
        let container = ContainerRef::ephemeral(ephemeral);
        validate_common(&container, context, &path, errors);
        let image = container.image.map_or("", String::as_str);
        if image.trim().len() != image.len() {
            errors.push(invalid(&path.child("image"), image, "must not have leading or trailing whitespace"));
        }
        if !names.insert(container.name) {
            errors.push(duplicate(&path.child("name"), container.name));
        }
        let target = text(&ephemeral.target_container_name);
        if !target.is_empty() && !others.contains(target) {
            errors.push(not_found(&path.child("targetContainerName"), target));
        }
        forbid_services(&container, &path, errors);
    }
}

/// They come and go, so nothing of the Pod may lean on them.
fn forbid_services(container: &ContainerRef<'_>, path: &Path<'_>, errors: &mut ErrorList) {
    let has_resources = container.resources.is_some_and(|resources| *resources != Default::default());
    let set = [
        ("ports", container.ports.is_some_and(|ports| !ports.is_empty())),
        ("resources", has_resources),
        ("resizePolicy", container.resize_policy.is_some_and(|policies| !policies.is_empty())),
        ("restartPolicy", container.restart_policy.is_some()),
        ("restartPolicyRules", container.restart_policy_rules.is_some_and(|rules| !rules.is_empty())),
        ("livenessProbe", container.liveness_probe.is_some()),
        ("readinessProbe", container.readiness_probe.is_some()),
        ("startupProbe", container.startup_probe.is_some()),
        ("lifecycle", container.lifecycle.is_some()),
    ];
    for (field, _) in set.into_iter().filter(|(_, set)| *set) {
        errors.push(forbidden(&path.child(field), NOT_FOR_EPHEMERAL));
    }
    let mounts_path = path.child("volumeMounts");
    for (position, mount) in container.volume_mounts.into_iter().flatten().enumerate() {
        let path = mounts_path.index(position);
        for (field, value) in [("subPath", text(&mount.sub_path)), ("subPathExpr", text(&mount.sub_path_expr))] {
            if !value.is_empty() {
                errors.push(forbidden(&path.child(field), NOT_FOR_EPHEMERAL));
            }
        }
    }
}
