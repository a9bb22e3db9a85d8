//! `persistentVolumeClaim` and `ephemeral`: what a claim's volume is.
//!
//! The kubelet only reads: who is bound to whom is decided before a Pod gets here, or it waits until it is.

use std::path::{Path, PathBuf};

use api::core::v1::persistent_volume::matching::is_reserved_for;
use k8s_openapi::api::core::v1::{
    HostPathVolumeSource, NFSVolumeSource, PersistentVolume, PersistentVolumeClaim, Pod, Volume,
};

use super::{VolumeContext, VolumeProblem};
use crate::objects::Objects;
use crate::pod;

/// A Pod's use of a claim.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ClaimUse {
    pub claim: String,
    /// The claim is made for the Pod.
    pub ephemeral: bool,
    pub read_only: bool,
}

/// The claim a volume names, if it is of these types.
pub(super) fn claim_use(pod: &Pod, volume: &Volume) -> Option<ClaimUse> {
    if let Some(source) = &volume.persistent_volume_claim {
        let read_only = source.read_only == Some(true);
        return Some(ClaimUse { claim: source.claim_name.clone(), ephemeral: false, read_only });
    }
    volume.ephemeral.as_ref()?;
    let claim = format!("{}-{}", pod::name(pod), volume.name);
    Some(ClaimUse { claim, ephemeral: true, read_only: false })
}

/// Why a claim cannot be used, as upstream says it.
#[derive(Debug, thiserror::Error)]
pub enum ClaimProblem {
    /// The claim could not be read.
    #[error("failed to fetch PVC from API server: {0}")]
    Claim(String),
    /// It is on its way out.
    #[error("PVC is being deleted")]
    Deleting,
    /// It has no volume.
    #[error("PVC is not bound")]
    NotBound,
    /// It is somebody else's of the same name.
    #[error("PVC {claim} was not created for pod {pod} (pod is not the owner)")]
    NotOwned {
        /// The claim.
        claim: String,
        /// The Pod.
        pod: String,
    },
    /// Its volume could not be read.
    #[error("failed to get PV {0}: {1}")]
    Volume(String, String),
    /// The volume does not know of it.
    #[error("failed to get PV {volume}: claimRef does not match PVC {claim}")]
    Misbound {
        /// The volume.
        volume: String,
        /// The claim.
        claim: String,
    },
}

/// Reads the claim and its volume.
pub(super) async fn resolve(
    pod: &Pod,
    wanted: &ClaimUse,
    context: VolumeContext<'_>,
) -> Result<PersistentVolume, ClaimProblem> {
    let claim = context.objects.claim(pod, &wanted.claim).await;
    let claim = claim.map_err(|error| ClaimProblem::Claim(error.to_string()))?;
    let name = check_claim(pod, wanted, &claim)?.to_owned();
    let volume = context.objects.volume(&name).await;
    let volume = volume.map_err(|error| ClaimProblem::Volume(name.clone(), error.to_string()))?;
    if !is_reserved_for(&volume, &claim) {
        return Err(ClaimProblem::Misbound { volume: name, claim: full_name(pod, wanted) });
    }
    Ok(volume)
}

pub(super) fn full_name(pod: &Pod, wanted: &ClaimUse) -> String {
    format!("{}/{}", pod::namespace(pod), wanted.claim)
}

/// The name of the claim's volume, if the Pod may use it.
fn check_claim<'a>(pod: &Pod, wanted: &ClaimUse, claim: &'a PersistentVolumeClaim) -> Result<&'a str, ClaimProblem> {
    // A Pod that was there before the deletion goes on; one that comes after is not let in.
    if claim.metadata.deletion_timestamp.is_some() && !wanted.ephemeral && !has_started(pod) {
        return Err(ClaimProblem::Deleting);
    }
    let owners = claim.metadata.owner_references.iter().flatten();
    if wanted.ephemeral && !owners.into_iter().any(|owner| Some(&owner.uid) == pod.metadata.uid.as_ref()) {
        return Err(ClaimProblem::NotOwned { claim: full_name(pod, wanted), pod: pod::full_name(pod) });
    }
    let phase = claim.status.as_ref().and_then(|status| status.phase.as_deref());
    let volume = claim.spec.as_ref().and_then(|spec| spec.volume_name.as_deref()).filter(|name| !name.is_empty());
    volume.filter(|_| phase == Some("Bound")).ok_or(ClaimProblem::NotBound)
}

fn has_started(pod: &Pod) -> bool {
    pod.status.as_ref().and_then(|status| status.phase.as_deref()) == Some("Running")
}

/// What a volume is, of what this node can mount.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Source {
    HostPath(HostPathVolumeSource),
    /// A directory that is there.
    Local(PathBuf),
    Nfs(NFSVolumeSource, Vec<String>),
}

/// What a volume is. Drivers outside of the kubelet (`csi`) would be one more.
pub(super) fn source_of(volume: &PersistentVolume) -> Result<Source, VolumeProblem> {
    let spec = volume.spec.clone().unwrap_or_default();
    if let Some(source) = spec.host_path {
        return Ok(Source::HostPath(source));
    }
    if let Some(source) = spec.local {
        return Ok(Source::Local(PathBuf::from(source.path)));
    }
    if let Some(source) = spec.nfs {
        return Ok(Source::Nfs(source, spec.mount_options.unwrap_or_default()));
    }
    Err(VolumeProblem::Unsupported(if spec.csi.is_some() { "csi" } else { "of the persistent volume" }))
}

