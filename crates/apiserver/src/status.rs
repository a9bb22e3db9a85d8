//! The only place where errors become `Status` objects: code, reason, text and details as upstream words them.

use api::field;
use serde::Serialize;

use crate::error::{Cause, Conflict, Error, GroupResource, write_qualified};

/// `meta/v1 Status`, in the shape it has on the wire.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Status {
    kind: &'static str,
    api_version: &'static str,
    metadata: ListMeta,
    /// `Success` or `Failure`.
    pub status: &'static str,
    /// For people.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub message: String,
    /// For programs.
    #[serde(skip_serializing_if = "str::is_empty")]
    pub reason: &'static str,
    /// What it is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub details: Option<Details>,
    /// The HTTP status; zero is left out.
    #[serde(skip_serializing_if = "is_zero")]
    pub code: u16,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
struct ListMeta {
    #[serde(rename = "continue", skip_serializing_if = "Option::is_none")]
    continue_token: Option<String>,
}

/// What a [`Status`] is about.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Details {
    /// The object's name.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub name: String,
    /// Its group.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub group: String,
    /// Its resource, or its kind, as upstream has it in each case.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub kind: String,
    /// Its uid.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub uid: String,
    /// More than one thing may be wrong.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub causes: Vec<StatusCause>,
    /// When to try again.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retry_after_seconds: Option<u32>,
}

/// One thing that is wrong.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct StatusCause {
    /// For programs.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub reason: String,
    /// For people.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub message: String,
    /// Where.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub field: String,
}

#[allow(clippy::trivially_copy_pass_by_ref)] // serde's signature
fn is_zero(code: &u16) -> bool {
    *code == 0
}

const CONTINUE_EXPIRED: &str = "The provided continue parameter is too old";

impl Status {
    /// A failure.
    fn failure(code: u16, reason: &'static str, message: impl Into<String>) -> Self {
        Self {
            kind: "Status",
            api_version: "v1",
            metadata: ListMeta::default(),
            status: "Failure",
            message: message.into(),
            reason,
            details: None,
            code,
        }
    }

    fn with(mut self, details: Details) -> Self {
        self.details = Some(details);
        self
    }

    /// A success, for instance of a delete; `code` 0 is left out of the JSON.
    pub fn success(code: u16, details: Option<Details>) -> Self {
        Self { status: "Success", details, ..Self::failure(code, "", "") }
    }

    /// The HTTP status it is sent with.
    pub fn http_code(&self) -> http::StatusCode {
        http::StatusCode::from_u16(if self.code == 0 { 200 } else { self.code })
            .expect("the codes of this module are valid")
    }

    /// Its JSON text.
    pub fn to_json(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("a Status always encodes")
    }
}

impl From<&Error> for Status {
    #[allow(clippy::too_many_lines)] // one table: error in, wording out
    fn from(error: &Error) -> Self {
        match error {
            Error::NotFound { resource, name } => {
                Self::failure(404, "NotFound", format!("{resource} \"{name}\" not found")).with(about(resource, name))
            }
            Error::UnknownPath => Self::failure(404, "NotFound", "the server could not find the requested resource")
                .with(Details::default()),
            Error::MethodNotAllowed => Self::failure(
                405,
                "MethodNotAllowed",
                "the server does not allow this method on the requested resource",
            )
            .with(Details::default()),
            Error::AlreadyExists { resource, name, deleting } => {
                let prefix = if *deleting { "object is being deleted: " } else { "" };
                Self::failure(409, "AlreadyExists", format!("{prefix}{resource} \"{name}\" already exists"))
                    .with(about(resource, name))
            }
            Error::GenerateNameExhausted { resource, name } => Self::failure(
                409,
                "AlreadyExists",
                format!("{resource} \"{name}\" already exists, the server was not able to generate a unique name for the object"),
            )
            .with(Details { retry_after_seconds: Some(1), ..about(resource, name) }),
            Error::Conflict { group, kind, name, conflict } => conflict_status(group, kind, name, conflict),
            Error::ApplyConflict { message, causes } => Self::failure(409, "Conflict", message)
                .with(Details { causes: causes.iter().map(StatusCause::from).collect(), ..Details::default() }),
            Error::Invalid { group, kind, name, problems } => invalid(group, kind, name, problems),
            Error::Unprocessable(message) => {
                Self::failure(422, "Invalid", message).with(Details::default())
            }
            Error::Forbidden { resource, name, reason, causes } => {
                forbidden(resource.group, resource.resource, name, reason, causes)
            }
            Error::ForbiddenResource { group, resource, name, reason } => forbidden(group, resource, name, reason, &[]),
            Error::ForbiddenPath { user, verb, path } => {
                Self::failure(403, "Forbidden", format!("forbidden: User \"{user}\" cannot {verb} path \"{path}\""))
                    .with(Details::default())
            }
            Error::Unauthorized => Self::failure(401, "Unauthorized", "Unauthorized"),
            Error::BadRequest(message) => Self::failure(400, "BadRequest", message),
            Error::NotAcceptable { available } => Self::failure(
                406,
                "NotAcceptable",
                format!("406: Not Acceptable\n\nAvailable representations: {}", available.join(", ")),
            )
            .with(Details::default()),
            Error::NotAcceptableParameters => Self::failure(
                406,
                "NotAcceptable",
                "only the following media types are accepted: application/json, application/yaml, application/vnd.kubernetes.protobuf",
            ),
            Error::UnsupportedMediaType { accepted } => Self::failure(
                415,
                "UnsupportedMediaType",
                format!(
                    "the body of the request was in an unknown format - accepted media types include: {}",
                    accepted.join(", ")
                ),
            ),
            Error::UnsupportedBody(message) => Self::failure(415, "UnsupportedMediaType", message),
            Error::TooLarge(message) => {
                Self::failure(413, "RequestEntityTooLarge", format!("Request entity too large: {message}"))
            }
            Error::Expired { message, continue_token } => expired(message, continue_token.as_ref()),
            Error::FutureRevision { requested, current } => future_revision(*requested, *current),
            Error::Timeout(message) => Self::failure(504, "Timeout", format!("Timeout: {message}"))
                .with(Details { retry_after_seconds: None, ..Details::default() }),
            Error::TooManyRequests { message, retry_after_seconds, causes } => {
                Self::failure(429, "TooManyRequests", message).with(Details {
                    retry_after_seconds: (*retry_after_seconds > 0).then_some(*retry_after_seconds),
                    causes: causes.iter().map(StatusCause::from).collect(),
                    ..Details::default()
                })
            }
            Error::Unavailable(message) => Self::failure(503, "ServiceUnavailable", message),
            Error::Unspecific(message) => Self::failure(500, "", message),
            Error::Internal(message) => {
                Self::failure(500, "InternalError", format!("Internal error occurred: {message}")).with(Details {
                    causes: vec![StatusCause { message: message.clone(), ..StatusCause::default() }],
                    ..Details::default()
                })
            }
        }
    }
}

