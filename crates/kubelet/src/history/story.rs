//! Stories as the kubelet API tells them: the journals of all Pods of a name, and what of them is alive.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{Entry, PodIdentity, journal};
use crate::context::NodeContext;
use crate::pod::Uid;

/// What one or several nodes know of the Pods of one name.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stories {
    /// One for each Pod that had the name, the latest first.
    pub stories: Vec<PodStory>,
}

/// One Pod's story on this node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PodStory {
    /// Whose it is.
    #[serde(flatten)]
    pub pod: PodIdentity,
    /// Whether the Pod is gone.
    pub over: bool,
    /// What happened, in order.
    pub entries: Vec<Entry>,
    /// What runs in it now.
    pub processes: Vec<PodProcess>,
}

/// A process in a Pod's cgroup.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PodProcess {
    /// Its id on the host.
    pub pid: i32,
    /// The container it is in; nothing for the sandbox.
    pub container: Option<String>,
    /// Its command line.
    pub command: String,
    /// Its state as `/proc` has it: `S` sleeps, `D` waits for a device and cannot be killed, `Z` is over.
    pub state: String,
}

/// Tells the stories of a name, or of one UID of it.
pub(crate) async fn tell(context: &NodeContext, namespace: &str, name: &str, uid: Option<&str>) -> Stories {
    context.history.flush().await;
    let directory = context.history.directory().to_owned();
    let (namespace, name, uid) = (namespace.to_owned(), name.to_owned(), uid.map(str::to_owned));
    let wanted = move |pod: &PodIdentity| {
        pod.namespace == namespace && pod.name == name && uid.as_ref().is_none_or(|uid| pod.uid == *uid)
    };
    let journals = tokio::task::spawn_blocking(move || journal::read(&directory, wanted)).await.unwrap_or_default();
    let mut stories = Vec::new();
    for journal in journals {
        let processes = if journal.over { Vec::new() } else { processes(context, &journal.pod.uid).await };
        stories.push(PodStory { pod: journal.pod, over: journal.over, entries: journal.entries, processes });
    }
    let began = |story: &PodStory| story.entries.first().map_or(Timestamp::UNIX_EPOCH, |entry| entry.at);
    stories.sort_by_key(|story| std::cmp::Reverse(began(story)));
    Stories { stories }
}

async fn processes(context: &NodeContext, uid: &str) -> Vec<PodProcess> {
    let names = match crate::observed::observe_pod(&*context.runtime, &Uid::new(uid)).await {
        Ok(observed) => observed.containers.into_iter().map(|one| (one.id, one.name)).collect(),
        // Without their names the processes are still worth knowing.
        Err(_) => std::collections::HashMap::new(),
    };
    let mut found = Vec::new();
    for level in ["", "burstable/", "besteffort/"] {
        let cgroup = format!("{}/{level}pod{uid}", context.kubepods());
        for container in context.host.child_cgroups(&cgroup) {
            for pid in context.host.processes_in(&format!("{cgroup}/{container}")) {
                found.extend(process(pid, names.get(&container).cloned()));
            }
        }
    }
    found
}

/// Nothing for a process that has just ended.
fn process(pid: i32, container: Option<String>) -> Option<PodProcess> {
    let read = |file: &str| std::fs::read(format!("/proc/{pid}/{file}")).ok();
    let command = String::from_utf8_lossy(&read("cmdline")?).replace('\0', " ").trim().to_owned();
    let stat = String::from_utf8_lossy(&read("stat")?).into_owned();
    // The name before it is in parentheses and may hold anything.
    let state = stat.rsplit_once(')')?.1.split_whitespace().next()?.to_owned();
    Some(PodProcess { pid, container, command, state })
}
