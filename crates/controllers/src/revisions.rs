//! What StatefulSets and DaemonSets once looked like: one ControllerRevision per template, so that `kubectl rollout undo`
//! finds its way back.
//!
//! [`settle`] decides (pure) which revision stands for a template; [`Revisions`] carries it out.

use std::collections::BTreeMap;

use api::labels::Selector;
use client::reflector::Reflected;
use client::{Client, ObjectKey, is_already_exists, is_not_found};
use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::api::apps::v1::ControllerRevision;
use k8s_openapi::api::core::v1::PodTemplateSpec;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, ObjectMeta};
use k8s_openapi::apimachinery::pkg::runtime::RawExtension;
use kube::api::{DeleteParams, Patch, PatchParams, PostParams};
use kube::{Api, Resource, ResourceExt as _};
use serde_json::{Value, json};

use crate::in_flight::InFlight;
use crate::ownership::{self, Claim, Owner};
use crate::runtime::Error;
use crate::template_hash;
use crate::watches::OwnedIndex;

/// A Pod's label: which revision it was made from.
pub const POD_LABEL: &str = "controller-revision-hash";
/// How much of the owner's name a revision's name holds.
const NAME_LENGTH_MAX: usize = 223;

/// A kind that keeps its templates.
pub trait Revised: Reflected + Resource<DynamicType = (), Scope = NamespaceResourceScope> {
    /// The label that holds a revision's hash.
    const HASH_LABEL: &'static str;

    /// What its spec says of templates, when it has one.
    fn revised(&self) -> Option<RevisedSpec<'_>>;
    /// How often the name of a revision was another's already.
    fn collisions(&self) -> Option<i32>;

    /// What Pods are made from.
    fn template(&self) -> PodTemplateSpec {
        self.revised().map(|spec| spec.template.clone()).unwrap_or_default()
    }

    /// Whose revisions are its own.
    fn selector(&self) -> Selector {
        let selector = self.revised().map(|spec| spec.selector);
        Selector::from_label_selector(selector).unwrap_or(Selector::Nothing)
    }

    /// How many old revisions are kept; all when negative.
    fn history_limit(&self) -> i32 {
        self.revised().and_then(|spec| spec.history_limit).unwrap_or(10)
    }
}

/// The part of a spec that the kinds have in common.
#[derive(Debug, Clone, Copy)]
pub struct RevisedSpec<'a> {
    /// What Pods are made from.
    pub template: &'a PodTemplateSpec,
    /// Whose Pods and revisions are its own.
    pub selector: &'a LabelSelector,
    /// How many old revisions are kept.
    pub history_limit: Option<i32>,
}

/// What stands for the present template.
#[derive(Debug, Clone, PartialEq)]
pub enum Settlement {
    /// The newest revision.
    Stands(ControllerRevision),
    /// An earlier one, which becomes the newest.
    Renumber(ControllerRevision),
    /// One that has to be made.
    Create(ControllerRevision),
}

/// The present revision among all, and how often its name was another's.
#[derive(Debug, Clone)]
pub struct Settled {
    /// What stands for the present template.
    pub current: ControllerRevision,
    /// All others, the oldest first.
    pub others: Vec<ControllerRevision>,
    /// Collisions of names so far.
    pub collisions: Option<i32>,
}

/// What a revision keeps of a template: the patch that brings it back.
pub fn data(template: &PodTemplateSpec) -> Value {
    // A template came as JSON, so it can be written as such.
    let mut template = serde_json::to_value(template).unwrap_or_default();
    template["$patch"] = json!("replace");
    json!({ "spec": { "template": template } })
}

/// The template a revision keeps.
pub fn template_of(revision: &ControllerRevision) -> Option<PodTemplateSpec> {
    serde_json::from_value(revision.data.as_ref()?.0.get("spec")?.get("template")?.clone()).ok()
}

/// Sorts revisions: the oldest first.
pub fn sort(revisions: &mut [ControllerRevision]) {
    let age = |one: &ControllerRevision| one.metadata.creation_timestamp.as_ref().map(|time| time.0);
    revisions.sort_by(|a, b| {
        let by_number = a.revision.cmp(&b.revision).then_with(|| age(a).cmp(&age(b)));
        by_number.then_with(|| a.metadata.name.cmp(&b.metadata.name))
    });
}

/// Decides which revision stands for the owner's template. `sorted` are its revisions, the oldest first.
pub fn settle<K: Revised>(owner: &K, sorted: &[ControllerRevision], collisions: Option<i32>) -> Settlement {
    let data = data(&owner.template());
    let next = sorted.last().map_or(1, |last| last.revision.saturating_add(1));
    let holds = |one: &&ControllerRevision| one.data.as_ref().is_some_and(|kept| kept.0 == data);
    match sorted.iter().rev().find(holds) {
        Some(same) if Some(same) == sorted.last() => Settlement::Stands(same.clone()),
        Some(same) => Settlement::Renumber(ControllerRevision { revision: next, ..same.clone() }),
        None => Settlement::Create(new(owner, data, next, collisions)),
    }
}

