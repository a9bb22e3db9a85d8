//! Who is calling: the in-process identity, a client certificate, or a ServiceAccount token.

use api::certificates::request::{common_name, organizations};
use aws_lc_rs::digest;
use http::HeaderMap;
use http::header::AUTHORIZATION;
use x509_parser::prelude::{FromDer, X509Certificate};

use crate::error::Error;
use crate::identity::{AUTHENTICATED, UserInfo};
use crate::tokens::TokenAuthenticator;

/// Where the id of the credential stands in a user's extra fields.
pub const CREDENTIAL_ID: &str = "authentication.kubernetes.io/credential-id";

/// What the transport knows about the caller.
#[derive(Debug, Clone, Default)]
pub enum Peer {
    /// Nothing.
    #[default]
    Unknown,
    /// The user of a client certificate that the TLS handshake verified, or a component of this process.
    Known(std::sync::Arc<UserInfo>),
}

/// Finds out who makes a request.
///
/// # Errors
/// [`Error::Unauthorized`] when a token is presented that is not valid.
pub async fn authenticate(peer: &Peer, headers: &HeaderMap, tokens: &TokenAuthenticator) -> Result<UserInfo, Error> {
    if let Peer::Known(user) = peer {
        return Ok(user.as_ref().clone());
    }
    let Some(token) = bearer_token(headers) else { return Ok(UserInfo::anonymous()) };
    tokens.authenticate(token).await.map_err(|_| Error::Unauthorized)
}

/// The token of an `Authorization: Bearer` header.
fn bearer_token(headers: &HeaderMap) -> Option<&str> {
    let (scheme, token) = headers.get(AUTHORIZATION)?.to_str().ok()?.trim().split_once(' ')?;
    let token = token.trim();
    (scheme.eq_ignore_ascii_case("bearer") && !token.is_empty()).then_some(token)
}

/// The user a client certificate names: the common name, and the organizations as groups. `None` when the certificate
/// has no common name. The certificate must have been verified.
pub fn user_of_certificate(der: &[u8]) -> Option<UserInfo> {
    let (_, certificate) = X509Certificate::from_der(der).ok()?;
    let subject = certificate.subject();
    let name = common_name(subject)?;
    let mut user = UserInfo::new(name, organizations(subject).filter(|group| *group != AUTHENTICATED));
    let fingerprint = digest::digest(&digest::SHA256, der);
    let hex: String = fingerprint.as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
    user.extra.insert(CREDENTIAL_ID.to_owned(), vec![format!("X509SHA256={hex}")]);
    (!name.is_empty()).then_some(user)
}
