//! Files of one volume that would be written over each other, or into each other.

use std::collections::BTreeSet;

use k8s_openapi::api::core::v1::{DownwardAPIVolumeFile, KeyToPath, Volume, VolumeProjection};

use crate::meta::text;

/// Warnings about the files a volume shows.
pub fn warn_of_overlaps(volume: &Volume, warnings: &mut Vec<String>) {
    let name = &volume.name;
    if let Some(items) = volume.config_map.as_ref().and_then(|source| source.items.as_deref()) {
        let config_map = volume.config_map.as_ref().map_or("", |source| &source.name);
        overlaps(&paths(items), &format!("volume {name:?} (ConfigMap {config_map:?})"), warnings);
    }
    if let Some(items) = volume.secret.as_ref().and_then(|source| source.items.as_deref()) {
        let secret = volume.secret.as_ref().map_or("", |source| text(&source.secret_name));
        overlaps(&paths(items), &format!("volume {name:?} (Secret {secret:?})"), warnings);
    }
    if let Some(items) = volume.downward_api.as_ref().and_then(|source| source.items.as_deref()) {
        overlaps(&files(items), &format!("volume {name:?} (DownwardAPI)"), warnings);
    }
    if let Some(projected) = &volume.projected {
        warn_of_sources(name, projected.sources.as_deref().unwrap_or_default(), warnings);
    }
}

fn warn_of_sources(name: &str, sources: &[VolumeProjection], warnings: &mut Vec<String>) {
    let mut before = BTreeSet::new();
    for source in sources {
        if *source == VolumeProjection::default() {
            warnings.push(format!("volume {name:?} (Projected) has no sources provided"));
            continue;
        }
        let Some((paths, what)) = shown(source).filter(|(paths, _)| !paths.is_empty()) else { continue };
        let place = format!("volume {name:?} (Projected {what})");
        overlaps(&paths, &place, warnings);
        let own: BTreeSet<&str> = paths.iter().copied().collect();
        // Those that two sources show stand there twice.
        let mut all: Vec<&str> = own.iter().chain(&before).copied().collect();
        all.sort_unstable();
        overlaps(&all, &place, warnings);
        before.extend(own);
    }
}

/// What a source of a projection shows, and what it is.
fn shown(source: &VolumeProjection) -> Option<(Vec<&str>, String)> {
    let config_map = source.config_map.as_ref().and_then(|source| Some((source, source.items.as_deref()?)));
    let secret = source.secret.as_ref().and_then(|source| Some((source, source.items.as_deref()?)));
    let downward = source.downward_api.as_ref().and_then(|source| source.items.as_deref());
    if let Some((source, items)) = config_map {
        Some((paths(items), format!("ConfigMap {:?}", source.name)))
    } else if let Some((source, items)) = secret {
        Some((paths(items), format!("Secret {:?}", source.name)))
    } else if let Some(items) = downward {
        Some((files(items), "DownwardAPI".to_owned()))
    } else if let Some(token) = &source.service_account_token {
        Some((vec![token.path.as_str()], "ServiceAccountToken".to_owned()))
    } else {
        let bundle = source.cluster_trust_bundle.as_ref()?;
        let name = bundle.name.as_deref().unwrap_or_else(|| text(&bundle.signer_name));
        Some((vec![bundle.path.as_str()], format!("ClusterTrustBundle {name:?}")))
    }
}

fn paths(items: &[KeyToPath]) -> Vec<&str> {
    items.iter().map(|item| item.path.as_str()).collect()
}

fn files(items: &[DownwardAPIVolumeFile]) -> Vec<&str> {
    items.iter().map(|item| item.path.as_str()).collect()
}

fn overlaps(paths: &[&str], place: &str, warnings: &mut Vec<String>) {
    let mut seen: BTreeSet<&str> = BTreeSet::new();
    for path in paths.iter().map(|path| path.trim_end_matches('/')) {
        if let Some(other) = seen.iter().find(|other| overlap(other, path)) {
            warnings.push(format!("{place}: overlapping paths: {path:?} with {other:?}"));
        }
        seen.insert(path);
    }
}

/// Whether one is the other or lies in it. Like upstream, a path is also taken to lie in what its name only begins with.
fn overlap(one: &str, other: &str) -> bool {
    let begins = |longer: &str, shorter: &str| longer.starts_with(shorter) || format!("{longer}/") == shorter;
    !one.is_empty() && !other.is_empty() && (begins(one, other) || begins(other, one))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn check(volume: Value, expected: &[&str]) {
        let volume: Volume = serde_json::from_value(volume).unwrap();
        let mut warnings = Vec::new();
        warn_of_overlaps(&volume, &mut warnings);
        assert_eq!(warnings, expected);
    }

    fn items(paths: &[&str]) -> Value {
        paths.iter().map(|path| json!({"key": "k", "path": path})).collect()
    }

    #[test]
    fn files_of_one_source_are_told_apart() {
        check(json!({"name": "v", "configMap": {"name": "m", "items": items(&["a", "b/c"])}}), &[]);
        check(
            json!({"name": "v", "configMap": {"name": "m", "items": items(&["a", "a"])}}),
            &["volume \"v\" (ConfigMap \"m\"): overlapping paths: \"a\" with \"a\""],
        );
        check(
            json!({"name": "v", "secret": {"secretName": "s", "items": items(&["a/b", "a"])}}),
            &["volume \"v\" (Secret \"s\"): overlapping paths: \"a\" with \"a/b\""],
        );
        check(
            json!({"name": "v", "downwardAPI": {"items": items(&["a/", "a/b"])}}),
            &["volume \"v\" (DownwardAPI): overlapping paths: \"a/b\" with \"a\""],
        );
    }

    #[test]
    fn files_of_several_sources_are_told_apart() {
        let token = json!({"serviceAccountToken": {"path": "token"}});
        let map = json!({"configMap": {"name": "m", "items": items(&["token", "other"])}});
        check(
            json!({"name": "v", "projected": {"sources": [token, map]}}),
            &["volume \"v\" (Projected ConfigMap \"m\"): overlapping paths: \"token\" with \"token\""],
        );
        check(
            json!({"name": "v", "projected": {"sources": [{}]}}),
            &["volume \"v\" (Projected) has no sources provided"],
        );
        let bundle = json!({"clusterTrustBundle": {"signerName": "e.com/s", "path": "token/a"}});
        check(
            json!({"name": "v", "projected": {"sources": [{"serviceAccountToken": {"path": "token"}}, bundle]}}),
            &["volume \"v\" (Projected ClusterTrustBundle \"e.com/s\"): overlapping paths: \"token/a\" with \"token\""],
        );
    }
}
