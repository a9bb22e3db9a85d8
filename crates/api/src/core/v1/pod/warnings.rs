//! What in a Pod is fine but hardly meant.

use std::collections::{BTreeMap, HashSet};

use k8s_openapi::api::core::v1::{ContainerPort, PodAffinityTerm, PodSpec, Volume, WeightedPodAffinityTerm};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use super::prepare::APP_ARMOR;
use super::{ContainerRef, containers_of};
use crate::core::v1::deprecated_labels::{deprecation, warn_of_term};
use crate::core::v1::persistent_volume_claim::warn_of_claim_spec;
use crate::core::v1::resource_list::warn_of_fractions;
use crate::field::Path;
use crate::meta::text;

mod paths;
#[cfg(test)]
mod tests;

use paths::warn_of_overlaps;

const REQUIRED: &str = "requiredDuringSchedulingIgnoredDuringExecution";
const PREFERRED: &str = "preferredDuringSchedulingIgnoredDuringExecution";
/// Resources that are counted in bytes.
const BYTES: &[&str] = &["memory", "ephemeral-storage"];

/// Warnings about a Pod, or about a template of Pods at `place`.
pub(super) fn warnings(meta: &ObjectMeta, spec: &PodSpec, place: &Path<'_>) -> Vec<String> {
    let (meta_path, spec_path) = (place.child("metadata"), &place.child("spec"));
    let annotations_path = &meta_path.child("annotations");
    let mut warnings = Vec::new();
    warn_of_labels(spec, spec_path, &mut warnings);
    warn_of_spread(spec, spec_path, &mut warnings);
    warn_of_annotations(meta, annotations_path, &mut warnings);
    let list_path = spec_path.child("volumes");
    for (position, volume) in spec.volumes.iter().flatten().enumerate() {
        warn_of_volume(volume, &list_path.index(position), &mut warnings);
    }
    spec.volumes.iter().flatten().for_each(|volume| warn_of_overlaps(volume, &mut warnings));
    warn_of_repetitions(spec, spec_path, &mut warnings);
    warn_of_fractions(spec.overhead.as_ref(), BYTES, &spec_path.child("overhead"), &mut warnings);
    warn_of_seccomp(meta, spec, annotations_path, &mut warnings);
    for (position, container) in containers_of(spec) {
        let list_path = spec_path.child(container.kind.field());
        warn_of_container(&container, &list_path.index(position), &mut warnings);
    }
    warn_of_ports(spec, spec_path, &mut warnings);
    if spec.termination_grace_period_seconds.is_some_and(|period| period < 0) {
        let text = "must be >= 0; negative values are invalid and will be treated as 1";
        warnings.push(format!("{}: {text}", spec_path.child("terminationGracePeriodSeconds")));
    }
    warn_of_neighbours(spec, spec_path, &mut warnings);
    warnings
}

fn warn_of_labels(spec: &PodSpec, spec_path: &Path<'_>, warnings: &mut Vec<String>) {
    let path = spec_path.child("nodeSelector");
    for key in spec.node_selector.iter().flatten().map(|(key, _)| key) {
        warnings.extend(deprecation(key).map(|text| format!("{}: {text}", path.key(key))));
    }
    let Some(affinity) = spec.affinity.as_ref().and_then(|affinity| affinity.node_affinity.as_ref()) else { return };
    let path = spec_path.child("affinity");
    let path = path.child("nodeAffinity");
    let required_path = path.child(REQUIRED);
    let terms_path = required_path.child("nodeSelectorTerms");
    let required = affinity.required_during_scheduling_ignored_during_execution.iter();
    for (position, term) in required.flat_map(|selector| &selector.node_selector_terms).enumerate() {
        warn_of_term(term, &terms_path.index(position), warnings);
    }
    let terms_path = path.child(PREFERRED);
    let preferred = affinity.preferred_during_scheduling_ignored_during_execution.iter().flatten();
    for (position, term) in preferred.enumerate() {
        warn_of_term(&term.preference, &terms_path.index(position).child("preference"), warnings);
    }
}

fn warn_of_spread(spec: &PodSpec, spec_path: &Path<'_>, warnings: &mut Vec<String>) {
    let list_path = spec_path.child("topologySpreadConstraints");
    for (position, constraint) in spec.topology_spread_constraints.iter().flatten().enumerate() {
        let path = list_path.index(position);
        if let Some(text) = deprecation(&constraint.topology_key) {
            warnings.push(format!("{}: {} is {text}", path.child("topologyKey"), constraint.topology_key));
        }
        if constraint.label_selector.is_none() {
            warnings.push(format!("{}: a null labelSelector results in matching no pod", path.child("labelSelector")));
        }
    }
}

