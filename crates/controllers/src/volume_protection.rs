//! Claims stay while Pods use them, and volumes while claims have them, whoever deletes them.

use client::{Client, Lister, ObjectKey};
use k8s_openapi::api::core::v1::{PersistentVolume, PersistentVolumeClaim};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::Api;
use serde_json::{Value, json};

use crate::assembly::{Controllers, Wiring};
use crate::persistent_volume::Key;
use crate::runtime::{Error, Next, Reconcile};
use crate::update::{Part, merge};
use crate::watches::PodFacts;

const CLAIM_FINALIZER: &str = "kubernetes.io/pvc-protection";
const VOLUME_FINALIZER: &str = "kubernetes.io/pv-protection";

struct VolumeProtection {
    claims_client: Client,
    volumes_client: Client,
    claims: Lister<PersistentVolumeClaim>,
    volumes: Lister<PersistentVolume>,
    pods: Lister<PodFacts>,
}

/// Starts the controller: it wakes when a claim or volume changes, and when a Pod that used claims is gone.
pub fn start(controllers: &mut Controllers) {
    let mut wiring = Wiring::new();
    wiring.wakes(&mut controllers.watches.claims, |change| {
        change.object().filter(|claim| is_held(&claim.metadata, CLAIM_FINALIZER)).map(|claim| Key::claim(claim))
    });
    wiring.wakes(&mut controllers.watches.volumes, |change| {
        change.object().filter(|volume| is_held(&volume.metadata, VOLUME_FINALIZER)).map(|volume| Key::volume(volume))
    });
    wiring.wakes(&mut controllers.watches.pods, |change| {
        let Some(pod) = change.object() else { return Vec::new() };
        let namespace = pod.object_key().namespace;
        pod.claims.iter().map(|claim| Key::Claim(ObjectKey::new(&*namespace, claim.as_str()))).collect()
    });
    let controller = VolumeProtection {
        claims_client: controllers.client_of("pvc-protection-controller"),
        volumes_client: controllers.client_of("pv-protection-controller"),
        claims: wiring.reads(&controllers.watches.claims),
        volumes: wiring.reads(&controllers.watches.volumes),
        pods: wiring.reads(&controllers.watches.pods),
    };
    controllers.add(controller, wiring, 1);
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
                    let api: Api<PersistentVolumeClaim> = Api::namespaced(self.claims_client.clone(), &key.namespace);
                    let patch = without(&claim.metadata, CLAIM_FINALIZER);
                    let patched = merge(&api, &*claim, Part::Whole, &patch).await;
                    patched.map_err(Error::during("letting the claim go"))?;
                }
            }
            Key::Volume(name) => {
                let volume = self.volumes.get(&ObjectKey::cluster(name.as_str()));
                let phase = |volume: &PersistentVolume| volume.status.as_ref().and_then(|status| status.phase.clone());
                let held = volume.filter(|volume| is_held(&volume.metadata, VOLUME_FINALIZER));
                if let Some(volume) = held.filter(|volume| phase(volume).as_deref() != Some("Bound")) {
                    let api: Api<PersistentVolume> = Api::all(self.volumes_client.clone());
                    let patch = without(&volume.metadata, VOLUME_FINALIZER);
                    let patched = merge(&api, &*volume, Part::Whole, &patch).await;
                    patched.map_err(Error::during("letting the volume go"))?;
                }
            }
        }
        Ok(Next::OnWakeUp)
    }
}

/// The patch that takes a finalizer away.
fn without(metadata: &ObjectMeta, finalizer: &str) -> Value {
    let left: Vec<&String> = metadata.finalizers.iter().flatten().filter(|held| *held != finalizer).collect();
    json!({ "metadata": { "finalizers": left } })
}
