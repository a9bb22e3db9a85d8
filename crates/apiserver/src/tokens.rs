//! ServiceAccount tokens: JWTs signed with the cluster's key, bound to objects, checked against what exists now.

use std::sync::Arc;
use std::time::Duration;

use api::k8s_openapi::api::core::v1::{Secret, ServiceAccount};
use async_trait::async_trait;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Header, Validation};
use platform::clock::SharedClock;
use platform::random::SharedRandom;
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::identity::UserInfo;

mod checks;
mod claims;
mod keys;
mod legacy;

pub use checks::Found;
use claims::{AnyClaims, Claims, user_of};
pub use claims::{PrivateClaims, Reference};
use keys::{PublicKey, SigningKey};
pub use legacy::{LAST_USED_LABEL, SecretClaims, UsedSecret};

/// What kubelets ask for when nobody says otherwise; tokens of that length may live longer, for clients that read them
/// only once.
const EXTENDED_FROM_SECONDS: i64 = 3607;
/// How long those live.
const EXTENDED_SECONDS: i64 = 365 * 24 * 3600;

/// Why a key or token is of no use.
#[derive(Debug, thiserror::Error)]
pub enum TokenError {
    /// The signing key is not PEM with a private key in it.
    #[error("reading the ServiceAccount signing key")]
    KeyPem(#[source] rustls::pki_types::pem::Error),
    /// A key is neither RSA nor ECDSA on P-256 or P-384.
    #[error("a ServiceAccount key is neither RSA nor ECDSA on P-256 or P-384")]
    KeyType,
    /// The crypto library does not take the key.
    #[error("using the ServiceAccount signing key")]
    Key(#[source] jsonwebtoken::errors::Error),
    /// Signing failed.
    #[error("signing a ServiceAccount token")]
    Sign(#[source] jsonwebtoken::errors::Error),
    /// Nobody knows the token.
    #[error("invalid bearer token")]
    Invalid,
    /// A token of this cluster that is no longer good, or never was.
    #[error("{0}")]
    Rejected(String),
    /// The token is for someone else.
    #[error("token audiences {found:?} is invalid for the target audiences {wanted:?}")]
    Audience {
        /// Whom the token is for.
        found: Vec<String>,
        /// Whom it should be for.
        wanted: Vec<String>,
    },
}

/// Kinds a token can be bound to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BoundKind {
    /// ServiceAccount.
    ServiceAccount,
    /// Pod.
    Pod,
    /// Secret.
    Secret,
    /// Node.
    Node,
}

impl BoundKind {
    /// The kind in a sentence.
    fn noun(self) -> &'static str {
        match self {
            Self::ServiceAccount => "service account",
            Self::Pod => "pod",
            Self::Secret => "secret",
            Self::Node => "node",
        }
    }
}

/// Finds the objects tokens are bound to.
#[async_trait]
pub trait ObjectLookup: Send + Sync {
    /// An object, if it exists.
    async fn find(&self, kind: BoundKind, namespace: &str, name: &str) -> Option<Found>;

    /// A whole Secret.
    async fn secret(&self, namespace: &str, name: &str) -> Option<Secret>;

    /// A whole ServiceAccount.
    async fn service_account(&self, namespace: &str, name: &str) -> Option<ServiceAccount>;
}

/// What a token is found to be.
#[derive(Debug)]
pub struct Verdict {
    /// Its user, and for which of the audiences in question it is.
    pub outcome: Result<(UserInfo, Vec<String>), TokenError>,
    /// The Secret whose token was used.
    pub used: Option<UsedSecret>,
    /// What its holder should know.
    pub warning: Option<&'static str>,
}

impl From<Result<(UserInfo, Vec<String>), TokenError>> for Verdict {
    fn from(outcome: Result<(UserInfo, Vec<String>), TokenError>) -> Self {
        Self { outcome, used: None, warning: None }
    }
}

/// How long a token lives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lifetime {
    /// As its holder is told, in seconds.
    pub told: i64,
    /// In truth.
    pub real: i64,
}

/// A fresh token.
#[derive(Debug)]
pub struct IssuedToken {
    /// The token.
    pub token: String,
    /// When its holder should have another one, in seconds since the epoch.
    pub expires_at_seconds: i64,
}

/// Whose tokens are good here, beyond those this server signs, and for whom.
#[derive(Debug, Clone, Default)]
pub struct TokenConfig {
    /// Other issuers that are believed.
    pub other_issuers: Vec<String>,
    /// The names of this server: audiences of tokens that are good for it. The issuer, when empty.
    pub audiences: Vec<String>,
    /// Other keys that verify, PEM texts.
    pub other_keys_pem: Vec<Vec<u8>>,
    /// The longest life of a token.
    pub max_expiration: Option<Duration>,
    /// Whether the tokens that Pods get unless they say otherwise live longer than their Pods are told.
    pub extend_expiration: bool,
}

