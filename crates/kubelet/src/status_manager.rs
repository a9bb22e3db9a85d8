//! Writing Pod statuses to the API.
//!
//! Each Pod has one [`StatusWriter`]: a task that holds the newest status anybody published and patches what differs
//! from what the API has. While a patch is on its way, newer statuses replace each other, so however often a Pod
//! changes it costs no more than one request at a time and the last word always arrives. Nobody waits for a write,
//! except who ends the Pod: its object is deleted after its last status is stored.
//!
//! Guarantees: statuses of one Pod arrive in order; a write for a Pod that was replaced under its name is refused by
//! the UID in the patch; a failed write is tried again until it succeeds, is pointless, or is replaced.

mod mirror;
mod patch;

use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::core::v1::{Pod, PodStatus};
use kube::Client;
use kube::api::{Api, DeleteParams, Patch, PatchParams, Preconditions};
use platform::tasks::{TaskKind, spawn};
use tokio::sync::watch;
use tracing::{debug, warn};

use crate::pod::{self, Uid};

pub use mirror::{MirrorKeeper, Mirrors};

const RETRY_FIRST: Duration = Duration::from_millis(100);
const RETRY_MAX: Duration = Duration::from_secs(10);

/// What a writer is to bring about.
#[derive(Debug, Clone)]
struct Wanted {
    pod: Arc<Pod>,
    status: PodStatus,
    /// Delete the object once the status is stored.
    delete: bool,
}

/// One Pod's way to the API. Dropping it ends its task once what it holds is written or has failed once more.
pub struct StatusWriter {
    /// Whether the API's object is only a mirror.
    mirrored: bool,
    wanted: watch::Sender<Option<Wanted>>,
    written: watch::Receiver<Progress>,
}

/// What the task has done so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Progress {
    Writing,
    Gone,
}

impl StatusWriter {
    /// Starts the writer of one Pod; that of a static one has its mirror's keeper.
    pub fn start(client: Client, mirror: Option<MirrorKeeper>) -> Self {
        let (wanted, inbox) = watch::channel(None);
        let (progress, written) = watch::channel(Progress::Writing);
        let mirrored = mirror.is_some();
        spawn(TaskKind::Worker, "pod status", write_statuses(client, mirror, inbox, progress));
        Self { mirrored, wanted, written }
    }

    /// Replaces the status to be written. Returns at once.
    pub fn publish(&self, pod: &Arc<Pod>, status: PodStatus) {
        self.wanted.send_replace(Some(Wanted { pod: Arc::clone(pod), status, delete: false }));
    }

    /// Writes the Pod's last status, then deletes its object; returns when that is gone, whoever deleted it. Nobody
    /// waits for a mirror: a static Pod does not need the API to end.
    pub async fn delete(&mut self, pod: &Arc<Pod>, status: PodStatus) {
        let pod = Arc::clone(pod);
        self.wanted.send_replace(Some(Wanted { pod, status, delete: true }));
        if self.mirrored {
            return;
        }
        // The task ends only after it reported, or with the process.
        let _ = self.written.wait_for(|progress| *progress == Progress::Gone).await;
    }
}

/// What the API has, as far as this writer knows.
#[derive(Default)]
struct Known {
    /// Of which object: a mirror may be made anew.
    uid: Option<Uid>,
    revision: u64,
    status: PodStatus,
    /// The status asked for last, and what the API made of it.
    answered: Option<(PodStatus, PodStatus)>,
}

