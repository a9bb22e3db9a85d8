//! Events of `events.k8s.io`: the same objects as the core group's, under newer names and stricter rules.

use k8s_openapi::api::core::v1::{EventSource, ObjectReference};
use k8s_openapi::api::events::v1::Event;

use crate::core::v1::event::{Facts, omit_reference, omit_source};
use crate::field::{ErrorList, Path, invalid, required};
use crate::meta::{IMMUTABLE, Scope, is_zero_time, text, validate_meta, validate_meta_update};
use crate::names::subdomain_name;
use crate::object::Kind;
use crate::omit_empty::{self, omit_empty};

#[cfg(test)]
mod tests;

impl Kind for Event {
    fn set_defaults(&mut self) {
        omit_empty::metadata(&mut self.metadata);
        omit_reference(self.regarding.get_or_insert_with(ObjectReference::default));
        self.related.iter_mut().for_each(omit_reference);
        omit_empty!(self => action, deprecated_count, note, reason, reporting_controller, reporting_instance, type_);
        omit_source(self.deprecated_source.get_or_insert_with(EventSource::default));
    }

    fn validate(&self) -> ErrorList {
        let mut errors = facts(self).validate();
        errors.extend(validate_meta(&self.metadata, Scope::Namespaced, subdomain_name));
        errors.extend(validate_series(self));
        errors.extend(validate_deprecated(self));
        errors
    }

    fn validate_update(&self, old: &Self) -> ErrorList {
        let mut errors = facts(self).validate();
        errors.extend(validate_meta_update(&self.metadata, &old.metadata));
        if self.series != old.series {
            errors.extend(validate_series(self));
        }
        errors.extend(require_unchanged(self, old));
        errors
    }

    fn validate_status_update(&self, old: &Self) -> ErrorList {
        Kind::validate_update(self, old)
    }
}

fn facts(event: &Event) -> Facts<'_> {
    let object_namespace = event.regarding.as_ref().map_or("", |object| text(&object.namespace));
    Facts {
        namespace: text(&event.metadata.namespace),
        object_namespace,
        has_event_time: event.event_time.is_some(),
        reporting_controller: text(&event.reporting_controller),
        reporting_controller_field: "reportingController",
        reporting_instance: text(&event.reporting_instance),
        action: text(&event.action),
        reason: text(&event.reason),
        message: text(&event.note),
    }
}

fn validate_series(event: &Event) -> ErrorList {
    let mut errors = ErrorList::new();
    let Some(series) = &event.series else { return errors };
    let path = Path::new("series");
    if series.count < 2 {
        errors.push(invalid(&path.child("count"), "", "should be at least 2"));
    }
    if is_zero_time(series.last_observed_time.0) {
        errors.push(required(&path.child("lastObservedTime"), ""));
    }
    errors
}

/// The fields that only older reporters fill.
fn validate_deprecated(event: &Event) -> ErrorList {
    let mut errors = ErrorList::new();
    if event.event_time.is_none() {
        errors.push(required(&Path::new("eventTime"), ""));
    }
    let kind = text(&event.type_);
    if !matches!(kind, "Normal" | "Warning") {
        errors.push(invalid(&Path::new("type"), "", format!("has invalid value: {kind}")));
    }
    let source = event.deprecated_source.as_ref();
    let set = [
        ("firstTimestamp", event.deprecated_first_timestamp.is_some()),
        ("lastTimestamp", event.deprecated_last_timestamp.is_some()),
        ("count", event.deprecated_count.unwrap_or(0) != 0),
        ("source", source.is_some_and(|source| !text(&source.component).is_empty() || !text(&source.host).is_empty())),
    ];
    for (field, _) in set.into_iter().filter(|(_, set)| *set) {
        errors.push(invalid(&Path::new(field), "", "needs to be unset"));
    }
    errors
}

/// Only the series of an Event may change.
fn require_unchanged(new: &Event, old: &Event) -> ErrorList {
    let mut errors = ErrorList::new();
    let mut same = |field, unchanged: bool, value: serde_json::Value| {
        if !unchanged {
            errors.push(invalid(&Path::new(field), value, IMMUTABLE));
        }
    };
    macro_rules! same {
        ($($field:literal: $member:ident),+ $(,)?) => {
            $(same($field, new.$member == old.$member, serde_json::json!(new.$member));)+
        };
    }
    same!("involvedObject": regarding, "reason": reason, "message": note, "source": deprecated_source,
        "firstTimestamp": deprecated_first_timestamp, "lastTimestamp": deprecated_last_timestamp,
        "count": deprecated_count, "reason": reason, "type": type_, "eventTime": event_time, "action": action,
        "related": related, "reportingController": reporting_controller, "reportingInstance": reporting_instance);
    errors
}
