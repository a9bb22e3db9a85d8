//! ServiceAccounts.

use k8s_openapi::api::core::v1::ServiceAccount;

use crate::field::ErrorList;
use crate::meta::{Scope, validate_meta, validate_meta_update};
use crate::names::subdomain_name;
use crate::object::Kind;
use crate::omit_empty::{self, omit_empty};

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
}
