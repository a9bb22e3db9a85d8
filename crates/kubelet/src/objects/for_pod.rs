//! One Pod's view of the objects in its volumes: what it read, and whether that is still so.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use client::ObjectKey;
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::{ClusterTrustBundleProjection, PersistentVolume, PersistentVolumeClaim, Pod};
use tokio::sync::Notify;

use super::Objects;
use super::keyed::{Keyed, KeyedKind, KeyedObject, shown_by, shows_trust_bundles};
use super::trust_bundles::{Bell, TrustBundleError};
use super::watched::Follow;
use crate::pod;

/// A token is replaced at the latest after a day.
const MAX_TOKEN_AGE: SignedDuration = SignedDuration::from_hours(24);
/// A token that could not be replaced, and still holds, is tried again after this long.
const TOKEN_RETRY: SignedDuration = SignedDuration::from_secs(10);

/// A token with its times.
#[derive(Clone, PartialEq, Eq)]
pub struct Token {
    /// What is shown to the API server.
    pub text: String,
    /// When to ask for the next one.
    pub refresh_at: Timestamp,
    expires_at: Timestamp,
}

/// Why there is no token.
#[derive(Debug, thiserror::Error)]
pub enum TokenError {
    /// The API refused.
    #[error(transparent)]
    Request(#[from] kube::Error),
    /// It answered without one.
    #[error("the answer has none")]
    Empty,
}

/// Audience and lifetime: what tells tokens of one Pod apart.
type TokenKey = (Option<String>, i64);

/// What one Pod's volumes are made from.
pub struct PodObjects {
    objects: Arc<Objects>,
    reads: Arc<Reads>,
    follows: Mutex<Option<Vec<Follow>>>,
    /// Rung when a trust bundle changed.
    bell: Arc<Bell>,
    tokens: Mutex<BTreeMap<TokenKey, Token>>,
}

/// What was read, and the bell for when it changed.
struct Reads {
    versions: Mutex<BTreeMap<KeyedObject, Option<String>>>,
    changed: AtomicBool,
    wake: Arc<Notify>,
}

impl Reads {
    fn versions(&self) -> MutexGuard<'_, BTreeMap<KeyedObject, Option<String>>> {
        self.versions.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn hear(&self, object: &KeyedObject, version: Option<&str>) {
        let read = self.versions().get(object).map(|read| read.as_deref() == version);
        if read != Some(true) {
            self.ring();
        }
    }

    fn ring(&self) {
        self.changed.store(true, Ordering::SeqCst);
        self.wake.notify_one();
    }
}

impl PodObjects {
    /// A view that notifies `wake` when something in it changed.
    pub fn new(objects: Arc<Objects>, wake: Arc<Notify>) -> Self {
        let reads = Reads { versions: Mutex::default(), changed: AtomicBool::new(false), wake };
        let reads = Arc::new(reads);
        let rung = Arc::clone(&reads);
        let bell: Arc<Bell> = Arc::new(move || rung.ring());
        Self { objects, reads, follows: Mutex::default(), bell, tokens: Mutex::default() }
    }

    /// From now on changes of what the Pod's volumes show are noticed, those since it was read included.
    pub fn follow(&self, pod: &Pod) {
        let mut follows = self.follows.lock().unwrap_or_else(PoisonError::into_inner);
        follows.get_or_insert_with(|| {
            if shows_trust_bundles(pod) {
                self.objects.trust_bundles.follow(&self.bell);
            }
            let tell = |object: &KeyedObject| {
                let reads = Arc::clone(&self.reads);
                self.objects.watched.follow(object, Arc::new(move |object, version| reads.hear(object, version)))
            };
            shown_by(pod).map(|object| tell(&object)).collect()
        });
    }

    /// Whether something changed since [`PodObjects::begin`].
    pub fn changed(&self) -> bool {
        self.reads.changed.load(Ordering::SeqCst)
    }

    /// What is read from now on is current.
    pub fn begin(&self) {
        self.reads.changed.store(false, Ordering::SeqCst);
    }

