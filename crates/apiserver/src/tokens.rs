//! ServiceAccount tokens: JWTs signed with the cluster's key, bound to objects, checked against what exists now.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use aws_lc_rs::constant_time::verify_slices_are_equal;
use jsonwebtoken::{Header, Validation};
use platform::clock::SharedClock;
use platform::random::SharedRandom;
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::authentication::CREDENTIAL_ID;
use crate::identity::UserInfo;

mod keys;
mod legacy;

use keys::{PublicKey, SigningKey};
pub use legacy::SecretClaims;

/// Clocks of clients may run this far ahead.
const LEEWAY_SECONDS: i64 = 60;

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
    /// Not a token of this cluster, expired, or bound to something that is gone.
    #[error("invalid bearer token")]
    Invalid,
    /// The token is for someone else.
    #[error("token audiences {found:?} is invalid for the target audiences {wanted:?}")]
    Audience {
        /// Whom the token is for.
        found: Vec<String>,
        /// Whom it should be for.
        wanted: Vec<String>,
    },
}

/// A name with its uid.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reference {
    /// Name.
    pub name: String,
    /// Uid.
    pub uid: String,
}

/// What Kubernetes says in a token beyond the standard claims.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PrivateClaims {
    /// The ServiceAccount's namespace.
    pub namespace: String,
    /// The ServiceAccount.
    pub serviceaccount: Reference,
    /// The Pod the token lives with.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub pod: Option<Reference>,
    /// The Secret the token lives with.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub secret: Option<Reference>,
    /// The node: of the Pod, or the one the token lives with.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub node: Option<Reference>,
}

#[derive(Debug, Serialize, Deserialize)]
struct Claims {
    aud: Vec<String>,
    exp: i64,
    iat: i64,
    iss: String,
    jti: String,
    #[serde(rename = "kubernetes.io")]
    kubernetes: PrivateClaims,
    nbf: i64,
    sub: String,
}

/// What a token of this cluster says, of either sort.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum AnyClaims {
    Bound(Claims),
    OfSecret(SecretClaims),
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

/// Finds the objects tokens are bound to.
#[async_trait]
pub trait ObjectLookup: Send + Sync {
    /// The uid of an object, if it exists.
    async fn uid(&self, kind: BoundKind, namespace: &str, name: &str) -> Option<String>;

    /// The token that a Secret holds for a ServiceAccount, if it exists.
    async fn token_of_secret(&self, namespace: &str, name: &str) -> Option<Vec<u8>>;
}

/// A fresh token.
#[derive(Debug)]
pub struct IssuedToken {
    /// The token.
    pub token: String,
    /// When it ends, in seconds since the epoch.
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
}

/// Signs and checks tokens.
pub struct TokenAuthenticator {
    key: SigningKey,
    other_keys: Vec<PublicKey>,
    issuers: Vec<String>,
    audiences: Vec<String>,
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
        Ok(Self { key, other_keys, issuers, audiences, clock, random, lookup })
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

