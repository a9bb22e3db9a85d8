//! Where etcd listens, and how a connection to it comes about.

use std::fmt;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures::future::{BoxFuture, FutureExt as _};
use grpc::{ByteStream, Connector};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

/// One that does not take a connection within this time is passed over.
const CONNECT_PATIENCE: Duration = Duration::from_secs(5);

/// One of etcd's members.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint {
    secure: bool,
    host: String,
    port: u16,
}

/// Why a text is no endpoint.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no endpoint: it has to be http://HOST:PORT or https://HOST:PORT")]
pub struct NoEndpoint(String);

impl std::str::FromStr for Endpoint {
    type Err = NoEndpoint;

    fn from_str(text: &str) -> Result<Self, NoEndpoint> {
        let wrong = || NoEndpoint(text.to_owned());
        let (scheme, rest) = text.split_once("://").ok_or_else(wrong)?;
        let secure = match scheme {
            "http" => false,
            "https" => true,
            _ => return Err(wrong()),
        };
        let (host, port) = rest.strip_suffix('/').unwrap_or(rest).rsplit_once(':').ok_or_else(wrong)?;
        let port = port.parse().map_err(|_| wrong())?;
        let host = match host.strip_prefix('[') {
            Some(address) => address.strip_suffix(']').ok_or_else(wrong)?,
            None if host.contains(':') => return Err(wrong()),
            None => host,
        };
        if host.is_empty() || host.contains('/') {
            return Err(wrong());
        }
        Ok(Self { secure, host: host.to_owned(), port })
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let host = if self.host.contains(':') { format!("[{}]", self.host) } else { self.host.clone() };
        write!(formatter, "{host}:{}", self.port)
    }
}

/// How to know etcd, and to be known by it. PEM.
#[derive(Debug, Clone, Default)]
pub struct Tls {
    /// Who signed etcd's certificate.
    pub authority: Option<Vec<u8>>,
    /// This client's certificate and key.
    pub identity: Option<(Vec<u8>, Vec<u8>)>,
}

/// Why the certificates are of no use.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// An endpoint is secure and nothing says who is to be trusted.
    #[error("an https endpoint needs --datastore-cafile, the authority that etcd's certificate is from")]
    NoAuthority,
    /// A file is no PEM, or of something else.
    #[error("cannot read {what}")]
    Pem {
        /// What is in it.
        what: &'static str,
        /// Why.
        #[source]
        source: rustls::pki_types::pem::Error,
    },
    /// A certificate or key does not fit.
    #[error("cannot use the certificates")]
    Unusable(#[from] rustls::Error),
}

impl Tls {
    fn client_config(&self) -> Result<ClientConfig, TlsError> {
        let certificates = |pem: &[u8], what| {
            let read: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
            read.map_err(|source| TlsError::Pem { what, source })
        };
        let authority = self.authority.as_ref().ok_or(TlsError::NoAuthority)?;
        let mut roots = RootCertStore::empty();
        for certificate in certificates(authority, "--datastore-cafile")? {
            roots.add(certificate)?;
        }
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
        let builder = builder.with_root_certificates(roots);
        let mut config = match &self.identity {
            None => builder.with_no_client_auth(),
            Some((certificate, key)) => {
                let key = PrivateKeyDer::from_pem_slice(key)
                    .map_err(|source| TlsError::Pem { what: "--datastore-keyfile", source })?;
                builder.with_client_auth_cert(certificates(certificate, "--datastore-certfile")?, key)?
            }
        };
        config.alpn_protocols = vec![b"h2".to_vec()];
        Ok(config)
    }
}

/// All of etcd's members: the first that takes a connection gets it.
#[derive(Debug)]
pub(super) struct Endpoints {
    all: Vec<Endpoint>,
    /// The one that was connected to last.
    preferred: AtomicUsize,
    tls: Option<Arc<ClientConfig>>,
}

impl Endpoints {
    pub(super) fn new(all: Vec<Endpoint>, tls: &Tls) -> Result<Self, TlsError> {
        let secure = all.iter().any(|endpoint| endpoint.secure);
        let tls = if secure { Some(Arc::new(tls.client_config()?)) } else { None };
        Ok(Self { all, preferred: AtomicUsize::new(0), tls })
    }

    async fn connect_to_any(&self) -> io::Result<Box<dyn ByteStream>> {
        let first = self.preferred.load(Ordering::Relaxed);
        let mut failure = io::Error::from(io::ErrorKind::NotFound);
        for index in (first..self.all.len()).chain(0..first) {
            let opening = tokio::time::timeout(CONNECT_PATIENCE, self.open(&self.all[index])).await;
            match opening.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into())) {
                Ok(stream) => {
                    self.preferred.store(index, Ordering::Relaxed);
                    return Ok(stream);
                }
                Err(error) => failure = error,
            }
        }
        Err(failure)
    }

    async fn open(&self, endpoint: &Endpoint) -> io::Result<Box<dyn ByteStream>> {
        let stream = TcpStream::connect((endpoint.host.as_str(), endpoint.port)).await?;
        stream.set_nodelay(true)?;
        let Some(config) = self.tls.as_ref().filter(|_| endpoint.secure) else { return Ok(Box::new(stream)) };
        let name = ServerName::try_from(endpoint.host.clone()).map_err(io::Error::other)?;
        Ok(Box::new(TlsConnector::from(Arc::clone(config)).connect(name, stream).await?))
    }
}

impl fmt::Display for Endpoints {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<String> = self.all.iter().map(Endpoint::to_string).collect();
        write!(formatter, "tcp {}", names.join(", "))
    }
}

impl Connector for Endpoints {
    fn connect(&self) -> BoxFuture<'_, io::Result<Box<dyn ByteStream>>> {
        self.connect_to_any().boxed()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn endpoints_are_read_as_they_are_written() {
        for (text, expected) in [
            ("http://127.0.0.1:2379", Some((false, "127.0.0.1", 2379))),
            ("https://etcd.example:2379/", Some((true, "etcd.example", 2379))),
            ("https://[::1]:2379", Some((true, "::1", 2379))),
            ("127.0.0.1:2379", None),
            ("unix:///run/etcd", None),
            ("http://127.0.0.1", None),
            ("http://127.0.0.1:99999", None),
            ("http://:2379", None),
            ("http://::1:2379", None),
            ("http://a/b:1", None),
            ("", None),
        ] {
            let endpoint = text.parse::<Endpoint>().ok();
            let found = endpoint.as_ref().map(|endpoint| (endpoint.secure, endpoint.host.as_str(), endpoint.port));
            assert_eq!(found, expected, "{text}");
        }
    }

    #[test]
    fn a_secure_endpoint_needs_an_authority() {
        let endpoints = vec!["https://localhost:1".parse().unwrap()];
        assert!(matches!(Endpoints::new(endpoints, &Tls::default()), Err(TlsError::NoAuthority)));
        let garbage = Tls { authority: Some(b"-----BEGIN CERTIFICATE-----\n!\n".to_vec()), identity: None };
        let endpoints = vec!["https://localhost:1".parse().unwrap()];
        assert!(matches!(Endpoints::new(endpoints, &garbage), Err(TlsError::Pem { .. })));
    }
}
