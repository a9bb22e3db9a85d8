//! Pulling an image: resolve the name, download and unpack its layers in parallel, record it.
//!
//! Layers are unpacked while they arrive; nothing is stored compressed. A broken download continues where it broke. A
//! layer that two images share is fetched once, and callers that want the same image with the same credentials share
//! one pull, which ends early when all of them are gone.

mod layer;
mod progress;

#[cfg(test)]
mod tests;

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use futures::future::{BoxFuture, FutureExt, Shared, WeakShared};
use futures::{StreamExt, TryStreamExt};
use tracing::{debug, warn};

use super::blocking::blocking;
use super::digest::Digest;
use super::error::{ImageError, PullError, RegistryError, StoreError};
use super::index::ImageRecord;
use super::manifest::{ConfigBlob, Descriptor, Document, Manifest, ManifestError, select_platform};
use super::reference::{ImageReference, Version};
use super::registries::{Credentials, Registries, Source, same_registry};
use super::registry::{Clients, Registry};
use super::store::{ImageFiles, InUse};
use progress::Progress;

/// Layers of one image in flight at a time; as many as other runtimes take.
const LAYERS_AT_ONCE: usize = 3;

/// Credentials that came with a request, as from an image pull secret.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct RequestCredentials {
    /// The registry they are for; `None` for whichever is asked.
    pub registry: Option<String>,
    /// Who to be.
    pub credentials: Credentials,
}

type Outcome = Result<Digest, Arc<ImageError>>;
type Key = (ImageReference, Option<RequestCredentials>);

/// Pulls images into one store.
pub struct Puller {
    files: Arc<ImageFiles>,
    registries: Registries,
    clients: Arc<Clients>,
    running: Mutex<HashMap<Key, WeakShared<BoxFuture<'static, Outcome>>>>,
    layers: Mutex<HashMap<Digest, Weak<tokio::sync::Mutex<()>>>>,
}

/// What a name was resolved to.
struct Resolved {
    registry: Registry,
    manifest: Manifest,
    /// Digest of what the name led to: the index where there is one.
    digest: Digest,
}

impl Puller {
    /// A puller that stores into `files`.
    pub fn new(files: Arc<ImageFiles>, registries: Registries) -> Arc<Self> {
        Arc::new(Self {
            files,
            registries,
            clients: Arc::default(),
            running: Mutex::default(),
            layers: Mutex::default(),
        })
    }

    /// Pulls an image, or joins a pull of it that is under way; returns its id.
    ///
    /// # Errors
    /// [`ImageError::Pull`]; names and layers that are here already stay as they were.
    pub async fn pull(self: &Arc<Self>, image: ImageReference, credentials: Option<RequestCredentials>) -> Outcome {
        self.join_or_start((image, credentials)).await
    }

