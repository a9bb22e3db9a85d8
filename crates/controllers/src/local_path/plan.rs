//! What becomes of claims and volumes of this provisioner. Pure.

use std::path::PathBuf;

use api::core::v1::persistent_volume::RECLAIM_DELETE;
use api::core::v1::persistent_volume::matching::requested;
use api::core::v1::resource_list::get;
use api::storage::v1::storage_class::WAIT_FOR_FIRST_CONSUMER;
use k8s_openapi::api::core::v1::{
    LocalVolumeSource, NodeSelector, NodeSelectorRequirement, NodeSelectorTerm, ObjectReference, PersistentVolume,
    PersistentVolumeClaim, PersistentVolumeSpec, VolumeNodeAffinity,
};
use k8s_openapi::api::storage::v1::StorageClass;
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use super::LocalPath;
use crate::persistent_volume::claim_plan::{SELECTED_NODE, STORAGE_PROVISIONER};
use crate::persistent_volume::volume_plan::PROVISIONED_BY;

const HOSTNAME: &str = "kubernetes.io/hostname";

/// What to do for a claim.
#[derive(Debug, PartialEq)]
pub enum ClaimPlan {
    /// It is not ours, or has what it asks for.
    Nothing,
    /// What it asks for cannot be had here.
    Refuse(String),
    /// Make this directory, then this volume.
    Provision(Box<PersistentVolume>, PathBuf),
    /// It asks for more than it has.
    Grow {
        /// Its volume.
        volume: String,
        /// The new size.
        storage: String,
    },
}

fn annotation<'a>(metadata: &'a ObjectMeta, name: &str) -> Option<&'a str> {
    metadata.annotations.as_ref()?.get(name).map(String::as_str)
}

pub fn plan_claim(
    local: &LocalPath,
    claim: &PersistentVolumeClaim,
    class: Option<&StorageClass>,
    volume: Option<&PersistentVolume>,
) -> ClaimPlan {
    if claim.metadata.deletion_timestamp.is_some() {
        return ClaimPlan::Nothing;
    }
    if let Some(volume) = volume {
        return plan_growth(local, claim, volume);
    }
    let Some(class) = class.filter(|class| class.provisioner == local.provisioner) else { return ClaimPlan::Nothing };
    let asked = annotation(&claim.metadata, STORAGE_PROVISIONER) == Some(local.provisioner.as_str());
    let unbound = claim.spec.as_ref().is_some_and(|spec| spec.volume_name.as_deref().unwrap_or_default().is_empty());
    let waits = class.volume_binding_mode.as_deref() == Some(WAIT_FOR_FIRST_CONSUMER);
    let here = match annotation(&claim.metadata, SELECTED_NODE) {
        Some(node) => node == local.node_name,
        None => !waits,
    };
    if !(asked && unbound && here) {
        return ClaimPlan::Nothing;
    }
    match refusal(claim) {
        Some(why) => {
            let class = class.metadata.name.as_deref().unwrap_or_default();
            ClaimPlan::Refuse(format!("failed to provision volume with StorageClass \"{class}\": {why}"))
        }
        None => {
            let directory = directory_of(local, claim);
            ClaimPlan::Provision(Box::new(volume_for(local, claim, class, &directory)), directory)
        }
    }
}

fn refusal(claim: &PersistentVolumeClaim) -> Option<&'static str> {
    let spec = claim.spec.as_ref()?;
    if spec.volume_mode.as_deref() == Some("Block") {
        return Some("block volumes are not supported");
    }
    if spec.selector.is_some() {
        return Some("claim.Spec.Selector is not supported");
    }
    let one_node = |mode: &String| matches!(mode.as_str(), "ReadWriteOnce" | "ReadWriteOncePod");
    let modes = spec.access_modes.as_deref().unwrap_or_default();
    let message = "NodePath only supports ReadWriteOnce and ReadWriteOncePod (1.22+) access modes";
    (!modes.iter().all(one_node)).then_some(message)
}

fn plan_growth(local: &LocalPath, claim: &PersistentVolumeClaim, volume: &PersistentVolume) -> ClaimPlan {
    let present = claim.status.as_ref().and_then(|status| get(status.capacity.as_ref(), "storage"));
    let asked = requested(claim);
    let ours =
        annotation(&volume.metadata, PROVISIONED_BY) == Some(local.provisioner.as_str()) && is_here(local, volume);
    match present {
        Some(present) if ours && asked > present => {
            ClaimPlan::Grow { volume: volume.metadata.name.clone().unwrap_or_default(), storage: asked.to_string() }
        }
        _ => ClaimPlan::Nothing,
    }
}

