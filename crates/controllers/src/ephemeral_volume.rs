//! A Pod's `ephemeral` volumes: a claim for each, which goes with the Pod.

use client::{Change, Client, EventRecorder, EventType, Lister, ObjectKey, is_already_exists};
use k8s_openapi::api::core::v1::{ObjectReference, PersistentVolumeClaim};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference};
use kube::Api;
use kube::api::PostParams;

use crate::assembly::{Controllers, Wiring};
use crate::runtime::{Error, Next, Reconcile};
use crate::watches::{EphemeralClaim, PodFacts};

struct EphemeralVolumes {
    client: Client,
    events: EventRecorder,
    pods: Lister<PodFacts>,
    claims: Lister<PersistentVolumeClaim>,
}

/// Starts the controller: it wakes when a Pod with such volumes changes, and when one of their claims is gone.
pub fn start(controllers: &mut Controllers) {
    let mut wiring = Wiring::new();
    wiring.wakes(&mut controllers.watches.pods, |change| {
        change.object().filter(|pod| !pod.ephemeral.is_empty()).map(|pod| pod.object_key())
    });
    wiring.wakes(&mut controllers.watches.claims, |change| {
        let Change::Deleted(claim) = change else { return Vec::new() };
        let owners = claim.metadata.owner_references.iter().flatten().filter(|owner| owner.kind == "Pod");
        let namespace = claim.metadata.namespace.clone().unwrap_or_default();
        owners.map(|owner| ObjectKey::new(&*namespace, owner.name.as_str())).collect()
    });
    let controller = EphemeralVolumes {
        client: controllers.client_of("ephemeral-volume-controller"),
        events: controllers.events("persistentvolume-controller"),
        pods: wiring.reads(&controllers.watches.pods),
        claims: wiring.reads(&controllers.watches.claims),
    };
    controllers.add(controller, wiring, 1);
}

impl Reconcile for EphemeralVolumes {
    type Key = ObjectKey;
    const NAME: &'static str = "ephemeral volume";

    async fn reconcile(&self, key: &ObjectKey) -> Result<Next, Error> {
        let Some(pod) = self.pods.get(key).filter(|pod| pod.deleted_at.is_none()) else { return Ok(Next::OnWakeUp) };
        for ephemeral in &pod.ephemeral {
            let present = self.claims.get(&ObjectKey::new(key.namespace.as_str(), ephemeral.claim.as_str()));
            match present {
                None => self.create(key, &pod, ephemeral).await?,
                Some(claim) if is_owned_by(&claim, &pod) => {}
                Some(_) => self.tell_conflict(key, &pod, ephemeral),
            }
        }
        Ok(Next::OnWakeUp)
    }
}

fn is_owned_by(claim: &PersistentVolumeClaim, pod: &PodFacts) -> bool {
    let owners = claim.metadata.owner_references.iter().flatten();
    owners.into_iter().any(|owner| owner.controller == Some(true) && owner.uid == pod.uid)
}

impl EphemeralVolumes {
    async fn create(&self, key: &ObjectKey, pod: &PodFacts, ephemeral: &EphemeralClaim) -> Result<(), Error> {
        let api: Api<PersistentVolumeClaim> = Api::namespaced(self.client.clone(), &key.namespace);
        match api.create(&PostParams::default(), &claim_of(key, pod, ephemeral)).await {
            // Whoever made it woke us too.
            Err(error) if is_already_exists(&error) => Ok(()),
            outcome => outcome.map(drop).map_err(Error::during("creating the claim of an ephemeral volume")),
        }
    }

    fn tell_conflict(&self, key: &ObjectKey, pod: &PodFacts, ephemeral: &EphemeralClaim) {
        let reference = ObjectReference {
            api_version: Some("v1".to_owned()),
            kind: Some("Pod".to_owned()),
            namespace: Some(key.namespace.clone()),
            name: Some(key.name.clone()),
            uid: Some(pod.uid.clone()),
            ..ObjectReference::default()
        };
        let message = format!(
            "ephemeral volume controller: PVC {}/{} was not created for pod {key} (pod is not the owner)",
            key.namespace, ephemeral.claim
        );
        self.events.event(&reference, EventType::Warning, "FailedCreate", message);
    }
}

fn claim_of(key: &ObjectKey, pod: &PodFacts, ephemeral: &EphemeralClaim) -> PersistentVolumeClaim {
    let template = ephemeral.template.metadata.clone().unwrap_or_default();
    PersistentVolumeClaim {
        metadata: ObjectMeta {
            name: Some(ephemeral.claim.clone()),
            namespace: Some(key.namespace.clone()),
            labels: template.labels,
            annotations: template.annotations,
            owner_references: Some(vec![OwnerReference {
                api_version: "v1".to_owned(),
                kind: "Pod".to_owned(),
                name: key.name.clone(),
                uid: pod.uid.clone(),
                controller: Some(true),
                block_owner_deletion: Some(true),
            }]),
            ..ObjectMeta::default()
        },
        spec: Some(ephemeral.template.spec.clone()),
        ..PersistentVolumeClaim::default()
    }
}
