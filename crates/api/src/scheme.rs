//! The built-in kinds: from group, version and kind to what decodes them.

use k8s_openapi::api::{
    admissionregistration, apps, autoscaling, batch, certificates, coordination, core, discovery, events, flowcontrol,
    networking, node, policy, rbac, resource, scheduling, storage,
};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions;
use k8s_openapi::kube_aggregator::pkg::apis::apiregistration;
use serde_json::Value;

use crate::object::{Gvk, Kind, Object};

#[cfg(test)]
mod tests;

/// A built-in kind, without naming its type.
#[derive(Debug, Clone, Copy)]
pub struct KindEntry {
    /// Group, version and kind.
    pub gvk: Gvk,
    /// An object of this kind from a JSON tree.
    pub from_value: fn(Value) -> serde_json::Result<Box<dyn Object>>,
    /// An object of this kind from JSON text.
    pub from_json: fn(&[u8]) -> serde_json::Result<Box<dyn Object>>,
}

/// Every built-in kind. Adding one costs one line.
pub static KINDS: &[KindEntry] = &[
    entry::<core::v1::Binding>(),
    entry::<core::v1::ComponentStatus>(),
    entry::<core::v1::ConfigMap>(),
    entry::<core::v1::Endpoints>(),
    entry::<core::v1::Event>(),
    entry::<core::v1::LimitRange>(),
    entry::<core::v1::Namespace>(),
    entry::<core::v1::Node>(),
    entry::<core::v1::PersistentVolume>(),
    entry::<core::v1::PersistentVolumeClaim>(),
    entry::<core::v1::Pod>(),
    entry::<core::v1::PodTemplate>(),
    entry::<core::v1::ReplicationController>(),
    entry::<core::v1::ResourceQuota>(),
    entry::<core::v1::Secret>(),
    entry::<core::v1::Service>(),
    entry::<core::v1::ServiceAccount>(),
    entry::<admissionregistration::v1::MutatingAdmissionPolicy>(),
    entry::<admissionregistration::v1::MutatingAdmissionPolicyBinding>(),
    entry::<admissionregistration::v1::MutatingWebhookConfiguration>(),
    entry::<admissionregistration::v1::ValidatingAdmissionPolicy>(),
    entry::<admissionregistration::v1::ValidatingAdmissionPolicyBinding>(),
    entry::<admissionregistration::v1::ValidatingWebhookConfiguration>(),
    entry::<apiextensions::v1::CustomResourceDefinition>(),
    entry::<apiregistration::v1::APIService>(),
    entry::<apps::v1::ControllerRevision>(),
    entry::<apps::v1::DaemonSet>(),
    entry::<apps::v1::Deployment>(),
    entry::<apps::v1::ReplicaSet>(),
    entry::<apps::v1::StatefulSet>(),
    entry::<autoscaling::v1::HorizontalPodAutoscaler>(),
    entry::<autoscaling::v1::Scale>(),
    entry::<autoscaling::v2::HorizontalPodAutoscaler>(),
    entry::<batch::v1::CronJob>(),
    entry::<batch::v1::Job>(),
    entry::<certificates::v1::CertificateSigningRequest>(),
    entry::<certificates::v1beta1::ClusterTrustBundle>(),
    entry::<coordination::v1::Lease>(),
    entry::<discovery::v1::EndpointSlice>(),
    entry::<events::v1::Event>(),
    entry::<networking::v1::Ingress>(),
    entry::<networking::v1::IngressClass>(),
    entry::<networking::v1::IPAddress>(),
    entry::<networking::v1::NetworkPolicy>(),
    entry::<networking::v1::ServiceCIDR>(),
    entry::<flowcontrol::v1::FlowSchema>(),
    entry::<flowcontrol::v1::PriorityLevelConfiguration>(),
    entry::<node::v1::RuntimeClass>(),
    entry::<policy::v1::PodDisruptionBudget>(),
    entry::<rbac::v1::ClusterRole>(),
    entry::<rbac::v1::ClusterRoleBinding>(),
    entry::<rbac::v1::Role>(),
    entry::<rbac::v1::RoleBinding>(),
    entry::<resource::v1::DeviceClass>(),
    entry::<resource::v1::ResourceClaim>(),
    entry::<resource::v1::ResourceClaimTemplate>(),
    entry::<resource::v1::ResourceSlice>(),
    entry::<scheduling::v1::PriorityClass>(),
    entry::<storage::v1::CSIDriver>(),
    entry::<storage::v1::CSINode>(),
    entry::<storage::v1::CSIStorageCapacity>(),
    entry::<storage::v1::StorageClass>(),
    entry::<storage::v1::VolumeAttachment>(),
    entry::<storage::v1::VolumeAttributesClass>(),
];

/// The entry of a kind; the core group is the empty string.
pub fn lookup(group: &str, version: &str, kind: &str) -> Option<&'static KindEntry> {
    KINDS.iter().find(|entry| entry.gvk.kind == kind && entry.gvk.group == group && entry.gvk.version == version)
}

const fn entry<K: Kind>() -> KindEntry {
    KindEntry {
        gvk: Gvk { group: K::GROUP, version: K::VERSION, kind: K::KIND },
        from_value: from_value::<K>,
        from_json: from_json::<K>,
    }
}

fn from_value<K: Kind>(value: Value) -> serde_json::Result<Box<dyn Object>> {
    serde_json::from_value::<K>(value).map(|object| Box::new(object) as Box<dyn Object>)
}

fn from_json<K: Kind>(text: &[u8]) -> serde_json::Result<Box<dyn Object>> {
    serde_json::from_slice::<K>(text).map(|object| Box::new(object) as Box<dyn Object>)
}
