//! What the client wants to read, and in which form: the `Accept` header.

use http::header::{ACCEPT, CONTENT_TYPE, USER_AGENT};
use http::{HeaderMap, HeaderValue};

use crate::body::Body;
use crate::error::Error;
use crate::query::Query;
use crate::request::{Request, Response};
use crate::status::Status;

/// What the server can write for single objects.
pub const MEDIA_TYPES: &[&str] = &["application/json", "application/yaml", "application/vnd.kubernetes.protobuf"];
/// What the server can write for collections, which can be watched.
pub const STREAM_MEDIA_TYPES: &[&str] = &[
    "application/json",
    "application/yaml",
    "application/vnd.kubernetes.protobuf",
    "application/json;stream=watch",
    "application/vnd.kubernetes.protobuf;stream=watch",
];

/// How much of each object a table row carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IncludeObject {
    /// Nothing.
    None,
    /// Its metadata.
    Metadata,
    /// All of it.
    Object,
}

/// The form an object is answered in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// As it is.
    Object,
    /// Metadata only.
    Partial,
    /// Columns, as `kubectl get` prints them.
    Table(IncludeObject),
}

impl Form {
    /// A small number for each form, for caches of encodings.
    pub fn id(self) -> u8 {
        match self {
            Self::Object => 0,
            Self::Partial => 1,
            Self::Table(IncludeObject::None) => 2,
            Self::Table(IncludeObject::Metadata) => 3,
            Self::Table(IncludeObject::Object) => 4,
        }
    }
}

/// How text is laid out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Syntax {
    /// JSON, in one line or indented.
    Json {
        /// Whether indented.
        pretty: bool,
    },
    /// YAML.
    Yaml,
}

/// The outcome of content negotiation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Accepted {
    /// What to answer.
    pub form: Form,
    /// How to write it.
    pub syntax: Syntax,
}

impl Accepted {
    /// Plain JSON.
    pub const JSON: Self = Self { form: Form::Object, syntax: Syntax::Json { pretty: false } };

    /// The content type to answer with.
    pub fn content_type(self) -> HeaderValue {
        HeaderValue::from_static(match self.syntax {
            Syntax::Json { .. } => "application/json",
            Syntax::Yaml => "application/yaml",
        })
    }
}

/// One element of an `Accept` header.
#[derive(Debug)]
struct Clause<'a> {
    media: &'a str,
    quality: f32,
    parameters: Vec<(&'a str, &'a str)>,
}

fn clauses(header: &str) -> Vec<Clause<'_>> {
    let mut clauses: Vec<Clause<'_>> = header
        .split(',')
        .filter_map(|clause| {
            let mut parts = clause.split(';').map(str::trim);
            let media = parts.next().filter(|media| !media.is_empty())?;
            let parameters: Vec<(&str, &str)> = parts.filter_map(|part| part.split_once('=')).collect();
            let quality = parameters.iter().find(|(key, _)| *key == "q").and_then(|(_, value)| value.parse().ok());
            Some(Clause { media, quality: quality.unwrap_or(1.0), parameters })
        })
        .collect();
    clauses.sort_by(|a, b| b.quality.total_cmp(&a.quality));
    clauses
}

/// Chooses a form and syntax for a request.
///
/// # Errors
/// [`Error::NotAcceptable`] when no media type fits, [`Error::NotAcceptableParameters`] when only the form does not.
pub fn negotiate(
    headers: &HeaderMap,
    query: &Query,
    available: &'static [&'static str],
    tables: bool,
) -> Result<Accepted, Error> {
    let json = Syntax::Json { pretty: wants_pretty(headers, query) };
    let header = headers.get_all(ACCEPT).iter().filter_map(|value| value.to_str().ok()).collect::<Vec<_>>().join(",");
    if header.is_empty() {
        return Ok(Accepted { form: Form::Object, syntax: json });
    }
    let mut known_media = false;
    for clause in clauses(&header) {
        let syntax = match clause.media {
            "application/json" | "*/*" => json,
            "application/yaml" => Syntax::Yaml,
            _ => continue,
        };
        known_media = true;
        if let Some(form) = form(&clause.parameters, query, tables) {
            return Ok(Accepted { form, syntax });
        }
    }
    Err(if known_media { Error::NotAcceptableParameters } else { Error::NotAcceptable { available } })
}

/// The form the parameters of a clause ask for, if this server has it.
fn form(parameters: &[(&str, &str)], query: &Query, tables: bool) -> Option<Form> {
    let value = |name: &str| parameters.iter().find(|(key, _)| *key == name).map(|(_, value)| *value);
    let Some(wanted) = value("as") else { return Some(Form::Object) };
    if !tables || value("g") != Some("meta.k8s.io") || value("v") != Some("v1") {
        return None;
    }
    match wanted {
        "Table" => Some(Form::Table(match query.get("includeObject") {
            Some("None") => IncludeObject::None,
            Some("Object") => IncludeObject::Object,
            _ => IncludeObject::Metadata,
        })),
        "PartialObjectMetadata" | "PartialObjectMetadataList" => Some(Form::Partial),
        _ => None,
    }
}

