//! Which volume is for which claim.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{Node, PersistentVolume, PersistentVolumeClaim};

use super::class_of;
use crate::core::v1::node_selector::matches_selector;
use crate::core::v1::persistent_volume_claim;
use crate::core::v1::resource_list::get;
use crate::labels::Selector;
use crate::meta::text;
use crate::quantity::Quantity;

/// How much a volume holds.
pub fn capacity(volume: &PersistentVolume) -> Quantity {
    get(volume.spec.as_ref().and_then(|spec| spec.capacity.as_ref()), "storage").unwrap_or(Quantity::ZERO)
}

/// How much a claim asks for.
pub fn requested(claim: &PersistentVolumeClaim) -> Quantity {
    let resources = claim.spec.as_ref().and_then(|spec| spec.resources.as_ref());
    get(resources.and_then(|resources| resources.requests.as_ref()), "storage").unwrap_or(Quantity::ZERO)
}

/// Whether a volume says it is for this claim: by its UID, or by its name before that is known.
pub fn is_reserved_for(volume: &PersistentVolume, claim: &PersistentVolumeClaim) -> bool {
    let Some(reference) = volume.spec.as_ref().and_then(|spec| spec.claim_ref.as_ref()) else { return false };
    reference.name == claim.metadata.name
        && reference.namespace == claim.metadata.namespace
        && (text(&reference.uid).is_empty() || reference.uid == claim.metadata.uid)
}

/// Why a volume that a claim names cannot be its volume, in upstream's words.
pub fn mismatch(volume: &PersistentVolume, claim: &PersistentVolumeClaim) -> Option<&'static str> {
    let asked = claim.spec.as_ref()?;
    if capacity(volume) < requested(claim) {
        return Some("requested PV is too small");
    }
    if class_of(volume) != persistent_volume_claim::class_of(claim).unwrap_or_default() {
        return Some("storageClassName does not match");
    }
    let given = volume.spec.as_ref()?;
    if given.volume_mode != asked.volume_mode {
        return Some("incompatible volumeMode");
    }
    if !offers_modes(volume, claim) {
        return Some("incompatible accessMode");
    }
    None
}

fn offers_modes(volume: &PersistentVolume, claim: &PersistentVolumeClaim) -> bool {
    let offered = volume.spec.as_ref().and_then(|spec| spec.access_modes.as_deref()).unwrap_or_default();
    let asked = claim.spec.as_ref().and_then(|spec| spec.access_modes.as_deref()).unwrap_or_default();
    asked.iter().all(|mode| offered.contains(mode))
}

/// Whether a volume can be used on a node with these labels.
pub fn reaches(volume: &PersistentVolume, node: &Node) -> bool {
    let affinity = volume.spec.as_ref().and_then(|spec| spec.node_affinity.as_ref());
    affinity.and_then(|affinity| affinity.required.as_ref()).is_none_or(|selector| matches_selector(selector, node))
}

/// Where a volume is looked for.
#[derive(Debug, Clone, Copy)]
pub enum Search<'a> {
    /// Anywhere, at once.
    Anywhere,
    /// Nowhere yet: only a volume that is reserved for the claim will do.
    Reserved,
    /// Among those that a node can use.
    On(&'a Node),
}

/// The volume for a claim: the one that is reserved for it, or the smallest that will do.
pub fn find<'a>(
    claim: &PersistentVolumeClaim,
    volumes: impl IntoIterator<Item = &'a PersistentVolume>,
    search: Search<'_>,
) -> Option<&'a PersistentVolume> {
    let usable = |volume: &&PersistentVolume| match search {
        Search::On(node) => reaches(volume, node),
        Search::Anywhere | Search::Reserved => true,
    };
    let candidates = volumes.into_iter().filter(|volume| {
        let reference = volume.spec.as_ref().and_then(|spec| spec.claim_ref.as_ref());
        (reference.is_none() || is_reserved_for(volume, claim))
            && volume.metadata.deletion_timestamp.is_none()
            && mismatch(volume, claim).is_none()
    });
    let candidates: Vec<&PersistentVolume> = candidates.collect();
    if let Some(reserved) = candidates.iter().find(|volume| is_reserved_for(volume, claim)) {
        return Some(*reserved).filter(usable);
    }
    if matches!(search, Search::Reserved) {
        return None;
    }
    let selector = claim.spec.as_ref().and_then(|spec| spec.selector.as_ref());
    let selected = |labels: Option<&BTreeMap<String, String>>| match selector {
        None => true,
        Some(selector) => Selector::from_label_selector(Some(selector)).is_ok_and(|selector| selector.matches(labels)),
    };
    let free = candidates.into_iter().filter(|volume| {
        volume.status.as_ref().and_then(|status| status.phase.as_deref()) == Some("Available")
            && selected(volume.metadata.labels.as_ref())
    });
    free.filter(usable).min_by_key(|volume| (capacity(volume), volume.metadata.name.clone()))
}
