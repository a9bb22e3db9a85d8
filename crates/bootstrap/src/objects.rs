//! Objects that every cluster has.

use std::collections::BTreeMap;

use api::k8s_openapi::api::core::v1::{ConfigMap, Namespace};
use api::k8s_openapi::api::scheduling::v1::PriorityClass;
use api::k8s_openapi::api::storage::v1::StorageClass;
use api::k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use api::scheduling::v1::priority_class::SYSTEM_CLASSES;
use api::storage::v1::storage_class;
use jiff::Timestamp;
use kube::api::{Patch, PatchParams, PostParams};
use kube::{Api, Client};

use crate::api_service::{self, ApiEndpoint};

/// Namespaces that every cluster has.
pub const NAMESPACES: [&str; 4] = ["default", "kube-node-lease", "kube-public", "kube-system"];

/// Since when the use of Secrets' tokens is noted.
const TOKEN_TRACKING: &str = "kube-apiserver-legacy-service-account-token-tracking";

/// How clients of this server are known, for servers that extend it.
const EXTENSION_AUTHENTICATION: &str = "extension-apiserver-authentication";

/// The class of claims that name none.
pub const DEFAULT_STORAGE_CLASS: &str = "local-path";
/// Who makes the volumes of that class.
pub const LOCAL_PATH_PROVISIONER: &str = "isopod.io/local-path";

/// Makes the built-in objects that are missing.
///
/// # Errors
/// The first request that failed for another reason than that its object is there.
pub async fn ensure(client: &Client, endpoint: &ApiEndpoint, now: Timestamp) -> kube::Result<()> {
    ensure_namespaces(client).await?;
    api_service::ensure(client, endpoint, now).await?;
    ensure_priority_classes(client).await?;
    ensure_token_tracking(client, now).await?;
    let classes: Api<StorageClass> = Api::all(client.clone());
    unless_there(classes.create(&PostParams::default(), &default_storage_class()).await)
}

/// Directories on the node where a claim is first used; a cluster needs nothing more to keep data.
fn default_storage_class() -> StorageClass {
    StorageClass {
        metadata: ObjectMeta {
            name: Some(DEFAULT_STORAGE_CLASS.to_owned()),
            annotations: Some([(storage_class::DEFAULT_ANNOTATION.to_owned(), "true".to_owned())].into()),
            ..ObjectMeta::default()
        },
        provisioner: LOCAL_PATH_PROVISIONER.to_owned(),
        reclaim_policy: Some("Delete".to_owned()),
        volume_binding_mode: Some(storage_class::WAIT_FOR_FIRST_CONSUMER.to_owned()),
        allow_volume_expansion: Some(true),
        ..StorageClass::default()
    }
}

/// Tells since which day it is noted when the tokens of Secrets are used. Who deletes unused ones asks for it.
async fn ensure_token_tracking(client: &Client, now: Timestamp) -> kube::Result<()> {
    let config_maps: Api<ConfigMap> = Api::namespaced(client.clone(), "kube-system");
    let today = now.strftime("%Y-%m-%d").to_string();
    let tracking = ConfigMap {
        metadata: ObjectMeta { name: Some(TOKEN_TRACKING.to_owned()), ..ObjectMeta::default() },
        data: Some([("since".to_owned(), today)].into()),
        ..ConfigMap::default()
    };
    unless_there(config_maps.create(&PostParams::default(), &tracking).await)
}

/// Tells servers of further APIs by whose certificates clients of this one are known.
///
/// # Errors
/// The request that failed.
pub async fn publish_client_authority(client: &Client, authority: &str) -> kube::Result<()> {
    let config_maps: Api<ConfigMap> = Api::namespaced(client.clone(), "kube-system");
    let data: BTreeMap<String, String> = [("client-ca-file".to_owned(), authority.to_owned())].into();
    let told = ConfigMap {
        metadata: ObjectMeta { name: Some(EXTENSION_AUTHENTICATION.to_owned()), ..ObjectMeta::default() },
        data: Some(data.clone()),
        ..ConfigMap::default()
    };
    match config_maps.create(&PostParams::default(), &told).await {
        Err(kube::Error::Api(status)) if status.reason == "AlreadyExists" => {
            // The authority may be another one than last time; what others have added stays.
            let patch = Patch::Merge(serde_json::json!({ "data": data }));
            config_maps.patch(EXTENSION_AUTHENTICATION, &PatchParams::default(), &patch).await.map(drop)
        }
        outcome => outcome.map(drop),
    }
}

async fn ensure_priority_classes(client: &Client) -> kube::Result<()> {
    let classes: Api<PriorityClass> = Api::all(client.clone());
    for (name, value, description) in SYSTEM_CLASSES {
        let class = PriorityClass {
            metadata: ObjectMeta { name: Some(name.to_owned()), ..ObjectMeta::default() },
            value: Some(value),
            description: Some(description.to_owned()),
            ..PriorityClass::default()
        };
        unless_there(classes.create(&PostParams::default(), &class).await)?;
    }
    Ok(())
}

async fn ensure_namespaces(client: &Client) -> kube::Result<()> {
    let namespaces: Api<Namespace> = Api::all(client.clone());
    for name in NAMESPACES {
        let namespace = Namespace {
            metadata: ObjectMeta { name: Some(name.to_owned()), ..ObjectMeta::default() },
            ..Namespace::default()
        };
        unless_there(namespaces.create(&PostParams::default(), &namespace).await)?;
    }
    Ok(())
}

pub(crate) fn unless_there<K>(created: kube::Result<K>) -> kube::Result<()> {
    match created {
        Err(kube::Error::Api(status)) if status.reason == "AlreadyExists" => Ok(()),
        outcome => outcome.map(drop),
    }
}
