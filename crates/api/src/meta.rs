//! Object metadata: validation on create and on update.

use std::collections::BTreeMap;

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ManagedFieldsEntry, ObjectMeta, OwnerReference};

use crate::field::{ErrorList, Json, Path, extend_invalid, forbidden, invalid, required, too_long};
use crate::labels::validate_labels;
use crate::names::{self, NameCheck};

mod conditions;
mod template;
#[cfg(test)]
mod tests;
mod update;

pub use conditions::validate_conditions;
pub use template::validate_template_meta;
pub(crate) use update::validate_plain_meta_update;
pub use update::{validate_any_update, validate_meta_update};

/// The path of every object's metadata.
pub const METADATA: Path<'static> = Path::new("metadata");

/// The largest sum of annotation keys and values.
pub(crate) const MAX_ANNOTATIONS_BYTES: usize = 256 * 1024;
/// How Go writes a time that nobody has set.
pub(crate) const ZERO_TIME: &str = "0001-01-01T00:00:00Z";

/// Whether a time is the one that nobody has set.
pub(crate) fn is_zero_time(time: Timestamp) -> bool {
    ZERO_TIME.parse::<Timestamp>().is_ok_and(|zero| zero == time)
}

/// The longest name of a field manager.
const MAX_MANAGER_LENGTH: usize = 128;

/// Whether objects of a kind live in a namespace.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// They do, and must name it.
    Namespaced,
    /// They do not, and must not name one.
    Cluster,
}

/// Every problem of a new object's metadata. Generated names must already be there.
pub fn validate_meta(meta: &ObjectMeta, scope: Scope, check_name: NameCheck) -> ErrorList {
    let mut errors = validate_plain_meta(meta, scope, check_name);
    validate_known_finalizers(meta, &mut errors);
    errors
}

/// The same for kinds that may carry finalizers without a domain.
pub fn validate_plain_meta(meta: &ObjectMeta, scope: Scope, check_name: NameCheck) -> ErrorList {
    let mut errors = validate_name(meta, check_name);
    validate_namespace(meta, scope, &mut errors);
    if let Some(generation) = meta.generation.filter(|generation| *generation < 0) {
        errors.push(invalid(&METADATA.child("generation"), generation, NOT_NEGATIVE));
    }
    errors.extend(validate_labels(meta.labels.as_ref(), &METADATA.child("labels")));
    errors.extend(validate_annotations(meta.annotations.as_ref(), &METADATA.child("annotations")));
    errors.extend(validate_owners(meta.owner_references.as_deref().unwrap_or_default()));
    errors.extend(validate_finalizers(meta.finalizers.as_deref().unwrap_or_default()));
    errors.extend(validate_managed_fields(meta.managed_fields.as_deref().unwrap_or_default()));
    errors
}

/// `must be greater than or equal to 0`
pub(crate) const NOT_NEGATIVE: &str = "must be greater than or equal to 0";
/// `field is immutable`
pub(crate) const IMMUTABLE: &str = "field is immutable";

/// A string of the metadata; unset and empty are the same.
pub(crate) fn text(field: &Option<String>) -> &str {
    field.as_deref().unwrap_or_default()
}

fn validate_name(meta: &ObjectMeta, check_name: NameCheck) -> ErrorList {
    let mut errors = ErrorList::new();
    let (prefix, name) = (text(&meta.generate_name), text(&meta.name));
    if !prefix.is_empty() {
        extend_invalid(&mut errors, &METADATA.child("generateName"), prefix, check_name(prefix, true));
    }
    if name.is_empty() {
        errors.push(required(&METADATA.child("name"), "name or generateName is required"));
    } else {
        extend_invalid(&mut errors, &METADATA.child("name"), name, check_name(name, false));
    }
    errors
}

fn validate_namespace(meta: &ObjectMeta, scope: Scope, errors: &mut ErrorList) {
    let path = METADATA.child("namespace");
    match (scope, text(&meta.namespace)) {
        (Scope::Namespaced, "") => errors.push(required(&path, "")),
        (Scope::Namespaced, namespace) => extend_invalid(errors, &path, namespace, names::label_name(namespace, false)),
        (Scope::Cluster, "") => {}
        (Scope::Cluster, _) => errors.push(forbidden(&path, "not allowed on this type")),
    }
}

/// Checks the keys of annotations and their total size.
pub fn validate_annotations(annotations: Option<&BTreeMap<String, String>>, path: &Path<'_>) -> ErrorList {
    let mut errors = ErrorList::new();
    let mut bytes = 0;
    for (key, value) in annotations.into_iter().flatten() {
        bytes += key.len() + value.len();
        // Upper case is fine everywhere in an annotation's key, also in its prefix.
        if key.bytes().any(|byte| byte.is_ascii_uppercase()) {
            extend_invalid(&mut errors, path, key, names::qualified_name(&key.to_lowercase()));
        } else {
            extend_invalid(&mut errors, path, key, names::qualified_name(key));
        }
    }
    if bytes > MAX_ANNOTATIONS_BYTES {
        errors.push(too_long(path, MAX_ANNOTATIONS_BYTES));
    }
    errors
}

