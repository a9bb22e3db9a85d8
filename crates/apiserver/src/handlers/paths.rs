//! Paths that are no resources: health, version, discovery, the index.

use std::sync::Arc;

use http::header::{ACCEPT, CACHE_CONTROL, CONTENT_TYPE, ETAG, HOST, IF_NONE_MATCH, LOCATION, VARY};
use http::{HeaderValue, Method, StatusCode};

use super::health;
use crate::api_server::Server;
use crate::body::Body;
use crate::discovery::{self, AGGREGATED, Catalog, Form};
use crate::error::Error;
use crate::metrics::exposition;
use crate::negotiate::{self, Accepted, MEDIA_TYPES};
use crate::openapi;
use crate::registry::RESOURCES;
use crate::request::{Request, Response};

/// What public keys are written as.
const KEY_SET: &str = "application/jwk-set+json";

/// Answers such a path.
///
/// # Errors
/// [`Error::UnknownPath`], [`Error::MethodNotAllowed`], [`Error::NotAcceptable`].
pub async fn answer(server: &Arc<Server>, request: &Request) -> Result<Response, Error> {
    let path = request.info.path.as_str();
    if let Some(response) = health::answer(server, path, &request.query).await {
        return Ok(response);
    }
    let served = RESOURCES.iter().filter(|resource| server.runtime_config.serves(resource));
    let catalog = Catalog::new(served.map(|resource| &resource.info));
    let parts: Vec<&str> = path.trim_matches('/').split('/').collect();
    match parts.as_slice() {
        ["metrics"] => metrics(request, exposition::text(server)),
        ["metrics", "slis"] => metrics(request, server.slis.text()),
        ["version"] => document(request, Some(discovery::version())),
        ["api"] => match discovery_form(request)? {
            Form::Aggregated => aggregated_document(request, catalog.aggregated_core()),
            Form::Plain => document(request, Some(catalog.api_versions(&address(request)))),
        },
        ["apis"] => match discovery_form(request)? {
            Form::Aggregated => aggregated_document(request, catalog.aggregated_groups()),
            Form::Plain => document(request, Some(catalog.group_list())),
        },
        ["apis", group] => document(request, catalog.group(group)),
        ["api", version] => document(request, catalog.resource_list("", version)),
        ["apis", group, version] => document(request, catalog.resource_list(group, version)),
        [".well-known", "openid-configuration"] => {
            document(request, Some(server.tokens.openid_configuration(&address(request))))
        }
        ["openid", "v1", "jwks"] => key_set(server, request),
        ["openapi", "v2"] => openapi_v2(request, &catalog),
        ["openapi", "v3"] => document(request, Some(openapi::index(&catalog))),
        ["openapi", "v3", name @ ..] => openapi_v3(request, &catalog, &name.join("/")),
        [""] => document(request, Some(index(&catalog))),
        _ => Err(Error::UnknownPath),
    }
}

/// The public keys of ServiceAccount tokens.
fn key_set(server: &Server, request: &Request) -> Result<Response, Error> {
    get_only(request)?;
    let accepts = request.header(&ACCEPT).unwrap_or("*/*");
    let media = accepts.split(',').map(|clause| clause.split(';').next().unwrap_or_default().trim());
    if !media.into_iter().any(|media| matches!(media, KEY_SET | "application/*" | "*/*")) {
        return Err(Error::NotAcceptable { available: &[KEY_SET] });
    }
    let mut response = negotiate::object(StatusCode::OK, Accepted::JSON, server.tokens.key_set());
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(KEY_SET));
    Ok(response)
}

fn metrics(request: &Request, text: String) -> Result<Response, Error> {
    get_only(request)?;
    let mut response = Response::new(Body::from(text));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(exposition::CONTENT_TYPE));
    Ok(response)
}

/// The address the client came to.
fn address(request: &Request) -> String {
    let host = request.header(&HOST).map(str::to_owned);
    host.or_else(|| request.uri.authority().map(ToString::to_string)).unwrap_or_default()
}

/// Whether discovery shall be answered all at once.
fn discovery_form(request: &Request) -> Result<Form, Error> {
    get_only(request)?;
    Ok(discovery::form_of(request.header(&ACCEPT).unwrap_or_default()))
}

