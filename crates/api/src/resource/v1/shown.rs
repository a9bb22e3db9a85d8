//! Claims as upstream's messages show them.

use k8s_openapi::api::resource::v1::{
    CapacityRequirements, DeviceAttribute, DeviceClaimConfiguration, DeviceConstraint, DeviceRequest, DeviceSelector,
    DeviceSubRequest, DeviceToleration, ExactDeviceRequest, OpaqueDeviceConfiguration, ResourceClaimSpec,
    ResourceClaimTemplateSpec,
};

use crate::internal::{Shown, fields, list, optional, plain, text};

/// The spec of a claim.
pub(super) fn claim_spec(spec: &ResourceClaimSpec) -> Shown {
    let devices = spec.devices.as_ref();
    fields! {
        "Devices": fields! {
            "Requests": list(devices.and_then(|devices| devices.requests.as_ref()), request),
            "Constraints": list(devices.and_then(|devices| devices.constraints.as_ref()), constraint),
            "Config": list(devices.and_then(|devices| devices.config.as_ref()), configuration),
        },
    }
}

/// The spec of a template: the metadata's fields stand where the structure embeds it.
pub(super) fn template_spec(spec: &ResourceClaimTemplateSpec) -> Shown {
    let meta = spec.metadata.as_ref();
    let mut shown = Vec::new();
    if let Some(labels) = meta.and_then(|meta| meta.labels.as_ref()) {
        shown.push(("labels", plain(labels)));
    }
    if let Some(annotations) = meta.and_then(|meta| meta.annotations.as_ref()) {
        shown.push(("annotations", plain(annotations)));
    }
    shown.push(("Spec", claim_spec(&spec.spec)));
    Shown::Fields(crate::internal::Fields(shown))
}

/// What is said of a device.
pub(super) fn attribute(attribute: &DeviceAttribute) -> Shown {
    fields! {
        "IntValue": plain(&attribute.int),
        "BoolValue": plain(&attribute.bool),
        "StringValue": plain(&attribute.string),
        "VersionValue": plain(&attribute.version),
    }
}

fn request(request: &DeviceRequest) -> Shown {
    fields! {
        "Name": plain(&request.name),
        "Exactly": optional(request.exactly.as_ref(), exactly),
        "FirstAvailable": list(request.first_available.as_ref(), alternative),
    }
}

fn exactly(request: &ExactDeviceRequest) -> Shown {
    fields! {
        "DeviceClassName": plain(&request.device_class_name),
        "Selectors": list(request.selectors.as_ref(), selector),
        "AllocationMode": text(&request.allocation_mode),
        "Count": plain(&request.count.unwrap_or_default()),
        "AdminAccess": plain(&request.admin_access),
        "Tolerations": list(request.tolerations.as_ref(), toleration),
        "Capacity": optional(request.capacity.as_ref(), capacity),
    }
}

fn alternative(request: &DeviceSubRequest) -> Shown {
    fields! {
        "Name": plain(&request.name),
        "DeviceClassName": plain(&request.device_class_name),
        "Selectors": list(request.selectors.as_ref(), selector),
        "AllocationMode": text(&request.allocation_mode),
        "Count": plain(&request.count.unwrap_or_default()),
        "Tolerations": list(request.tolerations.as_ref(), toleration),
        "Capacity": optional(request.capacity.as_ref(), capacity),
    }
}

fn selector(selector: &DeviceSelector) -> Shown {
    fields! { "CEL": optional(selector.cel.as_ref(), |cel| fields! { "Expression": plain(&cel.expression) }) }
}

fn toleration(toleration: &DeviceToleration) -> Shown {
    fields! {
        "Key": text(&toleration.key),
        "Operator": text(&toleration.operator),
        "Value": text(&toleration.value),
        "Effect": text(&toleration.effect),
        "TolerationSeconds": plain(&toleration.toleration_seconds),
    }
}

fn capacity(capacity: &CapacityRequirements) -> Shown {
    fields! { "Requests": plain(&capacity.requests) }
}

fn constraint(constraint: &DeviceConstraint) -> Shown {
    fields! {
        "Requests": plain(&constraint.requests),
        "MatchAttribute": plain(&constraint.match_attribute),
        "DistinctAttribute": plain(&constraint.distinct_attribute),
    }
}

fn configuration(configuration: &DeviceClaimConfiguration) -> Shown {
    let opaque = |opaque: &OpaqueDeviceConfiguration| {
        fields! { "Driver": plain(&opaque.driver), "Parameters": plain(&opaque.parameters) }
    };
    fields! {
        "Requests": plain(&configuration.requests),
        "Opaque": optional(configuration.opaque.as_ref(), opaque),
    }
}
