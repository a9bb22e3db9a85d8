//! What befell the Pods of this node, as data, past their deletion and past this process.
//!
//! Flow: Events, published statuses and the steps of a Pod's end are recorded as [`Transition`]s. Recording never waits:
//! a queue takes the entry, and one task ([`journal`]) appends what came within a moment to the Pod's file. A node on
//! which nothing happens writes nothing. `isopod story` and `isopod why` read it through the kubelet API ([`story`]).
//!
//! What is kept is bounded per Pod and in all; Pods that are gone make room first. A kill of the process loses the last
//! moment, never what was written; lines that cannot be read are left out.

mod journal;
mod status;
mod story;
#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Pod, PodStatus};
use platform::clock::SharedClock;
use platform::tasks::{TaskKind, spawn};
use serde::{Deserialize, Serialize};
use tokio::sync::{mpsc, oneshot};
use tracing::warn;

use crate::pod;

pub(crate) use story::tell;
pub use story::{Act, PodProcess, PodStory, Stories};

/// Entries that may wait for the disk; more than that are lost, with a word in the log.
const BACKLOG: usize = 4096;

/// The Pod an entry is about.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PodIdentity {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// Its UID.
    pub uid: String,
    /// When its object was made.
    pub created_at: Option<Timestamp>,
}

/// Something that happened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// When.
    pub at: Timestamp,
    /// What.
    #[serde(flatten)]
    pub what: Transition,
}

/// What can happen to a Pod on its node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "what", rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum Transition {
    /// The kubelet looks after the Pod from now on, for the first time or after it was started again.
    Adopted {
        /// The spec it starts from.
        generation: i64,
    },
    /// The spec changed.
    Spec {
        /// The new spec.
        generation: i64,
    },
    /// What an Event says, whose object in the API is forgotten after a while.
    Event {
        /// Whether it tells of something amiss.
        warning: bool,
        /// Its reason.
        reason: String,
        /// Its message.
        message: String,
        /// The container it is about, if it is about one.
        container: Option<String>,
        /// How often it has come up so far; the repeats in between are not kept.
        count: u64,
    },
    /// The phase changed.
    Phase {
        /// The new one.
        phase: String,
        /// Why, if the status says.
        reason: Option<String>,
        /// In words.
        message: Option<String>,
    },
    /// A condition became true or false.
    Condition {
        /// Which.
        kind: String,
        /// What it is now.
        status: String,
        /// Why.
        reason: Option<String>,
        /// In words.
        message: Option<String>,
    },
    /// A container waits for something other than its turn.
    Waiting {
        /// Its name.
        container: String,
        /// For what.
        reason: String,
        /// In words.
        message: Option<String>,
    },
    /// A container runs.
    Running {
        /// Its name.
        container: String,
        /// How often it was started again.
        restarts: i32,
    },
    /// A container became ready, or is so no more.
    Ready {
        /// Its name.
        container: String,
        /// What it is now.
        ready: bool,
    },
    /// A container ended.
    Exited {
        /// Its name.
        container: String,
        /// Its exit code.
        code: i32,
        /// In a word.
        reason: String,
        /// Its last words, if it left any.
        message: Option<String>,
        /// How long it ran.
        ran_ms: Option<i64>,
    },
    /// A sandbox was made.
    Sandbox {
        /// How many there were before.
        attempt: u32,
        /// Why.
        reason: String,
        /// How long it took.
        took_ms: i64,
    },
    /// All volumes are there.
    Volumes {
        /// How long it took.
        took_ms: i64,
    },
    /// The Pod's end begins.
    Ending {
        /// Why.
        cause: String,
        /// How long its containers have.
        grace_seconds: i64,
    },
    /// Nothing of it runs any more.
    Stopped,
    /// Its volumes and cgroups are gone.
    Released,
    /// Its object is gone; nothing comes after this.
    Removed,
    /// The end of a container's log.
    LastLines {
        /// Its name.
        container: String,
        /// What it said.
        text: String,
    },
    /// Entries that had to make room.
    Skipped {
        /// How many.
        entries: usize,
    },
}

/// Where transitions are recorded. Clones record in the same place.
#[derive(Clone)]
pub struct History {
    jobs: mpsc::Sender<Job>,
    clock: SharedClock,
    directory: PathBuf,
}

enum Job {
    Record(Box<(PodIdentity, Entry)>),
    Flush(oneshot::Sender<()>),
}

impl History {
    /// Keeps journals in `directory`, which is made when there is something to write.
    pub fn start(directory: PathBuf, clock: SharedClock) -> Self {
        let (jobs, queue) = mpsc::channel(BACKLOG);
        spawn(TaskKind::Worker, "pod history", journal::run(directory.clone(), queue));
        Self { jobs, clock, directory }
    }

    /// Records what happened just now.
    pub fn record(&self, pod: &Pod, what: Transition) {
        let entry = Entry { at: self.clock.now(), what };
        if let Err(mpsc::error::TrySendError::Full(_)) =
            self.jobs.try_send(Job::Record(Box::new((identity(pod), entry))))
        {
            warn!(pod = pod::full_name(pod), "the disk is too slow for the history of Pods, an entry is lost");
        }
    }

    /// Records what a new status says that the old one did not.
    pub fn record_status(&self, pod: &Pod, old: Option<&PodStatus>, new: &PodStatus) {
        let old = old.or(pod.status.as_ref());
        status::transitions(old, new).into_iter().for_each(|what| self.record(pod, what));
    }

    /// Returns once everything recorded so far is in the files.
    pub async fn flush(&self) {
        let (sender, done) = oneshot::channel();
        // Either fails only when the task is gone, and then nothing is left to wait for.
        if self.jobs.send(Job::Flush(sender)).await.is_ok() {
            let _ = done.await;
        }
    }

    pub(crate) fn directory(&self) -> &Path {
        &self.directory
    }
}

fn identity(pod: &Pod) -> PodIdentity {
    PodIdentity {
        namespace: pod::namespace(pod).to_owned(),
        name: pod::name(pod).to_owned(),
        uid: pod::uid(pod).to_string(),
        created_at: pod.metadata.creation_timestamp.as_ref().map(|time| time.0),
    }
}

/// Whole milliseconds.
pub(crate) fn milliseconds(elapsed: std::time::Duration) -> i64 {
    i64::try_from(elapsed.as_millis()).unwrap_or(i64::MAX)
}
