//! What a Pod needs of the API besides itself. Pods that come from a node's files may need nothing of it.

use k8s_openapi::api::core::v1::{EnvFromSource, EnvVar, Pod, PodSpec, Volume, VolumeProjection};

use super::spec_of;

/// Why a Pod that mirrors one of a node's files may not refer to this, if it does.
pub fn mirror_problem(pod: &Pod) -> Option<&'static str> {
    let spec = spec_of(pod);
    if spec.service_account_name.as_deref().is_some_and(|name| !name.is_empty()) {
        return Some("a mirror pod may not reference service accounts");
    }
    if refers_to_secrets(spec) {
        return Some("a mirror pod may not reference secrets");
    }
    let has_token = projections(spec).any(|source| source.service_account_token.is_some());
    has_token.then_some("a mirror pod may not use ServiceAccountToken volume projections")
}

/// The first kind of API object that a Pod refers to, by its plural and, where that is not obvious, by which way.
pub fn api_reference(pod: &Pod) -> Option<&'static str> {
    let spec = spec_of(pod);
    if spec.service_account_name.as_deref().is_some_and(|name| !name.is_empty()) {
        return Some("serviceaccounts");
    }
    if refers_to_secrets(spec) {
        return Some("secrets");
    }
    if refers_to_config_maps(spec) {
        return Some("configmaps");
    }
    if spec.resource_claims.as_ref().is_some_and(|claims| !claims.is_empty()) {
        return Some("resourceclaims");
    }
    volumes(spec).find_map(volume_reference)
}

fn volumes(spec: &PodSpec) -> impl Iterator<Item = &Volume> {
    spec.volumes.iter().flatten()
}

fn projections(spec: &PodSpec) -> impl Iterator<Item = &VolumeProjection> {
    volumes(spec).filter_map(|volume| volume.projected.as_ref()?.sources.as_ref()).flatten()
}

fn environment(spec: &PodSpec) -> impl Iterator<Item = (&[EnvVar], &[EnvFromSource])> {
    fn parts<'a>(
        env: &'a Option<Vec<EnvVar>>,
        env_from: &'a Option<Vec<EnvFromSource>>,
    ) -> (&'a [EnvVar], &'a [EnvFromSource]) {
        (env.as_deref().unwrap_or_default(), env_from.as_deref().unwrap_or_default())
    }
    let containers = spec.init_containers.iter().flatten().chain(&spec.containers);
    let ephemeral = spec.ephemeral_containers.iter().flatten();
    containers.map(|one| parts(&one.env, &one.env_from)).chain(ephemeral.map(|one| parts(&one.env, &one.env_from)))
}

fn refers_to_secrets(spec: &PodSpec) -> bool {
    let in_env = environment(spec).any(|(env, env_from)| {
        let from = |variable: &EnvVar| variable.value_from.as_ref().is_some_and(|from| from.secret_key_ref.is_some());
        env.iter().any(from) || env_from.iter().any(|source| source.secret_ref.is_some())
    });
    let in_volumes = volumes(spec).any(|volume| {
        volume.secret.is_some()
            || volume.azure_file.is_some()
            || volume.cephfs.as_ref().is_some_and(|source| source.secret_ref.is_some())
            || volume.cinder.as_ref().is_some_and(|source| source.secret_ref.is_some())
            || volume.flex_volume.as_ref().is_some_and(|source| source.secret_ref.is_some())
            || volume.rbd.as_ref().is_some_and(|source| source.secret_ref.is_some())
            || volume.scale_io.is_some()
            || volume.iscsi.as_ref().is_some_and(|source| source.secret_ref.is_some())
            || volume.storageos.as_ref().is_some_and(|source| source.secret_ref.is_some())
            || volume.csi.as_ref().is_some_and(|source| source.node_publish_secret_ref.is_some())
    });
    in_env
        || in_volumes
        || spec.image_pull_secrets.as_ref().is_some_and(|secrets| !secrets.is_empty())
        || projections(spec).any(|source| source.secret.is_some())
}

