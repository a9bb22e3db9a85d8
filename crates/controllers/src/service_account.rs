//! Every active namespace has a ServiceAccount `default`.

use client::{Change, Client, Lister, ObjectKey, is_already_exists, is_not_found};
use k8s_openapi::api::core::v1::{Namespace, ServiceAccount};
use kube::Api;
use kube::api::{ObjectMeta, PostParams};

use crate::assembly::{Controllers, Wiring};
use crate::namespace::is_active;
use crate::runtime::{Error, Next, Reconcile};
use crate::watches::Account;

/// The account of Pods that name none.
pub const ACCOUNT_NAME: &str = "default";

/// Keys are names of namespaces.
struct ServiceAccounts {
    client: Client,
    namespaces: Lister<Namespace>,
    accounts: Lister<Account>,
}

/// Starts the controller: it wakes when a namespace appears or changes, and when an account disappears.
pub fn start(controllers: &mut Controllers) {
    let mut wiring = Wiring::new();
    wiring.wakes(&mut controllers.watches.namespaces, |change| change.object()?.metadata.name.clone());
    wiring.wakes(&mut controllers.watches.accounts, |change| match change {
        Change::Deleted(account) if account.key.name == ACCOUNT_NAME => Some(account.key.namespace.clone()),
        _ => None,
    });
    let controller = ServiceAccounts {
        client: controllers.client_of("service-account-controller"),
        namespaces: wiring.reads(&controllers.watches.namespaces),
        accounts: wiring.reads(&controllers.watches.accounts),
    };
    controllers.add(controller, wiring, 1);
}

impl Reconcile for ServiceAccounts {
    type Key = String;
    const NAME: &'static str = "service account controller";

    async fn reconcile(&self, namespace: &String) -> Result<Next, Error> {
        let active = self.namespaces.get(&ObjectKey::cluster(namespace)).is_some_and(|namespace| is_active(&namespace));
        if !active || self.accounts.get(&ObjectKey::new(namespace, ACCOUNT_NAME)).is_some() {
            return Ok(Next::OnWakeUp);
        }
        let account = ServiceAccount {
            metadata: ObjectMeta { name: Some(ACCOUNT_NAME.into()), ..ObjectMeta::default() },
            ..ServiceAccount::default()
        };
        let accounts: Api<ServiceAccount> = Api::namespaced(self.client.clone(), namespace);
        match accounts.create(&PostParams::default(), &account).await {
            Err(error) if !is_already_exists(&error) && !is_not_found(&error) => {
                Err(Error::during("creating the default ServiceAccount")(error))
            }
            _ => Ok(Next::OnWakeUp),
        }
    }
}
