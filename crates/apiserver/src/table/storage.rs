//! Columns of volumes, claims and their classes.

use api::core::v1::resource_list::ResourceList;
use api::core::v1::{persistent_volume, persistent_volume_claim};
use api::k8s_openapi::api::core::v1::{PersistentVolume, PersistentVolumeClaim};
use api::k8s_openapi::api::storage::v1::{StorageClass, VolumeAttributesClass};
use api::k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use api::storage::v1::storage_class;
use serde_json::Value;

use super::{AGE, Columns, NAME, Row, age, column, descriptions, name, typed, wide};

const UNSET: &str = "<unset>";

pub(super) static PERSISTENT_VOLUME: Columns = Columns {
    definitions: &[
        NAME,
        column("Capacity", descriptions::PERSISTENT_VOLUME_SPEC_CAPACITY),
        column("Access Modes", descriptions::PERSISTENT_VOLUME_SPEC_ACCESS_MODES),
        column("Reclaim Policy", descriptions::PERSISTENT_VOLUME_SPEC_PERSISTENT_VOLUME_RECLAIM_POLICY),
        column("Status", descriptions::PERSISTENT_VOLUME_STATUS_PHASE),
        column("Claim", descriptions::PERSISTENT_VOLUME_SPEC_CLAIM_REF),
        column("StorageClass", "StorageClass of the pv"),
        column("VolumeAttributesClass", "VolumeAttributesClass of the pv"),
        column("Reason", descriptions::PERSISTENT_VOLUME_STATUS_REASON),
        AGE,
        wide("VolumeMode", descriptions::PERSISTENT_VOLUME_SPEC_VOLUME_MODE),
    ],
    row: |object, now| {
        let volume = typed::<PersistentVolume>(object);
        let (spec, status) = (volume.spec.clone().unwrap_or_default(), volume.status.as_ref());
        let claim = spec.claim_ref.as_ref().map(|claim| {
            format!("{}/{}", claim.namespace.as_deref().unwrap_or_default(), claim.name.as_deref().unwrap_or_default())
        });
        Row::from(vec![
            name(object),
            storage(spec.capacity.as_ref()),
            modes(spec.access_modes.as_deref()),
            text(spec.persistent_volume_reclaim_policy.as_deref()),
            phase(&volume.metadata, status.and_then(|status| status.phase.as_deref())),
            text(claim.as_deref()),
            persistent_volume::class_of(volume).into(),
            spec.volume_attributes_class_name.as_deref().unwrap_or(UNSET).into(),
            text(status.and_then(|status| status.reason.as_deref())),
            age(object, now),
            spec.volume_mode.as_deref().unwrap_or(UNSET).into(),
        ])
    },
};

pub(super) static PERSISTENT_VOLUME_CLAIM: Columns = Columns {
    definitions: &[
        NAME,
        column("Status", descriptions::PERSISTENT_VOLUME_CLAIM_STATUS_PHASE),
        column("Volume", descriptions::PERSISTENT_VOLUME_CLAIM_SPEC_VOLUME_NAME),
        column("Capacity", descriptions::PERSISTENT_VOLUME_CLAIM_STATUS_CAPACITY),
        column("Access Modes", descriptions::PERSISTENT_VOLUME_CLAIM_STATUS_ACCESS_MODES),
        column("StorageClass", "StorageClass of the pvc"),
        column("VolumeAttributesClass", "VolumeAttributesClass of the pvc"),
        AGE,
        wide("VolumeMode", descriptions::PERSISTENT_VOLUME_CLAIM_SPEC_VOLUME_MODE),
    ],
    row: |object, now| {
        let claim = typed::<PersistentVolumeClaim>(object);
        let spec = claim.spec.clone().unwrap_or_default();
        let volume = spec.volume_name.as_deref().filter(|volume| !volume.is_empty());
        // What a volume would have is not shown before there is one.
        let status = claim.status.as_ref().filter(|_| volume.is_some());
        let class = spec.volume_attributes_class_name.as_deref();
        Row::from(vec![
            name(object),
            phase(&claim.metadata, claim.status.as_ref().and_then(|status| status.phase.as_deref())),
            text(volume),
            storage(status.and_then(|status| status.capacity.as_ref())),
            modes(status.and_then(|status| status.access_modes.as_deref())),
            text(persistent_volume_claim::class_of(claim)),
            class.unwrap_or(UNSET).into(),
            age(object, now),
            spec.volume_mode.as_deref().unwrap_or(UNSET).into(),
        ])
    },
};

pub(super) static STORAGE_CLASS: Columns = Columns {
    definitions: &[
        NAME,
        column("Provisioner", descriptions::STORAGE_CLASS_PROVISIONER),
        column("ReclaimPolicy", descriptions::STORAGE_CLASS_RECLAIM_POLICY),
        column("VolumeBindingMode", descriptions::STORAGE_CLASS_VOLUME_BINDING_MODE),
        column("AllowVolumeExpansion", descriptions::STORAGE_CLASS_ALLOW_VOLUME_EXPANSION),
        AGE,
    ],
    row: |object, now| {
        let class = typed::<StorageClass>(object);
        let own = class.metadata.name.as_deref().unwrap_or_default();
        let shown = if storage_class::is_default(class) { format!("{own} (default)") } else { own.to_owned() };
        Row::from(vec![
            shown.into(),
            class.provisioner.as_str().into(),
            class.reclaim_policy.as_deref().unwrap_or("Delete").into(),
            class.volume_binding_mode.as_deref().unwrap_or("Immediate").into(),
            class.allow_volume_expansion.unwrap_or_default().into(),
            age(object, now),
        ])
    },
};

pub(super) static VOLUME_ATTRIBUTES_CLASS: Columns = Columns {
    definitions: &[NAME, column("DriverName", descriptions::VOLUME_ATTRIBUTES_CLASS_DRIVER_NAME), AGE],
    row: |object, now| {
        let class = typed::<VolumeAttributesClass>(object);
        Row::from(vec![name(object), class.driver_name.as_str().into(), age(object, now)])
    },
};

fn text(text: Option<&str>) -> Value {
    text.unwrap_or_default().into()
}

fn phase(metadata: &ObjectMeta, phase: Option<&str>) -> Value {
    if metadata.deletion_timestamp.is_some() { "Terminating".into() } else { text(phase) }
}

fn storage(list: Option<&ResourceList>) -> Value {
    list.and_then(|list| list.get("storage")).map_or("", |quantity| quantity.0.as_str()).into()
}

/// The modes in their short forms and upstream's order.
fn modes(modes: Option<&[String]>) -> Value {
    const SHORT: [(&str, &str); 4] =
        [("ReadWriteOnce", "RWO"), ("ReadOnlyMany", "ROX"), ("ReadWriteMany", "RWX"), ("ReadWriteOncePod", "RWOP")];
    let has = |mode: &str| modes.is_some_and(|modes| modes.iter().any(|other| other == mode));
    let short: Vec<&str> = SHORT.iter().filter(|(mode, _)| has(mode)).map(|(_, short)| *short).collect();
    short.join(",").into()
}
