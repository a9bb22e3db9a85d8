//! Security contexts of Pods and containers.

use std::collections::HashSet;

use k8s_openapi::api::core::v1::{
    AppArmorProfile, PodSecurityContext, PodSpec, SeccompProfile, SecurityContext, WindowsSecurityContextOptions,
};

use super::{SPEC, check_descending_path, check_id, check_optional_choice, check_subdomain};
use crate::core::v1::pod::ContainerRef;
use crate::field::{ErrorList, Json, Path, duplicate, forbidden, invalid, not_supported, required, too_long};
use crate::internal::security_context;

mod windows;

use windows::validate_user_name;

/// Upstream's order of the types of security profiles.
const PROFILE_TYPES: &[&str] = &["Localhost", "RuntimeDefault", "Unconfined"];
const MAX_APP_ARMOR_PROFILE_BYTES: usize = 4095;
const MAX_SYSCTL_BYTES: usize = 253;
const MAX_CREDENTIAL_SPEC_BYTES: usize = 64 * 1024;

pub(super) fn validate_pod_context(spec: &PodSpec, errors: &mut ErrorList) {
    let Some(context) = &spec.security_context else { return };
    let path = SPEC.child("securityContext");
    validate_pod_ids(context, &path, errors);
    if spec.share_process_namespace == Some(true) && spec.host_pid == Some(true) {
        let message = "ShareProcessNamespace and HostPID cannot both be enabled";
        errors.push(invalid(&path.child("shareProcessNamespace"), true, message));
    }
    validate_sysctls(context, spec, &path.child("sysctls"), errors);
    let policy = context.fs_group_change_policy.as_deref();
    check_optional_choice(policy, &["Always", "OnRootMismatch"], &path.child("fsGroupChangePolicy"), errors);
    validate_seccomp(context.seccomp_profile.as_ref(), &path.child("seccompProfile"), errors);
    validate_windows(context.windows_options.as_ref(), &path.child("windowsOptions"), errors);
    validate_app_armor(context.app_armor_profile.as_ref(), &path.child("appArmorProfile"), errors);
    let policy = context.supplemental_groups_policy.as_deref();
    check_optional_choice(policy, &["Merge", "Strict"], &path.child("supplementalGroupsPolicy"), errors);
    let policy = context.se_linux_change_policy.as_deref();
    check_optional_choice(policy, &["MountOption", "Recursive"], &path.child("seLinuxChangePolicy"), errors);
}

fn validate_pod_ids(context: &PodSecurityContext, path: &Path<'_>, errors: &mut ErrorList) {
    let ids = [("fsGroup", context.fs_group), ("runAsUser", context.run_as_user), ("runAsGroup", context.run_as_group)];
    for (field, id) in ids {
        id.into_iter().for_each(|id| check_id(id, &path.child(field), errors));
    }
    let groups_path = path.child("supplementalGroups");
    for (position, group) in context.supplemental_groups.iter().flatten().enumerate() {
        check_id(*group, &groups_path.index(position), errors);
    }
}

fn validate_sysctls(context: &PodSecurityContext, spec: &PodSpec, list_path: &Path<'_>, errors: &mut ErrorList) {
    let mut names = HashSet::new();
    for (position, sysctl) in context.sysctls.iter().flatten().enumerate() {
        let path = list_path.index(position);
        let (path, name) = (path.child("name"), sysctl.name.as_str());
        if name.is_empty() {
            errors.push(required(&path, ""));
        } else if !is_sysctl_name(name) {
            let message = format!(
                "must have at most {MAX_SYSCTL_BYTES} characters and match regex ^([a-z0-9]([-_a-z0-9]*[a-z0-9])?[\\./])*[a-z0-9]([-_a-z0-9]*[a-z0-9])?$"
            );
            errors.push(invalid(&path, name, message));
        } else if names.contains(name) {
            errors.push(duplicate(&path, name));
        }
        names.insert(name);
        let message = match sysctl_namespace(name) {
            Some("net") if spec.host_network == Some(true) => "may not be specified when 'hostNetwork' is true",
            Some("ipc") if spec.host_ipc == Some(true) => "may not be specified when 'hostIPC' is true",
            _ => continue,
        };
        errors.push(invalid(&path, name, message));
    }
}

fn is_sysctl_name(name: &str) -> bool {
    let is_solid = |byte: Option<&u8>| byte.is_some_and(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit());
    let is_segment = |segment: &str| {
        let bytes = segment.as_bytes();
        is_solid(bytes.first())
            && is_solid(bytes.last())
            && bytes.iter().all(|byte| is_solid(Some(byte)) || matches!(byte, b'-' | b'_'))
    };
    name.len() <= MAX_SYSCTL_BYTES && name.split(['.', '/']).all(is_segment)
}

/// The kernel namespace a sysctl belongs to.
fn sysctl_namespace(name: &str) -> Option<&'static str> {
    let name = name.replace('/', ".");
    if name.starts_with("net.") {
        return Some("net");
    }
    let ipc = ["kernel.shm", "kernel.msg", "fs.mqueue."].iter().any(|prefix| name.starts_with(prefix));
    (ipc || name == "kernel.sem").then_some("ipc")
}

