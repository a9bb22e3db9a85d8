//! The downward API: fields of a Pod and resources of its containers as text, for environment variables and files.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{Container, Pod, ResourceFieldSelector};

use super::{spec_of, status_of};
use crate::core::v1::resource_list::ResourceList;
use crate::field::Value;
use crate::meta::text;
use crate::quantity::Quantity;

#[cfg(test)]
mod tests;

/// Why a field path gives no text.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FieldError {
    /// The path names no field of the downward API.
    #[error("unsupported fieldPath: {0}")]
    UnsupportedField(String),
    /// The path names no resource of the downward API.
    #[error("unsupported container resource : {0}")]
    UnsupportedResource(String),
}

/// A path such as `metadata.labels['app']` as its parts `metadata.labels` and `app`.
pub fn split_subscript(path: &str) -> Option<(&str, &str)> {
    let (field, subscript) = path.strip_suffix("']")?.split_once("['")?;
    (!field.is_empty()).then_some((field, subscript))
}

/// The text of a Pod's field, such as `metadata.name` or `metadata.labels['app']`; empty where it is unset.
///
/// # Errors
/// When the path names no field of the downward API.
pub fn field_text(pod: &Pod, path: &str) -> Result<String, FieldError> {
    let unsupported = || FieldError::UnsupportedField(path.to_owned());
    let meta = &pod.metadata;
    if let Some((field, key)) = split_subscript(path) {
        let map = match field {
            "metadata.labels" => &meta.labels,
            "metadata.annotations" => &meta.annotations,
            _ => return Err(unsupported()),
        };
        return Ok(map.as_ref().and_then(|map| map.get(key)).cloned().unwrap_or_default());
    }
    let (spec, status) = (spec_of(pod), status_of(pod));
    let joined = |addresses: Vec<&str>| addresses.join(",");
    Ok(match path {
        "metadata.name" => text(&meta.name).to_owned(),
        "metadata.namespace" => text(&meta.namespace).to_owned(),
        "metadata.uid" => text(&meta.uid).to_owned(),
        "metadata.labels" => map_lines(meta.labels.as_ref()),
        "metadata.annotations" => map_lines(meta.annotations.as_ref()),
        "spec.nodeName" => text(&spec.node_name).to_owned(),
        "spec.serviceAccountName" => text(&spec.service_account_name).to_owned(),
        "status.hostIP" => text(&status.host_ip).to_owned(),
        "status.podIP" => text(&status.pod_ip).to_owned(),
        "status.hostIPs" => joined(status.host_ips.iter().flatten().map(|host| host.ip.as_str()).collect()),
        "status.podIPs" => joined(status.pod_ips.iter().flatten().map(|pod| pod.ip.as_str()).collect()),
        _ => return Err(unsupported()),
    })
}

/// One `key="value"` per line, in the order of keys.
fn map_lines(map: Option<&BTreeMap<String, String>>) -> String {
    let lines = map.into_iter().flatten().map(|(key, value)| {
        let mut line = format!("{key}=");
        value.quote(&mut line);
        line
    });
    lines.collect::<Vec<_>>().join("\n")
}

/// The text of a container's resource, such as `limits.cpu` in units of the selector's divisor, rounded up. Where the
/// container has no limit, what its node can allocate counts.
///
/// # Errors
/// When the selector names no resource of the downward API.
pub fn resource_text(
    container: &Container,
    selector: &ResourceFieldSelector,
    allocatable: &ResourceList,
) -> Result<String, FieldError> {
    let unsupported = || FieldError::UnsupportedResource(selector.resource.clone());
    let (list, resource) = selector.resource.split_once('.').ok_or_else(unsupported)?;
    let known = matches!(resource, "cpu" | "memory" | "ephemeral-storage") || resource.starts_with("hugepages-");
    if !known {
        return Err(unsupported());
    }
    let resources = container.resources.as_ref();
    let own = match list {
        "limits" => resources.and_then(|resources| resources.limits.as_ref()),
        "requests" => resources.and_then(|resources| resources.requests.as_ref()),
        _ => return Err(unsupported()),
    };
    let listed = own.and_then(|list| list.get(resource)).map(Quantity::of).filter(|amount| !amount.is_zero());
    let fallback = || match list {
        "limits" => allocatable.get(resource).map(Quantity::of),
        _ => None,
    };
    let amount = listed.or_else(fallback).unwrap_or_default();
    let divisor = selector.divisor.as_ref().map(Quantity::of).filter(|divisor| !divisor.is_zero());
    Ok(divide(amount, divisor.unwrap_or(Quantity::from_value(1)), resource == "cpu").to_string())
}

/// Rounded up; CPU counts in thousandths, everything else in whole units.
fn divide(amount: Quantity, divisor: Quantity, in_milli: bool) -> i64 {
    let (amount, divisor) =
        if in_milli { (amount.milli_value(), divisor.milli_value()) } else { (amount.value(), divisor.value()) };
    if divisor <= 0 { amount } else { amount / divisor + i64::from(amount % divisor > 0) }
}
