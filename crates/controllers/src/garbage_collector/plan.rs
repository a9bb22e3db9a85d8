//! What becomes of an object, given its owners. Pure.

use std::sync::Arc;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;

use crate::objects::Member;

/// Holds a deleted object until those it blocks on are gone.
pub const FOREGROUND: &str = "foregroundDeletion";
/// Holds a deleted object until its dependents no longer name it.
pub const ORPHAN: &str = "orphan";

/// How an owner stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OwnerState {
    /// It is there.
    Present,
    /// It is deleted in the foreground: it goes after its dependents.
    WaitsForDependents,
    /// Nothing with its uid is there.
    Absent,
}

/// What happens to the dependents of a deleted object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Propagation {
    /// They go afterwards.
    Background,
    /// They go first.
    Foreground,
    /// They stay.
    Orphan,
}

/// What to do with an object.
#[derive(Debug, Clone, PartialEq)]
pub enum Action {
    /// Leave it alone.
    Nothing,
    /// Delete it.
    Delete(Propagation),
    /// Let its owners go before it, and then delete it in the foreground: something below it waits for it in turn.
    BreakCycle(Vec<OwnerReference>),
    /// Strike the owners that are gone or going; these stay.
    KeepOwners(Vec<OwnerReference>),
}

/// Plans for an object that is not being deleted; `states` are those of its owners, in order.
pub fn plan(member: &Member, states: &[OwnerState], dependents: &[Arc<Member>]) -> Action {
    assert_eq!(member.owners.len(), states.len(), "one state per owner");
    let is_present = |state: &OwnerState| *state == OwnerState::Present;
    if states.iter().all(is_present) {
        return Action::Nothing;
    }
    if states.iter().any(is_present) {
        let kept = member.owners.iter().zip(states).filter(|(_, state)| is_present(state));
        return Action::KeepOwners(kept.map(|(owner, _)| owner.clone()).collect());
    }
    // Who deletes the owner in the foreground wants everything below it gone first.
    if states.contains(&OwnerState::WaitsForDependents) && !dependents.is_empty() {
        let is_cycle = dependents.iter().any(|dependent| waits_in_foreground(dependent));
        let blocks = member.owners.iter().any(|owner| owner.block_owner_deletion == Some(true));
        return if is_cycle && blocks {
            Action::BreakCycle(unblocked(&member.owners))
        } else {
            Action::Delete(Propagation::Foreground)
        };
    }
    let has = |finalizer: &str| member.finalizers.iter().any(|present| present == finalizer);
    Action::Delete(match () {
        () if has(ORPHAN) => Propagation::Orphan,
        () if has(FOREGROUND) => Propagation::Foreground,
        () => Propagation::Background,
    })
}

/// The state of an owner that is there.
pub fn state_of_present(is_deleting: bool, finalizers: &[String]) -> OwnerState {
    if is_deleting && finalizers.iter().any(|finalizer| finalizer == FOREGROUND) {
        OwnerState::WaitsForDependents
    } else {
        OwnerState::Present
    }
}

/// Whether a deleted object goes after its dependents.
pub fn waits_in_foreground(member: &Member) -> bool {
    state_of_present(member.is_deleting, &member.finalizers) == OwnerState::WaitsForDependents
}

/// Owners that may go before what they own.
fn unblocked(owners: &[OwnerReference]) -> Vec<OwnerReference> {
    let unblocked = owners.iter().map(|owner| OwnerReference { block_owner_deletion: Some(false), ..owner.clone() });
    unblocked.collect()
}

/// Whether a deleted object is held by us.
pub fn waits_for_dependents(member: &Member) -> bool {
    member.is_deleting && member.finalizers.iter().any(|finalizer| finalizer == FOREGROUND || finalizer == ORPHAN)
}

/// Whether a dependent holds up its owner's deletion in the foreground.
pub fn blocks(dependent: &Member, owner: &str) -> bool {
    dependent.owners.iter().any(|reference| reference.uid == owner && reference.block_owner_deletion == Some(true))
}

/// Owners without one of them.
pub fn without(owners: &[OwnerReference], uid: &str) -> Vec<OwnerReference> {
    owners.iter().filter(|owner| owner.uid != uid).cloned().collect()
}