fn warn_of_annotations(meta: &ObjectMeta, path: &Path<'_>, warnings: &mut Vec<String>) {
    let Some(annotations) = &meta.annotations else { return };
    for (key, text) in [
        ("scheduler.alpha.kubernetes.io/critical-pod", "v1.16+; use the \"priorityClassName\" field instead"),
        ("security.alpha.kubernetes.io/sysctls", "v1.11+; use the \"sysctls\" field instead"),
        ("security.alpha.kubernetes.io/unsafe-sysctls", "v1.11+; use the \"sysctls\" field instead"),
    ] {
        if annotations.contains_key(key) {
            warnings.push(format!("{}: non-functional in {text}", path.key(key)));
        }
    }
}

fn warn_of_volume(volume: &Volume, path: &Path<'_>, warnings: &mut Vec<String>) {
    let gone = [
        ("photonPersistentDisk", volume.photon_persistent_disk.is_some(), "v1.11, non-functional in v1.16+"),
        ("gitRepo", volume.git_repo.is_some(), "v1.11"),
        ("scaleIO", volume.scale_io.is_some(), "v1.16, non-functional in v1.22+"),
        ("flocker", volume.flocker.is_some(), "v1.22, non-functional in v1.25+"),
        ("storageOS", volume.storageos.is_some(), "v1.22, non-functional in v1.25+"),
        ("quobyte", volume.quobyte.is_some(), "v1.22, non-functional in v1.25+"),
        ("glusterfs", volume.glusterfs.is_some(), "v1.25, non-functional in v1.26+"),
        ("cephfs", volume.cephfs.is_some(), "v1.28, non-functional in v1.31+"),
        ("rbd", volume.rbd.is_some(), "v1.28, non-functional in v1.31+"),
    ];
    for (field, _, text) in gone.into_iter().filter(|(_, used, _)| *used) {
        warnings.push(format!("{}: deprecated in {text}", path.child(field)));
    }
    if let Some(template) = volume.ephemeral.as_ref().and_then(|source| source.volume_claim_template.as_ref()) {
        let path = path.child("ephemeral");
        let path = path.child("volumeClaimTemplate");
        warn_of_claim_spec(&template.spec, &path.child("spec"), warnings);
    }
}

fn warn_of_repetitions(spec: &PodSpec, spec_path: &Path<'_>, warnings: &mut Vec<String>) {
    let list_path = spec_path.child("hostAliases");
    let mut seen = HashSet::new();
    for (position, alias) in spec.host_aliases.iter().flatten().enumerate() {
        if !seen.insert(&alias.ip) {
            warnings.push(format!("{}: duplicate ip {:?}", list_path.index(position).child("ip"), alias.ip));
        }
    }
    let list_path = spec_path.child("imagePullSecrets");
    let mut seen = HashSet::new();
    for (position, secret) in spec.image_pull_secrets.iter().flatten().enumerate() {
        if !seen.insert(&secret.name) {
            warnings.push(format!("{}: duplicate name {:?}", list_path.index(position).child("name"), secret.name));
        }
    }
    let secrets = spec.image_pull_secrets.iter().flatten().enumerate();
    for (position, _) in secrets.filter(|(_, secret)| secret.name.is_empty()) {
        warnings.push(format!("{}: invalid empty name \"\"", list_path.index(position).child("name")));
    }
}

fn warn_of_seccomp(meta: &ObjectMeta, spec: &PodSpec, path: &Path<'_>, warnings: &mut Vec<String>) {
    let Some(annotations) = &meta.annotations else { return };
    let mut warn = |key: &str, has_field: bool| {
        if !has_field && annotations.contains_key(key) {
            let text = "non-functional in v1.27+; use the \"seccompProfile\" field instead";
            warnings.push(format!("{}: {text}", path.key(key)));
        }
    };
    let has_field = spec.security_context.as_ref().is_some_and(|context| context.seccomp_profile.is_some());
    warn("seccomp.security.alpha.kubernetes.io/pod", has_field);
    for (_, container) in containers_of(spec) {
        let has_field = container.security_context.is_some_and(|context| context.seccomp_profile.is_some());
        warn(&format!("container.seccomp.security.alpha.kubernetes.io/{}", container.name), has_field);
    }
}

/// Warns of profiles in the annotations of a template. Those of a Pod itself become fields, and are told of then.
pub(super) fn warn_of_app_armor(meta: &ObjectMeta, spec: &PodSpec, place: &Path<'_>, warnings: &mut Vec<String>) {
    let Some(annotations) = &meta.annotations else { return };
    if spec.security_context.as_ref().is_some_and(|context| context.app_armor_profile.is_some()) {
        return;
    }
    let path = place.child("metadata");
    let path = path.child("annotations");
    for (_, container) in containers_of(spec) {
        let has_field = container.security_context.is_some_and(|context| context.app_armor_profile.is_some());
        let key = format!("{APP_ARMOR}{}", container.name);
        if !has_field && annotations.contains_key(&key) {
            let text = "deprecated since v1.30; use the \"appArmorProfile\" field instead";
            warnings.push(format!("{}: {text}", path.key(&key)));
        }
    }
}

