//! Namespaces.

use k8s_openapi::api::core::v1::{Namespace, NamespaceSpec, NamespaceStatus};

use crate::field::{ErrorList, Path, extend_invalid, invalid};
use crate::meta::{Scope, text, validate_meta, validate_meta_update};
use crate::names::{label_name, qualified_name};
use crate::object::Kind;
use crate::omit_empty::{self, omit_empty};

#[cfg(test)]
mod tests;

/// The label every namespace carries with its own name.
pub const NAME_LABEL: &str = "kubernetes.io/metadata.name";
/// The finalizer that keeps a namespace until its content is gone.
pub const FINALIZER: &str = "kubernetes";
/// The phase of a namespace in use.
pub const PHASE_ACTIVE: &str = "Active";
/// The phase of a namespace that is being deleted.
pub const PHASE_TERMINATING: &str = "Terminating";

impl Kind for Namespace {
    fn set_defaults(&mut self) {
        omit_empty::metadata(&mut self.metadata);
        if let Some(name) = self.metadata.name.clone() {
            self.metadata.labels.get_or_insert_default().insert(NAME_LABEL.to_owned(), name);
        }
        let spec = self.spec.get_or_insert_with(NamespaceSpec::default);
        omit_empty!(spec => finalizers);
        let status = self.status.get_or_insert_with(NamespaceStatus::default);
        omit_empty!(status => phase, conditions);
        status.phase.get_or_insert_with(|| PHASE_ACTIVE.to_owned());
    }

    fn validate(&self) -> ErrorList {
        let mut errors = validate_meta(&self.metadata, Scope::Cluster, label_name);
        errors.extend(validate_finalizers(self));
        errors
    }

    fn validate_update(&self, old: &Self) -> ErrorList {
        validate_meta_update(&self.metadata, &old.metadata)
    }

    fn validate_status_update(&self, old: &Self) -> ErrorList {
        let mut errors = validate_meta_update(&self.metadata, &old.metadata);
        let phase = self.status.as_ref().map_or("", |status| text(&status.phase));
        let deleted = self.metadata.deletion_timestamp.is_some();
        let path = Path::new("status");
        if !deleted && phase != PHASE_ACTIVE {
            let message = "may only be 'Active' if `deletionTimestamp` is empty";
            errors.push(invalid(&path.child("Phase"), phase, message));
        } else if deleted && phase != PHASE_TERMINATING {
            let message = "may only be 'Terminating' if `deletionTimestamp` is not empty";
            errors.push(invalid(&path.child("Phase"), phase, message));
        }
        errors
    }
}

/// Every problem of replacing the finalizers through the `finalize` subresource.
pub fn validate_finalize_update(new: &Namespace, old: &Namespace) -> ErrorList {
    let mut errors = validate_meta_update(&new.metadata, &old.metadata);
    let path = Path::new("spec");
    let path = path.child("finalizers");
    for (position, finalizer) in finalizers(new).enumerate() {
        validate_finalizer(finalizer, &path.index(position), &mut errors);
    }
    errors
}

/// Upstream names the list here, and the element only when a namespace is finalized.
fn validate_finalizers(namespace: &Namespace) -> ErrorList {
    let mut errors = ErrorList::new();
    let path = Path::new("spec");
    let path = path.child("finalizers");
    finalizers(namespace).for_each(|finalizer| validate_finalizer(finalizer, &path, &mut errors));
    errors
}

fn finalizers(namespace: &Namespace) -> impl Iterator<Item = &String> {
    namespace.spec.iter().filter_map(|spec| spec.finalizers.as_ref()).flatten()
}

fn validate_finalizer(finalizer: &str, path: &Path<'_>, errors: &mut ErrorList) {
    extend_invalid(errors, path, finalizer, qualified_name(finalizer));
    if !finalizer.contains('/') && !matches!(finalizer, "kubernetes" | "orphan" | "foregroundDeletion") {
        let message = "name is neither a standard finalizer name nor is it fully qualified";
        errors.push(invalid(path, finalizer, message));
    }
}
