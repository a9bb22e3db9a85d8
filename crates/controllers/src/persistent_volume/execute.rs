//! Carrying the plans to the API. Every write names the version it was decided on.

use api::core::v1::persistent_volume_claim::{PHASE_BOUND, PHASE_PENDING, class_of};
use api::storage::v1::storage_class;
use client::{ObjectKey, object_reference};
use k8s_openapi::api::core::v1::{PersistentVolume, PersistentVolumeClaim};
use k8s_openapi::api::storage::v1::StorageClass;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::api::Api;
use kube::core::NamespaceResourceScope;
use serde_json::{Value, json};

use super::claim_plan::{
    BETA_STORAGE_PROVISIONER, BIND_COMPLETED, BOUND_BY_CONTROLLER, ClaimInput, ClaimPlan, Note, STORAGE_PROVISIONER,
    plan_claim,
};
use super::volume_plan::{VolumePlan, plan_volume};
use super::{Key, PersistentVolumes, volume_name};
use crate::runtime::{Error, Next};
use crate::update::{Part, merge};

impl PersistentVolumes {
    pub(super) async fn reconcile_claim(&self, key: &ObjectKey) -> Result<Next, Error> {
        let Some(claim) = self.claims.get(key) else { return Ok(Next::OnWakeUp) };
        let volumes = self.volumes.all();
        let volumes: Vec<&PersistentVolume> = volumes.iter().map(|volume| &**volume).collect();
        let classes = self.classes.all();
        let class = classes.iter().find(|class| class.metadata.name.as_deref() == class_of(&claim));
        let default_class = storage_class::default_of(classes.iter().map(|class| &**class));
        let waiting_pods = self.waiting_pods(key);
        let plan = plan_claim(ClaimInput {
            claim: &claim,
            volumes: &volumes,
            class: class.map(|class| &**class),
            default_class: default_class.and_then(|class: &StorageClass| class.metadata.name.as_deref()),
            waiting_pods: &waiting_pods,
        });
        match plan {
            ClaimPlan::Leave => {}
            ClaimPlan::AssignClass(class) => {
                self.patch_claim(&claim, json!({ "spec": { "storageClassName": class } })).await?;
            }
            ClaimPlan::Bind(volume) => self.bind(&claim, volume).await?,
            ClaimPlan::Pending(note) => {
                self.set_claim_phase(&claim, PHASE_PENDING).await?;
                self.tell_claim(&claim, note);
            }
            ClaimPlan::Provision(provisioner) => self.ask_for_volume(&claim, provisioner).await?,
            ClaimPlan::Lost(note) => {
                if self.set_claim_phase(&claim, "Lost").await? {
                    self.tell_claim(&claim, Some(note));
                }
            }
        }
        Ok(Next::OnWakeUp)
    }

    fn waiting_pods(&self, claim: &ObjectKey) -> Vec<String> {
        let pods = self.pods.matching(|pod| {
            let key = pod.object_key();
            pod.node.is_empty() && key.namespace == claim.namespace && pod.claims.contains(&claim.name)
        });
        let mut names: Vec<String> = pods.iter().map(|pod| pod.object_key().name).collect();
        names.sort_unstable();
        names
    }

    fn tell_claim(&self, claim: &PersistentVolumeClaim, note: Option<Note>) {
        if let Some(note) = note {
            self.events.event(&object_reference(claim), note.kind, note.reason, note.message);
        }
    }

    /// Writes what is missing of the bond between both, the volume's side first.
    async fn bind(&self, claim: &PersistentVolumeClaim, volume: &PersistentVolume) -> Result<(), Error> {
        if let Some(patch) = plan_claim_ref(volume, claim) {
            self.patch_volume(volume, patch).await?;
        }
        let claim = match plan_volume_name(claim, volume) {
            Some(patch) => self.patch_claim(claim, patch).await?,
            None => claim.clone(),
        };
        if let Some(status) = plan_claim_status(&claim, volume) {
            self.patch_claim_status(&claim, status).await?;
        }
        Ok(())
    }

    async fn ask_for_volume(&self, claim: &PersistentVolumeClaim, provisioner: &str) -> Result<(), Error> {
        let annotations = claim.metadata.annotations.as_ref();
        let asked = annotations.and_then(|annotations| annotations.get(STORAGE_PROVISIONER));
        if asked.map(String::as_str) == Some(provisioner) {
            return Ok(());
        }
        let annotations = json!({ STORAGE_PROVISIONER: provisioner, BETA_STORAGE_PROVISIONER: provisioner });
        let claim = self.patch_claim(claim, json!({ "metadata": { "annotations": annotations } })).await?;
        let message = format!(
            "Waiting for a volume to be created either by the external provisioner '{provisioner}' or manually by the \
             system administrator. If volume creation is delayed, please verify that the provisioner is running and \
             correctly registered."
        );
        self.tell_claim(&claim, Some(Note::normal("ExternalProvisioning", message)));
        Ok(())
    }

    async fn set_claim_phase(&self, claim: &PersistentVolumeClaim, phase: &str) -> Result<bool, Error> {
        let present = claim.status.as_ref().and_then(|status| status.phase.as_deref());
        if present == Some(phase) {
            return Ok(false);
        }
        self.patch_claim_status(claim, json!({ "phase": phase })).await?;
        Ok(true)
    }

    async fn patch_claim(&self, claim: &PersistentVolumeClaim, patch: Value) -> Result<PersistentVolumeClaim, Error> {
        let api: Api<PersistentVolumeClaim> = self.namespaced(claim);
        merge(&api, claim, Part::Whole, &patch).await.map_err(Error::during("writing the claim"))
    }