fn warn_of_container(container: &ContainerRef<'_>, path: &Path<'_>, warnings: &mut Vec<String>) {
    if let Some(resources) = container.resources {
        let path = path.child("resources");
        // Upstream's order: what is limited and requested of one resource, then of the next.
        for name in BYTES {
            warn_of_fractions(resources.limits.as_ref(), &[name], &path.child("limits"), warnings);
            warn_of_fractions(resources.requests.as_ref(), &[name], &path.child("requests"), warnings);
        }
    }
    let list_path = path.child("env");
    let mut seen = HashSet::new();
    for (position, variable) in container.env.into_iter().flatten().enumerate() {
        if seen.insert(&variable.name) {
            continue;
        }
        let (value, reference) = (text(&variable.value), format!("$({})", variable.name));
        let extends = variable.value_from.is_none() && value != reference && value.contains(&reference);
        if !extends {
            let text = "which may be dropped when using apply";
            let path = list_path.index(position);
            warnings.push(format!("{path}: hides previous definition of {:?}, {text}", variable.name));
        }
    }
}

/// Two ports with one number and protocol are one, or half of one.
fn warn_of_ports(spec: &PodSpec, spec_path: &Path<'_>, warnings: &mut Vec<String>) {
    let mut seen: BTreeMap<(i32, &str), Vec<(String, &ContainerPort)>> = BTreeMap::new();
    for (position, container) in containers_of(spec) {
        let list_path = spec_path.child(container.kind.field());
        let path = list_path.index(position);
        let ports_path = path.child("ports");
        for (position, port) in container.ports.into_iter().flatten().enumerate() {
            let path = ports_path.index(position);
            if !text(&port.host_ip).is_empty() && port.host_port.unwrap_or(0) == 0 {
                warnings.push(format!("{path}: hostIP set without hostPort: {}", in_go(port)));
            }
            let others = seen.entry((port.container_port, text(&port.protocol))).or_default();
            let host = |port: &ContainerPort| port.host_port.unwrap_or(0);
            for (other_path, other) in others.iter() {
                let same_address = text(&port.host_ip) == text(&other.host_ip);
                let overlap = if same_address && host(port) == host(other) {
                    "duplicate"
                } else if host(port) == 0 || host(other) == 0 {
                    "overlapping"
                } else if host(port) == host(other)
                    && (text(&port.host_ip).is_empty() || text(&other.host_ip).is_empty())
                {
                    "dangerously ambiguous"
                } else {
                    continue;
                };
                warnings.push(format!("{path}: {overlap} port definition with {other_path}"));
            }
            others.push((path.to_string(), port));
        }
    }
}

/// A port as Go prints a structure.
fn in_go(port: &ContainerPort) -> String {
    format!(
        "{{Name:{} HostPort:{} ContainerPort:{} Protocol:{} HostIP:{}}}",
        text(&port.name),
        port.host_port.unwrap_or(0),
        port.container_port,
        text(&port.protocol),
        text(&port.host_ip)
    )
}

/// Terms about neighbours that no Pod can be.
fn warn_of_neighbours(spec: &PodSpec, spec_path: &Path<'_>, warnings: &mut Vec<String>) {
    let Some(affinity) = &spec.affinity else { return };
    let path = spec_path.child("affinity");
    if let Some(near) = &affinity.pod_affinity {
        let required = near.required_during_scheduling_ignored_during_execution.as_deref();
        let preferred = near.preferred_during_scheduling_ignored_during_execution.as_deref();
        warn_of_terms(required, preferred, &path.child("podAffinity"), warnings);
    }
    if let Some(far) = &affinity.pod_anti_affinity {
        let required = far.required_during_scheduling_ignored_during_execution.as_deref();
        let preferred = far.preferred_during_scheduling_ignored_during_execution.as_deref();
        warn_of_terms(required, preferred, &path.child("podAntiAffinity"), warnings);
    }
}

fn warn_of_terms(
    required: Option<&[PodAffinityTerm]>,
    preferred: Option<&[WeightedPodAffinityTerm]>,
    path: &Path<'_>,
    warnings: &mut Vec<String>,
) {
    let mut warn = |term: &PodAffinityTerm, path: &Path<'_>| {
        if term.label_selector.is_none() {
            warnings.push(format!("{}: a null labelSelector results in matching no pod", path.child("labelSelector")));
        }
    };
    let list_path = path.child(REQUIRED);
    for (position, term) in required.into_iter().flatten().enumerate() {
        warn(term, &list_path.index(position));
    }
    let list_path = path.child(PREFERRED);
    for (position, term) in preferred.into_iter().flatten().enumerate() {
        warn(&term.pod_affinity_term, &list_path.index(position).child("podAffinityTerm"));
    }
}
