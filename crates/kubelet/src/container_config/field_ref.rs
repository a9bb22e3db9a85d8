//! The downward API: fields and resources of the Pod as text.

use api::quantity::Quantity;
use k8s_openapi::api::core::v1::{Pod, ResourceFieldSelector};

use super::ConfigError;
use crate::pod;
use crate::qos;

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

/// The value of a `fieldRef`, or `None` for a path the downward API does not offer. A value that does not exist (yet)
/// is empty.
pub fn pod_field(pod: &Pod, path: &str, pod_ips: &[String], host_ips: &[String]) -> Option<String> {
    let spec = pod.spec.as_ref();
    let text = |value: Option<&String>| Some(value.cloned().unwrap_or_default());
    if let Some((map, key)) = subscript(path) {
        return match map {
            "metadata.labels" => text(pod.metadata.labels.as_ref().and_then(|labels| labels.get(key))),
            "metadata.annotations" => text(pod.metadata.annotations.as_ref().and_then(|all| all.get(key))),
            _ => None,
        };
    }
    match path {
        "metadata.name" => text(pod.metadata.name.as_ref()),
        "metadata.namespace" => text(pod.metadata.namespace.as_ref()),
        "metadata.uid" => text(pod.metadata.uid.as_ref()),
        "metadata.labels" => Some(format_map(pod.metadata.labels.as_ref())),
        "metadata.annotations" => Some(format_map(pod.metadata.annotations.as_ref())),
        "spec.nodeName" => text(spec.and_then(|spec| spec.node_name.as_ref())),
        "spec.serviceAccountName" => text(spec.and_then(|spec| spec.service_account_name.as_ref())),
        "status.podIP" => text(pod_ips.first()),
        "status.podIPs" => Some(pod_ips.join(",")),
        "status.hostIP" => text(host_ips.first()),
        "status.hostIPs" => Some(host_ips.join(",")),
        _ => None,
    }
}

/// `metadata.labels['key']` in two parts.
fn subscript(path: &str) -> Option<(&str, &str)> {
    let (map, rest) = path.split_once("['")?;
    Some((map, rest.strip_suffix("']")?))
}

/// One `key="value"` per line, with Go's quoting.
fn format_map(map: Option<&std::collections::BTreeMap<String, String>>) -> String {
    let lines: Vec<String> =
        map.into_iter().flatten().map(|(key, value)| format!("{key}={}", go_quote(value))).collect();
    lines.join("\n")
}

fn go_quote(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('"');
    for character in text.chars() {
        match character {
            '"' => quoted.push_str("\\\""),
            '\\' => quoted.push_str("\\\\"),
            '\n' => quoted.push_str("\\n"),
            '\r' => quoted.push_str("\\r"),
            '\t' => quoted.push_str("\\t"),
            control if control.is_control() && (control as u32) < 0x80 => {
                quoted.push_str(&format!("\\x{:02x}", control as u32));
            }
            other => quoted.push(other),
        }
    }
    quoted.push('"');
    quoted
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
    let problem = |text: String| ConfigError::UnsupportedResource(text);
    let (_, container) =
        pod::find_container(pod, container).ok_or_else(|| problem(format!("container {container} not found")))?;
    let unsupported = || problem(format!("unsupported container resource : {}", selector.resource));
    let (list, resource) = selector.resource.split_once('.').ok_or_else(unsupported)?;
    let stated = container.resources.as_ref().and_then(|resources| match list {
        "limits" => resources.limits.as_ref()?.get(resource),
        _ => resources.requests.as_ref()?.get(resource),
    });
    let default = match (list, resource) {
        ("limits", "cpu") => Quantity::from_milli(allocatable.cpu_milli),
        ("limits", "memory") => Quantity::from_bytes(allocatable.memory_bytes),
        ("limits", "ephemeral-storage") => Quantity::from_bytes(allocatable.ephemeral_storage_bytes),
        ("requests", "cpu" | "memory" | "ephemeral-storage") => Quantity::ZERO,
        ("limits" | "requests", other) if other.starts_with("hugepages-") => Quantity::ZERO,
        _ => return Err(unsupported()),
    };
    // A request that is not there follows the limit, as the API server would have filled it in.
    let amount = stated.map(Quantity::of).or_else(|| (list == "requests").then(|| qos::limit(container, resource))?);
    let amount = amount.unwrap_or(default);
    let divisor = selector.divisor.as_ref().map(Quantity::of).filter(|divisor| !divisor.is_zero());
    let divisor = divisor.unwrap_or_else(|| Quantity::from_value(1));
    let units = match resource {
        "cpu" => divide(amount.milli_value(), divisor.milli_value()),
        _ => divide(amount.value(), divisor.value()),
    };
    Ok(units.to_string())
}

fn divide(amount: i64, divisor: i64) -> i64 {
    let divisor = divisor.max(1);
    amount / divisor + i64::from(amount % divisor > 0)
}
