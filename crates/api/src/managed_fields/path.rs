//! One step from a value to a value inside it.

use std::cmp::Ordering;
use std::fmt;

use serde_json::Value;

use crate::decode::go;

/// How a child is found in its parent. The order is the one in which upstream writes sets.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum PathElement {
    /// A member of a map or structure.
    Field(String),
    /// An element of a list with keys, by the values of its keys, sorted by name.
    Key(Vec<(String, Scalar)>),
    /// An element of a set.
    Value(Scalar),
    /// An element of an atomic list.
    Index(i64),
}

/// A key's value, with the order that keys have.
#[derive(Debug, Clone)]
pub struct Scalar(pub Value);

impl PathElement {
    /// A member of a map or structure.
    pub fn field(name: &str) -> Self {
        Self::Field(name.to_owned())
    }

    /// From the form it has in `fieldsV1`; `None` for forms that are unknown.
    pub fn parse(text: &str) -> Option<Self> {
        let (kind, rest) = text.split_once(':')?;
        match kind {
            "f" => Some(Self::field(rest)),
            "k" => {
                let Value::Object(keys) = serde_json::from_str(rest).ok()? else { return None };
                Some(Self::key(keys.into_iter().collect()))
            }
            "v" => serde_json::from_str(rest).ok().map(|value| Self::Value(Scalar(value))),
            "i" => rest.parse().ok().map(Self::Index),
            _ => None,
        }
    }

    /// An element of a list with keys.
    pub fn key(mut keys: Vec<(String, Value)>) -> Self {
        keys.sort_by(|(one, _), (other, _)| one.cmp(other));
        Self::Key(keys.into_iter().map(|(name, value)| (name, Scalar(value))).collect())
    }

    /// The form it has in `fieldsV1`.
    pub fn encode(&self) -> String {
        match self {
            Self::Field(name) => format!("f:{name}"),
            Self::Key(keys) => {
                let keys: Vec<String> = keys.iter().map(|(name, value)| format!("{}:{value}", json(name))).collect();
                format!("k:{{{}}}", keys.join(","))
            }
            Self::Value(value) => format!("v:{value}"),
            Self::Index(index) => format!("i:{index}"),
        }
    }
}

fn json(text: &str) -> Scalar {
    Scalar(Value::from(text))
}

/// As conflicts name it, for instance `[name="c"]`.
impl fmt::Display for PathElement {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Field(name) => write!(formatter, ".{name}"),
            Self::Key(keys) => {
                let keys: Vec<String> = keys.iter().map(|(name, value)| format!("{name}={}", value.words())).collect();
                write!(formatter, "[{}]", keys.join(","))
            }
            Self::Value(value) => write!(formatter, "[={}]", value.words()),
            Self::Index(index) => write!(formatter, "[{index}]"),
        }
    }
}

impl Scalar {
    fn words(&self) -> String {
        match &self.0 {
            Value::String(text) => go::quote(text),
            other => other.to_string(),
        }
    }

    /// Numbers, then texts, booleans and the rest.
    fn rank(&self) -> u8 {
        match self.0 {
            Value::Number(_) => 0,
            Value::String(_) => 1,
            Value::Bool(_) => 2,
            Value::Array(_) => 3,
            Value::Object(_) => 4,
            Value::Null => 5,
        }
    }
}

/// As Go writes JSON, which escapes what HTML could take for markup.
impl fmt::Display for Scalar {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for character in self.0.to_string().chars() {
            match character {
                '<' | '>' | '&' | '\u{2028}' | '\u{2029}' => write!(formatter, "\\u{:04x}", u32::from(character))?,
                other => write!(formatter, "{other}")?,
            }
        }
        Ok(())
    }
}

impl Ord for Scalar {
    fn cmp(&self, other: &Self) -> Ordering {
        match (&self.0, &other.0) {
            (Value::Number(one), Value::Number(two)) => match (one.as_i64(), two.as_i64()) {
                (Some(one), Some(two)) => one.cmp(&two),
                _ => one.as_f64().unwrap_or_default().total_cmp(&two.as_f64().unwrap_or_default()),
            },
            (Value::String(one), Value::String(two)) => one.cmp(two),
            (Value::Bool(one), Value::Bool(two)) => one.cmp(two),
            (one, two) => self.rank().cmp(&other.rank()).then_with(|| one.to_string().cmp(&two.to_string())),
        }
    }
}

impl PartialOrd for Scalar {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Scalar {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Scalar {}
