//! Columns of the `networking.k8s.io` group.

use api::k8s_openapi::api::networking::v1::{IPAddress, ServiceCIDR};

use super::{AGE, Columns, NAME, Row, age, column, descriptions, name, typed};

pub(super) static IP_ADDRESS: Columns = Columns {
    definitions: &[NAME, column("ParentRef", descriptions::IPADDRESS_SPEC_PARENT_REF), AGE],
    row: |object, now| {
        let parent = &typed::<IPAddress>(object).spec.parent_ref;
        let mut shown = parent.resource.clone();
        if let Some(group) = &parent.group {
            shown = format!("{shown}.{group}");
        }
        shown = shown.to_lowercase();
        if let Some(namespace) = &parent.namespace {
            shown = format!("{shown}/{namespace}");
        }
        Row::from(vec![name(object), format!("{shown}/{}", parent.name).into(), age(object, now)])
    },
};

pub(super) static SERVICE_CIDR: Columns = Columns {
    definitions: &[NAME, column("CIDRs", descriptions::SERVICE_CIDRSPEC_CIDRS), AGE],
    row: |object, now| {
        let spec = typed::<ServiceCIDR>(object).spec.as_ref();
        let ranges = spec.and_then(|spec| spec.cidrs.as_ref()).map(|ranges| ranges.join(","));
        Row::from(vec![name(object), ranges.unwrap_or_default().into(), age(object, now)])
    },
};
