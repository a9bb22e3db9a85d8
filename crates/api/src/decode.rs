//! From the body of a request to a typed object: parse, find the kind, check every field against the schema, decode.
//!
//! The texts are those of upstream's decoder, since clients print them.

pub mod check;
pub mod go;
pub mod json;
pub mod tree;
pub mod yaml;

#[cfg(test)]
mod tests;

use std::fmt;

use serde_json::Value;

pub use check::{Checked, check};
pub use tree::Node;

use crate::object::{Gvk, Object};
use crate::protobuf::{self, Message};
use crate::schema::Type;
use crate::scheme;

/// How a body is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// `application/json`.
    Json,
    /// `application/yaml`.
    Yaml,
    /// `application/vnd.kubernetes.protobuf`.
    Protobuf,
}

/// What becomes of unknown and duplicate fields: the query parameter `fieldValidation`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum FieldValidation {
    /// Nothing; they are dropped.
    Ignore,
    /// They are dropped and named in warnings.
    #[default]
    Warn,
    /// The request fails.
    Strict,
}

impl FieldValidation {
    /// From the value of the query parameter; empty means the default.
    pub fn parse(text: &str) -> Option<Self> {
        match text {
            "" | "Warn" => Some(Self::Warn),
            "Ignore" => Some(Self::Ignore),
            "Strict" => Some(Self::Strict),
            _ => None,
        }
    }

    /// Turns the problems of a body into warnings.
    ///
    /// # Errors
    /// One text that names them all, if they are to fail the request.
    pub fn judge(self, problems: Vec<String>) -> Result<Vec<String>, String> {
        match self {
            Self::Ignore => Ok(Vec::new()),
            Self::Warn => Ok(problems),
            Self::Strict if problems.is_empty() => Ok(problems),
            Self::Strict => Err(strict_error(&problems)),
        }
    }
}

/// The text of a strict failure.
fn strict_error(problems: &[String]) -> String {
    // YAML's duplicate keys are one error of several lines.
    let (yaml, fields): (Vec<_>, Vec<_>) = problems.iter().partition(|problem| problem.starts_with("line "));
    let yaml = (!yaml.is_empty())
        .then(|| yaml.iter().fold("yaml: unmarshal errors:".to_owned(), |all, problem| format!("{all}\n  {problem}")));
    let all: Vec<String> = yaml.into_iter().chain(fields.into_iter().cloned()).collect();
    format!("strict decoding error: {}", all.join(", "))
}

/// A decoded body.
#[derive(Debug)]
pub struct Decoded {
    /// The object.
    pub object: Box<dyn Object>,
    /// Unknown and duplicate fields, to be sent as warnings.
    pub warnings: Vec<String>,
}

/// Why a body is not an object of the kind that is wanted: the message of a `BadRequest`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Error(pub String);

