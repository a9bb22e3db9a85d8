//! PodTemplates.

use k8s_openapi::api::core::v1::PodTemplate;

use super::pod::template;
use crate::field::{ErrorList, Path};
use crate::meta::{Scope, validate_meta, validate_meta_update};
use crate::names::subdomain_name;
use crate::object::Kind;
use crate::omit_empty;

const TEMPLATE: Path<'static> = Path::new("template");

impl Kind for PodTemplate {
    fn set_defaults(&mut self) {
        omit_empty::metadata(&mut self.metadata);
        template::set_defaults(self.template.get_or_insert_default());
    }

    fn validate(&self) -> ErrorList {
        let mut errors = validate_meta(&self.metadata, Scope::Namespaced, subdomain_name);
        errors.extend(self.template.iter().flat_map(|pods| template::validate(pods, &TEMPLATE)));
        errors
    }

    fn validate_update(&self, old: &Self) -> ErrorList {
        let mut errors = validate_meta_update(&self.metadata, &old.metadata);
        errors.extend(self.template.iter().flat_map(|pods| template::validate(pods, &TEMPLATE)));
        errors
    }

    fn validate_status_update(&self, old: &Self) -> ErrorList {
        Kind::validate_update(self, old)
    }

    fn warnings(&self) -> Vec<String> {
        self.template.iter().flat_map(|pods| template::warnings(pods, &TEMPLATE)).collect()
    }
}
