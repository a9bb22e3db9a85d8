//! Bindings: the write that puts a Pod on a node.

use k8s_openapi::api::core::v1::Binding;

use crate::field::{ErrorList, Path, not_supported, required};
use crate::object::Kind;
use crate::omit_empty::{self, omit_empty};

#[cfg(test)]
mod tests;

impl Kind for Binding {
    fn set_defaults(&mut self) {
        omit_empty::metadata(&mut self.metadata);
        omit_empty!(self.target => api_version, field_path, kind, name, namespace, resource_version, uid);
    }

    fn validate(&self) -> ErrorList {
        let target = Path::new("target");
        let mut errors = ErrorList::new();
        let kind = self.target.kind.as_deref().unwrap_or_default();
        if !matches!(kind, "" | "Node") {
            errors.push(not_supported(&target.child("kind"), kind, &["Node", "<empty>"]));
        }
        if self.target.name.as_deref().unwrap_or_default().is_empty() {
            errors.push(required(&target.child("name"), ""));
        }
        errors
    }

    fn validate_update(&self, _old: &Self) -> ErrorList {
        self.validate()
    }

    fn validate_status_update(&self, _old: &Self) -> ErrorList {
        self.validate()
    }
}