    /// What a ConfigMap or Secret of the Pod's namespace holds.
    ///
    /// # Errors
    /// The API's.
    pub async fn keyed(&self, pod: &Pod, kind: KeyedKind, name: &str) -> Result<Option<Arc<Keyed>>, kube::Error> {
        let object = KeyedObject { kind, key: ObjectKey::new(pod::namespace(pod), name) };
        let found = self.objects.keyed(&object).await?;
        let version = found.as_ref().and_then(|keyed| keyed.version.clone());
        self.reads.versions().insert(object, version);
        Ok(found)
    }

    /// The certificates of a `clusterTrustBundle` source.
    ///
    /// # Errors
    /// [`TrustBundleError`].
    pub async fn certificates(&self, shown: &ClusterTrustBundleProjection) -> Result<String, TrustBundleError> {
        self.objects.trust_bundles.certificates(shown).await
    }

    /// A claim of the Pod's namespace.
    ///
    /// # Errors
    /// The API's, that there is none included.
    pub async fn claim(&self, pod: &Pod, name: &str) -> Result<PersistentVolumeClaim, kube::Error> {
        self.objects.claim(pod::namespace(pod), name).await
    }

    /// A volume.
    ///
    /// # Errors
    /// The API's, that there is none included.
    pub async fn volume(&self, name: &str) -> Result<PersistentVolume, kube::Error> {
        self.objects.volume(name).await
    }

    /// A token of the Pod's ServiceAccount: the one it has, until it is time for another.
    ///
    /// # Errors
    /// [`TokenError`], unless the one there is still holds.
    pub async fn token(
        &self,
        pod: &Pod,
        audience: Option<&str>,
        expiration_seconds: i64,
        now: Timestamp,
    ) -> Result<Token, TokenError> {
        let key = (audience.map(str::to_owned), expiration_seconds);
        let present = self.tokens().get(&key).cloned();
        if let Some(present) = present.as_ref().filter(|present| now < present.refresh_at) {
            return Ok(present.clone());
        }
        match (self.new_token(pod, audience, expiration_seconds, now).await, present) {
            (Ok(token), _) => {
                self.tokens().insert(key, token.clone());
                Ok(token)
            }
            (Err(error), Some(mut present)) if now < present.expires_at => {
                tracing::warn!(pod = pod::full_name(pod), %error, "the Pod's token could not be replaced");
                present.refresh_at = now.checked_add(TOKEN_RETRY).unwrap_or(present.expires_at);
                self.tokens().insert(key, present.clone());
                Ok(present)
            }
            (Err(error), _) => Err(error),
        }
    }

    async fn new_token(
        &self,
        pod: &Pod,
        audience: Option<&str>,
        expiration_seconds: i64,
        now: Timestamp,
    ) -> Result<Token, TokenError> {
        let status = self.objects.request_token(pod, audience, expiration_seconds).await?;
        let text = status.token.filter(|token| !token.is_empty()).ok_or(TokenError::Empty)?;
        let expires_at = status.expiration_timestamp.ok_or(TokenError::Empty)?.0;
        Ok(Token { text, expires_at, refresh_at: refresh_time(now, expires_at) })
    }

    fn tokens(&self) -> MutexGuard<'_, BTreeMap<TokenKey, Token>> {
        self.tokens.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// After four fifths of its life, or a day.
fn refresh_time(now: Timestamp, expires_at: Timestamp) -> Timestamp {
    let life = expires_at.duration_since(now);
    now.checked_add((life * 4 / 5).min(MAX_TOKEN_AGE)).unwrap_or(expires_at)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_are_refreshed_well_before_they_expire() {
        let at = |seconds| Timestamp::from_second(seconds).unwrap();
        assert_eq!(refresh_time(at(1000), at(1000 + 3600)), at(1000 + 2880));
        assert_eq!(refresh_time(at(0), at(365 * 86_400)), at(86_400));
    }
}
