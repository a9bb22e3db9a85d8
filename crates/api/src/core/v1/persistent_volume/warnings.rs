//! What in a volume is fine but hardly meant.

use k8s_openapi::api::core::v1::{PersistentVolume, PersistentVolumeSpec};

use crate::core::v1::deprecated_labels::warn_of_term;
use crate::core::v1::persistent_volume_claim::warn_of_beta_class;
use crate::field::Path;

const MOUNT_OPTIONS: &str = "volume.beta.kubernetes.io/mount-options";

pub(super) fn warnings(volume: &PersistentVolume) -> Vec<String> {
    let mut warnings = Vec::new();
    warn_of_beta_class(&volume.metadata, &mut warnings);
    if volume.metadata.annotations.as_ref().is_some_and(|annotations| annotations.contains_key(MOUNT_OPTIONS)) {
        let text = "deprecated since v1.31; use \"mountOptions\" attribute instead";
        warnings.push(format!("metadata.annotations[{MOUNT_OPTIONS}]: {text}"));
    }
    if let Some(spec) = &volume.spec {
        warn_of_spec(spec, &mut warnings);
    }
    warnings
}

fn warn_of_spec(spec: &PersistentVolumeSpec, warnings: &mut Vec<String>) {
    let root = Path::new("spec");
    if spec.persistent_volume_reclaim_policy.as_deref() == Some("Recycle") {
        warnings.push(format!(
            "{}: The Recycle reclaim policy is deprecated. Instead, the recommended approach is to use dynamic \
             provisioning.",
            root.child("persistentVolumeReclaimPolicy")
        ));
    }
    let path = root.child("nodeAffinity");
    let path = path.child("required");
    let path = path.child("nodeSelectorTerms");
    let required = spec.node_affinity.as_ref().and_then(|affinity| affinity.required.as_ref());
    for (position, term) in required.iter().flat_map(|selector| &selector.node_selector_terms).enumerate() {
        warn_of_term(term, &path.index(position), warnings);
    }
    let gone = [
        ("cephfs", spec.cephfs.is_some(), "v1.28, non-functional in v1.31+"),
        ("photonPersistentDisk", spec.photon_persistent_disk.is_some(), "v1.11, non-functional in v1.16+"),
        ("scaleIO", spec.scale_io.is_some(), "v1.16, non-functional in v1.22+"),
        ("storageOS", spec.storageos.is_some(), "v1.22, non-functional in v1.25+"),
        ("glusterfs", spec.glusterfs.is_some(), "v1.25, non-functional in v1.26+"),
        ("rbd", spec.rbd.is_some(), "v1.28, non-functional in v1.31+"),
    ];
    for (field, _, text) in gone.into_iter().filter(|(_, used, _)| *used) {
        warnings.push(format!("{}: deprecated in {text}", root.child(field)));
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn check(volume: Value, expected: &[&str]) {
        let volume: PersistentVolume = serde_json::from_value(volume).unwrap();
        assert_eq!(warnings(&volume), expected);
    }

    #[test]
    fn what_is_deprecated_is_told() {
        check(json!({"metadata": {}, "spec": {"persistentVolumeReclaimPolicy": "Retain"}}), &[]);
        check(
            json!({"metadata": {"annotations": {
                "volume.beta.kubernetes.io/storage-class": "", "volume.beta.kubernetes.io/mount-options": ""}},
                "spec": {"nodeAffinity": {"required": {"nodeSelectorTerms": [{"matchExpressions": [
                    {"key": "beta.kubernetes.io/os", "operator": "In", "values": ["windows"]}]}]}}}}),
            &[
                "metadata.annotations[volume.beta.kubernetes.io/storage-class]: deprecated since v1.8; use \
                 \"storageClassName\" attribute instead",
                "metadata.annotations[volume.beta.kubernetes.io/mount-options]: deprecated since v1.31; use \
                 \"mountOptions\" attribute instead",
                "spec.nodeAffinity.required.nodeSelectorTerms[0].matchExpressions[0].key: beta.kubernetes.io/os is \
                 deprecated since v1.14; use \"kubernetes.io/os\" instead",
            ],
        );
        check(
            json!({"metadata": {}, "spec": {"persistentVolumeReclaimPolicy": "Recycle", "cephfs": {"monitors": []}}}),
            &[
                "spec.persistentVolumeReclaimPolicy: The Recycle reclaim policy is deprecated. Instead, the \
                 recommended approach is to use dynamic provisioning.",
                "spec.cephfs: deprecated in v1.28, non-functional in v1.31+",
            ],
        );
    }
}
