//! One registry, asked for one repository: a thin layer over `oci-client` that speaks in this crate's errors.

mod clients;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::StreamExt;
use futures::stream::BoxStream;
use oci_client::client::{
    BlobResponse, Certificate, CertificateEncoding, ClientConfig, ClientProtocol, LayerDescriptor,
};
use oci_client::errors::{OciDistributionError, OciErrorCode};
use oci_client::secrets::RegistryAuth;
use oci_client::{Client, Reference};
use tracing::warn;

use super::digest::Digest;
use super::error::RegistryError;
use super::manifest::{ACCEPTED_MEDIA_TYPES, Descriptor};
use super::reference::{ImageReference, Version};
use super::registries::{Credentials, Source, Trust};

pub use clients::Clients;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// A server that sends nothing for this long is given up.
const READ_TIMEOUT: Duration = Duration::from_secs(60);
const USER_AGENT: &str = concat!("isopod/", env!("CARGO_PKG_VERSION"));
/// Configurations and the like are held in memory.
const DOCUMENT_BYTES_MAX: u64 = 8 * 1024 * 1024;

/// A repository on a server.
pub struct Registry {
    client: Client,
    source: Source,
    auth: RegistryAuth,
    endpoint: String,
    /// The full name of the wanted image, for messages.
    image: String,
}

/// Pieces of a blob.
pub type BlobStream = BoxStream<'static, std::io::Result<Bytes>>;

impl Registry {
    /// Prepares to ask; connects to nothing yet.
    ///
    /// # Errors
    /// [`RegistryError::Request`] when the TLS settings can't be used.
    pub fn new(
        clients: &Arc<Clients>,
        source: &Source,
        image: &ImageReference,
        credentials: Option<&Credentials>,
    ) -> Result<Self, RegistryError> {
        let endpoint = source.endpoint.to_string();
        if credentials.is_some() && source.endpoint.plain_http && !source.endpoint.is_loopback() {
            warn!(endpoint, "credentials are sent without encryption");
        }
        let client = clients.get(source, credentials)?;
        let auth = credentials.map_or(RegistryAuth::Anonymous, |credentials| match credentials.clone() {
            Credentials::Basic { username, password } => RegistryAuth::Basic(username, password),
            Credentials::Token(token) => RegistryAuth::Bearer(token),
        });
        Ok(Self { client, source: source.clone(), auth, endpoint, image: image.to_string() })
    }

    /// A manifest or index, with its digest. A version that is a digest is verified.
    ///
    /// # Errors
    /// [`RegistryError`].
    pub async fn document(&self, version: &Version) -> Result<(Bytes, Digest), RegistryError> {
        let reference = match version {
            Version::Digest(digest) => self.reference("").clone_with_digest(digest.to_string()),
            Version::Tag(tag) => self.reference(tag),
        };
        let (bytes, digest) = self
            .client
            .pull_manifest_raw(&reference, &self.auth, &ACCEPTED_MEDIA_TYPES)
            .await
            .map_err(|error| self.explain(error))?;
        let digest = Digest::parse(&digest).unwrap_or_else(|| Digest::of(&bytes));
        Ok((bytes, digest))
    }

    /// A small blob, verified.
    ///
    /// # Errors
    /// [`RegistryError`].
    pub async fn small_blob(&self, descriptor: &Descriptor) -> Result<Vec<u8>, RegistryError> {
        let too_large = || RegistryError::TooLarge { what: descriptor.digest.to_string(), limit: DOCUMENT_BYTES_MAX };
        if descriptor.size > DOCUMENT_BYTES_MAX {
            return Err(too_large());
        }
        let mut stream = self.blob(descriptor, 0).await?;
        let mut bytes = Vec::new();
        while let Some(piece) = stream.next().await {
            bytes.extend_from_slice(&piece.map_err(|error| self.broken(error))?);
            if bytes.len() as u64 > DOCUMENT_BYTES_MAX {
                return Err(too_large());
            }
        }
        match Digest::of(&bytes) == descriptor.digest {
            true => Ok(bytes),
            false => Err(self.broken(std::io::Error::other(format!("content is not {}", descriptor.digest)))),
        }
    }

