//! Annotations that mean something to Pods, most of them from before there were fields for it.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{AppArmorProfile, Pod, PodSpec, SeccompProfile};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use super::{SPEC, check_descending_path};
use crate::core::v1::pod::{MIRROR_ANNOTATION, containers_of, spec_of};
use crate::field::{ErrorList, Path, forbidden, invalid};
use crate::meta::{METADATA, text};

const DELETION_COST: &str = "controller.kubernetes.io/pod-deletion-cost";
const SECCOMP_POD: &str = "seccomp.security.alpha.kubernetes.io/pod";
const SECCOMP_CONTAINER: &str = "container.seccomp.security.alpha.kubernetes.io/";
const APP_ARMOR_CONTAINER: &str = "container.apparmor.security.beta.kubernetes.io/";
const LOCALHOST: &str = "localhost/";

static NONE: BTreeMap<String, String> = BTreeMap::new();

fn annotations_of(meta: &ObjectMeta) -> &BTreeMap<String, String> {
    meta.annotations.as_ref().unwrap_or(&NONE)
}

/// Checks the annotations, at `path`, of a Pod or of a template of Pods.
pub(in crate::core::v1::pod) fn validate_annotations(
    meta: &ObjectMeta,
    spec: &PodSpec,
    path: &Path<'_>,
    errors: &mut ErrorList,
) {
    let annotations = annotations_of(meta);
    if annotations.is_empty() {
        return;
    }
    if let Some(mirror) = annotations.get(MIRROR_ANNOTATION).filter(|_| text(&spec.node_name).is_empty()) {
        let message = "must set spec.nodeName if mirror pod annotation is set";
        errors.push(invalid(&path.key(MIRROR_ANNOTATION), mirror, message));
    }
    if let Some(cost) = annotations.get(DELETION_COST).filter(|cost| !is_deletion_cost(cost)) {
        errors.push(invalid(&path.key(DELETION_COST), cost, "must be a 32bit integer"));
    }
    for (key, profile) in
        annotations.iter().filter(|(key, _)| *key == SECCOMP_POD || key.starts_with(SECCOMP_CONTAINER))
    {
        validate_seccomp(profile, &path.child(key), errors);
    }
    for (key, profile) in annotations {
        let Some(name) = key.strip_prefix(APP_ARMOR_CONTAINER) else { continue };
        if !containers_of(spec).any(|(_, container)| container.name == name) {
            errors.push(invalid(&path.key(key), name, "container not found"));
        }
        if !matches!(profile.as_str(), "" | "runtime/default" | "unconfined") && !profile.starts_with(LOCALHOST) {
            let message = format!("invalid AppArmor profile name: \"{profile}\"");
            errors.push(invalid(&path.key(key), profile, message));
        }
    }
}

/// A plain integer without leading zeros or a plus sign.
fn is_deletion_cost(cost: &str) -> bool {
    cost.parse::<i32>().is_ok_and(|value| value.to_string() == cost)
}

fn validate_seccomp(profile: &str, path: &Path<'_>, errors: &mut ErrorList) {
    match profile.strip_prefix(LOCALHOST) {
        Some(file) => check_descending_path(file, path, errors),
        None if matches!(profile, "runtime/default" | "docker/default" | "unconfined") => {}
        None => errors.push(invalid(path, profile, "must be a valid seccomp profile")),
    }
}

