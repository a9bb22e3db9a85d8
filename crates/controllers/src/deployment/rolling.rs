//! One step of a rollout. Pure.

use k8s_openapi::api::apps::v1::Deployment;

use super::plan::Sets;
use super::sets;

/// Moves the newest ReplicaSet towards what is wanted. Returns whether it moved.
pub fn move_new(deployment: &Deployment, all: &mut Sets) -> bool {
    let Some(position) = all.new_position() else { return false };
    let (size, wanted) = (sets::replicas(all.at(position)), sets::wanted(deployment));
    let target = if size > wanted { wanted } else { new_size(deployment, all, size) };
    size != target && all.resize(position, target, deployment)
}

/// How large the newest ReplicaSet may be now.
pub fn new_size(deployment: &Deployment, all: &Sets, size: i32) -> i32 {
    let wanted = sets::wanted(deployment);
    if !sets::is_rolling(deployment) {
        return wanted;
    }
    let max = wanted.saturating_add(sets::bounds(deployment).surge);
    let current = sets::sum(all.iter(), sets::replicas);
    if current >= max {
        return size;
    }
    size + (max - current).min(wanted - size)
}

/// Shrinks old ReplicaSets as far as enough Pods stay available. Returns whether any shrank.
pub fn shrink_old(deployment: &Deployment, all: &mut Sets) -> bool {
    if sets::sum(&all.old, sets::replicas) == 0 {
        return false;
    }
    let min_available = sets::wanted(deployment) - sets::bounds(deployment).unavailable;
    let new_unavailable = all.new.as_ref().map_or(0, |new| sets::replicas(new) - sets::available(new));
    let spare = sets::sum(all.iter(), sets::replicas) - min_available - new_unavailable;
    if spare <= 0 {
        return false;
    }
    // Pods that are not available are missed by nobody, so that a broken rollout does not hold up its repair.
    let broken = drop_unavailable(deployment, all, spare);
    drop_available(deployment, all, min_available) || broken
}

fn drop_unavailable(deployment: &Deployment, all: &mut Sets, spare: i32) -> bool {
    let mut left = spare;
    for position in all.old_positions() {
        let (size, available) = (sets::replicas(all.at(position)), sets::available(all.at(position)));
        let dropped = left.min(size - available);
        if size > 0 && dropped > 0 {
            all.resize(position, size - dropped, deployment);
            left -= dropped;
        }
    }
    left < spare
}

fn drop_available(deployment: &Deployment, all: &mut Sets, min_available: i32) -> bool {
    let excess = sets::sum(all.iter(), sets::available) - min_available;
    let mut left = excess.max(0);
    for position in all.old_positions() {
        let size = sets::replicas(all.at(position));
        let dropped = left.min(size);
        if dropped > 0 {
            all.resize(position, size - dropped, deployment);
            left -= dropped;
        }
    }
    left < excess.max(0)
}