    async fn patch_claim_status(&self, claim: &PersistentVolumeClaim, status: Value) -> Result<(), Error> {
        let api: Api<PersistentVolumeClaim> = self.namespaced(claim);
        let written = merge(&api, claim, Part::Status, &json!({ "status": status })).await;
        written.map(drop).map_err(Error::during("writing the claim's status"))
    }

    fn namespaced<K: kube::Resource<Scope = NamespaceResourceScope, DynamicType = ()>>(&self, object: &K) -> Api<K> {
        Api::namespaced(self.client.clone(), object.meta().namespace.as_deref().unwrap_or_default())
    }

    pub(super) async fn reconcile_volume(&self, name: &str) -> Result<Next, Error> {
        let Some(volume) = self.volumes.get(&ObjectKey::cluster(name)) else { return Ok(Next::OnWakeUp) };
        let reference = volume.spec.as_ref().and_then(|spec| spec.claim_ref.as_ref());
        let key = reference.map(|reference| {
            let text = |field: &Option<String>| field.clone().unwrap_or_default();
            ObjectKey::new(text(&reference.namespace), text(&reference.name))
        });
        let claim = key.as_ref().and_then(|key| self.claims.get(key));
        match plan_volume(&volume, claim.as_deref()) {
            VolumePlan::Available => self.set_volume_phase(&volume, "Available", None).await?,
            VolumePlan::Bound => self.set_volume_phase(&volume, PHASE_BOUND, None).await?,
            VolumePlan::Released => self.set_volume_phase(&volume, "Released", None).await?,
            VolumePlan::Failed(note) => self.set_volume_phase(&volume, "Failed", Some(note)).await?,
            VolumePlan::WakeClaim => key.into_iter().for_each(|key| self.queue.add(Key::Claim(key))),
            VolumePlan::Unbind { reserved } => {
                let claim_ref = if reserved { json!({ "uid": null, "resourceVersion": null }) } else { Value::Null };
                let annotations = json!({ BOUND_BY_CONTROLLER: null });
                let patch = json!({ "metadata": { "annotations": annotations }, "spec": { "claimRef": claim_ref } });
                self.patch_volume(&volume, patch).await?;
            }
        }
        Ok(Next::OnWakeUp)
    }

    async fn set_volume_phase(&self, volume: &PersistentVolume, phase: &str, note: Option<Note>) -> Result<(), Error> {
        if volume.status.as_ref().and_then(|status| status.phase.as_deref()) == Some(phase) {
            return Ok(());
        }
        let mut status = json!({ "phase": phase, "lastPhaseTransitionTime": Time(self.clock.now()) });
        status["message"] = json!(note.as_ref().map(|note| &note.message));
        status["reason"] = json!(note.as_ref().map(|note| note.reason));
        let api: Api<PersistentVolume> = Api::all(self.client.clone());
        let written = merge(&api, volume, Part::Status, &json!({ "status": status })).await;
        written.map_err(Error::during("writing the volume's phase"))?;
        if let Some(note) = note {
            self.events.event(&object_reference(volume), note.kind, note.reason, note.message);
        }
        Ok(())
    }

    async fn patch_volume(&self, volume: &PersistentVolume, patch: Value) -> Result<(), Error> {
        let api: Api<PersistentVolume> = Api::all(self.client.clone());
        let written = merge(&api, volume, Part::Whole, &patch).await;
        written.map(drop).map_err(Error::during("writing the volume"))
    }
}

/// What makes the volume the claim's, unless it is.
pub fn plan_claim_ref(volume: &PersistentVolume, claim: &PersistentVolumeClaim) -> Option<Value> {
    let present = volume.spec.as_ref().and_then(|spec| spec.claim_ref.as_ref());
    if present.is_some_and(|reference| reference.uid.is_some() && reference.uid == claim.metadata.uid) {
        return None;
    }
    let claim_ref = json!({
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "namespace": claim.metadata.namespace,
        "name": claim.metadata.name,
        "uid": claim.metadata.uid,
        "resourceVersion": claim.metadata.resource_version,
    });
    let mut patch = json!({ "spec": { "claimRef": claim_ref } });
    if present.is_none() {
        patch["metadata"] = json!({ "annotations": { BOUND_BY_CONTROLLER: "yes" } });
    }
    Some(patch)
}

/// What makes the claim know its volume, unless it does.
fn plan_volume_name(claim: &PersistentVolumeClaim, volume: &PersistentVolume) -> Option<Value> {
    let annotations = claim.metadata.annotations.as_ref();
    let has = |name: &str| annotations.is_some_and(|annotations| annotations.contains_key(name));
    let chosen = !volume_name(claim).is_empty();
    if chosen && has(BIND_COMPLETED) {
        return None;
    }
    let mut annotations = json!({ BIND_COMPLETED: "yes" });
    if !chosen {
        annotations[BOUND_BY_CONTROLLER] = json!("yes");
    }
    let spec = json!({ "volumeName": volume.metadata.name });
    Some(json!({ "metadata": { "annotations": annotations }, "spec": spec }))
}

/// What the status of a bound claim lacks. Its capacity is that of the moment of binding, and grows by expansion only.
fn plan_claim_status(claim: &PersistentVolumeClaim, volume: &PersistentVolume) -> Option<Value> {
    let bound = claim.status.as_ref().and_then(|status| status.phase.as_deref()) == Some(PHASE_BOUND);
    if bound {
        return None;
    }
    let spec = volume.spec.as_ref();
    Some(json!({
        "phase": PHASE_BOUND,
        "accessModes": spec.and_then(|spec| spec.access_modes.as_ref()),
        "capacity": spec.and_then(|spec| spec.capacity.as_ref()),
    }))
}
