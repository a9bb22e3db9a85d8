//! Who is calling: the in-process identity, a client certificate, or a token of the token file, of a ServiceAccount or
//! for bootstrapping.

use std::sync::Arc;

use api::certificates::request::{common_name, organizations, uid};
use api::k8s_openapi::api::core::v1::Secret;
use aws_lc_rs::digest;
use http::HeaderMap;
use http::header::AUTHORIZATION;
use x509_parser::prelude::{FromDer, X509Certificate};

use crate::api_server::Server;
use crate::error::Error;
use crate::identity::{AUTHENTICATED, UserInfo};
use crate::tokens::{TokenError, Verdict};

mod bootstrap;
mod token_file;
mod tracking;

pub use token_file::{TokenFile, TokenFileError};

/// Where the id of the credential stands in a user's extra fields.
pub const CREDENTIAL_ID: &str = "authentication.kubernetes.io/credential-id";

/// What the transport knows about the caller.
#[derive(Debug, Clone, Default)]
pub enum Peer {
    /// Nothing.
    #[default]
    Unknown,
    /// The user of a client certificate that the TLS handshake verified, or a component of this process.
    Known(Arc<UserInfo>),
}

/// Ways to log in besides certificates and ServiceAccounts' tokens.
#[derive(Debug, Default)]
pub struct AuthenticationConfig {
    /// Tokens with their users.
    pub token_file: Option<TokenFile>,
    /// Whether bootstrap tokens are good.
    pub bootstrap_tokens: bool,
    /// Whether those are turned away who do not log in.
    pub refuse_anonymous: bool,
}

/// Who makes a request, and what they should know.
pub(crate) struct Login {
    pub user: UserInfo,
    pub warning: Option<&'static str>,
}

impl From<UserInfo> for Login {
    fn from(user: UserInfo) -> Self {
        Self { user, warning: None }
    }
}

/// Finds out who makes a request.
///
/// # Errors
/// [`Error::Unauthorized`] when a token is presented that is not valid, or nobody is let in without one.
pub(crate) async fn authenticate(server: &Arc<Server>, peer: &Peer, headers: &HeaderMap) -> Result<Login, Error> {
    if let Peer::Known(user) = peer {
        return Ok(user.as_ref().clone().into());
    }
    let Some(token) = bearer_token(headers) else {
        let stranger = UserInfo::anonymous().into();
        return if server.authentication.refuse_anonymous { Err(Error::Unauthorized) } else { Ok(stranger) };
    };
    let Verdict { outcome, warning, .. } = authenticate_token(server, token, server.tokens.audiences()).await;
    outcome.map(|(user, _)| Login { user, warning }).map_err(|_| Error::Unauthorized)
}

/// The user of a token that is meant for one of `audiences`, and which of them it is for.
pub(crate) async fn authenticate_token(server: &Arc<Server>, token: &str, audiences: &[String]) -> Verdict {
    let Some(user) = plain_token(server, token).await else {
        let verdict = server.tokens.authenticate_for(token, audiences).await;
        if let Some(used) = &verdict.used {
            tracking::note(server, used).await;
        }
        return verdict;
    };
    // Tokens that name no audience are for this server.
    let own = server.tokens.audiences().iter().filter(|audience| audiences.contains(audience));
    let own: Vec<String> = own.cloned().collect();
    if own.is_empty() { Err(TokenError::Invalid).into() } else { Ok((user, own)).into() }
}

/// The user of a token that is a plain secret.
async fn plain_token(server: &Server, token: &str) -> Option<UserInfo> {
    let AuthenticationConfig { token_file, bootstrap_tokens, .. } = &server.authentication;
    if let Some(user) = token_file.as_ref().and_then(|file| file.user_of(token)) {
        return Some(user.clone());
    }
    let (id, secret) = bootstrap::parse(token).filter(|_| *bootstrap_tokens)?;
    let kept = server.typed::<Secret>("secrets", bootstrap::NAMESPACE, &bootstrap::secret_name(id)).await.ok()??;
    bootstrap::user_of(id, secret, &kept, server.now())
}

/// The token of an `Authorization: Bearer` header.
fn bearer_token(headers: &HeaderMap) -> Option<&str> {
    let (scheme, token) = headers.get(AUTHORIZATION)?.to_str().ok()?.trim().split_once(' ')?;
    let token = token.trim();
    (scheme.eq_ignore_ascii_case("bearer") && !token.is_empty()).then_some(token)
}

/// The user a client certificate names: the common name, and the organizations as groups. `None` when the certificate
/// has no common name, or several uids. The certificate must have been verified.
pub fn user_of_certificate(der: &[u8]) -> Option<UserInfo> {
    let (_, certificate) = X509Certificate::from_der(der).ok()?;
    let subject = certificate.subject();
    let name = common_name(subject)?;
    let mut user = UserInfo::new(name, organizations(subject).filter(|group| *group != AUTHENTICATED));
    user.uid = uid(subject).ok()?.unwrap_or_default().to_owned();
    let fingerprint = digest::digest(&digest::SHA256, der);
    let hex: String = fingerprint.as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
    user.extra.insert(CREDENTIAL_ID.to_owned(), vec![format!("X509SHA256={hex}")]);
    (!name.is_empty()).then_some(user)
}
