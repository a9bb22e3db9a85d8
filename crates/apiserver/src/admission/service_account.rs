//! Every Pod runs as a ServiceAccount that exists, and gets its token unless it does not want it.

use api::Object;
use api::core::v1::pod::{MIRROR_ANNOTATION, mirror_problem};
use api::k8s_openapi::api::core::v1::{
    ConfigMapProjection, Container, DownwardAPIProjection, DownwardAPIVolumeFile, KeyToPath, ObjectFieldSelector, Pod,
    PodSpec, ProjectedVolumeSource, ServiceAccount, ServiceAccountTokenProjection, Volume, VolumeMount,
    VolumeProjection,
};
use async_trait::async_trait;

use super::{Attributes, Operation, Plugin};
use crate::error::Error;

mod secrets;

const DEFAULT_ACCOUNT: &str = "default";
const VOLUME_PREFIX: &str = "kube-api-access-";
const MOUNT_PATH: &str = "/var/run/secrets/kubernetes.io/serviceaccount";
const TOKEN_SECONDS: i64 = 3607;

/// The plugin.
pub struct ServiceAccountAdmission;

#[async_trait]
impl Plugin for ServiceAccountAdmission {
    async fn admit(&self, attributes: &Attributes<'_>, object: &mut dyn Object) -> Result<(), Error> {
        if attributes.operation != Operation::Create || !attributes.is("pods", "") {
            return Ok(());
        }
        let Some(pod) = object.as_any_mut().downcast_mut::<Pod>() else { return Ok(()) };
        if is_mirror(pod) {
            // It stays what its node made of it.
            return mirror_problem(pod).map_or(Ok(()), |reason| Err(attributes.forbidden(pod, reason)));
        }
        let Some(spec) = &mut pod.spec else { return Ok(()) };
        let name = spec.service_account_name.clone().filter(|name| !name.is_empty());
        let name = name.unwrap_or_else(|| DEFAULT_ACCOUNT.to_owned());
        spec.service_account_name = Some(name.clone());
        spec.service_account = Some(name.clone());
        let account = account_of(attributes, pod, &name).await?;
        let spec = pod.spec.get_or_insert_default();
        apply(spec, &account, || platform::random::name_suffix(attributes.server.random.as_ref(), 5));
        let refusal = secrets::is_limited(&account).then(|| secrets::refusal(&account, spec)).flatten();
        refusal.map_or(Ok(()), |reason| Err(attributes.forbidden(pod, reason)))
    }

    /// Nothing changes what a new Pod refers to after its account was asked. Debug containers come later.
    async fn validate(&self, attributes: &Attributes<'_>, object: &dyn Object) -> Result<(), Error> {
        if attributes.operation != Operation::Update || !attributes.is("pods", "ephemeralcontainers") {
            return Ok(());
        }
        let Some(pod) = object.as_any().downcast_ref::<Pod>() else { return Ok(()) };
        let spec = pod.spec.as_ref();
        let name = spec.and_then(|spec| spec.service_account_name.as_deref()).filter(|name| !name.is_empty());
        let (Some(spec), Some(name)) = (spec, name) else {
            let name = pod.metadata.name.as_deref().unwrap_or_default();
            let reason = format!("no service account specified for pod {}/{name}", attributes.namespace);
            return Err(attributes.forbidden(pod, reason));
        };
        let account = account_of(attributes, pod, name).await?;
        let refusal = secrets::is_limited(&account).then(|| secrets::debug_refusal(&account, spec)).flatten();
        refusal.map_or(Ok(()), |reason| Err(attributes.forbidden(pod, reason)))
    }
}

/// The account of a Pod.
async fn account_of(attributes: &Attributes<'_>, pod: &Pod, name: &str) -> Result<ServiceAccount, Error> {
    let namespace = attributes.namespace;
    let found = attributes.server.typed::<ServiceAccount>("serviceaccounts", namespace, name).await?;
    found.ok_or_else(|| {
        let missing = format!("serviceaccount \"{name}\" not found");
        attributes.forbidden(pod, format!("error looking up service account {namespace}/{name}: {missing}"))
    })
}

/// Whether a Pod mirrors one that a kubelet runs from a file.
pub(super) fn is_mirror(pod: &Pod) -> bool {
    pod.metadata.annotations.as_ref().is_some_and(|annotations| annotations.contains_key(MIRROR_ANNOTATION))
}

/// Gives a Pod what comes with its account.
fn apply(spec: &mut PodSpec, account: &ServiceAccount, suffix: impl FnOnce() -> String) {
    let automount = spec.automount_service_account_token.or(account.automount_service_account_token);
    if automount.unwrap_or(true) {
        mount_token(spec, suffix);
    }
    if spec.image_pull_secrets.as_ref().is_none_or(Vec::is_empty) {
        spec.image_pull_secrets.clone_from(&account.image_pull_secrets);
    }
}

