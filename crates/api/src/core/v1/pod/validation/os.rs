//! What depends on the operating system and on the host's namespaces.

use k8s_openapi::api::core::v1::{PodSecurityContext, PodSpec, SecurityContext};

use super::SPEC;
use super::security::{forbid_set, host_process};
use crate::core::v1::pod::containers_of;
use crate::field::{ErrorList, Path, forbidden, invalid, not_supported, required};

const NOT_ON_WINDOWS: &str = "cannot be set for a windows pod";
const NOT_ON_LINUX: &str = "windows options cannot be set for a linux pod";

pub(super) fn validate_os(spec: &PodSpec, errors: &mut ErrorList) {
    let Some(os) = &spec.os else { return };
    let path = SPEC.child("os");
    match os.name.as_str() {
        "" => errors.push(required(&path.child("name"), "cannot be empty")),
        "linux" => validate_linux(spec, errors),
        "windows" => validate_windows(spec, errors),
        other => errors.push(not_supported(&path, other, &["linux", "windows"])),
    }
}

/// Calls `check` with every container's security context and its path.
fn for_each_context(spec: &PodSpec, mut check: impl FnMut(&SecurityContext, &Path<'_>)) {
    for (position, container) in containers_of(spec) {
        if let Some(context) = container.security_context {
            let list_path = SPEC.child(container.kind.field());
            let path = list_path.index(position);
            check(context, &path.child("securityContext"));
        }
    }
}

fn validate_linux(spec: &PodSpec, errors: &mut ErrorList) {
    if spec.security_context.as_ref().is_some_and(|context| context.windows_options.is_some()) {
        errors.push(forbidden(&SPEC.child("securityContext").child("windowsOptions"), NOT_ON_LINUX));
    }
    for_each_context(spec, |context, path| {
        if context.windows_options.is_some() {
            errors.push(forbidden(&path.child("windowsOptions"), NOT_ON_LINUX));
        }
    });
}

fn validate_windows(spec: &PodSpec, errors: &mut ErrorList) {
    let empty = PodSecurityContext::default();
    let context = spec.security_context.as_ref().unwrap_or(&empty);
    let context_path = SPEC.child("securityContext");
    let of_context = |fields: &[(&'static str, bool)], errors: &mut ErrorList| {
        forbid_set(fields, &context_path, NOT_ON_WINDOWS, errors);
    };
    of_context(
        &[
            ("appArmorProfile", context.app_armor_profile.is_some()),
            ("seLinuxOptions", context.se_linux_options.is_some()),
        ],
        errors,
    );
    let host = [
        ("hostUsers", spec.host_users.is_some()),
        ("hostPID", spec.host_pid == Some(true)),
        ("hostIPC", spec.host_ipc == Some(true)),
    ];
    forbid_set(&host, &SPEC, NOT_ON_WINDOWS, errors);
    of_context(
        &[
            ("seccompProfile", context.seccomp_profile.is_some()),
            ("fsGroup", context.fs_group.is_some()),
            ("fsGroupChangePolicy", context.fs_group_change_policy.is_some()),
            ("sysctls", context.sysctls.as_ref().is_some_and(|sysctls| !sysctls.is_empty())),
        ],
        errors,
    );
    let shares = [("shareProcessNamespace", spec.share_process_namespace.is_some())];
    forbid_set(&shares, &SPEC, NOT_ON_WINDOWS, errors);
    of_context(
        &[
            ("runAsUser", context.run_as_user.is_some()),
            ("runAsGroup", context.run_as_group.is_some()),
            ("supplementalGroups", context.supplemental_groups.is_some()),
            ("supplementalGroupsPolicy", context.supplemental_groups_policy.is_some()),
            ("seLinuxChangePolicy", context.se_linux_change_policy.is_some()),
        ],
        errors,
    );
    for_each_context(spec, |context, path| forbid_set(&linux_only(context), path, NOT_ON_WINDOWS, errors));
}

/// The fields of a container's context that only Linux knows, and whether they are set.
fn linux_only(context: &SecurityContext) -> [(&'static str, bool); 10] {
    [
        ("appArmorProfile", context.app_armor_profile.is_some()),
        ("seLinuxOptions", context.se_linux_options.is_some()),
        ("seccompProfile", context.seccomp_profile.is_some()),
        ("capabilities", context.capabilities.is_some()),
        ("readOnlyRootFilesystem", context.read_only_root_filesystem.is_some()),
        ("privileged", context.privileged.is_some()),
        ("allowPrivilegeEscalation", context.allow_privilege_escalation.is_some()),
        ("procMount", context.proc_mount.is_some()),
        ("runAsUser", context.run_as_user.is_some()),
        ("runAsGroup", context.run_as_group.is_some()),
    ]
}

/// Containers that are processes of a Windows host: all of a Pod's or none, and on the host's network.
pub(super) fn validate_host_process(spec: &PodSpec, errors: &mut ErrorList) {
    let of_pod = host_process(spec.security_context.as_ref().and_then(|context| context.windows_options.as_ref()));
    let (mut all, mut count) = (0, 0);
    for (position, container) in containers_of(spec) {
        all += 1;
        let own = host_process(container.security_context.and_then(|context| context.windows_options.as_ref()));
        if let (Some(of_pod), Some(own)) = (of_pod, own)
            && of_pod != own
        {
            let list_path = SPEC.child(container.kind.field());
            let path = list_path.index(position);
            let (path, message) = (
                path.child("securityContext"),
                format!("pod hostProcess value must be identical if both are specified, was {of_pod}"),
            );
            errors.push(invalid(&path.child("windowsOptions").child("hostProcess"), own, message));
        }
        count += usize::from(own.or(of_pod) == Some(true));
    }
    if count == 0 {
        return;
    }
    if count != all {
        let message = "If pod contains any hostProcess containers then all containers must be HostProcess containers";
        errors.push(invalid(&SPEC, "", message));
    }
    if spec.host_network != Some(true) {
        let message = "hostNetwork must be true if pod contains any hostProcess containers";
        errors.push(invalid(&SPEC.child("hostNetwork"), false, message));
    }
}

/// Users of the Pod's own do not go with the host's other namespaces. The odd capitals are upstream's.
pub(super) fn validate_host_users(spec: &PodSpec, errors: &mut ErrorList) {
    if spec.host_users != Some(false) {
        return;
    }
    let host = [
        ("hostNetwork", spec.host_network == Some(true)),
        ("HostPID", spec.host_pid == Some(true)),
        ("HostIPC", spec.host_ipc == Some(true)),
    ];
    forbid_set(&host, &SPEC, "when `hostUsers` is false", errors);
    for (position, container) in containers_of(spec) {
        if container.volume_devices.is_some_and(|devices| !devices.is_empty()) {
            let list_path = SPEC.child(container.kind.field());
            let path = list_path.index(position);
            errors.push(forbidden(&path.child("volumeDevices"), "when `hostUsers` is false"));
        }
    }
}
