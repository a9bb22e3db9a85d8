//! Claims of no class get the default one, what is in use does not go, and claims grow only where their class lets
//! them.

use api::Object;
use api::core::v1::persistent_volume_claim::{PHASE_BOUND, class_of};
use api::core::v1::resource_list::get;
use api::k8s_openapi::api::core::v1::PersistentVolumeClaim;
use api::k8s_openapi::api::storage::v1::StorageClass;
use api::quantity::Quantity;
use api::storage::v1::storage_class;
use async_trait::async_trait;

use super::{Attributes, Operation, Plugin};
use crate::error::Error;

/// Gives claims of no class the default one.
pub struct DefaultStorageClass;

#[async_trait]
impl Plugin for DefaultStorageClass {
    async fn admit(&self, attributes: &Attributes<'_>, object: &mut dyn Object) -> Result<(), Error> {
        if attributes.operation != Operation::Create || !attributes.is("persistentvolumeclaims", "") {
            return Ok(());
        }
        let Some(claim) = object.as_any_mut().downcast_mut::<PersistentVolumeClaim>() else { return Ok(()) };
        if class_of(claim).is_some() {
            return Ok(());
        }
        let classes = classes(attributes).await?;
        if let (Some(class), Some(spec)) = (storage_class::default_of(&classes), &mut claim.spec) {
            spec.storage_class_name.clone_from(&class.metadata.name);
        }
        Ok(())
    }
}

/// Keeps volumes, claims and attribute classes until nobody uses them.
pub struct StorageObjectInUseProtection;

#[async_trait]
impl Plugin for StorageObjectInUseProtection {
    async fn admit(&self, attributes: &Attributes<'_>, object: &mut dyn Object) -> Result<(), Error> {
        if attributes.operation != Operation::Create || !attributes.subresource.is_empty() {
            return Ok(());
        }
        let finalizer = match (attributes.resource.gvk().group, attributes.resource.info.plural) {
            ("", "persistentvolumes") => "kubernetes.io/pv-protection",
            ("", "persistentvolumeclaims") => "kubernetes.io/pvc-protection",
            ("storage.k8s.io", "volumeattributesclasses") => "kubernetes.io/vac-protection",
            _ => return Ok(()),
        };
        let finalizers = object.metadata_mut().finalizers.get_or_insert_default();
        if !finalizers.iter().any(|present| present == finalizer) {
            finalizers.push(finalizer.to_owned());
        }
        Ok(())
    }
}

/// Lets claims grow where that is possible.
pub struct PersistentVolumeClaimResize;

#[async_trait]
impl Plugin for PersistentVolumeClaimResize {
    async fn validate(&self, attributes: &Attributes<'_>, object: &dyn Object) -> Result<(), Error> {
        if attributes.operation != Operation::Update || !attributes.is("persistentvolumeclaims", "") {
            return Ok(());
        }
        let claim = |object: &dyn Object| object.as_any().downcast_ref::<PersistentVolumeClaim>().cloned();
        let (Some(new), Some(old)) = (claim(object), attributes.old.and_then(claim)) else { return Ok(()) };
        if requested(&new) <= requested(&old) {
            return Ok(());
        }
        let phase = old.status.as_ref().and_then(|status| status.phase.as_deref());
        if phase != Some(PHASE_BOUND) {
            return Err(attributes.forbidden(object, "Only bound persistent volume claims can be expanded"));
        }
        let classes = classes(attributes).await?;
        let mut own = classes.iter().filter(|class| class.metadata.name.as_deref() == class_of(&old));
        if own.any(|class| class.allow_volume_expansion == Some(true)) {
            return Ok(());
        }
        let reason = "only dynamically provisioned pvc can be resized and the storageclass that provisions the pvc must \
                      support resize";
        Err(attributes.forbidden(object, reason))
    }
}

async fn classes(attributes: &Attributes<'_>) -> Result<Vec<StorageClass>, Error> {
    attributes.server.all("storage.k8s.io", "storageclasses").await
}

fn requested(claim: &PersistentVolumeClaim) -> Option<Quantity> {
    get(claim.spec.as_ref()?.resources.as_ref()?.requests.as_ref(), "storage")
}