fn directory_of(local: &LocalPath, claim: &PersistentVolumeClaim) -> PathBuf {
    let text = |field: &Option<String>| field.clone().unwrap_or_default();
    let metadata = &claim.metadata;
    let name = format!("{}_{}_{}", volume_name(claim), text(&metadata.namespace), text(&metadata.name));
    local.directory.join(name)
}

fn volume_name(claim: &PersistentVolumeClaim) -> String {
    format!("pvc-{}", claim.metadata.uid.as_deref().unwrap_or_default())
}

fn volume_for(
    local: &LocalPath,
    claim: &PersistentVolumeClaim,
    class: &StorageClass,
    directory: &std::path::Path,
) -> PersistentVolume {
    let spec = claim.spec.clone().unwrap_or_default();
    let here = NodeSelectorRequirement {
        key: HOSTNAME.to_owned(),
        operator: "In".to_owned(),
        values: Some(vec![local.node_name.clone()]),
    };
    let term = NodeSelectorTerm { match_expressions: Some(vec![here]), ..NodeSelectorTerm::default() };
    let claim_ref = ObjectReference {
        api_version: Some("v1".to_owned()),
        kind: Some("PersistentVolumeClaim".to_owned()),
        namespace: claim.metadata.namespace.clone(),
        name: claim.metadata.name.clone(),
        uid: claim.metadata.uid.clone(),
        resource_version: claim.metadata.resource_version.clone(),
        ..ObjectReference::default()
    };
    PersistentVolume {
        metadata: ObjectMeta {
            name: Some(volume_name(claim)),
            annotations: Some([(PROVISIONED_BY.to_owned(), local.provisioner.clone())].into()),
            ..ObjectMeta::default()
        },
        spec: Some(PersistentVolumeSpec {
            access_modes: spec.access_modes,
            capacity: Some([("storage".to_owned(), Quantity(requested(claim).to_string()))].into()),
            claim_ref: Some(claim_ref),
            local: Some(LocalVolumeSource { path: directory.to_string_lossy().into_owned(), fs_type: None }),
            mount_options: class.mount_options.clone(),
            node_affinity: Some(VolumeNodeAffinity {
                required: Some(NodeSelector { node_selector_terms: vec![term] }),
            }),
            persistent_volume_reclaim_policy: class.reclaim_policy.clone(),
            storage_class_name: class.metadata.name.clone(),
            volume_mode: spec.volume_mode,
            ..PersistentVolumeSpec::default()
        }),
        ..PersistentVolume::default()
    }
}

/// Whether a volume's directory is one of this node's.
fn is_here(local: &LocalPath, volume: &PersistentVolume) -> bool {
    let affinity = volume.spec.as_ref().and_then(|spec| spec.node_affinity.as_ref()?.required.as_ref());
    let expressions = affinity.into_iter().flat_map(|selector| &selector.node_selector_terms);
    let mut expressions = expressions.flat_map(|term| term.match_expressions.iter().flatten());
    expressions.any(|here| here.key == HOSTNAME && here.values.iter().flatten().any(|node| *node == local.node_name))
}

/// The directory to remove, with its volume: nobody claims it any more, and it was made here.
pub fn plan_volume(local: &LocalPath, volume: &PersistentVolume) -> Option<PathBuf> {
    let spec = volume.spec.as_ref()?;
    let released = volume.status.as_ref().and_then(|status| status.phase.as_deref()) == Some("Released");
    let ours = annotation(&volume.metadata, PROVISIONED_BY) == Some(local.provisioner.as_str());
    let deletes = spec.persistent_volume_reclaim_policy.as_deref() == Some(RECLAIM_DELETE);
    let live = volume.metadata.deletion_timestamp.is_none();
    let directory = PathBuf::from(&spec.local.as_ref()?.path);
    // Only what is directly below our own directory: anything else was never made here, whatever the object says.
    let made_here = directory.parent() == Some(local.directory.as_path()) && directory.file_name().is_some();
    (released && ours && deletes && live && made_here && is_here(local, volume)).then_some(directory)
}
