//! The part of metadata that belongs to the server.

use api::k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
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
    drop_unkept(meta);
}

/// Before a strategy looks at an update: the generation is the server's.
pub fn prepare_update(new: &mut ObjectMeta, old: &ObjectMeta) {
    new.generation = old.generation;
    drop_unkept(new);
}

/// Fields this server does not keep: field ownership comes with server-side apply.
fn drop_unkept(meta: &mut ObjectMeta) {
    meta.self_link = None;
    meta.managed_fields = None;
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
