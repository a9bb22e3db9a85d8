//! Images that nobody uses go when the disk fills up: above a high mark down to a low one, the longest unused first. They
//! may also go for having been unused for too long.
//!
//! The disk is looked at every five minutes, as upstream does; what is used is what any container, running or not, was
//! made from, what sandboxes are, and what Pods mount as volumes. Under disk pressure everything unused goes before a Pod
//! does. Ages are remembered by this process: after a restart every image counts as new.

mod plan;

use std::collections::{BTreeSet, HashSet};
use std::sync::Arc;
use std::time::Duration;

use client::EventType;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Pod;
use serde_json::Value;
use tokio::sync::{Mutex, watch};
use tracing::{info, warn};

use crate::context::NodeContext;
use crate::pod_status::Phase;
use crate::stats::disk;
use crate::sync_loop::KnownPods;
use plan::{Disk, Records, outdated, plan, wanted_bytes};

/// How often the disk is looked at.
const INTERVAL: Duration = Duration::from_secs(300);
/// And no more often than this.
const SHORTEST: Duration = Duration::from_secs(1);

/// When unused images go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ImageGcConfig {
    /// Disk usage in percent from which on images are removed; 100 for never.
    pub high_percent: u64,
    /// Disk usage in percent down to which they are removed.
    pub low_percent: u64,
    /// Images younger than this stay.
    pub min_age: Duration,
    /// Images that were not used for this long go; none for never.
    pub max_age: Option<Duration>,
}

impl Default for ImageGcConfig {
    fn default() -> Self {
        Self { high_percent: 85, low_percent: 80, min_age: Duration::from_secs(120), max_age: None }
    }
}

/// Removes images. Clones share what they remember.
#[derive(Clone)]
pub struct ImageGc {
    context: Arc<NodeContext>,
    node_name: String,
    pods: watch::Receiver<KnownPods>,
    records: Arc<Mutex<Records>>,
}

impl ImageGc {
    /// A collector that has seen no image.
    pub fn new(context: Arc<NodeContext>, node_name: String, pods: watch::Receiver<KnownPods>) -> Self {
        Self { context, node_name, pods, records: Arc::default() }
    }

    /// Collects now and then until the future is dropped.
    pub async fn run(self) {
        // What is to go after a shorter time is to be seen in time.
        let interval = self.context.pods.image_gc.max_age.map_or(INTERVAL, |age| age.clamp(SHORTEST, INTERVAL));
        loop {
            if let Err(error) = self.collect().await {
                warn!(%error, "unused images not looked for");
            }
            tokio::time::sleep(interval).await;
        }
    }

    async fn collect(&self) -> cri::Result<()> {
        let now = self.context.clock.now();
        let mut records = self.records.lock().await;
        let (images, used) = self.look(&mut records, now).await?;
        let config = self.context.pods.image_gc;
        let (outdated, images) = outdated(&config, images, &used, &records, now);
        self.remove(&outdated).await;
        if config.high_percent >= 100 {
            return Ok(());
        }
        let Some(disk) = image_disk(&self.context, now).await? else { return Ok(()) };
        let Some(wanted) = wanted_bytes(&config, disk) else { return Ok(()) };
        let plan = plan(&config, wanted, &images, &used, &records, now);
        self.remove(&plan.remove).await;
        if let Some(message) = plan.shortage {
            self.context.events.node(&self.node_name, EventType::Warning, "FreeDiskSpaceFailed", &message);
        }
        Ok(())
    }

    /// Removes every image that nobody uses and that has been here long enough, whatever the disk is like.
    ///
    /// # Errors
    /// The runtime's, when it does not answer.
    pub async fn remove_unused(&self) -> cri::Result<()> {
        let now = self.context.clock.now();
        let mut records = self.records.lock().await;
        let (images, used) = self.look(&mut records, now).await?;
        let plan = plan(&self.context.pods.image_gc, u64::MAX, &images, &used, &records, now);
        self.remove(&plan.remove).await;
        Ok(())
    }

