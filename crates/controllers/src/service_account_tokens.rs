//! Secrets of type `kubernetes.io/service-account-token`: filled with a token, and deleted with their ServiceAccount.

use std::sync::Arc;

use api::core::v1::secret::{SERVICE_ACCOUNT_NAME_ANNOTATION, TYPE_SERVICE_ACCOUNT_TOKEN};
use client::{Client, Lister, ObjectKey, is_not_found};
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::{Secret, ServiceAccount};
use kube::Api;
use kube::api::{DeleteParams, PostParams, Preconditions};

use crate::assembly::{Controllers, Wiring};
use crate::runtime::{Error, Next, Reconcile};
use crate::watches::Account;

const SERVICE_ACCOUNT_UID_ANNOTATION: &str = "kubernetes.io/service-account.uid";
const TOKEN: &str = "token";
const NAMESPACE: &str = "namespace";
const ROOT_CA: &str = "ca.crt";

/// Signs the token of a Secret.
pub type SecretTokenSigner = Arc<dyn Fn(&SecretToken<'_>) -> Result<String, SignError> + Send + Sync>;

/// Why a token is not signed.
pub type SignError = Box<dyn std::error::Error + Send + Sync>;

/// What the token of a Secret is about.
#[derive(Debug, Clone, Copy)]
pub struct SecretToken<'a> {
    /// The namespace of both.
    pub namespace: &'a str,
    /// The Secret.
    pub secret: &'a str,
    /// The ServiceAccount.
    pub account: &'a str,
    /// Its uid.
    pub account_uid: &'a str,
}

/// Keys are those of Secrets.
struct ServiceAccountTokens {
    client: Client,
    sign: SecretTokenSigner,
    root_ca: String,
    secrets: Lister<TokenSecret>,
    accounts: Lister<Account>,
}

/// Such a Secret, without what is secret of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenSecret {
    key: ObjectKey,
    uid: String,
    account: String,
    /// Which one of that name, if it says so.
    account_uid: Option<String>,
    is_deleting: bool,
    has_token: bool,
    has_namespace: bool,
    root_ca: Option<String>,
}

impl TokenSecret {
    pub(crate) fn of(secret: Secret) -> Self {
        let key = ObjectKey::of(&secret);
        let annotation = |name: &str| secret.metadata.annotations.as_ref()?.get(name).cloned();
        let data = |name: &str| secret.data.as_ref()?.get(name).filter(|value| !value.0.is_empty());
        Self {
            key,
            account: annotation(SERVICE_ACCOUNT_NAME_ANNOTATION).unwrap_or_default(),
            account_uid: annotation(SERVICE_ACCOUNT_UID_ANNOTATION).filter(|uid| !uid.is_empty()),
            is_deleting: secret.metadata.deletion_timestamp.is_some(),
            has_token: data(TOKEN).is_some(),
            has_namespace: data(NAMESPACE).is_some(),
            root_ca: data(ROOT_CA).and_then(|value| String::from_utf8(value.0.clone()).ok()),
            uid: secret.metadata.uid.clone().unwrap_or_default(),
        }
    }

    fn account_key(&self) -> ObjectKey {
        ObjectKey::new(self.key.namespace.as_str(), self.account.as_str())
    }
}

/// What is to be done with a Secret.
#[derive(Debug, PartialEq, Eq)]
enum Action {
    Nothing,
    Delete,
    Fill { account_uid: String },
}

fn plan(secret: &TokenSecret, account_uid: Option<&str>, root_ca: &str) -> Action {
    let account_uid = account_uid.filter(|uid| secret.account_uid.as_deref().is_none_or(|meant| meant == *uid));
    let is_full = secret.has_token && secret.has_namespace && secret.root_ca.as_deref() == Some(root_ca);
    match account_uid {
        _ if secret.is_deleting => Action::Nothing,
        None => Action::Delete,
        Some(_) if is_full => Action::Nothing,
        Some(uid) => Action::Fill { account_uid: uid.to_owned() },
    }
}

/// Starts the controller: it wakes when such a Secret changes, and when a ServiceAccount comes or goes.
pub fn start(controllers: &mut Controllers, sign: SecretTokenSigner, root_ca: &str) {
    let mut wiring = Wiring::new();
    let secrets = wiring.reads(&controllers.watches.token_secrets);
    let accounts = wiring.reads(&controllers.watches.accounts);
    wiring.wakes(&mut controllers.watches.token_secrets, |change| Some(change.object()?.key.clone()));
    let known = secrets.clone();
    wiring.wakes(&mut controllers.watches.accounts, move |change| {
        let Some(account) = change.object() else { return Vec::new() };
        let of_account = known.matching(|secret| secret.account_key() == account.key);
        of_account.iter().map(|secret| secret.key.clone()).collect()
    });
    // Upstream's runs before the controllers have identities of their own.
    let client = controllers.shared_client();
    let controller = ServiceAccountTokens { client, sign, root_ca: root_ca.to_owned(), secrets, accounts };
    controllers.add(controller, wiring, 1);
}

impl Reconcile for ServiceAccountTokens {
    type Key = ObjectKey;
    const NAME: &'static str = "ServiceAccount tokens";

