//! What to do about a Deployment. Pure.
//!
//! The plan works on a model of the ReplicaSets ([`Sets`]): it moves sizes there as rules say, and what differs from
//! reality at the end is to be written.

use std::sync::Arc;

use jiff::Timestamp;
use k8s_openapi::api::apps::v1::{Deployment, DeploymentStatus, ReplicaSet, ReplicaSetSpec};
use k8s_openapi::api::core::v1::PodTemplateSpec;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, ObjectMeta};

use super::sets::{self, HASH_LABEL, REVISION};
use super::{history, progress, rolling, scaling};
use crate::ownership;
use crate::pod_facts::PodFacts;
use crate::runtime::Next;
use crate::template_hash;

/// The longest name of a ReplicaSet.
const NAME_LENGTH_MAX: usize = 253;

/// What is written, in this order, and then the status.
#[derive(Debug, Clone, PartialEq)]
pub struct Plan {
    /// To ReplicaSets.
    pub writes: Vec<Write>,
    /// The Deployment with its new status and revision, when they differ.
    pub deployment: Option<Deployment>,
    /// When to look again.
    pub next: Next,
}

/// A change of one ReplicaSet.
#[derive(Debug, Clone, PartialEq)]
pub enum Write {
    /// Make it.
    Create(ReplicaSet),
    /// Replace it.
    Update {
        /// As it should be.
        set: ReplicaSet,
        /// How large it was.
        before: i32,
    },
    /// Delete it.
    Delete(ReplicaSet),
}

/// The ReplicaSets of a Deployment as they should be.
#[derive(Debug, Clone, Default)]
pub struct Sets {
    /// The one of the present template.
    pub new: Option<ReplicaSet>,
    /// The others, oldest first.
    pub old: Vec<ReplicaSet>,
}

/// One of [`Sets`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Position {
    /// The newest.
    New,
    /// An old one.
    Old(usize),
}

impl Sets {
    /// Sorts ReplicaSets into the newest and the others. When several have the present template, the oldest counts.
    fn of(deployment: &Deployment, all: &[ReplicaSet]) -> Self {
        let mut old = all.to_vec();
        old.sort_by(sets::by_creation);
        let new = old.iter().position(|set| sets::is_current(set, deployment)).map(|position| old.remove(position));
        Self { new, old }
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = &ReplicaSet> {
        self.old.iter().chain(&self.new)
    }

    /// Where all of them are.
    pub fn positions(&self) -> Vec<Position> {
        self.old_positions().into_iter().chain(self.new_position()).collect()
    }

    /// Where the old ones are.
    pub fn old_positions(&self) -> Vec<Position> {
        (0..self.old.len()).map(Position::Old).collect()
    }

    /// Where the newest is.
    pub fn new_position(&self) -> Option<Position> {
        self.new.as_ref().map(|_| Position::New)
    }

    /// One of them.
    pub fn at(&self, position: Position) -> &ReplicaSet {
        match position {
            Position::New => self.new.as_ref().expect("a position of this set"),
            Position::Old(index) => &self.old[index],
        }
    }

    /// The only one that wants Pods; when none does, the newest there is.
    pub fn only_active_or_newest(&self) -> Option<Position> {
        let active: Vec<Position> =
            self.positions().into_iter().filter(|at| sets::replicas(self.at(*at)) > 0).collect();
        match active.as_slice() {
            [] => self.new_position().or_else(|| self.old_positions().pop()),
            [one] => Some(*one),
            _ => None,
        }
    }

    /// Sets a size and notes what the Deployment wants. Returns whether the size changed.
    pub fn resize(&mut self, position: Position, size: i32, deployment: &Deployment) -> bool {
        let set = match position {
            Position::New => self.new.as_mut().expect("a position of this set"),
            Position::Old(index) => &mut self.old[index],
        };
        let changed = sets::replicas(set) != size;
        sets::set_replicas(set, size);
        history::annotate_sizes(set, deployment);
        changed
    }
}

/// Plans one pass; `pods` are those of a ReplicaSet.
pub fn plan(
    deployment: &Deployment,
    all: &[ReplicaSet],
    pods: &dyn Fn(&ReplicaSet) -> Vec<Arc<PodFacts>>,
    now: Timestamp,
) -> Plan {
    let mut work =
        Work { deployment, sets: Sets::of(deployment, all), status: sets::status(deployment), revision: None, now };
    if deployment.metadata.deletion_timestamp.is_some() {
        work.find_new();
        let status = progress::observe(deployment, work.status.clone(), &work.sets, now);
        return work.finish(all, status, Vec::new());
    }
    progress::note_pause(deployment, &mut work.status, now);
    if sets::spec(deployment).paused == Some(true) || scaling::was_scaled(deployment, &work.sets) {
        return work.adjust(all);
    }
    if sets::is_rolling(deployment) { work.roll(all) } else { work.recreate(all, pods) }
}

/// The Deployment after finding that the name of its next ReplicaSet is taken.
pub fn collided(deployment: &Deployment) -> Deployment {
    let mut status = sets::status(deployment);
    status.collision_count = Some(status.collision_count.unwrap_or(0).saturating_add(1));
    Deployment { status: Some(status), ..deployment.clone() }
}

/// A plan in the making.
struct Work<'a> {
    deployment: &'a Deployment,
    sets: Sets,
    status: DeploymentStatus,
    revision: Option<String>,
    now: Timestamp,
}

