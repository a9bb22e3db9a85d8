//! One watch for each object that volumes show.
//!
//! A node may read the objects of its own Pods only, and one by one, so each has a watch of its own, restricted to its
//! name. It begins with the first follower and ends with the last; a ConfigMap is kept a little longer, because Pods
//! that come and go in one namespace all show the same cluster CA. An object that became immutable is followed no
//! further, as nothing can happen to it but its deletion, which upstream ignores too.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use client::{Change, Client, Lister, Reflector};
use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use kube::Api;
use kube::runtime::watcher;
use platform::tasks::{TaskKind, spawn};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::keyed::{Keyed, KeyedKind, KeyedObject};

/// How long a ConfigMap is watched for nobody.
const LINGER: Duration = Duration::from_secs(60);

/// Told whenever an object may be another one than before: its version, if it is there. Must not block.
pub type Tell = Arc<dyn Fn(&KeyedObject, Option<&str>) + Send + Sync>;

/// All watches.
pub struct Watched {
    client: Client,
    entries: Mutex<HashMap<KeyedObject, Arc<Entry>>>,
}

/// One object.
struct Entry {
    copy: Lister<Keyed>,
    followers: watch::Sender<Followers>,
}

#[derive(Default)]
struct Followers {
    tell: Vec<(u64, Tell)>,
    next: u64,
}

/// Keeps an object followed until it is dropped.
pub struct Follow {
    entry: Arc<Entry>,
    number: u64,
}

impl Drop for Follow {
    fn drop(&mut self) {
        self.entry.followers.send_modify(|followers| followers.tell.retain(|(number, _)| *number != self.number));
    }
}

impl Watched {
    /// Nothing is watched.
    pub fn new(client: Client) -> Self {
        Self { client, entries: Mutex::default() }
    }

    /// The present state of an object that is watched: that it is not there is a state, too.
    pub fn get(&self, object: &KeyedObject) -> Option<Option<Arc<Keyed>>> {
        let entry = self.entries().get(object).cloned()?;
        entry.copy.is_synced().then(|| entry.copy.get(&object.key))
    }

    /// Watches an object, and tells about its state now, if it is known, and about every later one.
    pub fn follow(self: &Arc<Self>, object: &KeyedObject, tell: Tell) -> Follow {
        let mut entries = self.entries();
        let entry = match entries.get(object) {
            Some(entry) => Arc::clone(entry),
            None => {
                let entry = self.start(object);
                entries.insert(object.clone(), Arc::clone(&entry));
                entry
            }
        };
        let mut number = 0;
        entry.followers.send_modify(|followers| {
            number = followers.next;
            followers.next += 1;
            followers.tell.push((number, Arc::clone(&tell)));
        });
        drop(entries);
        if entry.copy.is_synced() {
            tell(object, entry.copy.get(&object.key).as_ref().and_then(|keyed| keyed.version.as_deref()));
        }
        Follow { entry, number }
    }

    fn start(self: &Arc<Self>, object: &KeyedObject) -> Arc<Entry> {
        let named = watcher::Config::default().fields(&format!("metadata.name={}", object.key.name));
        let namespace = &object.key.namespace;
        match object.kind {
            KeyedKind::ConfigMap => {
                let api: Api<ConfigMap> = Api::namespaced(self.client.clone(), namespace);
                self.run(object, Reflector::projecting(api, Keyed::from).with_config(named))
            }
            KeyedKind::Secret => {
                let api: Api<Secret> = Api::namespaced(self.client.clone(), namespace);
                self.run(object, Reflector::projecting(api, Keyed::from).with_config(named))
            }
        }
    }

    fn run<K: client::reflector::Reflected>(
        self: &Arc<Self>,
        object: &KeyedObject,
        mut reflector: Reflector<K, Keyed>,
    ) -> Arc<Entry> {
        let entry = Arc::new(Entry { copy: reflector.lister(), followers: watch::Sender::default() });
        let immutable = CancellationToken::new();
        reflector.subscribe(teller(object.clone(), Arc::downgrade(&entry), immutable.clone()));
        let (watched, object, kept) = (Arc::downgrade(self), object.clone(), Arc::clone(&entry));
        spawn(TaskKind::Worker, "object watch", async move {
            let follow = async {
                reflector.run(immutable).await;
                std::future::pending::<()>().await;
            };
            tokio::select! {
                () = follow => {}
                () = unused(watched, object, kept) => {}
            }
        });
        entry
    }

