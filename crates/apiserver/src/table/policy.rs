//! Columns of PodDisruptionBudgets.

use api::k8s_openapi::api::policy::v1::PodDisruptionBudget;
use api::k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use serde_json::Value;

use super::apps::integer;
use super::{AGE, Columns, NAME, Row, age, column, descriptions, name, typed};

pub(super) static POD_DISRUPTION_BUDGET: Columns = Columns {
    definitions: &[
        NAME,
        column("Min Available", descriptions::POD_DISRUPTION_BUDGET_SPEC_MIN_AVAILABLE),
        column("Max Unavailable", descriptions::POD_DISRUPTION_BUDGET_SPEC_MAX_UNAVAILABLE),
        integer("Allowed Disruptions", "Calculated number of pods that may be disrupted at this time."),
        AGE,
    ],
    row: |object, now| {
        let budget = typed::<PodDisruptionBudget>(object);
        let spec = budget.spec.clone().unwrap_or_default();
        let allowed = budget.status.as_ref().and_then(|status| status.disruptions_allowed).unwrap_or(0);
        let (min, max) = (amount(spec.min_available), amount(spec.max_unavailable));
        Row::from(vec![name(object), min, max, allowed.into(), age(object, now)])
    },
};

fn amount(amount: Option<IntOrString>) -> Value {
    match amount {
        None => "N/A".into(),
        Some(IntOrString::Int(number)) => number.to_string().into(),
        Some(IntOrString::String(text)) => text.into(),
    }
}