impl Work<'_> {
    /// Brings the newest ReplicaSet, if there is one, up to date with what the Deployment says about it.
    fn find_new(&mut self) {
        let revision = history::next_revision(&self.sets.old);
        let Some(new) = &mut self.sets.new else { return };
        history::annotate(new, self.deployment, revision, false);
        new.spec.get_or_insert_default().min_ready_seconds = sets::spec(self.deployment).min_ready_seconds;
        self.revision = sets::annotation(new, REVISION).map(str::to_owned);
        let name = new.metadata.name.clone().unwrap_or_default();
        progress::note_new(self.deployment, &mut self.status, &name, false, self.now);
    }

    /// The same, and makes it when there is none.
    fn find_or_make_new(&mut self) {
        if self.sets.new.is_some() {
            return self.find_new();
        }
        let revision = history::next_revision(&self.sets.old);
        let mut new = new_set(self.deployment, self.status.collision_count);
        sets::set_replicas(&mut new, rolling::new_size(self.deployment, &self.sets, 0));
        history::annotate(&mut new, self.deployment, revision, true);
        self.revision = Some(revision.to_string());
        let name = new.metadata.name.clone().unwrap_or_default();
        progress::note_new(self.deployment, &mut self.status, &name, true, self.now);
        self.sets.new = Some(new);
    }

    /// Changes sizes only.
    fn adjust(mut self, all: &[ReplicaSet]) -> Plan {
        self.find_new();
        scaling::scale(self.deployment, &mut self.sets);
        let paused = sets::spec(self.deployment).paused == Some(true);
        let outdated = if paused { history::outdated(self.deployment, &self.sets.old) } else { Vec::new() };
        let status = progress::observe(self.deployment, self.status.clone(), &self.sets, self.now);
        self.finish(all, status, outdated)
    }

    fn roll(mut self, all: &[ReplicaSet]) -> Plan {
        self.find_or_make_new();
        let moved =
            rolling::move_new(self.deployment, &mut self.sets) || rolling::shrink_old(self.deployment, &mut self.sets);
        self.judge(all, !moved)
    }

    fn recreate(mut self, all: &[ReplicaSet], pods: &dyn Fn(&ReplicaSet) -> Vec<Arc<PodFacts>>) -> Plan {
        self.find_new();
        let mut shrunk = false;
        for position in self.sets.old_positions() {
            shrunk |= sets::replicas(self.sets.at(position)) > 0 && self.sets.resize(position, 0, self.deployment);
        }
        let runs = |set: &ReplicaSet| sets::seen(set).replicas > 0 || pods(set).iter().any(|pod| !pod.is_terminated());
        if shrunk || self.sets.old.iter().any(runs) {
            return self.judge(all, false);
        }
        self.find_or_make_new();
        let moved = rolling::move_new(self.deployment, &mut self.sets);
        self.judge(all, !moved)
    }

    /// The end of a rollout's step: old revisions go when it has arrived.
    fn judge(self, all: &[ReplicaSet], may_clean: bool) -> Plan {
        let old = sets::status(self.deployment);
        let is_over = may_clean && progress::is_complete(self.deployment, &old);
        let outdated = if is_over { history::outdated(self.deployment, &self.sets.old) } else { Vec::new() };
        let mut status = progress::observe(self.deployment, self.status.clone(), &self.sets, self.now);
        progress::judge(self.deployment, &old, &mut status, &self.sets, self.now);
        self.finish(all, status, outdated)
    }

    fn finish(self, before: &[ReplicaSet], status: DeploymentStatus, outdated: Vec<ReplicaSet>) -> Plan {
        let mut writes = Vec::new();
        for set in self.sets.new.iter().chain(&self.sets.old) {
            match before.iter().find(|before| before.metadata.name == set.metadata.name) {
                _ if set.metadata.uid.is_none() => writes.push(Write::Create(set.clone())),
                Some(before) if before != set => {
                    writes.push(Write::Update { set: set.clone(), before: sets::replicas(before) });
                }
                _ => {}
            }
        }
        writes.extend(outdated.into_iter().map(Write::Delete));
        let next = progress::next_look(self.deployment, &status, self.now);
        let mut changed = self.deployment.clone();
        changed.status = Some(status);
        if let Some(revision) = self.revision {
            changed.metadata.annotations.get_or_insert_default().insert(REVISION.to_owned(), revision);
        }
        let differs = changed.metadata != self.deployment.metadata || !same_status(&changed, self.deployment);
        Plan { writes, deployment: differs.then_some(changed), next }
    }
}

