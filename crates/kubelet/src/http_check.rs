//! One HTTP GET against a container, for probes and hooks, as upstream's kubelet asks it: no certificate is verified,
//! redirects are followed as long as they stay on the host, and every request has a connection of its own.

mod tls;

use std::fmt;
use std::io;

use bytes::{Bytes, BytesMut};
use http::header::{HeaderName, HeaderValue};
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Empty};
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use k8s_openapi::api::core::v1::{Container, HTTPGetAction};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;

/// How probes introduce themselves.
pub const USER_AGENT: &str = "kube-probe/1.36";
const REDIRECTS_MAX: usize = 10;

/// What a request is made for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// A probe.
    Probe,
    /// A lifecycle hook.
    Lifecycle,
}

/// The port of an action cannot be told.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum PortError {
    /// Neither the name of one of the container's ports nor a number. In the words users know.
    #[error("strconv.Atoi: parsing {0:?}: invalid syntax")]
    Name(String),
    /// A number no port has.
    #[error("invalid port number: {0}")]
    Number(i64),
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
#[error("Get \"{url}\": {problem}")]
pub struct HttpCheckError {
    /// What was asked for when it failed.
    pub url: String,
    /// Why, in Go's words where users know them.
    pub problem: String,
}

/// An answer.
#[derive(Debug, PartialEq, Eq)]
pub struct Answer {
    /// HTTP status code.
    pub status: u16,
    /// The beginning of the body.
    pub body: Vec<u8>,
}

/// An `http` or `https` URL.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Url {
    https: bool,
    host: String,
    port: u16,
    /// Path and query.
    target: String,
}

impl fmt::Display for Url {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}://{}{}", self.scheme(), host_port(&self.host, self.port), self.target)
    }
}

impl Url {
    fn scheme(&self) -> &'static str {
        if self.https { "https" } else { "http" }
    }

    /// Where a `Location` leads to from here; nothing if that is not understood.
    fn join(&self, location: &str) -> Option<Self> {
        let (https, rest) = if let Some(rest) = location.strip_prefix("http://") {
            (false, rest)
        } else if let Some(rest) = location.strip_prefix("https://") {
            (true, rest)
        } else if let Some(rest) = location.strip_prefix("//") {
            (self.https, rest)
        } else {
            let (path, _) = self.target.split_once('?').unwrap_or((&self.target, ""));
            let (folder, _) = path.rsplit_once('/').unwrap_or_default();
            let target = match location.chars().next() {
                Some('/') => location.to_owned(),
                Some('?') => format!("{path}{location}"),
                _ => format!("{folder}/{location}"),
            };
            return Some(Self { target: escaped(&target), ..self.clone() });
        };
        let end = rest.find(['/', '?']).unwrap_or(rest.len());
        let (authority, target) = rest.split_at(end);
        let authority: http::uri::Authority = authority.parse().ok()?;
        let port = authority.port_u16().unwrap_or(if https { 443 } else { 80 });
        let host = authority.host().trim_matches(['[', ']']).to_owned();
        Some(Self { https, host, port, target: escaped(if target.is_empty() { "/" } else { target }) })
    }
}

/// `host:port`, with brackets where the host needs them.
pub fn host_port(host: &str, port: u16) -> String {
    if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") }
}

/// The number of a port that is given by number or by its name in the container.
///
/// # Errors
/// [`PortError`] when there is no such port.
pub fn port_number(container: &Container, port: &IntOrString) -> Result<u16, PortError> {
    let number = match port {
        IntOrString::Int(number) => i64::from(*number),
        IntOrString::String(name) => {
            let named = container.ports.iter().flatten().find(|port| port.name.as_ref() == Some(name));
            match named {
                Some(port) => i64::from(port.container_port),
                None => name.parse().map_err(|_| PortError::Name(name.clone()))?,
            }
        }
    };
    u16::try_from(number).ok().filter(|number| *number > 0).ok_or(PortError::Number(number))
}

