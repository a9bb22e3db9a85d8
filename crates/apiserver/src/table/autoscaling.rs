//! Columns of what says how many there shall be.

use api::autoscaling::v1::horizontal_pod_autoscaler::to_v2;
use api::k8s_openapi::api::autoscaling::v1::{self, Scale};
use api::k8s_openapi::api::autoscaling::v2::{
    HorizontalPodAutoscaler, MetricSpec, MetricStatus, MetricTarget, MetricValueStatus,
};
use api::k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use jiff::Timestamp;

use super::apps::integer;
use super::{AGE, Column, Columns, NAME, Row, age, column, descriptions, name, typed};

const UNKNOWN: &str = "<unknown>";
/// So many metrics are told in one cell.
const MAX_METRICS: usize = 2;

pub(super) static SCALE: Columns = Columns {
    definitions: &[
        NAME,
        integer("Desired", descriptions::SCALE_SPEC_REPLICAS),
        integer("Available", descriptions::SCALE_STATUS_REPLICAS),
        AGE,
    ],
    row: |object, now| {
        let scale = typed::<Scale>(object);
        let desired = scale.spec.as_ref().and_then(|spec| spec.replicas).unwrap_or(0);
        let current = scale.status.as_ref().map_or(0, |status| status.replicas);
        Row::from(vec![name(object), desired.into(), current.into(), age(object, now)])
    },
};

const AUTOSCALER: &[Column] = &[
    NAME,
    column("Reference", descriptions::HORIZONTAL_POD_AUTOSCALER_SPEC_SCALE_TARGET_REF),
    column("Targets", descriptions::HORIZONTAL_POD_AUTOSCALER_SPEC_METRICS),
    column("MinPods", descriptions::HORIZONTAL_POD_AUTOSCALER_SPEC_MIN_REPLICAS),
    column("MaxPods", descriptions::HORIZONTAL_POD_AUTOSCALER_SPEC_MAX_REPLICAS),
    column("Replicas", descriptions::HORIZONTAL_POD_AUTOSCALER_STATUS_CURRENT_REPLICAS),
    AGE,
];

pub(super) static HORIZONTAL_POD_AUTOSCALER: Columns =
    Columns { definitions: AUTOSCALER, row: |object, now| autoscaler(typed::<HorizontalPodAutoscaler>(object), now) };

pub(super) static HORIZONTAL_POD_AUTOSCALER_V1: Columns = Columns {
    definitions: AUTOSCALER,
    row: |object, now| autoscaler(&to_v2(typed::<v1::HorizontalPodAutoscaler>(object)), now),
};

fn autoscaler(object: &HorizontalPodAutoscaler, now: Timestamp) -> Row {
    let (spec, status) = (&object.spec, object.status.clone().unwrap_or_default());
    let target = &spec.scale_target_ref;
    let metrics = spec.metrics.as_deref().unwrap_or_default();
    let min = spec.min_replicas.map_or_else(|| "<unset>".to_owned(), |min| min.to_string());
    Row::from(vec![
        name(object),
        format!("{}/{}", target.kind, target.name).into(),
        told(metrics, &status.current_metrics.unwrap_or_default()).into(),
        min.into(),
        spec.max_replicas.into(),
        status.current_replicas.unwrap_or(0).into(),
        age(object, now),
    ])
}

/// The metrics with what they are and what they should be.
fn told(metrics: &[MetricSpec], statuses: &[MetricStatus]) -> String {
    if metrics.is_empty() {
        return "<none>".to_owned();
    }
    let told = metrics.iter().enumerate().map(|(position, metric)| one(metric, statuses.get(position)));
    let text = told.take(MAX_METRICS).collect::<Vec<_>>().join(", ");
    match metrics.len().saturating_sub(MAX_METRICS) {
        0 => text,
        more => format!("{text} + {more} more..."),
    }
}

fn one(metric: &MetricSpec, status: Option<&MetricStatus>) -> String {
    match metric.type_.as_str() {
        "External" => {
            let current = status.and_then(|status| status.external.as_ref()).map(|source| &source.current);
            metric.external.as_ref().map(|source| value(&source.target, current))
        }
        "Object" => {
            let current = status.and_then(|status| status.object.as_ref()).map(|source| &source.current);
            metric.object.as_ref().map(|source| value(&source.target, current))
        }
        "Pods" => {
            let current = status.and_then(|status| status.pods.as_ref()).map(|source| &source.current);
            let current = current.and_then(|current| current.average_value.as_ref());
            metric
                .pods
                .as_ref()
                .map(|source| format!("{}/{}", amount(current), amount(source.target.average_value.as_ref())))
        }
        "Resource" => {
            let current = status.and_then(|status| status.resource.as_ref()).map(|source| &source.current);
            metric.resource.as_ref().map(|source| resource(&source.name, &source.target, current))
        }
        "ContainerResource" => {
            let current = status.and_then(|status| status.container_resource.as_ref()).map(|source| &source.current);
            metric.container_resource.as_ref().map(|source| resource(&source.name, &source.target, current))
        }
        _ => None,
    }
    .unwrap_or_else(|| "<unknown type>".to_owned())
}

fn amount(quantity: Option<&Quantity>) -> &str {
    quantity.map_or(UNKNOWN, |quantity| &quantity.0)
}

fn value(target: &MetricTarget, current: Option<&MetricValueStatus>) -> String {
    if let Some(average) = &target.average_value {
        let current = current.and_then(|current| current.average_value.as_ref());
        return format!("{}/{} (avg)", amount(current), average.0);
    }
    let current = current.and_then(|current| current.value.as_ref());
    format!("{}/{}", amount(current), amount(target.value.as_ref()))
}

fn resource(name: &str, target: &MetricTarget, current: Option<&MetricValueStatus>) -> String {
    if let Some(average) = &target.average_value {
        let current = current.and_then(|current| current.average_value.as_ref());
        return format!("{name}: {}/{}", amount(current), average.0);
    }
    let percent =
        |percent: Option<i32>, absent: &str| percent.map_or(absent.to_owned(), |percent| format!("{percent}%"));
    let current = percent(current.and_then(|current| current.average_utilization), UNKNOWN);
    format!("{name}: {current}/{}", percent(target.average_utilization, "<auto>"))
}
