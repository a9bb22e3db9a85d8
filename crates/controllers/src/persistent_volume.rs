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

use api::core::v1::{persistent_volume, persistent_volume_claim};
use client::{Client, EventRecorder, Lister, ObjectKey, WorkQueue};
use k8s_openapi::api::core::v1::{PersistentVolume, PersistentVolumeClaim};
use k8s_openapi::api::storage::v1::StorageClass;
use platform::clock::SharedClock;

use crate::assembly::{Controllers, Wiring};
use crate::runtime::{Error, Next, Reconcile};
use crate::watches::PodFacts;

/// What the controllers of storage look at.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Key {
    /// A claim.
    Claim(ObjectKey),
    /// A volume, by its name.
    Volume(String),
}

impl Key {
    /// That of a claim.
    pub fn claim(claim: &PersistentVolumeClaim) -> Self {
        Self::Claim(ObjectKey::of(claim))
    }

    /// That of a volume.
    pub fn volume(volume: &PersistentVolume) -> Self {
        Self::Volume(volume.metadata.name.clone().unwrap_or_default())
    }
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
pub fn start(controllers: &mut Controllers) {
    let mut wiring = Wiring::new();
    let claims = wiring.reads(&controllers.watches.claims);
    let volumes = wiring.reads(&controllers.watches.volumes);
    let known = volumes.clone();
    wiring.wakes(&mut controllers.watches.claims, move |change| {
        let Some(claim) = change.object() else { return Vec::new() };
        // The volume of a claim that is gone, too, whether or not the claim knew of it.
        let reserved = known.matching(|volume| persistent_volume::matching::is_reserved_for(volume, claim));
        std::iter::once(Key::claim(claim)).chain(reserved.iter().map(|volume| Key::volume(volume))).collect()
    });
    let known = claims.clone();
    wiring.wakes(&mut controllers.watches.volumes, move |change| {
        let Some(volume) = change.object() else { return Vec::new() };
        let name = volume.metadata.name.as_deref().unwrap_or_default();
        let concerned = known.matching(|claim| may_concern(volume, name, claim));
        std::iter::once(Key::volume(volume)).chain(concerned.iter().map(|claim| Key::claim(claim))).collect()
    });
    let known = claims.clone();
    wiring.wakes(&mut controllers.watches.classes, move |_| {
        let unbound = known.matching(|claim| !has_volume(claim));
        unbound.iter().map(|claim| Key::claim(claim)).collect::<Vec<_>>()
    });
    let controller = PersistentVolumes {
        client: controllers.client_of("persistent-volume-binder"),
        clock: controllers.clock.clone(),
        events: controllers.events("persistentvolume-controller"),
        queue: wiring.queue(),
        claims,
        volumes,
        classes: wiring.reads(&controllers.watches.classes),
        pods: controllers.watches.pods.lister(),
    };
    // One worker: two claims never take one volume.
    controllers.add(controller, wiring, 1);
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
