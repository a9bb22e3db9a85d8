//! ServiceAccounts.

use k8s_openapi::api::core::v1::ServiceAccount;

use crate::field::ErrorList;
use crate::meta::{Scope, validate_meta, validate_meta_update};
use crate::names::subdomain_name;
use crate::object::Kind;
use crate::omit_empty::{self, omit_empty};

/// The annotation of an account whose Pods may mount only Secrets that it lists.
pub const ENFORCE_MOUNTABLE_SECRETS: &str = "kubernetes.io/enforce-mountable-secrets";

impl Kind for ServiceAccount {
    fn set_defaults(&mut self) {
        omit_empty::metadata(&mut self.metadata);
        omit_empty!(self => image_pull_secrets, secrets);
        for secret in self.secrets.iter_mut().flatten() {
            omit_empty!(secret => api_version, field_path, kind, name, namespace, resource_version, uid);
        }
    }

    fn validate(&self) -> ErrorList {
        validate_meta(&self.metadata, Scope::Namespaced, subdomain_name)
    }

    fn validate_update(&self, old: &Self) -> ErrorList {
        let mut errors = validate_meta_update(&self.metadata, &old.metadata);
        errors.extend(Kind::validate(self));
        errors
    }

    fn validate_status_update(&self, old: &Self) -> ErrorList {
        Kind::validate_update(self, old)
    }

    fn warnings(&self) -> Vec<String> {
        let annotations = self.metadata.annotations.as_ref();
        if !annotations.is_some_and(|annotations| annotations.contains_key(ENFORCE_MOUNTABLE_SECRETS)) {
            return Vec::new();
        }
        let text = "deprecated in v1.32+; prefer separate namespaces to isolate access to mounted secrets";
        vec![format!("metadata.annotations[{ENFORCE_MOUNTABLE_SECRETS}]: {text}")]
    }

    fn update_warnings(&self, old: &Self) -> Vec<String> {
        // Those who made it know.
        let marked = old.metadata.annotations.as_ref();
        let known = marked.is_some_and(|annotations| annotations.contains_key(ENFORCE_MOUNTABLE_SECRETS));
        if known { Vec::new() } else { self.warnings() }
    }
}
