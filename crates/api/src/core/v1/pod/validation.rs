//! Validation of Pods.

use k8s_openapi::api::core::v1::Pod;

use crate::field::ErrorList;
use crate::meta::{Scope, validate_meta, validate_meta_update};
use crate::names::subdomain_name;

pub(super) fn validate_create(pod: &Pod) -> ErrorList {
    validate_meta(&pod.metadata, Scope::Namespaced, subdomain_name)
}

pub(super) fn validate_update(new: &Pod, old: &Pod) -> ErrorList {
    validate_meta_update(&new.metadata, &old.metadata)
}

pub(super) fn validate_status_update(new: &Pod, old: &Pod) -> ErrorList {
    validate_meta_update(&new.metadata, &old.metadata)
}
