//! What the client wants to read, and in which form: the `Accept` header.

use http::header::{ACCEPT, CONTENT_TYPE, USER_AGENT};
use http::{HeaderMap, HeaderValue};

use crate::body::Body;
use crate::error::Error;
use crate::protobuf;
use crate::query::Query;
use crate::request::{Request, Response};
use crate::status::Status;

const JSON: &str = "application/json";
const YAML: &str = "application/yaml";
const PROTOBUF: &str = "application/vnd.kubernetes.protobuf";
/// What a watch in protobuf is called.
const PROTOBUF_STREAM: &str = "application/vnd.kubernetes.protobuf;stream=watch";

/// What the server can write for single objects.
pub const MEDIA_TYPES: &[&str] = &[JSON, YAML, PROTOBUF];
/// What the server can write for collections, which can be watched.
pub const STREAM_MEDIA_TYPES: &[&str] = &[JSON, YAML, PROTOBUF, "application/json;stream=watch", PROTOBUF_STREAM];

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

/// How an answer is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Syntax {
    /// JSON, in one line or indented.
    Json {
        /// Whether indented.
        pretty: bool,
    },
    /// YAML.
    Yaml,
    /// Kubernetes' protobuf.
    Protobuf,
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
            Syntax::Protobuf => PROTOBUF,
        })
    }

    /// The content type to answer a watch with.
    ///
    /// # Errors
    /// [`Error::NotAcceptable`] for what cannot be a stream.
    pub fn stream_content_type(self) -> Result<HeaderValue, Error> {
        match self.syntax {
            Syntax::Json { .. } => Ok(HeaderValue::from_static(JSON)),
            Syntax::Protobuf => Ok(HeaderValue::from_static(PROTOBUF_STREAM)),
            Syntax::Yaml => Err(Error::NotAcceptable { available: STREAM_MEDIA_TYPES }),
        }
    }
}

/// One element of an `Accept` header.
#[derive(Debug)]
struct Clause<'a> {
    media: &'a str,
    quality: f32,
    parameters: Vec<(&'a str, &'a str)>,
}

impl Clause<'_> {
    /// Whether upstream looks at this clause before another one. That is no order in the strict sense, and what comes of
    /// it depends on the sorting, too: see [`clauses`].
    fn precedes(&self, other: &Self) -> bool {
        let wild_type = |clause: &Self| clause.media.starts_with("*/");
        let wild_subtype = |clause: &Self| clause.media.ends_with("/*");
        self.quality > other.quality
            || !wild_type(self) && wild_type(other)
            || !wild_subtype(self) && wild_subtype(other)
    }

    fn fits(&self, media: &str) -> bool {
        self.media == "*/*" || self.media == media
    }
}

