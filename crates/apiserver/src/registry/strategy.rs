//! What each resource does beyond the generic handlers: a [`Strategy`] per kind, in the order its hooks are called.

use std::time::Duration;

use api::autoscaling::v1::scale::Replicas;
use api::field::ErrorList;
use api::managed_fields::ResetFields;
use api::{Kind, Object};
use jiff::Timestamp;
use store::Tier;

use super::allocator::Allocator;

/// What of an object a write may change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// Everything but status: the resource itself.
    Whole,
    /// Status: the `status` subresource.
    Status,
    /// The finalizers of a namespace's content: the `finalize` subresource.
    Finalize,
    /// Whether a certificate shall be signed: the `approval` subresource.
    Approval,
    /// The node of a Pod: the `binding` subresource.
    Binding,
    /// CPU and memory of a Pod's containers: the `resize` subresource.
    Resize,
    /// The ephemeral containers of a Pod: the subresource of that name.
    EphemeralContainers,
}

/// What goes into the preparation of a new object besides the object, and what comes out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Preparation {
    /// When it happens.
    pub now: Timestamp,
    /// What the client will be told on the side.
    pub warnings: Vec<String>,
}

/// The rules of one resource. On create: defaults, admission, [`Strategy::prepare_for_create`], names and system fields,
/// validation. On update the same with [`Strategy::prepare_for_update`]. Hooks are pure.
pub trait Strategy: Send + Sync + 'static {
    /// What it is about.
    type Kind: Kind;

    /// Clears what clients may not set on a new object, and sets what only the server knows.
    fn prepare_for_create(&self, _object: &mut Self::Kind, _preparation: &mut Preparation) {}

    /// Puts back what this part of the object may not change, and counts the generation.
    fn prepare_for_update(&self, _part: Part, _new: &mut Self::Kind, _old: &Self::Kind) {}

    /// Every problem of an update.
    fn validate_update(&self, part: Part, new: &Self::Kind, old: &Self::Kind) -> ErrorList {
        match part {
            Part::Whole => Kind::validate_update(new, old),
            Part::Status | Part::Finalize | Part::Approval | Part::Resize | Part::EphemeralContainers => {
                Kind::validate_status_update(new, old)
            }
            Part::Binding => ErrorList::new(), // the handler makes the change and knows what it may be
        }
    }

    /// What writes of this part cannot change, so that nobody owns it by them.
    fn reset_fields(&self, part: Part) -> ResetFields {
        match part {
            Part::Whole | Part::Finalize => ResetFields::These(&["status"]),
            Part::Status => ResetFields::These(&["spec"]),
            _ => ResetFields::These(&[]),
        }
    }

    /// For kinds that end gracefully: how many seconds this object gets, given what the client asked for.
    fn grace_period_seconds(&self, _object: &Self::Kind, _asked: Option<i64>) -> Option<i64> {
        None
    }

    /// Whether something the object stands for must go before it, beyond `metadata.finalizers`.
    fn holds_content(&self, _object: &Self::Kind) -> bool {
        false
    }

    /// Says in the object's status that it is on its way out.
    fn mark_terminating(&self, _object: &mut Self::Kind) {}

    /// Whether an update needs no `resourceVersion`.
    fn allows_unconditional_update(&self) -> bool {
        true
    }

    /// Whether an update creates what is not there.
    fn creates_on_update(&self) -> bool {
        false
    }

    /// Whether a delete answers the object rather than a `Status`.
    fn returns_deleted(&self) -> bool {
        false
    }

    /// Whether the garbage collector looks after dependents of this kind.
    fn collects_dependents(&self) -> bool {
        true
    }

    /// What the `scale` subresource tells of an object, for kinds that have it.
    fn replicas(&self, _object: &Self::Kind) -> Option<Replicas> {
        None
    }

    /// Says how many replicas there shall be, for kinds that have the `scale` subresource.
    fn set_replicas(&self, _object: &mut Self::Kind, _replicas: i32) {}

    /// What gives objects of this kind things of which there are only so many.
    fn allocator(&self) -> Option<&'static dyn Allocator> {
        None
    }

    /// How soon an object must be on disk.
    fn tier(&self, _object: &Self::Kind) -> Tier {
        Tier::Durable
    }

    /// How long objects live after their last write.
    fn time_to_live(&self) -> Option<Duration> {
        None
    }
}