    fn join_or_start(self: &Arc<Self>, key: Key) -> Shared<BoxFuture<'static, Outcome>> {
        let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        let under_way = running.get(&key).and_then(WeakShared::upgrade).filter(|pull| pull.peek().is_none());
        if let Some(pull) = under_way {
            return pull;
        }
        running.retain(|_, pull| pull.upgrade().is_some_and(|pull| pull.peek().is_none()));
        let (puller, (image, credentials)) = (self.clone(), key.clone());
        let pull = async move {
            let outcome = puller.pull_once(&image, credentials.as_ref()).await;
            outcome.map_err(|source| {
                let error = ImageError::Pull { image: image.to_string(), source };
                warn!(image = %image, error = error.explain(), "pull failed");
                Arc::new(error)
            })
        };
        let pull = pull.boxed().shared();
        if let Some(weak) = pull.downgrade() {
            running.insert(key, weak);
        }
        pull
    }

    async fn pull_once(
        &self,
        image: &ImageReference,
        credentials: Option<&RequestCredentials>,
    ) -> Result<Digest, PullError> {
        let in_use = Arc::new(self.enter().await?);
        let resolved = self.resolve(image, credentials).await?;
        if let Some(here) = self.already_here(image, &resolved)? {
            debug!(image = %image, id = %here, "image is up to date");
            return Ok(here);
        }
        let config = resolved
            .registry
            .small_blob(&resolved.manifest.config)
            .await
            .map_err(|source| PullError::Fetch { digest: resolved.manifest.config.digest.clone(), source })?;
        let config = ConfigBlob::parse(&config)?;
        let layers = pair_layers(&config, &resolved.manifest)?;
        let progress = Progress::start(image.to_string(), layers.iter().map(|(blob, _)| blob.size).sum(), layers.len());
        let fetches = futures::stream::iter(layers)
            .map(|(blob, diff_id)| self.fetch_layer(&resolved.registry, blob, diff_id, &in_use, &progress))
            .buffer_unordered(LAYERS_AT_ONCE)
            .try_collect::<()>();
        progress.report_while(fetches).await?;
        let id = self.record(image, &resolved, config).await?;
        progress.finish(&id);
        drop(in_use);
        self.settle();
        Ok(id)
    }

    /// Waits for a running collection of garbage, and keeps the next one away.
    async fn enter(&self) -> Result<InUse, StoreError> {
        let files = self.files.clone();
        blocking(move || files.enter()).await
    }

    /// Asks the sources in turn. When all fail, the error of the one that got furthest is the most telling.
    async fn resolve(
        &self,
        image: &ImageReference,
        credentials: Option<&RequestCredentials>,
    ) -> Result<Resolved, PullError> {
        let mut worst: Option<PullError> = None;
        for source in self.registries.sources(image) {
            match self.resolve_at(&source, image, credentials).await {
                Ok(resolved) => return Ok(resolved),
                Err(error) => {
                    debug!(image = %image, endpoint = %source.endpoint, %error, "endpoint did not resolve the image");
                    if worst.as_ref().is_none_or(|worst| rank(&error) > rank(worst)) {
                        worst = Some(error);
                    }
                }
            }
        }
        Err(worst.expect("there is at least one source"))
    }

    /// Asks one source for the image's manifest.
    async fn resolve_at(
        &self,
        source: &Source,
        image: &ImageReference,
        credentials: Option<&RequestCredentials>,
    ) -> Result<Resolved, PullError> {
        let failed = |source| PullError::Resolve { image: image.to_string(), source };
        let requested = credentials.filter(|requested| {
            requested.registry.as_deref().is_none_or(|registry| same_registry(registry, &source.endpoint.host))
        });
        let credentials = requested.map(|requested| &requested.credentials).or(source.credentials.as_ref());
        let registry = Registry::new(&self.clients, source, image, credentials).map_err(failed)?;
        let (bytes, digest) = registry.document(image.version()).await.map_err(failed)?;
        let manifest = match Document::parse(&bytes)? {
            Document::Manifest(manifest) => manifest,
            Document::Index(entries) => {
                let entry = select_platform(&entries)?;
                let (bytes, _) = registry.document(&Version::Digest(entry.digest.clone())).await.map_err(failed)?;
                match Document::parse(&bytes)? {
                    Document::Manifest(manifest) => manifest,
                    Document::Index(_) => return Err(ManifestError::Unsupported(None).into()),
                }
            }
        };
        debug!(image = %image, endpoint = %source.endpoint, %digest, "resolved image");
        Ok(Resolved { registry, manifest, digest })
    }

    /// The image's id if its name leads here to what it leads to at the registry.
    fn already_here(&self, image: &ImageReference, resolved: &Resolved) -> Result<Option<Digest>, StoreError> {
        let index = self.files.index()?;
        let here = index.find(&image.to_string());
        let same = here.filter(|here| here.digests.contains(&image.with_digest(&resolved.digest)));
        Ok(same.map(|here| here.id.clone()))
    }

    async fn record(
        &self,
        image: &ImageReference,
        resolved: &Resolved,
        config: ConfigBlob,
    ) -> Result<Digest, PullError> {
        let manifest = &resolved.manifest;
        let id = manifest.config.digest.clone();
        let record = ImageRecord {
            id: id.clone(),
            tags: match image.version() {
                Version::Tag(_) => BTreeSet::from([image.to_string()]),
                Version::Digest(_) => BTreeSet::new(),
            },
            digests: BTreeSet::from([image.with_digest(&resolved.digest)]),
            size_bytes: manifest.config.size + manifest.layers.iter().map(|layer| layer.size).sum::<u64>(),
            layers: config.diff_ids,
            config: config.config,
            unsynced_in_boot: Some(self.files.boot().to_owned()),
        };
        let files = self.files.clone();
        blocking(move || files.update(|index| index.add(record))).await?;
        Ok(id)
    }

    /// What may happen after the caller has its answer: make the layers durable, remove what the new image replaced.
    fn settle(&self) {
        let files = self.files.clone();
        platform::tasks::spawn(platform::tasks::TaskKind::Worker, "image-settle", async move {
            let settled = blocking(move || files.sync().and_then(|()| files.collect_garbage())).await;
            if let Err(error) = settled {
                warn!(error = ImageError::from(error).explain(), "image store could not be settled");
            }
        });
    }

    /// The mutex that whoever fetches this layer holds.
    fn layer_turn(&self, diff_id: &Digest) -> Arc<tokio::sync::Mutex<()>> {
        let mut layers = self.layers.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(turn) = layers.get(diff_id).and_then(Weak::upgrade) {
            return turn;
        }
        layers.retain(|_, turn| turn.strong_count() > 0);
        let turn = Arc::default();
        layers.insert(diff_id.clone(), Arc::downgrade(&turn));
        turn
    }
}

/// How far a source got before it failed.
fn rank(error: &PullError) -> u8 {
    match error {
        PullError::Resolve { source: RegistryError::Request { .. }, .. } => 0,
        PullError::Resolve { source: RegistryError::NotFound(_), .. } => 1,
        _ => 2,
    }
}

/// Each layer's blob with the digest of what is inside, bottom first.
fn pair_layers(config: &ConfigBlob, manifest: &Manifest) -> Result<Vec<(Descriptor, Digest)>, PullError> {
    let (diff_ids, layers) = (config.diff_ids.len(), manifest.layers.len());
    if diff_ids != layers {
        return Err(PullError::LayerCount { diff_ids, layers });
    }
    Ok(manifest.layers.iter().cloned().zip(config.diff_ids.iter().cloned()).collect())
}