/// What an action asks for; the Pod itself unless it names a host.
///
/// # Errors
/// [`PortError`] when the port cannot be told.
pub fn url(container: &Container, action: &HTTPGetAction, pod_ip: &str) -> Result<Url, PortError> {
    let host = action.host.as_deref().filter(|host| !host.is_empty()).unwrap_or(pod_ip).to_owned();
    let path = action.path.as_deref().unwrap_or_default();
    let target = if path.starts_with('/') { path.to_owned() } else { format!("/{path}") };
    let https = action.scheme.as_deref().is_some_and(|scheme| scheme.eq_ignore_ascii_case("https"));
    Ok(Url { https, host, port: port_number(container, &action.port)?, target: escaped(&target) })
}

/// A hook's request. What the server answers does not matter, nor whether it speaks TLS when it was said to.
///
/// # Errors
/// [`HttpCheckError`] when no answer came.
pub async fn run_hook(
    container: &Container,
    action: &HTTPGetAction,
    pod_ip: Option<&str>,
) -> Result<(), HttpCheckError> {
    let failed = |problem: String| HttpCheckError { url: action.path.clone().unwrap_or_default(), problem };
    let pod_ip = pod_ip.ok_or_else(|| failed("the Pod has no address".to_owned()))?;
    let url = url(container, action, pod_ip).map_err(|error| failed(error.to_string()))?;
    match get(&url, action, Purpose::Lifecycle, 0).await {
        Err(error) if url.https && error.problem == tls::NOT_TLS => {
            get(&Url { https: false, ..url }, action, Purpose::Lifecycle, 0).await.map(drop)
        }
        outcome => outcome.map(drop),
    }
}

/// Asks, following redirects on the same host, and reads at most `body_max` bytes of the answer. The caller bounds the
/// time.
///
/// # Errors
/// [`HttpCheckError`] when no answer came.
pub async fn get(
    url: &Url,
    action: &HTTPGetAction,
    purpose: Purpose,
    body_max: usize,
) -> Result<Answer, HttpCheckError> {
    let mut present = url.clone();
    for _ in 0..=REDIRECTS_MAX {
        let failed = |problem: String| HttpCheckError { url: present.to_string(), problem };
        let (answer, location) = ask(&present, action, purpose, body_max).await.map_err(failed)?;
        match location.and_then(|location| present.join(&location)) {
            Some(next) if next.host == url.host => present = next,
            _ => return Ok(answer),
        }
    }
    Err(HttpCheckError { url: present.to_string(), problem: format!("stopped after {REDIRECTS_MAX} redirects") })
}

/// One request; with the answer comes where it redirects to, if it does.
async fn ask(
    url: &Url,
    action: &HTTPGetAction,
    purpose: Purpose,
    body_max: usize,
) -> Result<(Answer, Option<String>), String> {
    let request = request(url, action, purpose).map_err(|error| error.to_string())?;
    let address = host_port(&url.host, url.port);
    let stream = TcpStream::connect(&address)
        .await
        .map_err(|error| format!("dial tcp {address}: connect: {}", cause(&error)))?;
    if url.https {
        exchange(tls::connect(&url.host, stream).await?, request, body_max).await
    } else {
        exchange(stream, request, body_max).await
    }
}

async fn exchange(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    request: Request<Empty<Bytes>>,
    body_max: usize,
) -> Result<(Answer, Option<String>), String> {
    let handshake = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await;
    let (mut sender, connection) = handshake.map_err(|error| exchange_problem(&error))?;
    let answer = async {
        let response = sender.send_request(request).await.map_err(|error| exchange_problem(&error))?;
        let location = location(&response);
        let status = response.status().as_u16();
        Ok((Answer { status, body: beginning(response.into_body(), body_max).await? }, location))
    };
    tokio::pin!(answer, connection);
    tokio::select! {
        answer = &mut answer => answer,
        // The connection may end before its last answer is taken.
        _ = &mut connection => answer.await,
    }
}

