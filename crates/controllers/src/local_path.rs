//! Volumes that are directories of a node: what the default StorageClass gives.
//!
//! This is a provisioner as any other: the binder asks for a volume by an annotation on the claim, the scheduler's
//! choice of a node stands in another one. It runs where the directories are and serves the claims whose Pods go to its
//! own node only, so that a cluster of many nodes runs one on each. A directory has no size of its own: growing a volume
//! is a change of two numbers.

mod plan;
#[cfg(test)]
mod tests;

use std::io;
use std::path::{Path, PathBuf};

use api::core::v1::persistent_volume_claim::class_of;
use client::{Client, EventRecorder, EventType, Lister, ObjectKey, is_already_exists, object_reference};
use k8s_openapi::api::core::v1::{PersistentVolume, PersistentVolumeClaim};
use k8s_openapi::api::storage::v1::StorageClass;
use kube::Api;
use kube::api::{DeleteParams, PostParams};
use serde_json::json;
use tracing::info;

use crate::assembly::{Controllers, Wiring};
use crate::persistent_volume::Key;
use crate::runtime::{Error, Next, Reconcile};
use crate::update::{Part, merge};
use plan::{ClaimPlan, plan_claim, plan_volume};

/// A node that gives directories.
#[derive(Debug, Clone)]
pub struct LocalPath {
    /// The name StorageClasses call it by.
    pub provisioner: String,
    /// The node, as its `kubernetes.io/hostname` label says it.
    pub node_name: String,
    /// Where the directories are made.
    pub directory: PathBuf,
}

struct LocalPathProvisioner {
    client: Client,
    events: EventRecorder,
    local: LocalPath,
    claims: Lister<PersistentVolumeClaim>,
    volumes: Lister<PersistentVolume>,
    classes: Lister<StorageClass>,
}

/// Starts the provisioner: it wakes when a claim or volume changes.
pub fn start(controllers: &mut Controllers, local: LocalPath) {
    let mut wiring = Wiring::new();
    wiring.wakes(&mut controllers.watches.claims, |change| change.object().map(|claim| Key::claim(claim)));
    wiring.wakes(&mut controllers.watches.volumes, |change| change.object().map(|volume| Key::volume(volume)));
    let controller = LocalPathProvisioner {
        client: controllers.client_of("persistent-volume-binder"),
        events: controllers.events("persistentvolume-controller"),
        local,
        claims: wiring.reads(&controllers.watches.claims),
        volumes: wiring.reads(&controllers.watches.volumes),
        classes: wiring.reads(&controllers.watches.classes),
    };
    controllers.add(controller, wiring, 1);
}

impl Reconcile for LocalPathProvisioner {
    type Key = Key;
    const NAME: &'static str = "local path provisioner";

    async fn reconcile(&self, key: &Key) -> Result<Next, Error> {
        match key {
            Key::Claim(key) => self.reconcile_claim(key).await?,
            Key::Volume(name) => self.reconcile_volume(name).await?,
        }
        Ok(Next::OnWakeUp)
    }
}

impl LocalPathProvisioner {
    async fn reconcile_claim(&self, key: &ObjectKey) -> Result<(), Error> {
        let Some(claim) = self.claims.get(key) else { return Ok(()) };
        let class = class_of(&claim).and_then(|class| self.classes.get(&ObjectKey::cluster(class)));
        let name = claim.spec.as_ref().and_then(|spec| spec.volume_name.as_deref()).unwrap_or_default();
        let volume = self.volumes.get(&ObjectKey::cluster(name));
        match plan_claim(&self.local, &claim, class.as_deref(), volume.as_deref()) {
            ClaimPlan::Nothing => Ok(()),
            ClaimPlan::Refuse(message) => {
                self.tell(&claim, EventType::Warning, "ProvisioningFailed", message);
                Ok(())
            }
            ClaimPlan::Provision(volume, directory) => self.provision(&claim, *volume, directory).await,
            ClaimPlan::Grow { volume, storage } => self.grow(&claim, &volume, &storage).await,
        }
    }