fn new<K: Revised>(owner: &K, data: Value, number: i64, collisions: Option<i32>) -> ControllerRevision {
    let template = owner.template();
    let hash = template_hash::of_template(&template, collisions);
    let mut labels: BTreeMap<String, String> =
        template.metadata.and_then(|metadata| metadata.labels).unwrap_or_default();
    labels.insert(K::HASH_LABEL.to_owned(), hash.clone());
    let name = owner.meta().name.as_deref().unwrap_or_default();
    ControllerRevision {
        metadata: ObjectMeta {
            name: Some(format!("{}-{hash}", name.get(..NAME_LENGTH_MAX).unwrap_or(name))),
            namespace: owner.meta().namespace.clone(),
            labels: Some(labels),
            annotations: owner.meta().annotations.clone(),
            owner_references: Some(vec![ownership::controller_reference(owner)]),
            ..ObjectMeta::default()
        },
        data: Some(RawExtension(data)),
        revision: number,
    }
}

/// The oldest revisions beyond the limit that no Pod was made from. `others` are the oldest first.
pub fn outdated<K: Revised>(
    owner: &K,
    others: &[ControllerRevision],
    is_live: impl Fn(&ControllerRevision) -> bool,
) -> Vec<ControllerRevision> {
    let Ok(limit) = usize::try_from(owner.history_limit()) else { return Vec::new() };
    let idle: Vec<_> = others.iter().filter(|one| !is_live(one)).collect();
    let excess = idle.len().saturating_sub(limit);
    idle.into_iter().take(excess).cloned().collect()
}

/// The hands that keep revisions.
pub struct Revisions {
    client: Client,
    index: OwnedIndex<ControllerRevision>,
    /// What was written of each owner's.
    pub in_flight: InFlight<ObjectKey>,
}

impl Revisions {
    /// Reads this index.
    pub fn new(client: Client, index: OwnedIndex<ControllerRevision>) -> Self {
        Self { client, index, in_flight: InFlight::default() }
    }

    /// Makes sure that the owner's template has its revision.
    ///
    /// # Errors
    /// When the server refuses.
    pub async fn settle<K: Revised>(&self, owner: &K) -> Result<Settled, Error> {
        let mut sorted = self.claim(owner).await?;
        sort(&mut sorted);
        let mut collisions = owner.collisions();
        let api: Api<ControllerRevision> = Api::namespaced(self.client.clone(), &key_of(owner).namespace);
        let current = loop {
            match settle(owner, &sorted, collisions) {
                Settlement::Stands(current) => break current,
                Settlement::Renumber(revision) => {
                    let written = api.replace(&revision.name_any(), &PostParams::default(), &revision).await;
                    break written.map_err(Error::during("making an earlier revision the newest"))?;
                }
                Settlement::Create(revision) => match api.create(&PostParams::default(), &revision).await {
                    Ok(made) => break made,
                    Err(error) if is_already_exists(&error) => {
                        let present = api.get_opt(&revision.name_any()).await;
                        let present = present.map_err(Error::during("looking at the revision of the same name"))?;
                        match present.filter(|present| present.data == revision.data) {
                            Some(present) => break present,
                            None => collisions = Some(collisions.unwrap_or(0).saturating_add(1)),
                        }
                    }
                    Err(error) => return Err(Error::during("making a revision")(error)),
                },
            }
        };
        self.in_flight.wrote(&key_of(owner), &current.metadata);
        sorted.retain(|one| one.metadata.name != current.metadata.name);
        Ok(Settled { current, others: sorted, collisions })
    }

    /// Deletes revisions.
    ///
    /// # Errors
    /// When the server refuses for another reason than that one is gone.
    pub async fn delete(&self, revisions: &[ControllerRevision]) -> Result<(), Error> {
        for revision in revisions {
            let api: Api<ControllerRevision> =
                Api::namespaced(self.client.clone(), &revision.namespace().unwrap_or_default());
            match api.delete(&revision.name_any(), &DeleteParams::default()).await {
                Err(error) if !is_not_found(&error) => return Err(Error::during("deleting an old revision")(error)),
                _ => {}
            }
        }
        Ok(())
    }