impl fmt::Display for Error {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl std::error::Error for Error {}

/// Decodes the body of a create or update request into an object of `expected`'s kind. A body without `apiVersion` and
/// `kind` is taken for one.
///
/// # Errors
/// With upstream's message, when the body is no such object, or has unknown fields under [`FieldValidation::Strict`].
pub fn decode(body: &[u8], format: Format, expected: Gvk, validation: FieldValidation) -> Result<Decoded, Error> {
    let unrecognized = |error: String| {
        let summary = summarize(body);
        Error(format!("the object provided is unrecognized (must be of type {}): {error} ({summary})", expected.kind))
    };
    let (content, mut problems) = parse(body, format).map_err(&unrecognized)?;
    let actual = content.kind().map_err(&unrecognized)?.or(expected);
    let refuse = |error: String| {
        let Actual { version, kind, .. } = &actual;
        Error(format!("{kind} in version \"{version}\" cannot be handled as a {}: {error}", expected.kind))
    };
    let (object, fields) = match actual.object(content, expected) {
        Ok(decoded) => decoded,
        Err(Refusal::Version(text)) => return Err(Error(text)),
        Err(Refusal::Object(text)) => return Err(refuse(text)),
    };
    problems.extend(fields);
    let warnings = validation.judge(problems).map_err(&refuse)?;
    Ok(Decoded { object, warnings })
}

/// The tree of a body, whatever it is; of several YAML documents that of the first.
///
/// # Errors
/// When the body is no such text.
pub fn tree(body: &[u8], format: Format) -> Result<Value, Error> {
    match parse(body, format).map_err(Error)?.0 {
        Content::Tree(node) => Ok(node.into_value()),
        Content::Message(_) => Err(Error("a protobuf message is no tree".to_owned())),
    }
}

/// Decodes a tree into an object of `expected`'s kind, and names its unknown and duplicate fields.
///
/// # Errors
/// In upstream's words, without any about the request.
pub fn object(node: Node<'_>, expected: Gvk) -> Result<(Box<dyn Object>, Vec<String>), String> {
    let actual = Actual::find(&node).map_err(|error| kind_error(&error))?.or(expected);
    actual.object(Content::Tree(node), expected).map_err(|(Refusal::Object(text) | Refusal::Version(text))| text)
}

/// Decodes a body whose structure is known from its place, such as the options of a delete request.
///
/// # Errors
/// With upstream's message.
pub fn decode_tree(body: &[u8], format: Format, structure: Type) -> Result<Checked, Error> {
    let (content, duplicates) = parse(body, format).map_err(Error)?;
    let mut checked = content.check(structure).map_err(Error)?;
    checked.problems.splice(0..0, duplicates);
    Ok(checked)
}

/// The typed object of a checked tree.
///
/// # Errors
/// When the tree is none; [`check`] has found almost everything that could be wrong before.
pub fn typed(value: Value, gvk: Gvk) -> Result<Box<dyn Object>, String> {
    let entry = scheme::lookup(gvk.group, gvk.version, gvk.kind)
        .ok_or_else(|| not_registered(gvk.kind, gvk.group, gvk.version))?;
    (entry.from_value)(value).map_err(|error| error.to_string())
}

/// The text for a kind that nobody knows.
pub fn not_registered(kind: &str, group: &str, version: &str) -> String {
    let version = group_version(group, version);
    format!(
        "no kind \"{kind}\" is registered for version \"{version}\" in scheme \"pkg/api/legacyscheme/scheme.go:30\""
    )
}

/// Parses a body, and names the keys that stand twice as far as only the parser can know them.
fn parse(body: &[u8], format: Format) -> Result<(Content<'_>, Vec<String>), String> {
    match format {
        Format::Json => match json::parse(body) {
            Ok(node) => Ok((Content::Tree(node), Vec::new())),
            Err(error) => Err(kind_error(&error.to_string())),
        },
        Format::Yaml => {
            let text = std::str::from_utf8(body).map_err(|_| "yaml: invalid leading UTF-8 octet".to_owned())?;
            yaml::parse(text).map(|document| (Content::Tree(document.node), document.duplicates))
        }
        Format::Protobuf => match Message::open(body) {
            Ok(message) => Ok((Content::Message(message), Vec::new())),
            Err(error) => Err(error.to_string()),
        },
    }
}

/// A parsed body. A tree shows its kind; a message says its kind beforehand and cannot be parsed without.
enum Content<'a> {
    Tree(Node<'a>),
    Message(Message<'a>),
}

impl Content<'_> {
    fn kind(&self) -> Result<Actual, String> {
        match self {
            Self::Tree(node) => Actual::find(node).map_err(|error| kind_error(&error)),
            Self::Message(message) => Actual::new(&message.api_version, &message.kind),
        }
    }

    fn check(self, structure: Type) -> Result<Checked, String> {
        match self {
            Self::Tree(node) => check(node, structure),
            Self::Message(message) => {
                let node = protobuf::tree(message.raw, structure).map_err(|error| error.to_string())?;
                // Messages know no strictness: whatever stands twice was merged.
                check(node, structure).map(|checked| Checked { problems: Vec::new(), ..checked })
            }
        }
    }
}

/// The first thing upstream does with a body is to look for its kind.
fn kind_error(error: &str) -> String {
    format!("couldn't get version/kind; json parse error: {error}")
}

/// Why a tree is not taken.
enum Refusal {
    /// It is no object of its kind, or not of the kind that is wanted.
    Object(String),
    /// It is of another version.
    Version(String),
}

/// The kind that a body says it has; empty texts where it says nothing.
#[derive(Debug, Default, PartialEq, Eq)]
struct Actual {
    group: String,
    version: String,
    kind: String,
}

impl Actual {
    fn find(node: &Node<'_>) -> Result<Self, String> {
        let members = match node {
            Node::Object(members) => members.as_slice(),
            Node::Null => &[],
            other => {
                return Err(format!("json: cannot unmarshal {} into Go value of type {KIND_STRUCT}", other.go_kind()));
            }
        };
        let (mut api_version, mut kind) = ("", "");
        for (key, value) in members {
            let field = if key.eq_ignore_ascii_case("apiVersion") {
                (&mut api_version, "apiVersion")
            } else if key.eq_ignore_ascii_case("kind") {
                (&mut kind, "kind")
            } else {
                continue;
            };
            match value {
                Node::String(text) => *field.0 = text,
                Node::Null => {}
                other => {
                    let (found, name) = (other.go_kind(), field.1);
                    return Err(format!("json: cannot unmarshal {found} into Go struct field .{name} of type string"));
                }
            }
        }
        Self::new(api_version, kind)
    }

