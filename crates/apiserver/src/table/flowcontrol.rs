//! Columns of priority levels and what belongs to them.

use api::k8s_openapi::api::flowcontrol::v1::{FlowSchema, PriorityLevelConfiguration};
use serde_json::Value;

use super::{AGE, Columns, NAME, Row, age, column, descriptions, name, or_none, typed};

pub(super) static FLOW_SCHEMA: Columns = Columns {
    definitions: &[
        NAME,
        column("PriorityLevel", descriptions::PRIORITY_LEVEL_CONFIGURATION_REFERENCE_NAME),
        column("MatchingPrecedence", descriptions::FLOW_SCHEMA_SPEC_MATCHING_PRECEDENCE),
        column("DistinguisherMethod", descriptions::FLOW_SCHEMA_SPEC_DISTINGUISHER_METHOD),
        AGE,
        column("MissingPL", "references a broken or non-existent PriorityLevelConfiguration"),
    ],
    row: |object, now| {
        let schema = typed::<FlowSchema>(object);
        let spec = schema.spec.clone().unwrap_or_default();
        let conditions = schema.status.iter().filter_map(|status| status.conditions.as_ref()).flatten();
        let dangling = conditions.into_iter().find(|condition| condition.type_.as_deref() == Some("Dangling"));
        let dangling = dangling.map_or("?", |condition| condition.status.as_deref().unwrap_or_default());
        let method = spec.distinguisher_method.as_ref().map(|method| method.type_.as_str());
        Row::from(vec![
            name(object),
            spec.priority_level_configuration.name.into(),
            spec.matching_precedence.unwrap_or(0).into(),
            or_none(method),
            age(object, now),
            dangling.into(),
        ])
    },
};

pub(super) static PRIORITY_LEVEL_CONFIGURATION: Columns = Columns {
    definitions: &[
        NAME,
        column("Type", descriptions::PRIORITY_LEVEL_CONFIGURATION_SPEC_TYPE),
        column(
            "NominalConcurrencyShares",
            descriptions::LIMITED_PRIORITY_LEVEL_CONFIGURATION_NOMINAL_CONCURRENCY_SHARES,
        ),
        column("Queues", descriptions::QUEUING_CONFIGURATION_QUEUES),
        column("HandSize", descriptions::QUEUING_CONFIGURATION_HAND_SIZE),
        column("QueueLengthLimit", descriptions::QUEUING_CONFIGURATION_QUEUE_LENGTH_LIMIT),
        AGE,
    ],
    row: |object, now| {
        let spec = typed::<PriorityLevelConfiguration>(object).spec.clone().unwrap_or_default();
        let limited = spec.limited.unwrap_or_default();
        let queuing = limited.limit_response.and_then(|response| response.queuing).unwrap_or_default();
        let number = |number: Option<i32>| number.map_or(Value::from("<none>"), Value::from);
        Row::from(vec![
            name(object),
            spec.type_.into(),
            number(limited.nominal_concurrency_shares),
            number(queuing.queues),
            number(queuing.hand_size),
            number(queuing.queue_length_limit),
            age(object, now),
        ])
    },
};
