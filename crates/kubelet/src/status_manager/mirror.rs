//! Mirror Pods: what the API shows of the static Pods of this node. The kubelet makes them, writes their status, and
//! brings back those that others delete; nothing that happens to them touches what runs.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use api::core::v1::pod::{HASH_ANNOTATION, MIRROR_ANNOTATION};
use k8s_openapi::api::core::v1::{Node, Pod};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference};
use kube::Client;
use kube::api::{Api, PostParams};
use platform::tasks::{TaskKind, spawn};
use tokio::sync::watch;
use tracing::{info, warn};

use super::{RETRY_FIRST, RETRY_MAX, delete_at_once};
use crate::pod::{self, Uid};

/// How long a mirror that somebody deletes is away. `kubectl delete` looks, lists and watches to see it go; were another
/// one there between two of these, it would wait for the end of that one.
const ABSENCE: Duration = Duration::from_millis(500);

/// Namespace and name.
type Key = (String, String);

/// The mirror Pods that the API has.
#[derive(Default)]
pub struct Mirrors {
    known: watch::Sender<Known>,
    /// Those that are being removed because they mirror nothing.
    removing: Mutex<HashSet<Uid>>,
}

#[derive(Debug, Default)]
struct Known {
    /// Whether the API has ever said which there are.
    listed: bool,
    pods: HashMap<Key, Arc<Pod>>,
}

impl Mirrors {
    /// The API has these and no others.
    pub fn replace(&self, pods: impl Iterator<Item = Arc<Pod>>) {
        let pods = pods.map(|pod| (key(&pod), pod)).collect();
        self.known.send_replace(Known { listed: true, pods });
    }

    /// The API has this one; older news than what is known is none.
    pub fn set(&self, pod: &Arc<Pod>) {
        self.known.send_if_modified(|known| {
            let news = known.pods.get(&key(pod)).is_none_or(|old| revision(pod) > revision(old));
            if news {
                known.pods.insert(key(pod), Arc::clone(pod));
            }
            news
        });
    }

    /// The API does not have this one any more.
    pub fn remove(&self, pod: &Pod) {
        self.known.send_if_modified(|known| {
            let is_it = known.pods.get(&key(pod)).is_some_and(|known| pod::uid(known) == pod::uid(pod));
            is_it && known.pods.remove(&key(pod)).is_some()
        });
    }

    /// Deletes the mirrors of Pods for which `keep` does not hold, however long the API takes to hear of it.
    pub fn remove_others(self: &Arc<Self>, client: &Client, keep: impl Fn(&Pod) -> bool) {
        let orphans: Vec<Arc<Pod>> = self.known.borrow().pods.values().filter(|pod| !keep(pod)).cloned().collect();
        for orphan in orphans {
            if self.removing.lock().unwrap_or_else(PoisonError::into_inner).insert(pod::uid(&orphan)) {
                spawn(TaskKind::Worker, "orphaned mirror", Arc::clone(self).remove_orphan(client.clone(), orphan));
            }
        }
    }

    async fn remove_orphan(self: Arc<Self>, client: Client, orphan: Arc<Pod>) {
        info!(pod = pod::full_name(&orphan), "deleting a mirror Pod that mirrors nothing");
        let mut retry = RETRY_FIRST;
        while let Err(error) = delete_at_once(&client, &orphan).await {
            warn!(pod = pod::full_name(&orphan), %error, "orphaned mirror Pod not deleted, will try again");
            tokio::time::sleep(retry).await;
            retry = (retry * 2).min(RETRY_MAX);
        }
        self.remove(&orphan);
        self.removing.lock().unwrap_or_else(PoisonError::into_inner).remove(&pod::uid(&orphan));
    }
}

/// Keeps one static Pod's mirror.
pub struct MirrorKeeper {
    client: Client,
    mirrors: Arc<Mirrors>,
    known: watch::Receiver<Known>,
    node: watch::Receiver<Arc<Node>>,
}

