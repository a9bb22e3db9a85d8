//! The ServiceAccounts that controllers write as.
//!
//! Upstream's controller manager makes them when its controllers first ask for a token. Here no token is needed, but the
//! objects are looked for all the same, by admission plugins and by people who bind roles to them.

use client::{Change, Client, Lister, ObjectKey, is_already_exists};
use k8s_openapi::api::core::v1::ServiceAccount;
use kube::Api;
use kube::api::{ObjectMeta, PostParams};

use crate::assembly::{Controllers, Wiring};
use crate::runtime::{Error, Next, Reconcile};
use crate::watches::Account;

/// Where they are.
const NAMESPACE: &str = "kube-system";

/// The accounts of the controllers that run by default.
const NAMES: [&str; 37] = [
    "attachdetach-controller",
    "bootstrap-signer",
    "certificate-controller",
    "clusterrole-aggregation-controller",
    "cronjob-controller",
    "daemon-set-controller",
    "deployment-controller",
    "device-taint-eviction-controller",
    "disruption-controller",
    "endpoint-controller",
    "endpointslice-controller",
    "endpointslicemirroring-controller",
    "ephemeral-volume-controller",
    "expand-controller",
    "generic-garbage-collector",
    "horizontal-pod-autoscaler",
    "job-controller",
    "legacy-service-account-token-cleaner",
    "namespace-controller",
    "node-controller",
    "persistent-volume-binder",
    "pod-garbage-collector",
    "pv-protection-controller",
    "pvc-protection-controller",
    "replicaset-controller",
    "replication-controller",
    "resource-claim-controller",
    "resourcequota-controller",
    "root-ca-cert-publisher",
    "service-account-controller",
    "service-cidrs-controller",
    "statefulset-controller",
    "token-cleaner",
    "ttl-after-finished-controller",
    "ttl-controller",
    "validatingadmissionpolicy-status-controller",
    "volumeattributesclass-protection-controller",
];

/// Keys are names of accounts.
struct ControllerAccounts {
    client: Client,
    accounts: Lister<Account>,
}

/// Starts the controller: it wakes when the namespace appears, and when an account disappears.
pub fn start(controllers: &mut Controllers) {
    let mut wiring = Wiring::new();
    wiring.wakes(&mut controllers.watches.namespaces, |change| match change {
        Change::Added(namespace) if namespace.metadata.name.as_deref() == Some(NAMESPACE) => NAMES.to_vec(),
        _ => Vec::new(),
    });
    wiring.wakes(&mut controllers.watches.accounts, |change| match change {
        Change::Deleted(account) if account.key.namespace == NAMESPACE => {
            NAMES.into_iter().find(|name| *name == account.key.name)
        }
        _ => None,
    });
    let controller = ControllerAccounts {
        client: controllers.shared_client(),
        accounts: wiring.reads(&controllers.watches.accounts),
    };
    controllers.add(controller, wiring, 1);
}

impl Reconcile for ControllerAccounts {
    type Key = &'static str;
    const NAME: &'static str = "controller accounts";

    async fn reconcile(&self, name: &&'static str) -> Result<Next, Error> {
        if self.accounts.get(&ObjectKey::new(NAMESPACE, *name)).is_some() {
            return Ok(Next::OnWakeUp);
        }
        let account = ServiceAccount {
            metadata: ObjectMeta { name: Some((*name).to_owned()), ..ObjectMeta::default() },
            ..ServiceAccount::default()
        };
        let accounts: Api<ServiceAccount> = Api::namespaced(self.client.clone(), NAMESPACE);
        match accounts.create(&PostParams::default(), &account).await {
            Err(error) if !is_already_exists(&error) => {
                Err(Error::during("creating a controller's ServiceAccount")(error))
            }
            _ => Ok(Next::OnWakeUp),
        }
    }
}
