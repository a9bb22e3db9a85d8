//! Metadata that changes: what may not.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use super::{
    IMMUTABLE, METADATA, Scope, text, validate_annotations, validate_finalizers, validate_known_finalizers,
    validate_managed_fields, validate_owners, validate_plain_meta,
};
use crate::field::{ErrorList, Json, Value, forbidden, invalid};
use crate::labels::validate_labels;
use crate::names::path_segment_name;

/// Every problem of replacing `old` metadata by `new`.
pub fn validate_meta_update(new: &ObjectMeta, old: &ObjectMeta) -> ErrorList {
    let mut errors = validate_plain_meta_update(new, old);
    validate_known_finalizers(new, &mut errors);
    errors
}

/// What is checked on each update of any kind, before the kind's own rules check it once more.
pub fn validate_any_update(new: &ObjectMeta, old: &ObjectMeta, scope: Scope) -> ErrorList {
    let mut errors = validate_plain_meta(new, scope, path_segment_name);
    errors.extend(validate_plain_meta_update(new, old));
    errors
}

/// The same without what is checked of new objects, too, and without finalizers of upstream's own.
pub(crate) fn validate_plain_meta_update(new: &ObjectMeta, old: &ObjectMeta) -> ErrorList {
    let mut errors = ErrorList::new();
    if old.deletion_timestamp.is_some() {
        forbid_new_finalizers(new, old, &mut errors);
    }
    if text(&new.resource_version).is_empty() {
        errors.push(invalid(&METADATA.child("resourceVersion"), "", "must be specified for an update"));
    }
    if new.generation.unwrap_or(0) < old.generation.unwrap_or(0) {
        let generation = new.generation.unwrap_or(0);
        errors.push(invalid(&METADATA.child("generation"), generation, "must not be decremented"));
    }
    require_unchanged(new, old, &mut errors);
    errors.extend(validate_labels(new.labels.as_ref(), &METADATA.child("labels")));
    errors.extend(validate_annotations(new.annotations.as_ref(), &METADATA.child("annotations")));
    errors.extend(validate_owners(new.owner_references.as_deref().unwrap_or_default()));
    errors.extend(validate_finalizers(new.finalizers.as_deref().unwrap_or_default()));
    errors.extend(validate_managed_fields(new.managed_fields.as_deref().unwrap_or_default()));
    errors
}

fn forbid_new_finalizers(new: &ObjectMeta, old: &ObjectMeta, errors: &mut ErrorList) {
    let known = old.finalizers.as_deref().unwrap_or_default();
    let mut added: Vec<&String> = new.finalizers.iter().flatten().filter(|name| !known.contains(name)).collect();
    if added.is_empty() {
        return;
    }
    added.sort_unstable();
    added.dedup();
    let mut message =
        "no new finalizers can be added if the object is being deleted, found new finalizers []string{".to_owned();
    for (position, name) in added.into_iter().enumerate() {
        message.push_str(if position == 0 { "" } else { ", " });
        name.quote(&mut message);
    }
    message.push('}');
    errors.push(forbidden(&METADATA.child("finalizers"), message));
}

fn require_unchanged(new: &ObjectMeta, old: &ObjectMeta, errors: &mut ErrorList) {
    let mut same = |field, new: &Option<String>, old: &Option<String>| {
        if text(new) != text(old) {
            errors.push(invalid(&METADATA.child(field), text(new), IMMUTABLE));
        }
    };
    same("name", &new.name, &old.name);
    same("namespace", &new.namespace, &old.namespace);
    same("uid", &new.uid, &old.uid);
    if new.creation_timestamp != old.creation_timestamp {
        errors.push(invalid(&METADATA.child("creationTimestamp"), Json(&new.creation_timestamp), IMMUTABLE));
    }
    if new.deletion_timestamp != old.deletion_timestamp {
        errors.push(invalid(&METADATA.child("deletionTimestamp"), Json(&new.deletion_timestamp), IMMUTABLE));
    }
    if new.deletion_grace_period_seconds != old.deletion_grace_period_seconds {
        let path = METADATA.child("deletionGracePeriodSeconds");
        errors.push(invalid(&path, new.deletion_grace_period_seconds, IMMUTABLE));
    }
}
