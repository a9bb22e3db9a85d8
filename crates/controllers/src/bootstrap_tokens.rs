//! Bootstrap tokens that have expired are deleted.

use client::{Client, Lister, ObjectKey, is_not_found};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Secret;
use kube::Api;
use kube::api::{DeleteParams, Preconditions};
use platform::clock::SharedClock;

use crate::assembly::{Controllers, Wiring};
use crate::runtime::{Error, Next, Reconcile};

/// Where such Secrets are.
pub const NAMESPACE: &str = "kube-system";
/// The field selector of such Secrets.
pub const SELECTOR: &str = "type=bootstrap.kubernetes.io/token";

/// Such a Secret, without what is secret of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BootstrapToken {
    name: String,
    uid: String,
    expiration: Expiration,
}

/// When a token is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Expiration {
    Never,
    At(Timestamp),
    /// It says something nobody understands, and is good for nothing.
    Unreadable,
}

impl BootstrapToken {
    pub(crate) fn of(secret: Secret) -> Self {
        let text = secret.data.as_ref().and_then(|data| data.get("expiration"));
        let text = text.map(|value| String::from_utf8_lossy(&value.0).into_owned()).unwrap_or_default();
        let expiration = match text.as_str() {
            "" => Expiration::Never,
            text => text.parse().map_or(Expiration::Unreadable, Expiration::At),
        };
        Self {
            name: secret.metadata.name.unwrap_or_default(),
            uid: secret.metadata.uid.unwrap_or_default(),
            expiration,
        }
    }
}

/// Keys are names of Secrets.
struct TokenCleaner {
    client: Client,
    clock: SharedClock,
    tokens: Lister<BootstrapToken>,
}

/// Starts the controller: it wakes when a token changes, and when one expires.
pub fn start(controllers: &mut Controllers) {
    let mut wiring = Wiring::new();
    wiring.wakes(&mut controllers.watches.bootstrap_tokens, |change| Some(change.object()?.name.clone()));
    let tokens = wiring.reads(&controllers.watches.bootstrap_tokens);
    let (client, clock) = (controllers.client_of("token-cleaner"), controllers.clock.clone());
    controllers.add(TokenCleaner { client, clock, tokens }, wiring, 1);
}

/// What is to be done: to delete it now, to look again, or nothing.
fn plan(token: &BootstrapToken, now: Timestamp) -> Option<Next> {
    match token.expiration {
        Expiration::Never => Some(Next::OnWakeUp),
        Expiration::At(end) if now < end => Some(Next::After(end.duration_since(now).try_into().unwrap_or_default())),
        Expiration::At(_) | Expiration::Unreadable => None,
    }
}

impl Reconcile for TokenCleaner {
    type Key = String;
    const NAME: &'static str = "bootstrap token cleaner";

    async fn reconcile(&self, name: &String) -> Result<Next, Error> {
        let Some(token) = self.tokens.get(&ObjectKey::new(NAMESPACE, name.as_str())) else { return Ok(Next::OnWakeUp) };
        if let Some(next) = plan(&token, self.clock.now()) {
            return Ok(next);
        }
        let secrets: Api<Secret> = Api::namespaced(self.client.clone(), NAMESPACE);
        let precondition = Preconditions { uid: Some(token.uid.clone()), ..Preconditions::default() };
        let parameters = DeleteParams { preconditions: Some(precondition), ..DeleteParams::default() };
        match secrets.delete(name, &parameters).await {
            Err(error) if !is_not_found(&error) => Err(Error::during("deleting an expired bootstrap token")(error)),
            _ => Ok(Next::OnWakeUp),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use serde_json::json;

    use super::*;

    #[test]
    fn tokens_go_when_they_expire() {
        let next = |expiration: &str| {
            let data = json!({ "expiration": expiration });
            let mut secret: Secret =
                serde_json::from_value(json!({ "metadata": { "name": "t" }, "stringData": data })).unwrap();
            let data = secret.string_data.take().unwrap().into_iter();
            secret.data = Some(data.map(|(key, text)| (key, k8s_openapi::ByteString(text.into_bytes()))).collect());
            plan(&BootstrapToken::of(secret), "2026-01-01T00:00:00Z".parse().unwrap())
        };
        assert_eq!(next(""), Some(Next::OnWakeUp));
        assert_eq!(next("2026-01-01T00:00:10Z"), Some(Next::After(Duration::from_secs(10))));
        assert_eq!(next("2026-01-01T00:00:00Z"), None);
        assert_eq!(next("someday"), None);
    }
}
