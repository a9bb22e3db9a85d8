//! Sets of paths against a model: plain sets of whole paths.

use std::collections::BTreeSet;

use serde_json::{Value as Json, json};

use crate::managed_fields::{PathElement, Set, fields_v1};
use testkit::dice::Dice;

fn random_set(dice: &mut Dice) -> Set {
    let mut set = Set::default();
    for _ in 0..dice.below(8) {
        let length = 1 + dice.below(3);
        let path: Vec<PathElement> = (0..length)
            .map(|_| match dice.below(5) {
                0 => PathElement::key(vec![("b".to_owned(), json!(dice.below(2))), ("a".to_owned(), json!("x\"<"))]),
                1 => PathElement::parse(&format!("v:{}", json!(["x", "y"][dice.below(2)]))).unwrap(),
                other => PathElement::field(["a", "b.c", "d"][other - 2]),
            })
            .collect();
        set.insert(&path);
    }
    set
}

fn model(set: &Set) -> BTreeSet<Vec<PathElement>> {
    set.paths().into_iter().collect()
}

#[test]
fn sets_behave_like_plain_sets_of_paths() {
    let mut dice = Dice::new(7);
    for _ in 0..2_000 {
        let (one, other) = (random_set(&mut dice), random_set(&mut dice));
        let (a, b) = (model(&one), model(&other));
        assert_eq!(model(&one.union(&other)), a.union(&b).cloned().collect());
        assert_eq!(model(&one.intersection(&other)), a.intersection(&b).cloned().collect());
        assert_eq!(model(&one.difference(&other)), a.difference(&b).cloned().collect());
        let below = |path: &Vec<PathElement>| (1..=path.len()).any(|length| b.contains(&path[..length]));
        assert_eq!(model(&one.recursive_difference(&other)), a.iter().filter(|path| !below(path)).cloned().collect());
        assert!(a.iter().all(|path| one.has(path)));
        assert_eq!(one.is_empty(), a.is_empty());
        assert_eq!(fields_v1::decode(&fields_v1::encode(&one)), Some(one));
    }
}

#[test]
fn sets_are_written_as_upstream_writes_them() {
    let text = json!({
        "f:metadata": {"f:finalizers": {".": {}, "v:\"a/b\"": {}}},
        "f:spec": {"f:ports": {"k:{\"port\":80,\"protocol\":\"TCP\"}": {".": {}, "f:port": {}}}},
        "i:3": {},
    });
    let set = fields_v1::decode(&text).unwrap();
    assert_eq!(fields_v1::encode(&set), text);
    let paths: Vec<String> = set.paths().iter().map(|path| path.iter().map(ToString::to_string).collect()).collect();
    assert_eq!(
        paths,
        [
            "[3]",
            ".metadata.finalizers",
            ".metadata.finalizers[=\"a/b\"]",
            ".spec.ports[port=80,protocol=\"TCP\"]",
            ".spec.ports[port=80,protocol=\"TCP\"].port"
        ]
    );
    let unknown = fields_v1::decode(&json!({"x:future": {}, "f:a": {}})).unwrap();
    assert_eq!(fields_v1::encode(&unknown), json!({"f:a": {}}), "unknown kinds of elements are left out");
    for malformed in [json!({"v:{": {}}), json!({"nocolon": {}}), json!({"f:a": 1}), Json::Null] {
        assert_eq!(fields_v1::decode(&malformed), None, "{malformed}");
    }
}