pub(super) fn validate_container_context(
    container: &ContainerRef<'_>,
    spec: &PodSpec,
    path: &Path<'_>,
    errors: &mut ErrorList,
) {
    let Some(context) = container.security_context else { return };
    for (field, id) in [("runAsUser", context.run_as_user), ("runAsGroup", context.run_as_group)] {
        id.into_iter().for_each(|id| check_id(id, &path.child(field), errors));
    }
    let (mount, mount_path) = (context.proc_mount.as_deref(), path.child("procMount"));
    check_optional_choice(mount, &["Default", "Unmasked"], &mount_path, errors);
    if mount == Some("Unmasked") && spec.host_users != Some(false) {
        errors.push(invalid(&mount_path, "Unmasked", "`hostUsers` must be false to use `Unmasked`"));
    }
    validate_seccomp(context.seccomp_profile.as_ref(), &path.child("seccompProfile"), errors);
    validate_escalation(context, path, errors);
    validate_windows(context.windows_options.as_ref(), &path.child("windowsOptions"), errors);
    validate_app_armor(context.app_armor_profile.as_ref(), &path.child("appArmorProfile"), errors);
}

/// Some privileges are a way to any other.
fn validate_escalation(context: &SecurityContext, path: &Path<'_>, errors: &mut ErrorList) {
    if context.allow_privilege_escalation != Some(false) {
        return;
    }
    if context.privileged == Some(true) {
        let message = "cannot set `allowPrivilegeEscalation` to false and `privileged` to true";
        errors.push(invalid(path, Json(&security_context(context)), message));
    }
    let added = context.capabilities.iter().filter_map(|capabilities| capabilities.add.as_ref()).flatten();
    for _ in added.filter(|capability| *capability == "CAP_SYS_ADMIN") {
        let message = "cannot set `allowPrivilegeEscalation` to false and `capabilities.Add` CAP_SYS_ADMIN";
        errors.push(invalid(path, Json(&security_context(context)), message));
    }
}

/// A profile as upstream shows it in messages.
#[derive(serde::Serialize)]
#[serde(rename_all = "PascalCase")]
struct InternalProfile<'a> {
    r#type: &'a str,
    localhost_profile: &'a Option<String>,
}

fn validate_seccomp(profile: Option<&SeccompProfile>, path: &Path<'_>, errors: &mut ErrorList) {
    let Some(profile) = profile else { return };
    let type_path = path.child("type");
    match profile.type_.as_str() {
        "" => errors.push(required(&type_path, "type is required when seccompProfile is set")),
        other => check_optional_choice(Some(other), PROFILE_TYPES, &type_path, errors),
    }
    let path = path.child("localhostProfile");
    match (profile.type_.as_str(), &profile.localhost_profile) {
        ("Localhost", None) => errors.push(required(&path, "must be set when seccomp type is Localhost")),
        ("Localhost", Some(file)) => check_descending_path(file, &path, errors),
        (kind, Some(_)) => {
            let shown = InternalProfile { r#type: kind, localhost_profile: &profile.localhost_profile };
            errors.push(invalid(&path, Json(&shown), "can only be set when seccomp type is Localhost"));
        }
        (_, None) => {}
    }
}

fn validate_app_armor(profile: Option<&AppArmorProfile>, path: &Path<'_>, errors: &mut ErrorList) {
    let Some(profile) = profile else { return };
    let name_path = path.child("localhostProfile");
    let missing = "must be set when AppArmor type is Localhost";
    match (profile.type_.as_str(), &profile.localhost_profile) {
        ("Localhost", None) => errors.push(required(&name_path, missing)),
        ("Localhost", Some(name)) => {
            if name.trim() != name {
                errors.push(invalid(&name_path, name, "must not be padded with whitespace"));
            } else if name.is_empty() {
                errors.push(required(&name_path, missing));
            }
            if name.len() > MAX_APP_ARMOR_PROFILE_BYTES {
                errors.push(too_long(&name_path, MAX_APP_ARMOR_PROFILE_BYTES));
            }
        }
        ("RuntimeDefault" | "Unconfined", Some(name)) => {
            errors.push(invalid(&name_path, name, "can only be set when AppArmor type is Localhost"));
        }
        ("RuntimeDefault" | "Unconfined", None) => {}
        ("", _) => errors.push(required(&path.child("type"), "type is required when appArmorProfile is set")),
        (other, _) => errors.push(not_supported(&path.child("type"), other, PROFILE_TYPES)),
    }
}

fn validate_windows(options: Option<&WindowsSecurityContextOptions>, path: &Path<'_>, errors: &mut ErrorList) {
    let Some(options) = options else { return };
    if let Some(name) = &options.gmsa_credential_spec_name {
        check_subdomain(name, &path.child("gmsaCredentialSpecName"), errors);
    }
    if let Some(credentials) = &options.gmsa_credential_spec {
        let path = path.child("gmsaCredentialSpec");
        if credentials.is_empty() {
            errors.push(invalid(&path, credentials, "gmsaCredentialSpec cannot be an empty string"));
        } else if credentials.len() > MAX_CREDENTIAL_SPEC_BYTES {
            errors.push(invalid(&path, credentials, "gmsaCredentialSpec size must be under 64 KiB"));
        }
    }
    if let Some(user) = &options.run_as_user_name {
        validate_user_name(user, &path.child("runAsUserName"), errors);
    }
}

/// Whether a container is one of the host's processes on Windows; `None` where nothing is said.
pub(super) fn host_process(options: Option<&WindowsSecurityContextOptions>) -> Option<bool> {
    options.and_then(|options| options.host_process)
}

/// Adds `Forbidden` for each of the fields that is set.
pub(super) fn forbid_set(fields: &[(&'static str, bool)], path: &Path<'_>, message: &str, errors: &mut ErrorList) {
    for (field, _) in fields.iter().filter(|(_, set)| *set) {
        errors.push(forbidden(&path.child(field), message));
    }
}
