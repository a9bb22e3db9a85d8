//! VolumeAttributesClasses.

use k8s_openapi::api::storage::v1::VolumeAttributesClass;

use super::storage_class::{forbid_changed_parameters, require_parameters};
use crate::field::{ErrorList, Path, extend_invalid, invalid, required};
use crate::meta::{IMMUTABLE, Scope, validate_meta, validate_meta_update};
use crate::names::{self, subdomain_name};
use crate::object::Kind;
use crate::omit_empty::{self, omit_empty};

impl Kind for VolumeAttributesClass {
    fn set_defaults(&mut self) {
        omit_empty::metadata(&mut self.metadata);
        omit_empty!(self => parameters);
    }

    fn validate(&self) -> ErrorList {
        let mut errors = validate_meta(&self.metadata, Scope::Cluster, subdomain_name);
        let path = Path::new("driverName");
        if self.driver_name.is_empty() {
            errors.push(required(&path, ""));
        } else {
            extend_invalid(
                &mut errors,
                &path,
                &self.driver_name,
                names::qualified_name(&self.driver_name.to_lowercase()),
            );
        }
        require_parameters(self.parameters.as_ref(), &mut errors);
        errors
    }

    fn validate_update(&self, old: &Self) -> ErrorList {
        let mut errors = validate_meta_update(&self.metadata, &old.metadata);
        if self.driver_name != old.driver_name {
            errors.push(invalid(&Path::new("driverName"), &self.driver_name, IMMUTABLE));
        }
        forbid_changed_parameters(self.parameters.as_ref(), old.parameters.as_ref(), &mut errors);
        errors
    }

    fn validate_status_update(&self, old: &Self) -> ErrorList {
        Kind::validate_update(self, old)
    }
}
