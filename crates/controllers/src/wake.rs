//! Whom a change of a Pod concerns.

use api::labels::Selector;
use client::reflector::Reflected;
use client::{Change, Index, ObjectKey};
use kube::Resource;

use crate::ownership;
use crate::pod_facts::PodFacts;

/// The objects of a kind that look after the Pod or did, and for one that nobody looks after those that select it.
pub fn by_pod<K: Reflected + Resource<DynamicType = ()>>(
    change: &Change<PodFacts>,
    by_namespace: &Index<K>,
    selector: impl Fn(&K) -> Selector,
) -> Vec<ObjectKey> {
    let keeper = |pod: &PodFacts| {
        let controller = pod.controller.as_ref().filter(|controller| ownership::is_of_kind::<K>(controller))?;
        Some(ObjectKey::new(pod.namespace(), &controller.name))
    };
    let (old, new) = match change {
        Change::Added(new) => (None, Some(new)),
        Change::Updated { old, new } => (Some(old), Some(new)),
        Change::Deleted(old) => (Some(old), None),
        Change::Synced => return Vec::new(),
    };
    let mut woken: Vec<ObjectKey> = old.into_iter().chain(new).filter_map(|pod| keeper(pod)).collect();
    woken.dedup();
    let free = new.filter(|new| new.controller.is_none() && new.deleted_at.is_none());
    if let Some(pod) = free.filter(|new| old.is_none_or(|old| old.labels != new.labels || old.controller.is_some())) {
        let all = by_namespace.of(pod.namespace()).into_iter();
        woken.extend(all.filter(|one| selector(one).matches(Some(&pod.labels))).map(|one| ObjectKey::of(&*one)));
    }
    woken
}