    /// The images that are here, and what is used of them.
    async fn look(&self, records: &mut Records, now: Timestamp) -> cri::Result<(Vec<cri::Image>, HashSet<String>)> {
        let images = self.context.image_service.list_images(cri::ImageFilter::default()).await?;
        let mut used = images_of_containers(&self.context).await?;
        let mounted = mounted_images(&self.pods.borrow());
        for reference in mounted.into_iter().chain(sandbox_image(&self.context).await?) {
            let image = cri::ImageSpec { image: reference, ..cri::ImageSpec::default() };
            used.extend(self.context.image_service.image_status(&image).await?.map(|image| image.id));
        }
        records.note(&images, &used, now);
        Ok((images, used))
    }

    async fn remove(&self, ids: &[String]) {
        for id in ids {
            info!(image = id, "removing an image that is not used");
            let image = cri::ImageSpec { image: id.clone(), ..cri::ImageSpec::default() };
            if let Err(error) = self.context.image_service.remove_image(&image).await {
                warn!(image = id, %error, "image not removed");
            }
        }
    }
}

/// Ids and names of the images that containers were made from.
async fn images_of_containers(context: &NodeContext) -> cri::Result<HashSet<String>> {
    let containers = context.runtime.list_containers(cri::ContainerFilter::default()).await?;
    let names = containers.into_iter().flat_map(|container| {
        let name = container.image.map(|image| image.image).unwrap_or_default();
        [container.image_ref, container.image_id, name]
    });
    Ok(names.filter(|name| !name.is_empty()).collect())
}

/// The image that sandboxes are made from, if the runtime names it. New runtimes mark it as one to keep; without it no Pod
/// starts where it cannot be pulled again.
async fn sandbox_image(context: &NodeContext) -> cri::Result<Option<String>> {
    let status = context.runtime.status(cri::StatusRequest { verbose: true }).await?;
    Ok(status.info.get("config").and_then(|config| sandbox_image_of(config)))
}

/// As containerd says it in its configuration.
fn sandbox_image_of(config: &str) -> Option<String> {
    let config: Value = serde_json::from_str(config).ok()?;
    config["sandboxImage"].as_str().filter(|image| !image.is_empty()).map(str::to_owned)
}

/// References of the images that Pods which have not ended mount as volumes.
fn mounted_images(pods: &KnownPods) -> BTreeSet<String> {
    let ended = |pod: &Pod| pod.status.as_ref().is_some_and(|status| Phase::of(status).is_terminal());
    let volumes = pods.values().filter(|pod| !ended(pod)).filter_map(|pod| pod.spec.as_ref()?.volumes.as_ref());
    volumes.flatten().filter_map(|volume| volume.image.as_ref()?.reference.clone()).collect()
}

async fn image_disk(context: &NodeContext, now: Timestamp) -> cri::Result<Option<Disk>> {
    let info = context.image_service.image_fs_info().await?;
    let mountpoint = info.image_filesystems.first().and_then(|fs| fs.fs_id.as_ref()).map(|id| id.mountpoint.clone());
    let stats = mountpoint.and_then(|mountpoint| disk::file_system(mountpoint.as_ref(), now));
    Ok(stats.map(|fs| Disk { capacity_bytes: fs.capacity_bytes, available_bytes: fs.available_bytes }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pod;
    use crate::testing::pod as spec_pod;

    #[test]
    fn a_runtime_may_name_the_image_of_its_sandboxes() {
        let config = r#"{"containerd": {"snapshotter": "overlayfs"}, "sandboxImage": "pause:3.6"}"#;
        assert_eq!(sandbox_image_of(config).as_deref(), Some("pause:3.6"));
        for other in ["{}", r#"{"sandboxImage": ""}"#, r#"{"sandboxImage": 1}"#, "pause"] {
            assert_eq!(sandbox_image_of(other), None, "{other}");
        }
    }

    #[test]
    fn image_volumes_are_used_until_the_pod_ends() {
        let spec = "{containers: [{name: a, image: x}], volumes: [{name: v, image: {reference: data}}, {name: w}]}";
        let known = |pod: Pod| KnownPods::from([(pod::uid(&pod), Arc::new(pod))]);
        let mut pod = spec_pod(spec);
        assert_eq!(mounted_images(&known(pod.clone())), BTreeSet::from(["data".to_owned()]));
        pod.status.get_or_insert_default().phase = Some("Succeeded".to_owned());
        assert_eq!(mounted_images(&known(pod)), BTreeSet::new());
    }
}
