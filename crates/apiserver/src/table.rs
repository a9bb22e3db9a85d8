//! Tables: objects as the rows that `kubectl get` prints.
//!
//! Flow: [`columns_for`] a kind, a [`Row`] of cells for each object, [`write`](mod@write) them into a `Table`.

mod age;
mod apps;
mod autoscaling;
mod batch;
mod certificates;
mod classes;
mod coordination;
mod core;
#[rustfmt::skip]
mod descriptions;
mod csi;
mod devices;
mod endpoints;
mod event;
mod extensions;
mod flowcontrol;
mod networking;
mod node;
mod pod;
mod policy;
mod quota;
mod rbac;
mod service;
mod storage;
pub mod write;

#[cfg(test)]
mod tests;

use api::{Gvk, Kind, Object};
use jiff::Timestamp;
use serde_json::Value;

/// One column. The texts are what the client sees.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Column {
    /// Title.
    pub name: &'static str,
    /// For instance `string`.
    pub kind: &'static str,
    /// `name` for the column that names the object.
    pub format: &'static str,
    /// What it means.
    pub description: &'static str,
    /// 0 for what is always shown, 1 for what `-o wide` adds.
    pub priority: u8,
}

/// The columns of a kind, and how its objects fill them.
#[derive(Debug)]
pub struct Columns {
    /// The columns in order.
    pub definitions: &'static [Column],
    row: fn(&dyn Object, Timestamp) -> Row,
}

/// The cells of one object.
#[derive(Debug, Clone, PartialEq)]
pub struct Row {
    /// One cell per column.
    pub cells: Vec<Value>,
    /// Why the object is done, if it is: the reason and message of the row's `Completed` condition.
    pub completed: Option<(&'static str, &'static str)>,
}

impl Columns {
    /// The row of an object of the kind these columns are for.
    pub fn row(&self, object: &dyn Object, now: Timestamp) -> Row {
        (self.row)(object, now)
    }
}

impl From<Vec<Value>> for Row {
    fn from(cells: Vec<Value>) -> Self {
        Self { cells, completed: None }
    }
}

