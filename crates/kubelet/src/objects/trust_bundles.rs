//! ClusterTrustBundles, for the Pods that show certificates.
//!
//! One watch of all of them begins with the first Pod that asks: which ones a Pod shows may depend on their labels. A
//! server that does not have the API is asked again by the next Pod.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use api::certificates::pem;
use api::certificates::v1beta1::cluster_trust_bundle::signer_of;
use api::labels::Selector;
use client::{Client, Lister, ObjectKey, Reflector, is_not_found};
use k8s_openapi::api::certificates::v1beta1::ClusterTrustBundle;
use k8s_openapi::api::core::v1::ClusterTrustBundleProjection;
use kube::Api;
use kube::api::ListParams;
use platform::tasks::{TaskKind, spawn};
use tokio::sync::OnceCell;
use tokio_util::sync::CancellationToken;

/// Rung when a bundle changed. Must not block.
pub type Bell = dyn Fn() + Send + Sync;

/// Why there are no certificates, in upstream's words.
#[derive(Debug, thiserror::Error)]
pub enum TrustBundleError {
    /// The server does not have the API.
    #[error("ClusterTrustBundle projection is not supported in static kubelet mode")]
    Unsupported,
    /// It did not answer.
    #[error("failed to ensure informer manager for ClusterTrustBundles: {0}")]
    Request(String),
    /// There is no bundle of that name.
    #[error("while getting ClusterTrustBundle: clustertrustbundle.certificates.k8s.io \"{0}\" not found")]
    NotFound(String),
    /// The signer has none that is selected.
    #[error("combination of signerName and labelSelector matched zero ClusterTrustBundles")]
    NoneSelected,
    /// The selector makes no sense.
    #[error("while parsing label selector: {0}")]
    Selector(String),
}

/// The bundles, once somebody asked for them.
pub struct TrustBundles {
    client: Client,
    copy: OnceCell<Lister<ClusterTrustBundle>>,
    bells: Arc<Mutex<Vec<Weak<Bell>>>>,
    /// Ends the watch.
    watching: CancellationToken,
}

impl Drop for TrustBundles {
    fn drop(&mut self) {
        self.watching.cancel();
    }
}

impl TrustBundles {
    /// Nothing is watched.
    pub fn new(client: Client) -> Self {
        Self { client, copy: OnceCell::new(), bells: Arc::default(), watching: CancellationToken::new() }
    }

    /// Rings when a bundle changes, until the bell is dropped.
    pub fn follow(&self, bell: &Arc<Bell>) {
        self.bells.lock().unwrap_or_else(PoisonError::into_inner).push(Arc::downgrade(bell));
    }

    /// The certificates that a projection shows, each once.
    ///
    /// # Errors
    /// [`TrustBundleError`], unless the projection can do without.
    pub async fn certificates(&self, shown: &ClusterTrustBundleProjection) -> Result<String, TrustBundleError> {
        let copy = self.copy.get_or_try_init(|| self.watch()).await?;
        let bundles = match selected(copy, shown) {
            Err(TrustBundleError::NotFound(_) | TrustBundleError::NoneSelected) if shown.optional == Some(true) => {
                Vec::new()
            }
            outcome => outcome?,
        };
        Ok(unified(bundles.iter().map(|bundle| bundle.spec.trust_bundle.as_str())))
    }

    async fn watch(&self) -> Result<Lister<ClusterTrustBundle>, TrustBundleError> {
        let api: Api<ClusterTrustBundle> = Api::all(self.client.clone());
        api.list(&ListParams::default().limit(1)).await.map_err(|error| match is_not_found(&error) {
            true => TrustBundleError::Unsupported,
            false => TrustBundleError::Request(error.to_string()),
        })?;
        let bells = Arc::clone(&self.bells);
        let reflector = Reflector::new(api).on_change(move |_| {
            let mut bells = bells.lock().unwrap_or_else(PoisonError::into_inner);
            bells.retain(|bell| bell.upgrade().inspect(|bell| bell()).is_some());
        });
        let copy = reflector.lister();
        spawn(TaskKind::Component, "trust bundle watch", reflector.run(self.watching.clone()));
        copy.synced().await;
        Ok(copy)
    }
}

