//! Events about Pods, in upstream's shape: about the Pod, or about one of its containers by field path.

use std::sync::Arc;

use client::EventType;
use k8s_openapi::api::core::v1::{ObjectReference, Pod};

use crate::history::{History, Transition};
use crate::pod::{self, ContainerKind};

/// Where Events go: the API, or a test's list. Never waits.
pub trait EventSink: Send + Sync {
    /// Reports that `reason` befell `object`.
    fn event(&self, object: &ObjectReference, kind: EventType, reason: &str, message: String);
}

impl EventSink for client::EventRecorder {
    fn event(&self, object: &ObjectReference, kind: EventType, reason: &str, message: String) {
        client::EventRecorder::event(self, object, kind, reason, message);
    }
}

/// Reports what befalls Pods.
#[derive(Clone)]
pub struct Events {
    sink: Arc<dyn EventSink>,
    history: History,
}

impl Events {
    /// Events that go to `sink` and are remembered in `history`.
    pub fn new(sink: Arc<dyn EventSink>, history: History) -> Self {
        Self { sink, history }
    }

    /// Something as intended, about the whole Pod.
    pub fn normal(&self, pod: &Pod, reason: &str, message: impl Into<String>) {
        self.report(pod, None, EventType::Normal, reason, message.into());
    }

    /// Something amiss, about the whole Pod.
    pub fn warning(&self, pod: &Pod, reason: &str, message: impl Into<String>) {
        self.report(pod, None, EventType::Warning, reason, message.into());
    }

    /// About one container.
    pub fn container(&self, pod: &Pod, name: &str, kind: EventType, reason: &str, message: impl Into<String>) {
        self.report(pod, Some(name), kind, reason, message.into());
    }

    fn report(&self, pod: &Pod, container: Option<&str>, kind: EventType, reason: &str, message: String) {
        let what = Transition::Event {
            warning: kind == EventType::Warning,
            reason: reason.to_owned(),
            message: message.clone(),
            container: container.map(str::to_owned),
            count: 1,
        };
        self.history.record(pod, what);
        let path = container.and_then(|name| field_path(pod, name));
        self.sink.event(&reference(pod, path), kind, reason, message);
    }

    /// About the node.
    pub fn node(&self, node: &str, kind: EventType, reason: &str, message: impl Into<String>) {
        // Upstream's kubelet files its node events under the node's name, for it may not know the UID yet.
        let reference = ObjectReference {
            kind: Some("Node".to_owned()),
            name: Some(node.to_owned()),
            uid: Some(node.to_owned()),
            ..ObjectReference::default()
        };
        self.sink.event(&reference, kind, reason, message.into());
    }
}

fn reference(pod: &Pod, field_path: Option<String>) -> ObjectReference {
    ObjectReference {
        api_version: Some("v1".to_owned()),
        kind: Some("Pod".to_owned()),
        name: pod.metadata.name.clone(),
        namespace: pod.metadata.namespace.clone(),
        uid: pod.metadata.uid.clone(),
        resource_version: pod.metadata.resource_version.clone(),
        field_path,
    }
}

fn field_path(pod: &Pod, name: &str) -> Option<String> {
    let list = match pod::find_container(pod, name)?.0 {
        ContainerKind::Init | ContainerKind::Sidecar => "initContainers",
        ContainerKind::Regular => "containers",
        ContainerKind::Ephemeral => "ephemeralContainers",
    };
    Some(format!("spec.{list}{{{name}}}"))
}
