//! Columns of other servers.

use api::k8s_openapi::kube_aggregator::pkg::apis::apiregistration::v1::APIService;

use super::{AGE, Columns, NAME, Row, age, column, name, typed};

pub(super) static API_SERVICE: Columns = Columns {
    definitions: &[
        NAME,
        column("Service", "The reference to the service that hosts this API endpoint."),
        column("Available", "Whether this service is available."),
        AGE,
    ],
    row: |object, now| {
        let service = typed::<APIService>(object);
        let behind = service.spec.as_ref().and_then(|spec| spec.service.as_ref());
        let behind = behind.map_or_else(
            || "Local".to_owned(),
            |it| format!("{}/{}", it.namespace.clone().unwrap_or_default(), it.name.clone().unwrap_or_default()),
        );
        let conditions = service.status.iter().filter_map(|status| status.conditions.as_ref()).flatten();
        let available = conditions.into_iter().find(|condition| condition.type_ == "Available");
        let available = available.map_or_else(
            || "Unknown".to_owned(),
            |it| match it.status.as_str() {
                "True" => it.status.clone(),
                status => format!("{status} ({})", it.reason.clone().unwrap_or_default()),
            },
        );
        Row::from(vec![name(object), behind.into(), available.into(), age(object, now)])
    },
};
