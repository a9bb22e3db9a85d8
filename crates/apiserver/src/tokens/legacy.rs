//! Tokens of Secrets of type `kubernetes.io/service-account-token`: without an end, but only as good as their Secret.

use api::k8s_openapi::api::core::v1::{Secret, ServiceAccount};
use aws_lc_rs::constant_time::verify_slices_are_equal;
use serde::{Deserialize, Serialize};

use super::TokenError;
use crate::identity::UserInfo;

/// The issuer of such tokens.
pub const ISSUER: &str = "kubernetes/serviceaccount";
/// The label that says on which day a token was used last.
pub const LAST_USED_LABEL: &str = "kubernetes.io/legacy-token-last-used";
/// The label that says since when a token is no longer good.
const INVALID_SINCE_LABEL: &str = "kubernetes.io/legacy-token-invalid-since";
/// The key of the token in its Secret.
const TOKEN: &str = "token";
const AUTO_GENERATED: &str = "Use tokens from the TokenRequest API or manually created secret-based tokens instead of \
                              auto-generated secret-based tokens.";

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

/// A Secret whose token was used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UsedSecret {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// Its uid.
    pub uid: String,
    /// The day of its last use, as far as it says.
    pub last_used: Option<String>,
}

/// What came of looking at a token's Secret.
#[derive(Debug)]
pub struct Judgement {
    /// Whether the token is good.
    pub outcome: Result<(), TokenError>,
    /// Whether this counts as a use.
    pub used: Option<UsedSecret>,
    /// What its holder should know.
    pub warning: Option<&'static str>,
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

    /// Whether the token is good, by its Secret and its ServiceAccount.
    pub(super) fn judge(&self, token: &str, secret: Option<&Secret>, account: Option<&ServiceAccount>) -> Judgement {
        let refused = |outcome| Judgement { outcome, used: None, warning: None };
        let (secret, account) = match self.check(token, secret, account) {
            Ok(found) => found,
            Err(error) => return refused(Err(error)),
        };
        let label = |name: &str| secret.metadata.labels.as_ref()?.get(name).cloned();
        let used = Some(UsedSecret {
            namespace: self.namespace.clone(),
            name: self.secret.clone(),
            uid: secret.metadata.uid.clone().unwrap_or_default(),
            last_used: label(LAST_USED_LABEL),
        });
        if label(INVALID_SINCE_LABEL).is_some_and(|since| !since.is_empty()) {
            let (namespace, name, account) = (&self.namespace, &self.secret, &self.account);
            let text = format!(
                "the token in secret {namespace}/{name} for service account {namespace}/{account} has been marked \
                 invalid. Use tokens from the TokenRequest API or manually created secret-based tokens, or remove the \
                 '{INVALID_SINCE_LABEL}' label from the secret to temporarily allow use of this token"
            );
            return Judgement { outcome: Err(TokenError::Rejected(text)), used, warning: None };
        }
        let mut secrets = account.secrets.iter().flatten();
        let is_auto_generated = secrets.any(|secret| secret.name.as_ref() == Some(&self.secret));
        Judgement { outcome: Ok(()), used, warning: is_auto_generated.then_some(AUTO_GENERATED) }
    }

