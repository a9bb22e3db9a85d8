//! Validation problems with their field paths, worded as upstream words them (`k8s.io/apimachinery`, `util/validation/field`).
//!
//! A valid object is validated without allocating: a [`Path`] is a chain of borrowed segments on the stack, and turns
//! into text only when there is a problem to report.

use std::fmt::{self, Write as _};

use crate::meta::NOT_NEGATIVE;

#[cfg(test)]
mod tests;

/// A path to a field, such as `spec.containers[0].name` or `metadata.labels[app]`. Cheap to extend and copy; it
/// borrows the path it extends.
#[derive(Debug, Clone, Copy)]
pub struct Path<'a> {
    parent: Option<&'a Path<'a>>,
    segment: Segment<'a>,
}

#[derive(Debug, Clone, Copy)]
enum Segment<'a> {
    Root,
    Field(&'a str),
    Index(usize),
    Key(&'a str),
}

impl<'a> Path<'a> {
    /// The object itself.
    pub const ROOT: Path<'static> = Path { parent: None, segment: Segment::Root };

    /// A path of one field name.
    pub const fn new(name: &'a str) -> Self {
        Self { parent: None, segment: Segment::Field(name) }
    }

    /// The field `name` below this one.
    #[must_use]
    pub const fn child(&'a self, name: &'a str) -> Self {
        Self { parent: Some(self), segment: Segment::Field(name) }
    }

    /// The element at a position of this list.
    #[must_use]
    pub const fn index(&'a self, index: usize) -> Self {
        Self { parent: Some(self), segment: Segment::Index(index) }
    }

    /// The element under a key of this map.
    #[must_use]
    pub const fn key(&'a self, key: &'a str) -> Self {
        Self { parent: Some(self), segment: Segment::Key(key) }
    }
}

impl fmt::Display for Path<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let below_root = match self.parent {
            Some(Path { segment: Segment::Root, .. }) | None => true,
            Some(parent) => {
                parent.fmt(formatter)?;
                false
            }
        };
        match self.segment {
            Segment::Root => Ok(()),
            // An empty field name, which upstream gives problems of the whole object, prints as an empty index.
            Segment::Field("") => formatter.write_str("[]"),
            Segment::Field(name) if below_root => formatter.write_str(name),
            Segment::Field(name) => write!(formatter, ".{name}"),
            Segment::Index(index) => write!(formatter, "[{index}]"),
            Segment::Key(key) => write!(formatter, "[{key}]"),
        }
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

    /// How a cause's message begins.
    fn title(self) -> &'static str {
        match self {
            Self::Required => "Required value",
            Self::Duplicate => "Duplicate value",
            Self::Invalid => "Invalid value",
            Self::NotSupported => "Unsupported value",
            Self::Forbidden => "Forbidden",
            Self::NotFound => "Not found",
            Self::TooLong => "Too long",
            Self::TooMany => "Too many",
            Self::TypeInvalid => "Invalid value",
            Self::Internal => "Internal error",
        }
    }
}

/// One problem: `message` is the cause's text without the path, for instance `Invalid value: "x": must be ...`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Error {
    /// What is wrong.
    pub kind: ErrorType,
    /// Where: the text of a [`Path`].
    pub field: String,
    /// The text after the path.
    pub message: String,
}

impl Error {
    fn new(kind: ErrorType, path: &Path<'_>, value: Option<&dyn Value>, detail: &str) -> Self {
        let mut message = kind.title().to_owned();
        if let Some(value) = value {
            message.push_str(": ");
            value.quote(&mut message);
        }
        if !detail.is_empty() {
            message.push_str(": ");
            message.push_str(detail);
        }
        Self { kind, field: path.to_string(), message }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}: {}", self.field, self.message)
    }
}

/// All problems of one object, in the order they were found.
pub type ErrorList = Vec<Error>;

/// Problems of something that stands at `path`, found as if it were an object of its own.
pub fn at(path: &Path<'_>, mut errors: ErrorList) -> ErrorList {
    for error in &mut errors {
        error.field = format!("{path}.{}", error.field);
    }
    errors
}

/// A value as a message shows it: strings quoted, numbers and booleans bare, everything else as JSON.
pub trait Value {
    /// Appends the value to `out`.
    fn quote(&self, out: &mut String);
}

impl Value for str {
    fn quote(&self, out: &mut String) {
        out.push('"');
        for character in self.chars() {
            quote_char(character, out);
        }
        out.push('"');
    }
}

/// One character of a Go `%q` string.
fn quote_char(character: char, out: &mut String) {
    match character {
        '"' => out.push_str("\\\""),
        '\\' => out.push_str("\\\\"),
        '\n' => out.push_str("\\n"),
        '\t' => out.push_str("\\t"),
        '\r' => out.push_str("\\r"),
        '\u{7}' => out.push_str("\\a"),
        '\u{8}' => out.push_str("\\b"),
        '\u{b}' => out.push_str("\\v"),
        '\u{c}' => out.push_str("\\f"),
        control if control.is_ascii_control() => append(out, format_args!("\\x{:02x}", control as u32)),
        control if control.is_control() => append(out, format_args!("\\u{:04x}", control as u32)),
        plain => out.push(plain),
    }
}

