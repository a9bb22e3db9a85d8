//! A namespace that is to go takes its content along: Pods first, then the rest, and finally itself.
//!
//! What is left is known from watching all objects, so the pass after the last one is gone follows at once.

mod plan;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use client::{Change, Client, Lister, ObjectKey, is_not_found};
use k8s_openapi::api::core::v1::Namespace;
use kube::Api;
use kube::api::{DeleteParams, ListParams, PostParams};
use platform::clock::SharedClock;
use serde_json::json;

use crate::assembly::{Controllers, Wiring};
use crate::objects::{AnyMetadata, ResourceKind, discover};
use crate::runtime::{Error, Next, Reconcile};
use crate::update::{Part, merge};
use plan::{Content, Progress};

/// The finalizer that is ours to remove.
const FINALIZER: &str = "kubernetes";

/// Keys are names of namespaces.
struct Namespaces {
    client: Client,
    clock: SharedClock,
    namespaces: Lister<Namespace>,
}

/// Whether new content may be put into the namespace.
pub fn is_active(namespace: &Namespace) -> bool {
    namespace.metadata.deletion_timestamp.is_none()
}

/// Starts the controller: it wakes when a namespace changes, and when an object disappears from one that is to go.
pub fn start(controllers: &mut Controllers) {
    let mut wiring = Wiring::new();
    wiring.wakes(&mut controllers.watches.namespaces, |change| {
        change.object().filter(|namespace| !is_active(namespace))?.metadata.name.clone()
    });
    let namespaces = wiring.reads(&controllers.watches.namespaces);
    let (wake, known) = (wiring.queue(), namespaces.clone());
    controllers.objects.subscribe(move |change| {
        let gone = match change {
            Change::Deleted(member) => member,
            // A finalizer was removed, perhaps: the conditions tell of it.
            Change::Updated { new, .. } if new.is_deleting => new,
            _ => return,
        };
        let namespace = &gone.key.namespace;
        if known.get(&ObjectKey::cluster(namespace)).is_some_and(|namespace| !is_active(&namespace)) {
            wake.add(namespace.clone());
        }
    });
    let controller = Namespaces {
        client: controllers.client_of("namespace-controller"),
        clock: controllers.clock.clone(),
        namespaces,
    };
    controllers.add(controller, wiring, 4);
}

impl Reconcile for Namespaces {
    type Key = String;
    const NAME: &'static str = "namespace controller";

    async fn reconcile(&self, name: &String) -> Result<Next, Error> {
        let Some(namespace) = self.namespaces.get(&ObjectKey::cluster(name)) else { return Ok(Next::OnWakeUp) };
        let finalizers = namespace.spec.as_ref().and_then(|spec| spec.finalizers.as_ref());
        if is_active(&namespace) || !finalizers.is_some_and(|all| all.iter().any(|finalizer| finalizer == FINALIZER)) {
            return Ok(Next::OnWakeUp);
        }
        let progress = self.delete_content(name).await?;
        self.write_conditions(&namespace, &progress).await?;
        if progress.is_done() {
            self.finalize(name).await?;
        } else if progress.has_failures() {
            return Ok(Next::After(plan::RETRY_FAILED));
        }
        Ok(Next::OnWakeUp)
    }
}

impl Namespaces {
    /// Deletes what may be deleted now and counts what is left.
    async fn delete_content(&self, namespace: &str) -> Result<Progress, Error> {
        let mut progress = Progress::default();
        let kinds = match discover(&self.client).await {
            Ok(kinds) => kinds,
            Err(error) => {
                progress.discovery_failure = Some(error.to_string());
                return Ok(progress);
            }
        };
        let namespaced = || kinds.iter().filter(|kind| kind.namespaced);
        let (pods, others): (Vec<_>, Vec<_>) =
            namespaced().partition(|kind| kind.api.group.is_empty() && kind.api.plural == "pods");
        for kind in pods {
            self.delete_all(kind, namespace, &mut progress).await;
        }
        // What Pods use while they end must stay until then.
        if !progress.is_clean() {
            return Ok(progress);
        }
        for kind in others {
            self.delete_all(kind, namespace, &mut progress).await;
        }
        self.delete_events(namespace, &mut progress).await;
        Ok(progress)
    }

