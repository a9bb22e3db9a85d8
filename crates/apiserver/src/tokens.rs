//! ServiceAccount tokens: JWTs signed with the cluster's key, bound to objects, checked against what exists now.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use aws_lc_rs::digest;
use aws_lc_rs::encoding::AsDer;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair, RsaKeyPair};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::jwk::{Jwk, JwkSet, PublicKeyUse};
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use platform::clock::SharedClock;
use platform::random::SharedRandom;
use rustls::pki_types::PrivateKeyDer;
use rustls::pki_types::pem::PemObject;
use serde::{Deserialize, Serialize};

use crate::authentication::CREDENTIAL_ID;
use crate::identity::UserInfo;

/// Clocks of clients may run this far ahead.
const LEEWAY_SECONDS: i64 = 60;

/// Why a key or token is of no use.
#[derive(Debug, thiserror::Error)]
pub enum TokenError {
    /// The signing key is not PEM with a private key in it.
    #[error("reading the ServiceAccount signing key")]
    KeyPem(#[source] rustls::pki_types::pem::Error),
    /// The signing key is neither RSA nor ECDSA on P-256.
    #[error("the ServiceAccount signing key is neither RSA nor ECDSA P-256")]
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
}

/// A fresh token.
#[derive(Debug)]
pub struct IssuedToken {
    /// The token.
    pub token: String,
    /// When it ends, in seconds since the epoch.
    pub expires_at_seconds: i64,
}

/// Signs and checks tokens.
pub struct TokenAuthenticator {
    algorithm: Algorithm,
    key_id: String,
    signing: EncodingKey,
    verifying: DecodingKey,
    issuer: String,
    clock: SharedClock,
    random: SharedRandom,
    lookup: Arc<dyn ObjectLookup>,
}

impl std::fmt::Debug for TokenAuthenticator {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("TokenAuthenticator").field("issuer", &self.issuer).finish_non_exhaustive()
    }
}

impl TokenAuthenticator {
    /// Reads the signing key: PKCS#8 in PEM, RSA or ECDSA P-256.
    ///
    /// # Errors
    /// [`TokenError`] when the key is not usable.
    pub fn new(
        key_pem: &[u8],
        issuer: String,
        clock: SharedClock,
        random: SharedRandom,
        lookup: Arc<dyn ObjectLookup>,
    ) -> Result<Self, TokenError> {
        let der = PrivateKeyDer::from_pem_slice(key_pem).map_err(TokenError::KeyPem)?;
        let der = der.secret_der();
        let (algorithm, signing, verifying, public_der) =
            if let Ok(pair) = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, der) {
                let public = pair.public_key();
                let spki = public.as_der().map_err(|_| TokenError::KeyType)?.as_ref().to_vec();
                let signing = EncodingKey::from_ec_pem(key_pem).map_err(TokenError::Key)?;
                (Algorithm::ES256, signing, DecodingKey::from_ec_der(public.as_ref()), spki)
            } else {
                let pair = RsaKeyPair::from_pkcs8(der).or_else(|_| RsaKeyPair::from_der(der));
                let pair = pair.map_err(|_| TokenError::KeyType)?;
                let public = pair.public_key();
                let spki = public.as_der().map_err(|_| TokenError::KeyType)?.as_ref().to_vec();
                let signing = EncodingKey::from_rsa_pem(key_pem).map_err(TokenError::Key)?;
                (Algorithm::RS256, signing, DecodingKey::from_rsa_der(public.as_ref()), spki)
            };
        let key_id = URL_SAFE_NO_PAD.encode(digest::digest(&digest::SHA256, &public_der));
        Ok(Self { algorithm, key_id, signing, verifying, issuer, clock, random, lookup })
    }

    /// What others need to verify tokens: the JSON Web Key Set.
    ///
    /// # Errors
    /// [`TokenError::Key`] when the library cannot tell the public part.
    pub fn key_set(&self) -> Result<Vec<u8>, TokenError> {
        let mut key = Jwk::from_encoding_key(&self.signing, self.algorithm).map_err(TokenError::Key)?;
        key.common.key_id = Some(self.key_id.clone());
        key.common.public_key_use = Some(PublicKeyUse::Signature);
        let keys = serde_json::to_vec(&JwkSet { keys: vec![key] });
        Ok(keys.expect("a key set always encodes"))
    }

    /// Where to find the key set, and what tokens look like, in OpenID's terms.
    pub fn openid_configuration(&self, server_address: &str) -> Vec<u8> {
        let configuration = serde_json::json!({
            "issuer": self.issuer,
            "jwks_uri": format!("https://{server_address}/openid/v1/jwks"),
            "response_types_supported": ["id_token"],
            "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": [self.algorithm],
        });
        configuration.to_string().into_bytes()
    }

    /// The issuer, which is also the audience of tokens that name none.
    pub fn issuer(&self) -> &str {
        &self.issuer
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
            iss: self.issuer.clone(),
            jti: self.random.uuid(),
            sub: format!("system:serviceaccount:{}:{}", claims.namespace, claims.serviceaccount.name),
            kubernetes: claims,
            nbf: now,
        };
        let header = Header { typ: None, alg: self.algorithm, kid: Some(self.key_id.clone()), ..Header::default() };
        let token = jsonwebtoken::encode(&header, &claims, &self.signing).map_err(TokenError::Sign)?;
        Ok(IssuedToken { token, expires_at_seconds })
    }

    /// The user of a token that is meant for this server.
    ///
    /// # Errors
    /// [`TokenError::Invalid`], [`TokenError::Audience`].
    pub async fn authenticate(&self, token: &str) -> Result<UserInfo, TokenError> {
        self.authenticate_for(token, std::slice::from_ref(&self.issuer)).await.map(|(user, _)| user)
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
        let claims = self.verify(token)?;
        let shared: Vec<String> = claims.aud.iter().filter(|aud| audiences.contains(aud)).cloned().collect();
        if shared.is_empty() {
            return Err(TokenError::Audience { found: claims.aud, wanted: audiences.to_vec() });
        }
        self.check_bindings(&claims.kubernetes).await?;
        Ok((user_of(claims), shared))
    }

    /// Checks signature, issuer and times; time comes from the clock, not from the library.
    fn verify(&self, token: &str) -> Result<Claims, TokenError> {
        let mut validation = Validation::new(self.algorithm);
        validation.validate_exp = false;
        validation.validate_aud = false;
        validation.set_issuer(&[&self.issuer]);
        let data = jsonwebtoken::decode::<Claims>(token, &self.verifying, &validation);
        let claims = data.map_err(|_| TokenError::Invalid)?.claims;
        let now = self.clock.now().as_second();
        let current = now < claims.exp && claims.nbf <= now.saturating_add(LEEWAY_SECONDS);
        if current { Ok(claims) } else { Err(TokenError::Invalid) }
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
