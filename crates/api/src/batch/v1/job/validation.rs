//! What a Job must be, and how it may change.

use k8s_openapi::api::batch::v1::{Job, JobSpec};
use k8s_openapi::api::core::v1::{Affinity, PodTemplateSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde::Serialize;

use super::{INDEXED, NON_INDEXED, generated_labels, label_map, policies};
use crate::core::v1::pod::template;
use crate::field::{
    ErrorList, Json, Path, Value, check_not_negative, extend_invalid, invalid, not_supported, required, too_long,
};
use crate::labels::{Selector, SelectorRules, validate_label_selector};
use crate::meta::{IMMUTABLE, METADATA, Scope, text, validate_meta, validate_meta_update};
use crate::names::{self, subdomain_name};

const SPEC: Path<'static> = Path::new("spec");

const MAX_PARALLELISM: i32 = 100_000;
const MAX_FAILED_INDEXES: i32 = 100_000;
const MAX_MANAGED_BY_LENGTH: usize = 63;
/// Above so many completions with a limit per index the other numbers must be lower.
const COMPLETIONS_SOFT_LIMIT: i32 = 100_000;
const LIMIT_FOR_HIGH_COMPLETIONS: i32 = 10_000;

pub(super) fn validate_job(job: &Job) -> ErrorList {
    let mut errors = validate_own_meta(job);
    let Some(spec) = &job.spec else { return errors };
    validate_generated_selector(job, spec, &mut errors);
    validate_spec(spec, &mut errors);
    let last = spec.completions.filter(|completions| *completions > 0 && is_indexed(spec));
    if let Some(completions) = last {
        // Pods are named after their index, and their host names must be labels.
        let name = text(&job.metadata.name);
        let host_name = format!("{name}-{}", completions - 1);
        if !names::dns1123_label(&host_name).is_empty() {
            let message = format!("will not able to create pod with invalid DNS label: {host_name}");
            errors.push(invalid(&METADATA.child("name"), name, message));
        }
    }
    errors
}

/// Labels that a Job has from its Pods are looked at there.
fn validate_own_meta(job: &Job) -> ErrorList {
    let inherited = job.spec.as_ref().and_then(|spec| template::labels_of(&spec.template));
    if inherited.is_some() && inherited == job.metadata.labels.as_ref() {
        let own = ObjectMeta { labels: None, ..job.metadata.clone() };
        return validate_meta(&own, Scope::Namespaced, subdomain_name);
    }
    validate_meta(&job.metadata, Scope::Namespaced, subdomain_name)
}

pub(super) fn is_indexed(spec: &JobSpec) -> bool {
    text(&spec.completion_mode) == INDEXED
}

/// A selector that the server generated must be the generated one, and the Pods must have its labels.
fn validate_generated_selector(job: &Job, spec: &JobSpec, errors: &mut ErrorList) {
    let Some(selector) = spec.selector.as_ref().filter(|_| spec.manual_selector != Some(true)) else { return };
    let (name, uid) = (text(&job.metadata.name), text(&job.metadata.uid));
    if uid.is_empty() {
        errors.push(required(&METADATA.child("uid"), ""));
    }
    let template_path = SPEC.child("template");
    let meta_path = template_path.child("metadata");
    let labels_path = meta_path.child("labels");
    let labels = template::labels_of(&spec.template);
    for (key, value) in generated_labels(name, uid) {
        let message = format!("must be '{value}'");
        match labels.and_then(|labels| labels.get(key)) {
            None => errors.push(required(&labels_path.key(key), &message)),
            Some(present) if present != value => {
                errors.push(invalid(&labels_path.key(key), Json(&labels), message));
            }
            Some(_) => {}
        }
    }
    let expected = label_map(generated_labels(name, uid));
    let matcher = Selector::from_label_selector(Some(selector));
    if matcher.is_ok_and(|matcher| !matcher.matches(Some(&expected))) {
        errors.push(invalid(&SPEC.child("selector"), Json(selector), "`selector` not auto-generated"));
    }
}

fn validate_spec(spec: &JobSpec, errors: &mut ErrorList) {
    validate_template_spec(spec, &SPEC, errors);
    let path = SPEC.child("selector");
    match &spec.selector {
        None => errors.push(required(&path, "")),
        Some(selector) => errors.extend(validate_label_selector(Some(selector), SelectorRules::Strict, &path)),
    }
    let labels = template::labels_of(&spec.template);
    let matcher = Selector::from_label_selector(spec.selector.as_ref());
    if matcher.is_ok_and(|matcher| !matcher.matches(labels)) {
        let path = SPEC.child("template");
        let path = path.child("metadata");
        let message = "`selector` does not match template `labels`";
        errors.push(invalid(&path.child("labels"), Json(&labels), message));
    }
}

/// What a Job's spec must be, also where it only is a template.
pub(in crate::batch::v1) fn validate_template_spec(spec: &JobSpec, path: &Path<'_>, errors: &mut ErrorList) {
    for (field, number) in [("parallelism", spec.parallelism), ("completions", spec.completions)] {
        check_not_negative(errors, &path.child(field), number);
    }
    check_not_negative(errors, &path.child("activeDeadlineSeconds"), spec.active_deadline_seconds);
    for (field, number) in [
        ("backoffLimit", spec.backoff_limit),
        ("ttlSecondsAfterFinished", spec.ttl_seconds_after_finished),
        ("backoffLimitPerIndex", spec.backoff_limit_per_index),
        ("maxFailedIndexes", spec.max_failed_indexes),
    ] {
        check_not_negative(errors, &path.child(field), number);
    }
    if spec.max_failed_indexes.is_some() && spec.backoff_limit_per_index.is_none() {
        errors.push(required(&path.child("backoffLimitPerIndex"), "when maxFailedIndexes is specified"));
    }
    if let Some(manager) = &spec.managed_by {
        check_manager(manager, &path.child("managedBy"), errors);
    }
    validate_mode(spec, path, errors);
    policies::validate_policies(spec, path, errors);
    let template_path = path.child("template");
    errors.extend(template::validate(&spec.template, &template_path));
    validate_restart_policy(spec, &template_path, errors);
}

/// A domain, a slash and a path.
fn check_manager(manager: &str, path: &Path<'_>, errors: &mut ErrorList) {
    match manager.split_once('/') {
        _ if manager.is_empty() => errors.push(required(path, "")),
        None | Some(("" | _, "")) | Some(("", _)) => {
            errors.push(invalid(path, manager, "must be a domain-prefixed path (such as \"acme.io/foo\")"));
        }
        Some((domain, rest)) => {
            extend_invalid(errors, path, domain, names::dns1123_subdomain(domain));
            let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"/:%._-~!$&'()*+,;=@".contains(&byte);
            if !rest.bytes().all(plain) {
                errors.push(invalid(
                    path,
                    rest,
                    "Invalid path (regex used for validation is '[A-Za-z0-9/\\-._~%!$&'()*+,;=:]+')",
                ));
            }
        }
    }
    if manager.len() > MAX_MANAGED_BY_LENGTH {
        errors.push(too_long(path, MAX_MANAGED_BY_LENGTH));
    }
}

fn validate_mode(spec: &JobSpec, path: &Path<'_>, errors: &mut ErrorList) {
    match spec.completion_mode.as_deref() {
        None | Some(NON_INDEXED) => {
            for (field, number) in
                [("backoffLimitPerIndex", spec.backoff_limit_per_index), ("maxFailedIndexes", spec.max_failed_indexes)]
            {
                if let Some(number) = number {
                    errors.push(invalid(&path.child(field), number, "requires indexed completion mode"));
                }
            }
        }
        Some(INDEXED) => validate_indexed(spec, path, errors),
        Some(other) => {
            errors.push(not_supported(&path.child("completionMode"), other, &[NON_INDEXED, INDEXED]));
        }
    }
}

fn validate_indexed(spec: &JobSpec, path: &Path<'_>, errors: &mut ErrorList) {
    let failed_path = path.child("maxFailedIndexes");
    if spec.completions.is_none() {
        errors.push(required(&path.child("completions"), "when completion mode is Indexed"));
    }
    let mut at_most = |path: &Path<'_>, number: Option<i32>, max: i32, message: &str| {
        if let Some(number) = number.filter(|number| *number > max) {
            errors.push(invalid(path, number, message));
        }
    };
    let message = format!("must be less than or equal to {MAX_PARALLELISM} when completion mode is Indexed");
    at_most(&path.child("parallelism"), spec.parallelism, MAX_PARALLELISM, &message);
    let completions = spec.completions.unwrap_or(i32::MAX);
    at_most(&failed_path, spec.max_failed_indexes, completions, "must be less than or equal to completions");
    let message = format!("must be less than or equal to {MAX_FAILED_INDEXES}");
    at_most(&failed_path, spec.max_failed_indexes, MAX_FAILED_INDEXES, &message);
    let high = spec.completions.is_some_and(|completions| completions > COMPLETIONS_SOFT_LIMIT);
    if !high || spec.backoff_limit_per_index.is_none() {
        return;
    }
    if spec.max_failed_indexes.is_none() {
        let message = format!("must be specified when completions is above {COMPLETIONS_SOFT_LIMIT}");
        errors.push(required(&failed_path, &message));
    }
    let message = format!(
        "must be less than or equal to {LIMIT_FOR_HIGH_COMPLETIONS} when completions are above \
         {COMPLETIONS_SOFT_LIMIT} and used with backoff limit per index"
    );
    for (field, number) in [("parallelism", spec.parallelism), ("maxFailedIndexes", spec.max_failed_indexes)] {
        if let Some(number) = number.filter(|number| *number > LIMIT_FOR_HIGH_COMPLETIONS) {
            errors.push(invalid(&path.child(field), number, &message));
        }
    }
}

