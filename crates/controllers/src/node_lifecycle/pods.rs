//! Pods of a node that is not ready: nobody can say that they are, so nobody shall send them traffic.

use std::sync::PoisonError;

use client::{EventType, is_not_found};
use k8s_openapi::api::core::v1::{ObjectReference, Pod};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::Api;
use kube::api::{Patch, PatchParams};
use serde_json::json;

use super::NodeLifecycle;
use crate::runtime::Error;
use crate::watches::PodFacts;

impl NodeLifecycle {
    /// Marks a node's Pods once when the node stops being ready. What becomes of them later is the kubelet's to say.
    pub(super) async fn follow_readiness(&self, name: &str, ready: Option<bool>) -> Result<(), Error> {
        let is_news = {
            let mut unready = self.unready.lock().unwrap_or_else(PoisonError::into_inner);
            match ready {
                Some(false) => unready.insert(name.to_owned()),
                Some(true) | None => {
                    unready.remove(name);
                    false
                }
            }
        };
        if !is_news {
            return Ok(());
        }
        let marked = self.mark_pods(name).await;
        if marked.is_err() {
            self.unready.lock().unwrap_or_else(PoisonError::into_inner).remove(name);
        }
        marked
    }

    async fn mark_pods(&self, node: &str) -> Result<(), Error> {
        for pod in self.pods.matching(|pod| pod.node == node && pod.ready) {
            match self.mark_pod(&pod).await {
                Err(error) if !is_not_found(&error) => return Err(Error::during("marking a Pod as not ready")(error)),
                _ => {}
            }
        }
        Ok(())
    }

    async fn mark_pod(&self, pod: &PodFacts) -> Result<(), kube::Error> {
        let key = pod.object_key();
        let pods: Api<Pod> = Api::namespaced(self.client.clone(), &key.namespace);
        let condition = json!({ "type": "Ready", "status": "False", "lastTransitionTime": Time(self.clock.now()) });
        let patch = json!({ "metadata": { "uid": pod.uid }, "status": { "conditions": [condition] } });
        pods.patch_status(&key.name, &PatchParams::default(), &Patch::Strategic(patch)).await?;
        let reference = ObjectReference {
            api_version: Some("v1".into()),
            kind: Some("Pod".into()),
            namespace: Some(key.namespace.clone()),
            name: Some(key.name.clone()),
            uid: Some(pod.uid.clone()),
            ..ObjectReference::default()
        };
        self.events.event(&reference, EventType::Warning, "NodeNotReady", "Node is not ready");
        Ok(())
    }
}