/// A profile that both an annotation and a field name must be the same in both.
pub(in crate::core::v1::pod) fn validate_profiles_agree(meta: &ObjectMeta, spec: &PodSpec, errors: &mut ErrorList) {
    let annotations = annotations_of(meta);
    if annotations.is_empty() {
        return;
    }
    let pod_context = spec.security_context.as_ref();
    let context_path = SPEC.child("securityContext");
    let pod_seccomp = pod_context.and_then(|context| context.seccomp_profile.as_ref());
    if let (Some(profile), Some(annotation)) = (pod_seccomp, annotations.get(SECCOMP_POD)) {
        let profile = Profile::from(profile);
        profile.must_equal(annotation, &context_path.child("seccompProfile"), errors);
    }
    for (position, container) in containers_of(spec) {
        let own = container.security_context.and_then(|context| context.seccomp_profile.as_ref());
        let annotation = annotations.get(&format!("{SECCOMP_CONTAINER}{}", container.name));
        if let (Some(profile), Some(annotation)) = (own, annotation) {
            let list_path = SPEC.child(container.kind.field());
            let path = list_path.index(position);
            let path = path.child("securityContext");
            Profile::from(profile).must_equal(annotation, &path.child("seccompProfile"), errors);
        }
    }
    let of_pod = pod_context.and_then(|context| context.app_armor_profile.as_ref());
    for (position, container) in containers_of(spec) {
        if spec.os.as_ref().is_some_and(|os| os.name == "windows") {
            return;
        }
        let own = container.security_context.and_then(|context| context.app_armor_profile.as_ref());
        let annotation = annotations.get(&format!("{APP_ARMOR_CONTAINER}{}", container.name));
        if let (Some(profile), Some(annotation)) = (own.or(of_pod), annotation) {
            let list_path = SPEC.child(container.kind.field());
            let path = list_path.index(position);
            let path = path.child("securityContext");
            Profile::from(profile).must_equal(annotation, &path.child("appArmorProfile"), errors);
        }
    }
}

/// What profiles of both technologies have in common.
struct Profile<'a> {
    technology: &'static str,
    kind: &'a str,
    localhost: Option<&'a str>,
}

impl<'a> From<&'a SeccompProfile> for Profile<'a> {
    fn from(profile: &'a SeccompProfile) -> Self {
        Self { technology: "seccomp", kind: &profile.type_, localhost: profile.localhost_profile.as_deref() }
    }
}

impl<'a> From<&'a AppArmorProfile> for Profile<'a> {
    fn from(profile: &'a AppArmorProfile) -> Self {
        Self { technology: "apparmor", kind: &profile.type_, localhost: profile.localhost_profile.as_deref() }
    }
}

impl Profile<'_> {
    fn must_equal(&self, annotation: &str, path: &Path<'_>, errors: &mut ErrorList) {
        let docker = self.technology == "seccomp" && annotation == "docker/default";
        let local = annotation.strip_prefix(LOCALHOST);
        let same_type = match self.kind {
            "Unconfined" => annotation == "unconfined",
            "RuntimeDefault" => annotation == "runtime/default" || docker,
            "Localhost" => local.is_some(),
            _ => true,
        };
        if !same_type {
            let message = format!("{} type in annotation and field must match", self.technology);
            errors.push(forbidden(&path.child("type"), message));
        } else if self.kind == "Localhost" && local != self.localhost {
            let message = format!("{} profile in annotation and field must match", self.technology);
            errors.push(forbidden(&path.child("localhostProfile"), message));
        }
    }
}

/// What of a changed Pod's annotations may not change.
pub(super) fn validate_changes(new: &Pod, old: &Pod, errors: &mut ErrorList) {
    let path = METADATA.child("annotations");
    let (new_ones, old_ones) = (annotations_of(&new.metadata), annotations_of(&old.metadata));
    let fixed = |key: &str| match key {
        MIRROR_ANNOTATION => Some("mirror pod annotation"),
        key if key.starts_with(APP_ARMOR_CONTAINER) => Some("AppArmor annotations"),
        _ => None,
    };
    for (key, _) in old_ones.iter().filter(|(key, value)| new_ones.get(*key) != Some(value)) {
        if let Some(name) = fixed(key) {
            errors.push(forbidden(&path.key(key), format!("may not remove or update {name}")));
        }
    }
    for key in new_ones.keys().filter(|key| !old_ones.contains_key(*key)) {
        if let Some(name) = fixed(key) {
            errors.push(forbidden(&path.key(key), format!("may not add {name}")));
        }
    }
    validate_annotations(&new.metadata, spec_of(new), &path, errors);
}
