//! Brings claims and volumes together, and says what becomes of a volume whose claim is gone.
//!
//! Binding takes two writes, first the volume's `claimRef`, then the claim's `volumeName`: whoever is interrupted in
//! between finds the first and does the second. Who makes volumes on demand is told by an annotation on the claim; the
//! one for directories of a node is [`crate::local_path`].

pub mod claim_plan;
mod execute;
#[cfg(test)]
mod tests;
pub mod volume_plan;

use std::fmt;
use std::sync::Arc;

use api::core::v1::{persistent_volume, persistent_volume_claim};
use client::{Client, EventRecorder, Lister, ObjectKey, WorkQueue};
use k8s_openapi::api::core::v1::{PersistentVolume, PersistentVolumeClaim};
use k8s_openapi::api::storage::v1::StorageClass;
use platform::clock::SharedClock;

use crate::runtime::{Error, Next, Reconcile, Workers};
use crate::watches::{PodFacts, Watches};

/// What to look at.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Key {
    Claim(ObjectKey),
    Volume(String),
}

impl fmt::Display for Key {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Claim(key) => write!(formatter, "claim {key}"),
            Self::Volume(name) => write!(formatter, "volume {name}"),
        }
    }
}

struct PersistentVolumes {
    client: Client,
    clock: SharedClock,
    events: EventRecorder,
    queue: WorkQueue<Key>,
    claims: Lister<PersistentVolumeClaim>,
    volumes: Lister<PersistentVolume>,
    classes: Lister<StorageClass>,
    pods: Lister<PodFacts>,
}

/// Starts the controller: it wakes when a claim, a volume or a class changes.
pub fn start(
    client: &Client,
    clock: &SharedClock,
    events: &EventRecorder,
    watches: &mut Watches,
    workers: &mut Workers,
) {
    let queue = WorkQueue::new();
    let (claims, volumes) = (watches.claims.lister(), watches.volumes.lister());
    let (classes, pods) = (watches.classes.lister(), watches.pods.lister());
    let (wake, known) = (queue.clone(), volumes.clone());
    watches.claims.subscribe(move |change| {
        let Some(claim) = change.object() else { return };
        wake.add(Key::Claim(ObjectKey::of(&**claim)));
        // The volume of a claim that is gone, whether or not the claim knew of it.
        known
            .matching(|volume| persistent_volume::matching::is_reserved_for(volume, claim))
            .iter()
            .for_each(|volume| wake.add(Key::Volume(volume.metadata.name.clone().unwrap_or_default())));
    });
    let (wake, known) = (queue.clone(), claims.clone());
    watches.volumes.subscribe(move |change| {
        let Some(volume) = change.object() else { return };
        let name = volume.metadata.name.clone().unwrap_or_default();
        wake.add(Key::Volume(name.clone()));
        known.matching(|claim| may_concern(volume, &name, claim)).iter().for_each(|claim| wake.add(key_of(claim)));
    });
    let (wake, known) = (queue.clone(), claims.clone());
    watches.classes.subscribe(move |_| {
        known.matching(|claim| !has_volume(claim)).iter().for_each(|claim| wake.add(key_of(claim)));
    });
    let controller = PersistentVolumes {
        client: client.clone(),
        clock: clock.clone(),
        events: events.clone(),
        queue: queue.clone(),
        claims: claims.clone(),
        volumes: volumes.clone(),
        classes: classes.clone(),
        pods,
    };
    // One worker: two claims never take one volume.
    workers.add(controller, &queue, 1, async move {
        claims.synced().await;
        volumes.synced().await;
        classes.synced().await;
    });
}

fn key_of(claim: &Arc<PersistentVolumeClaim>) -> Key {
    Key::Claim(ObjectKey::of(&**claim))
}

fn volume_name(claim: &PersistentVolumeClaim) -> &str {
    claim.spec.as_ref().and_then(|spec| spec.volume_name.as_deref()).unwrap_or_default()
}

fn has_volume(claim: &PersistentVolumeClaim) -> bool {
    !volume_name(claim).is_empty()
}

/// Whether a change of the volume may matter to the claim.
fn may_concern(volume: &PersistentVolume, name: &str, claim: &PersistentVolumeClaim) -> bool {
    match volume_name(claim) {
        "" => {
            let class = persistent_volume_claim::class_of(claim).unwrap_or_default();
            class == persistent_volume::class_of(volume)
        }
        own => own == name,
    }
}

impl Reconcile for PersistentVolumes {
    type Key = Key;
    const NAME: &'static str = "persistent volume binder";

    async fn reconcile(&self, key: &Key) -> Result<Next, Error> {
        match key {
            Key::Claim(key) => self.reconcile_claim(key).await,
            Key::Volume(name) => self.reconcile_volume(name).await,
        }
    }
}
