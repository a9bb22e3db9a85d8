//! What earlier kubelets left behind: Pods that the runtime has and the API has not, their directories, logs and cgroups.
//!
//! Looked for once, after the first list of Pods.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use tokio::sync::{mpsc, watch};
use tracing::{info, warn};

use crate::context::NodeContext;
use crate::labels;
use crate::pod::Uid;
use crate::sync_loop::{Event, KnownPods};
use crate::volumes;

/// Reports orphaned Pods to the sync loop, which ends them, and removes directories and cgroups of Pods of which
/// nothing else is left.
pub async fn find(
    context: Arc<NodeContext>,
    known: HashSet<Uid>,
    pods: watch::Receiver<KnownPods>,
    events: mpsc::Sender<Event>,
) {
    let sandboxes = match context.runtime.list_pod_sandbox(cri::PodSandboxFilter::default()).await {
        Ok(sandboxes) => sandboxes,
        Err(error) => return warn!(%error, "could not list sandboxes, orphaned Pods stay until the next start"),
    };
    let mut alive: HashSet<Uid> = known.clone();
    let mut orphans = BTreeMap::new();
    for sandbox in &sandboxes {
        let pod = remembered(sandbox);
        let uid = crate::pod::uid(&pod);
        alive.insert(uid.clone());
        if !known.contains(&uid) {
            orphans.insert(uid, Arc::new(pod));
        }
    }
    if events.send(Event::Orphans(orphans.into_values().collect())).await.is_err() {
        return;
    }
    let cleaned = tokio::task::spawn_blocking(move || remove_leftovers(&context, &alive, &pods)).await;
    if cleaned.is_err() {
        warn!("cleaning up after Pods that are gone failed");
    }
}

/// As much of a Pod as its sandbox remembers.
pub fn remembered(sandbox: &cri::PodSandbox) -> Pod {
    let label = |name: &str| sandbox.labels.get(name).cloned();
    Pod {
        metadata: ObjectMeta {
            name: label(labels::POD_NAME),
            namespace: label(labels::POD_NAMESPACE),
            uid: label(labels::POD_UID),
            annotations: Some(sandbox.annotations.clone()).filter(|annotations| !annotations.is_empty()),
            ..ObjectMeta::default()
        },
        ..Pod::default()
    }
}

fn remove_leftovers(context: &NodeContext, alive: &HashSet<Uid>, pods: &watch::Receiver<KnownPods>) {
    // A Pod that comes meanwhile is known before anything of it is made.
    let is_gone = |uid: &Uid| !alive.contains(uid) && !pods.borrow().contains_key(uid);
    let directories = std::fs::read_dir(context.paths.root.join("pods")).into_iter().flatten().flatten();
    for entry in directories {
        let uid = Uid::new(&entry.file_name().to_string_lossy());
        if is_gone(&uid) {
            info!(%uid, "removing the directory of a Pod that is gone");
            if let Err(error) = volumes::tear_down(&*context.host, &entry.path()) {
                warn!(%uid, %error, "directory of a Pod that is gone stays");
            }
        }
    }
    let logs = std::fs::read_dir(&context.paths.pod_logs).into_iter().flatten().flatten();
    for entry in logs {
        let name = entry.file_name().to_string_lossy().into_owned();
        // `<namespace>_<name>_<uid>`; what is named otherwise is somebody else's.
        let Some(uid) = name.rsplit('_').next().filter(|_| name.split('_').count() == 3) else { continue };
        if is_gone(&Uid::new(uid))
            && let Err(error) = std::fs::remove_dir_all(entry.path())
        {
            warn!(uid, %error, "logs of a Pod that is gone stay");
        }
    }
    let kubepods = context.kubepods();
    for level in [kubepods.clone(), format!("{kubepods}/burstable"), format!("{kubepods}/besteffort")] {
        for name in context.host.child_cgroups(&level) {
            let gone = name.strip_prefix("pod").is_some_and(|uid| is_gone(&Uid::new(uid)));
            if gone && let Err(error) = context.host.remove_cgroup(&format!("{level}/{name}")) {
                warn!(cgroup = name, %error, "cgroup of a Pod that is gone stays");
            }
        }
    }
}
