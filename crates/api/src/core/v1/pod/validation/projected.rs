//! Projected volumes and files of the downward API.

use std::collections::HashSet;

use k8s_openapi::api::core::v1::{
    ClusterTrustBundleProjection, DownwardAPIVolumeFile, KeyToPath, ProjectedVolumeSource,
    ServiceAccountTokenProjection, VolumeProjection,
};

use super::env::{FILE_FIELDS, validate_field_ref, validate_resource_ref};
use super::volumes::{check_mode, validate_item};
use super::{check_local_path, require};
use crate::certificates::v1beta1::cluster_trust_bundle::{check_name, validate_signer};
use crate::field::{ErrorList, Json, Path, forbidden, invalid, required};
use crate::internal::trust_bundle;
use crate::labels::{SelectorRules, validate_label_selector};

const MIN_TOKEN_SECONDS: i64 = 600;
const MAX_TOKEN_SECONDS: i64 = 1 << 32;

pub(super) fn validate_projected(projected: &ProjectedVolumeSource, path: &Path<'_>, errors: &mut ErrorList) {
    check_mode(projected.default_mode, &path.child("defaultMode"), errors);
    let mut files = Files { path, taken: HashSet::new() };
    let list_path = path.child("sources");
    for (position, source) in projected.sources.iter().flatten().enumerate() {
        validate_projection(source, &mut files, &list_path.index(position), errors);
    }
}

/// The files that sources put into the volume: no two may have one path.
struct Files<'a> {
    path: &'a Path<'a>,
    taken: HashSet<&'a str>,
}

impl<'a> Files<'a> {
    fn add(&mut self, file: &'a str, shown: &str, errors: &mut ErrorList) {
        if !self.taken.insert(file) {
            errors.push(invalid(self.path, shown, "conflicting duplicate paths"));
        }
    }
}

fn validate_projection<'a>(
    source: &'a VolumeProjection,
    files: &mut Files<'a>,
    path: &Path<'_>,
    errors: &mut ErrorList,
) {
    let mut sources = 0;
    if let Some(secret) = &source.secret {
        sources += 1;
        let items = secret.items.as_deref().unwrap_or_default();
        validate_object(&secret.name, items, files, &path.child("secret"), errors);
    }
    if let Some(config_map) = &source.config_map {
        sources += 1;
        let items = config_map.items.as_deref().unwrap_or_default();
        validate_object(&config_map.name, items, files, &path.child("configMap"), errors);
    }
    if let Some(downward) = &source.downward_api {
        sources += 1;
        for file in downward.items.iter().flatten() {
            validate_downward_file(file, &path.child("downwardAPI"), errors);
            if !file.path.is_empty() {
                files.add(&file.path, &file.path, errors);
            }
        }
    }
    if let Some(token) = &source.service_account_token {
        sources += 1;
        validate_token(token, files.path, &path.child("serviceAccountToken"), errors);
    }
    if let Some(bundle) = &source.cluster_trust_bundle {
        sources += 1;
        validate_trust_bundle(bundle, &path.child("clusterTrustBundle"), errors);
        files.add(&bundle.path, &bundle.path, errors);
    }
    sources += usize::from(source.pod_certificate.is_some());
    if sources > 1 {
        errors.push(forbidden(path, "may not specify more than 1 volume type per source"));
    }
}

fn validate_object<'a>(
    name: &str,
    items: &'a [KeyToPath],
    files: &mut Files<'a>,
    path: &Path<'_>,
    errors: &mut ErrorList,
) {
    require(name, &path.child("name"), errors);
    let list_path = path.child("items");
    for (position, item) in items.iter().enumerate() {
        validate_item(item, &list_path.index(position), errors);
        if !item.path.is_empty() {
            files.add(&item.path, name, errors);
        }
    }
}

/// Upstream names the volume's path and not the token's when it is missing.
fn validate_token(
    token: &ServiceAccountTokenProjection,
    volume_path: &Path<'_>,
    path: &Path<'_>,
    errors: &mut ErrorList,
) {
    let seconds = token.expiration_seconds.unwrap_or_default();
    let path = path.child("expirationSeconds");
    if seconds < MIN_TOKEN_SECONDS {
        errors.push(invalid(&path, seconds, "may not specify a duration less than 10 minutes"));
    }
    if seconds > MAX_TOKEN_SECONDS {
        errors.push(invalid(&path, seconds, "may not specify a duration larger than 2^32 seconds"));
    }
    let file_path = volume_path.child("path");
    require(&token.path, &file_path, errors);
    check_local_path(&token.path, &file_path, errors);
}

fn validate_trust_bundle(bundle: &ClusterTrustBundleProjection, path: &Path<'_>, errors: &mut ErrorList) {
    match (&bundle.name, &bundle.signer_name) {
        (Some(_), Some(_)) => {
            errors.push(invalid(path, Json(&trust_bundle(bundle)), "only one of name and signerName may be used"));
        }
        (Some(name), None) => {
            if name.is_empty() {
                errors.push(required(&path.child("name"), "must be a valid object name"));
            }
            let problems = check_name(signer_of_name(name).unwrap_or_default().as_str(), name);
            for problem in problems {
                let message = format!("not a valid clustertrustbundlename: {problem}");
                errors.push(invalid(&path.child("name"), name, message));
            }
            if bundle.label_selector.is_some() {
                let message = "labelSelector must be unset if name is specified";
                errors.push(invalid(&path.child("labelSelector"), Json(&bundle.label_selector), message));
            }
        }
        (None, Some(signer)) => {
            if signer.is_empty() {
                errors.push(required(&path.child("signerName"), "must be a valid signer name"));
            }
            errors.extend(validate_signer(signer, &path.child("signerName")));
            let selector = bundle.label_selector.as_ref();
            errors.extend(validate_label_selector(selector, SelectorRules::Strict, &path.child("labelSelector")));
        }
        (None, None) => errors.push(required(path, "either name or signerName must be specified")),
    }
    require(&bundle.path, &path.child("path"), errors);
    check_local_path(&bundle.path, &path.child("path"), errors);
}

/// The signer that a bundle's name begins with: all but the last of its parts.
fn signer_of_name(name: &str) -> Option<String> {
    let (signer, _) = name.rsplit_once(':')?;
    Some(signer.replace(':', "/"))
}

pub(super) fn validate_downward_file(file: &DownwardAPIVolumeFile, path: &Path<'_>, errors: &mut ErrorList) {
    let file_path = path.child("path");
    require(&file.path, &file_path, errors);
    check_local_path(&file.path, &file_path, errors);
    match (&file.field_ref, &file.resource_field_ref) {
        (Some(field), resource) => {
            validate_field_ref(field, FILE_FIELDS, &path.child("fieldRef"), errors);
            if resource.is_some() {
                let message = "fieldRef and resourceFieldRef can not be specified simultaneously";
                errors.push(invalid(path, "resource", message));
            }
        }
        (None, Some(resource)) => validate_resource_ref(resource, true, &path.child("resourceFieldRef"), errors),
        (None, None) => errors.push(required(path, "one of fieldRef and resourceFieldRef is required")),
    }
    check_mode(file.mode, &path.child("mode"), errors);
}
