//! Dead containers are kept for their logs and status, but not for ever.
//!
//! Some time after something happened in the runtime they are counted; an idle node counts nothing. Under disk pressure
//! all of those go whose Pods have ended.

mod plan;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tracing::{info, warn};

use crate::context::NodeContext;
use crate::labels;
use crate::log_rotation::rotated_logs;
use crate::observed;
use crate::pod::Uid;
use crate::pod_status::Phase;
use crate::sync_loop::KnownPods;
pub use plan::OfEnded;
use plan::{Instance, plan};

/// How long after something happened dead containers are counted.
const PERIOD: Duration = Duration::from_secs(10);

/// When dead containers go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ContainerGcConfig {
    /// Containers made less than this ago stay.
    pub min_age: Duration,
    /// How many are kept of one container; none for all of them.
    pub max_per_container: Option<usize>,
    /// How many are kept on the node; none for all of them.
    pub max_total: Option<usize>,
}

impl Default for ContainerGcConfig {
    fn default() -> Self {
        Self { min_age: Duration::ZERO, max_per_container: Some(1), max_total: None }
    }
}

/// Removes dead containers until the future is dropped.
pub async fn run(context: Arc<NodeContext>, pods: watch::Receiver<KnownPods>, mut changes: watch::Receiver<u64>) {
    loop {
        changes.mark_unchanged();
        let known = pods.borrow().clone();
        let look_again = collect(&context, &known, OfEnded::AsOthers).await.unwrap_or_else(|error| {
            warn!(%error, "dead containers not looked for");
            Some(PERIOD)
        });
        let old_enough = async {
            match look_again {
                Some(after) => tokio::time::sleep(after).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = old_enough => {}
            changed = changes.changed() => match changed {
                Ok(()) => tokio::time::sleep(PERIOD).await,
                // The kubelet is ending.
                Err(_) => return,
            },
        }
    }
}

/// Removes what there is to remove. Answers when there may be more, even if nothing changes.
///
/// # Errors
/// The runtime's, when it does not answer.
pub async fn collect(context: &NodeContext, pods: &KnownPods, of_ended: OfEnded) -> cri::Result<Option<Duration>> {
    let containers = context.runtime.list_containers(cri::ContainerFilter::default()).await?;
    let instances: Vec<Instance> = containers.iter().filter_map(instance).collect();
    let has_ended = |uid: &Uid| {
        let status = pods.get(uid)?.status.as_ref();
        Some(status.is_some_and(|status| Phase::of(status).is_terminal()))
    };
    let plan = plan(&context.pods.container_gc, of_ended, &instances, has_ended, context.clock.now());
    for id in &plan.remove {
        info!(container = id, "removing a dead container");
        if let Err(error) = remove(context, id).await {
            warn!(container = id, %error, "dead container not removed");
        }
    }
    Ok(plan.look_again)
}

fn instance(container: &cri::Container) -> Option<Instance> {
    let metadata = container.metadata.clone().unwrap_or_default();
    Some(Instance {
        id: container.id.clone(),
        pod: Uid::new(container.labels.get(labels::POD_UID)?),
        name: metadata.name,
        attempt: metadata.attempt,
        created_at: observed::time(container.created_at),
        dead: container.state() == cri::ContainerState::ContainerExited,
    })
}

/// Removes a container with its logs.
async fn remove(context: &NodeContext, id: &str) -> cri::Result<()> {
    let status = context.runtime.container_status(id).await?;
    context.runtime.remove_container(id).await?;
    let log = PathBuf::from(status.log_path);
    let removed = tokio::task::spawn_blocking(move || {
        let rotated = rotated_logs(&log)?;
        rotated.iter().chain([&log]).try_for_each(std::fs::remove_file)
    });
    match removed.await {
        Ok(Err(error)) if error.kind() != std::io::ErrorKind::NotFound => {
            warn!(container = id, %error, "logs of a dead container stay");
        }
        _ => {}
    }
    Ok(())
}
