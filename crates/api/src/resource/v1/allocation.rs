//! What a claim has got, and who uses it.

use k8s_openapi::api::resource::v1::{
    AllocatedDeviceStatus, AllocationResult, DeviceRequest, DeviceRequestAllocationResult, NetworkDeviceData,
    ResourceClaim, ResourceClaimConsumerReference, ResourceClaimStatus,
};

use super::configuration::{Origin, validate_configuration, validate_raw};
use super::device::validate_binding_conditions;
use super::lists::{validate_list, validate_set};
use super::names::{validate_driver, validate_label, validate_pool};
use super::requests::{MAX_CONFIGURATIONS, validate_reference, validate_references};
use crate::core::v1::pod::validate_node_selector;
use crate::field::{ErrorList, Json, Path, forbidden, invalid, not_supported, required, too_long, too_many};
use crate::meta::{IMMUTABLE, validate_conditions};
use crate::net::validate_interface_address;
use crate::omit_empty::omit_empty;

const STATUS: Path<'static> = Path::new("status");
const MAX_CONSUMERS: usize = 256;
const MAX_RESULTS: usize = 32;
const MAX_CONDITIONS: usize = 8;
const MAX_DATA: usize = 10 * 1024;
const MAX_INTERFACE_NAME: usize = 256;
const MAX_HARDWARE_ADDRESS: usize = 128;
const MAX_ADDRESSES: usize = 16;
const SOURCES: &[&str] = &["FromClaim", "FromClass"];

pub(super) fn default_status(status: &mut ResourceClaimStatus) {
    omit_empty!(status => devices, reserved_for);
}

pub(super) fn validate_status(claim: &ResourceClaim, old: &ResourceClaim, errors: &mut ErrorList) {
    let (nothing, nothing_before) = (ResourceClaimStatus::default(), ResourceClaimStatus::default());
    let (status, before) = (claim.status.as_ref().unwrap_or(&nothing), old.status.as_ref().unwrap_or(&nothing_before));
    let consumers = status.reserved_for.as_deref().unwrap_or_default();
    let path = STATUS.child("reservedFor");
    validate_set(consumers, MAX_CONSUMERS, |consumer| consumer.uid.clone(), &path, errors, validate_consumer);
    let allocated: Vec<String> = results(status.allocation.as_ref()).iter().map(result_id).collect();
    let devices = status.devices.as_deref().unwrap_or_default();
    validate_set(devices, usize::MAX, device_id, &STATUS.child("devices"), errors, |device, path, errors| {
        validate_device(device, &allocated, path, errors);
    });
    if !consumers.is_empty() {
        let known = before.reserved_for.as_deref().unwrap_or_default();
        let more = consumers.iter().any(|consumer| !known.contains(consumer));
        if status.allocation.is_none() {
            errors.push(forbidden(&path, "may not be specified when `allocated` is not set"));
        } else if claim.metadata.deletion_timestamp.is_some() && more {
            let message = "new entries may not be added while `deallocationRequested` or `deletionTimestamp` are set";
            errors.push(forbidden(&path, message));
        }
    }
    let path = STATUS.child("allocation");
    match (&before.allocation, &status.allocation) {
        (Some(old), Some(new)) if old != new => errors.push(invalid(&path, Json(new), IMMUTABLE)),
        (None, Some(new)) => {
            let devices = claim.spec.devices.as_ref();
            let requests = devices.and_then(|devices| devices.requests.as_deref()).unwrap_or_default();
            validate_allocation(new, requests, &path, errors);
        }
        _ => {}
    }
}

fn results(allocation: Option<&AllocationResult>) -> &[DeviceRequestAllocationResult] {
    let devices = allocation.and_then(|allocation| allocation.devices.as_ref());
    devices.and_then(|devices| devices.results.as_deref()).unwrap_or_default()
}

fn id(driver: &str, pool: &str, device: &str, share: Option<&String>) -> String {
    let share = share.map(|share| format!("/{share}")).unwrap_or_default();
    format!("{driver}/{pool}/{device}{share}")
}