/// Signs and checks tokens.
pub struct TokenAuthenticator {
    key: SigningKey,
    other_keys: Vec<PublicKey>,
    issuers: Vec<String>,
    audiences: Vec<String>,
    max_seconds: Option<i64>,
    extend: bool,
    clock: SharedClock,
    random: SharedRandom,
    lookup: Arc<dyn ObjectLookup>,
}

impl std::fmt::Debug for TokenAuthenticator {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("TokenAuthenticator").field("issuers", &self.issuers).finish_non_exhaustive()
    }
}

impl TokenAuthenticator {
    /// Reads the signing key: PKCS#8 in PEM, RSA or ECDSA on P-256 or P-384.
    ///
    /// # Errors
    /// [`TokenError`] when a key is not usable.
    pub fn new(
        key_pem: &[u8],
        issuer: String,
        config: TokenConfig,
        clock: SharedClock,
        random: SharedRandom,
        lookup: Arc<dyn ObjectLookup>,
    ) -> Result<Self, TokenError> {
        let key = SigningKey::read(key_pem)?;
        let mut other_keys = Vec::new();
        for pem in &config.other_keys_pem {
            other_keys.extend(keys::read_public(pem)?.into_iter().filter(|other| other.id != key.public.id));
        }
        let audiences = if config.audiences.is_empty() { vec![issuer.clone()] } else { config.audiences };
        let issuers = std::iter::once(issuer).chain(config.other_issuers).collect();
        let max_seconds = config.max_expiration.map(|longest| i64::try_from(longest.as_secs()).unwrap_or(i64::MAX));
        let extend = config.extend_expiration;
        Ok(Self { key, other_keys, issuers, audiences, max_seconds, extend, clock, random, lookup })
    }

    fn keys(&self) -> impl Iterator<Item = &PublicKey> {
        std::iter::once(&self.key.public).chain(&self.other_keys)
    }

    /// What others need to verify tokens: the JSON Web Key Set.
    pub fn key_set(&self) -> Vec<u8> {
        let keys: Vec<_> = self.keys().map(|key| &key.jwk).collect();
        json!({ "keys": keys }).to_string().into_bytes()
    }

    /// Where to find the key set, and what tokens look like, in OpenID's terms.
    pub fn openid_configuration(&self, server_address: &str) -> Vec<u8> {
        let mut algorithms: Vec<_> = self.keys().map(|key| key.algorithm).collect();
        algorithms.dedup();
        let configuration = json!({
            "issuer": self.issuer(),
            "jwks_uri": format!("https://{server_address}/openid/v1/jwks"),
            "response_types_supported": ["id_token"],
            "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": algorithms,
        });
        configuration.to_string().into_bytes()
    }

    /// The issuer of tokens.
    fn issuer(&self) -> &str {
        self.issuers.first().map(String::as_str).unwrap_or_default()
    }

    /// The audiences of tokens that are good for this server, and of those that name none.
    pub fn audiences(&self) -> &[String] {
        &self.audiences
    }

    /// How long a token lives that asks for so many seconds.
    pub fn lifetime(&self, asked: i64, is_of_pod: bool, audiences: &[String]) -> Lifetime {
        let told = self.max_seconds.map_or(asked, |longest| asked.min(longest));
        let is_ours = audiences.iter().all(|audience| self.audiences.contains(audience));
        let is_extended = self.extend && is_of_pod && is_ours && told == EXTENDED_FROM_SECONDS;
        Lifetime { told, real: if is_extended { EXTENDED_SECONDS } else { told } }
    }

    /// Signs a token for a ServiceAccount.
    ///
    /// # Errors
    /// [`TokenError::Sign`].
    pub fn issue(
        &self,
        mut claims: PrivateClaims,
        audiences: Vec<String>,
        lifetime: Lifetime,
    ) -> Result<IssuedToken, TokenError> {
        let now = self.clock.now().as_second();
        let expires_at_seconds = now.saturating_add(lifetime.told);
        claims.warnafter = (lifetime.real != lifetime.told).then_some(expires_at_seconds);
        let claims = Claims {
            aud: audiences,
            exp: now.saturating_add(lifetime.real),
            iat: now,
            iss: self.issuer().to_owned(),
            jti: self.random.uuid(),
            sub: format!("system:serviceaccount:{}:{}", claims.namespace, claims.serviceaccount.name),
            kubernetes: claims,
            nbf: now,
        };
        let token = self.sign(&claims)?;
        Ok(IssuedToken { token, expires_at_seconds })
    }

    /// Signs the token of a Secret.
    ///
    /// # Errors
    /// [`TokenError::Sign`].
    pub fn issue_for_secret(&self, claims: &SecretClaims) -> Result<String, TokenError> {
        self.sign(claims)
    }

    fn sign(&self, claims: &impl Serialize) -> Result<String, TokenError> {
        let (alg, kid) = (self.key.public.algorithm, Some(self.key.public.id.clone()));
        let header = Header { typ: None, alg, kid, ..Header::default() };
        jsonwebtoken::encode(&header, claims, &self.key.signing).map_err(TokenError::Sign)
    }

