//! ConfigMaps, Secrets and tokens that Pods need, through the client.
//!
//! One get each when a Pod needs it. The root CA's ConfigMap, which every Pod mounts, is kept per namespace for a
//! while: it changes when the cluster's CA does.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::authentication::v1::{BoundObjectReference, TokenRequest, TokenRequestSpec, TokenRequestStatus};
use k8s_openapi::api::core::v1::{ConfigMap, Pod, Secret, ServiceAccount};
use kube::Client;
use kube::api::{Api, PostParams};
use platform::clock::SharedClock;

use crate::pod;

/// The ConfigMap with the cluster's CA in every namespace.
pub const ROOT_CA_CONFIG_MAP: &str = "kube-root-ca.crt";
const ROOT_CA_LIFETIME: SignedDuration = SignedDuration::from_secs(60);

/// Reads objects for Pods.
pub struct Objects {
    client: Client,
    clock: SharedClock,
    root_ca: Mutex<HashMap<String, (Timestamp, Arc<ConfigMap>)>>,
}

impl Objects {
    /// Nothing is read yet.
    pub fn new(client: Client, clock: SharedClock) -> Self {
        Self { client, clock, root_ca: Mutex::default() }
    }

    /// A ConfigMap, or `None` if there is none.
    ///
    /// # Errors
    /// The API's.
    pub async fn config_map(&self, namespace: &str, name: &str) -> Result<Option<Arc<ConfigMap>>, kube::Error> {
        if name == ROOT_CA_CONFIG_MAP
            && let Some(cached) = self.cached_root_ca(namespace)
        {
            return Ok(Some(cached));
        }
        let api: Api<ConfigMap> = Api::namespaced(self.client.clone(), namespace);
        let found = api.get_opt(name).await?.map(Arc::new);
        if let (Some(config_map), ROOT_CA_CONFIG_MAP) = (&found, name) {
            self.root_ca().insert(namespace.to_owned(), (self.clock.now(), Arc::clone(config_map)));
        }
        Ok(found)
    }

    fn cached_root_ca(&self, namespace: &str) -> Option<Arc<ConfigMap>> {
        let mut cache = self.root_ca();
        let now = self.clock.now();
        cache.retain(|_, (read_at, _)| now.duration_since(*read_at) < ROOT_CA_LIFETIME);
        cache.get(namespace).map(|(_, config_map)| Arc::clone(config_map))
    }

    fn root_ca(&self) -> std::sync::MutexGuard<'_, HashMap<String, (Timestamp, Arc<ConfigMap>)>> {
        self.root_ca.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// A Secret, or `None` if there is none.
    ///
    /// # Errors
    /// The API's.
    pub async fn secret(&self, namespace: &str, name: &str) -> Result<Option<Arc<Secret>>, kube::Error> {
        let api: Api<Secret> = Api::namespaced(self.client.clone(), namespace);
        Ok(api.get_opt(name).await?.map(Arc::new))
    }

    /// A token of the Pod's ServiceAccount, bound to the Pod.
    ///
    /// # Errors
    /// The API's, for instance when the ServiceAccount is gone.
    pub async fn token(
        &self,
        pod: &Pod,
        audience: Option<&str>,
        expiration_seconds: Option<i64>,
    ) -> Result<TokenRequestStatus, kube::Error> {
        let account = pod.spec.as_ref().and_then(|spec| spec.service_account_name.as_deref()).unwrap_or("default");
        let request = TokenRequest {
            spec: Some(TokenRequestSpec {
                audiences: audience.map(|audience| vec![audience.to_owned()]),
                expiration_seconds,
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
