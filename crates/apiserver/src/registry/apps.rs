//! The `apps` group.

pub mod controller_revision;
pub mod daemon_set;
pub mod deployment;
pub mod replica_set;
pub mod stateful_set;

use api::Gvk;
use api::apps::v1::selector_of;
use api::k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use api::labels::Selector;

/// What the `scale` subresource of every resource here reads and writes.
pub(super) const SCALE: Gvk = Gvk { group: "autoscaling", version: "v1", kind: "Scale" };

/// A selector as text; one that is none selects nothing, which has no text.
fn selector_text(selector: &LabelSelector) -> String {
    Selector::from_label_selector(selector_of(selector)).map_or_else(|_| String::new(), |selector| selector.to_string())
}
