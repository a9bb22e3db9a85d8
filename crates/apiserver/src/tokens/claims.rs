//! What tokens say.

use serde::{Deserialize, Serialize};

use super::SecretClaims;
use crate::authentication::CREDENTIAL_ID;
use crate::identity::UserInfo;

/// A name with its uid.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reference {
    /// Name.
    pub name: String,
    /// Uid; empty of a Pod's node that is not there.
    #[serde(skip_serializing_if = "String::is_empty", default)]
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
    /// From when on, in seconds since the epoch, its holder should have fetched another one long ago.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub warnafter: Option<i64>,
}

impl PrivateClaims {
    /// Of a token that is bound to nothing but its ServiceAccount.
    pub fn of_account(namespace: &str, account: Reference) -> Self {
        let (pod, secret, node, warnafter) = (None, None, None, None);
        Self { namespace: namespace.to_owned(), serviceaccount: account, pod, secret, node, warnafter }
    }
}

/// What a token of this server says.
#[derive(Debug, Serialize, Deserialize)]
pub struct Claims {
    pub aud: Vec<String>,
    pub exp: i64,
    pub iat: i64,
    pub iss: String,
    pub jti: String,
    #[serde(rename = "kubernetes.io")]
    pub kubernetes: PrivateClaims,
    pub nbf: i64,
    pub sub: String,
}

/// What a token of this cluster says, of either sort.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
pub enum AnyClaims {
    Bound(Box<Claims>),
    OfSecret(SecretClaims),
}

/// Whose token it is, and what more it tells of them.
pub fn user_of(claims: Claims) -> UserInfo {
    let private = claims.kubernetes;
    let mut user = UserInfo::service_account(&private.namespace, &private.serviceaccount.name);
    user.uid = private.serviceaccount.uid;
    user.extra.insert(CREDENTIAL_ID.to_owned(), vec![format!("JTI={}", claims.jti)]);
    for (kind, reference) in [("pod", private.pod), ("node", private.node)] {
        let Some(reference) = reference else { continue };
        let key = |part: &str| format!("authentication.kubernetes.io/{kind}-{part}");
        user.extra.insert(key("name"), vec![reference.name]);
        if !reference.uid.is_empty() {
            user.extra.insert(key("uid"), vec![reference.uid]);
        }
    }
    user
}