    fn entries(&self) -> MutexGuard<'_, HashMap<KeyedObject, Arc<Entry>>> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Passes on what a watch says about its object.
fn teller(
    object: KeyedObject,
    entry: Weak<Entry>,
    immutable: CancellationToken,
) -> impl FnMut(&Change<Keyed>) + Send + 'static {
    move |_| {
        let Some(entry) = entry.upgrade() else { return };
        if !entry.copy.is_synced() {
            return;
        }
        let state = entry.copy.get(&object.key);
        if state.as_ref().is_some_and(|keyed| keyed.immutable) {
            immutable.cancel();
        }
        let followers: Vec<Tell> = entry.followers.borrow().tell.iter().map(|(_, tell)| Arc::clone(tell)).collect();
        for tell in followers {
            tell(&object, state.as_ref().and_then(|keyed| keyed.version.as_deref()));
        }
    }
}

/// Resolves when nobody follows the object any more and it has been forgotten.
async fn unused(watched: Weak<Watched>, object: KeyedObject, entry: Arc<Entry>) {
    let linger = match object.kind {
        KeyedKind::ConfigMap => LINGER,
        // What is secret does not stay in memory for nobody.
        KeyedKind::Secret => Duration::ZERO,
    };
    let mut followers = entry.followers.subscribe();
    loop {
        // The sender lives in the entry, which is held here.
        let _ = followers.wait_for(|followers| followers.tell.is_empty() && followers.next > 0).await;
        let _ = tokio::time::timeout(linger, followers.wait_for(|followers| !followers.tell.is_empty())).await;
        let Some(watched) = watched.upgrade() else { return };
        let mut entries = watched.entries();
        if entry.followers.borrow().tell.is_empty() {
            entries.remove(&object);
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use testkit::fake_api::FakeApi;

    use super::*;

    fn object(kind: KeyedKind) -> KeyedObject {
        KeyedObject { kind, key: client::ObjectKey::new("default", "x") }
    }

    /// Follows an object; what was told comes out of the channel.
    fn follow(watched: &Arc<Watched>, kind: KeyedKind) -> (Follow, watch::Receiver<Option<Option<String>>>) {
        let (sender, receiver) = watch::channel(None);
        let tell = move |_: &KeyedObject, version: Option<&str>| {
            sender.send_replace(Some(version.map(str::to_owned)));
        };
        (watched.follow(&object(kind), Arc::new(tell)), receiver)
    }

    fn put(api: &FakeApi, kind: &str, immutable: bool) {
        let metadata = json!({ "name": "x", "namespace": "default" });
        api.put(json!({ "apiVersion": "v1", "kind": kind, "metadata": metadata, "immutable": immutable }));
    }

    #[tokio::test]
    async fn followers_hear_of_absence_appearance_and_end() {
        let api = FakeApi::new();
        let watched = Arc::new(Watched::new(api.client()));
        let (kept, mut told) = follow(&watched, KeyedKind::Secret);
        told.wait_for(|told| *told == Some(None)).await.unwrap();
        put(&api, "Secret", false);
        told.wait_for(|told| matches!(told, Some(Some(_)))).await.unwrap();
        assert!(matches!(watched.get(&object(KeyedKind::Secret)), Some(Some(_))));
        api.delete("/api/v1/namespaces/default/secrets/x");
        told.wait_for(|told| *told == Some(None)).await.unwrap();
        let (second, mut second_told) = follow(&watched, KeyedKind::Secret);
        assert_eq!(*second_told.borrow_and_update(), Some(None), "what is known is told at once");
        drop((kept, second));
        while watched.get(&object(KeyedKind::Secret)).is_some() {
            tokio::task::yield_now().await;
        }
    }

    #[tokio::test(start_paused = true)]
    async fn config_maps_stay_a_while() {
        let api = FakeApi::new();
        let watched = Arc::new(Watched::new(api.client()));
        let (kept, mut told) = follow(&watched, KeyedKind::ConfigMap);
        told.wait_for(Option::is_some).await.unwrap();
        drop(kept);
        tokio::time::sleep(LINGER / 2).await;
        let (kept, _) = follow(&watched, KeyedKind::ConfigMap);
        tokio::time::sleep(LINGER * 2).await;
        assert!(watched.get(&object(KeyedKind::ConfigMap)).is_some());
        drop(kept);
        tokio::time::sleep(LINGER * 2).await;
        assert!(watched.get(&object(KeyedKind::ConfigMap)).is_none());
    }

    #[tokio::test]
    async fn what_is_immutable_is_watched_no_more() {
        let api = FakeApi::new();
        put(&api, "ConfigMap", true);
        let watched = Arc::new(Watched::new(api.client()));
        let (_kept, mut told) = follow(&watched, KeyedKind::ConfigMap);
        told.wait_for(|told| matches!(told, Some(Some(_)))).await.unwrap();
        tokio::time::sleep(Duration::from_millis(20)).await;
        api.delete("/api/v1/namespaces/default/configmaps/x");
        tokio::time::sleep(Duration::from_millis(50)).await;
        assert!(matches!(watched.get(&object(KeyedKind::ConfigMap)), Some(Some(_))));
    }
}
