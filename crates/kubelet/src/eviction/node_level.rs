//! What can be freed of the disk before a Pod has to go: containers that are over, and images that nobody uses.

use tracing::{info, warn};

use super::{Disks, Signal};
use crate::context::NodeContext;
use crate::image_gc::ImageGc;
use crate::labels;
use crate::pod_status::Phase;
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
    let removed = remove_dead_containers(context, pods).await;
    if let Err(error) = removed {
        warn!(%error, "dead containers not looked for");
    }
    // After the containers, since what they were made from may be unused now.
    if let Err(error) = image_gc.remove_unused().await {
        warn!(%error, "unused images not looked for");
    }
}

async fn remove_dead_containers(context: &NodeContext, pods: &KnownPods) -> cri::Result<()> {
    let containers = context.runtime.list_containers(cri::ContainerFilter::default()).await?;
    for container in containers.iter().filter(|container| is_over(container, pods)) {
        info!(container = container.id, "removing a container of a Pod that ended");
        if let Err(error) = context.runtime.remove_container(&container.id).await {
            warn!(container = container.id, %error, "dead container not removed");
        }
    }
    Ok(())
}

/// Whether a container is dead and its Pod has ended: nothing is started or told from it any more.
fn is_over(container: &cri::Container, pods: &KnownPods) -> bool {
    let of = |pod: &str| pods.iter().find(|(uid, _)| uid.as_str() == pod).map(|(_, pod)| pod);
    let pod = container.labels.get(labels::POD_UID).and_then(|uid| of(uid));
    let ended = pod.and_then(|pod| pod.status.as_ref()).is_some_and(|status| Phase::of(status).is_terminal());
    ended && container.state() == cri::ContainerState::ContainerExited
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::pod;
    use crate::testing::pod as spec_pod;

    #[test]
    fn only_dead_containers_of_ended_pods_are_over() {
        use cri::ContainerState::{ContainerExited, ContainerRunning};
        for (state, phase, over) in [
            (ContainerExited, "Succeeded", true),
            (ContainerExited, "Failed", true),
            (ContainerExited, "Running", false),
            (ContainerRunning, "Failed", false),
        ] {
            let mut pod = spec_pod("{containers: [{name: a, image: x}]}");
            pod.status.get_or_insert_default().phase = Some(phase.to_owned());
            let uid = pod::uid(&pod);
            let mut container = cri::Container { state: state.into(), ..cri::Container::default() };
            container.labels.insert(labels::POD_UID.to_owned(), uid.to_string());
            assert_eq!(is_over(&container, &[(uid, Arc::new(pod))].into()), over, "{state:?} {phase}");
            assert!(!is_over(&container, &KnownPods::new()), "a Pod that is not known is the orphan keeper's");
        }
    }
}