/// Whether a person is likely to read the answer as it is.
fn wants_pretty(headers: &HeaderMap, query: &Query) -> bool {
    if query.get("pretty").is_some() {
        return query.flag("pretty");
    }
    let agent = headers.get(USER_AGENT).and_then(|agent| agent.to_str().ok()).unwrap_or_default();
    ["curl", "Wget", "Mozilla/5.0"].iter().any(|prefix| agent.starts_with(prefix))
}

/// How errors of a request are written; decided before anything can fail.
#[derive(Debug, Clone, Copy)]
pub struct ErrorFormat {
    pretty: bool,
    not_found_as_text: bool,
}

impl ErrorFormat {
    /// The format for a request.
    pub fn of(request: &Request) -> Self {
        // Below an API version everything is an object; elsewhere unknown paths are answered like files.
        let parts = request.info.path.trim_matches('/').split('/').count();
        let versioned = match request.info.path.split('/').nth(1) {
            Some("api") => parts > 1,
            Some("apis") => parts > 2,
            _ => false,
        };
        let not_found_as_text = request.info.resource.is_none() && !versioned;
        Self { pretty: wants_pretty(&request.headers, &request.query), not_found_as_text }
    }

    /// The response for an error.
    pub fn response(self, error: &Error) -> Response {
        if self.not_found_as_text && matches!(error, Error::UnknownPath) {
            return text(http::StatusCode::NOT_FOUND, "404 page not found\n");
        }
        let status = Status::from(error);
        let accepted = Accepted { form: Form::Object, syntax: Syntax::Json { pretty: self.pretty } };
        let mut response = object(status.http_code(), accepted, status.to_json());
        if let Some(seconds) = status.details.as_ref().and_then(|details| details.retry_after_seconds) {
            response.headers_mut().insert(http::header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        response
    }
}

/// A response of plain text.
pub fn text(code: http::StatusCode, text: impl Into<bytes::Bytes>) -> Response {
    let mut response = Response::new(Body::from(text));
    *response.status_mut() = code;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    headers.insert(http::header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}

/// A response of JSON text, laid out as was accepted.
pub fn object(code: http::StatusCode, accepted: Accepted, json: impl Into<bytes::Bytes>) -> Response {
    let json = json.into();
    let body = match accepted.syntax {
        Syntax::Json { pretty: false } => Body::from(json),
        Syntax::Json { pretty: true } => Body::from(pretty_json(&json)),
        Syntax::Yaml => Body::from(yaml(&json)),
    };
    let mut response = Response::new(body);
    *response.status_mut() = code;
    response.headers_mut().insert(CONTENT_TYPE, accepted.content_type());
    response
}

/// Indented JSON. The text is this server's own, so it parses; if not, it is sent as it is.
fn pretty_json(json: &bytes::Bytes) -> bytes::Bytes {
    let parsed = serde_json::from_slice::<serde_json::Value>(json);
    parsed.and_then(|value| serde_json::to_vec_pretty(&value)).map_or_else(|_| json.clone(), Into::into)
}

fn yaml(json: &bytes::Bytes) -> bytes::Bytes {
    let parsed = serde_json::from_slice::<serde_json::Value>(json).ok();
    let text = parsed.and_then(|value| serde_saphyr::to_string(&value).ok());
    text.map_or_else(|| json.clone(), Into::into)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(accept: &str, expected: Result<Form, &str>) {
        let mut headers = HeaderMap::new();
        headers.insert(ACCEPT, accept.parse().expect("header"));
        let found = negotiate(&headers, &Query::default(), MEDIA_TYPES, true).map(|accepted| accepted.form);
        let found = found.map_err(|error| match error {
            Error::NotAcceptable { .. } => "media",
            Error::NotAcceptableParameters => "parameters",
            _ => "other",
        });
        assert_eq!(found, expected, "{accept}");
    }

    #[test]
    fn accept_headers_choose_the_form() {
        check("*/*", Ok(Form::Object));
        check("text/plain, application/json;q=0.5", Ok(Form::Object));
        check("application/vnd.kubernetes.protobuf,application/json", Ok(Form::Object));
        check("application/vnd.kubernetes.protobuf", Err("media"));
        check("text/plain", Err("media"));
        check(
            "application/json;as=Table;v=v1;g=meta.k8s.io,application/json",
            Ok(Form::Table(IncludeObject::Metadata)),
        );
        check("application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io", Ok(Form::Partial));
        check("application/json;as=Table;v=v9;g=meta.k8s.io", Err("parameters"));
        check("application/json;as=Table;v=v9;g=meta.k8s.io,application/json", Ok(Form::Object));
    }
}
