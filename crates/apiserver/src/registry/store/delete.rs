//! What a delete does: remove at once, or mark the object and let others finish.

use api::k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use api::{Gvk, Object};
use bytes::Bytes;
use jiff::Timestamp;

use super::{seconds, time};
use crate::error::{Conflict, Error};
use crate::registry::strategy::AnyStrategy;

/// What becomes of objects this one owns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PropagationPolicy {
    /// They stay.
    Orphan,
    /// They are deleted afterwards.
    Background,
    /// They are deleted first.
    Foreground,
}

/// How to delete.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DeleteOptions {
    /// How long the object may take to end.
    pub grace_period_seconds: Option<i64>,
    /// Only the object with this uid.
    pub uid: Option<String>,
    /// Only the object at this revision.
    pub resource_version: Option<String>,
    /// What becomes of dependents.
    pub propagation_policy: Option<PropagationPolicy>,
}

/// What a delete has done.
#[derive(Debug)]
pub enum Deleted {
    /// The object is gone.
    Gone {
        /// What it was.
        object: Bytes,
        /// Its uid.
        uid: String,
    },
    /// The object is marked and goes later.
    Pending {
        /// What it is now.
        object: Bytes,
    },
}

/// What a delete has to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DeletePlan {
    /// Nothing: it is under way.
    Unchanged,
    /// Store the object as it was changed.
    Mark,
    /// Remove the object.
    Remove,
}

const ORPHAN: &str = "orphan";
const FOREGROUND: &str = "foregroundDeletion";

impl DeleteOptions {
    /// Checks the preconditions.
    ///
    /// # Errors
    /// [`Error::Conflict`] when one does not hold.
    pub fn check(&self, gvk: &Gvk, meta: &ObjectMeta, revision: u64) -> Result<(), Error> {
        let present = meta.uid.as_deref().unwrap_or_default();
        let text = match (&self.uid, &self.resource_version) {
            (Some(uid), _) if uid != present => format!(
                "the UID in the precondition ({uid}) does not match the UID in record ({present}). The object might \
                 have been deleted and then recreated"
            ),
            (_, Some(wanted)) if *wanted != revision.to_string() => format!(
                "the ResourceVersion in the precondition ({wanted}) does not match the ResourceVersion in record \
                 ({revision}). The object might have been modified"
            ),
            _ => return Ok(()),
        };
        Err(Error::Conflict {
            group: gvk.group,
            kind: gvk.kind.to_owned(),
            name: meta.name.clone().unwrap_or_default(),
            conflict: Conflict::Other(text),
        })
    }
}

/// How far graceful deletion has come.
enum Grace {
    /// The kind knows none, or it is over.
    None,
    /// It goes on as it was.
    Pending,
    /// It begins, or was shortened; so many seconds are left.
    Seconds(i64),
}

/// Decides on a delete and changes the object accordingly.
pub fn plan_delete(
    object: &mut dyn Object,
    options: &DeleteOptions,
    strategy: &dyn AnyStrategy,
    now: Timestamp,
) -> DeletePlan {
    let grace = plan_grace(object, options, strategy, now);
    if matches!(grace, Grace::Pending) {
        return DeletePlan::Unchanged;
    }
    let before = object.clone_object();
    if strategy.collects_dependents() {
        set_dependents_finalizer(object.metadata_mut(), options.propagation_policy);
    }
    let meta = object.metadata();
    let finalizers = meta.finalizers.as_ref().is_some_and(|finalizers| !finalizers.is_empty());
    let content = strategy.holds_content(object);
    match grace {
        Grace::Seconds(seconds) if seconds > 0 || finalizers => DeletePlan::Mark,
        Grace::None if finalizers || content => {
            mark(object.metadata_mut(), content, now);
            strategy.mark_terminating(object);
            if object.equals(before.as_ref()) { DeletePlan::Unchanged } else { DeletePlan::Mark }
        }
        _ => DeletePlan::Remove,
    }
}

fn plan_grace(object: &mut dyn Object, options: &DeleteOptions, strategy: &dyn AnyStrategy, now: Timestamp) -> Grace {
    let asked = options.grace_period_seconds.map(|seconds| if seconds < 0 { 1 } else { seconds });
    let Some(period) = strategy.grace_period_seconds(object, asked) else { return Grace::None };
    let meta = object.metadata_mut();
    let Some(deadline) = &meta.deletion_timestamp else {
        meta.deletion_timestamp = Some(time(now + seconds(period)));
        meta.deletion_grace_period_seconds = Some(period);
        count_generation(meta);
        return Grace::Seconds(period);
    };
    // A deletion that is under way can only be shortened, and only by someone who says so.
    let Some(current) = meta.deletion_grace_period_seconds else { return Grace::None };
    match asked {
        Some(asked) if asked < current => {
            let started = deadline.0 - seconds(current);
            meta.deletion_timestamp = Some(time(started + seconds(asked)));
            meta.deletion_grace_period_seconds = Some(asked);
            Grace::Seconds(asked)
        }
        _ => Grace::Pending,
    }
}

fn mark(meta: &mut ObjectMeta, content: bool, now: Timestamp) {
    if meta.deletion_timestamp.is_none() {
        meta.deletion_timestamp = Some(time(now));
        count_generation(meta);
    }
    if !content {
        meta.deletion_grace_period_seconds = Some(0);
    }
}

fn count_generation(meta: &mut ObjectMeta) {
    meta.generation = meta.generation.map(|generation| if generation > 0 { generation + 1 } else { generation });
}

/// The garbage collector learns from finalizers what to do with dependents.
fn set_dependents_finalizer(meta: &mut ObjectMeta, policy: Option<PropagationPolicy>) {
    let Some(policy) = policy else { return };
    let finalizers = meta.finalizers.get_or_insert_default();
    finalizers.retain(|finalizer| finalizer != ORPHAN && finalizer != FOREGROUND);
    match policy {
        PropagationPolicy::Orphan => finalizers.push(ORPHAN.to_owned()),
        PropagationPolicy::Foreground => finalizers.push(FOREGROUND.to_owned()),
        PropagationPolicy::Background => {}
    }
    if finalizers.is_empty() {
        meta.finalizers = None;
    }
}
