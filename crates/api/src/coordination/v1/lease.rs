//! Leases.

use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};

use crate::field::{ErrorList, Path, extend_invalid, forbidden, invalid, not_supported};
use crate::meta::{NOT_NEGATIVE, Scope, text, validate_plain_meta, validate_plain_meta_update};
use crate::names::{qualified_name, subdomain_name};
use crate::object::Kind;
use crate::omit_empty;

#[cfg(test)]
mod tests;

impl Kind for Lease {
    fn set_defaults(&mut self) {
        omit_empty::metadata(&mut self.metadata);
        self.spec.get_or_insert_with(LeaseSpec::default);
    }

    fn validate(&self) -> ErrorList {
        let mut errors = validate_plain_meta(&self.metadata, Scope::Namespaced, subdomain_name);
        errors.extend(validate_spec(self));
        errors
    }

    fn validate_update(&self, old: &Self) -> ErrorList {
        let mut errors = validate_plain_meta_update(&self.metadata, &old.metadata);
        errors.extend(validate_spec(self));
        errors
    }

    fn validate_status_update(&self, old: &Self) -> ErrorList {
        Kind::validate_update(self, old)
    }
}

fn validate_spec(lease: &Lease) -> ErrorList {
    let mut errors = ErrorList::new();
    let Some(spec) = &lease.spec else { return errors };
    let path = Path::new("spec");
    if spec.lease_duration_seconds.is_some_and(|seconds| seconds <= 0) {
        let path = path.child("leaseDurationSeconds");
        errors.push(invalid(&path, spec.lease_duration_seconds, "must be greater than 0"));
    }
    if spec.lease_transitions.is_some_and(|transitions| transitions < 0) {
        errors.push(invalid(&path.child("leaseTransitions"), spec.lease_transitions, NOT_NEGATIVE));
    }
    if let Some(strategy) = &spec.strategy {
        let strategy_path = path.child("strategy");
        let path = strategy_path.child("strategy");
        if strategy.contains('/') {
            extend_invalid(&mut errors, &path, strategy, qualified_name(strategy));
        } else if strategy != "OldestEmulationVersion" {
            errors.push(not_supported(&path, strategy, &["OldestEmulationVersion"]));
        }
    }
    if !text(&spec.preferred_holder).is_empty() && text(&spec.strategy).is_empty() {
        let message = "may only be specified if `strategy` is defined";
        errors.push(forbidden(&path.child("preferredHolder"), message));
    }
    errors
}
