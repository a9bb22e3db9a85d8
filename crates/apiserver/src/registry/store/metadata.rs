//! The part of metadata that belongs to the server.

use api::Object;
use api::k8s_openapi::apimachinery::pkg::apis::meta::v1::{ManagedFieldsEntry, ObjectMeta};
use jiff::Timestamp;

use super::time;

/// The prefix a name is to be made from, when the client gave no name.
pub fn generated_name_prefix(meta: &ObjectMeta) -> Option<String> {
    let named = meta.name.as_deref().is_some_and(|name| !name.is_empty());
    meta.generate_name.clone().filter(|prefix| !named && !prefix.is_empty())
}

/// Makes metadata that of a new object.
pub fn prepare_new(meta: &mut ObjectMeta, uid: String, now: Timestamp) {
    meta.uid = Some(uid);
    meta.creation_timestamp = Some(time(now));
    meta.deletion_timestamp = None;
    meta.deletion_grace_period_seconds = None;
    meta.resource_version = None;
    meta.self_link = None;
}

/// Before a strategy looks at an update: the generation is the server's.
pub fn prepare_update(new: &mut ObjectMeta, old: &ObjectMeta) {
    new.generation = old.generation;
    new.self_link = None;
}

/// Puts back the times of managed fields when an update changes nothing else, so that it need not be written.
pub fn ignore_times(new: &mut dyn Object, old: &dyn Object) {
    let times_only = match (&new.metadata().managed_fields, &old.metadata().managed_fields) {
        (Some(new), Some(old)) if new.len() == old.len() && new != old => {
            new.iter().zip(old).all(|(new, old)| ManagedFieldsEntry { time: old.time.clone(), ..new.clone() } == *old)
        }
        _ => false,
    };
    if times_only {
        let before = old.metadata().managed_fields.clone();
        let changed = std::mem::replace(&mut new.metadata_mut().managed_fields, before);
        if !new.equals(old) {
            new.metadata_mut().managed_fields = changed;
        }
    }
}

/// Puts back what no update can change.
pub fn keep_system_fields(new: &mut ObjectMeta, old: &ObjectMeta) {
    if new.uid.as_deref().unwrap_or_default().is_empty() {
        new.uid.clone_from(&old.uid);
    }
    new.creation_timestamp.clone_from(&old.creation_timestamp);
    if old.deletion_timestamp.is_some() {
        new.deletion_timestamp.clone_from(&old.deletion_timestamp);
    }
    new.deletion_grace_period_seconds = new.deletion_grace_period_seconds.or(old.deletion_grace_period_seconds);
}

/// Whether an update takes away the last thing that kept a deleted object.
pub fn ends_with_update(new: &ObjectMeta, old: &ObjectMeta) -> bool {
    let finalizers = new.finalizers.as_ref().is_some_and(|finalizers| !finalizers.is_empty());
    !finalizers && old.deletion_timestamp.is_some() && old.deletion_grace_period_seconds.unwrap_or(0) == 0
}