    /// The revisions that are the owner's, after taking in and letting go.
    async fn claim<K: Revised>(&self, owner: &K) -> Result<Vec<ControllerRevision>, Error> {
        let (metadata, selector) = (owner.meta(), owner.selector());
        let uid = metadata.uid.as_deref().unwrap_or_default();
        let claimer = Owner { uid, selector: &selector, is_deleting: metadata.deletion_timestamp.is_some() };
        let free = self.index.by_namespace.of(metadata.namespace.as_deref().unwrap_or_default()).into_iter();
        let free = free.filter(|one| ownership::controller_uid(&one.metadata).is_none());
        let mut claimed = Vec::new();
        for one in self.index.by_controller.of(uid).into_iter().chain(free) {
            let controller = ownership::controller_of(one.metadata.owner_references.as_deref());
            let (uid, reference) = (one.uid().unwrap_or_default(), ownership::controller_reference(owner));
            match ownership::claim(claimer, controller, one.labels(), one.metadata.deletion_timestamp.is_some()) {
                Claim::Ignore => {}
                Claim::Keep => claimed.push((*one).clone()),
                Claim::Release => self.patch(&one, ownership::release(claimer.uid, &uid, &[])).await?,
                Claim::Adopt => {
                    self.patch(&one, ownership::adoption(&reference, &uid, &[])).await?;
                    claimed.push((*one).clone());
                }
            }
        }
        Ok(claimed)
    }

    async fn patch(&self, revision: &ControllerRevision, patch: Value) -> Result<(), Error> {
        let api: Api<ControllerRevision> =
            Api::namespaced(self.client.clone(), &revision.namespace().unwrap_or_default());
        match api.patch(&revision.name_any(), &PatchParams::default(), &Patch::Strategic(patch)).await {
            Err(error) if !is_not_found(&error) => Err(Error::during("changing the revision's owner")(error)),
            _ => Ok(()),
        }
    }
}

fn key_of<K: Revised>(owner: &K) -> ObjectKey {
    ObjectKey::of(owner)
}

#[cfg(test)]
mod tests {
    use k8s_openapi::api::apps::v1::{DaemonSet, DaemonSetSpec};
    use k8s_openapi::api::core::v1::{Container, PodSpec};

    use super::*;

    fn owner(image: &str) -> DaemonSet {
        let container = Container { name: "c".into(), image: Some(image.into()), ..Container::default() };
        let labels = Some([("app".to_owned(), "a".to_owned())].into());
        let template = PodTemplateSpec {
            metadata: Some(ObjectMeta { labels, ..ObjectMeta::default() }),
            spec: Some(PodSpec { containers: vec![container], ..PodSpec::default() }),
        };
        DaemonSet {
            metadata: ObjectMeta { name: Some("d".into()), namespace: Some("ns".into()), ..ObjectMeta::default() },
            spec: Some(DaemonSetSpec { template, revision_history_limit: Some(1), ..DaemonSetSpec::default() }),
            status: None,
        }
    }

    fn made(settlement: Settlement) -> ControllerRevision {
        let Settlement::Create(revision) = settlement else { panic!("{settlement:?}") };
        revision
    }

    #[test]
    fn a_template_has_one_revision_and_coming_back_makes_it_the_newest() {
        let first = made(settle(&owner("a"), &[], None));
        let hash = &first.metadata.labels.as_ref().unwrap()["controller-revision-hash"];
        assert_eq!(first.metadata.name, Some(format!("d-{hash}")));
        assert_eq!(first.revision, 1);
        assert_eq!(template_of(&first), Some(owner("a").template()));
        assert_eq!(settle(&owner("a"), std::slice::from_ref(&first), None), Settlement::Stands(first.clone()));
        let second = made(settle(&owner("b"), std::slice::from_ref(&first), None));
        assert_eq!(second.revision, 2);
        let both = [first.clone(), second];
        let Settlement::Renumber(again) = settle(&owner("a"), &both, None) else { panic!() };
        assert_eq!((again.metadata.name, again.revision), (first.metadata.name.clone(), 3));
        let collided = made(settle(&owner("a"), &[], Some(1)));
        assert_ne!(collided.metadata.name, first.metadata.name);
    }

    #[test]
    fn the_oldest_that_no_pod_was_made_from_go_beyond_the_limit() {
        let numbered = |number: i64| ControllerRevision {
            metadata: ObjectMeta { name: Some(format!("r{number}")), ..ObjectMeta::default() },
            revision: number,
            ..ControllerRevision::default()
        };
        let mut revisions = [3, 1, 2, 4].map(numbered);
        sort(&mut revisions);
        let left = |limit: Option<i32>| {
            let mut owner = owner("a");
            owner.spec.as_mut().unwrap().revision_history_limit = limit;
            let outdated = outdated(&owner, &revisions, |one| one.revision == 1);
            outdated.iter().map(|one| one.revision).collect::<Vec<_>>()
        };
        assert_eq!(left(Some(1)), [2, 3]);
        assert_eq!(left(Some(0)), [2, 3, 4]);
        assert_eq!(left(Some(3)), Vec::<i64>::new());
        assert_eq!(left(Some(-1)), Vec::<i64>::new());
    }
}
