//! ConfigMaps, Secrets and tokens that Pods need, through the client.
//!
//! What a Pod reads once (for its environment, to pull an image) is one get. What its volumes show is followed for as
//! long as it shows it: [`watched`] has one watch for each such object however many Pods show it, and [`for_pod`] is one
//! Pod's view, which knows whether anything has changed since it was read.

pub mod for_pod;
pub mod keyed;
pub mod trust_bundles;
mod watched;

use std::sync::Arc;

use k8s_openapi::api::authentication::v1::{BoundObjectReference, TokenRequest, TokenRequestSpec, TokenRequestStatus};
use k8s_openapi::api::core::v1::{ConfigMap, PersistentVolume, PersistentVolumeClaim, Pod, Secret, ServiceAccount};
use kube::Client;
use kube::api::{Api, PostParams};

use crate::pod;

use keyed::{Keyed, KeyedKind, KeyedObject};
use trust_bundles::TrustBundles;
use watched::Watched;

/// Reads objects for Pods.
pub struct Objects {
    client: Client,
    watched: Arc<Watched>,
    trust_bundles: TrustBundles,
}

impl Objects {
    /// Nothing is read yet.
    pub fn new(client: Client) -> Self {
        let watched = Arc::new(Watched::new(client.clone()));
        Self { watched, trust_bundles: TrustBundles::new(client.clone()), client }
    }

    /// A ConfigMap, or `None` if there is none.
    ///
    /// # Errors
    /// The API's.
    pub async fn config_map(&self, namespace: &str, name: &str) -> Result<Option<Arc<ConfigMap>>, kube::Error> {
        let api: Api<ConfigMap> = Api::namespaced(self.client.clone(), namespace);
        Ok(api.get_opt(name).await?.map(Arc::new))
    }

    /// A Secret, or `None` if there is none.
    ///
    /// # Errors
    /// The API's.
    pub async fn secret(&self, namespace: &str, name: &str) -> Result<Option<Arc<Secret>>, kube::Error> {
        let api: Api<Secret> = Api::namespaced(self.client.clone(), namespace);
        Ok(api.get_opt(name).await?.map(Arc::new))
    }

    /// What a ConfigMap or Secret holds: from memory if it is followed, else from the API.
    ///
    /// # Errors
    /// The API's.
    async fn keyed(&self, object: &KeyedObject) -> Result<Option<Arc<Keyed>>, kube::Error> {
        if let Some(known) = self.watched.get(object) {
            return Ok(known);
        }
        let (namespace, name) = (&object.key.namespace, &object.key.name);
        let found = match object.kind {
            KeyedKind::ConfigMap => {
                Api::<ConfigMap>::namespaced(self.client.clone(), namespace).get_opt(name).await?.map(Keyed::from)
            }
            KeyedKind::Secret => {
                Api::<Secret>::namespaced(self.client.clone(), namespace).get_opt(name).await?.map(Keyed::from)
            }
        };
        Ok(found.map(Arc::new))
    }

    /// A claim, read once: a node may not watch claims.
    ///
    /// # Errors
    /// The API's, that there is none included.
    pub(crate) async fn claim(&self, namespace: &str, name: &str) -> Result<PersistentVolumeClaim, kube::Error> {
        Api::<PersistentVolumeClaim>::namespaced(self.client.clone(), namespace).get(name).await
    }

    /// A volume, likewise.
    ///
    /// # Errors
    /// The API's, that there is none included.
    pub(crate) async fn volume(&self, name: &str) -> Result<PersistentVolume, kube::Error> {
        Api::<PersistentVolume>::all(self.client.clone()).get(name).await
    }

    /// A token of the Pod's ServiceAccount, bound to the Pod.
    ///
    /// # Errors
    /// The API's, for instance when the ServiceAccount is gone.
    async fn request_token(
        &self,
        pod: &Pod,
        audience: Option<&str>,
        expiration_seconds: i64,
    ) -> Result<TokenRequestStatus, kube::Error> {
        let account = pod.spec.as_ref().and_then(|spec| spec.service_account_name.as_deref()).unwrap_or("default");
        let request = TokenRequest {
            spec: Some(TokenRequestSpec {
                audiences: audience.map(|audience| vec![audience.to_owned()]),
                expiration_seconds: Some(expiration_seconds),
                bound_object_ref: Some(BoundObjectReference {
                    api_version: Some("v1".to_owned()),
                    kind: Some("Pod".to_owned()),
                    name: pod.metadata.name.clone(),
                    uid: pod.metadata.uid.clone(),
                }),
            }),
            ..TokenRequest::default()
        };
        let api: Api<ServiceAccount> = Api::namespaced(self.client.clone(), pod::namespace(pod));
        let answer = api.create_token_request(account, &PostParams::default(), &request).await?;
        Ok(answer.status.unwrap_or_default())
    }
}
