//! Events of `events.k8s.io`: the same objects as those of the core group, with newer field names.

use api::k8s_openapi::api::core::v1::{self as core};
use api::k8s_openapi::api::events::v1 as events;
use api::{Gvk, Object};
use store::Tier;

use crate::registry::core::event::TIME_TO_LIVE;
use crate::registry::strategy::Strategy;
use crate::registry::{ALL_VERBS, Backing, Resource, ResourceInfo};

/// The row.
pub static EVENTS: Resource = Resource {
    info: ResourceInfo {
        gvk: Gvk { group: "events.k8s.io", version: "v1", kind: "Event" },
        plural: "events",
        singular: "event",
        short_names: &["ev"],
        categories: &[],
        namespaced: true,
        verbs: ALL_VERBS,
        subresources: &[],
    },
    backing: Backing::View {
        of: "events",
        strategy: &Rules,
        from_stored,
        to_stored,
        field_names: &[
            ("regarding.kind", "involvedObject.kind"),
            ("regarding.namespace", "involvedObject.namespace"),
            ("regarding.name", "involvedObject.name"),
            ("regarding.uid", "involvedObject.uid"),
            ("regarding.apiVersion", "involvedObject.apiVersion"),
            ("regarding.resourceVersion", "involvedObject.resourceVersion"),
            ("regarding.fieldPath", "involvedObject.fieldPath"),
            ("reason", "reason"),
            ("reportingController", "reportingComponent"),
            ("type", "type"),
        ],
    },
    actions: &[],
};

/// The rules of Events.
#[derive(Debug)]
pub struct Rules;

impl Strategy for Rules {
    type Kind = events::Event;

    fn creates_on_update(&self) -> bool {
        true
    }

    fn collects_dependents(&self) -> bool {
        false
    }

    fn tier(&self, _event: &events::Event) -> Tier {
        Tier::Volatile
    }

    fn time_to_live(&self) -> Option<std::time::Duration> {
        Some(TIME_TO_LIVE)
    }
}

const OWN_KIND: &str = "the cache of events holds events";

fn from_stored(object: Box<dyn Object>) -> Box<dyn Object> {
    let event = *object.into_any().downcast::<core::Event>().expect(OWN_KIND);
    Box::new(events::Event {
        action: event.action,
        deprecated_count: event.count,
        deprecated_first_timestamp: event.first_timestamp,
        deprecated_last_timestamp: event.last_timestamp,
        deprecated_source: event.source,
        event_time: event.event_time,
        metadata: event.metadata,
        note: event.message,
        reason: event.reason,
        regarding: Some(event.involved_object),
        related: event.related,
        reporting_controller: event.reporting_component.filter(|text| !text.is_empty()),
        reporting_instance: event.reporting_instance.filter(|text| !text.is_empty()),
        series: event.series.and_then(|series| {
            Some(events::EventSeries { count: series.count?, last_observed_time: series.last_observed_time? })
        }),
        type_: event.type_,
    })
}

fn to_stored(object: &dyn Object) -> Box<dyn Object> {
    let event = object.as_any().downcast_ref::<events::Event>().expect(OWN_KIND).clone();
    Box::new(core::Event {
        action: event.action,
        count: event.deprecated_count,
        event_time: event.event_time,
        first_timestamp: event.deprecated_first_timestamp,
        involved_object: event.regarding.unwrap_or_default(),
        last_timestamp: event.deprecated_last_timestamp,
        message: event.note,
        metadata: event.metadata,
        reason: event.reason,
        related: event.related,
        // The older kind writes these even when they are empty.
        reporting_component: Some(event.reporting_controller.unwrap_or_default()),
        reporting_instance: Some(event.reporting_instance.unwrap_or_default()),
        series: event.series.map(|series| core::EventSeries {
            count: Some(series.count),
            last_observed_time: Some(series.last_observed_time),
        }),
        source: event.deprecated_source,
        type_: event.type_,
    })
}
