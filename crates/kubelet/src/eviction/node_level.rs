//! What can be freed of the disk before a Pod has to go: containers that are over, and images that nobody uses.

use tracing::warn;

use super::{Disks, Signal};
use crate::container_gc::{self, OfEnded};
use crate::context::NodeContext;
use crate::image_gc::ImageGc;
use crate::sync_loop::KnownPods;

/// Whether that makes room where it is short: containers and images are not on the node's file system where they have
/// one of their own.
pub fn helps(signal: Signal, disks: Disks) -> bool {
    match signal {
        Signal::MemoryAvailable | Signal::AllocatableMemoryAvailable | Signal::PidAvailable => false,
        Signal::NodefsAvailable | Signal::NodefsInodesFree => disks == Disks::Shared,
        Signal::ImagefsAvailable
        | Signal::ImagefsInodesFree
        | Signal::ContainerfsAvailable
        | Signal::ContainerfsInodesFree => true,
    }
}

/// Frees what it can, and says why where it cannot.
pub async fn reclaim(context: &NodeContext, image_gc: &ImageGc, pods: &KnownPods) {
    if let Err(error) = container_gc::collect(context, pods, OfEnded::All).await {
        warn!(%error, "dead containers not looked for");
    }
    // After the containers, since what they were made from may be unused now.
    if let Err(error) = image_gc.remove_unused().await {
        warn!(%error, "unused images not looked for");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_freed_helps_where_it_is() {
        for (signal, shared, apart) in [
            (Signal::NodefsAvailable, true, false),
            (Signal::ImagefsAvailable, true, true),
            (Signal::ContainerfsInodesFree, true, true),
            (Signal::PidAvailable, false, false),
        ] {
            assert_eq!(
                (helps(signal, Disks::Shared), helps(signal, Disks::ImagesApart)),
                (shared, apart),
                "{signal:?}"
            );
        }
    }
}
