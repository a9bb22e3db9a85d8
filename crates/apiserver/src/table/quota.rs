//! Columns of ResourceQuotas.

use api::k8s_openapi::api::core::v1::ResourceQuota;

use super::{AGE, Columns, NAME, Row, age, column, name, typed};

pub(super) static RESOURCE_QUOTA: Columns = Columns {
    definitions: &[
        NAME,
        column("Request", "Request represents a minimum amount of cpu/memory that a container may consume."),
        column(
            "Limit",
            "Limits control the maximum amount of cpu/memory that a container may use independent of contention on the \
             node.",
        ),
        AGE,
    ],
    row: |object, now| {
        let status = typed::<ResourceQuota>(object).status.clone().unwrap_or_default();
        let used = status.used.unwrap_or_default();
        let (mut requests, mut limits) = (Vec::new(), Vec::new());
        for (resource, hard) in status.hard.iter().flatten() {
            let used = used.get(resource).map_or("0", |amount| amount.0.as_str());
            let list = if resource.starts_with("limits.") { &mut limits } else { &mut requests };
            list.push(format!("{resource}: {used}/{}", hard.0));
        }
        Row::from(vec![name(object), requests.join(", ").into(), limits.join(", ").into(), age(object, now)])
    },
};