fn refers_to_config_maps(spec: &PodSpec) -> bool {
    let in_env = environment(spec).any(|(env, env_from)| {
        let from =
            |variable: &EnvVar| variable.value_from.as_ref().is_some_and(|from| from.config_map_key_ref.is_some());
        env.iter().any(from) || env_from.iter().any(|source| source.config_map_ref.is_some())
    });
    in_env
        || volumes(spec).any(|volume| volume.config_map.is_some())
        || projections(spec).any(|source| source.config_map.is_some())
}

fn volume_reference(volume: &Volume) -> Option<&'static str> {
    if volume.csi.is_some() {
        return Some("csidrivers (via CSI volumes)");
    }
    if volume.glusterfs.is_some() {
        return Some("endpoints (via glusterFS volumes)");
    }
    if volume.persistent_volume_claim.is_some() {
        return Some("persistentvolumeclaims");
    }
    if volume.ephemeral.is_some() {
        return Some("persistentvolumeclaims (via ephemeral volumes)");
    }
    let mut sources = volume.projected.iter().filter_map(|projected| projected.sources.as_ref()).flatten();
    sources.find_map(|source| {
        if source.service_account_token.is_some() {
            Some("serviceaccounts (via projected volumes)")
        } else if source.cluster_trust_bundle.is_some() {
            Some("clustertrustbundles")
        } else if source.pod_certificate.is_some() {
            Some("podcertificates")
        } else {
            None
        }
    })
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn check(spec: Value, expected: Option<&str>) {
        let pod: Pod = serde_json::from_value(json!({ "spec": spec })).unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(api_reference(&pod), expected, "{spec}");
    }

    #[test]
    fn references_are_found_wherever_they_stand() {
        let env =
            |value: Value| json!({ "containers": [{ "name": "c", "env": [{ "name": "E", "valueFrom": value }] }] });
        let volume = |value: Value| json!({ "containers": [], "volumes": [value] });
        let projected = |value: Value| json!({ "containers": [], "volumes": [{ "name": "v", "projected": { "sources": [value] } }] });
        for (spec, expected) in [
            (json!({ "containers": [], "serviceAccountName": "a" }), "serviceaccounts"),
            (json!({ "containers": [], "imagePullSecrets": [{ "name": "s" }] }), "secrets"),
            (env(json!({ "secretKeyRef": { "name": "s", "key": "k" } })), "secrets"),
            (env(json!({ "configMapKeyRef": { "name": "s", "key": "k" } })), "configmaps"),
            (
                json!({ "containers": [], "initContainers": [{ "name": "i", "envFrom": [{ "secretRef": { "name": "s" } }] }] }),
                "secrets",
            ),
            (volume(json!({ "name": "v", "secret": { "secretName": "s" } })), "secrets"),
            (volume(json!({ "name": "v", "configMap": { "name": "s" } })), "configmaps"),
            (volume(json!({ "name": "v", "persistentVolumeClaim": { "claimName": "s" } })), "persistentvolumeclaims"),
            (volume(json!({ "name": "v", "csi": { "driver": "d" } })), "csidrivers (via CSI volumes)"),
            (projected(json!({ "secret": { "name": "s" } })), "secrets"),
            (projected(json!({ "serviceAccountToken": { "path": "t" } })), "serviceaccounts (via projected volumes)"),
            (projected(json!({ "clusterTrustBundle": { "path": "t" } })), "clustertrustbundles"),
        ] {
            check(spec, Some(expected));
        }
        check(env(json!({ "fieldRef": { "fieldPath": "metadata.name" } })), None);
        check(volume(json!({ "name": "v", "hostPath": { "path": "/" } })), None);
        check(projected(json!({ "downwardAPI": { "items": [] } })), None);
    }
}
