//! ResourceClaims and the templates they are made of.

use k8s_openapi::api::resource::v1::{ResourceClaim, ResourceClaimSpec, ResourceClaimTemplate};

use super::allocation::{default_status, validate_status};
use super::configuration::Origin;
use super::requests::{default_claim, validate_claim};
use super::shown;
use crate::field::{ErrorList, Json, Path, invalid};
use crate::meta::{IMMUTABLE, Scope, validate_meta, validate_meta_update, validate_template_meta};
use crate::names::subdomain_name;
use crate::object::Kind;
use crate::omit_empty;

const SPEC: Path<'static> = Path::new("spec");

impl Kind for ResourceClaim {
    fn set_defaults(&mut self) {
        omit_empty::metadata(&mut self.metadata);
        default_spec(&mut self.spec);
        default_status(self.status.get_or_insert_default());
    }

    fn validate(&self) -> ErrorList {
        let mut errors = validate_meta(&self.metadata, Scope::Namespaced, subdomain_name);
        validate_spec(&self.spec, Origin::New, &SPEC, &mut errors);
        errors
    }

    fn validate_update(&self, old: &Self) -> ErrorList {
        let mut errors = validate_meta_update(&self.metadata, &old.metadata);
        if self.spec != old.spec {
            errors.push(invalid(&SPEC, Json(&shown::claim_spec(&self.spec)), IMMUTABLE));
        }
        validate_spec(&self.spec, Origin::Stored, &SPEC, &mut errors);
        errors
    }

    fn validate_status_update(&self, old: &Self) -> ErrorList {
        let mut errors = validate_meta_update(&self.metadata, &old.metadata);
        validate_status(self, old, &mut errors);
        errors
    }
}

impl Kind for ResourceClaimTemplate {
    fn set_defaults(&mut self) {
        omit_empty::metadata(&mut self.metadata);
        omit_empty::metadata(self.spec.metadata.get_or_insert_default());
        default_spec(&mut self.spec.spec);
    }

    fn validate(&self) -> ErrorList {
        let mut errors = validate_meta(&self.metadata, Scope::Namespaced, subdomain_name);
        let path = SPEC.child("metadata");
        if let Some(metadata) = &self.spec.metadata {
            errors.extend(validate_template_meta(metadata, &path));
        }
        validate_spec(&self.spec.spec, Origin::New, &SPEC.child("spec"), &mut errors);
        errors
    }

    fn validate_update(&self, old: &Self) -> ErrorList {
        let mut errors = validate_meta_update(&self.metadata, &old.metadata);
        if self.spec != old.spec {
            errors.push(invalid(&SPEC, Json(&shown::template_spec(&self.spec)), IMMUTABLE));
        }
        errors
    }

    fn validate_status_update(&self, old: &Self) -> ErrorList {
        validate_meta_update(&self.metadata, &old.metadata)
    }
}

fn default_spec(spec: &mut ResourceClaimSpec) {
    default_claim(spec.devices.get_or_insert_default());
}

fn validate_spec(spec: &ResourceClaimSpec, origin: Origin, path: &Path<'_>, errors: &mut ErrorList) {
    if let Some(devices) = &spec.devices {
        validate_claim(devices, origin, &path.child("devices"), errors);
    }
}
