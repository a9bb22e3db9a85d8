//! Events of the core group. They live for an hour and need not survive a crash.

use std::time::Duration;

use api::Gvk;
use api::k8s_openapi::api::core::v1::Event;
use store::Tier;

use crate::registry::strategy::Strategy;
use crate::registry::{ALL_VERBS, Backing, Resource, ResourceInfo, Stored};
use crate::watch_cache::SelectableField;

/// How long an event is kept after its last update.
pub const TIME_TO_LIVE: Duration = Duration::from_secs(3600);

/// The row.
pub static EVENTS: Resource = Resource {
    info: ResourceInfo {
        gvk: Gvk { group: "", version: "v1", kind: "Event" },
        plural: "events",
        singular: "event",
        short_names: &["ev"],
        categories: &[],
        namespaced: true,
        verbs: ALL_VERBS,
        subresources: &[],
    },
    backing: Backing::Stored(Stored {
        path: "events",
        strategy: &Rules,
        selectable: &[
            SelectableField::text("involvedObject.kind"),
            SelectableField::text("involvedObject.namespace"),
            SelectableField::text("involvedObject.name"),
            SelectableField::text("involvedObject.uid"),
            SelectableField::text("involvedObject.apiVersion"),
            SelectableField::text("involvedObject.resourceVersion"),
            SelectableField::text("involvedObject.fieldPath"),
            SelectableField::text("reason"),
            SelectableField { name: "reportingComponent", path: "reportingComponent", absent: "" },
            SelectableField { name: "source", path: "source.component", absent: "" },
            SelectableField::text("type"),
        ],
    }),
    actions: &[],
};

/// The rules of Events.
#[derive(Debug)]
pub struct Rules;

impl Strategy for Rules {
    type Kind = Event;

    fn creates_on_update(&self) -> bool {
        true
    }

    fn collects_dependents(&self) -> bool {
        false
    }

    fn tier(&self, _event: &Event) -> Tier {
        Tier::Volatile
    }

    fn time_to_live(&self) -> Option<Duration> {
        Some(TIME_TO_LIVE)
    }
}
