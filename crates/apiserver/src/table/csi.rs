//! Columns of what tells of storage drivers.

use api::k8s_openapi::api::storage::v1::{CSIDriver, CSINode, VolumeAttachment};

use super::apps::integer;
use super::{AGE, Column, Columns, NAME, Row, age, column, descriptions, name, typed};

const UNSET: &str = "<unset>";

const fn flag(name: &'static str, description: &'static str) -> Column {
    Column { kind: "boolean", ..column(name, description) }
}

pub(super) static CSI_NODE: Columns = Columns {
    definitions: &[NAME, integer("Drivers", "Drivers indicates the number of CSI drivers registered on the node"), AGE],
    row: |object, now| {
        let drivers = typed::<CSINode>(object).spec.drivers.len();
        Row::from(vec![name(object), drivers.into(), age(object, now)])
    },
};

pub(super) static CSI_DRIVER: Columns = Columns {
    definitions: &[
        NAME,
        flag("AttachRequired", descriptions::CSIDRIVER_SPEC_ATTACH_REQUIRED),
        flag("PodInfoOnMount", descriptions::CSIDRIVER_SPEC_POD_INFO_ON_MOUNT),
        flag("StorageCapacity", descriptions::CSIDRIVER_SPEC_STORAGE_CAPACITY),
        column("TokenRequests", descriptions::CSIDRIVER_SPEC_TOKEN_REQUESTS),
        flag("RequiresRepublish", descriptions::CSIDRIVER_SPEC_REQUIRES_REPUBLISH),
        column("Modes", descriptions::CSIDRIVER_SPEC_VOLUME_LIFECYCLE_MODES),
        AGE,
    ],
    row: |object, now| {
        let spec = typed::<CSIDriver>(object).spec.clone();
        let tokens = spec.token_requests.unwrap_or_default();
        let tokens: Vec<&str> = tokens.iter().map(|request| request.audience.as_str()).collect();
        let tokens = if tokens.is_empty() { UNSET.to_owned() } else { tokens.join(",") };
        Row::from(vec![
            name(object),
            spec.attach_required.unwrap_or(true).into(),
            spec.pod_info_on_mount.unwrap_or(false).into(),
            spec.storage_capacity.unwrap_or(false).into(),
            tokens.into(),
            spec.requires_republish.unwrap_or(false).into(),
            spec.volume_lifecycle_modes.unwrap_or_default().join(",").into(),
            age(object, now),
        ])
    },
};

pub(super) static VOLUME_ATTACHMENT: Columns = Columns {
    definitions: &[
        NAME,
        Column { format: "name", ..column("Attacher", descriptions::VOLUME_ATTACHMENT_SPEC_ATTACHER) },
        column("PV", descriptions::VOLUME_ATTACHMENT_SOURCE_PERSISTENT_VOLUME_NAME),
        column("Node", descriptions::VOLUME_ATTACHMENT_SPEC_NODE_NAME),
        flag("Attached", descriptions::VOLUME_ATTACHMENT_STATUS_ATTACHED),
        AGE,
    ],
    row: |object, now| {
        let attachment = typed::<VolumeAttachment>(object);
        let spec = attachment.spec.clone();
        let attached = attachment.status.as_ref().is_some_and(|status| status.attached);
        Row::from(vec![
            name(object),
            spec.attacher.into(),
            spec.source.persistent_volume_name.unwrap_or_default().into(),
            spec.node_name.into(),
            attached.into(),
            age(object, now),
        ])
    },
};