/// A [`Strategy`] without its kind.
pub trait AnyStrategy: Send + Sync {
    /// See [`Strategy::prepare_for_create`].
    fn prepare_for_create(&self, object: &mut dyn Object, preparation: &mut Preparation);
    /// See [`Strategy::prepare_for_update`].
    fn prepare_for_update(&self, part: Part, new: &mut dyn Object, old: &dyn Object);
    /// See [`Strategy::validate_update`].
    fn validate_update(&self, part: Part, new: &dyn Object, old: &dyn Object) -> ErrorList;
    /// See [`Strategy::reset_fields`].
    fn reset_fields(&self, part: Part) -> ResetFields;
    /// See [`Strategy::grace_period_seconds`].
    fn grace_period_seconds(&self, object: &dyn Object, asked: Option<i64>) -> Option<i64>;
    /// See [`Strategy::holds_content`].
    fn holds_content(&self, object: &dyn Object) -> bool;
    /// See [`Strategy::mark_terminating`].
    fn mark_terminating(&self, object: &mut dyn Object);
    /// See [`Strategy::allows_unconditional_update`].
    fn allows_unconditional_update(&self) -> bool;
    /// See [`Strategy::creates_on_update`].
    fn creates_on_update(&self) -> bool;
    /// See [`Strategy::returns_deleted`].
    fn returns_deleted(&self) -> bool;
    /// See [`Strategy::collects_dependents`].
    fn collects_dependents(&self) -> bool;
    /// See [`Strategy::replicas`].
    fn replicas(&self, object: &dyn Object) -> Option<Replicas>;
    /// See [`Strategy::set_replicas`].
    fn set_replicas(&self, object: &mut dyn Object, replicas: i32);
    /// See [`Strategy::allocator`].
    fn allocator(&self) -> Option<&'static dyn Allocator>;
    /// See [`Strategy::tier`].
    fn tier(&self, object: &dyn Object) -> Tier;
    /// See [`Strategy::time_to_live`].
    fn time_to_live(&self) -> Option<Duration>;
}

const OWN_KIND: &str = "a registry hands its strategy objects of its own kind";

fn typed<K: Kind>(object: &dyn Object) -> &K {
    object.as_any().downcast_ref().expect(OWN_KIND)
}

fn typed_mut<K: Kind>(object: &mut dyn Object) -> &mut K {
    object.as_any_mut().downcast_mut().expect(OWN_KIND)
}

impl<S: Strategy> AnyStrategy for S {
    fn prepare_for_create(&self, object: &mut dyn Object, preparation: &mut Preparation) {
        Strategy::prepare_for_create(self, typed_mut(object), preparation);
    }

    fn prepare_for_update(&self, part: Part, new: &mut dyn Object, old: &dyn Object) {
        Strategy::prepare_for_update(self, part, typed_mut(new), typed(old));
    }

    fn validate_update(&self, part: Part, new: &dyn Object, old: &dyn Object) -> ErrorList {
        Strategy::validate_update(self, part, typed(new), typed(old))
    }

    fn reset_fields(&self, part: Part) -> ResetFields {
        Strategy::reset_fields(self, part)
    }

    fn grace_period_seconds(&self, object: &dyn Object, asked: Option<i64>) -> Option<i64> {
        Strategy::grace_period_seconds(self, typed(object), asked)
    }

    fn holds_content(&self, object: &dyn Object) -> bool {
        Strategy::holds_content(self, typed(object))
    }

    fn mark_terminating(&self, object: &mut dyn Object) {
        Strategy::mark_terminating(self, typed_mut(object));
    }

    fn allows_unconditional_update(&self) -> bool {
        Strategy::allows_unconditional_update(self)
    }

    fn creates_on_update(&self) -> bool {
        Strategy::creates_on_update(self)
    }

    fn returns_deleted(&self) -> bool {
        Strategy::returns_deleted(self)
    }

    fn collects_dependents(&self) -> bool {
        Strategy::collects_dependents(self)
    }

    fn replicas(&self, object: &dyn Object) -> Option<Replicas> {
        Strategy::replicas(self, typed(object))
    }

    fn set_replicas(&self, object: &mut dyn Object, replicas: i32) {
        Strategy::set_replicas(self, typed_mut(object), replicas);
    }

    fn allocator(&self) -> Option<&'static dyn Allocator> {
        Strategy::allocator(self)
    }

    fn tier(&self, object: &dyn Object) -> Tier {
        Strategy::tier(self, typed(object))
    }

    fn time_to_live(&self) -> Option<Duration> {
        Strategy::time_to_live(self)
    }
}
