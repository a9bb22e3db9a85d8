//! Images that nobody uses go when the disk fills up: above a high mark down to a low one, the longest unused first.
//!
//! The disk is looked at every five minutes, as upstream does; what is used is what any container, running or not, was
//! made from. Ages are remembered by this process: after a restart every image counts as new.

mod plan;

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use client::EventType;
use jiff::Timestamp;
use tracing::{info, warn};

use crate::context::NodeContext;
use crate::stats::disk;
use plan::{Disk, Records, plan};

/// How often the disk is looked at.
const INTERVAL: Duration = Duration::from_secs(300);

/// When unused images go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ImageGcConfig {
    /// Disk usage in percent from which on images are removed; 100 for never.
    pub high_percent: u64,
    /// Disk usage in percent down to which they are removed.
    pub low_percent: u64,
    /// Images younger than this stay.
    pub min_age: Duration,
}

impl Default for ImageGcConfig {
    fn default() -> Self {
        Self { high_percent: 85, low_percent: 80, min_age: Duration::from_secs(120) }
    }
}

/// Collects until the future is dropped.
pub async fn run(context: Arc<NodeContext>, node_name: String) {
    let mut records = Records::default();
    loop {
        if let Err(error) = collect(&context, &node_name, &mut records).await {
            warn!(%error, "unused images not looked for");
        }
        tokio::time::sleep(INTERVAL).await;
    }
}

async fn collect(context: &NodeContext, node_name: &str, records: &mut Records) -> cri::Result<()> {
    let now = context.clock.now();
    let images = context.image_service.list_images(cri::ImageFilter::default()).await?;
    let used = used_images(context).await?;
    records.note(&images, &used, now);
    let config = context.pods.image_gc;
    if config.high_percent >= 100 {
        return Ok(());
    }
    let Some(disk) = image_disk(context, now).await? else { return Ok(()) };
    let plan = plan(&config, disk, &images, &used, records, now);
    for id in &plan.remove {
        info!(image = id, "removing an image that is not used");
        let image = cri::ImageSpec { image: id.clone(), ..cri::ImageSpec::default() };
        if let Err(error) = context.image_service.remove_image(&image).await {
            warn!(image = id, %error, "image not removed");
        }
    }
    if let Some(message) = plan.shortage {
        context.events.node(node_name, EventType::Warning, "FreeDiskSpaceFailed", &message);
    }
    Ok(())
}

/// Ids and names of the images that containers were made from.
async fn used_images(context: &NodeContext) -> cri::Result<HashSet<String>> {
    let containers = context.runtime.list_containers(cri::ContainerFilter::default()).await?;
    let names = containers.into_iter().flat_map(|container| {
        let name = container.image.map(|image| image.image).unwrap_or_default();
        [container.image_ref, container.image_id, name]
    });
    Ok(names.filter(|name| !name.is_empty()).collect())
}

async fn image_disk(context: &NodeContext, now: Timestamp) -> cri::Result<Option<Disk>> {
    let info = context.image_service.image_fs_info().await?;
    let mountpoint = info.image_filesystems.first().and_then(|fs| fs.fs_id.as_ref()).map(|id| id.mountpoint.clone());
    let stats = mountpoint.and_then(|mountpoint| disk::file_system(mountpoint.as_ref(), now));
    Ok(stats.map(|fs| Disk { capacity_bytes: fs.capacity_bytes, available_bytes: fs.available_bytes }))
}
