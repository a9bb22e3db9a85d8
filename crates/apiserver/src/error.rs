//! Why a request is not answered with what it asked for. [`crate::status`] words these; nothing else does.

use std::fmt;

use api::field;

/// A group and the name a resource has in URLs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct GroupResource {
    /// API group, empty for core.
    pub group: &'static str,
    /// For instance `pods`.
    pub resource: &'static str,
}

impl fmt::Display for GroupResource {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_qualified(formatter, self.resource, self.group)
    }
}

/// Writes `name.group`, or only the name for the core group.
pub(crate) fn write_qualified(formatter: &mut fmt::Formatter<'_>, name: &str, group: &str) -> fmt::Result {
    if group.is_empty() { formatter.write_str(name) } else { write!(formatter, "{name}.{group}") }
}

/// A detail of an error that is not about a field of the object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cause {
    /// Machine-readable, for instance `NamespaceTerminating`.
    pub reason: &'static str,
    /// For people.
    pub message: String,
    /// The field it is about, or empty.
    pub field: String,
}

/// What a conflicting write says about itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Conflict {
    /// The object changed since the client read it.
    Modified,
    /// Another text, for instance a failed precondition.
    Other(String),
}

/// Everything a request can fail with. Fields are what the text mentions.
#[derive(Debug, Clone, PartialEq)]
#[allow(missing_docs)] // resource, name, reason: nothing to add
pub enum Error {
    /// The object does not exist.
    NotFound { resource: GroupResource, name: String },
    /// No such path, resource or subresource.
    UnknownPath,
    /// The path exists, but not with this method.
    MethodNotAllowed,
    /// The object exists already; `deleting` when it is on its way out.
    AlreadyExists { resource: GroupResource, name: String, deleting: bool },
    /// A generated name was taken, again and again.
    GenerateNameExhausted { resource: GroupResource, name: String },
    /// The write was computed from another state. `kind` is what upstream names here: a resource, or a kind.
    Conflict { group: &'static str, kind: String, name: String, conflict: Conflict },
    /// What is applied would change fields that others own.
    ApplyConflict { message: String, causes: Vec<Cause> },
    /// The object breaks rules. `kind` may be empty where upstream leaves it so.
    Invalid { group: &'static str, kind: String, name: String, problems: field::ErrorList },
    /// The request is well-formed but cannot be done, in upstream's most general words.
    Unprocessable(String),
    /// The caller may not do this.
    Forbidden { resource: GroupResource, name: String, reason: String, causes: Vec<Cause> },
    /// The caller may not do this to a resource that need not exist.
    ForbiddenResource { group: String, resource: String, name: String, reason: String },
    /// The caller may not use this path, which is no resource.
    ForbiddenPath { user: String, verb: String, path: String },
    /// Who the caller claims to be could not be verified.
    Unauthorized,
    /// The request makes no sense.
    BadRequest(String),
    /// None of the representations the client accepts is served here; `available` lists them.
    NotAcceptable { available: &'static [&'static str] },
    /// The media types are served here, but not with these parameters.
    NotAcceptableParameters,
    /// The body has a content type that cannot be read; the list is what could.
    UnsupportedMediaType { accepted: &'static [&'static str] },
    /// Another text with code 415.
    UnsupportedBody(String),
    /// The body is larger than the limit.
    TooLarge(String),
    /// The history asked for is gone; a list may go on with `continue_token`.
    Expired { message: String, continue_token: Option<String> },
    /// A revision that does not exist yet.
    FutureRevision { requested: u64, current: u64 },
    /// The server gave up waiting.
    Timeout(String),
    /// The caller may try again later.
    TooManyRequests { message: String, retry_after_seconds: u32, causes: Vec<Cause> },
    /// Something needed for the answer is not there now.
    Unavailable(String),
    /// Upstream answers 500 without a reason here.
    Unspecific(String),
    /// A defect or failure of this server.
    Internal(String),
}

impl Error {
    /// The object `name` does not exist.
    pub fn not_found(resource: GroupResource, name: &str) -> Self {
        Self::NotFound { resource, name: name.to_owned() }
    }

    /// The caller may not do this.
    pub fn forbidden(resource: GroupResource, name: &str, reason: impl Into<String>) -> Self {
        Self::Forbidden { resource, name: name.to_owned(), reason: reason.into(), causes: Vec::new() }
    }

    /// The object changed since the client read it.
    pub fn modified(resource: GroupResource, name: &str) -> Self {
        Self::Conflict {
            group: resource.group,
            kind: resource.resource.to_owned(),
            name: name.to_owned(),
            conflict: Conflict::Modified,
        }
    }

    /// The request makes no sense.
    pub fn bad_request(message: impl Into<String>) -> Self {
        Self::BadRequest(message.into())
    }
}

impl From<store::Error> for Error {
    fn from(error: store::Error) -> Self {
        match error {
            store::Error::Remote(message) => Self::Unspecific(message),
            error => Self::Internal(error.to_string()),
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&crate::status::Status::from(self).message)
    }
}

impl std::error::Error for Error {}
