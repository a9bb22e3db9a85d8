//! PriorityLevelConfigurations: how many requests of a level are served at once.

use k8s_openapi::api::flowcontrol::v1::{
    LimitedPriorityLevelConfiguration, PriorityLevelConfiguration, PriorityLevelConfigurationSpec, QueuingConfiguration,
};

use crate::field::{ErrorList, Path, check_not_negative, forbidden, invalid, not_supported, required};
use crate::meta::{Scope, validate_meta, validate_meta_update};
use crate::names::{out_of_range, subdomain_name};
use crate::object::Kind;
use crate::omit_empty::{self, omit_empty};

const SPEC: Path<'static> = Path::new("spec");
const MAX_QUEUES: i32 = 10_000_000;

impl Kind for PriorityLevelConfiguration {
    fn set_defaults(&mut self) {
        omit_empty::metadata(&mut self.metadata);
        let spec = self.spec.get_or_insert_default();
        if let Some(limited) = &mut spec.limited {
            limited.nominal_concurrency_shares.get_or_insert(30);
            limited.lendable_percent.get_or_insert(0);
            if let Some(queuing) = limited.limit_response.as_mut().and_then(|response| response.queuing.as_mut()) {
                omit_empty!(queuing => hand_size, queue_length_limit, queues);
                queuing.queues.get_or_insert(64);
                queuing.hand_size.get_or_insert(8);
                queuing.queue_length_limit.get_or_insert(50);
            }
        }
        if let Some(exempt) = &mut spec.exempt {
            exempt.nominal_concurrency_shares.get_or_insert(0);
            exempt.lendable_percent.get_or_insert(0);
        }
        omit_empty!(self.status.get_or_insert_default() => conditions);
    }

    fn validate(&self) -> ErrorList {
        let mut errors = validate_meta(&self.metadata, Scope::Cluster, subdomain_name);
        if let Some(spec) = &self.spec {
            validate_spec(spec, self.metadata.name.as_deref() == Some("exempt"), &mut errors);
        }
        errors
    }

    fn validate_update(&self, old: &Self) -> ErrorList {
        let mut errors = validate_meta_update(&self.metadata, &old.metadata);
        errors.extend(self.validate());
        errors
    }

    fn validate_status_update(&self, old: &Self) -> ErrorList {
        validate_meta_update(&self.metadata, &old.metadata)
    }
}

fn validate_spec(spec: &PriorityLevelConfigurationSpec, exempt: bool, errors: &mut ErrorList) {
    let type_path = SPEC.child("type");
    if exempt != (spec.type_ == "Exempt") {
        errors.push(invalid(&type_path, &spec.type_, "type must be 'Exempt' if and only if name is 'exempt'"));
    }
    let (limited_path, exempt_path) = (SPEC.child("limited"), SPEC.child("exempt"));
    match spec.type_.as_str() {
        "Exempt" => {
            if spec.limited.is_some() {
                errors.push(forbidden(&limited_path, "must be nil if the type is not Limited"));
            }
            if let Some(exempt) = &spec.exempt {
                let shares = exempt.nominal_concurrency_shares;
                check_not_negative(errors, &exempt_path.child("nominalConcurrencyShares"), shares);
                check_percent(exempt.lendable_percent, &exempt_path.child("lendablePercent"), errors);
            }
        }
        "Limited" => {
            if spec.exempt.is_some() {
                errors.push(forbidden(&exempt_path, "must be nil if the type is Limited"));
            }
            match &spec.limited {
                Some(limited) => validate_limited(limited, &limited_path, errors),
                None => errors.push(required(&limited_path, "must not be empty when type is Limited")),
            }
        }
        other => errors.push(not_supported(&type_path, other, &["Exempt", "Limited"])),
    }
}

fn check_percent(percent: Option<i32>, path: &Path<'_>, errors: &mut ErrorList) {
    if let Some(percent) = percent.filter(|percent| !(0..=100).contains(percent)) {
        errors.push(invalid(path, percent, out_of_range(0, 100)));
    }
}

fn validate_limited(limited: &LimitedPriorityLevelConfiguration, path: &Path<'_>, errors: &mut ErrorList) {
    if let Some(shares) = limited.nominal_concurrency_shares.filter(|shares| *shares < 0) {
        errors.push(invalid(&path.child("nominalConcurrencyShares"), shares, "must be a non-negative integer"));
    }
    let response = limited.limit_response.clone().unwrap_or_default();
    let response_path = path.child("limitResponse");
    let queuing_path = response_path.child("queuing");
    match (response.type_.as_str(), &response.queuing) {
        ("Reject", Some(_)) => {
            errors.push(forbidden(&queuing_path, "must be nil if limited.limitResponse.type is not Limited"));
        }
        ("Queue", None) => {
            errors.push(required(&queuing_path, "must not be empty if limited.limitResponse.type is Limited"));
        }
        ("Queue", Some(queuing)) => validate_queuing(queuing, &queuing_path, errors),
        ("Reject", None) => {}
        (other, _) => errors.push(not_supported(&response_path.child("type"), other, &["Queue", "Reject"])),
    }
    check_percent(limited.lendable_percent, &path.child("lendablePercent"), errors);
    if let Some(percent) = limited.borrowing_limit_percent.filter(|percent| *percent < 0) {
        let message = "if specified, must be a non-negative integer";
        errors.push(invalid(&path.child("borrowingLimitPercent"), percent, message));
    }
}

fn validate_queuing(queuing: &QueuingConfiguration, path: &Path<'_>, errors: &mut ErrorList) {
    let (queues, hand) = (queuing.queues.unwrap_or(0), queuing.hand_size.unwrap_or(0));
    let length = queuing.queue_length_limit.unwrap_or(0);
    for (field, number) in [("queueLengthLimit", length), ("queues", queues), ("handSize", hand)] {
        if number <= 0 {
            errors.push(invalid(&path.child(field), number, "must be positive"));
        }
    }
    if queues > MAX_QUEUES {
        errors.push(invalid(&path.child("queues"), queues, format!("must not be greater than {MAX_QUEUES}")));
    }
    if hand > queues {
        let message = format!("should not be greater than queues ({queues})");
        errors.push(invalid(&path.child("handSize"), hand, message));
    }
}