fn get_only(request: &Request) -> Result<(), Error> {
    if request.method == Method::GET { Ok(()) } else { Err(Error::MethodNotAllowed) }
}

fn document(request: &Request, json: Option<Vec<u8>>) -> Result<Response, Error> {
    let json = json.ok_or(Error::UnknownPath)?;
    get_only(request)?;
    let accepted = negotiate::negotiate(&request.headers, &request.query, MEDIA_TYPES, false)?;
    Ok(negotiate::object(StatusCode::OK, accepted, json))
}

/// Clients keep this document and ask whether it has changed.
fn aggregated_document(request: &Request, json: Vec<u8>) -> Result<Response, Error> {
    let etag = discovery::etag(&json);
    let known = request.header(&IF_NONE_MATCH).is_some_and(|known| discovery::matches_etag(known, &etag));
    let mut response = if known {
        let mut response = Response::new(Body::empty());
        *response.status_mut() = StatusCode::NOT_MODIFIED;
        response
    } else {
        negotiate::object(StatusCode::OK, Accepted::JSON, json)
    };
    let headers = response.headers_mut();
    headers.insert(ETAG, header(etag)?);
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(AGGREGATED));
    headers.insert(VARY, HeaderValue::from_static("Accept"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("public"));
    Ok(response)
}

/// One schema document. Clients that name its present hash keep it for good.
fn openapi_v3(request: &Request, catalog: &Catalog<'_>, name: &str) -> Result<Response, Error> {
    let hash = openapi::document_hash(catalog, name).ok_or(Error::UnknownPath)?;
    get_only(request)?;
    let etag = format!("\"{hash}\"");
    let asked = request.query.get("hash");
    let mut response = if asked.is_some_and(|asked| asked != hash) {
        let mut response = Response::new(Body::empty());
        *response.status_mut() = StatusCode::MOVED_PERMANENTLY;
        response.headers_mut().insert(LOCATION, header(format!("/openapi/v3/{name}?hash={hash}"))?);
        response
    } else if request.header(&IF_NONE_MATCH).is_some_and(|known| discovery::matches_etag(known, &etag)) {
        let mut response = Response::new(Body::empty());
        *response.status_mut() = StatusCode::NOT_MODIFIED;
        response
    } else {
        document(request, openapi::document(catalog, name))?
    };
    let headers = response.headers_mut();
    headers.insert(ETAG, header(etag)?);
    if asked.is_some_and(|asked| asked == hash) {
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("public, immutable"));
    }
    Ok(response)
}

/// The older schema, for older clients, in the one form they ask for.
fn openapi_v2(request: &Request, catalog: &Catalog<'_>) -> Result<Response, Error> {
    get_only(request)?;
    let accepts = request.header(&ACCEPT).unwrap_or_default();
    if !accepts.split(',').any(|clause| clause.split(';').next().map(str::trim) == Some(openapi::v2::ACCEPTED)) {
        return Err(Error::NotAcceptable { available: &[openapi::v2::ACCEPTED] });
    }
    let mut response = Response::new(Body::from(openapi::v2::document(catalog)));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(openapi::v2::CONTENT_TYPE));
    Ok(response)
}

fn header(text: String) -> Result<HeaderValue, Error> {
    HeaderValue::try_from(text).map_err(|error| Error::Internal(format!("writing a header: {error}")))
}

/// `/`: every path there is.
fn index(catalog: &Catalog<'_>) -> Vec<u8> {
    let mut paths: Vec<String> = [
        "/.well-known/openid-configuration",
        "/api",
        "/api/v1",
        "/apis",
        "/apis/",
        "/healthz",
        "/livez",
        "/metrics",
        "/metrics/slis",
        "/openapi/v2",
        "/openapi/v3",
        "/openid/v1/jwks",
        "/readyz",
        "/version",
    ]
    .map(str::to_owned)
    .to_vec();
    paths.extend(health::paths());
    for group in catalog.groups() {
        paths.push(format!("/apis/{group}"));
        paths.extend(catalog.versions(group).into_iter().map(|version| format!("/apis/{group}/{version}")));
    }
    paths.sort();
    serde_json::to_vec(&serde_json::json!({ "paths": paths })).expect("a tree always encodes")
}
