//! Columns of Events, the same for both groups that have them.

use api::Object;
use api::k8s_openapi::api::core::v1::{Event, EventSource, ObjectReference};
use api::k8s_openapi::api::events::v1::Event as EventsEvent;
use jiff::Timestamp;

use super::{Column, Columns, NAME, Row, age, column, descriptions, name, typed, wide};

const DEFINITIONS: &[Column] = &[
    column("Last Seen", descriptions::EVENT_LAST_TIMESTAMP),
    column("Type", descriptions::EVENT_TYPE),
    column("Reason", descriptions::EVENT_REASON),
    column("Object", descriptions::EVENT_INVOLVED_OBJECT),
    wide("Subobject", descriptions::OBJECT_REFERENCE_FIELD_PATH),
    wide("Source", descriptions::EVENT_SOURCE),
    column("Message", descriptions::EVENT_MESSAGE),
    wide("First Seen", descriptions::EVENT_FIRST_TIMESTAMP),
    wide("Count", descriptions::EVENT_COUNT),
    Column { priority: 1, ..NAME },
];

pub(super) static CORE: Columns = Columns {
    definitions: DEFINITIONS,
    row: |object, now| {
        let event = typed::<Event>(object);
        let series = event.series.as_ref();
        let facts = Facts {
            first: event.first_timestamp.as_ref().map(|time| time.0),
            last: event.last_timestamp.as_ref().map(|time| time.0),
            at: event.event_time.as_ref().map(|time| time.0),
            count: event.count,
            series: series.map(|series| (series.last_observed_time.as_ref().map(|time| time.0), series.count)),
            kind: event.type_.as_deref(),
            reason: event.reason.as_deref(),
            about: Some(&event.involved_object),
            source: event.source.as_ref(),
            controller: event.reporting_component.as_deref(),
            instance: event.reporting_instance.as_deref(),
            message: event.message.as_deref(),
        };
        facts.row(object, now)
    },
};

pub(super) static EVENTS: Columns = Columns {
    definitions: DEFINITIONS,
    row: |object, now| {
        let event = typed::<EventsEvent>(object);
        let series = event.series.as_ref();
        let facts = Facts {
            first: event.deprecated_first_timestamp.as_ref().map(|time| time.0),
            last: event.deprecated_last_timestamp.as_ref().map(|time| time.0),
            at: event.event_time.as_ref().map(|time| time.0),
            count: event.deprecated_count,
            series: series.map(|series| (Some(series.last_observed_time.0), Some(series.count))),
            kind: event.type_.as_deref(),
            reason: event.reason.as_deref(),
            about: event.regarding.as_ref(),
            source: event.deprecated_source.as_ref(),
            controller: event.reporting_controller.as_deref(),
            instance: event.reporting_instance.as_deref(),
            message: event.note.as_deref(),
        };
        facts.row(object, now)
    },
};

/// What both kinds of events say.
struct Facts<'a> {
    first: Option<Timestamp>,
    last: Option<Timestamp>,
    at: Option<Timestamp>,
    count: Option<i32>,
    series: Option<(Option<Timestamp>, Option<i32>)>,
    kind: Option<&'a str>,
    reason: Option<&'a str>,
    about: Option<&'a ObjectReference>,
    source: Option<&'a EventSource>,
    controller: Option<&'a str>,
    instance: Option<&'a str>,
    message: Option<&'a str>,
}

impl Facts<'_> {
    fn row(self, object: &dyn Object, now: Timestamp) -> Row {
        let first = self.first.or(self.at);
        let (last, count) = match self.series {
            Some((last, count)) => (last, count.unwrap_or_default()),
            None => (self.last.or(first), self.count.filter(|&count| count != 0).unwrap_or(1)),
        };
        Row::from(vec![
            age::since(last, now).into(),
            self.kind.unwrap_or_default().into(),
            self.reason.unwrap_or_default().into(),
            self.target().into(),
            self.about.and_then(|about| about.field_path.as_deref()).unwrap_or_default().into(),
            self.source().into(),
            self.message.unwrap_or_default().trim().into(),
            age::since(first, now).into(),
            count.into(),
            name(object),
        ])
    }

    /// What the event is about, such as `pod/web`.
    fn target(&self) -> String {
        let Some(about) = self.about else { return String::new() };
        let kind = about.kind.as_deref().unwrap_or_default().to_lowercase();
        match about.name.as_deref() {
            None | Some("") => kind,
            Some(name) => format!("{kind}/{name}"),
        }
    }

    /// Who reported it, such as `kubelet, node-1`.
    fn source(&self) -> String {
        let first =
            |a: Option<&str>, b: Option<&str>| a.filter(|text| !text.is_empty()).or(b).unwrap_or_default().to_owned();
        let component = first(self.source.and_then(|source| source.component.as_deref()), self.controller);
        let instance = first(self.source.and_then(|source| source.host.as_deref()), self.instance);
        if instance.is_empty() { component } else { format!("{component}, {instance}") }
    }
}
