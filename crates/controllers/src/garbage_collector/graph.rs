//! Who owns what, as far as the watches have shown. No I/O.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;

use super::plan::{self, OwnerState};
use crate::objects::Member;

fn is_elsewhere(owner: &Member, dependent: &Member) -> bool {
    owner.kind.namespaced && owner.key.namespace != dependent.key.namespace
}

fn group_of(api_version: &str) -> &str {
    api_version.split_once('/').map_or("", |(group, _)| group)
}

/// An object's uid.
pub type Uid = Arc<str>;

/// All objects by uid, and who refers to whom as owner.
#[derive(Debug, Default)]
pub struct Graph {
    members: HashMap<Uid, Arc<Member>>,
    /// Of every uid that is named as an owner, present or not.
    dependents: HashMap<Uid, HashSet<Uid>>,
}

impl Graph {
    /// Adds or replaces an object. Returns whom to look at.
    pub fn set(&mut self, member: &Arc<Member>) -> Vec<Uid> {
        let uid = Arc::clone(&member.uid);
        let before = self.members.insert(Arc::clone(&uid), Arc::clone(member));
        let owners_changed = before.as_ref().is_none_or(|before| before.owners != member.owners);
        if owners_changed {
            if let Some(before) = &before {
                self.unlink(before);
            }
            for owner in &member.owners {
                self.dependents.entry(Arc::from(owner.uid.as_str())).or_default().insert(Arc::clone(&uid));
            }
        }
        let mut woken = Vec::new();
        if (owners_changed && !member.owners.is_empty()) || plan::waits_for_dependents(member) {
            woken.push(uid);
        }
        // A dependent that blocks no longer may let its owner go.
        let was_blocking = before.iter().filter(|_| owners_changed).flat_map(|before| &before.owners);
        woken.extend(was_blocking.filter_map(|owner| self.waiting_owner(&owner.uid)));
        woken
    }

    /// Removes an object. Returns whom to look at: its dependents, and owners that waited for it.
    pub fn remove(&mut self, uid: &str) -> Vec<Uid> {
        let mut woken: Vec<Uid> = self.dependents.get(uid).into_iter().flatten().cloned().collect();
        if let Some(member) = self.members.remove(uid) {
            self.unlink(&member);
            woken.extend(member.owners.iter().filter_map(|owner| self.waiting_owner(&owner.uid)));
        }
        woken
    }

    /// An object.
    pub fn member(&self, uid: &str) -> Option<Arc<Member>> {
        self.members.get(uid).cloned()
    }

    /// The objects that name this one as owner.
    pub fn dependents(&self, uid: &str) -> Vec<Arc<Member>> {
        let dependents = self.dependents.get(uid).into_iter().flatten();
        dependents.filter_map(|dependent| self.members.get(dependent)).cloned().collect()
    }

    /// An owner's state; none when the graph can't tell: a namespaced owner owns only within its namespace, and one that
    /// is named wrongly is somebody else.
    pub fn owner_state(&self, dependent: &Member, reference: &OwnerReference) -> Option<OwnerState> {
        let owner = self.members.get(reference.uid.as_str())?;
        let api = &owner.kind.api;
        let is_meant = (api.kind == reference.kind && api.group == group_of(&reference.api_version))
            && owner.key.name == reference.name;
        let is_it = is_meant && !is_elsewhere(owner, dependent);
        is_it.then(|| plan::state_of_present(owner.is_deleting, &owner.finalizers))
    }

    /// Whether what a reference names is known to be in another namespace, where it can't be an owner.
    pub fn is_owner_elsewhere(&self, dependent: &Member, reference: &OwnerReference) -> bool {
        self.members.get(reference.uid.as_str()).is_some_and(|owner| is_elsewhere(owner, dependent))
    }

    fn waiting_owner(&self, uid: &str) -> Option<Uid> {
        let owner = self.members.get(uid)?;
        plan::waits_for_dependents(owner).then(|| Arc::clone(&owner.uid))
    }

    fn unlink(&mut self, member: &Member) {
        for owner in &member.owners {
            if let Some(dependents) = self.dependents.get_mut(owner.uid.as_str()) {
                dependents.remove(&member.uid);
                if dependents.is_empty() {
                    self.dependents.remove(owner.uid.as_str());
                }
            }
        }
    }
}
