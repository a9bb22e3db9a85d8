//! Events of the core group.

use k8s_openapi::api::core::v1::{Event, EventSource, ObjectReference};

use crate::field::{ErrorList, Path, extend_invalid, invalid, required};
use crate::meta::{Scope, text, validate_plain_meta};
use crate::names::{dns1123_subdomain, path_segment_name, qualified_name};
use crate::object::Kind;
use crate::omit_empty::{self, omit_empty};

#[cfg(test)]
mod tests;

/// The longest name of a reporting instance, action and reason.
const MAX_NAME_BYTES: usize = 128;
/// The longest message of an Event with an event time.
const MAX_MESSAGE_BYTES: usize = 1024;

impl Kind for Event {
    fn set_defaults(&mut self) {
        omit_empty::metadata(&mut self.metadata);
        omit_reference(&mut self.involved_object);
        self.related.iter_mut().for_each(omit_reference);
        omit_empty!(self => action, count, message, reason, type_);
        omit_source(self.source.get_or_insert_with(EventSource::default));
        self.reporting_component.get_or_insert_with(String::new);
        self.reporting_instance.get_or_insert_with(String::new);
    }

    fn validate(&self) -> ErrorList {
        let facts = Facts {
            namespace: text(&self.metadata.namespace),
            object_namespace: text(&self.involved_object.namespace),
            has_event_time: self.event_time.is_some(),
            reporting_controller: text(&self.reporting_component),
            reporting_controller_field: "reportingComponent",
            reporting_instance: text(&self.reporting_instance),
            action: text(&self.action),
            reason: text(&self.reason),
            message: text(&self.message),
        };
        let errors = facts.validate();
        // Names of Events are as free as those of any object can be.
        if errors.is_empty() {
            validate_plain_meta(&self.metadata, Scope::Namespaced, path_segment_name)
        } else {
            errors
        }
    }

    fn validate_update(&self, _old: &Self) -> ErrorList {
        Kind::validate(self)
    }

    fn validate_status_update(&self, old: &Self) -> ErrorList {
        Kind::validate_update(self, old)
    }
}

pub(crate) fn omit_reference(reference: &mut ObjectReference) {
    omit_empty!(reference => api_version, field_path, kind, name, namespace, resource_version, uid);
}

pub(crate) fn omit_source(source: &mut EventSource) {
    omit_empty!(source => component, host);
}

/// What the rules that hold for Events of both groups look at.
pub(crate) struct Facts<'a> {
    pub namespace: &'a str,
    pub object_namespace: &'a str,
    pub has_event_time: bool,
    pub reporting_controller: &'a str,
    pub reporting_controller_field: &'a str,
    pub reporting_instance: &'a str,
    pub action: &'a str,
    pub reason: &'a str,
    pub message: &'a str,
}

impl Facts<'_> {
    /// Events must stand in the namespace of what they are about; those of clusters stand in a system one.
    pub(crate) fn validate(&self) -> ErrorList {
        let mut errors = ErrorList::new();
        if !self.namespaces_agree() {
            let path = Path::new("involvedObject");
            let message = "does not match event.namespace";
            errors.push(invalid(&path.child("namespace"), self.object_namespace, message));
        }
        if self.has_event_time {
            self.validate_new_fields(&mut errors);
        }
        extend_invalid(&mut errors, &Path::new("namespace"), self.namespace, dns1123_subdomain(self.namespace));
        errors
    }

    fn namespaces_agree(&self) -> bool {
        match (self.has_event_time, self.object_namespace) {
            (false, "") => matches!(self.namespace, "" | "default"),
            (false, object_namespace) => self.namespace == object_namespace,
            (true, "") => matches!(self.namespace, "default" | "kube-system"),
            (true, _) => true,
        }
    }

    fn validate_new_fields(&self, errors: &mut ErrorList) {
        let path = Path::new(self.reporting_controller_field);
        if self.reporting_controller.is_empty() {
            errors.push(required(&path, ""));
        }
        extend_invalid(errors, &path, self.reporting_controller, qualified_name(self.reporting_controller));
        let names = [("reportingInstance", self.reporting_instance), ("action", self.action), ("reason", self.reason)];
        for (field, value) in names {
            let path = Path::new(field);
            if value.is_empty() {
                errors.push(required(&path, ""));
            }
            limit(&path, value, MAX_NAME_BYTES, errors);
        }
        limit(&Path::new("message"), self.message, MAX_MESSAGE_BYTES, errors);
    }
}

fn limit(path: &Path<'_>, value: &str, max_bytes: usize, errors: &mut ErrorList) {
    if value.len() > max_bytes {
        errors.push(invalid(path, "", format!("can have at most {max_bytes} characters")));
    }
}
