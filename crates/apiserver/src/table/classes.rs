//! Columns of the classes that Pods name.

use api::k8s_openapi::api::node::v1::RuntimeClass;
use api::k8s_openapi::api::scheduling::v1::PriorityClass;

use super::{AGE, Column, Columns, NAME, Row, age, column, descriptions, name, typed};

pub(super) static PRIORITY_CLASS: Columns = Columns {
    definitions: &[
        NAME,
        Column { kind: "integer", ..column("Value", descriptions::PRIORITY_CLASS_VALUE) },
        Column { kind: "boolean", ..column("Global-Default", descriptions::PRIORITY_CLASS_GLOBAL_DEFAULT) },
        AGE,
        column("PreemptionPolicy", descriptions::PRIORITY_CLASS_PREEMPTION_POLICY),
    ],
    row: |object, now| {
        let class = typed::<PriorityClass>(object);
        let policy = class.preemption_policy.as_deref().unwrap_or_default();
        let (value, default) = (class.value.unwrap_or_default(), class.global_default.unwrap_or_default());
        Row::from(vec![name(object), value.into(), default.into(), age(object, now), policy.into()])
    },
};

pub(super) static RUNTIME_CLASS: Columns = Columns {
    definitions: &[NAME, column("Handler", descriptions::RUNTIME_CLASS_HANDLER), AGE],
    row: |object, now| {
        let handler = typed::<RuntimeClass>(object).handler.as_str();
        Row::from(vec![name(object), handler.into(), age(object, now)])
    },
};
