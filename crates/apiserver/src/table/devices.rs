//! Columns of devices and their claims.

use api::k8s_openapi::api::resource::v1::{ResourceClaim, ResourceSlice};

use super::{AGE, Columns, NAME, Row, age, column, descriptions, name, typed};

const UNSET: &str = "<unset>";

pub(super) static NAME_AND_AGE: Columns =
    Columns { definitions: &[NAME, AGE], row: |object, now| Row::from(vec![name(object), age(object, now)]) };

pub(super) static RESOURCE_CLAIM: Columns = Columns {
    definitions: &[NAME, column("State", "A summary of the current state (allocated, pending, reserved, etc.)."), AGE],
    row: |object, now| {
        let claim = typed::<ResourceClaim>(object);
        let status = claim.status.clone().unwrap_or_default();
        let deleted = claim.metadata.deletion_timestamp.is_some();
        let reserved = status.reserved_for.is_some_and(|list| !list.is_empty());
        let states = [
            ("deleted", deleted),
            ("pending", status.allocation.is_none() && !deleted),
            ("allocated", status.allocation.is_some()),
            ("reserved", status.allocation.is_some() && reserved),
        ];
        let states: Vec<&str> = states.into_iter().filter(|(_, is)| *is).map(|(state, _)| state).collect();
        Row::from(vec![name(object), states.join(",").into(), age(object, now)])
    },
};

pub(super) static RESOURCE_SLICE: Columns = Columns {
    definitions: &[
        NAME,
        column("Node", descriptions::RESOURCE_SLICE_SPEC_NODE_NAME),
        column("Driver", descriptions::RESOURCE_SLICE_SPEC_DRIVER),
        column("Pool", descriptions::RESOURCE_POOL_NAME),
        AGE,
    ],
    row: |object, now| {
        let spec = typed::<ResourceSlice>(object).spec.clone();
        let node = spec.node_name.unwrap_or_else(|| UNSET.to_owned());
        Row::from(vec![name(object), node.into(), spec.driver.into(), spec.pool.name.into(), age(object, now)])
    },
};
