//! A small read-only container registry for tests and demos: it serves an OCI layout directory over plain HTTP.
//!
//! An image is named by the annotation `org.opencontainers.image.ref.name` in the layout's `index.json`, with its full
//! name (`docker.io/library/nginx:latest`); it is served under the path after the registry. The index is read at each
//! request, so images may be added while the server runs. Tests can demand credentials, see what was asked, and have
//! connections broken.

mod layout;
mod response;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::Context as _;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use http::{HeaderMap, Method, Request, Response, StatusCode, header};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use platform::tasks::{TaskKind, spawn};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use layout::Layout;
use response::Body;

/// How the server behaves.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// `name:password` that every request must bring.
    pub credentials: Option<String>,
    /// So many blob responses come whole before any breaks off.
    pub whole_blobs: usize,
    /// So many blob responses after those break off in the middle.
    pub broken_blobs: usize,
    /// Answer a range request with the whole blob, as some servers do.
    pub ignore_ranges: bool,
}

/// A running server; dropping it stops it.
pub struct Registry {
    address: SocketAddr,
    state: Arc<State>,
    accepting: JoinHandle<()>,
}

struct State {
    layout: Layout,
    options: Options,
    blobs_served: AtomicUsize,
    requests: Mutex<Vec<String>>,
}

impl Registry {
    /// Starts to serve `directory`.
    ///
    /// # Errors
    /// When the address can't be listened on.
    pub async fn start(listen: SocketAddr, directory: &Path, options: Options) -> anyhow::Result<Self> {
        let listener = TcpListener::bind(listen).await.with_context(|| format!("listening on {listen}"))?;
        let address = listener.local_addr()?;
        let layout = Layout::new(PathBuf::from(directory));
        let blobs_served = AtomicUsize::new(0);
        let state = Arc::new(State { layout, options, blobs_served, requests: Mutex::default() });
        let accepting = spawn(TaskKind::Worker, "registry", accept(listener, state.clone()));
        Ok(Self { address, state, accepting })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// What was asked so far, as `GET /v2/...`.
    pub fn requests(&self) -> Vec<String> {
        self.state.requests.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// A `registries.yaml` that makes this server the mirror of docker.io.
    pub fn registries_yaml(&self) -> String {
        let address = self.address;
        let mut text = format!("mirrors:\n  docker.io:\n    endpoint: [\"http://{address}\"]\n");
        if let Some((name, password)) = self.state.options.credentials.as_deref().and_then(|both| both.split_once(':'))
        {
            text += &format!("configs:\n  \"{address}\":\n    auth: {{username: {name}, password: {password}}}\n");
        }
        text
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

async fn accept(listener: TcpListener, state: Arc<State>) {
    while let Ok((connection, _)) = listener.accept().await {
        let state = state.clone();
        spawn(TaskKind::Worker, "registry-connection", async move {
            let serve = service_fn(move |request| {
                let state = state.clone();
                async move { state.answer(&request).await }
            });
            // A client that goes away, or a blob broken on purpose, ends the connection with an error of no interest.
            let _ = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(connection), serve).await;
        });
    }
}

impl State {
    async fn answer(&self, request: &Request<Incoming>) -> Result<Response<Body>, http::Error> {
        let path = request.uri().path();
        self.requests.lock().unwrap_or_else(PoisonError::into_inner).push(format!("{} {path}", request.method()));
        if !matches!(*request.method(), Method::GET | Method::HEAD) {
            return response::error(StatusCode::METHOD_NOT_ALLOWED, "UNSUPPORTED", "this registry is read-only");
        }
        if !self.is_authorized(request.headers()) {
            return response::unauthorized();
        }
        let head = *request.method() == Method::HEAD;
        if matches!(path, "/v2" | "/v2/") {
            return response::document("application/json", None, b"{}".to_vec(), head);
        }
        let Some(rest) = path.strip_prefix("/v2/") else {
            return response::error(StatusCode::NOT_FOUND, "NOT_FOUND", "no such page");
        };
        if let Some((repository, version)) = rest.rsplit_once("/manifests/") {
            return self.manifest(repository, version, head);
        }
        match rest.rsplit_once("/blobs/") {
            Some((_, digest)) => self.blob(digest, request.headers(), head).await,
            None => response::error(StatusCode::NOT_FOUND, "NOT_FOUND", "no such page"),
        }
    }

    fn is_authorized(&self, headers: &HeaderMap) -> bool {
        let Some(credentials) = &self.options.credentials else { return true };
        let expected = format!("Basic {}", BASE64.encode(credentials));
        headers.get(header::AUTHORIZATION).is_some_and(|given| given.as_bytes() == expected.as_bytes())
    }

    fn manifest(&self, repository: &str, version: &str, head: bool) -> Result<Response<Body>, http::Error> {
        match self.layout.manifest(repository, version) {
            Some(manifest) => response::document(&manifest.media_type, Some(&manifest.digest), manifest.bytes, head),
            None => response::error(StatusCode::NOT_FOUND, "MANIFEST_UNKNOWN", "manifest unknown"),
        }
    }

    async fn blob(&self, digest: &str, headers: &HeaderMap, head: bool) -> Result<Response<Body>, http::Error> {
        let path = self.layout.blob_path(digest);
        let Some(file) = response::open(path).await else {
            return response::error(StatusCode::NOT_FOUND, "BLOB_UNKNOWN", "blob unknown to registry");
        };
        let offset = if self.options.ignore_ranges { 0 } else { range_start(headers) };
        let earlier = self.blobs_served.fetch_add(1, Ordering::Relaxed);
        let Options { whole_blobs, broken_blobs, .. } = self.options;
        let breaks = (whole_blobs..whole_blobs + broken_blobs).contains(&earlier);
        response::blob(digest, file, offset, breaks, head)
    }
}

/// The offset of `Range: bytes=<offset>-`, the only form that clients send here.
fn range_start(headers: &HeaderMap) -> u64 {
    let range = headers.get(header::RANGE).and_then(|value| value.to_str().ok());
    let start = range.and_then(|range| range.strip_prefix("bytes=")).and_then(|range| range.split('-').next());
    start.and_then(|start| start.parse().ok()).unwrap_or(0)
}