    async fn provision(
        &self,
        claim: &PersistentVolumeClaim,
        volume: PersistentVolume,
        directory: PathBuf,
    ) -> Result<(), Error> {
        let key = ObjectKey::of(claim);
        let message = format!("External provisioner is provisioning volume for claim \"{key}\"");
        self.tell(claim, EventType::Normal, "Provisioning", message);
        if let Err(error) = on_disk(directory.clone(), make_directory).await {
            let class = class_of(claim).unwrap_or_default();
            let message = format!(
                "failed to provision volume with StorageClass \"{class}\": create {}: {error}",
                directory.display()
            );
            self.tell(claim, EventType::Warning, "ProvisioningFailed", message);
            return Err(Error::during_io("making a volume's directory")(error));
        }
        let volumes: Api<PersistentVolume> = Api::all(self.client.clone());
        match volumes.create(&PostParams::default(), &volume).await {
            Err(error) if !is_already_exists(&error) => return Err(Error::during("creating the volume")(error)),
            _ => {}
        }
        let name = volume.metadata.name.unwrap_or_default();
        info!(claim = %key, volume = name, "made a volume");
        self.tell(claim, EventType::Normal, "ProvisioningSucceeded", format!("Successfully provisioned volume {name}"));
        Ok(())
    }

    async fn grow(&self, claim: &PersistentVolumeClaim, volume: &str, storage: &str) -> Result<(), Error> {
        let capacity = json!({ "capacity": { "storage": storage } });
        let volumes: Api<PersistentVolume> = Api::all(self.client.clone());
        let Some(seen) = self.volumes.get(&ObjectKey::cluster(volume)) else { return Ok(()) };
        let grown = merge(&volumes, &*seen, Part::Whole, &json!({ "spec": capacity })).await;
        grown.map_err(Error::during("growing the volume"))?;
        let key = ObjectKey::of(claim);
        let claims: Api<PersistentVolumeClaim> = Api::namespaced(self.client.clone(), &key.namespace);
        let written = merge(&claims, claim, Part::Status, &json!({ "status": capacity })).await;
        written.map_err(Error::during("writing the claim's capacity"))?;
        self.tell(claim, EventType::Normal, "VolumeResizeSuccessful", "Resize volume succeeded".to_owned());
        Ok(())
    }

    async fn reconcile_volume(&self, name: &str) -> Result<(), Error> {
        let Some(volume) = self.volumes.get(&ObjectKey::cluster(name)) else { return Ok(()) };
        let Some(directory) = plan_volume(&self.local, &volume) else { return Ok(()) };
        if let Err(error) = on_disk(directory.clone(), remove_directory).await {
            let message = format!("remove {}: {error}", directory.display());
            self.events.event(&object_reference(&*volume), EventType::Warning, "VolumeFailedDelete", message);
            return Err(Error::during_io("removing a volume's directory")(error));
        }
        let volumes: Api<PersistentVolume> = Api::all(self.client.clone());
        let deleted = volumes.delete(name, &DeleteParams::default()).await;
        info!(volume = name, "removed a volume");
        deleted.map(drop).map_err(Error::during("deleting the volume"))
    }

    fn tell(&self, claim: &PersistentVolumeClaim, kind: EventType, reason: &str, message: String) {
        self.events.event(&object_reference(claim), kind, reason, message);
    }
}

/// Directories may be large: the work is done where it may block.
async fn on_disk(directory: PathBuf, act: fn(&Path) -> io::Result<()>) -> io::Result<()> {
    let done = tokio::task::spawn_blocking(move || act(&directory)).await;
    done.map_err(io::Error::other)?
}

/// Anybody may write in it, as whatever user the Pod runs.
fn make_directory(directory: &Path) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::create_dir_all(directory)?;
    std::fs::set_permissions(directory, std::fs::Permissions::from_mode(0o777))
}

fn remove_directory(directory: &Path) -> io::Result<()> {
    match std::fs::remove_dir_all(directory) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        outcome => outcome,
    }
}
