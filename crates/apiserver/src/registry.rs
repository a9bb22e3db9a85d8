//! The resources this server has, and what each does beyond the generic handlers.
//!
//! A resource is one row: what discovery tells of it ([`ResourceInfo`]), its rules ([`strategy::Strategy`]) and what its
//! subresources do. Adding a resource is adding a file with a row.

pub mod admissionregistration;
pub mod allocator;
pub mod apps;
pub mod authentication;
pub mod authorization;
pub mod autoscaling;
pub mod batch;
pub mod certificates;
pub mod coordination;
pub mod core;
pub mod deprecated;
pub mod device;
pub mod discovery;
mod entry;
pub mod events;
pub mod extensions;
pub mod flowcontrol;
mod kept;
pub mod metrics;
pub mod networking;
pub mod node;
mod plain;
pub mod policy;
pub mod rbac;
pub mod resource;
mod runtime_config;
pub mod scheduling;
pub mod storage;
pub mod store;
pub mod strategy;

pub use entry::{Action, Backing, Metrics, NodeCall, Resource, Stored, Virtual};
pub use kept::{Kept, all_kept, cache_specs};
pub use resource::{ResourceInfo, SubresourceInfo};
pub use runtime_config::RuntimeConfig;

/// All resources, in the order discovery lists them.
pub static RESOURCES: &[&Resource] = &[
    &core::binding::BINDINGS,
    &core::component_status::COMPONENT_STATUSES,
    &core::config_map::CONFIG_MAPS,
    &core::endpoints::ENDPOINTS,
    &core::event::EVENTS,
    &core::limit_range::LIMIT_RANGES,
    &core::namespace::NAMESPACES,
    &core::node::NODES,
    &core::persistent_volume_claim::PERSISTENT_VOLUME_CLAIMS,
    &core::persistent_volume::PERSISTENT_VOLUMES,
    &core::pod::PODS,
    &core::pod_template::POD_TEMPLATES,
    &core::replication_controller::REPLICATION_CONTROLLERS,
    &core::resource_quota::RESOURCE_QUOTAS,
    &core::secret::SECRETS,
    &core::service_account::SERVICE_ACCOUNTS,
    &core::service::SERVICES,
    &admissionregistration::MUTATING_POLICIES,
    &admissionregistration::MUTATING_POLICY_BINDINGS,
    &admissionregistration::MUTATING_WEBHOOKS,
    &admissionregistration::VALIDATING_POLICIES,
    &admissionregistration::VALIDATING_POLICY_BINDINGS,
    &admissionregistration::VALIDATING_WEBHOOKS,
    &extensions::CUSTOM_RESOURCE_DEFINITIONS,
    &extensions::API_SERVICES,
    &certificates::CERTIFICATE_SIGNING_REQUESTS,
    &flowcontrol::FLOW_SCHEMAS,
    &flowcontrol::PRIORITY_LEVEL_CONFIGURATIONS,
    &device::DEVICE_CLASSES,
    &device::RESOURCE_CLAIMS,
    &device::RESOURCE_CLAIM_TEMPLATES,
    &device::RESOURCE_SLICES,
    &storage::csi::DRIVERS,
    &storage::csi::NODES,
    &storage::csi::CAPACITIES,
    &storage::csi::ATTACHMENTS,
    &apps::controller_revision::CONTROLLER_REVISIONS,
    &apps::daemon_set::DAEMON_SETS,
    &apps::deployment::DEPLOYMENTS,
    &apps::replica_set::REPLICA_SETS,
    &apps::stateful_set::STATEFUL_SETS,
    &events::event::EVENTS,
    &authentication::SELF_SUBJECT_REVIEWS,
    &authentication::TOKEN_REVIEWS,
    &authorization::LOCAL_SUBJECT_ACCESS_REVIEWS,
    &authorization::SELF_SUBJECT_ACCESS_REVIEWS,
    &authorization::SELF_SUBJECT_RULES_REVIEWS,
    &authorization::SUBJECT_ACCESS_REVIEWS,
    &autoscaling::HORIZONTAL_POD_AUTOSCALERS,
    &autoscaling::HORIZONTAL_POD_AUTOSCALERS_V1,
    &batch::cron_job::CRON_JOBS,
    &batch::job::JOBS,
    &networking::ingress_class::INGRESS_CLASSES,
    &networking::ingress::INGRESSES,
    &networking::ip_address::IP_ADDRESSES,
    &networking::network_policy::NETWORK_POLICIES,
    &networking::service_cidr::SERVICE_CIDRS,
    &policy::pod_disruption_budget::POD_DISRUPTION_BUDGETS,
    &rbac::CLUSTER_ROLE_BINDINGS,
    &rbac::CLUSTER_ROLES,
    &rbac::ROLE_BINDINGS,
    &rbac::ROLES,
    &storage::storage_class::STORAGE_CLASSES,
    &storage::volume_attributes_class::VOLUME_ATTRIBUTES_CLASSES,
    &scheduling::priority_class::PRIORITY_CLASSES,
    &certificates::cluster_trust_bundle::CLUSTER_TRUST_BUNDLES,
    &coordination::lease::LEASES,
    &node::runtime_class::RUNTIME_CLASSES,
    &discovery::endpoint_slice::ENDPOINT_SLICES,
    &metrics::NODE_METRICS,
    &metrics::POD_METRICS,
];

/// The resource of a URL.
pub fn lookup(group: &str, version: &str, plural: &str) -> Option<&'static Resource> {
    RESOURCES.iter().copied().find(|resource| {
        let gvk = resource.gvk();
        resource.info.plural == plural && gvk.group == group && gvk.version == version
    })
}

/// Every verb of a resource that is kept.
pub const ALL_VERBS: &[&str] = &["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"];
/// The verbs of a part of an object.
pub const PART_VERBS: &[&str] = &["get", "patch", "update"];
/// The verbs of what is passed on to whoever is behind it.
pub const PROXY_VERBS: &[&str] = &["create", "delete", "get", "patch", "update"];
/// The verb of what only answers.
pub const CREATE: &[&str] = &["create"];