    /// Signs a token for a ServiceAccount.
    ///
    /// # Errors
    /// [`TokenError::Sign`].
    pub fn issue(
        &self,
        claims: PrivateClaims,
        audiences: Vec<String>,
        lifetime: Duration,
    ) -> Result<IssuedToken, TokenError> {
        let now = self.clock.now().as_second();
        let expires_at_seconds = now.saturating_add_unsigned(lifetime.as_secs());
        let claims = Claims {
            aud: audiences,
            exp: expires_at_seconds,
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
    ///
    /// # Errors
    /// [`TokenError::Invalid`], [`TokenError::Audience`].
    pub async fn authenticate_for(
        &self,
        token: &str,
        audiences: &[String],
    ) -> Result<(UserInfo, Vec<String>), TokenError> {
        match self.verify(token)? {
            AnyClaims::Bound(claims) => {
                let shared = shared(&claims.aud, audiences)?;
                self.check_times(&claims)?;
                self.check_bindings(&claims.kubernetes).await?;
                Ok((user_of(claims), shared))
            }
            AnyClaims::OfSecret(claims) => {
                // They name no audience: they are for this server.
                let shared = shared(&self.audiences, audiences)?;
                self.check_secret(token, &claims).await?;
                Ok((claims.user(), shared))
            }
        }
    }

    /// Checks signature and issuer.
    fn verify(&self, token: &str) -> Result<AnyClaims, TokenError> {
        let header = jsonwebtoken::decode_header(token).map_err(|_| TokenError::Invalid)?;
        let named = |key: &&PublicKey| header.kid.as_ref().is_none_or(|id| *id == key.id);
        self.keys().filter(named).find_map(|key| self.verify_with(token, key)).ok_or(TokenError::Invalid)
    }

    fn verify_with(&self, token: &str, key: &PublicKey) -> Option<AnyClaims> {
        let mut validation = Validation::new(key.algorithm);
        validation.validate_exp = false; // time comes from the clock, not from the library
        validation.validate_aud = false;
        validation.required_spec_claims.clear();
        let claims = jsonwebtoken::decode::<AnyClaims>(token, &key.verifying, &validation).ok()?.claims;
        let believed = match &claims {
            AnyClaims::Bound(claims) => self.issuers.contains(&claims.iss),
            AnyClaims::OfSecret(claims) => claims.iss == legacy::ISSUER,
        };
        believed.then_some(claims)
    }

    fn check_times(&self, claims: &Claims) -> Result<(), TokenError> {
        let now = self.clock.now().as_second();
        let current = now < claims.exp && claims.nbf <= now.saturating_add(LEEWAY_SECONDS);
        if current { Ok(()) } else { Err(TokenError::Invalid) }
    }

    /// The token of a Secret is good while that Secret holds it.
    async fn check_secret(&self, token: &str, claims: &SecretClaims) -> Result<(), TokenError> {
        let (namespace, lookup) = (claims.namespace.as_str(), &self.lookup);
        let held = lookup.token_of_secret(namespace, &claims.secret).await.unwrap_or_default();
        let same = verify_slices_are_equal(&held, token.as_bytes()).is_ok();
        let account = lookup.uid(BoundKind::ServiceAccount, namespace, &claims.account).await;
        let good = claims.is_consistent() && same && account.as_ref() == Some(&claims.account_uid);
        if good { Ok(()) } else { Err(TokenError::Invalid) }
    }

    /// A token ends with the objects it is bound to.
    async fn check_bindings(&self, claims: &PrivateClaims) -> Result<(), TokenError> {
        let namespace = claims.namespace.as_str();
        let bound = [
            (BoundKind::ServiceAccount, namespace, Some(&claims.serviceaccount)),
            (BoundKind::Pod, namespace, claims.pod.as_ref()),
            (BoundKind::Secret, namespace, claims.secret.as_ref()),
            // With a Pod, the node is only a note.
            (BoundKind::Node, "", claims.node.as_ref().filter(|_| claims.pod.is_none())),
        ];
        for (kind, namespace, reference) in bound {
            let Some(reference) = reference else { continue };
            if self.lookup.uid(kind, namespace, &reference.name).await.as_deref() != Some(&reference.uid) {
                return Err(TokenError::Invalid);
            }
        }
        Ok(())
    }
}

/// Those whom a token is for and who are meant.
fn shared(found: &[String], wanted: &[String]) -> Result<Vec<String>, TokenError> {
    let shared: Vec<String> = found.iter().filter(|audience| wanted.contains(audience)).cloned().collect();
    if shared.is_empty() {
        return Err(TokenError::Audience { found: found.to_vec(), wanted: wanted.to_vec() });
    }
    Ok(shared)
}

fn user_of(claims: Claims) -> UserInfo {
    let private = claims.kubernetes;
    let mut user = UserInfo::service_account(&private.namespace, &private.serviceaccount.name);
    user.uid = private.serviceaccount.uid;
    user.extra.insert(CREDENTIAL_ID.to_owned(), vec![format!("JTI={}", claims.jti)]);
    for (kind, reference) in [("pod", private.pod), ("node", private.node)] {
        let Some(reference) = reference else { continue };
        let key = |part: &str| format!("authentication.kubernetes.io/{kind}-{part}");
        user.extra.insert(key("name"), vec![reference.name]);
        user.extra.insert(key("uid"), vec![reference.uid]);
    }
    user
}
