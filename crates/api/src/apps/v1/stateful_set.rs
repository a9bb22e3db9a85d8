//! StatefulSets.

use k8s_openapi::api::apps::v1::{
    RollingUpdateStatefulSetStrategy, StatefulSet, StatefulSetSpec, StatefulSetStatus, StatefulSetUpdateStrategy,
};
use k8s_openapi::api::core::v1::{PersistentVolumeClaim, PersistentVolumeClaimVolumeSource, PodTemplateSpec, Volume};

use crate::core::v1::persistent_volume_claim::warn_of_claim_spec;
use crate::core::v1::pod::template;
use crate::field::{ErrorList, Path};
use crate::meta::{Scope, text, validate_meta, validate_meta_update};
use crate::names;
use crate::object::Kind;
use crate::omit_empty::{self, omit_empty};

#[cfg(test)]
mod tests;
mod validation;

/// One Pod after the other, each waiting for the one before.
pub const ORDERED_READY: &str = "OrderedReady";
/// All Pods at once.
pub const PARALLEL: &str = "Parallel";
/// Pods are replaced when somebody deletes them.
pub const ON_DELETE: &str = "OnDelete";
/// Pods are replaced from the last one to the first.
pub const ROLLING_UPDATE: &str = "RollingUpdate";
/// Claims stay when their Pod goes.
pub const RETAIN: &str = "Retain";
/// Claims go with their Pod.
pub const DELETE: &str = "Delete";

impl Kind for StatefulSet {
    fn set_defaults(&mut self) {
        omit_empty::metadata(&mut self.metadata);
        default_spec(self.spec.get_or_insert_default());
        let status = self.status.get_or_insert_default();
        omit_empty!(status => conditions, current_replicas, current_revision, observed_generation, ready_replicas,
            update_revision, updated_replicas);
        status.available_replicas.get_or_insert(0);
    }

    fn validate(&self) -> ErrorList {
        let mut errors = validate_meta(&self.metadata, Scope::Namespaced, names::label_name);
        errors.extend(self.spec.iter().flat_map(validation::validate_spec));
        errors.extend(self.spec.iter().flat_map(validation::validate_service_name));
        errors
    }

    fn validate_update(&self, old: &Self) -> ErrorList {
        let mut errors: ErrorList = self.spec.iter().flat_map(validation::validate_spec).collect();
        errors.extend(validate_meta_update(&self.metadata, &old.metadata));
        if let (Some(new), Some(old)) = (&self.spec, &old.spec) {
            errors.extend(validation::validate_changes(new, old));
        }
        errors
    }

    fn validate_status_update(&self, old: &Self) -> ErrorList {
        let none = StatefulSetStatus::default();
        let (new, before) = (self.status.as_ref().unwrap_or(&none), old.status.as_ref().unwrap_or(&none));
        let mut errors = validation::validate_status(new);
        errors.extend(validate_meta_update(&self.metadata, &old.metadata));
        validation::check_collisions(new, before, &mut errors);
        errors
    }

    fn warnings(&self) -> Vec<String> {
        let path = Path::new("spec");
        let Some(spec) = &self.spec else { return Vec::new() };
        let mut warnings = template::warnings(&spec.template, &path.child("template"));
        warn_of_the_rest(spec, &mut warnings);
        warnings
    }

    fn update_warnings(&self, old: &Self) -> Vec<String> {
        if self.metadata.generation != old.metadata.generation {
            return self.warnings();
        }
        let mut warnings = Vec::new();
        self.spec.iter().for_each(|spec| warn_of_the_rest(spec, &mut warnings));
        warnings
    }
}

/// Warns of what is not the template of Pods.
fn warn_of_the_rest(spec: &StatefulSetSpec, warnings: &mut Vec<String>) {
    let root = Path::new("spec");
    if spec.revision_history_limit.is_some_and(|limit| limit < 0) {
        let text = "a negative value retains all historical revisions; a value >= 0 is recommended";
        warnings.push(format!("{}: {text}", root.child("revisionHistoryLimit")));
    }
    let list_path = root.child("volumeClaimTemplates");
    for (position, template) in spec.volume_claim_templates.iter().flatten().enumerate() {
        if let Some(claim) = &template.spec {
            // Upstream names the field as Go does.
            warn_of_claim_spec(claim, &list_path.index(position).child("Spec"), warnings);
        }
    }
}

fn default_spec(spec: &mut StatefulSetSpec) {
    omit_empty!(spec => min_ready_seconds, pod_management_policy, service_name, volume_claim_templates);
    spec.pod_management_policy.get_or_insert_with(|| ORDERED_READY.to_owned());
    default_strategy(spec.update_strategy.get_or_insert_default());
    let retention = spec.persistent_volume_claim_retention_policy.get_or_insert_default();
    omit_empty!(retention => when_deleted, when_scaled);
    retention.when_deleted.get_or_insert_with(|| RETAIN.to_owned());
    retention.when_scaled.get_or_insert_with(|| RETAIN.to_owned());
    if let Some(ordinals) = &mut spec.ordinals {
        ordinals.start.get_or_insert(0);
    }
    spec.replicas.get_or_insert(1);
    spec.revision_history_limit.get_or_insert(10);
    template::set_defaults(&mut spec.template);
    spec.volume_claim_templates.iter_mut().flatten().for_each(Kind::set_defaults);
}

fn default_strategy(strategy: &mut StatefulSetUpdateStrategy) {
    omit_empty!(strategy => type_);
    if strategy.type_.is_none() {
        strategy.type_ = Some(ROLLING_UPDATE.to_owned());
        strategy.rolling_update.get_or_insert_default();
    }
    if let Some(update) = strategy.rolling_update.as_mut().filter(|_| text(&strategy.type_) == ROLLING_UPDATE) {
        update.partition.get_or_insert(0);
    }
}

/// The template of a set's Pods with the volumes that its claim templates stand for.
fn with_claimed_volumes(spec: &StatefulSetSpec) -> PodTemplateSpec {
    let mut pods = spec.template.clone();
    let claims = spec.volume_claim_templates.as_deref().unwrap_or_default();
    if claims.is_empty() {
        return pods;
    }
    let name = |claim: &PersistentVolumeClaim| claim.metadata.name.clone().unwrap_or_default();
    let volumes = pods.spec.get_or_insert_default().volumes.get_or_insert_default();
    volumes.retain(|volume| !claims.iter().any(|claim| name(claim) == volume.name));
    volumes.extend(claims.iter().map(|claim| Volume {
        name: name(claim),
        persistent_volume_claim: Some(PersistentVolumeClaimVolumeSource {
            claim_name: name(claim),
            ..PersistentVolumeClaimVolumeSource::default()
        }),
        ..Volume::default()
    }));
    pods
}

/// Removes what only a server with more features turned on keeps, unless the old object has it.
pub fn drop_disabled(new: &mut StatefulSet, old: Option<&StatefulSet>) {
    fn update(set: &StatefulSet) -> Option<&RollingUpdateStatefulSetStrategy> {
        set.spec.as_ref()?.update_strategy.as_ref()?.rolling_update.as_ref()
    }
    if old.and_then(update).is_some_and(|update| update.max_unavailable.is_some()) {
        return;
    }
    let strategy = new.spec.as_mut().and_then(|spec| spec.update_strategy.as_mut());
    if let Some(update) = strategy.and_then(|strategy| strategy.rolling_update.as_mut()) {
        update.max_unavailable = None;
    }
}
