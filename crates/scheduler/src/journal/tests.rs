use serde_json::json;

use super::*;
use crate::fixtures::{node, pod};

fn placement(name: &str, by: i64) -> Placement {
    Placement { pod: pod(name, json!({ "containers": [] })), node: node("n", json!({})), by }
}

/// A sum over the placements; says whether it was made anew.
fn sum(memo: &Memo<&'static str, i64>, journal: &Journal, key: &'static str) -> (i64, bool) {
    let mut anew = false;
    let make = || {
        anew = true;
        (key, 100)
    };
    let value = memo.get(journal, |other| *other == key, make, |value, placement| *value += placement.by);
    (value, anew)
}

#[test]
fn a_sum_is_brought_up_to_date_as_long_as_placements_are_all_that_changed() {
    let (memo, mut journal) = (Memo::default(), Journal::default());
    journal.note(placement("early", 1));
    assert_eq!(sum(&memo, &journal, "a"), (100, true), "made from the present state");
    assert_eq!(sum(&memo, &journal, "a"), (100, false));
    journal.note(placement("one", 1));
    journal.note(placement("two", 1));
    assert_eq!(sum(&memo, &journal, "a"), (102, false));
    assert_eq!(sum(&memo, &journal, "b"), (100, true));
    journal.note(placement("one", -1));
    assert_eq!(sum(&memo, &journal, "a"), (101, false));
    assert_eq!(sum(&memo, &journal, "b"), (99, false));
    journal.begin_anew();
    assert_eq!(sum(&memo, &journal, "a"), (100, true));
    (0..=PLACEMENTS_LIMIT).for_each(|_| journal.note(placement("many", 1)));
    assert_eq!(sum(&memo, &journal, "a"), (100, true), "more happened than is remembered");
}
