//! Nodes.

use k8s_openapi::api::core::v1::Node;

use crate::field::ErrorList;
use crate::meta::validate_meta_update;
use crate::object::Kind;

mod defaults;
#[cfg(test)]
mod tests;
mod validation;

impl Kind for Node {
    fn set_defaults(&mut self) {
        defaults::set_defaults(self);
    }

    fn validate(&self) -> ErrorList {
        validation::validate_node(self)
    }

    fn validate_update(&self, old: &Self) -> ErrorList {
        let mut errors = validate_meta_update(&self.metadata, &old.metadata);
        errors.extend(validation::validate_changes(self, old));
        errors
    }

    fn validate_status_update(&self, old: &Self) -> ErrorList {
        Kind::validate_update(self, old)
    }

    fn warnings(&self) -> Vec<String> {
        let Some(spec) = &self.spec else { return Vec::new() };
        let id = spec.external_id.as_deref().is_some_and(|id| !id.is_empty());
        let gone = [
            (spec.config_source.is_some(), "spec.configSource: the feature is removed"),
            (id, "spec.externalID: this field is deprecated, and is unused by Kubernetes"),
        ];
        gone.into_iter().filter(|(used, _)| *used).map(|(_, text)| text.to_owned()).collect()
    }
}