fn validate_owners(owners: &[OwnerReference]) -> ErrorList {
    let mut errors = ErrorList::new();
    let path = METADATA.child("ownerReferences");
    let mut controller: Option<&OwnerReference> = None;
    for owner in owners {
        validate_owner(owner, &path, &mut errors);
        if owner.controller != Some(true) {
            continue;
        }
        match controller {
            None => controller = Some(owner),
            Some(first) => errors.push(invalid(
                &path,
                Json(&owners),
                format!(
                    "Only one reference can have Controller set to true. Found \"true\" in references for {}/{} and {}/{}",
                    first.kind, first.name, owner.kind, owner.name
                ),
            )),
        }
    }
    errors
}

fn validate_owner(owner: &OwnerReference, path: &Path<'_>, errors: &mut ErrorList) {
    let (group, version) = owner.api_version.split_once('/').unwrap_or(("", &owner.api_version));
    let mut require = |field, value: &str, message| {
        if value.is_empty() {
            errors.push(invalid(&path.child(field), value, message));
        }
    };
    require("apiVersion", version, "version must not be empty");
    require("kind", &owner.kind, "must not be empty");
    require("name", &owner.name, "must not be empty");
    require("uid", &owner.uid, "must not be empty");
    if (group, version, owner.kind.as_str()) == ("", "v1", "Event") {
        errors.push(invalid(path, Json(owner), "/v1, Kind=Event is disallowed from being an owner"));
    }
}

fn validate_finalizers(finalizers: &[String]) -> ErrorList {
    let path = METADATA.child("finalizers");
    let mut errors = ErrorList::new();
    for finalizer in finalizers {
        extend_invalid(&mut errors, &path, finalizer, names::qualified_name(finalizer));
    }
    let has = |name: &str| finalizers.iter().any(|finalizer| finalizer == name);
    if has("orphan") && has("foregroundDeletion") {
        let message = "finalizer orphan and foregroundDeletion cannot be both set";
        errors.push(invalid(&path, Json(&finalizers), message));
    }
    errors
}

/// Finalizers without a domain are upstream's own, and there are few.
fn validate_known_finalizers(meta: &ObjectMeta, errors: &mut ErrorList) {
    let path = METADATA.child("finalizers");
    for (position, finalizer) in meta.finalizers.iter().flatten().enumerate() {
        if !finalizer.contains('/') && !is_standard_finalizer(finalizer) {
            let message = "name is neither a standard finalizer name nor is it fully qualified";
            errors.push(invalid(&path.index(position), finalizer, message));
        }
    }
}

fn is_standard_finalizer(name: &str) -> bool {
    matches!(name, "kubernetes" | "orphan" | "foregroundDeletion")
}

fn validate_managed_fields(entries: &[ManagedFieldsEntry]) -> ErrorList {
    let mut errors = ErrorList::new();
    let path = METADATA.child("managedFields");
    for (position, entry) in entries.iter().enumerate() {
        validate_managed_fields_entry(entry, &path.index(position), &mut errors);
    }
    errors
}

fn validate_managed_fields_entry(entry: &ManagedFieldsEntry, path: &Path<'_>, errors: &mut ErrorList) {
    if !matches!(text(&entry.operation), "Apply" | "Update") {
        errors.push(invalid(&path.child("operation"), text(&entry.operation), "must be `Apply` or `Update`"));
    }
    if !matches!(text(&entry.fields_type), "" | "FieldsV1") {
        errors.push(invalid(&path.child("fieldsType"), text(&entry.fields_type), "must be `FieldsV1`"));
    }
    errors.extend(validate_manager(text(&entry.manager), &path.child("manager")));
    if text(&entry.subresource).len() > MAX_MANAGER_LENGTH {
        errors.push(too_long(&path.child("subresource"), MAX_MANAGER_LENGTH));
    }
}

/// Checks the name of a field manager, as in the `fieldManager` parameter.
pub fn validate_manager(manager: &str, path: &Path<'_>) -> ErrorList {
    let mut errors = ErrorList::new();
    if manager.len() > MAX_MANAGER_LENGTH {
        errors.push(too_long(path, MAX_MANAGER_LENGTH));
    }
    if let Some((position, odd)) = manager.chars().enumerate().find(|(_, character)| character.is_control()) {
        errors.push(invalid(path, manager, format!("invalid character U+{:04X} (at position {position})", odd as u32)));
    }
    errors
}
