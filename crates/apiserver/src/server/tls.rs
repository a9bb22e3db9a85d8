//! The TLS side: the server's certificate, optional client certificates, ALPN.

use std::sync::Arc;

use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};

/// HTTP/2 in ALPN.
pub const H2: &[u8] = b"h2";
/// HTTP/1.1 in ALPN.
pub const HTTP_1_1: &[u8] = b"http/1.1";

/// Why there is no TLS.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A PEM text cannot be read.
    #[error("reading {what}")]
    Pem {
        /// Which.
        what: &'static str,
        /// Why.
        #[source]
        source: rustls::pki_types::pem::Error,
    },
    /// Certificate and key are not usable.
    #[error("using the server's certificate")]
    Certificate(#[source] rustls::Error),
    /// The authority of client certificates is not usable.
    #[error("using the client certificate authority")]
    Authority(#[source] rustls::Error),
    /// There is no way to verify with it.
    #[error("preparing client certificate verification")]
    Verifier(#[from] rustls::server::VerifierBuilderError),
}

/// A configuration that presents a certificate, and verifies those of clients that have one.
///
/// # Errors
/// [`TlsError`] when something is not usable.
pub fn config(certificates_pem: &[u8], key_pem: &[u8], client_ca_pem: &[u8]) -> Result<Arc<ServerConfig>, TlsError> {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let mut roots = RootCertStore::empty();
    for authority in certificates(client_ca_pem, "the client certificate authority")? {
        roots.add(authority).map_err(TlsError::Authority)?;
    }
    let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider))
        .allow_unauthenticated()
        .build()?;
    let chain = certificates(certificates_pem, "the server's certificate")?;
    let key =
        PrivateKeyDer::from_pem_slice(key_pem).map_err(|source| TlsError::Pem { what: "the server's key", source })?;
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(TlsError::Certificate)?
        .with_client_cert_verifier(verifier)
        .with_single_cert(chain, key)
        .map_err(TlsError::Certificate)?;
    config.alpn_protocols = vec![H2.to_vec(), HTTP_1_1.to_vec()];
    Ok(Arc::new(config))
}

fn certificates(pem: &[u8], what: &'static str) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let read: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    read.map_err(|source| TlsError::Pem { what, source })
}
