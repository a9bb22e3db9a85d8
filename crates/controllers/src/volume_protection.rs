//! Claims stay while Pods use them, and volumes while claims have them, whoever deletes them.

use std::fmt;

use client::{Client, Lister, ObjectKey, WorkQueue};
use k8s_openapi::api::core::v1::{PersistentVolume, PersistentVolumeClaim};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::Api;
use kube::api::{Patch, PatchParams};
use serde_json::json;

use crate::runtime::{Error, Next, Reconcile, Workers};
use crate::watches::{PodFacts, Watches};

const CLAIM_FINALIZER: &str = "kubernetes.io/pvc-protection";
const VOLUME_FINALIZER: &str = "kubernetes.io/pv-protection";

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

struct VolumeProtection {
    client: Client,
    claims: Lister<PersistentVolumeClaim>,
    volumes: Lister<PersistentVolume>,
    pods: Lister<PodFacts>,
}

/// Starts the controller: it wakes when a claim or volume changes, and when a Pod that used claims is gone.
pub fn start(client: &Client, watches: &mut Watches, workers: &mut Workers) {
    let queue = WorkQueue::new();
    let (claims, volumes, pods) = (watches.claims.lister(), watches.volumes.lister(), watches.pods.lister());
    let wake = queue.clone();
    watches.claims.subscribe(move |change| {
        if let Some(claim) = change.object().filter(|claim| is_held(&claim.metadata, CLAIM_FINALIZER)) {
            wake.add(Key::Claim(ObjectKey::of(&**claim)));
        }
    });
    let wake = queue.clone();
    watches.volumes.subscribe(move |change| {
        if let Some(volume) = change.object().filter(|volume| is_held(&volume.metadata, VOLUME_FINALIZER)) {
            wake.add(Key::Volume(volume.metadata.name.clone().unwrap_or_default()));
        }
    });
    let wake = queue.clone();
    watches.pods.subscribe(move |change| {
        let Some(pod) = change.object() else { return };
        let namespace = pod.object_key().namespace;
        pod.claims.iter().for_each(|claim| wake.add(Key::Claim(ObjectKey::new(&*namespace, claim.as_str()))));
    });
    let controller = VolumeProtection {
        client: client.clone(),
        claims: claims.clone(),
        volumes: volumes.clone(),
        pods: pods.clone(),
    };
    workers.add(controller, &queue, 1, async move {
        claims.synced().await;
        volumes.synced().await;
        pods.synced().await;
    });
}

/// Whether an object is to go and only waits for us.
fn is_held(metadata: &ObjectMeta, finalizer: &str) -> bool {
    metadata.deletion_timestamp.is_some() && metadata.finalizers.iter().flatten().any(|held| held == finalizer)
}

/// Whether a Pod has a claim: one without a node never touched it.
fn uses(pod: &PodFacts, claim: &ObjectKey) -> bool {
    !pod.node.is_empty() && pod.object_key().namespace == claim.namespace && pod.claims.contains(&claim.name)
}

impl Reconcile for VolumeProtection {
    type Key = Key;
    const NAME: &'static str = "volume protection";

    async fn reconcile(&self, key: &Key) -> Result<Next, Error> {
        match key {
            Key::Claim(key) => {
                let held = self.claims.get(key).filter(|claim| is_held(&claim.metadata, CLAIM_FINALIZER));
                if let Some(claim) = held
                    && self.pods.matching(|pod| uses(pod, key)).is_empty()
                {
                    let api: Api<PersistentVolumeClaim> = Api::namespaced(self.client.clone(), &key.namespace);
                    let patch = without(&claim.metadata, CLAIM_FINALIZER);
                    let patched = api.patch(&key.name, &PatchParams::default(), &patch).await;
                    patched.map_err(Error::during("letting the claim go"))?;
                }
            }
            Key::Volume(name) => {
                let volume = self.volumes.get(&ObjectKey::cluster(name.as_str()));
                let phase = |volume: &PersistentVolume| volume.status.as_ref().and_then(|status| status.phase.clone());
                let held = volume.filter(|volume| is_held(&volume.metadata, VOLUME_FINALIZER));
                if let Some(volume) = held.filter(|volume| phase(volume).as_deref() != Some("Bound")) {
                    let api: Api<PersistentVolume> = Api::all(self.client.clone());
                    let patch = without(&volume.metadata, VOLUME_FINALIZER);
                    let patched = api.patch(name, &PatchParams::default(), &patch).await;
                    patched.map_err(Error::during("letting the volume go"))?;
                }
            }
        }
        Ok(Next::OnWakeUp)
    }
}

/// The patch that takes a finalizer away, of the object as it was seen.
fn without(metadata: &ObjectMeta, finalizer: &str) -> Patch<serde_json::Value> {
    let left: Vec<&String> = metadata.finalizers.iter().flatten().filter(|held| *held != finalizer).collect();
    Patch::Merge(json!({ "metadata": { "resourceVersion": metadata.resource_version, "finalizers": left } }))
}
