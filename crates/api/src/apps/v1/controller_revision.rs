//! ControllerRevisions: what a StatefulSet or DaemonSet once looked like.

use k8s_openapi::api::apps::v1::ControllerRevision;

use crate::field::{ErrorList, Json, Path, check_not_negative, invalid, required};
use crate::meta::{IMMUTABLE, Scope, validate_meta, validate_meta_update};
use crate::names::subdomain_name;
use crate::object::Kind;
use crate::omit_empty;

const DATA: Path<'static> = Path::new("data");

impl Kind for ControllerRevision {
    fn set_defaults(&mut self) {
        omit_empty::metadata(&mut self.metadata);
    }

    fn validate(&self) -> ErrorList {
        let mut errors = validate_meta(&self.metadata, Scope::Namespaced, subdomain_name);
        if self.data.as_ref().is_none_or(|data| data.0.is_null()) {
            errors.push(required(&DATA, "data is mandatory"));
        }
        check_not_negative(&mut errors, &Path::new("revision"), Some(self.revision));
        errors
    }

    fn validate_update(&self, old: &Self) -> ErrorList {
        let mut errors = validate_meta_update(&self.metadata, &old.metadata);
        errors.extend(Kind::validate(self));
        if self.data != old.data {
            errors.push(invalid(&DATA, Json(&self.data), IMMUTABLE));
        }
        errors
    }

    fn validate_status_update(&self, old: &Self) -> ErrorList {
        Kind::validate_update(self, old)
    }
}
