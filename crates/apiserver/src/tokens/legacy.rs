//! Tokens of Secrets of type `kubernetes.io/service-account-token`: without an end, but only as good as their Secret.

use serde::{Deserialize, Serialize};

use crate::identity::UserInfo;

/// The issuer of such tokens.
pub const ISSUER: &str = "kubernetes/serviceaccount";

/// What such a token says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SecretClaims {
    pub(super) iss: String,
    /// The ServiceAccount's namespace.
    #[serde(rename = "kubernetes.io/serviceaccount/namespace")]
    pub namespace: String,
    /// The Secret.
    #[serde(rename = "kubernetes.io/serviceaccount/secret.name")]
    pub secret: String,
    /// The ServiceAccount.
    #[serde(rename = "kubernetes.io/serviceaccount/service-account.name")]
    pub account: String,
    /// Its uid.
    #[serde(rename = "kubernetes.io/serviceaccount/service-account.uid")]
    pub account_uid: String,
    sub: String,
}

impl SecretClaims {
    /// Claims of a ServiceAccount for a token in a Secret beside it.
    pub fn new(namespace: &str, account: &str, account_uid: &str, secret: &str) -> Self {
        Self {
            iss: ISSUER.to_owned(),
            namespace: namespace.to_owned(),
            secret: secret.to_owned(),
            account: account.to_owned(),
            account_uid: account_uid.to_owned(),
            sub: UserInfo::service_account(namespace, account).name,
        }
    }

    /// Whether the claims agree with each other.
    pub(super) fn is_consistent(&self) -> bool {
        let set = [&self.namespace, &self.secret, &self.account, &self.account_uid];
        set.iter().all(|text| !text.is_empty())
            && self.sub == UserInfo::service_account(&self.namespace, &self.account).name
    }

    /// Whose token it is.
    pub(super) fn user(&self) -> UserInfo {
        UserInfo { uid: self.account_uid.clone(), ..UserInfo::service_account(&self.namespace, &self.account) }
    }
}