async fn write_statuses(
    client: Client,
    mut mirror: Option<MirrorKeeper>,
    mut inbox: watch::Receiver<Option<Wanted>>,
    progress: watch::Sender<Progress>,
) {
    let mut known = Known::default();
    let mut retry = RETRY_FIRST;
    loop {
        let mirror_changed = async {
            match &mut mirror {
                Some(mirror) => mirror.changed().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            changed = inbox.changed() => if changed.is_err() {
                return;
            },
            () = mirror_changed => {}
        }
        loop {
            let Some(wanted) = inbox.borrow_and_update().clone() else { break };
            match write(&client, mirror.as_mut(), &wanted, &mut known).await {
                Ok(Written::Stored | Written::Later) => {
                    retry = RETRY_FIRST;
                    break;
                }
                Ok(Written::Gone) => {
                    progress.send_replace(Progress::Gone);
                    break;
                }
                Err(error) => {
                    warn!(pod = pod::full_name(&wanted.pod), %error, "status not written, will try again");
                    // A newer status is worth an immediate attempt; a writer nobody holds any more gives up.
                    match tokio::time::timeout(retry, inbox.changed()).await {
                        Ok(Err(_)) => return,
                        Ok(Ok(())) => {}
                        Err(_) => retry = (retry * 2).min(RETRY_MAX),
                    }
                }
            }
        }
    }
}

enum Written {
    Stored,
    Gone,
    /// There is no object to write to before a mirror can be made, or is made anew.
    Later,
}

async fn write(
    client: &Client,
    mut mirror: Option<&mut MirrorKeeper>,
    wanted: &Wanted,
    known: &mut Known,
) -> Result<Written, kube::Error> {
    let pod = match &mut mirror {
        None => Arc::clone(&wanted.pod),
        Some(keeper) if wanted.delete => match keeper.find(&wanted.pod) {
            Some(mirror) => mirror,
            None => return Ok(Written::Gone),
        },
        Some(keeper) => match keeper.ensure(&wanted.pod).await? {
            Some(mirror) => mirror,
            None => return Ok(Written::Later),
        },
    };
    let pods: Api<Pod> = Api::namespaced(client.clone(), pod::namespace(&pod));
    let name = pod::name(&pod);
    known.learn(&pod);
    let patch = match known.has_answered(&wanted.status) {
        true => None,
        false => patch::status_patch(&pod::uid(&pod), &known.status, &wanted.status),
    };
    if let Some(body) = patch {
        match pods.patch_status(name, &PatchParams::default(), &Patch::Strategic(body)).await {
            Ok(stored) => {
                known.learn(&stored);
                known.answered = Some((wanted.status.clone(), known.status.clone()));
            }
            // Gone, or another Pod has its name by now: nothing of ours is left to write to.
            Err(error) if client::is_not_found(&error) || client::is_conflict(&error) => {
                debug!(pod = pod::full_name(&pod), %error, "status of a Pod that is gone");
                return Ok(match mirror {
                    Some(keeper) => {
                        keeper.lost(&pod);
                        Written::Later
                    }
                    None => Written::Gone,
                });
            }
            Err(error) => return Err(error),
        }
    }
    if !wanted.delete {
        return Ok(Written::Stored);
    }
    delete_at_once(client, &pod).await?;
    if let Some(keeper) = mirror {
        keeper.lost(&pod);
    }
    Ok(Written::Gone)
}

/// Deletes this very object without any grace period; one that is gone or was replaced under its name counts as deleted.
async fn delete_at_once(client: &Client, pod: &Pod) -> Result<(), kube::Error> {
    let pods: Api<Pod> = Api::namespaced(client.clone(), pod::namespace(pod));
    let preconditions = Some(Preconditions { uid: pod.metadata.uid.clone(), resource_version: None });
    let parameters = DeleteParams { preconditions, ..DeleteParams::default().grace_period(0) };
    match pods.delete(pod::name(pod), &parameters).await {
        Ok(_) => Ok(()),
        Err(error) if client::is_not_found(&error) || client::is_conflict(&error) => Ok(()),
        Err(error) => Err(error),
    }
}

impl Known {
    /// Whether the API has been asked for this very status and still shows what it made of it. Should it store
    /// something in another form than ours, asking again would change nothing, for ever.
    fn has_answered(&self, wanted: &PodStatus) -> bool {
        self.answered.as_ref().is_some_and(|(asked, answer)| asked == wanted && *answer == self.status)
    }

    /// Takes over the status of an object unless it is older than what is known.
    fn learn(&mut self, pod: &Pod) {
        if self.uid.as_ref() != Some(&pod::uid(pod)) {
            *self = Self { uid: Some(pod::uid(pod)), ..Self::default() };
        }
        let revision = pod.metadata.resource_version.as_deref().and_then(|text| text.parse().ok()).unwrap_or(0);
        if revision >= self.revision {
            self.revision = revision;
            self.status = pod.status.clone().unwrap_or_default();
        }
    }
}
