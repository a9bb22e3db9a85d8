//! A parsed body before anything is known of its kind: members in their order, duplicates kept.

use std::borrow::Cow;

use serde_json::Value;

/// The deepest nesting of lists and maps that is accepted. It keeps recursion within a small stack and below the limit of
/// the JSON parser that reads stored objects back.
pub const MAX_DEPTH: usize = 100;

/// A value of a body.
#[derive(Debug, Clone, PartialEq)]
pub enum Node<'a> {
    /// `null`.
    Null,
    /// A boolean.
    Bool(bool),
    /// A number, as it was written.
    Number(Cow<'a, str>),
    /// A text.
    String(Cow<'a, str>),
    /// A list.
    Array(Vec<Node<'a>>),
    /// A map.
    Object(Vec<(Cow<'a, str>, Node<'a>)>),
}

impl Node<'_> {
    /// What Go calls it in errors.
    pub fn go_kind(&self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Bool(_) => "bool",
            Self::Number(_) => "number",
            Self::String(_) => "string",
            Self::Array(_) => "array",
            Self::Object(_) => "object",
        }
    }

    /// The JSON tree. Of duplicate members the last one counts.
    pub fn into_value(self) -> Value {
        match self {
            Self::Null => Value::Null,
            Self::Bool(value) => Value::Bool(value),
            Self::Number(text) => number(&text),
            Self::String(text) => Value::String(text.into_owned()),
            Self::Array(elements) => Value::Array(elements.into_iter().map(Node::into_value).collect()),
            Self::Object(members) => {
                Value::Object(members.into_iter().map(|(key, node)| (key.into_owned(), node.into_value())).collect())
            }
        }
    }
}

impl<'a> Node<'a> {
    /// The body as its JSON text would be parsed.
    pub fn from_value(value: &'a Value) -> Self {
        match value {
            Value::Null => Self::Null,
            Value::Bool(value) => Self::Bool(*value),
            Value::Number(number) => Self::Number(number.to_string().into()),
            Value::String(text) => Self::String(text.as_str().into()),
            Value::Array(elements) => Self::Array(elements.iter().map(Node::from_value).collect()),
            Value::Object(members) => {
                let member = |(key, value): (&'a String, &'a Value)| (key.as_str().into(), Node::from_value(value));
                Self::Object(members.iter().map(member).collect())
            }
        }
    }
}

/// An integer where it is one of 64 bits, else the nearest number that has a representation.
pub fn number(text: &str) -> Value {
    if let Ok(integer) = text.parse::<i64>() {
        return integer.into();
    }
    let number = text.parse::<f64>().unwrap_or(0.0);
    Value::from(number.clamp(f64::MIN, f64::MAX))
}