fn about(resource: &GroupResource, name: &str) -> Details {
    Details {
        name: name.to_owned(),
        group: resource.group.to_owned(),
        kind: resource.resource.to_owned(),
        ..Details::default()
    }
}

impl From<&Cause> for StatusCause {
    fn from(cause: &Cause) -> Self {
        Self { reason: cause.reason.to_owned(), message: cause.message.clone(), field: cause.field.clone() }
    }
}

impl From<&field::Error> for StatusCause {
    fn from(problem: &field::Error) -> Self {
        Self {
            reason: problem.kind.reason().to_owned(),
            message: problem.message.clone(),
            field: problem.field.to_string(),
        }
    }
}

/// `name.group` as text.
struct Qualified<'a>(&'a str, &'a str);

impl std::fmt::Display for Qualified<'_> {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write_qualified(formatter, self.0, self.1)
    }
}

fn conflict_status(group: &str, kind: &str, name: &str, conflict: &Conflict) -> Status {
    let why = match conflict {
        Conflict::Modified => {
            "the object has been modified; please apply your changes to the latest version and try again"
        }
        Conflict::Other(text) => text,
    };
    let qualified = Qualified(kind, group);
    Status::failure(409, "Conflict", format!("Operation cannot be fulfilled on {qualified} \"{name}\": {why}"))
        .with(Details { name: name.to_owned(), group: group.to_owned(), kind: kind.to_owned(), ..Details::default() })
}

fn invalid(group: &str, kind: &str, name: &str, problems: &[field::Error]) -> Status {
    let texts: Vec<String> = distinct(problems.iter().map(ToString::to_string));
    let all = if let [only] = texts.as_slice() { only.clone() } else { format!("[{}]", texts.join(", ")) };
    let message = format!("{} \"{name}\" is invalid: {all}", Qualified(kind, group));
    Status::failure(422, "Invalid", message).with(Details {
        name: name.to_owned(),
        group: group.to_owned(),
        kind: kind.to_owned(),
        causes: problems.iter().map(StatusCause::from).collect(),
        ..Details::default()
    })
}

/// The texts without repetitions, in order: upstream's aggregate drops them from the message, not from the causes.
fn distinct(texts: impl Iterator<Item = String>) -> Vec<String> {
    let mut seen = Vec::new();
    for text in texts {
        if !seen.contains(&text) {
            seen.push(text);
        }
    }
    seen
}

fn forbidden(group: &str, resource: &str, name: &str, reason: &str, causes: &[Cause]) -> Status {
    let qualified = Qualified(resource, group);
    let message = match (resource, name) {
        ("", _) => format!("forbidden: {reason}"),
        (_, "") => format!("{qualified} is forbidden: {reason}"),
        _ => format!("{qualified} \"{name}\" is forbidden: {reason}"),
    };
    Status::failure(403, "Forbidden", message).with(Details {
        name: name.to_owned(),
        group: group.to_owned(),
        kind: resource.to_owned(),
        causes: causes.iter().map(StatusCause::from).collect(),
        ..Details::default()
    })
}

fn expired(message: &str, continue_token: Option<&String>) -> Status {
    let message = match (message.is_empty(), continue_token) {
        (false, _) => message.to_owned(),
        (true, None) => {
            format!(
                "{CONTINUE_EXPIRED} to display a consistent list result. You must start a new list without the continue parameter."
            )
        }
        (true, Some(_)) => format!(
            "{CONTINUE_EXPIRED} to display a consistent list result. You can start a new list without the continue \
             parameter, or use the continue token in this response to retrieve the remainder of the results. Continuing \
             with the provided token results in an inconsistent list - objects that were created, modified, or deleted \
             between the time the first chunk was returned and now may show up in the list."
        ),
    };
    let mut status = Status::failure(410, "Expired", message);
    status.metadata.continue_token = continue_token.cloned();
    status
}

fn future_revision(requested: u64, current: u64) -> Status {
    let message = format!("Timeout: Too large resource version: {requested}, current: {current}");
    Status::failure(504, "Timeout", message).with(Details {
        causes: vec![StatusCause {
            reason: "ResourceVersionTooLarge".to_owned(),
            message: "Too large resource version".to_owned(),
            field: String::new(),
        }],
        retry_after_seconds: Some(1),
        ..Details::default()
    })
}

#[cfg(test)]
mod tests;
