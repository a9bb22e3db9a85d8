//! Paths that are no resources: health, version, discovery, schemas, the index.

use std::sync::Arc;

use http::{Method, StatusCode};

use super::health;
use crate::api_server::Server;
use crate::error::Error;
use crate::negotiate::{self, Accepted};
use crate::request::{Request, Response};

/// Answers such a path.
///
/// # Errors
/// [`Error::UnknownPath`], [`Error::MethodNotAllowed`].
pub async fn answer(server: &Arc<Server>, request: &Request) -> Result<Response, Error> {
    let path = request.info.path.as_str();
    if let Some(response) = health::answer(server, path, &request.query).await? {
        return Ok(response);
    }
    match path.trim_end_matches('/') {
        "/version" => get_only(request).map(|()| version()),
        _ => Err(Error::UnknownPath),
    }
}

fn get_only(request: &Request) -> Result<(), Error> {
    if request.method == Method::GET { Ok(()) } else { Err(Error::MethodNotAllowed) }
}

/// The level of the API this server speaks, in upstream's form.
fn version() -> Response {
    let version = serde_json::json!({
        "major": "1",
        "minor": "36",
        "emulationMajor": "1",
        "emulationMinor": "36",
        "minCompatibilityMajor": "1",
        "minCompatibilityMinor": "35",
        "gitVersion": concat!("v1.36.2+isopod", env!("CARGO_PKG_VERSION_MAJOR"), ".", env!("CARGO_PKG_VERSION_MINOR")),
        "gitCommit": "unknown",
        "gitTreeState": "clean",
        "buildDate": "1970-01-01T00:00:00Z",
        "goVersion": "none",
        "compiler": "rustc",
        "platform": concat!("linux/", "amd64"),
    });
    negotiate::object(StatusCode::OK, Accepted::JSON, serde_json::to_vec(&version).expect("a tree always encodes"))
}
