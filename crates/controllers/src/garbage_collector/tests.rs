use std::sync::Arc;

use client::ObjectKey;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use kube::discovery::ApiResource;

use super::graph::Graph;
use super::plan::{Action, OwnerState, Propagation, plan};
use crate::objects::{Member, ResourceKind};

/// `name` in namespace `ns`; owners are named, `!` marks one that is blocked.
fn member(name: &str, owners: &[&str], finalizers: &[&str]) -> Member {
    let api = ApiResource::erase::<k8s_openapi::api::core::v1::ConfigMap>(&());
    let owner = |name: &&str| OwnerReference {
        api_version: "v1".into(),
        kind: "ConfigMap".into(),
        name: name.trim_end_matches('!').into(),
        uid: name.trim_end_matches('!').into(),
        block_owner_deletion: name.ends_with('!').then_some(true),
        controller: None,
    };
    Member {
        kind: Arc::new(ResourceKind { api, namespaced: true, has_delete_collection: true }),
        uid: name.into(),
        key: ObjectKey::new("ns", name),
        owners: owners.iter().map(owner).collect(),
        is_deleting: false,
        finalizers: finalizers.iter().map(ToString::to_string).collect(),
    }
}

#[test]
fn an_object_goes_with_its_last_owner() {
    use OwnerState::{Absent, Present, WaitsForDependents};
    let delete = Action::Delete;
    let cases = [
        (vec![Present], false, Action::Nothing),
        (vec![Absent], false, delete(Propagation::Background)),
        (vec![Absent, Absent], true, delete(Propagation::Background)),
        (vec![WaitsForDependents], false, delete(Propagation::Background)),
        (vec![WaitsForDependents], true, delete(Propagation::Foreground)),
        (vec![Present, Absent], false, Action::KeepOwners(member("m", &["o0"], &[]).owners)),
        (vec![WaitsForDependents, Present], true, Action::KeepOwners(member("m", &["o1"], &[]).owners)),
    ];
    for (states, has_dependents, expected) in cases {
        let names: Vec<String> = (0..states.len()).map(|n| format!("o{n}")).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let below = [Arc::new(member("below", &["m!"], &[]))];
        let dependents = if has_dependents { &below[..] } else { &[] };
        assert_eq!(plan(&member("m", &names, &[]), &states, dependents), expected, "{states:?}");
    }
    let orphaning = member("m", &["o"], &["orphan"]);
    assert_eq!(plan(&orphaning, &[Absent], &[]), delete(Propagation::Orphan));
}

#[test]
fn a_cycle_lets_go_of_its_first_owner() {
    let top = Arc::new(Member { is_deleting: true, ..member("top", &["m!"], &["foregroundDeletion"]) });
    let cycle = member("m", &["top!"], &[]);
    let Action::BreakCycle(owners) = plan(&cycle, &[OwnerState::WaitsForDependents], std::slice::from_ref(&top)) else {
        panic!("a cycle")
    };
    assert_eq!(owners[0].block_owner_deletion, Some(false));
    // Once it blocks nobody, it is deleted.
    let unblocked = Member { owners, ..cycle };
    let action = plan(&unblocked, &[OwnerState::WaitsForDependents], &[top]);
    assert_eq!(action, Action::Delete(Propagation::Foreground));
}

fn woken(uids: Vec<Arc<str>>) -> Vec<String> {
    let mut uids: Vec<String> = uids.iter().map(ToString::to_string).collect();
    uids.sort();
    uids
}

#[test]
fn dependents_are_looked_at_when_they_appear_and_when_their_owner_goes() {
    let mut graph = Graph::default();
    assert!(graph.set(&Arc::new(member("owner", &[], &[]))).is_empty());
    let dependent = Arc::new(member("a", &["owner"], &[]));
    assert_eq!(woken(graph.set(&dependent)), ["a"]);
    assert!(graph.set(&dependent).is_empty(), "nothing about owners changed");
    graph.set(&Arc::new(member("b", &["owner", "other"], &[])));
    assert_eq!(woken(graph.remove("owner")), ["a", "b"]);
    graph.set(&Arc::new(member("a", &[], &[])));
    assert_eq!(woken(graph.remove("owner")), ["b"], "a no longer names it");
}

#[test]
fn an_owner_deleted_in_the_foreground_is_looked_at_when_a_dependent_goes() {
    let mut graph = Graph::default();
    let deleting = Member { is_deleting: true, ..member("owner", &[], &["foregroundDeletion"]) };
    graph.set(&Arc::new(member("a", &["owner!"], &[])));
    assert_eq!(woken(graph.set(&Arc::new(deleting))), ["owner"]);
    assert_eq!(woken(graph.remove("a")), ["owner"]);
    assert!(graph.dependents("owner").is_empty());
}

#[test]
fn owners_elsewhere_are_not_vouched_for() {
    let mut graph = Graph::default();
    graph.set(&Arc::new(member("owner", &[], &[])));
    let here = member("a", &["owner"], &[]);
    let elsewhere = Member { key: ObjectKey::new("other", "a"), ..here.clone() };
    assert_eq!(graph.owner_state(&here, &here.owners[0]), Some(OwnerState::Present));
    assert_eq!(graph.owner_state(&elsewhere, &elsewhere.owners[0]), None);
    assert_eq!(graph.owner_state(&here, &member("b", &["nobody"], &[]).owners[0]), None);
    assert!(graph.is_owner_elsewhere(&elsewhere, &elsewhere.owners[0]));
    assert!(!graph.is_owner_elsewhere(&here, &here.owners[0]));
    let misnamed = |change: fn(&mut OwnerReference)| {
        let mut reference = here.owners[0].clone();
        change(&mut reference);
        reference
    };
    for reference in [
        misnamed(|reference| reference.name = "another".into()),
        misnamed(|reference| reference.kind = "Secret".into()),
        misnamed(|reference| reference.api_version = "apps/v1".into()),
    ] {
        assert_eq!(graph.owner_state(&here, &reference), None, "{reference:?}");
    }
}