impl MirrorKeeper {
    /// For any one of the node's static Pods.
    pub fn new(client: Client, mirrors: Arc<Mirrors>, node: watch::Receiver<Arc<Node>>) -> Self {
        let known = mirrors.known.subscribe();
        Self { client, mirrors, known, node }
    }

    /// Returns when mirrors or the Node changed since the last call.
    pub async fn changed(&mut self) {
        let (known, node) = (&mut self.known, &mut self.node);
        // An error means that the node's parts are ending.
        tokio::select! {
            Ok(()) = known.changed() => {}
            Ok(()) = node.changed() => {}
            else => std::future::pending().await,
        }
    }

    /// The mirror of this very manifest, if the API has one.
    pub(super) fn find(&mut self, pod: &Pod) -> Option<Arc<Pod>> {
        let known = self.known.borrow_and_update();
        known.pods.get(&key(pod)).filter(|mirror| mirrors(mirror, pod)).cloned()
    }

    /// The Pod's mirror, made if there is none; one of an earlier manifest, or that is being deleted, is replaced.
    /// Nothing before the API has said which there are and who owns them.
    ///
    /// # Errors
    /// The API's.
    pub(super) async fn ensure(&mut self, pod: &Pod) -> Result<Option<Arc<Pod>>, kube::Error> {
        let owner = owner(&self.node.borrow_and_update());
        let (listed, present) = {
            let known = self.known.borrow_and_update();
            (known.listed, known.pods.get(&key(pod)).cloned())
        };
        let (Some(owner), true) = (owner, listed) else { return Ok(None) };
        if let Some(mirror) = present {
            if mirrors(&mirror, pod) && mirror.metadata.deletion_timestamp.is_none() {
                return Ok(Some(mirror));
            }
            delete_at_once(&self.client, &mirror).await?;
            self.mirrors.remove(&mirror);
            tokio::time::sleep(ABSENCE).await;
        }
        let pods: Api<Pod> = Api::namespaced(self.client.clone(), pod::namespace(pod));
        let created = Arc::new(pods.create(&PostParams::default(), &mirror_of(pod, owner)).await?);
        self.mirrors.set(&created);
        Ok(Some(created))
    }

    /// The API said that this mirror is gone, before the watch did.
    pub(super) fn lost(&self, mirror: &Pod) {
        self.mirrors.remove(mirror);
    }
}

fn key(pod: &Pod) -> Key {
    (pod::namespace(pod).to_owned(), pod::name(pod).to_owned())
}

fn revision(pod: &Pod) -> u64 {
    pod.metadata.resource_version.as_deref().and_then(|text| text.parse().ok()).unwrap_or(0)
}

/// Whether a mirror is of this very manifest.
fn mirrors(mirror: &Pod, pod: &Pod) -> bool {
    pod::annotation(mirror, MIRROR_ANNOTATION) == pod::annotation(pod, HASH_ANNOTATION)
}

/// The Node as owner of its mirrors; none before the API knows it.
fn owner(node: &Node) -> Option<OwnerReference> {
    Some(OwnerReference {
        api_version: "v1".to_owned(),
        kind: "Node".to_owned(),
        name: node.metadata.name.clone()?,
        uid: node.metadata.uid.clone().filter(|uid| !uid.is_empty())?,
        controller: Some(true),
        block_owner_deletion: None,
    })
}

fn mirror_of(pod: &Pod, owner: OwnerReference) -> Pod {
    let mut annotations = pod.metadata.annotations.clone().unwrap_or_default();
    let hash = annotations.get(HASH_ANNOTATION).cloned().unwrap_or_default();
    annotations.insert(MIRROR_ANNOTATION.to_owned(), hash);
    let metadata = ObjectMeta {
        annotations: Some(annotations),
        owner_references: Some(vec![owner]),
        uid: None,
        deletion_timestamp: None,
        deletion_grace_period_seconds: None,
        ..pod.metadata.clone()
    };
    Pod { metadata, spec: pod.spec.clone(), status: None }
}