fn location(response: &Response<Incoming>) -> Option<String> {
    let redirects = matches!(
        response.status(),
        StatusCode::MOVED_PERMANENTLY
            | StatusCode::FOUND
            | StatusCode::SEE_OTHER
            | StatusCode::TEMPORARY_REDIRECT
            | StatusCode::PERMANENT_REDIRECT
    );
    let location = response.headers().get(http::header::LOCATION).filter(|_| redirects)?;
    location.to_str().ok().map(str::to_owned)
}

/// The first bytes of a body; the rest is left unread.
async fn beginning(mut body: Incoming, max: usize) -> Result<Vec<u8>, String> {
    let mut bytes = BytesMut::new();
    while bytes.len() < max {
        let Some(frame) = body.frame().await else { break };
        if let Ok(data) = frame.map_err(|error| exchange_problem(&error))?.into_data() {
            bytes.extend_from_slice(&data);
        }
    }
    bytes.truncate(max);
    Ok(bytes.into())
}

fn request(url: &Url, action: &HTTPGetAction, purpose: Purpose) -> Result<Request<Empty<Bytes>>, http::Error> {
    let agent = match purpose {
        Purpose::Probe => USER_AGENT,
        Purpose::Lifecycle => "kube-lifecycle/1.36",
    };
    let mut request = Request::get(&url.target).body(Empty::new())?;
    let headers = request.headers_mut();
    for header in action.http_headers.iter().flatten() {
        headers.append(HeaderName::try_from(&header.name)?, HeaderValue::try_from(&header.value)?);
    }
    let host = HeaderValue::try_from(host_port(&url.host, url.port))?;
    for (name, value) in [
        (http::header::HOST, host),
        (http::header::USER_AGENT, HeaderValue::from_static(agent)),
        (http::header::ACCEPT, HeaderValue::from_static("*/*")),
    ] {
        // An empty host is no host; an empty agent or type is how a user asks for none.
        match headers.get(&name).map(HeaderValue::is_empty) {
            None => drop(headers.insert(name, value)),
            Some(true) if name == http::header::HOST => drop(headers.insert(name, value)),
            Some(true) => drop(headers.remove(name)),
            Some(false) => {}
        }
    }
    headers.insert(http::header::CONNECTION, HeaderValue::from_static("close"));
    Ok(request)
}

/// What may not stand in a request's target, escaped.
fn escaped(target: &str) -> String {
    let mut text = String::with_capacity(target.len());
    for byte in target.split('#').next().unwrap_or_default().bytes() {
        if byte.is_ascii_graphic() && !br#""<>\^`{|}"#.contains(&byte) {
            text.push(char::from(byte));
        } else {
            text.push_str(&format!("%{byte:02X}"));
        }
    }
    text
}

/// Why an exchange broke off, in Go's words.
fn exchange_problem(error: &hyper::Error) -> String {
    let source = std::error::Error::source(error).and_then(|source| source.downcast_ref::<io::Error>());
    match source {
        Some(source) => cause(source).to_owned(),
        None if error.is_incomplete_message() || error.is_closed() || error.is_canceled() => "EOF".to_owned(),
        None if error.is_parse() => format!("net/http: HTTP/1.x transport connection broken: {error}"),
        None => error.to_string(),
    }
}

/// The cause in the words of a Unix message.
pub fn cause(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::ConnectionRefused => "connection refused",
        io::ErrorKind::ConnectionReset => "connection reset by peer",
        io::ErrorKind::HostUnreachable => "no route to host",
        io::ErrorKind::NetworkUnreachable => "network is unreachable",
        io::ErrorKind::TimedOut => "connection timed out",
        io::ErrorKind::UnexpectedEof => "EOF",
        _ => "connection failed",
    }
}

#[cfg(test)]
mod tests;