/// A claim's volume that is a directory of this node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LocalClaim {
    /// The name in the Pod's spec.
    pub volume: String,
    /// The claim.
    pub claim: String,
    /// The directory.
    pub path: PathBuf,
}

/// The Pod's claims whose volumes are directories of this node, as far as the API tells: others are not measured.
pub async fn local_claims(objects: &Objects, pod: &Pod) -> Vec<LocalClaim> {
    let mut found = Vec::new();
    for volume in pod.spec.iter().flat_map(|spec| spec.volumes.iter().flatten()) {
        let Some(wanted) = claim_use(pod, volume) else { continue };
        if let Some(Source::Local(path)) = bound_source(objects, pod::namespace(pod), &wanted.claim).await {
            found.push(LocalClaim { volume: volume.name.clone(), claim: wanted.claim, path });
        }
    }
    found
}

async fn bound_source(objects: &Objects, namespace: &str, claim: &str) -> Option<Source> {
    let claim = objects.claim(namespace, claim).await.ok()?;
    let volume = objects.volume(&claim.spec?.volume_name?).await.ok()?;
    source_of(&volume).ok()
}

/// Whether a volume is a device rather than a directory.
pub(super) fn is_block(volume: &PersistentVolume) -> bool {
    volume.spec.as_ref().and_then(|spec| spec.volume_mode.as_deref()) == Some(super::devices::BLOCK)
}

/// The group that owns a volume's files, if whoever made the volume says so.
pub(super) fn group_of(volume: &PersistentVolume) -> Option<i64> {
    volume.metadata.annotations.as_ref()?.get("pv.beta.kubernetes.io/gid")?.parse().ok()
}

/// A local volume's device is there before the volume is.
pub(super) fn check_device(path: &Path) -> Result<(), VolumeProblem> {
    use std::os::unix::fs::FileTypeExt as _;
    match std::fs::metadata(path) {
        Ok(metadata) if metadata.file_type().is_block_device() => Ok(()),
        Ok(_) => Err(VolumeProblem::NoDevice(path.to_owned())),
        Err(_) => Err(VolumeProblem::LocalPath(path.to_owned())),
    }
}

/// A local volume's directory is made by whoever made the volume.
pub(super) fn check_local(path: &Path) -> Result<(), VolumeProblem> {
    if path.exists() { Ok(()) } else { Err(VolumeProblem::LocalPath(path.to_owned())) }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn claim(changes: Value) -> PersistentVolumeClaim {
        let mut claim = json!({ "metadata": { "name": "c", "namespace": "default" }, "spec": { "volumeName": "v" },
                                "status": { "phase": "Bound" } });
        testkit::fake_api::merge(&mut claim, changes);
        serde_json::from_value(claim).unwrap()
    }

    #[test]
    fn a_claim_must_be_bound_and_meant_for_the_pod() {
        let pod = crate::testing::pod(
            "{containers: [], volumes: [{name: v, persistentVolumeClaim: {claimName: c}}, \
                                       {name: e, ephemeral: {volumeClaimTemplate: {spec: {}}}}]}",
        );
        let volumes = pod.spec.as_ref().unwrap().volumes.as_ref().unwrap();
        let (named, own) = (claim_use(&pod, &volumes[0]).unwrap(), claim_use(&pod, &volumes[1]).unwrap());
        assert_eq!((named.claim.as_str(), own.claim.as_str()), ("c", "web-e"));
        let check = |wanted: &ClaimUse, changes: Value| {
            check_claim(&pod, wanted, &claim(changes)).map(str::to_owned).map_err(|problem| problem.to_string())
        };
        assert_eq!(check(&named, json!({})), Ok("v".to_owned()));
        assert_eq!(check(&named, json!({ "status": { "phase": "Pending" } })), Err("PVC is not bound".to_owned()));
        let deleted = json!({ "metadata": { "deletionTimestamp": "2026-01-01T00:00:00Z" } });
        assert_eq!(check(&named, deleted), Err("PVC is being deleted".to_owned()));
        assert!(check(&own, json!({})).unwrap_err().contains("was not created for pod"));
        let owner = json!({ "apiVersion": "v1", "kind": "Pod", "name": "web", "uid": "u1" });
        assert!(check(&own, json!({ "metadata": { "ownerReferences": [owner] } })).is_ok());
    }

    #[test]
    fn volumes_say_what_they_are() {
        let source = |spec: Value| source_of(&serde_json::from_value(json!({ "metadata": {}, "spec": spec })).unwrap());
        assert_eq!(source(json!({ "local": { "path": "/x" } })).unwrap(), Source::Local(PathBuf::from("/x")));
        let nfs = source(json!({ "nfs": { "server": "s", "path": "/p" }, "mountOptions": ["ro"] })).unwrap();
        assert!(matches!(nfs, Source::Nfs(_, options) if options == ["ro"]));
        let csi = source(json!({ "csi": { "driver": "d", "volumeHandle": "h" } })).unwrap_err();
        assert_eq!(csi.to_string(), "volume type csi is not supported on this node");
    }
}