fn mount_token(spec: &mut PodSpec, suffix: impl FnOnce() -> String) {
    let volumes = spec.volumes.get_or_insert_default();
    let present =
        volumes.iter().find(|volume| volume.name.starts_with(VOLUME_PREFIX)).map(|volume| volume.name.clone());
    let (name, new) = match present {
        Some(name) => (name, false),
        None => (format!("{VOLUME_PREFIX}{}", suffix()), true),
    };
    let mut mounted = false;
    let containers = spec.init_containers.iter_mut().flatten().chain(&mut spec.containers);
    for container in containers {
        mounted |= mount(container, &name);
    }
    if mounted && new {
        volumes.push(token_volume(name));
    }
    if volumes.is_empty() {
        spec.volumes = None;
    }
}

/// Mounts the token, unless something is mounted there; returns whether it did.
fn mount(container: &mut Container, volume: &str) -> bool {
    let mounts = container.volume_mounts.get_or_insert_default();
    if mounts.iter().any(|mount| mount.mount_path == MOUNT_PATH) {
        return false;
    }
    mounts.push(VolumeMount {
        name: volume.to_owned(),
        mount_path: MOUNT_PATH.to_owned(),
        read_only: Some(true),
        ..VolumeMount::default()
    });
    true
}

fn token_volume(name: String) -> Volume {
    let token = ServiceAccountTokenProjection {
        expiration_seconds: Some(TOKEN_SECONDS),
        path: "token".to_owned(),
        ..ServiceAccountTokenProjection::default()
    };
    let authority = ConfigMapProjection {
        name: "kube-root-ca.crt".to_owned(),
        items: Some(vec![KeyToPath { key: "ca.crt".to_owned(), path: "ca.crt".to_owned(), mode: None }]),
        optional: None,
    };
    let namespace = DownwardAPIVolumeFile {
        path: "namespace".to_owned(),
        field_ref: Some(ObjectFieldSelector {
            api_version: Some("v1".to_owned()),
            field_path: "metadata.namespace".to_owned(),
        }),
        ..DownwardAPIVolumeFile::default()
    };
    let sources = vec![
        VolumeProjection { service_account_token: Some(token), ..VolumeProjection::default() },
        VolumeProjection { config_map: Some(authority), ..VolumeProjection::default() },
        VolumeProjection {
            downward_api: Some(DownwardAPIProjection { items: Some(vec![namespace]) }),
            ..VolumeProjection::default()
        },
    ];
    let projected = ProjectedVolumeSource { default_mode: Some(0o644), sources: Some(sources) };
    Volume { name, projected: Some(projected), ..Volume::default() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pod_spec(json: serde_json::Value) -> PodSpec {
        serde_json::from_value(json).expect("a PodSpec")
    }

    #[test]
    fn tokens_are_mounted_where_nothing_else_is() {
        let mut spec = pod_spec(serde_json::json!({
            "containers": [{"name": "a"}, {"name": "b", "volumeMounts": [{"name": "own", "mountPath": MOUNT_PATH}]}],
            "initContainers": [{"name": "i"}],
        }));
        apply(&mut spec, &ServiceAccount::default(), || "abcde".to_owned());
        let mounts = |container: &Container| -> Vec<String> {
            container.volume_mounts.iter().flatten().map(|mount| mount.name.clone()).collect()
        };
        assert_eq!(mounts(&spec.containers[0]), ["kube-api-access-abcde"]);
        assert_eq!(mounts(&spec.containers[1]), ["own"]);
        assert_eq!(mounts(&spec.init_containers.as_ref().expect("kept")[0]), ["kube-api-access-abcde"]);
        assert_eq!(spec.volumes.expect("added").len(), 1);
    }

    #[test]
    fn pods_can_do_without_a_token_and_inherit_pull_secrets() {
        let account: ServiceAccount = serde_json::from_value(serde_json::json!({
            "metadata": {"name": "x"}, "automountServiceAccountToken": false, "imagePullSecrets": [{"name": "s"}],
        }))
        .expect("a ServiceAccount");
        let mut spec = pod_spec(serde_json::json!({"containers": [{"name": "a"}]}));
        apply(&mut spec, &account, || "abcde".to_owned());
        assert_eq!((spec.volumes, spec.containers[0].volume_mounts.clone()), (None, None));
        assert_eq!(spec.image_pull_secrets.expect("inherited")[0].name, "s");
    }
}
