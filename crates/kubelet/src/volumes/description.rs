//! Volumes in words, for whoever waits for one. Pure.

use k8s_openapi::api::core::v1::Volume;

/// What a volume is of, such as `nfs 192.0.2.1:/export`.
pub fn describe(volume: &Volume) -> String {
    let named = |kind: &str, name: Option<&str>| Some(format!("{kind} {}", name.unwrap_or_default()));
    let found = None
        .or_else(|| volume.nfs.as_ref().map(|nfs| format!("nfs {}:{}", nfs.server, nfs.path)))
        .or_else(|| volume.persistent_volume_claim.as_ref().map(|claim| format!("claim {}", claim.claim_name)))
        .or_else(|| volume.config_map.as_ref().and_then(|one| named("ConfigMap", Some(&one.name))))
        .or_else(|| volume.secret.as_ref().and_then(|one| named("Secret", one.secret_name.as_deref())))
        .or_else(|| volume.host_path.as_ref().map(|one| format!("host path {}", one.path)))
        .or_else(|| volume.image.as_ref().and_then(|one| named("image", one.reference.as_deref())))
        .or_else(|| volume.empty_dir.as_ref().map(|_| "empty directory".to_owned()))
        .or_else(|| volume.downward_api.as_ref().map(|_| "downward API".to_owned()))
        .or_else(|| volume.projected.as_ref().map(|_| "projected".to_owned()))
        .or_else(|| volume.ephemeral.as_ref().map(|_| "claim of its own".to_owned()));
    found.unwrap_or_else(|| super::type_name(volume).to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_volume_names_its_source() {
        let check = |volume: serde_json::Value, expected: &str| {
            assert_eq!(describe(&serde_json::from_value(volume).unwrap()), expected);
        };
        check(serde_json::json!({"name": "v", "nfs": {"server": "s", "path": "/x"}}), "nfs s:/x");
        check(serde_json::json!({"name": "v", "persistentVolumeClaim": {"claimName": "c"}}), "claim c");
        check(serde_json::json!({"name": "v", "configMap": {"name": "m"}}), "ConfigMap m");
        check(serde_json::json!({"name": "v", "csi": {"driver": "d"}}), "csi");
    }
}
