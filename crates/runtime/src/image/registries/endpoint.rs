//! The address of a registry server.

use std::fmt;
use std::net::IpAddr;

/// A registry server: scheme, host and a path prefix.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Endpoint {
    /// HTTP without TLS.
    pub plain_http: bool,
    /// Host, and port where given.
    pub host: String,
    /// What goes before each repository's path; empty or ending with a slash.
    pub prefix: String,
}

/// Why a text is no registry endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum EndpointError {
    /// It starts with neither `http://` nor `https://`.
    #[error("must start with http:// or https://")]
    Scheme,
    /// There is no host.
    #[error("has no host")]
    Host,
    /// The API of a registry lives under `/v2`.
    #[error("its path must be empty or begin with /v2")]
    Path,
}

impl Endpoint {
    /// Parses `http[s]://host[:port][/v2[/prefix]]`.
    ///
    /// # Errors
    /// [`EndpointError`].
    pub fn parse(text: &str) -> Result<Self, EndpointError> {
        let (plain_http, rest) = match (text.strip_prefix("http://"), text.strip_prefix("https://")) {
            (Some(rest), _) => (true, rest),
            (_, Some(rest)) => (false, rest),
            _ => return Err(EndpointError::Scheme),
        };
        let (host, path) = rest.split_once('/').unwrap_or((rest, ""));
        if host.is_empty() || host.contains(['@', '?', '#', ' ']) {
            return Err(EndpointError::Host);
        }
        let prefix = match path.trim_matches('/') {
            "" | "v2" => String::new(),
            path => format!("{}/", path.strip_prefix("v2/").ok_or(EndpointError::Path)?),
        };
        Ok(Self { plain_http, host: host.to_owned(), prefix })
    }

    /// The server a registry's name says by itself.
    pub fn of_registry(registry: &str) -> Self {
        Self { plain_http: is_loopback(registry), host: registry.to_owned(), prefix: String::new() }
    }

    /// Where the server has a repository.
    pub fn repository(&self, repository: &str) -> String {
        format!("{}{repository}", self.prefix)
    }

    /// Whether the server is on this machine.
    pub fn is_loopback(&self) -> bool {
        is_loopback(&self.host)
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}://{}", if self.plain_http { "http" } else { "https" }, self.host)
    }
}

fn is_loopback(host: &str) -> bool {
    let name = match host.rsplit_once(':') {
        Some((name, port)) if !port.ends_with(']') => name,
        _ => host,
    };
    let address = name.trim_start_matches('[').trim_end_matches(']');
    name == "localhost" || address.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}
