//! A Deployment that wants another number of Pods than before. Pure.

use k8s_openapi::api::apps::v1::{Deployment, ReplicaSet};

use super::plan::Sets;
use super::sets::{self, DESIRED, MAX};

/// Whether the Deployment was scaled since its ReplicaSets were.
pub fn was_scaled(deployment: &Deployment, all: &Sets) -> bool {
    let wanted = i64::from(sets::wanted(deployment));
    let active = all.iter().filter(|set| sets::replicas(set) > 0);
    active.filter_map(|set| sets::number(set, DESIRED)).any(|desired| desired != wanted)
}

/// Brings the sizes in line without going on with a rollout.
pub fn scale(deployment: &Deployment, all: &mut Sets) {
    let wanted = sets::wanted(deployment);
    if let Some(position) = all.only_active_or_newest() {
        if sets::replicas(all.at(position)) != wanted {
            all.resize(position, wanted, deployment);
        }
        return;
    }
    if all.new.as_ref().is_some_and(|new| is_saturated(deployment, new)) {
        for position in all.old_positions() {
            if sets::replicas(all.at(position)) > 0 {
                all.resize(position, 0, deployment);
            }
        }
        return;
    }
    if sets::is_rolling(deployment) {
        scale_proportionally(deployment, all);
    }
}

/// Whether the newest ReplicaSet alone is what is wanted.
fn is_saturated(deployment: &Deployment, new: &ReplicaSet) -> bool {
    let wanted = sets::wanted(deployment);
    sets::replicas(new) == wanted
        && sets::number(new, DESIRED) == Some(i64::from(wanted))
        && sets::available(new) == wanted
}

/// In the midst of a rollout all ReplicaSets grow or shrink by their share; what rounding leaves goes to the largest.
fn scale_proportionally(deployment: &Deployment, all: &mut Sets) {
    let wanted = sets::wanted(deployment);
    let allowed = if wanted > 0 { wanted.saturating_add(sets::bounds(deployment).surge) } else { 0 };
    let mut active: Vec<_> = all.positions().into_iter().filter(|at| sets::replicas(all.at(*at)) > 0).collect();
    let to_add = allowed - sets::sum(active.iter().map(|at| all.at(*at)), sets::replicas);
    // The largest first; among equals the newer when there is more to have, the older when there is less.
    active.sort_by(|a, b| {
        let (a, b) = (all.at(*a), all.at(*b));
        let age = if to_add > 0 { sets::by_creation(b, a) } else { sets::by_creation(a, b) };
        sets::replicas(b).cmp(&sets::replicas(a)).then(age)
    });
    let mut added = 0;
    let mut sizes = Vec::new();
    for position in &active {
        let set = all.at(*position);
        let share = if to_add == 0 { 0 } else { proportion(deployment, set, to_add, added) };
        sizes.push(sets::replicas(set) + share);
        added += share;
    }
    if let Some(largest) = sizes.first_mut() {
        *largest = (*largest + to_add - added).max(0);
    }
    for (position, size) in active.into_iter().zip(sizes) {
        all.resize(position, size, deployment);
    }
}

fn proportion(deployment: &Deployment, set: &ReplicaSet, to_add: i32, added: i32) -> i32 {
    if sets::replicas(set) == 0 || to_add == added {
        return 0;
    }
    let (share, left) = (fraction(deployment, set), to_add - added);
    if to_add > 0 { share.min(left) } else { share.max(left) }
}

/// By how much a ReplicaSet changes to keep its share.
fn fraction(deployment: &Deployment, set: &ReplicaSet) -> i32 {
    let (wanted, size) = (sets::wanted(deployment), sets::replicas(set));
    if wanted == 0 {
        return -size;
    }
    let max = i64::from(wanted) + i64::from(sets::bounds(deployment).surge);
    let before = sets::number(set, MAX).filter(|before| *before > 0);
    let before = before.unwrap_or_else(|| i64::from(sets::status(deployment).replicas.unwrap_or(0)).max(1));
    // Rounded to the nearest, halves up.
    let new = (2 * i64::from(size) * max + before) / (2 * before);
    i32::try_from(new).unwrap_or(i32::MAX) - size
}
