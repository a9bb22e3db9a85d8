//! What a StatefulSet must be, and how it may change.

use k8s_openapi::api::apps::v1::{
    RollingUpdateStatefulSetStrategy, StatefulSetPersistentVolumeClaimRetentionPolicy, StatefulSetSpec,
    StatefulSetStatus, StatefulSetUpdateStrategy,
};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use serde::Serialize;

use super::{DELETE, ON_DELETE, ORDERED_READY, PARALLEL, RETAIN, ROLLING_UPDATE, with_claimed_volumes};
use crate::apps::v1::workload::{self, ShownStrategy};
use crate::core::v1::persistent_volume_claim::validate_claim_spec;
use crate::core::v1::pod::template;
use crate::field::{
    ErrorList, Json, Path, check_not_decremented, check_not_negative, extend_invalid, forbidden, invalid,
    not_supported, required,
};
use crate::int_or_percent;
use crate::meta::text;
use crate::names::dns1123_label;

const SPEC: Path<'static> = Path::new("spec");
const STATUS: Path<'static> = Path::new("status");

/// Every problem of the name that Pods get as their subdomain. Those of older StatefulSets may have any.
pub(super) fn validate_service_name(spec: &StatefulSetSpec) -> ErrorList {
    let mut errors = ErrorList::new();
    let name = text(&spec.service_name);
    if !name.is_empty() {
        extend_invalid(&mut errors, &SPEC.child("serviceName"), name, dns1123_label(name));
    }
    errors
}

pub(super) fn validate_spec(spec: &StatefulSetSpec) -> ErrorList {
    let mut errors = ErrorList::new();
    let path = SPEC.child("podManagementPolicy");
    match text(&spec.pod_management_policy) {
        "" => errors.push(required(&path, "")),
        ORDERED_READY | PARALLEL => {}
        other => errors.push(invalid(&path, other, "must be 'OrderedReady' or 'Parallel'")),
    }
    if let Some(strategy) = &spec.update_strategy {
        validate_strategy(strategy, &SPEC.child("updateStrategy"), &mut errors);
    }
    if let Some(policy) = &spec.persistent_volume_claim_retention_policy {
        validate_retention(policy, &SPEC.child("persistentVolumeClaimRetentionPolicy"), &mut errors);
    }
    check_not_negative(&mut errors, &SPEC.child("replicas"), spec.replicas);
    check_not_negative(&mut errors, &SPEC.child("minReadySeconds"), spec.min_ready_seconds);
    let start = spec.ordinals.as_ref().and_then(|ordinals| ordinals.start);
    check_not_negative(&mut errors, &SPEC.child("ordinals.start"), start);
    validate_pods(spec, &mut errors);
    errors
}

fn validate_pods(spec: &StatefulSetSpec, errors: &mut ErrorList) {
    let (selector_path, template_path) = (SPEC.child("selector"), SPEC.child("template"));
    workload::check_selector(&spec.selector, "empty selector is invalid for statefulset", &selector_path, errors);
    match workload::matcher(&spec.selector) {
        Some(selector) => {
            workload::check_selects(&selector, &spec.template, &template_path, errors);
            errors.extend(template::validate(&with_claimed_volumes(spec), &template_path));
        }
        None => errors.push(invalid(&selector_path, Json(&spec.selector), "")),
    }
    workload::check_restart_policy(&spec.template, &template_path, errors);
    workload::forbid_deadline(&spec.template, "StatefulSet", &template_path, errors);
    let claims_path = SPEC.child("volumeClaimTemplates");
    for (position, claim) in spec.volume_claim_templates.iter().flatten().enumerate() {
        let path = claims_path.index(position);
        claim.spec.iter().for_each(|spec| validate_claim_spec(spec, &path.child("spec"), errors));
    }
}

/// A rolling update as upstream's messages show it.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct ShownRollingUpdate<'a> {
    partition: i32,
    max_unavailable: &'a Option<IntOrString>,
}

impl<'a> From<&'a RollingUpdateStatefulSetStrategy> for ShownRollingUpdate<'a> {
    fn from(update: &'a RollingUpdateStatefulSetStrategy) -> Self {
        Self { partition: update.partition.unwrap_or(0), max_unavailable: &update.max_unavailable }
    }
}

