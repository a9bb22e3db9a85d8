//! The metadata of every object of every resource: who owns what, and what is left in a namespace.
//!
//! Only metadata is asked for, and of it only what matters is kept. Events are left out: they come in masses, own
//! nothing and are owned by nobody.

use std::sync::Arc;
use std::time::Duration;

use client::{Change, Client, ObjectKey, Reflector};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use kube::Api;
use kube::core::DynamicObject;
use kube::core::PartialObjectMeta;
use kube::discovery::{ApiResource, Discovery, Scope, verbs};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tracing::warn;

/// An object whose fields nobody looks at.
pub type AnyMetadata = PartialObjectMeta<DynamicObject>;

/// A kind of objects that the server keeps.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResourceKind {
    /// How to address it.
    pub api: ApiResource,
    /// Whether its objects live in namespaces.
    pub namespaced: bool,
    /// Whether all objects of a namespace can be deleted in one request.
    pub has_delete_collection: bool,
}

impl ResourceKind {
    /// Its objects in one namespace, or all cluster-scoped ones.
    pub fn in_namespace(&self, client: &Client, namespace: &str) -> Api<AnyMetadata> {
        if self.namespaced {
            Api::namespaced_with(client.clone(), namespace, &self.api)
        } else {
            Api::all_with(client.clone(), &self.api)
        }
    }

    /// As messages name it: `pods.` or `deployments.apps`.
    pub fn group_resource(&self) -> String {
        format!("{}.{}", self.api.plural, self.api.group)
    }
}

/// An object, as far as ownership goes.
#[derive(Debug, Clone, PartialEq)]
pub struct Member {
    /// Its kind.
    pub kind: Arc<ResourceKind>,
    /// Its uid.
    pub uid: Arc<str>,
    /// Namespace and name.
    pub key: ObjectKey,
    /// Its owners.
    pub owners: Vec<OwnerReference>,
    /// Whether it is being deleted.
    pub is_deleting: bool,
    /// What must happen before it can go.
    pub finalizers: Vec<String>,
}

impl Member {
    fn of(kind: &Arc<ResourceKind>, object: AnyMetadata) -> Self {
        let key = ObjectKey::of(&object);
        let metadata = object.metadata;
        Self {
            kind: Arc::clone(kind),
            uid: Arc::from(metadata.uid.unwrap_or_default()),
            key,
            owners: metadata.owner_references.unwrap_or_default(),
            is_deleting: metadata.deletion_timestamp.is_some(),
            finalizers: metadata.finalizers.unwrap_or_default(),
        }
    }
}

type Handler = Arc<dyn Fn(&Change<Member>) + Send + Sync>;

/// All kinds and all objects. Controllers subscribe before [`Objects::run`].
pub struct Objects {
    client: Client,
    handlers: Vec<Handler>,
    kinds: watch::Sender<Option<Arc<Vec<Arc<ResourceKind>>>>>,
    synced: Arc<watch::Sender<bool>>,
}

/// The kinds the server keeps, once they are known.
#[derive(Clone)]
pub struct Kinds {
    receiver: watch::Receiver<Option<Arc<Vec<Arc<ResourceKind>>>>>,
}

impl Kinds {
    /// All kinds; none before the first discovery.
    pub fn all(&self) -> Arc<Vec<Arc<ResourceKind>>> {
        self.receiver.borrow().clone().unwrap_or_default()
    }

    /// The kind an owner reference means.
    pub fn named(&self, api_version: &str, kind: &str) -> Option<Arc<ResourceKind>> {
        // Any version of a group leads to the same objects.
        let group = api_version.split_once('/').map_or("", |(group, _)| group);
        self.all().iter().find(|known| known.api.group == group && known.api.kind == kind).cloned()
    }
}

impl Objects {
    /// Nothing is watched yet.
    pub fn new(client: Client) -> Self {
        let synced = Arc::new(watch::Sender::new(false));
        Self { client, handlers: Vec::new(), kinds: watch::Sender::new(None), synced }
    }

    /// The kinds, filled while running.
    pub fn kinds(&self) -> Kinds {
        Kinds { receiver: self.kinds.subscribe() }
    }

    /// Calls `handler` for every change of every object. It must not block; several reflectors call it at once.
    pub fn subscribe(&mut self, handler: impl Fn(&Change<Member>) + Send + Sync + 'static) {
        self.handlers.push(Arc::new(handler));
    }

    /// Resolves when every resource has been listed once.
    pub fn synced(&self) -> impl Future<Output = ()> + Send + 'static {
        let mut receiver = self.synced.subscribe();
        async move {
            // A closed channel means that nothing runs any more.
            let _ = receiver.wait_for(|synced| *synced).await;
        }
    }

    /// Discovers the resources and watches them until cancelled.
    pub async fn run(self, cancel: &CancellationToken) {
        let kinds = tokio::select! {
            () = cancel.cancelled() => return,
            kinds = discover_patiently(&self.client) => kinds,
        };
        let reflectors: Vec<_> = kinds.iter().map(|kind| self.reflector(kind)).collect();
        let listers: Vec<_> = reflectors.iter().map(Reflector::lister).collect();
        self.kinds.send_replace(Some(Arc::new(kinds)));
        let all_synced = async {
            for lister in &listers {
                lister.synced().await;
            }
            self.synced.send_replace(true);
        };
        let watches = reflectors.into_iter().map(|reflector| reflector.run(cancel.clone()));
        futures::future::join(futures::future::join_all(watches), async {
            tokio::select! {
                () = cancel.cancelled() => {}
                () = all_synced => {}
            }
        })
        .await;
    }

    fn reflector(&self, kind: &Arc<ResourceKind>) -> Reflector<AnyMetadata, Member> {
        let api: Api<AnyMetadata> = Api::all_with(self.client.clone(), &kind.api);
        let (kind, handlers) = (Arc::clone(kind), self.handlers.clone());
        Reflector::projecting(api, move |object| Member::of(&kind, object))
            .on_change(move |change| handlers.iter().for_each(|handler| handler(change)))
    }
}

/// Every resource whose objects can be listed, watched and deleted.
///
/// # Errors
/// When discovery fails.
pub async fn discover(client: &Client) -> Result<Vec<Arc<ResourceKind>>, kube::Error> {
    let discovery = Discovery::new(client.clone()).run().await?;
    let resources = discovery.groups().flat_map(kube::discovery::ApiGroup::recommended_resources);
    let usable = resources.filter(|(api, capabilities)| {
        api.kind != "Event"
            && [verbs::LIST, verbs::WATCH, verbs::DELETE].iter().all(|verb| capabilities.supports_operation(verb))
    });
    let kinds = usable.map(|(api, capabilities)| {
        Arc::new(ResourceKind {
            api,
            namespaced: capabilities.scope == Scope::Namespaced,
            has_delete_collection: capabilities.supports_operation(verbs::DELETE_COLLECTION),
        })
    });
    Ok(kinds.collect())
}

async fn discover_patiently(client: &Client) -> Vec<Arc<ResourceKind>> {
    const RETRY_MAX: Duration = Duration::from_secs(10);
    let mut delay = Duration::from_millis(20);
    loop {
        match discover(client).await {
            Ok(kinds) => return kinds,
            Err(error) => warn!(%error, "discovery failed"),
        }
        tokio::time::sleep(delay).await;
        delay = (delay * 2).min(RETRY_MAX);
    }
}
