//! Columns of what says how many there shall be.

use api::k8s_openapi::api::autoscaling::v1::Scale;

use super::apps::integer;
use super::{AGE, Columns, NAME, Row, age, name, typed};

pub(super) static SCALE: Columns = Columns {
    definitions: &[
        NAME,
        integer("Desired", "replicas is the desired number of instances for the scaled object."),
        integer("Available", "replicas is the actual number of observed instances of the scaled object."),
        AGE,
    ],
    row: |object, now| {
        let scale = typed::<Scale>(object);
        let desired = scale.spec.as_ref().and_then(|spec| spec.replicas).unwrap_or(0);
        let current = scale.status.as_ref().map_or(0, |status| status.replicas);
        Row::from(vec![name(object), desired.into(), current.into(), age(object, now)])
    },
};