/// A Pod of a Job ends some day.
fn validate_restart_policy(spec: &JobSpec, template_path: &Path<'_>, errors: &mut ErrorList) {
    let path = template_path.child("spec");
    let path = path.child("restartPolicy");
    match text(&template::spec_of(&spec.template).restart_policy) {
        "" | "Always" => errors.push(required(&path, "valid values: \"OnFailure\", \"Never\"")),
        "Never" => {}
        policy @ "OnFailure" => {
            if spec.pod_failure_policy.is_some() {
                let message = "only \"Never\" is supported when podFailurePolicy is specified";
                errors.push(invalid(&path, policy, message));
            }
        }
        other => errors.push(not_supported(&path, other, &["OnFailure", "Never"])),
    }
}

pub(super) fn validate_changes(new_job: &Job, old_job: &Job) -> ErrorList {
    let mut errors = validate_meta_update(&new_job.metadata, &old_job.metadata);
    let (Some(new), Some(old)) = (&new_job.spec, &old_job.spec) else { return errors };
    validate_spec(new, &mut errors);
    check_completions(new, old, &mut errors);
    fixed("selector", &new.selector, &old.selector, &mut errors);
    let not_started = old_job.status.as_ref().is_none_or(|status| status.start_time.is_none());
    let movable = old.suspend == Some(true) && not_started;
    let old_template = if movable { with_directives_of(&old.template, &new.template) } else { old.template.clone() };
    fixed("template", &new.template, &old_template, &mut errors);
    fixed_value("completionMode", &new.completion_mode, &old.completion_mode, &mut errors);
    fixed("podFailurePolicy", &new.pod_failure_policy, &old.pod_failure_policy, &mut errors);
    fixed_value("backoffLimitPerIndex", &new.backoff_limit_per_index, &old.backoff_limit_per_index, &mut errors);
    fixed_value("managedBy", &new.managed_by, &old.managed_by, &mut errors);
    fixed("successPolicy", &new.success_policy, &old.success_policy, &mut errors);
    errors
}