fn append(out: &mut String, text: fmt::Arguments<'_>) {
    out.write_fmt(text).expect("a String takes any text");
}

impl Value for String {
    fn quote(&self, out: &mut String) {
        self.as_str().quote(out);
    }
}

macro_rules! bare {
    ($($number:ty),*) => {
        $(impl Value for $number {
            fn quote(&self, out: &mut String) {
                append(out, format_args!("{self}"));
            }
        })*
    };
}
bare!(i32, i64, u64, usize, bool, serde_json::Value);

impl<T: Value + ?Sized> Value for &T {
    fn quote(&self, out: &mut String) {
        (**self).quote(out);
    }
}

impl<T: Value> Value for Option<T> {
    fn quote(&self, out: &mut String) {
        match self {
            Some(value) => value.quote(out),
            None => out.push_str("null"),
        }
    }
}

/// Anything serializable, shown as compact JSON.
#[derive(Debug)]
pub struct Json<'a, T>(pub &'a T);

impl<T: serde::Serialize> Value for Json<'_, T> {
    fn quote(&self, out: &mut String) {
        out.push_str(&serde_json::to_string(self.0).expect("API types always encode"));
    }
}

/// A missing value.
pub fn required(path: &Path<'_>, detail: &str) -> Error {
    Error::new(ErrorType::Required, path, None, detail)
}

/// A malformed value.
pub fn invalid(path: &Path<'_>, value: impl Value, detail: impl AsRef<str>) -> Error {
    Error::new(ErrorType::Invalid, path, Some(&value), detail.as_ref())
}

/// A malformed value that is not repeated.
pub fn invalid_unshown(path: &Path<'_>, detail: impl AsRef<str>) -> Error {
    Error::new(ErrorType::Invalid, path, None, detail.as_ref())
}

/// A value that stands twice, with a reason.
pub fn duplicate_because(path: &Path<'_>, value: impl Value, detail: &str) -> Error {
    Error::new(ErrorType::Duplicate, path, Some(&value), detail)
}

/// A value that stands twice.
pub fn duplicate(path: &Path<'_>, value: impl Value) -> Error {
    Error::new(ErrorType::Duplicate, path, Some(&value), "")
}

/// A value that may not be set here.
pub fn forbidden(path: &Path<'_>, detail: impl AsRef<str>) -> Error {
    Error::new(ErrorType::Forbidden, path, None, detail.as_ref())
}

/// A value that names something absent.
pub fn not_found(path: &Path<'_>, value: impl Value) -> Error {
    Error::new(ErrorType::NotFound, path, Some(&value), "")
}

/// The same with a reason.
pub fn not_found_because(path: &Path<'_>, value: impl Value, detail: &str) -> Error {
    Error::new(ErrorType::NotFound, path, Some(&value), detail)
}

/// A value outside the supported ones, which are listed in the order given.
pub fn not_supported(path: &Path<'_>, value: impl Value, supported: &[&str]) -> Error {
    let mut detail = String::new();
    for (position, choice) in supported.iter().enumerate() {
        detail.push_str(if position == 0 { "supported values: " } else { ", " });
        choice.quote(&mut detail);
    }
    Error::new(ErrorType::NotSupported, path, Some(&value), &detail)
}

/// A string or document longer than `max_bytes`; the value is not repeated.
pub fn too_long(path: &Path<'_>, max_bytes: usize) -> Error {
    Error::new(ErrorType::TooLong, path, None, &format!("may not be more than {max_bytes} bytes"))
}

/// A list with more than `max` items.
pub fn too_many(path: &Path<'_>, actual: usize, max: usize) -> Error {
    let items = if max == 1 { "item" } else { "items" };
    Error::new(ErrorType::TooMany, path, Some(&actual), &format!("must have at most {max} {items}"))
}

/// A value of the wrong type.
pub fn type_invalid(path: &Path<'_>, value: impl Value, detail: &str) -> Error {
    Error::new(ErrorType::TypeInvalid, path, Some(&value), detail)
}

/// Adds a problem when a number is below zero.
pub fn check_not_negative<N: Value + PartialOrd + From<u8>>(
    errors: &mut ErrorList,
    path: &Path<'_>,
    number: Option<N>,
) {
    if let Some(number) = number.filter(|number| *number < N::from(0)) {
        errors.push(invalid(path, number, NOT_NEGATIVE));
    }
}

/// Adds a problem when a number that may only grow has shrunk.
pub fn check_not_decremented(errors: &mut ErrorList, path: &Path<'_>, new: Option<i32>, old: Option<i32>) {
    if old.is_some_and(|old| new.is_none_or(|new| new < old)) {
        errors.push(invalid(path, new.unwrap_or(0), "cannot be decremented"));
    }
}

/// Adds `invalid` for each of a value's problems, as the checks of [`crate::names`] return them.
pub fn extend_invalid(
    errors: &mut ErrorList,
    path: &Path<'_>,
    value: &str,
    problems: impl IntoIterator<Item = impl AsRef<str>>,
) {
    errors.extend(problems.into_iter().map(|problem| invalid(path, value, problem)));
}