    fn new(api_version: &str, kind: &str) -> Result<Self, String> {
        let (group, version) = api_version.split_once('/').unwrap_or(("", api_version));
        if version.contains('/') {
            return Err(format!("unexpected GroupVersion string: {api_version}"));
        }
        Ok(Self { group: group.to_owned(), version: version.to_owned(), kind: kind.to_owned() })
    }

    /// With the gaps filled.
    fn or(mut self, default: Gvk) -> Self {
        if self.kind.is_empty() {
            self.kind = default.kind.to_owned();
        }
        if self.version.is_empty() && self.group.is_empty() {
            (self.group, self.version) = (default.group.to_owned(), default.version.to_owned());
        }
        self
    }

    /// The typed object of a tree that says it is of this kind.
    fn object(&self, content: Content<'_>, expected: Gvk) -> Result<(Box<dyn Object>, Vec<String>), Refusal> {
        let structure = Type::of_kind(&self.group, &self.version, &self.kind)
            .ok_or_else(|| Refusal::Object(not_registered(&self.kind, &self.group, &self.version)))?;
        let checked = content.check(structure).map_err(Refusal::Object)?;
        if self.kind != expected.kind {
            return Err(Refusal::Object(unknown_conversion(structure, expected)));
        }
        if !self.is(expected) {
            let (found, wanted) = (self.group_version(), group_version(expected.group, expected.version));
            return Err(Refusal::Version(format!(
                "the API version in the data ({found}) does not match the expected API version ({wanted})"
            )));
        }
        let object = typed(checked.value, expected).map_err(Refusal::Object)?;
        Ok((object, checked.problems))
    }

    fn is(&self, gvk: Gvk) -> bool {
        self.group == gvk.group && self.version == gvk.version && self.kind == gvk.kind
    }

    fn group_version(&self) -> String {
        group_version(&self.group, &self.version)
    }
}

/// The Go type that upstream looks for the kind with.
const KIND_STRUCT: &str =
    r#"struct { APIVersion string "json:\"apiVersion,omitempty\""; Kind string "json:\"kind,omitempty\"" }"#;

fn group_version(group: &str, version: &str) -> String {
    if group.is_empty() { version.to_owned() } else { format!("{group}/{version}") }
}

/// Upstream decodes any kind first and then fails to convert it to its own form of the one that is wanted.
fn unknown_conversion(found: Type, expected: Gvk) -> String {
    let package = match expected.group.split('.').next() {
        Some("") | None => "core",
        Some(package) => package,
    };
    format!("converting ({}) to ({package}.{}): unknown conversion", found.go_name(), expected.kind)
}

/// The body in a few characters.
fn summarize(body: &[u8]) -> String {
    const LENGTH: usize = 30;
    let dots = if body.len() > LENGTH { " ..." } else { "" };
    let head = &body[..body.len().min(LENGTH)];
    match body.first() {
        None => "<empty>".to_owned(),
        Some(b'{') => format!("{}{dots}", String::from_utf8_lossy(head)),
        Some(_) => head.iter().map(|byte| format!("{byte:02x}")).chain([dots.to_owned()]).collect(),
    }
}