fn selected(
    copy: &Lister<ClusterTrustBundle>,
    shown: &ClusterTrustBundleProjection,
) -> Result<Vec<Arc<ClusterTrustBundle>>, TrustBundleError> {
    if let Some(name) = &shown.name {
        let bundle = copy.get(&ObjectKey::cluster(name.as_str()));
        return bundle.map(|bundle| vec![bundle]).ok_or_else(|| TrustBundleError::NotFound(name.clone()));
    }
    let signer = shown.signer_name.as_deref().unwrap_or_default();
    let selector = Selector::from_label_selector(shown.label_selector.as_ref());
    let selector = selector.map_err(|error| TrustBundleError::Selector(error.to_string()))?;
    // No selector selects nothing, an empty one everything.
    let chosen = |bundle: &ClusterTrustBundle| {
        shown.label_selector.is_some()
            && signer_of(bundle) == signer
            && selector.matches(bundle.metadata.labels.as_ref())
    };
    let bundles = copy.matching(chosen);
    if bundles.is_empty() { Err(TrustBundleError::NoneSelected) } else { Ok(bundles) }
}

/// All certificates of some bundles, each once, without what is written around them.
fn unified<'a>(bundles: impl Iterator<Item = &'a str>) -> String {
    let certificates: BTreeSet<Vec<u8>> = bundles.flat_map(pem::blocks).map(|block| block.data).collect();
    certificates.iter().map(|data| pem::certificate(data)).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn bundle(name: &str, signer: &str, label: &str, certificates: &[&[u8]]) -> ClusterTrustBundle {
        let text: String = certificates.iter().map(|data| format!("# {name}\n{}", pem::certificate(data))).collect();
        let metadata = json!({ "name": name, "labels": { "of": label } });
        serde_json::from_value(json!({ "metadata": metadata, "spec": { "signerName": signer, "trustBundle": text } }))
            .unwrap()
    }

    #[test]
    fn a_name_or_a_signer_and_labels_say_what_is_shown() {
        let bundles = [
            bundle("a", "", "x", &[b"one"]),
            bundle("s:1", "e.x/s", "x", &[b"two", b"three"]),
            bundle("s:2", "e.x/s", "y", &[b"two"]),
        ];
        let copy = Lister::of_objects(bundles);
        let shown = |source: serde_json::Value| {
            let source: ClusterTrustBundleProjection = serde_json::from_value(source).unwrap();
            let bundles = selected(&copy, &source).map_err(|error| error.to_string())?;
            let text = unified(bundles.iter().map(|bundle| bundle.spec.trust_bundle.as_str()));
            Ok::<_, String>(pem::blocks(&text).into_iter().map(|block| block.data).collect::<Vec<_>>())
        };
        assert_eq!(shown(json!({ "name": "a", "path": "p" })).unwrap(), [b"one"]);
        assert!(shown(json!({ "name": "b", "path": "p" })).unwrap_err().contains("\"b\" not found"));
        let of = |selector: serde_json::Value| json!({ "signerName": "e.x/s", "labelSelector": selector, "path": "p" });
        assert_eq!(shown(of(json!({}))).unwrap(), [&b"three"[..], b"two"], "each once");
        assert_eq!(shown(of(json!({ "matchLabels": { "of": "y" } }))).unwrap(), [b"two"]);
        let none = "combination of signerName and labelSelector matched zero ClusterTrustBundles";
        assert_eq!(shown(of(json!(null))).unwrap_err(), none, "no selector selects nothing");
        assert_eq!(shown(of(json!({ "matchLabels": { "of": "z" } }))).unwrap_err(), none);
    }
}
