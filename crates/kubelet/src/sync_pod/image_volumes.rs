//! Volumes whose content is an image: fetched like a container's own, mounted by the runtime.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::Container;

use super::SyncPass;
use crate::images::ImageProblem;

/// Image references of a container's image volumes by volume, fetched where the pull policy says so.
///
/// # Errors
/// The first that is not to be had.
pub(super) async fn fetch(
    pass: &SyncPass<'_>,
    container: &Container,
) -> Result<BTreeMap<String, String>, ImageProblem> {
    let mut references = BTreeMap::new();
    let volumes = pass.pod.spec.as_ref().and_then(|spec| spec.volumes.as_deref()).unwrap_or_default();
    let mounted = container.volume_mounts.as_deref().unwrap_or_default();
    for volume in volumes.iter().filter(|volume| mounted.iter().any(|mount| mount.name == volume.name)) {
        let Some(source) = &volume.image else { continue };
        // To whoever fetches and reports, it is the container's image.
        let wanted = Container {
            name: container.name.clone(),
            image: source.reference.clone(),
            image_pull_policy: source.pull_policy.clone(),
            ..Container::default()
        };
        let present = pass.context.images.ensure(pass.pod, &wanted).await?;
        references.insert(volume.name.clone(), present.image_ref);
    }
    Ok(references)
}
