//! Columns of the plain kinds of the core group.

use api::k8s_openapi::api::core::v1::{ComponentStatus, ConfigMap, Namespace, Secret};

use super::{AGE, Columns, NAME, Row, age, column, descriptions, name, typed};

pub(super) static CONFIG_MAP: Columns = Columns {
    definitions: &[NAME, column("Data", descriptions::CONFIG_MAP_DATA), AGE],
    row: |object, now| {
        let config_map = typed::<ConfigMap>(object);
        let texts = config_map.data.as_ref().map_or(0, |data| data.len());
        let binaries = config_map.binary_data.as_ref().map_or(0, |data| data.len());
        Row::from(vec![name(object), (texts + binaries).into(), age(object, now)])
    },
};

pub(super) static COMPONENT_STATUS: Columns = Columns {
    definitions: &[
        NAME,
        column("Status", "Status of the component conditions"),
        column("Message", "Message of the component conditions"),
        column("Error", "Error of the component conditions"),
    ],
    row: |object, _| {
        let conditions = typed::<ComponentStatus>(object).conditions.iter().flatten();
        let healthy = conditions.into_iter().find(|condition| condition.type_ == "Healthy").cloned();
        let condition = healthy.unwrap_or_default();
        let status = match condition.status.as_str() {
            "True" => "Healthy",
            "False" => "Unhealthy",
            _ => "Unknown",
        };
        let (message, error) = (condition.message.unwrap_or_default(), condition.error.unwrap_or_default());
        Row::from(vec![name(object), status.into(), message.into(), error.into()])
    },
};

pub(super) static NAMESPACE: Columns = Columns {
    definitions: &[NAME, column("Status", "The status of the namespace"), AGE],
    row: |object, now| {
        let status = typed::<Namespace>(object).status.as_ref();
        let phase = status.and_then(|status| status.phase.as_deref()).unwrap_or_default();
        Row::from(vec![name(object), phase.into(), age(object, now)])
    },
};

pub(super) static SECRET: Columns = Columns {
    definitions: &[NAME, column("Type", descriptions::SECRET_TYPE), column("Data", descriptions::SECRET_DATA), AGE],
    row: |object, now| {
        let secret = typed::<Secret>(object);
        let data = secret.data.as_ref().map_or(0, |data| data.len());
        let kind = secret.type_.as_deref().unwrap_or_default();
        Row::from(vec![name(object), kind.into(), data.into(), age(object, now)])
    },
};

pub(super) static SERVICE_ACCOUNT: Columns =
    Columns { definitions: &[NAME, AGE], row: |object, now| Row::from(vec![name(object), age(object, now)]) };
