//! What holds for any configuration: random Pods, applied by several managers.

use serde_json::{Map, Value as Json, json};

use super::{POD, World, structure};
use crate::managed_fields::PathElement;
use crate::managed_fields::typed::{self, Place};
use testkit::dice::Dice;

/// A configuration whose names all begin with `prefix`.
fn random_config(dice: &mut Dice, prefix: &str) -> Json {
    let mut config = json!({"metadata": {"labels": {format!("{prefix}/always"): "there"}}, "spec": {}});
    if dice.below(2) == 0 {
        config["metadata"]["annotations"] = random_map(dice, prefix);
    }
    if dice.below(2) == 0 {
        config["metadata"]["finalizers"] = random_names(dice, prefix).into();
    }
    if dice.below(3) > 0 {
        config["spec"]["containers"] = random_names(dice, prefix)
            .into_iter()
            .map(|name| {
                let mut container = json!({"name": name, "image": dice.text()});
                if dice.below(2) == 0 {
                    container["env"] = random_names(dice, prefix)
                        .into_iter()
                        .map(|name| json!({"name": name, "value": dice.text()}))
                        .collect();
                }
                if dice.below(2) == 0 {
                    container["ports"] =
                        json!([{"containerPort": dice.below(3) + 1}, {"containerPort": 1, "protocol": "UDP"}]);
                }
                if dice.below(2) == 0 {
                    container["command"] = json!([dice.text(), dice.text()]);
                }
                container
            })
            .collect();
    }
    config
}

fn random_names(dice: &mut Dice, prefix: &str) -> Vec<String> {
    let mut names: Vec<String> =
        (0..3).filter(|_| dice.below(2) == 0).map(|number| format!("{prefix}/{number}")).collect();
    if dice.below(2) == 0 {
        names.reverse();
    }
    names
}

fn random_map(dice: &mut Dice, prefix: &str) -> Json {
    let names = random_names(dice, prefix);
    Json::Object(names.into_iter().map(|name| (name, dice.text().into())).collect::<Map<_, _>>())
}

/// Without what is empty, with lists in the order of their elements' texts.
fn normal(value: &Json) -> Json {
    match value {
        Json::Object(map) => {
            let members = map.iter().map(|(name, value)| (name.clone(), normal(value)));
            Json::Object(members.filter(|(_, value)| !is_empty(value)).collect())
        }
        Json::Array(list) => {
            let mut list: Vec<Json> = list.iter().map(normal).collect();
            list.sort_by_key(Json::to_string);
            Json::Array(list)
        }
        scalar => scalar.clone(),
    }
}

fn is_empty(value: &Json) -> bool {
    match value {
        Json::Null => true,
        Json::Array(list) => list.is_empty(),
        Json::Object(map) => map.is_empty(),
        _ => false,
    }
}

fn without_kind(value: &Json) -> Json {
    let mut value = normal(value);
    let map = value.as_object_mut().expect("an object");
    map.retain(|name, _| name != "apiVersion" && name != "kind");
    value
}

#[test]
fn applying_again_changes_nothing() {
    let mut dice = Dice::new(1);
    for _ in 0..300 {
        let mut pod = World::new(POD);
        let (one, other) = (random_config(&mut dice, "a"), random_config(&mut dice, "b"));
        pod.apply("m1", &one).unwrap();
        pod.apply("m2", &other).unwrap();
        let before = pod.clone();
        assert_eq!(pod.apply("m1", &one), Ok(false), "{one} beside {other}");
        assert_eq!((&pod.object, &pod.managed), (&before.object, &before.managed));
    }
}

#[test]
fn the_order_of_disjoint_managers_does_not_matter() {
    let mut dice = Dice::new(2);
    for _ in 0..300 {
        let configs = ["a", "b", "c"].map(|prefix| random_config(&mut dice, prefix));
        let run = |order: [usize; 3]| {
            let mut pod = World::new(POD);
            for index in order {
                pod.apply(&format!("m{index}"), &configs[index]).unwrap();
            }
            let owners: Vec<_> = pod.managed.0.into_iter().map(|(key, owner)| (key, owner.set)).collect();
            (normal(&pod.object), owners)
        };
        assert_eq!(run([0, 1, 2]), run([2, 0, 1]), "{configs:?}");
    }
}

#[test]
fn what_was_applied_goes_when_it_is_not_applied_any_more() {
    let mut dice = Dice::new(3);
    for _ in 0..300 {
        let mut pod = World::new(POD);
        let (one, other) = (random_config(&mut dice, "a"), random_config(&mut dice, "b"));
        pod.apply("m2", &other).unwrap();
        let before = without_kind(&pod.object);
        pod.apply("m1", &one).unwrap();
        pod.apply("m1", &json!({})).unwrap();
        assert_eq!(without_kind(&pod.object), before, "{one} beside {other}");
    }
}

#[test]
fn forced_configurations_are_in_force() {
    let mut dice = Dice::new(4);
    let root = Place::root(structure(POD));
    for round in 0..400 {
        let mut pod = World::new(POD);
        for step in 0..6 {
            let manager = format!("m{}", dice.below(3));
            let config = random_config(&mut dice, "a");
            if dice.below(4) == 0 {
                let merged = typed::merge(&pod.object, &config, root).unwrap();
                pod.update(&manager, &merged);
            } else {
                pod.apply_through("", &manager, &config, true).unwrap();
            }
            let merged = typed::merge(&pod.object, &config, root).unwrap();
            assert_eq!(normal(&merged), normal(&pod.object), "round {round}, step {step}: {config}");
            let there = typed::extract(&pod.object, root).unwrap().with_named_fields(root);
            for (key, owner) in &pod.managed.0 {
                assert!(!owner.set.is_empty());
                // Lists that became empty or null may keep an owner, elements may not.
                let is_element = |path: &Vec<PathElement>| !matches!(path.last(), Some(PathElement::Field(_)));
                let gone: Vec<_> = owner.set.difference(&there).paths().into_iter().filter(is_element).collect();
                assert!(gone.is_empty(), "round {round}, step {step}: {key:?} owns {gone:?}, which is not there");
            }
        }
    }
}
