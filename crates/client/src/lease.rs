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

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use http_body_util::BodyExt;
    use kube::client::Body;
    use serde_json::Value;

    use super::*;

    type Requests = Arc<Mutex<Vec<(String, Value)>>>;

    /// A server with at most one Lease; returns the client and what was asked of it.
    fn server() -> (Client, Requests) {
        let requests = Arc::new(Mutex::new(Vec::new()));
        let seen = Arc::clone(&requests);
        let service = tower::service_fn(move |request: http::Request<Body>| {
            let seen = Arc::clone(&seen);
            async move {
                let (parts, body) = request.into_parts();
                let body = body.collect().await.unwrap().to_bytes();
                let body: Value = serde_json::from_slice(&body).unwrap();
                let mut seen = seen.lock().unwrap();
                let exists = seen.iter().any(|(line, _): &(String, Value)| line.starts_with("POST"));
                seen.push((format!("{} {}", parts.method, parts.uri.path()), body.clone()));
                let (code, answer) = match (parts.method.as_str(), exists) {
                    ("PATCH", false) => (404, json!({ "status": "Failure", "code": 404, "reason": "NotFound" })),
                    _ => (200, body),
                };
                let response = http::Response::builder().status(code).body(Body::from(answer.to_string().into_bytes()));
                Ok::<_, std::convert::Infallible>(response.unwrap())
            }
        });
        (Client::new(service, "default"), requests)
    }

    #[tokio::test]
    async fn a_lease_is_created_once_and_then_patched() {
        let (client, requests) = server();
        let lease = LeaseHolder::new(client, "kube-node-lease", "n1", "n1", 40);
        for second in 0..2 {
            lease.renew(Timestamp::from_second(second).unwrap()).await.unwrap();
        }
        let requests = requests.lock().unwrap();
        let lines: Vec<&str> = requests.iter().map(|(line, _)| line.as_str()).collect();
        let leases = "/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases";
        assert_eq!(lines, [format!("PATCH {leases}/n1"), format!("POST {leases}"), format!("PATCH {leases}/n1")]);
        assert_eq!(
            requests[2].1["spec"],
            json!({ "holderIdentity": "n1", "leaseDurationSeconds": 40, "renewTime": "1970-01-01T00:00:01.000000Z" })
        );
        assert_eq!(requests[1].1["metadata"]["name"], "n1");
    }
}