    /// A blob from `offset` on. The caller verifies it.
    ///
    /// # Errors
    /// [`RegistryError`].
    pub async fn blob(&self, descriptor: &Descriptor, offset: u64) -> Result<BlobStream, RegistryError> {
        let layer = LayerDescriptor { digest: descriptor.digest.as_str(), urls: &None };
        if offset == 0 {
            let whole = self.client.pull_blob_stream(&self.reference(""), &layer).await;
            return Ok(whole.map_err(|error| self.explain(error))?.stream);
        }
        let response = self.client.pull_blob_stream_partial(&self.reference(""), &layer, offset, None).await;
        match response.map_err(|error| self.explain(error))? {
            BlobResponse::Partial(part) => Ok(part.stream),
            BlobResponse::Full(whole) => Ok(skip(whole.stream, offset)),
        }
    }

    /// The error of a connection that broke on the way.
    pub fn broken(&self, error: std::io::Error) -> RegistryError {
        RegistryError::Request { endpoint: self.endpoint.clone(), source: Box::new(error) }
    }

    /// The repository in the client's words. A mirror is told whose content is wanted.
    fn reference(&self, tag: &str) -> Reference {
        let Source { endpoint, repository, mirror_of, .. } = &self.source;
        let registry = mirror_of.as_ref().unwrap_or(&endpoint.host);
        let mut reference = Reference::with_tag(registry.clone(), repository.clone(), tag.to_owned());
        if mirror_of.is_some() {
            reference.set_mirror_registry(endpoint.host.clone());
        }
        reference
    }

    fn explain(&self, error: OciDistributionError) -> RegistryError {
        use OciDistributionError::{AuthenticationFailure, RegistryError as Refused, ServerError, UnauthorizedError};
        let not_found = || RegistryError::NotFound(self.image.clone());
        match error {
            ServerError { code: 404, .. } => not_found(),
            ServerError { code: 401 | 403, message, .. } => RegistryError::Denied(message),
            UnauthorizedError { .. } => RegistryError::Denied("authorization failed".to_owned()),
            AuthenticationFailure(message) => RegistryError::Denied(message),
            Refused { envelope, .. } if envelope.errors.iter().any(|error| means_not_found(&error.code)) => not_found(),
            Refused { envelope, .. } if envelope.errors.iter().any(|error| means_denied(&error.code)) => {
                RegistryError::Denied(envelope.to_string())
            }
            other => RegistryError::Request { endpoint: self.endpoint.clone(), source: Box::new(other) },
        }
    }
}

fn means_not_found(code: &OciErrorCode) -> bool {
    use OciErrorCode::{BlobUnknown, ManifestBlobUnknown, ManifestUnknown, NameUnknown, NotFound};
    matches!(code, BlobUnknown | ManifestBlobUnknown | ManifestUnknown | NameUnknown | NotFound)
}

fn means_denied(code: &OciErrorCode) -> bool {
    matches!(code, OciErrorCode::Unauthorized | OciErrorCode::Denied)
}

fn client_config(source: &Source) -> ClientConfig {
    let mut config = ClientConfig {
        protocol: if source.endpoint.plain_http { ClientProtocol::Http } else { ClientProtocol::Https },
        connect_timeout: Some(CONNECT_TIMEOUT),
        read_timeout: Some(READ_TIMEOUT),
        user_agent: USER_AGENT,
        ..ClientConfig::default()
    };
    match &source.trust {
        Trust::System => {}
        Trust::Anyone => config.accept_invalid_certificates = true,
        Trust::Also(pem) => {
            let certificate = Certificate { encoding: CertificateEncoding::Pem, data: pem.clone() };
            config.extra_root_certificates.push(certificate);
        }
    }
    if source.endpoint.is_loopback() {
        // A proxy from the environment can't reach this machine's loopback. Naming one here, with this host excepted,
        // keeps the environment's from being used.
        let host = source.endpoint.host.split(':').next().unwrap_or_default().to_owned();
        config.http_proxy = Some(source.endpoint.to_string());
        config.no_proxy = Some(host);
    }
    config
}

/// Drops the first `offset` bytes: some servers ignore range requests.
fn skip(stream: BlobStream, offset: u64) -> BlobStream {
    let rest = stream.scan(offset, |left, piece| {
        let piece = piece.map(|mut bytes| {
            let dropped = usize::try_from(*left).unwrap_or(usize::MAX).min(bytes.len());
            *left -= dropped as u64;
            bytes.split_off(dropped)
        });
        futures::future::ready(Some(piece))
    });
    rest.boxed()
}