fn fixed<T: PartialEq + Serialize>(field: &str, new: &T, old: &T, errors: &mut ErrorList) {
    if new != old {
        errors.push(invalid(&SPEC.child(field), Json(new), IMMUTABLE));
    }
}

fn fixed_value<T: PartialEq + Value>(field: &str, new: &T, old: &T, errors: &mut ErrorList) {
    if new != old {
        errors.push(invalid(&SPEC.child(field), new, IMMUTABLE));
    }
}

/// The completions of an indexed Job may change together with its parallelism.
fn check_completions(new: &JobSpec, old: &JobSpec, errors: &mut ErrorList) {
    if !is_indexed(new) {
        fixed_value("completions", &new.completions, &old.completions, errors);
    } else if new.completions != old.completions && new.completions.is_some() && new.completions != new.parallelism {
        let message = "can only be modified in tandem with spec.parallelism";
        errors.push(invalid(&SPEC.child("completions"), new.completions, message));
    }
}

/// A template with what another one says of where Pods run: that may change until a suspended Job starts.
fn with_directives_of(template: &PodTemplateSpec, other: &PodTemplateSpec) -> PodTemplateSpec {
    let mut moved = template.clone();
    let meta = other.metadata.clone().unwrap_or_default();
    let kept = moved.metadata.get_or_insert_default();
    (kept.annotations, kept.labels) = (meta.annotations, meta.labels);
    if let (Some(spec), Some(other)) = (&mut moved.spec, &other.spec) {
        spec.node_selector.clone_from(&other.node_selector);
        spec.tolerations.clone_from(&other.tolerations);
        spec.scheduling_gates.clone_from(&other.scheduling_gates);
        let affinity = spec.affinity.get_or_insert_default();
        affinity.node_affinity = other.affinity.as_ref().and_then(|affinity| affinity.node_affinity.clone());
        if *affinity == Affinity::default() && other.affinity.is_none() {
            spec.affinity = None;
        }
    }
    moved
}
