//! Stories as the kubelet API tells them: the journals of all Pods of a name, and what of them is alive.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{Entry, PodIdentity, journal};
use crate::context::NodeContext;
use crate::pod::Uid;
pub use crate::under_way::Act;

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
    /// What takes its time right now.
    #[serde(default)]
    pub under_way: Vec<Act>,
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
    /// Whether it does not end on SIGTERM: it ignores that, or is the first of its container and does not listen.
    #[serde(default)]
    pub deaf: bool,
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
        let under_way = context.under_way.of(&Uid::new(&journal.pod.uid));
        let journal::Journal { pod, over, entries } = journal;
        stories.push(PodStory { pod, over, entries, processes, under_way });
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
    let deaf = is_deaf(&String::from_utf8_lossy(&read("status")?));
    Some(PodProcess { pid, container, command, state, deaf })
}

/// Whether a process whose `/proc/PID/status` is this goes on after SIGTERM, as far as the kernel knows. Pure.
fn is_deaf(status: &str) -> bool {
    const SIGTERM: u64 = 1 << 14;
    let field = |name: &str| status.lines().find_map(|line| line.strip_prefix(name)).map(str::trim);
    let has = |set: &str| field(set).and_then(|mask| u64::from_str_radix(mask, 16).ok()).unwrap_or(0) & SIGTERM != 0;
    let pids = field("NSpid:").unwrap_or_default();
    // The kernel keeps signals without a handler from the first process of a namespace.
    let is_first = pids.split_whitespace().count() > 1 && pids.split_whitespace().next_back() == Some("1");
    has("SigIgn:") || is_first && !has("SigCgt:")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_ends_on_sigterm_is_known() {
        let status = |pids: &str, ignored: &str, caught: &str| {
            format!("Name:\tx\nNSpid:\t{pids}\nSigIgn:\t000000000000{ignored}\nSigCgt:\t000000000000{caught}\n")
        };
        for (pids, ignored, caught, deaf) in [
            ("70\t1", "0000", "0000", true),
            ("70\t1", "0000", "4000", false),
            ("70\t1", "4000", "0000", true),
            ("70\t9", "0000", "0000", false),
            ("70\t9", "4000", "0000", true),
            ("1", "0000", "0000", false),
        ] {
            assert_eq!(is_deaf(&status(pids, ignored, caught)), deaf, "{pids} {ignored} {caught}");
        }
        assert!(!is_deaf(""));
    }
}
