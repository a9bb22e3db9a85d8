//! The descriptions of fields that the columns of `kubectl get` show.

use std::fmt::Write;

use anyhow::{Context, Result};
use serde_json::{Map, Value};

const CERTIFICATES: &str = "io.k8s.api.certificates.v1.";
const FLOW_CONTROL: &str = "io.k8s.api.flowcontrol.v1.";
const CORE: &str = "io.k8s.api.core.v1.";
const APPS: &str = "io.k8s.api.apps.v1.";
const RESOURCE: &str = "io.k8s.api.resource.v1.";
const NETWORKING: &str = "io.k8s.api.networking.v1.";
const AUTOSCALING: &str = "io.k8s.api.autoscaling.v2.";
const BATCH: &str = "io.k8s.api.batch.v1.";
const POLICY: &str = "io.k8s.api.policy.v1.";
const STORAGE: &str = "io.k8s.api.storage.v1.";
const DISCOVERY: &str = "io.k8s.api.discovery.v1.";
const META: &str = "io.k8s.apimachinery.pkg.apis.meta.v1.";

/// Package, type and field.
const FIELDS: &[(&str, &str, &str)] = &[
    (META, "ObjectMeta", "name"),
    (META, "ObjectMeta", "creationTimestamp"),
    (CORE, "ConfigMap", "data"),
    (CORE, "Event", "count"),
    (CORE, "Event", "firstTimestamp"),
    (CORE, "Event", "involvedObject"),
    (CORE, "Event", "lastTimestamp"),
    (CORE, "Event", "message"),
    (CORE, "Event", "reason"),
    (CORE, "Event", "source"),
    (CORE, "Event", "type"),
    (CORE, "NodeStatus", "addresses"),
    (CORE, "NodeSystemInfo", "containerRuntimeVersion"),
    (CORE, "NodeSystemInfo", "kernelVersion"),
    (CORE, "NodeSystemInfo", "kubeletVersion"),
    (CORE, "NodeSystemInfo", "osImage"),
    (CORE, "ObjectReference", "fieldPath"),
    (CORE, "PersistentVolumeClaimSpec", "volumeMode"),
    (CORE, "PersistentVolumeClaimSpec", "volumeName"),
    (CORE, "PersistentVolumeClaimStatus", "accessModes"),
    (CORE, "PersistentVolumeClaimStatus", "capacity"),
    (CORE, "PersistentVolumeClaimStatus", "phase"),
    (CORE, "PersistentVolumeSpec", "accessModes"),
    (CORE, "PersistentVolumeSpec", "capacity"),
    (CORE, "PersistentVolumeSpec", "claimRef"),
    (CORE, "PersistentVolumeSpec", "persistentVolumeReclaimPolicy"),
    (CORE, "PersistentVolumeSpec", "volumeMode"),
    (CORE, "PersistentVolumeStatus", "phase"),
    (CORE, "PersistentVolumeStatus", "reason"),
    (CORE, "PodSpec", "nodeName"),
    (CORE, "PodSpec", "readinessGates"),
    (CORE, "PodStatus", "nominatedNodeName"),
    (CORE, "PodStatus", "podIP"),
    (CORE, "Secret", "data"),
    (CORE, "Secret", "type"),
    (APPS, "ControllerRevision", "revision"),
    (APPS, "DaemonSetSpec", "selector"),
    (APPS, "DaemonSetStatus", "currentNumberScheduled"),
    (APPS, "DaemonSetStatus", "desiredNumberScheduled"),
    (APPS, "DaemonSetStatus", "numberAvailable"),
    (APPS, "DaemonSetStatus", "numberReady"),
    (APPS, "DaemonSetStatus", "updatedNumberScheduled"),
    (APPS, "DeploymentSpec", "selector"),
    (APPS, "DeploymentStatus", "availableReplicas"),
    (APPS, "DeploymentStatus", "updatedReplicas"),
    (APPS, "ReplicaSetSpec", "replicas"),
    (APPS, "ReplicaSetSpec", "selector"),
    (APPS, "ReplicaSetStatus", "readyReplicas"),
    (APPS, "ReplicaSetStatus", "replicas"),
    (CORE, "PodSpec", "nodeSelector"),
    (CORE, "ServiceSpec", "clusterIP"),
    (CORE, "ServiceSpec", "externalIPs"),
    (CORE, "ServiceSpec", "ports"),
    (CORE, "ServiceSpec", "selector"),
    (CORE, "ServiceSpec", "type"),
    (NETWORKING, "IPAddressSpec", "parentRef"),
    (NETWORKING, "ServiceCIDRSpec", "cidrs"),
    (AUTOSCALING, "HorizontalPodAutoscalerSpec", "maxReplicas"),
    (AUTOSCALING, "HorizontalPodAutoscalerSpec", "metrics"),
    (AUTOSCALING, "HorizontalPodAutoscalerSpec", "minReplicas"),
    (AUTOSCALING, "HorizontalPodAutoscalerSpec", "scaleTargetRef"),
    (AUTOSCALING, "HorizontalPodAutoscalerStatus", "currentReplicas"),
    ("io.k8s.api.autoscaling.v1.", "ScaleSpec", "replicas"),
    ("io.k8s.api.autoscaling.v1.", "ScaleStatus", "replicas"),
    (BATCH, "CronJobSpec", "schedule"),
    (BATCH, "CronJobSpec", "suspend"),
    (BATCH, "CronJobSpec", "timeZone"),
    (BATCH, "CronJobStatus", "active"),
    (BATCH, "CronJobStatus", "lastScheduleTime"),
    (BATCH, "JobSpec", "selector"),
    (BATCH, "JobStatus", "succeeded"),
    (POLICY, "PodDisruptionBudgetSpec", "maxUnavailable"),
    (POLICY, "PodDisruptionBudgetSpec", "minAvailable"),
    (CERTIFICATES, "CertificateSigningRequestSpec", "expirationSeconds"),
    (CERTIFICATES, "CertificateSigningRequestSpec", "request"),
    (CERTIFICATES, "CertificateSigningRequestSpec", "signerName"),
    (CERTIFICATES, "CertificateSigningRequestStatus", "conditions"),
    (FLOW_CONTROL, "FlowSchemaSpec", "distinguisherMethod"),
    (FLOW_CONTROL, "FlowSchemaSpec", "matchingPrecedence"),
    (FLOW_CONTROL, "LimitedPriorityLevelConfiguration", "nominalConcurrencyShares"),
    (FLOW_CONTROL, "PriorityLevelConfigurationReference", "name"),
    (FLOW_CONTROL, "PriorityLevelConfigurationSpec", "type"),
    (FLOW_CONTROL, "QueuingConfiguration", "handSize"),
    (FLOW_CONTROL, "QueuingConfiguration", "queueLengthLimit"),
    (FLOW_CONTROL, "QueuingConfiguration", "queues"),
    (STORAGE, "CSIDriverSpec", "attachRequired"),
    (STORAGE, "CSIDriverSpec", "podInfoOnMount"),
    (STORAGE, "CSIDriverSpec", "requiresRepublish"),
    (STORAGE, "CSIDriverSpec", "storageCapacity"),
    (STORAGE, "CSIDriverSpec", "tokenRequests"),
    (STORAGE, "CSIDriverSpec", "volumeLifecycleModes"),
    (STORAGE, "VolumeAttachmentSource", "persistentVolumeName"),
    (STORAGE, "VolumeAttachmentSpec", "attacher"),
    (STORAGE, "VolumeAttachmentSpec", "nodeName"),
    (STORAGE, "VolumeAttachmentStatus", "attached"),
    ("io.k8s.api.coordination.v1.", "LeaseSpec", "holderIdentity"),
    ("io.k8s.api.node.v1.", "RuntimeClass", "handler"),
    (RESOURCE, "ResourcePool", "name"),
    (RESOURCE, "ResourceSliceSpec", "driver"),
    (RESOURCE, "ResourceSliceSpec", "nodeName"),
    ("io.k8s.api.scheduling.v1.", "PriorityClass", "globalDefault"),
    ("io.k8s.api.scheduling.v1.", "PriorityClass", "preemptionPolicy"),
    ("io.k8s.api.scheduling.v1.", "PriorityClass", "value"),
    (STORAGE, "StorageClass", "allowVolumeExpansion"),
    (STORAGE, "StorageClass", "provisioner"),
    (STORAGE, "StorageClass", "reclaimPolicy"),
    (STORAGE, "StorageClass", "volumeBindingMode"),
    (STORAGE, "VolumeAttributesClass", "driverName"),
    (CORE, "Endpoints", "subsets"),
    (CORE, "ReplicationControllerSpec", "replicas"),
    (CORE, "ReplicationControllerSpec", "selector"),
    (CORE, "ReplicationControllerStatus", "readyReplicas"),
    (CORE, "ReplicationControllerStatus", "replicas"),
    (DISCOVERY, "EndpointSlice", "addressType"),
    (DISCOVERY, "EndpointSlice", "endpoints"),
    (DISCOVERY, "EndpointSlice", "ports"),
    (NETWORKING, "NetworkPolicySpec", "podSelector"),
];

/// The source of `table/descriptions.rs`.
pub fn write(definitions: &Map<String, Value>) -> Result<String> {
    let mut out =
        String::from("//! Descriptions of fields, for columns. Written by `cargo run -p xtask -- generate`.\n\n");
    for (package, kind, field) in FIELDS {
        let place = format!("{package}{kind}.{field}");
        let text = definitions
            .get(&format!("{package}{kind}"))
            .and_then(|definition| definition["properties"][field]["description"].as_str())
            .with_context(|| format!("{place} has no description"))?;
        let name = constant(&format!("{kind}_{field}"));
        writeln!(out, "/// `{place}`\npub(super) const {name}: &str =\n    {text:?};")?;
    }
    Ok(out)
}

/// `podIP` as `POD_IP`.
fn constant(name: &str) -> String {
    let mut out = String::new();
    let mut lower = false;
    for character in name.chars() {
        if character.is_uppercase() && lower {
            out.push('_');
        }
        lower = character.is_lowercase();
        out.extend(character.to_uppercase());
    }
    out
}