fn validate_strategy(strategy: &StatefulSetUpdateStrategy, path: &Path<'_>, errors: &mut ErrorList) {
    let update_path = path.child("rollingUpdate");
    match (text(&strategy.type_), &strategy.rolling_update) {
        ("", _) => errors.push(required(path, "")),
        (ON_DELETE, Some(update)) => {
            let shown = ShownRollingUpdate::from(update);
            errors.push(invalid(&update_path, Json(&shown), "only allowed for updateStrategy 'RollingUpdate'"));
        }
        (ROLLING_UPDATE, Some(update)) => validate_rolling_update(update, &update_path, errors),
        (ON_DELETE | ROLLING_UPDATE, None) => {}
        (other, update) => {
            let rolling_update = update.as_ref().map(ShownRollingUpdate::from);
            let shown = ShownStrategy { r#type: other, rolling_update };
            errors.push(invalid(path, Json(&shown), "must be 'RollingUpdate' or 'OnDelete'"));
        }
    }
}

fn validate_rolling_update(update: &RollingUpdateStatefulSetStrategy, path: &Path<'_>, errors: &mut ErrorList) {
    check_not_negative(errors, &path.child("partition"), update.partition);
    let Some(unavailable) = &update.max_unavailable else { return };
    let path = path.child("maxUnavailable");
    int_or_percent::check(errors, &path, unavailable);
    if int_or_percent::bare_value(unavailable) == 0 {
        errors.push(invalid(&path, Json(unavailable), "cannot be 0"));
    }
    int_or_percent::check_at_most_all(errors, &path, unavailable);
}

fn validate_retention(
    policy: &StatefulSetPersistentVolumeClaimRetentionPolicy,
    path: &Path<'_>,
    errors: &mut ErrorList,
) {
    for (field, value) in [("whenDeleted", text(&policy.when_deleted)), ("whenScaled", text(&policy.when_scaled))] {
        if value != RETAIN && value != DELETE {
            errors.push(not_supported(&path.child(field), value, &[RETAIN, DELETE]));
        }
    }
}

pub(super) fn validate_changes(new: &StatefulSetSpec, old: &StatefulSetSpec) -> ErrorList {
    let mut comparable = new.clone();
    comparable.replicas = old.replicas;
    comparable.ordinals.clone_from(&old.ordinals);
    comparable.template.clone_from(&old.template);
    comparable.update_strategy.clone_from(&old.update_strategy);
    comparable.min_ready_seconds = old.min_ready_seconds;
    comparable.revision_history_limit = old.revision_history_limit;
    comparable.persistent_volume_claim_retention_policy.clone_from(&old.persistent_volume_claim_retention_policy);
    if comparable == *old {
        return ErrorList::new();
    }
    let message = "updates to statefulset spec for fields other than 'replicas', 'ordinals', 'template', \
                   'updateStrategy', 'revisionHistoryLimit', 'persistentVolumeClaimRetentionPolicy' and \
                   'minReadySeconds' are forbidden";
    vec![forbidden(&SPEC, message)]
}

pub(super) fn validate_status(status: &StatefulSetStatus) -> ErrorList {
    let mut errors = ErrorList::new();
    let parts = [
        ("readyReplicas", status.ready_replicas),
        ("currentReplicas", status.current_replicas),
        ("updatedReplicas", status.updated_replicas),
        ("availableReplicas", status.available_replicas),
    ];
    check_not_negative(&mut errors, &STATUS.child("replicas"), Some(status.replicas));
    for (field, count) in parts {
        check_not_negative(&mut errors, &STATUS.child(field), count);
    }
    check_not_negative(&mut errors, &STATUS.child("observedGeneration"), status.observed_generation);
    check_not_negative(&mut errors, &STATUS.child("collisionCount"), status.collision_count);
    for (field, count) in parts {
        if let Some(count) = count.filter(|count| *count > status.replicas) {
            errors.push(invalid(&STATUS.child(field), count, "cannot be greater than status.replicas"));
        }
    }
    let available = status.available_replicas.unwrap_or(0);
    if available > status.ready_replicas.unwrap_or(0) {
        let message = "cannot be greater than status.readyReplicas";
        errors.push(invalid(&STATUS.child("availableReplicas"), available, message));
    }
    errors
}

pub(super) fn check_collisions(new: &StatefulSetStatus, old: &StatefulSetStatus, errors: &mut ErrorList) {
    check_not_decremented(errors, &STATUS.child("collisionCount"), new.collision_count, old.collision_count);
}