/// Counters that are not told are zero.
fn same_status(a: &Deployment, b: &Deployment) -> bool {
    let plain = |deployment: &Deployment| {
        let mut status = sets::status(deployment);
        let counters = [
            &mut status.replicas,
            &mut status.updated_replicas,
            &mut status.ready_replicas,
            &mut status.available_replicas,
            &mut status.unavailable_replicas,
        ];
        counters.into_iter().for_each(|counter| *counter = Some(counter.unwrap_or(0)));
        status
    };
    plain(a) == plain(b)
}

/// The ReplicaSet of the Deployment's present template.
fn new_set(deployment: &Deployment, collisions: Option<i32>) -> ReplicaSet {
    let spec = sets::spec(deployment);
    let hash = template_hash::of_template(&spec.template, collisions);
    let mut template: PodTemplateSpec = spec.template;
    let labels = template.metadata.get_or_insert_default().labels.get_or_insert_default();
    labels.insert(HASH_LABEL.to_owned(), hash.clone());
    let labels = labels.clone();
    let mut selector: LabelSelector = spec.selector;
    selector.match_labels.get_or_insert_default().insert(HASH_LABEL.to_owned(), hash.clone());
    let name = deployment.metadata.name.as_deref().unwrap_or_default();
    let room = NAME_LENGTH_MAX - hash.len() - 1;
    let metadata = ObjectMeta {
        // Names are ASCII, so every position is a boundary.
        name: Some(format!("{}-{hash}", name.get(..room).unwrap_or(name))),
        namespace: deployment.metadata.namespace.clone(),
        labels: Some(labels),
        owner_references: Some(vec![ownership::controller_reference(deployment)]),
        ..ObjectMeta::default()
    };
    let min_ready_seconds = spec.min_ready_seconds;
    let spec = ReplicaSetSpec { replicas: Some(0), min_ready_seconds, selector, template: Some(template) };
    ReplicaSet { metadata, spec: Some(spec), status: None }
}
