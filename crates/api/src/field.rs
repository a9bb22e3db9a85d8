//! Validation problems with their field paths, worded as upstream words them (`k8s.io/apimachinery`, `util/validation/field`).

use std::fmt;

/// A path to a field, such as `spec.containers[0].name` or `metadata.labels[app]`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Path(String);

impl Path {
    /// A path of one field name.
    pub fn new(name: &str) -> Self {
        Self(name.to_owned())
    }

    /// The field `name` below this one.
    #[must_use]
    pub fn child(&self, name: &str) -> Self {
        if self.0.is_empty() { Self::new(name) } else { Self(format!("{}.{name}", self.0)) }
    }

    /// The element at a position of this list.
    #[must_use]
    pub fn index(&self, index: usize) -> Self {
        Self(format!("{}[{index}]", self.0))
    }

    /// The element under a key of this map.
    #[must_use]
    pub fn key(&self, key: &str) -> Self {
        Self(format!("{}[{key}]", self.0))
    }
}

impl fmt::Display for Path {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

/// What is wrong with a field. The names are the `reason`s of `Status` causes without the `FieldValue` prefix.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ErrorType {
    /// A required value is missing.
    Required,
    /// A value stands twice where it may stand once.
    Duplicate,
    /// A value is malformed.
    Invalid,
    /// A value is not one of those supported.
    NotSupported,
    /// A value is well-formed but may not be set here.
    Forbidden,
    /// A value names something that is not there.
    NotFound,
    /// A string is too long.
    TooLong,
    /// A list has too many elements.
    TooMany,
    /// A value has the wrong type.
    TypeInvalid,
    /// Something else went wrong.
    Internal,
}

impl ErrorType {
    /// The `reason` of the `Status` cause.
    pub fn reason(self) -> &'static str {
        match self {
            Self::Required => "FieldValueRequired",
            Self::Duplicate => "FieldValueDuplicate",
            Self::Invalid => "FieldValueInvalid",
            Self::NotSupported => "FieldValueNotSupported",
            Self::Forbidden => "FieldValueForbidden",
            Self::NotFound => "FieldValueNotFound",
            Self::TooLong => "FieldValueTooLong",
            Self::TooMany => "FieldValueTooMany",
            Self::TypeInvalid => "FieldValueTypeInvalid",
            Self::Internal => "InternalError",
        }
    }
}

/// One problem: `message` is the cause's text without the path, for instance `Invalid value: "x": must be ...`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Error {
    /// What is wrong.
    pub kind: ErrorType,
    /// Where.
    pub field: Path,
    /// The text after the path.
    pub message: String,
}

impl fmt::Display for Error {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}: {}", self.field, self.message)
    }
}

/// All problems of one object, in the order they were found.
pub type ErrorList = Vec<Error>;
