//! DeviceClasses: devices of a kind, and how drivers set them up.

use k8s_openapi::api::resource::v1::DeviceClass;

use super::configuration::{Origin, validate_configuration};
use super::lists::validate_list;
use super::requests::{MAX_CONFIGURATIONS, validate_selectors};
use crate::core::v1::resource_list::is_extended;
use crate::field::{ErrorList, Path, invalid};
use crate::meta::{Scope, validate_meta, validate_meta_update};
use crate::names::subdomain_name;
use crate::object::Kind;
use crate::omit_empty::{self, omit_empty};

const SPEC: Path<'static> = Path::new("spec");

impl Kind for DeviceClass {
    fn set_defaults(&mut self) {
        omit_empty::metadata(&mut self.metadata);
        omit_empty!(self.spec => config, selectors);
    }

    fn validate(&self) -> ErrorList {
        let mut errors = validate_meta(&self.metadata, Scope::Cluster, subdomain_name);
        validate_spec(self, Origin::New, &mut errors);
        errors
    }

    fn validate_update(&self, old: &Self) -> ErrorList {
        let mut errors = validate_meta_update(&self.metadata, &old.metadata);
        let origin = if self.spec.config == old.spec.config { Origin::Stored } else { Origin::New };
        validate_spec(self, origin, &mut errors);
        errors
    }

    fn validate_status_update(&self, old: &Self) -> ErrorList {
        validate_meta_update(&self.metadata, &old.metadata)
    }
}

fn validate_spec(class: &DeviceClass, origin: Origin, errors: &mut ErrorList) {
    let spec = &class.spec;
    validate_selectors(spec.selectors.as_deref().unwrap_or_default(), &SPEC.child("selectors"), errors);
    let (list, path) = (spec.config.as_deref().unwrap_or_default(), SPEC.child("config"));
    validate_list(list, MAX_CONFIGURATIONS, &path, errors, |configuration, path, errors| {
        validate_configuration(configuration.opaque.as_ref(), origin, path, errors);
    });
    if let Some(name) = spec.extended_resource_name.as_deref().filter(|name| !is_extended(name)) {
        let message = "must be a valid extended resource name";
        errors.push(invalid(&SPEC.child("extendedResourceName"), name, message));
    }
}
