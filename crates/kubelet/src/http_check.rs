//! One HTTP GET against a container, for probes and hooks.

use bytes::Bytes;
use http_body_util::Empty;
use hyper_util::rt::TokioIo;
use k8s_openapi::api::core::v1::{Container, HTTPGetAction};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use tokio::net::TcpStream;

/// Why a request failed.
#[derive(Debug, thiserror::Error)]
pub enum HttpCheckError {
    /// The Pod has no address to ask at.
    #[error("the Pod has no address")]
    NoAddress,
    /// The container has no port of that name.
    #[error("couldn't find port: {0}")]
    NoPort(String),
    /// Nobody listens.
    #[error("dial tcp {address}: connect: {source}")]
    Connect {
        /// Where.
        address: String,
        /// The cause.
        source: std::io::Error,
    },
    /// TLS is not spoken by this kubelet's checks yet.
    #[error("scheme HTTPS is not supported by this kubelet")]
    Https,
    /// A header or path that is not one.
    #[error("malformed request: {0}")]
    Request(#[from] http::Error),
    /// The exchange broke off.
    #[error("{0}")]
    Exchange(#[from] hyper::Error),
}

/// The number of a port that is given by number or by its name in the container.
pub fn port_number(container: &Container, port: &IntOrString) -> Option<u16> {
    match port {
        IntOrString::Int(number) => u16::try_from(*number).ok(),
        IntOrString::String(name) => {
            let ports = container.ports.iter().flatten();
            let named = ports.into_iter().find(|port| port.name.as_ref() == Some(name));
            named.and_then(|port| u16::try_from(port.container_port).ok()).or_else(|| name.parse().ok())
        }
    }
}

/// Asks once and answers the HTTP status code. The caller bounds the time.
///
/// # Errors
/// [`HttpCheckError`] when no answer came.
pub async fn get(container: &Container, action: &HTTPGetAction, pod_ip: Option<&str>) -> Result<u16, HttpCheckError> {
    if action.scheme.as_deref() == Some("HTTPS") {
        return Err(HttpCheckError::Https);
    }
    let host = action.host.as_deref().filter(|host| !host.is_empty()).or(pod_ip).ok_or(HttpCheckError::NoAddress)?;
    let port =
        port_number(container, &action.port).ok_or_else(|| HttpCheckError::NoPort(format!("{:?}", action.port)))?;
    let address = if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") };
    let stream = TcpStream::connect(&address)
        .await
        .map_err(|source| HttpCheckError::Connect { address: address.clone(), source })?;
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    let request = request(action, &address)?;
    let exchange = async {
        let response = sender.send_request(request).await?;
        Ok(response.status().as_u16())
    };
    tokio::pin!(exchange, connection);
    tokio::select! {
        answer = &mut exchange => answer,
        // The connection may end before its last answer is taken.
        _ = &mut connection => exchange.await,
    }
}

fn request(action: &HTTPGetAction, address: &str) -> Result<http::Request<Empty<Bytes>>, http::Error> {
    let path = action.path.as_deref().filter(|path| !path.is_empty()).unwrap_or("/");
    let path = if path.starts_with('/') { path.to_owned() } else { format!("/{path}") };
    let headers = action.http_headers.as_deref().unwrap_or_default();
    let has = |name: &str| headers.iter().any(|header| header.name.eq_ignore_ascii_case(name));
    let mut builder = http::Request::get(path);
    for (name, value) in [("Host", address), ("User-Agent", "kube-probe/1.36"), ("Accept", "*/*")] {
        if !has(name) {
            builder = builder.header(name, value);
        }
    }
    let builder = headers.iter().fold(builder, |builder, header| builder.header(&header.name, &header.value));
    builder.header("Connection", "close").body(Empty::new())
}