    fn check<'a>(
        &self,
        token: &str,
        secret: Option<&'a Secret>,
        account: Option<&'a ServiceAccount>,
    ) -> Result<(&'a Secret, &'a ServiceAccount), TokenError> {
        let rejected = |text: String| Err(TokenError::Rejected(text));
        let (namespace, name) = (&self.namespace, &self.account);
        let set = [&self.namespace, &self.secret, &self.account, &self.account_uid];
        if set.iter().any(|text| text.is_empty()) || self.sub != UserInfo::service_account(namespace, name).name {
            return rejected("sub claim is invalid".to_owned());
        }
        let Some(secret) = secret.filter(|secret| secret.metadata.deletion_timestamp.is_none()) else {
            return rejected("Token has been invalidated".to_owned());
        };
        let held = secret.data.as_ref().and_then(|data| data.get(TOKEN)).map_or(&[] as &[u8], |held| &held.0);
        if verify_slices_are_equal(held, token.as_bytes()).is_err() {
            return rejected("Token does not match server's copy".to_owned());
        }
        let Some(account) = account else { return rejected(format!("serviceaccounts {name:?} not found")) };
        if account.metadata.deletion_timestamp.is_some() {
            return rejected(format!("ServiceAccount {namespace}/{name} has been deleted"));
        }
        let (uid, claimed) = (account.metadata.uid.as_deref().unwrap_or_default(), &self.account_uid);
        if uid != claimed {
            return rejected(format!("ServiceAccount UID ({uid}) does not match claim ({claimed})"));
        }
        Ok((secret, account))
    }

    /// Whose token it is.
    pub(super) fn user(&self) -> UserInfo {
        UserInfo { uid: self.account_uid.clone(), ..UserInfo::service_account(&self.namespace, &self.account) }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    /// What comes of a token `t`: the reason or the warning, and whether it counts as used.
    fn judged(secret: Value, account: Value) -> (String, bool) {
        let read = |value: Value| (!value.is_null()).then_some(value);
        let secret: Option<Secret> = read(secret).map(|value| serde_json::from_value(value).unwrap());
        let account: Option<ServiceAccount> = read(account).map(|value| serde_json::from_value(value).unwrap());
        let judgement = SecretClaims::new("ns", "a", "1", "s").judge("t", secret.as_ref(), account.as_ref());
        let told = match judgement.outcome {
            Ok(()) => judgement.warning.unwrap_or_default().to_owned(),
            Err(error) => error.to_string(),
        };
        (told, judgement.used.is_some())
    }

    #[test]
    fn tokens_are_good_while_their_secret_holds_them() {
        let secret = json!({ "metadata": { "name": "s", "uid": "2" }, "data": { "token": "dA==" } });
        let account = json!({ "metadata": { "name": "a", "uid": "1" } });
        assert_eq!(judged(secret.clone(), account.clone()), (String::new(), true));
        let refused = |secret: &Value, account: &Value| {
            let (told, used) = judged(secret.clone(), account.clone());
            assert!(!used, "{told}");
            told
        };
        assert_eq!(refused(&Value::Null, &account), "Token has been invalidated");
        let mut deleted = secret.clone();
        deleted["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:00:00Z");
        assert_eq!(refused(&deleted, &account), "Token has been invalidated");
        let other = json!({ "metadata": { "name": "s" }, "data": { "token": "dQ==" } });
        assert_eq!(refused(&other, &account), "Token does not match server's copy");
        assert_eq!(refused(&secret, &Value::Null), "serviceaccounts \"a\" not found");
        let deleted = json!({ "metadata": { "uid": "1", "deletionTimestamp": "2026-01-01T00:00:00Z" } });
        assert_eq!(refused(&secret, &deleted), "ServiceAccount ns/a has been deleted");
        let other = json!({ "metadata": { "name": "a", "uid": "3" } });
        assert_eq!(refused(&secret, &other), "ServiceAccount UID (3) does not match claim (1)");
    }

    #[test]
    fn tokens_nobody_asked_for_warn_and_can_be_marked_invalid() {
        let secret = json!({ "metadata": { "name": "s", "uid": "2" }, "data": { "token": "dA==" } });
        let account = json!({ "metadata": { "name": "a", "uid": "1" }, "secrets": [{ "name": "s" }] });
        assert_eq!(judged(secret.clone(), account.clone()), (AUTO_GENERATED.to_owned(), true));
        let mut marked = secret;
        marked["metadata"]["labels"] = json!({ INVALID_SINCE_LABEL: "2026-01-01" });
        let (told, used) = judged(marked, account);
        assert!(
            told.starts_with("the token in secret ns/s for service account ns/a has been marked invalid."),
            "{told}"
        );
        assert!(used, "an attempt counts");
    }
}