/// The columns of a kind: its own, or name and time of creation.
pub fn columns_for(gvk: Gvk) -> &'static Columns {
    match (gvk.group, gvk.version, gvk.kind) {
        ("", "v1", "ComponentStatus") => &core::COMPONENT_STATUS,
        ("", "v1", "ConfigMap") => &core::CONFIG_MAP,
        ("", "v1", "Endpoints") => &endpoints::ENDPOINTS,
        ("", "v1", "Event") => &event::CORE,
        ("", "v1", "Namespace") => &core::NAMESPACE,
        ("", "v1", "Node") => &node::COLUMNS,
        ("", "v1", "PersistentVolume") => &storage::PERSISTENT_VOLUME,
        ("", "v1", "PersistentVolumeClaim") => &storage::PERSISTENT_VOLUME_CLAIM,
        ("", "v1", "Pod") => &pod::COLUMNS,
        ("", "v1", "PodTemplate") => &apps::POD_TEMPLATE,
        ("", "v1", "ReplicationController") => &apps::REPLICATION_CONTROLLER,
        ("", "v1", "ResourceQuota") => &quota::RESOURCE_QUOTA,
        ("", "v1", "Secret") => &core::SECRET,
        ("", "v1", "Service") => &service::COLUMNS,
        ("", "v1", "ServiceAccount") => &core::SERVICE_ACCOUNT,
        ("admissionregistration.k8s.io", "v1", "MutatingAdmissionPolicy") => &extensions::MUTATING_POLICY,
        ("admissionregistration.k8s.io", "v1", "MutatingAdmissionPolicyBinding") => {
            &extensions::MUTATING_POLICY_BINDING
        }
        ("admissionregistration.k8s.io", "v1", "MutatingWebhookConfiguration") => &extensions::MUTATING_WEBHOOKS,
        ("admissionregistration.k8s.io", "v1", "ValidatingAdmissionPolicy") => &extensions::VALIDATING_POLICY,
        ("admissionregistration.k8s.io", "v1", "ValidatingAdmissionPolicyBinding") => {
            &extensions::VALIDATING_POLICY_BINDING
        }
        ("admissionregistration.k8s.io", "v1", "ValidatingWebhookConfiguration") => &extensions::VALIDATING_WEBHOOKS,
        ("apiregistration.k8s.io", "v1", "APIService") => &extensions::API_SERVICE,
        ("apps", "v1", "ControllerRevision") => &apps::CONTROLLER_REVISION,
        ("apps", "v1", "DaemonSet") => &apps::DAEMON_SET,
        ("apps", "v1", "Deployment") => &apps::DEPLOYMENT,
        ("apps", "v1", "ReplicaSet") => &apps::REPLICA_SET,
        ("apps", "v1", "StatefulSet") => &apps::STATEFUL_SET,
        ("autoscaling", "v1", "HorizontalPodAutoscaler") => &autoscaling::HORIZONTAL_POD_AUTOSCALER_V1,
        ("autoscaling", "v1", "Scale") => &autoscaling::SCALE,
        ("autoscaling", "v2", "HorizontalPodAutoscaler") => &autoscaling::HORIZONTAL_POD_AUTOSCALER,
        ("batch", "v1", "CronJob") => &batch::CRON_JOB,
        ("batch", "v1", "Job") => &batch::JOB,
        ("certificates.k8s.io", "v1", "CertificateSigningRequest") => &certificates::CERTIFICATE_SIGNING_REQUEST,
        ("coordination.k8s.io", "v1", "Lease") => &coordination::LEASE,
        ("discovery.k8s.io", "v1", "EndpointSlice") => &endpoints::ENDPOINT_SLICE,
        ("events.k8s.io", "v1", "Event") => &event::EVENTS,
        ("networking.k8s.io", "v1", "Ingress") => &networking::INGRESS,
        ("networking.k8s.io", "v1", "IngressClass") => &networking::INGRESS_CLASS,
        ("networking.k8s.io", "v1", "NetworkPolicy") => &networking::NETWORK_POLICY,
        ("networking.k8s.io", "v1", "IPAddress") => &networking::IP_ADDRESS,
        ("networking.k8s.io", "v1", "ServiceCIDR") => &networking::SERVICE_CIDR,
        ("node.k8s.io", "v1", "RuntimeClass") => &classes::RUNTIME_CLASS,
        ("flowcontrol.apiserver.k8s.io", "v1", "FlowSchema") => &flowcontrol::FLOW_SCHEMA,
        ("flowcontrol.apiserver.k8s.io", "v1", "PriorityLevelConfiguration") => {
            &flowcontrol::PRIORITY_LEVEL_CONFIGURATION
        }
        ("policy", "v1", "PodDisruptionBudget") => &policy::POD_DISRUPTION_BUDGET,
        ("rbac.authorization.k8s.io", "v1", "ClusterRoleBinding") => &rbac::CLUSTER_ROLE_BINDING,
        ("rbac.authorization.k8s.io", "v1", "RoleBinding") => &rbac::ROLE_BINDING,
        ("resource.k8s.io", "v1", "DeviceClass" | "ResourceClaimTemplate") => &devices::NAME_AND_AGE,
        ("resource.k8s.io", "v1", "ResourceClaim") => &devices::RESOURCE_CLAIM,
        ("resource.k8s.io", "v1", "ResourceSlice") => &devices::RESOURCE_SLICE,
        ("scheduling.k8s.io", "v1", "PriorityClass") => &classes::PRIORITY_CLASS,
        ("storage.k8s.io", "v1", "CSIDriver") => &csi::CSI_DRIVER,
        ("storage.k8s.io", "v1", "CSINode") => &csi::CSI_NODE,
        ("storage.k8s.io", "v1", "VolumeAttachment") => &csi::VOLUME_ATTACHMENT,
        ("certificates.k8s.io", "v1beta1", "ClusterTrustBundle") => &certificates::CLUSTER_TRUST_BUNDLE,
        ("storage.k8s.io", "v1", "StorageClass") => &storage::STORAGE_CLASS,
        ("storage.k8s.io", "v1", "VolumeAttributesClass") => &storage::VOLUME_ATTRIBUTES_CLASS,
        _ => &DEFAULT,
    }
}

/// The columns of kinds that have none of their own.
static DEFAULT: Columns = Columns {
    definitions: &[
        NAME,
        Column {
            name: "Created At",
            kind: "date",
            format: "",
            description: descriptions::OBJECT_META_CREATION_TIMESTAMP,
            priority: 0,
        },
    ],
    row: |object, _| {
        let created = object.metadata().creation_timestamp.as_ref();
        let created = created.map_or(Value::Null, |time| time.0.strftime("%Y-%m-%dT%H:%M:%SZ").to_string().into());
        Row::from(vec![name(object), created])
    },
};

const NAME: Column =
    Column { name: "Name", kind: "string", format: "name", description: descriptions::OBJECT_META_NAME, priority: 0 };
const AGE: Column = column("Age", descriptions::OBJECT_META_CREATION_TIMESTAMP);

const fn column(name: &'static str, description: &'static str) -> Column {
    Column { name, kind: "string", format: "", description, priority: 0 }
}

const fn wide(name: &'static str, description: &'static str) -> Column {
    Column { name, kind: "string", format: "", description, priority: 1 }
}

/// The object as its kind.
fn typed<K: Kind>(object: &dyn Object) -> &K {
    object.as_any().downcast_ref().expect("columns are only asked for rows of their kind")
}

fn name(object: &dyn Object) -> Value {
    object.metadata().name.as_deref().unwrap_or_default().into()
}

fn age(object: &dyn Object, now: Timestamp) -> Value {
    age::since(object.metadata().creation_timestamp.as_ref().map(|time| time.0), now).into()
}

/// A text, or what stands for a missing one.
fn or_none(text: Option<&str>) -> Value {
    text.filter(|text| !text.is_empty()).unwrap_or("<none>").into()
}
