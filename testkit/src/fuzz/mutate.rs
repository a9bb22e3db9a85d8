//! One change of an input.

use serde_json::{Map, Value, json};

use super::{Shape, protobuf};
use crate::dice::Dice;

/// Texts that parsers stumble over.
const TOKENS: &[&str] = &[
    "null",
    "true",
    "-1",
    "0",
    "9223372036854775808",
    "-9223372036854775809",
    "1e400",
    "1e-9",
    "0x10",
    "NaN",
    ".inf",
    "{}",
    "[]",
    "\"\"",
    "\\u0000",
    "\\ud800",
    "\u{0}",
    "\u{feff}",
    "\u{1F980}",
    "---\n",
    "&a [*a]",
    "!!binary ",
    "<<: ",
    "$patch",
    "$retainKeys",
    "$setElementOrder/containers",
    "delete",
    "replace",
    "merge",
    "k:{\"name\":\"a\"}",
    "f:spec",
    "..",
    "/",
    "%2e",
    "%00",
    ",",
    "=",
    "==",
    "!=",
    " in (a,b)",
    "notin",
    "()",
    "!",
    ">1",
    "~1",
    "~0",
    "-",
    "1Ki",
    "1e3m",
    "--5",
    "2026-02-30T25:61:61Z",
    "9999-12-31T23:59:59Z",
    "\r\n",
    "\t",
    "{{{{{{{{",
    "[[[[[[[[",
];

/// Changes an input once; `other` is another that parts are taken from.
pub fn mutate(dice: &mut Dice, input: Vec<u8>, other: &[u8], shape: Shape) -> Vec<u8> {
    let in_shape = match shape {
        _ if dice.one_in(3) => None,
        Shape::Bytes => None,
        Shape::Json => json(dice, &input, other),
        Shape::Protobuf(skip) => input.split_at_checked(skip).and_then(|(magic, message)| {
            let changed = protobuf::mutate(dice, message)?;
            Some([magic, &changed].concat())
        }),
    };
    in_shape.unwrap_or_else(|| bytes(dice, input, other))
}

/// Changes bytes.
pub fn bytes(dice: &mut Dice, mut input: Vec<u8>, other: &[u8]) -> Vec<u8> {
    let place = dice.below(input.len() + 1);
    let end = (place + 1 + dice.below(16)).min(input.len());
    match dice.below(8) {
        0 if place < input.len() => input[place] ^= 1 << dice.below(8),
        1 if place < input.len() => input[place] = dice.bits() as u8,
        2 if place < end => drop(input.drain(place..end)),
        3 if place < end => {
            let part = input[place..end].repeat(1 + dice.below(64));
            input.splice(place..place, part);
        }
        4 => input.truncate(place),
        5 if !other.is_empty() => {
            let from = dice.below(other.len());
            let to = (from + 1 + dice.below(64)).min(other.len());
            input.splice(place..place, other[from..to].iter().copied());
        }
        6 if place < end => drop(input.splice(place..end, dice.choose(TOKENS).bytes()).count()),
        _ => drop(input.splice(place..place, dice.choose(TOKENS).bytes()).count()),
    }
    input
}

fn json(dice: &mut Dice, input: &[u8], other: &[u8]) -> Option<Vec<u8>> {
    let mut tree: Value = serde_json::from_slice(input).ok()?;
    let other: Value = serde_json::from_slice(other).unwrap_or(Value::Null);
    change(dice, &mut tree, &other);
    Some(tree.to_string().into_bytes())
}

/// Walks down to a random place and changes what is there.
fn change(dice: &mut Dice, tree: &mut Value, other: &Value) {
    match tree {
        Value::Object(members) if !members.is_empty() && !dice.one_in(8) => {
            let name = members.keys().nth(dice.below(members.len())).cloned().unwrap_or_default();
            match dice.below(8) {
                0 => drop(members.remove(&name)),
                1 => {
                    let value = members.remove(&name).unwrap_or_default();
                    members.insert((*dice.choose(TOKENS)).to_owned(), value);
                }
                2 => drop(members.insert(format!("{name}x"), replacement(dice, other))),
                _ => change(dice, members.entry(name).or_insert(Value::Null), other),
            }
        }
        Value::Array(list) if !list.is_empty() && !dice.one_in(8) => {
            let place = dice.below(list.len());
            match dice.below(6) {
                0 => drop(list.remove(place)),
                1 => list.push(list[place].clone()),
                2 => list.reverse(),
                _ => change(dice, &mut list[place], other),
            }
        }
        here => *here = replacement(dice, other),
    }
}

fn replacement(dice: &mut Dice, other: &Value) -> Value {
    match dice.below(10) {
        0 => Value::Null,
        1 => json!(dice.bits() as i64),
        2 => json!(*dice.choose(&[0.0, -0.5, 1e300, f64::MIN_POSITIVE])),
        3 => json!({}),
        4 => json!([]),
        5 => true.into(),
        6 => (0..dice.below(200)).fold(Value::Null, |inner, _| {
            if inner.is_array() { Value::Object(Map::from_iter([("a".to_owned(), inner)])) } else { json!([inner]) }
        }),
        7 => part(dice, other),
        8 => "a".repeat(dice.below(600)).into(),
        _ => (*dice.choose(TOKENS)).into(),
    }
}

/// Some part of a tree.
fn part(dice: &mut Dice, tree: &Value) -> Value {
    let inner = match tree {
        Value::Object(members) if !members.is_empty() => members.values().nth(dice.below(members.len())),
        Value::Array(list) if !list.is_empty() => list.get(dice.below(list.len())),
        _ => None,
    };
    match inner {
        Some(inner) if !dice.one_in(4) => part(dice, inner),
        _ => tree.clone(),
    }
}
