//! The claims of a StatefulSet's Pods: their names, and with whom they go. Pure.

use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::{PersistentVolumeClaim, Pod};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference};

use super::pods;
use crate::ownership::{self, is_of_kind};
use crate::pod_facts::PodFacts;

/// Whether claims go when their Pod is scaled away, and when the set is deleted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retention {
    /// They go with a Pod that is scaled away.
    pub ends_with_pod: bool,
    /// They go with the set.
    pub ends_with_set: bool,
}

/// What the set says.
pub fn retention(set: &StatefulSet) -> Retention {
    let policy = set.spec.as_ref().and_then(|spec| spec.persistent_volume_claim_retention_policy.as_ref());
    let deletes = |of: Option<&String>| of.is_some_and(|policy| policy == "Delete");
    Retention {
        ends_with_pod: deletes(policy.and_then(|policy| policy.when_scaled.as_ref())),
        ends_with_set: deletes(policy.and_then(|policy| policy.when_deleted.as_ref())),
    }
}

fn all(set: &StatefulSet) -> impl Iterator<Item = &PersistentVolumeClaim> {
    set.spec.iter().flat_map(|spec| spec.volume_claim_templates.iter().flatten())
}

/// The names of the set's claim templates.
pub fn templates(set: &StatefulSet) -> impl Iterator<Item = &str> {
    all(set).map(|template| template.metadata.name.as_deref().unwrap_or_default())
}

/// The name of a Pod's claim.
pub fn name(set: &StatefulSet, template: &str, ordinal: i32) -> String {
    format!("{template}-{}", pods::name(set, ordinal))
}

/// Whether a claim of this name is one of the set's Pods'.
pub fn is_of(set: &StatefulSet, claim: &str) -> bool {
    let owner = set.metadata.name.as_deref().unwrap_or_default();
    templates(set).any(|template| {
        let pod = claim.strip_prefix(template).and_then(|rest| rest.strip_prefix('-'));
        pod.is_some_and(|pod| pods::ordinal(owner, pod).is_some())
    })
}

/// The claims of the Pod with this ordinal, as they are made.
pub fn of_pod(set: &StatefulSet, ordinal: i32) -> Vec<PersistentVolumeClaim> {
    let selected = set.spec.as_ref().and_then(|spec| spec.selector.match_labels.clone()).unwrap_or_default();
    let make = |template: &PersistentVolumeClaim| {
        let mut labels = template.metadata.labels.clone().unwrap_or_default();
        labels.extend(selected.clone());
        let owner = retention(set).ends_with_set.then(|| vec![ownership::controller_reference(set)]);
        PersistentVolumeClaim {
            metadata: ObjectMeta {
                name: Some(name(set, template.metadata.name.as_deref().unwrap_or_default(), ordinal)),
                namespace: set.metadata.namespace.clone(),
                labels: (!labels.is_empty()).then_some(labels),
                annotations: template.metadata.annotations.clone(),
                finalizers: template.metadata.finalizers.clone(),
                owner_references: owner,
                ..ObjectMeta::default()
            },
            spec: template.spec.clone(),
            status: None,
        }
    };
    all(set).map(make).collect()
}

/// Whether a claim belongs to an earlier Pod of the same name, which it will follow.
pub fn is_stale(claim: &PersistentVolumeClaim, pod: &str) -> bool {
    let owners = claim.metadata.owner_references.iter().flatten();
    claim.metadata.deletion_timestamp.is_some()
        || owners.into_iter().any(|owner| is_of_kind::<Pod>(owner) && owner.name == pod)
}

/// The claim with the owners it should have, when it has others. `scaled_away` says that its Pod is one too many.
pub fn bequeathed(
    set: &StatefulSet,
    pod: &PodFacts,
    claim: &PersistentVolumeClaim,
    scaled_away: bool,
) -> Option<PersistentVolumeClaim> {
    let retention = retention(set);
    let set_uid = set.metadata.uid.as_deref().unwrap_or_default();
    let owners = claim.metadata.owner_references.clone().unwrap_or_default();
    let is_ours = |owner: &OwnerReference| owner.uid == set_uid || owner.uid == pod.uid;
    let is_foreign = |owner: &OwnerReference| owner.controller == Some(true) && !is_ours(owner);
    if (retention.ends_with_pod || retention.ends_with_set) && owners.iter().any(is_foreign) {
        return None;
    }
    let by_pod = retention.ends_with_pod && scaled_away;
    let wanted = if by_pod {
        Some(OwnerReference {
            api_version: "v1".to_owned(),
            kind: "Pod".to_owned(),
            name: pod.name().to_owned(),
            uid: pod.uid.clone(),
            controller: Some(true),
            block_owner_deletion: Some(true),
        })
    } else {
        retention.ends_with_set.then(|| ownership::controller_reference(set))
    };
    let is_right = |owner: &OwnerReference| {
        wanted.as_ref().is_some_and(|wanted| wanted.uid == owner.uid && owner.controller == Some(true))
    };
    let ours: Vec<_> = owners.iter().filter(|owner| is_ours(owner)).collect();
    if ours.iter().all(|owner| is_right(owner)) && ours.len() == usize::from(wanted.is_some()) {
        return None;
    }
    let mut changed = claim.clone();
    let kept: Vec<_> = owners.iter().filter(|owner| !is_ours(owner)).cloned().chain(wanted).collect();
    changed.metadata.owner_references = (!kept.is_empty()).then_some(kept);
    Some(changed)
}
