//! What becomes of a claim. Pure.

use api::core::v1::persistent_volume::matching::{Search, find, is_reserved_for, mismatch};
use api::core::v1::persistent_volume_claim::class_of;
use api::storage::v1::storage_class::{NO_PROVISIONER, WAIT_FOR_FIRST_CONSUMER};
use client::EventType;
use k8s_openapi::api::core::v1::{PersistentVolume, PersistentVolumeClaim};
use k8s_openapi::api::storage::v1::StorageClass;

use super::volume_name;

/// Says that a claim and its volume know of each other.
pub const BIND_COMPLETED: &str = "pv.kubernetes.io/bind-completed";
/// Says that it was not a user who chose.
pub const BOUND_BY_CONTROLLER: &str = "pv.kubernetes.io/bound-by-controller";
/// The node a claim's volume is to be made for: the scheduler's choice.
pub const SELECTED_NODE: &str = "volume.kubernetes.io/selected-node";
/// Who is to make a claim's volume.
pub const STORAGE_PROVISIONER: &str = "volume.kubernetes.io/storage-provisioner";
/// The same, as older provisioners look for it.
pub const BETA_STORAGE_PROVISIONER: &str = "volume.beta.kubernetes.io/storage-provisioner";

/// Something to tell the user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Note {
    pub kind: EventType,
    pub reason: &'static str,
    pub message: String,
}

impl Note {
    pub fn normal(reason: &'static str, message: impl Into<String>) -> Self {
        Self { kind: EventType::Normal, reason, message: message.into() }
    }

    pub fn warning(reason: &'static str, message: impl Into<String>) -> Self {
        Self { kind: EventType::Warning, reason, message: message.into() }
    }
}

/// What to do with a claim.
#[derive(Debug, PartialEq)]
pub enum ClaimPlan<'a> {
    /// It is about to go: nothing.
    Leave,
    /// It names no class, and now there is one for such claims.
    AssignClass(&'a str),
    /// This is its volume.
    Bind(&'a PersistentVolume),
    /// It waits.
    Pending(Option<Note>),
    /// Somebody is to make its volume.
    Provision(&'a str),
    /// Its volume is gone or somebody else's.
    Lost(Note),
}

/// What is known when a claim is looked at.
#[derive(Debug, Clone, Copy)]
pub struct ClaimInput<'a> {
    pub claim: &'a PersistentVolumeClaim,
    pub volumes: &'a [&'a PersistentVolume],
    /// The claim's class, if it exists.
    pub class: Option<&'a StorageClass>,
    /// The class of claims that name none.
    pub default_class: Option<&'a str>,
    /// Pods that use the claim and have no node yet.
    pub waiting_pods: &'a [String],
}

fn annotation<'a>(claim: &'a PersistentVolumeClaim, name: &str) -> Option<&'a str> {
    claim.metadata.annotations.as_ref()?.get(name).map(String::as_str)
}

/// Whether a claim's volume is made or found only once a Pod has a node.
fn waits_for_consumer(input: &ClaimInput<'_>) -> bool {
    let mode = input.class.and_then(|class| class.volume_binding_mode.as_deref());
    mode == Some(WAIT_FOR_FIRST_CONSUMER) && annotation(input.claim, SELECTED_NODE).is_none()
}

pub fn plan_claim<'a>(input: ClaimInput<'a>) -> ClaimPlan<'a> {
    let claim = input.claim;
    let named =
        input.volumes.iter().copied().find(|volume| volume.metadata.name.as_deref() == Some(volume_name(claim)));
    match (annotation(claim, BIND_COMPLETED), volume_name(claim)) {
        (Some(_), "") => {
            lost("ClaimLost", "Bound claim has lost reference to PersistentVolume. Data on the volume is lost!")
        }
        (Some(_), _) => plan_bound(claim, named),
        (None, "") => plan_unbound(input),
        (None, name) => plan_chosen(claim, name, named),
    }
}

fn lost<'a>(reason: &'static str, message: &str) -> ClaimPlan<'a> {
    ClaimPlan::Lost(Note::warning(reason, message))
}

fn plan_bound<'a>(claim: &PersistentVolumeClaim, volume: Option<&'a PersistentVolume>) -> ClaimPlan<'a> {
    let Some(volume) = volume else {
        return lost("ClaimLost", "Bound claim has lost its PersistentVolume. Data on the volume is lost!");
    };
    let free = volume.spec.as_ref().is_none_or(|spec| spec.claim_ref.is_none());
    if free || is_reserved_for(volume, claim) {
        return ClaimPlan::Bind(volume);
    }
    lost("ClaimMisbound", "Two claims are bound to the same volume, this one is bound incorrectly")
}

/// The user names the volume.
fn plan_chosen<'a>(claim: &PersistentVolumeClaim, name: &str, volume: Option<&'a PersistentVolume>) -> ClaimPlan<'a> {
    let Some(volume) = volume else { return ClaimPlan::Pending(None) };
    if is_reserved_for(volume, claim) {
        return ClaimPlan::Bind(volume);
    }
    if volume.spec.as_ref().is_some_and(|spec| spec.claim_ref.is_some()) {
        let message = format!("volume {name:?} already bound to a different claim.");
        return ClaimPlan::Pending(Some(Note::warning("FailedBinding", message)));
    }
    match mismatch(volume, claim) {
        None => ClaimPlan::Bind(volume),
        Some(why) => {
            let message = format!("Cannot bind to requested volume {name:?}: {why}");
            ClaimPlan::Pending(Some(Note::warning("VolumeMismatch", message)))
        }
    }
}

fn plan_unbound<'a>(input: ClaimInput<'a>) -> ClaimPlan<'a> {
    if input.claim.metadata.deletion_timestamp.is_some() {
        return ClaimPlan::Leave;
    }
    if let (None, Some(class)) = (class_of(input.claim), input.default_class) {
        return ClaimPlan::AssignClass(class);
    }
    let search = if waits_for_consumer(&input) { Search::Reserved } else { Search::Anywhere };
    if let Some(volume) = find(input.claim, input.volumes.iter().copied(), search) {
        return ClaimPlan::Bind(volume);
    }
    if matches!(search, Search::Reserved) {
        return ClaimPlan::Pending(Some(waiting(input.waiting_pods)));
    }
    match (class_of(input.claim).unwrap_or_default(), input.class) {
        ("", _) => {
            let message = "no persistent volumes available for this claim and no storage class is set";
            ClaimPlan::Pending(Some(Note::normal("FailedBinding", message)))
        }
        (name, None) => {
            let message = format!("storageclass.storage.k8s.io \"{name}\" not found");
            ClaimPlan::Pending(Some(Note::warning("ProvisioningFailed", message)))
        }
        (_, Some(class)) if class.provisioner == NO_PROVISIONER => {
            let message = "no volume plugin matched name: kubernetes.io/no-provisioner";
            ClaimPlan::Pending(Some(Note::warning("ProvisioningFailed", message)))
        }
        (_, Some(class)) => ClaimPlan::Provision(&class.provisioner),
    }
}

fn waiting(pods: &[String]) -> Note {
    match pods {
        [] => Note::normal("WaitForFirstConsumer", "waiting for first consumer to be created before binding"),
        [pod] => Note::normal("WaitForPodScheduled", format!("waiting for pod {pod} to be scheduled")),
        pods => Note::normal("WaitForPodScheduled", format!("waiting for pods {} to be scheduled", pods.join(","))),
    }
}
