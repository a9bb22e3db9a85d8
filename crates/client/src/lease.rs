//! Keeping a Lease fresh.

use jiff::Timestamp;
use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta, OwnerReference};
use kube::api::{Api, Patch, PatchParams, PostParams};
use serde_json::json;

use crate::{Client, is_not_found};

/// One holder's claim on one Lease, for example a kubelet's heartbeat.
#[derive(Clone)]
pub struct LeaseHolder {
    api: Api<Lease>,
    name: String,
    holder: String,
    duration_seconds: i32,
    owner: Option<OwnerReference>,
}

impl LeaseHolder {
    /// A claim of `holder` on the Lease `name`, valid for `duration_seconds` after each renewal. Nothing is written
    /// before [`renew`](Self::renew).
    pub fn new(client: Client, namespace: &str, name: &str, holder: &str, duration_seconds: i32) -> Self {
        Self {
            api: Api::namespaced(client, namespace),
            name: name.to_owned(),
            holder: holder.to_owned(),
            duration_seconds,
            owner: None,
        }
    }

    /// Ties the Lease to its owner, so that it is collected with it.
    #[must_use]
    pub fn owned_by(mut self, owner: OwnerReference) -> Self {
        self.owner = Some(owner);
        self
    }

    /// Makes the Lease ours as of `now`, creating it when it does not exist. One request in the usual case.
    ///
    /// # Errors
    /// Any error of the API; the claim is as it was.
    pub async fn renew(&self, now: Timestamp) -> Result<Lease, kube::Error> {
        let spec = json!({
            "holderIdentity": self.holder,
            "leaseDurationSeconds": self.duration_seconds,
            "renewTime": MicroTime(now),
        });
        let metadata = match &self.owner {
            Some(owner) => json!({ "ownerReferences": [owner] }),
            None => json!({}),
        };
        let patch = Patch::Merge(json!({ "metadata": metadata, "spec": spec }));
        match self.api.patch(&self.name, &PatchParams::default(), &patch).await {
            Err(error) if is_not_found(&error) => self.api.create(&PostParams::default(), &self.new_lease(now)).await,
            result => result,
        }
    }

    fn new_lease(&self, now: Timestamp) -> Lease {
        Lease {
            metadata: ObjectMeta {
                name: Some(self.name.clone()),
                owner_references: self.owner.clone().map(|owner| vec![owner]),
                ..ObjectMeta::default()
            },
            spec: Some(LeaseSpec {
                holder_identity: Some(self.holder.clone()),
                lease_duration_seconds: Some(self.duration_seconds),
                renew_time: Some(MicroTime(now)),
                ..LeaseSpec::default()
            }),
        }
    }
}