fn result_id(result: &DeviceRequestAllocationResult) -> String {
    id(&result.driver, &result.pool, &result.device, result.share_id.as_ref())
}

fn device_id(device: &AllocatedDeviceStatus) -> String {
    id(&device.driver, &device.pool, &device.device, device.share_id.as_ref())
}

fn validate_consumer(consumer: &ResourceClaimConsumerReference, path: &Path<'_>, errors: &mut ErrorList) {
    for (field, value) in [("resource", &consumer.resource), ("name", &consumer.name), ("uid", &consumer.uid)] {
        if value.is_empty() {
            errors.push(required(&path.child(field), ""));
        }
    }
}

fn validate_allocation(
    allocation: &AllocationResult,
    requests: &[DeviceRequest],
    path: &Path<'_>,
    errors: &mut ErrorList,
) {
    let devices_path = path.child("devices");
    validate_list(
        results(Some(allocation)),
        MAX_RESULTS,
        &devices_path.child("results"),
        errors,
        |result, path, errors| {
            validate_reference(&result.request, requests, &path.child("request"), errors);
            validate_driver(&result.driver, &path.child("driver"), errors);
            validate_pool(&result.pool, &path.child("pool"), errors);
            validate_label(&result.device, &path.child("device"), errors);
            let conditions = (result.binding_conditions.as_deref(), result.binding_failure_conditions.as_deref());
            validate_binding_conditions(conditions.0, conditions.1, path, errors);
        },
    );
    let configurations = allocation.devices.as_ref().and_then(|devices| devices.config.as_deref());
    let (list, list_path) = (configurations.unwrap_or_default(), devices_path.child("config"));
    // Those of the class and those of the claim.
    validate_list(list, 2 * MAX_CONFIGURATIONS, &list_path, errors, |configuration, path, errors| {
        match configuration.source.as_str() {
            "" => errors.push(required(&path.child("source"), "")),
            source if !SOURCES.contains(&source) => {
                errors.push(not_supported(&path.child("source"), source, SOURCES));
            }
            _ => {}
        }
        validate_references(configuration.requests.as_deref(), requests, path, errors);
        validate_configuration(configuration.opaque.as_ref(), Origin::New, path, errors);
    });
    if let Some(selector) = &allocation.node_selector {
        validate_node_selector(selector, &path.child("nodeSelector"), errors);
    }
}

fn validate_device(device: &AllocatedDeviceStatus, allocated: &[String], path: &Path<'_>, errors: &mut ErrorList) {
    validate_driver(&device.driver, &path.child("driver"), errors);
    validate_pool(&device.pool, &path.child("pool"), errors);
    validate_label(&device.device, &path.child("device"), errors);
    let id = device_id(device);
    if !allocated.contains(&id) {
        errors.push(invalid(path, id, "must be an allocated device in the claim"));
    }
    let (conditions, conditions_path) = (device.conditions.as_deref().unwrap_or_default(), path.child("conditions"));
    if conditions.len() > MAX_CONDITIONS {
        errors.push(too_many(&conditions_path, conditions.len(), MAX_CONDITIONS));
    }
    errors.extend(validate_conditions(conditions, &conditions_path));
    if let Some(data) = &device.data {
        validate_raw(data, Origin::New, MAX_DATA, &path.child("data"), errors);
    }
    if let Some(data) = &device.network_data {
        validate_network_data(data, &path.child("networkData"), errors);
    }
}

fn validate_network_data(data: &NetworkDeviceData, path: &Path<'_>, errors: &mut ErrorList) {
    for (field, value, max) in [
        ("interfaceName", &data.interface_name, MAX_INTERFACE_NAME),
        ("hardwareAddress", &data.hardware_address, MAX_HARDWARE_ADDRESS),
    ] {
        if value.as_ref().is_some_and(|value| value.len() > max) {
            errors.push(too_long(&path.child(field), max));
        }
    }
    let (addresses, path) = (data.ips.as_deref().unwrap_or_default(), path.child("ips"));
    validate_set(addresses, MAX_ADDRESSES, String::clone, &path, errors, |address, path, errors| {
        errors.extend(validate_interface_address(address, path));
    });
}
