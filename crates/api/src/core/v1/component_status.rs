//! ComponentStatuses: how the control plane's parts are. Deprecated, and only ever answered.

use k8s_openapi::api::core::v1::ComponentStatus;

use crate::field::ErrorList;
use crate::object::Kind;
use crate::omit_empty::{self, omit_empty};

impl Kind for ComponentStatus {
    fn set_defaults(&mut self) {
        omit_empty::metadata(&mut self.metadata);
        omit_empty!(self => conditions);
    }

    fn validate(&self) -> ErrorList {
        ErrorList::new() // nobody writes it
    }

    fn validate_update(&self, _old: &Self) -> ErrorList {
        ErrorList::new()
    }

    fn validate_status_update(&self, _old: &Self) -> ErrorList {
        ErrorList::new()
    }
}
