//! Every active namespace has a ServiceAccount `default`.

use client::{Change, Client, Lister, ObjectKey, WorkQueue, is_already_exists, is_not_found};
use k8s_openapi::api::core::v1::{Namespace, ServiceAccount};
use kube::Api;
use kube::api::{ObjectMeta, PostParams};

use crate::namespace::is_active;
use crate::runtime::{Error, Next, Reconcile, Workers};
use crate::watches::Watches;

/// The account of Pods that name none.
pub const ACCOUNT_NAME: &str = "default";

/// Keys are names of namespaces.
struct ServiceAccounts {
    client: Client,
    namespaces: Lister<Namespace>,
    accounts: Lister<ObjectKey>,
}

/// Starts the controller: it wakes when a namespace appears or changes, and when an account disappears.
pub fn start(client: &Client, watches: &mut Watches, workers: &mut Workers) {
    let queue = WorkQueue::new();
    let wake = queue.clone();
    watches.namespaces.subscribe(move |change| {
        if let Some(name) = change.object().and_then(|namespace| namespace.metadata.name.clone()) {
            wake.add(name);
        }
    });
    let wake = queue.clone();
    watches.default_accounts.subscribe(move |change| {
        if let Change::Deleted(account) = change {
            wake.add(account.namespace.clone());
        }
    });
    let (namespaces, accounts) = (watches.namespaces.lister(), watches.default_accounts.lister());
    let controller =
        ServiceAccounts { client: client.clone(), namespaces: namespaces.clone(), accounts: accounts.clone() };
    workers.add(controller, &queue, 1, async move {
        namespaces.synced().await;
        accounts.synced().await;
    });
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