fn clauses(header: &str) -> Vec<Clause<'_>> {
    let mut clauses: Vec<Clause<'_>> = Vec::new();
    for clause in header.split(',') {
        let mut parts = clause.split(';').map(str::trim);
        let Some(media) = parts.next().filter(|media| !media.is_empty()) else { continue };
        let parameters: Vec<(&str, &str)> = parts.filter_map(|part| part.split_once('=')).collect();
        let quality = parameters.iter().find(|(key, _)| *key == "q").and_then(|(_, value)| value.parse().ok());
        let clause = Clause { media, quality: quality.unwrap_or(1.0), parameters };
        // By insertion, as Go's sort does it with so few.
        let mut place = clauses.len();
        while place > 0 && clause.precedes(&clauses[place - 1]) {
            place -= 1;
        }
        clauses.insert(place, clause);
    }
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
        for (media, syntax) in [(JSON, json), (YAML, Syntax::Yaml), (PROTOBUF, Syntax::Protobuf)] {
            if !clause.fits(media) || !available.contains(&media) {
                continue;
            }
            known_media = true;
            match form(&clause.parameters, query, tables) {
                // Cells are of any type: there is no message of a table.
                Some(Form::Table(_)) if syntax == Syntax::Protobuf => {}
                Some(form) => return Ok(Accepted { form, syntax }),
                None => {}
            }
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
    syntax: Syntax,
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
        let pretty = wants_pretty(&request.headers, &request.query);
        let accepted = negotiate(&request.headers, &request.query, MEDIA_TYPES, false);
        let syntax = accepted.map_or(Syntax::Json { pretty }, |accepted| accepted.syntax);
        Self { syntax, not_found_as_text }
    }

    /// The response for an error.
    pub fn response(self, error: &Error) -> Response {
        if self.not_found_as_text && matches!(error, Error::UnknownPath) {
            return text(http::StatusCode::NOT_FOUND, "404 page not found\n");
        }
        let status = Status::from(error);
        let accepted = Accepted { form: Form::Object, syntax: self.syntax };
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

/// A response with an object, given as JSON text, written as was accepted.
pub fn object(code: http::StatusCode, accepted: Accepted, json: impl Into<bytes::Bytes>) -> Response {
    let json = json.into();
    let bytes = match accepted.syntax {
        Syntax::Json { pretty: false } => json,
        Syntax::Json { pretty: true } => pretty_json(&json),
        Syntax::Yaml => yaml(&json),
        Syntax::Protobuf => match protobuf::object(&json) {
            Ok(body) => body,
            Err(error) => {
                let status = Status::from(&error);
                return object(status.http_code(), Accepted::JSON, status.to_json());
            }
        },
    };
    encoded(code, accepted.content_type(), bytes)
}

/// A response of bytes that are written as was accepted.
pub fn encoded(code: http::StatusCode, content_type: HeaderValue, bytes: bytes::Bytes) -> Response {
    let mut response = Response::new(Body::from(bytes));
    *response.status_mut() = code;
    response.headers_mut().insert(CONTENT_TYPE, content_type);
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

    fn negotiated(accept: &str) -> Result<Accepted, &str> {
        let mut headers = HeaderMap::new();
        headers.insert(ACCEPT, accept.parse().expect("header"));
        negotiate(&headers, &Query::default(), MEDIA_TYPES, true).map_err(|error| match error {
            Error::NotAcceptable { .. } => "media",
            Error::NotAcceptableParameters => "parameters",
            _ => "other",
        })
    }

    fn check(accept: &str, expected: Result<Form, &str>) {
        assert_eq!(negotiated(accept).map(|accepted| accepted.form), expected, "{accept}");
    }

    fn check_syntax(accept: &str, expected: Syntax) {
        assert_eq!(negotiated(accept).map(|accepted| accepted.syntax), Ok(expected), "{accept}");
    }

    #[test]
    fn accept_headers_choose_the_syntax_in_upstreams_order() {
        let json = Syntax::Json { pretty: false };
        check_syntax("*/*", json);
        check_syntax("application/vnd.kubernetes.protobuf,application/json", Syntax::Protobuf);
        check_syntax("application/vnd.kubernetes.protobuf;stream=watch", Syntax::Protobuf);
        check_syntax("application/json,application/vnd.kubernetes.protobuf", json);
        check_syntax("application/json;q=0.8,application/vnd.kubernetes.protobuf;q=0.9,*/*;q=0.1", Syntax::Protobuf);
        check_syntax("*/*,application/yaml;q=0.1", Syntax::Yaml);
        let table = "as=Table;v=v1;g=meta.k8s.io";
        check_syntax(&format!("application/vnd.kubernetes.protobuf;{table},application/json;{table}"), json);
    }

    #[test]
    fn accept_headers_choose_the_form() {
        check("*/*", Ok(Form::Object));
        check("text/plain, application/json;q=0.5", Ok(Form::Object));
        check("application/vnd.kubernetes.protobuf,application/json", Ok(Form::Object));
        check("application/vnd.kubernetes.protobuf", Ok(Form::Object));
        check("application/vnd.kubernetes.protobuf;as=Table;v=v1;g=meta.k8s.io", Err("parameters"));
        check("application/vnd.kubernetes.protobuf;as=PartialObjectMetadata;v=v1;g=meta.k8s.io", Ok(Form::Partial));
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