    async fn delete_all(&self, kind: &ResourceKind, namespace: &str, progress: &mut Progress) {
        match self.try_delete_all(kind, namespace).await {
            Ok(content) if content.count > 0 => progress.remaining.push((kind.group_resource(), content)),
            Ok(_) => {}
            Err(error) if is_not_found(&error) => {}
            Err(error) => progress.failures.push(error.to_string()),
        }
    }

    async fn try_delete_all(&self, kind: &ResourceKind, namespace: &str) -> Result<Content, kube::Error> {
        let api = kind.in_namespace(&self.client, namespace);
        let before = content_of(&api).await?;
        if before.undeleted.is_empty() {
            return Ok(before);
        }
        let background = DeleteParams::background();
        if kind.has_delete_collection {
            api.delete_collection(&background, &ListParams::default()).await?;
        } else {
            for name in &before.undeleted {
                match api.delete(name, &background).await {
                    Err(error) if !is_not_found(&error) => return Err(error),
                    _ => {}
                }
            }
        }
        content_of(&api).await
    }

    /// Events are not among the watched kinds, hold nothing up and are never finalized.
    async fn delete_events(&self, namespace: &str, progress: &mut Progress) {
        let events: Api<k8s_openapi::api::core::v1::Event> = Api::namespaced(self.client.clone(), namespace);
        let deleted = events.delete_collection(&DeleteParams::background(), &ListParams::default()).await;
        if let Err(error) = deleted
            && !is_not_found(&error)
        {
            progress.failures.push(error.to_string());
        }
    }

    async fn write_conditions(&self, namespace: &Namespace, progress: &Progress) -> Result<(), Error> {
        let present = namespace.status.as_ref().and_then(|status| status.conditions.as_deref()).unwrap_or_default();
        let wanted = plan::conditions(progress, present, self.clock.now());
        if wanted == present {
            return Ok(());
        }
        let patch = json!({ "status": { "conditions": wanted } });
        let namespaces: Api<Namespace> = Api::all(self.client.clone());
        let patched = merge(&namespaces, namespace, Part::Status, &patch).await;
        match patched {
            Err(error) if !is_not_found(&error) => Err(Error::during("writing the namespace's conditions")(error)),
            _ => Ok(()),
        }
    }

    /// Removes our finalizer; with the last one the namespace is gone.
    async fn finalize(&self, name: &str) -> Result<(), Error> {
        let namespaces: Api<Namespace> = Api::all(self.client.clone());
        let namespace = namespaces.get(name).await;
        let mut namespace = match namespace {
            Err(error) if is_not_found(&error) => return Ok(()),
            other => other.map_err(Error::during("reading the namespace"))?,
        };
        let finalizers = namespace.spec.get_or_insert_default().finalizers.get_or_insert_default();
        finalizers.retain(|finalizer| finalizer != FINALIZER);
        let finalized = namespaces.replace_subresource("finalize", name, &PostParams::default(), &namespace).await;
        match finalized {
            Err(error) if !is_not_found(&error) => Err(Error::during("finalizing the namespace")(error)),
            _ => Ok(()),
        }
    }
}

async fn content_of(api: &Api<AnyMetadata>) -> Result<Content, kube::Error> {
    let objects = api.list(&ListParams::default()).await?.items;
    let mut finalizers = BTreeMap::new();
    for finalizer in objects.iter().flat_map(|object| object.metadata.finalizers.iter().flatten()) {
        *finalizers.entry(finalizer.clone()).or_default() += 1;
    }
    let undeleted = objects.iter().filter(|object| object.metadata.deletion_timestamp.is_none());
    Ok(Content {
        count: objects.len(),
        undeleted: undeleted.filter_map(|object| object.metadata.name.clone()).collect(),
        finalizers,
    })
}
