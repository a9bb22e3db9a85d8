//! What the restricted standard demands beyond baseline: Pods that are hardened.

use std::collections::BTreeSet;

use api::k8s_openapi::api::core::v1::Volume;

use super::{Part, Subject, Violation, baseline, named, plural, quoted, setters};

pub(super) fn privilege_escalation(subject: &Subject<'_>) -> Option<Violation> {
    let allows =
        |part: &Part<'_>| part.security.and_then(|security| security.allow_privilege_escalation) != Some(false);
    let containers = subject.bad(allows);
    (!containers.is_empty()).then(|| Violation {
        reason: "allowPrivilegeEscalation != false",
        detail: format!("{} must set securityContext.allowPrivilegeEscalation=false", named(&containers)),
    })
}

pub(super) fn privilege_escalation_on_linux(subject: &Subject<'_>) -> Option<Violation> {
    if subject.is_windows() { None } else { privilege_escalation(subject) }
}

pub(super) fn capabilities(subject: &Subject<'_>) -> Option<Violation> {
    let keeps = |part: &Part<'_>| {
        let capabilities = part.security.and_then(|security| security.capabilities.as_ref());
        let mut dropped = capabilities.into_iter().flat_map(|capabilities| capabilities.drop.iter().flatten());
        !dropped.any(|capability| capability == "ALL")
    };
    let added = |part: &Part<'_>| -> Vec<String> {
        let capabilities = part.security.and_then(|security| security.capabilities.as_ref());
        let added = capabilities.into_iter().flat_map(|capabilities| capabilities.add.iter().flatten());
        added.filter(|capability| *capability != "NET_BIND_SERVICE").cloned().collect()
    };
    let keeping = subject.bad(keeps);
    let adding = subject.bad(|part| !added(part).is_empty());
    let mut details = Vec::new();
    if !keeping.is_empty() {
        details.push(format!("{} must set securityContext.capabilities.drop=[\"ALL\"]", named(&keeping)));
    }
    if !adding.is_empty() {
        let found: BTreeSet<String> = subject.containers.iter().flat_map(added).collect();
        let text = format!("must not include {} in securityContext.capabilities.add", quoted(found));
        details.push(format!("{} {text}", named(&adding)));
    }
    (!details.is_empty()).then(|| Violation { reason: "unrestricted capabilities", detail: details.join("; ") })
}

pub(super) fn capabilities_on_linux(subject: &Subject<'_>) -> Option<Violation> {
    if subject.is_windows() { None } else { capabilities(subject) }
}

pub(super) fn volumes(subject: &Subject<'_>) -> Option<Violation> {
    let bad = subject.spec.volumes.iter().flatten().filter_map(|volume| Some((&volume.name, restricted_type(volume)?)));
    let (names, types): (Vec<_>, BTreeSet<_>) = bad.unzip();
    (!names.is_empty()).then(|| Violation {
        reason: "restricted volume types",
        detail: format!(
            "{} {} {} {} {}",
            plural(names.len(), "volume", "volumes"),
            quoted(&names),
            plural(names.len(), "uses", "use"),
            plural(types.len(), "restricted volume type", "restricted volume types"),
            quoted(types)
        ),
    })
}

/// The type of a volume that is neither harmless nor a claim.
fn restricted_type(volume: &Volume) -> Option<&'static str> {
    let harmless = volume.config_map.is_some()
        || volume.csi.is_some()
        || volume.downward_api.is_some()
        || volume.empty_dir.is_some()
        || volume.ephemeral.is_some()
        || volume.image.is_some()
        || volume.persistent_volume_claim.is_some()
        || volume.projected.is_some()
        || volume.secret.is_some();
    let types = [
        (volume.host_path.is_some(), "hostPath"),
        (volume.gce_persistent_disk.is_some(), "gcePersistentDisk"),
        (volume.aws_elastic_block_store.is_some(), "awsElasticBlockStore"),
        (volume.git_repo.is_some(), "gitRepo"),
        (volume.nfs.is_some(), "nfs"),
        (volume.iscsi.is_some(), "iscsi"),
        (volume.glusterfs.is_some(), "glusterfs"),
        (volume.rbd.is_some(), "rbd"),
        (volume.flex_volume.is_some(), "flexVolume"),
        (volume.cinder.is_some(), "cinder"),
        (volume.cephfs.is_some(), "cephfs"),
        (volume.flocker.is_some(), "flocker"),
        (volume.fc.is_some(), "fc"),
        (volume.azure_file.is_some(), "azureFile"),
        (volume.vsphere_volume.is_some(), "vsphereVolume"),
        (volume.quobyte.is_some(), "quobyte"),
        (volume.azure_disk.is_some(), "azureDisk"),
        (volume.portworx_volume.is_some(), "portworxVolume"),
        (volume.scale_io.is_some(), "scaleIO"),
        (volume.storageos.is_some(), "storageos"),
    ];
    let known = types.into_iter().find(|(is, _)| *is).map_or("unknown", |(_, name)| name);
    (!harmless).then_some(known)
}

pub(super) fn non_root(subject: &Subject<'_>) -> Option<Violation> {
    let reason = "runAsNonRoot != true";
    let pod = subject.spec.security_context.as_ref().and_then(|security| security.run_as_non_root);
    let of = |part: &Part<'_>| part.security.and_then(|security| security.run_as_non_root);
    if let Some(who) = setters(pod == Some(false), &subject.bad(|part| of(part) == Some(false))) {
        return Some(Violation { reason, detail: format!("{who} must not set securityContext.runAsNonRoot=false") });
    }
    let silent = subject.bad(|part| of(part).is_none() && pod != Some(true));
    let detail = format!("pod or {} must set securityContext.runAsNonRoot=true", named(&silent));
    (!silent.is_empty()).then_some(Violation { reason, detail })
}

pub(super) fn non_root_of_host_users(subject: &Subject<'_>) -> Option<Violation> {
    if subject.has_own_users() { None } else { non_root(subject) }
}

pub(super) fn root_user(subject: &Subject<'_>) -> Option<Violation> {
    let pod = subject.spec.security_context.as_ref().and_then(|security| security.run_as_user) == Some(0);
    let is_root = |part: &Part<'_>| part.security.and_then(|security| security.run_as_user) == Some(0);
    let who = setters(pod, &subject.bad(is_root))?;
    Some(Violation { reason: "runAsUser=0", detail: format!("{who} must not set runAsUser=0") })
}

pub(super) fn root_user_of_host_users(subject: &Subject<'_>) -> Option<Violation> {
    if subject.has_own_users() { None } else { root_user(subject) }
}

pub(super) fn seccomp(subject: &Subject<'_>) -> Option<Violation> {
    let bad = baseline::seccomp(subject);
    if bad.is_some() {
        return bad;
    }
    let security = subject.spec.security_context.as_ref();
    let pod = security.is_some_and(|security| security.seccomp_profile.is_some());
    let says = |part: &Part<'_>| part.security.is_some_and(|security| security.seccomp_profile.is_some());
    let silent = subject.bad(|part| !pod && !says(part));
    (!silent.is_empty()).then(|| Violation {
        reason: "seccompProfile",
        detail: format!(
            "pod or {} must set securityContext.seccompProfile.type to \"RuntimeDefault\" or \"Localhost\"",
            named(&silent)
        ),
    })
}

pub(super) fn seccomp_on_linux(subject: &Subject<'_>) -> Option<Violation> {
    if subject.is_windows() { None } else { seccomp(subject) }
}
