//! The upgrade of an HTTP/1.1 request to a WebSocket with one of Kubernetes' sub-protocols.

use http::header::{CONNECTION, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_PROTOCOL, UPGRADE};
use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode};
use http_body_util::Full;
use hyper::body::Bytes;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;

/// Version of the remote command protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProtocolVersion {
    /// Channels for input, output, errors, outcome and terminal size.
    V4,
    /// The same, and either side may close a channel.
    V5,
}

impl ProtocolVersion {
    fn name(self) -> &'static str {
        match self {
            Self::V4 => "v4.channel.k8s.io",
            Self::V5 => "v5.channel.k8s.io",
        }
    }
}

/// An upgrade to be granted.
#[derive(Debug, PartialEq, Eq)]
pub struct Upgrade {
    /// What both sides speak.
    pub version: ProtocolVersion,
    accept_key: String,
}

impl Upgrade {
    /// Checks a request; the client's first offer that we know wins.
    ///
    /// # Errors
    /// Why it cannot be granted, for the client.
    pub fn accept(headers: &HeaderMap) -> Result<Self, String> {
        let wanted = list(headers, &UPGRADE);
        if !wanted.iter().any(|protocol| protocol.eq_ignore_ascii_case("websocket")) {
            let wanted = if wanted.is_empty() { "no upgrade".to_owned() } else { wanted.join(", ") };
            return Err(format!("a WebSocket is needed, {wanted} was asked for; use kubectl 1.31 or newer"));
        }
        let key = headers.get("sec-websocket-key").ok_or("the request has no WebSocket key")?;
        let offers = list(headers, &SEC_WEBSOCKET_PROTOCOL);
        let known = [ProtocolVersion::V5, ProtocolVersion::V4];
        let version = offers.iter().find_map(|offer| known.into_iter().find(|version| version.name() == *offer));
        let version = version.ok_or_else(|| {
            format!(
                "no protocol in common: client offers {offers:?}, server speaks {:?}",
                known.map(ProtocolVersion::name)
            )
        })?;
        Ok(Self { version, accept_key: derive_accept_key(key.as_bytes()) })
    }

    /// The answer that switches protocols.
    pub fn response(&self) -> Response<Full<Bytes>> {
        let mut response = Response::new(Full::default());
        *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
        let headers = response.headers_mut();
        headers.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
        headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
        headers.insert(SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static(self.version.name()));
        let key = HeaderValue::from_str(&self.accept_key).expect("base64 is a header value");
        headers.insert(SEC_WEBSOCKET_ACCEPT, key);
        response
    }
}

/// Values of a header that holds a list, however it was split.
fn list<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Vec<&'a str> {
    let values = headers.get_all(name).iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).map(str::trim).filter(|item| !item.is_empty()).collect()
}
