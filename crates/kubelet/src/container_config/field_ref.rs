//! The downward API as a container sees it: addresses are those of the moment, not those the API shows a little later.

use std::collections::BTreeMap;

use api::core::v1::pod::downward::{field_text, resource_text};
use k8s_openapi::api::core::v1::{Pod, ResourceFieldSelector};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity as ApiQuantity;

use super::ConfigError;
use crate::pod;

/// What the node can give to Pods: stands in for limits that are not there.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Allocatable {
    /// CPU.
    pub cpu_milli: i64,
    /// Memory.
    pub memory_bytes: i64,
    /// Local disk.
    pub ephemeral_storage_bytes: i64,
}

/// The value of a `fieldRef`. A value that does not exist (yet) is empty.
///
/// # Errors
/// For a path the downward API does not offer.
pub fn pod_field(pod: &Pod, path: &str, pod_ips: &[String], host_ips: &[String]) -> Result<String, ConfigError> {
    let first = |ips: &[String]| ips.first().cloned().unwrap_or_default();
    match path {
        "status.podIP" => Ok(first(pod_ips)),
        "status.podIPs" => Ok(pod_ips.join(",")),
        "status.hostIP" => Ok(first(host_ips)),
        "status.hostIPs" => Ok(host_ips.join(",")),
        _ => Ok(field_text(pod, path)?),
    }
}

/// The value of a `resourceFieldRef`: whole units of its divisor, rounded up.
///
/// # Errors
/// When the container or the resource is not there.
pub fn resource_field(
    pod: &Pod,
    container: &str,
    selector: &ResourceFieldSelector,
    allocatable: &Allocatable,
) -> Result<String, ConfigError> {
    let (_, container) =
        pod::find_container(pod, container).ok_or_else(|| ConfigError::ContainerNotFound(container.to_owned()))?;
    let amounts = BTreeMap::from([
        ("cpu".to_owned(), ApiQuantity(format!("{}m", allocatable.cpu_milli))),
        ("memory".to_owned(), ApiQuantity(allocatable.memory_bytes.to_string())),
        ("ephemeral-storage".to_owned(), ApiQuantity(allocatable.ephemeral_storage_bytes.to_string())),
    ]);
    Ok(resource_text(&container, selector, &amounts)?)
}