    async fn reconcile(&self, key: &ObjectKey) -> Result<Next, Error> {
        let Some(secret) = self.secrets.get(key) else { return Ok(Next::OnWakeUp) };
        let account = self.accounts.get(&secret.account_key());
        let mut action = plan(&secret, account.as_ref().map(|account| account.uid.as_str()), &self.root_ca);
        if action == Action::Delete {
            // Our copy may be behind; before a token is lost, the API decides.
            action = plan(&secret, self.account_uid(&secret).await?.as_deref(), &self.root_ca);
        }
        match action {
            Action::Nothing => {}
            Action::Delete => self.delete(&secret).await?,
            Action::Fill { account_uid } => self.fill(&secret, &account_uid).await?,
        }
        Ok(Next::OnWakeUp)
    }
}

impl ServiceAccountTokens {
    async fn account_uid(&self, secret: &TokenSecret) -> Result<Option<String>, Error> {
        let accounts: Api<ServiceAccount> = Api::namespaced(self.client.clone(), &secret.key.namespace);
        let account = accounts.get_opt(&secret.account).await.map_err(Error::during("reading the ServiceAccount"))?;
        Ok(account.and_then(|account| account.metadata.uid))
    }

    async fn delete(&self, secret: &TokenSecret) -> Result<(), Error> {
        let secrets: Api<Secret> = Api::namespaced(self.client.clone(), &secret.key.namespace);
        let precondition = Preconditions { uid: Some(secret.uid.clone()), ..Preconditions::default() };
        let parameters = DeleteParams { preconditions: Some(precondition), ..DeleteParams::default() };
        match secrets.delete(&secret.key.name, &parameters).await {
            Err(error) if !is_not_found(&error) => Err(Error::during("deleting a token without ServiceAccount")(error)),
            _ => Ok(()),
        }
    }

    async fn fill(&self, seen: &TokenSecret, account_uid: &str) -> Result<(), Error> {
        let secrets: Api<Secret> = Api::namespaced(self.client.clone(), &seen.key.namespace);
        let live = secrets.get_opt(&seen.key.name).await.map_err(Error::during("reading a token's Secret"))?;
        let Some(mut secret) = live.filter(|live| live.metadata.uid.as_deref() == Some(&seen.uid)) else {
            return Ok(());
        };
        let now = TokenSecret::of(secret.clone());
        let data = secret.data.get_or_insert_default();
        if !now.has_token {
            let token = SecretToken {
                namespace: &now.key.namespace,
                secret: &now.key.name,
                account: &now.account,
                account_uid,
            };
            let token = (self.sign)(&token).map_err(|source| Error::SignToken { source })?;
            data.insert(TOKEN.to_owned(), ByteString(token.into_bytes()));
        }
        if !now.has_namespace {
            data.insert(NAMESPACE.to_owned(), ByteString(now.key.namespace.clone().into_bytes()));
        }
        data.insert(ROOT_CA.to_owned(), ByteString(self.root_ca.clone().into_bytes()));
        let annotations = secret.metadata.annotations.get_or_insert_default();
        annotations.insert(SERVICE_ACCOUNT_UID_ANNOTATION.to_owned(), account_uid.to_owned());
        let written = secrets.replace(&now.key.name, &PostParams::default(), &secret).await;
        written.map(drop).map_err(Error::during("filling a token's Secret"))
    }
}

/// The field selector of such Secrets.
pub fn selector() -> String {
    format!("type={TYPE_SERVICE_ACCOUNT_TOKEN}")
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn secret(uid: Option<&str>, data: Value) -> TokenSecret {
        let mut metadata =
            json!({ "name": "s", "namespace": "ns", "annotations": { SERVICE_ACCOUNT_NAME_ANNOTATION: "a" } });
        if let Some(uid) = uid {
            metadata["annotations"][SERVICE_ACCOUNT_UID_ANNOTATION] = json!(uid);
        }
        TokenSecret::of(serde_json::from_value(json!({ "metadata": metadata, "data": data })).unwrap())
    }

    #[test]
    fn tokens_live_with_their_account() {
        let full = json!({ "token": "dA==", "namespace": "bnM=", "ca.crt": "UEVN" });
        let fill = || Action::Fill { account_uid: "1".to_owned() };
        assert_eq!(plan(&secret(Some("1"), full.clone()), Some("1"), "PEM"), Action::Nothing);
        assert_eq!(plan(&secret(None, full.clone()), Some("1"), "PEM"), Action::Nothing);
        assert_eq!(plan(&secret(Some("1"), full.clone()), Some("2"), "PEM"), Action::Delete);
        assert_eq!(plan(&secret(Some("1"), full.clone()), None, "PEM"), Action::Delete);
        assert_eq!(plan(&secret(None, json!({})), None, "PEM"), Action::Delete);
        assert_eq!(plan(&secret(None, json!({})), Some("1"), "PEM"), fill());
        assert_eq!(plan(&secret(Some("1"), full.clone()), Some("1"), "OTHER"), fill());
        for missing in ["token", "namespace", "ca.crt"] {
            let mut data = full.clone();
            data[missing] = json!("");
            assert_eq!(plan(&secret(Some("1"), data), Some("1"), "PEM"), fill(), "{missing}");
        }
        let deleting = TokenSecret { is_deleting: true, ..secret(None, json!({})) };
        assert_eq!(plan(&deleting, None, "PEM"), Action::Nothing);
    }
}