    /// The user of a token that is meant for one of `audiences`, and which of them it is for.
    pub async fn authenticate_for(&self, token: &str, audiences: &[String]) -> Verdict {
        match self.verify(token) {
            Ok(AnyClaims::Bound(claims)) => self.authenticate_bound(*claims, audiences).await.into(),
            Ok(AnyClaims::OfSecret(claims)) => self.authenticate_secret(token, &claims, audiences).await,
            Err(error) => Err(error).into(),
        }
    }

    async fn authenticate_bound(
        &self,
        claims: Claims,
        audiences: &[String],
    ) -> Result<(UserInfo, Vec<String>), TokenError> {
        let shared = shared(&claims.aud, audiences)?;
        checks::times(&claims, self.clock.now())?;
        self.check_bindings(&claims.kubernetes).await?;
        Ok((user_of(claims), shared))
    }

    /// Such tokens name no audience: they are for this server.
    async fn authenticate_secret(&self, token: &str, claims: &SecretClaims, audiences: &[String]) -> Verdict {
        let shared = match shared(&self.audiences, audiences) {
            Ok(shared) => shared,
            Err(error) => return Err(error).into(),
        };
        let secret = self.lookup.secret(&claims.namespace, &claims.secret).await;
        let account = self.lookup.service_account(&claims.namespace, &claims.account).await;
        let legacy::Judgement { outcome, used, warning } = claims.judge(token, secret.as_ref(), account.as_ref());
        Verdict { outcome: outcome.map(|()| (claims.user(), shared)), used, warning }
    }

    /// Checks issuer and signature.
    fn verify(&self, token: &str) -> Result<AnyClaims, TokenError> {
        let issuer = unverified_issuer(token).ok_or(TokenError::Invalid)?;
        if issuer != legacy::ISSUER && !self.issuers.contains(&issuer) {
            return Err(TokenError::Invalid);
        }
        let header = jsonwebtoken::decode_header(token).map_err(|_| TokenError::Invalid)?;
        let named = |key: &&PublicKey| header.kid.as_ref().is_none_or(|id| *id == key.id);
        let mut keys = self.keys().filter(named).peekable();
        if keys.peek().is_none() {
            return Err(TokenError::Rejected("invalid signature, no keys found".to_owned()));
        }
        // The words of the library that clients of upstream's server know.
        let forged = || TokenError::Rejected("go-jose/go-jose: error in cryptographic primitive".to_owned());
        keys.find_map(|key| verify_with(token, key)).ok_or_else(forged)
    }

    async fn check_bindings(&self, claims: &PrivateClaims) -> Result<(), TokenError> {
        let (now, namespace, account) = (self.clock.now(), claims.namespace.as_str(), &claims.serviceaccount);
        let found = self.lookup.find(BoundKind::ServiceAccount, namespace, &account.name).await;
        checks::account(found.as_ref(), namespace, account, now)?;
        let bound = [
            (BoundKind::Secret, namespace, claims.secret.as_ref()),
            (BoundKind::Pod, namespace, claims.pod.as_ref()),
            // With a Pod, the node is only a note.
            (BoundKind::Node, "", claims.node.as_ref().filter(|_| claims.pod.is_none())),
        ];
        for (kind, namespace, reference) in bound {
            let Some(reference) = reference else { continue };
            let found = self.lookup.find(kind, namespace, &reference.name).await;
            checks::bound(kind, found.as_ref(), reference, now)?;
        }
        Ok(())
    }
}

/// Who a token says it is of, before anybody has looked at its signature.
fn unverified_issuer(token: &str) -> Option<String> {
    #[derive(Deserialize)]
    struct Issuer {
        #[serde(default)]
        iss: String,
    }
    let mut parts = token.split('.');
    let (_, payload, _) = (parts.next()?, parts.next()?, parts.next()?);
    let payload = URL_SAFE_NO_PAD.decode(payload).ok().filter(|_| parts.next().is_none())?;
    serde_json::from_slice::<Issuer>(&payload).ok().map(|claims| claims.iss)
}

fn verify_with(token: &str, key: &PublicKey) -> Option<AnyClaims> {
    let mut validation = Validation::new(key.algorithm);
    validation.validate_exp = false; // time comes from the clock, not from the library
    validation.validate_aud = false;
    validation.required_spec_claims.clear();
    let claims = jsonwebtoken::decode::<AnyClaims>(token, &key.verifying, &validation).ok()?.claims;
    // Each issuer has a form of its own.
    let fits = match &claims {
        AnyClaims::Bound(claims) => claims.iss != legacy::ISSUER,
        AnyClaims::OfSecret(claims) => claims.iss == legacy::ISSUER,
    };
    fits.then_some(claims)
}

/// Those whom a token is for and who are meant.
fn shared(found: &[String], wanted: &[String]) -> Result<Vec<String>, TokenError> {
    let shared: Vec<String> = found.iter().filter(|audience| wanted.contains(audience)).cloned().collect();
    if shared.is_empty() {
        return Err(TokenError::Audience { found: found.to_vec(), wanted: wanted.to_vec() });
    }
    Ok(shared)
}
