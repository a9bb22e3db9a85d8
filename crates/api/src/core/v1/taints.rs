//! Taints of Nodes and the tolerations of Pods.

use k8s_openapi::api::core::v1::{Taint, Toleration};

use crate::field::{ErrorList, Path, duplicate_because, extend_invalid, invalid, not_supported, required};
use crate::meta::text;
use crate::names;

#[cfg(test)]
mod tests;

/// Keeps Pods away that do not tolerate it.
pub const NO_SCHEDULE: &str = "NoSchedule";
/// Keeps Pods away where another Node will do.
pub const PREFER_NO_SCHEDULE: &str = "PreferNoSchedule";
/// Keeps Pods away and evicts those already there.
pub const NO_EXECUTE: &str = "NoExecute";

const EFFECTS: &[&str] = &[NO_SCHEDULE, PREFER_NO_SCHEDULE, NO_EXECUTE];

/// Whether a toleration accepts a taint.
pub fn tolerates(toleration: &Toleration, taint: &Taint) -> bool {
    let (key, effect) = (text(&toleration.key), text(&toleration.effect));
    if !effect.is_empty() && effect != taint.effect {
        return false;
    }
    if !key.is_empty() && key != taint.key {
        return false;
    }
    match text(&toleration.operator) {
        "" | "Equal" => text(&toleration.value) == text(&taint.value),
        "Exists" => true,
        _ => false,
    }
}

/// The first taint of interest that none of the tolerations accepts.
pub fn find_untolerated<'a>(
    taints: &'a [Taint],
    tolerations: &[Toleration],
    of_interest: impl Fn(&Taint) -> bool,
) -> Option<&'a Taint> {
    let untolerated = |taint: &&Taint| !tolerations.iter().any(|toleration| tolerates(toleration, taint));
    taints.iter().filter(|taint| of_interest(taint)).find(untolerated)
}

/// Whether a taint keeps new Pods away: `NoSchedule` or `NoExecute`.
pub fn repels(taint: &Taint) -> bool {
    matches!(taint.effect.as_str(), NO_SCHEDULE | NO_EXECUTE)
}

pub(crate) fn validate_taints(taints: &[Taint], path: &Path<'_>) -> ErrorList {
    let mut errors = ErrorList::new();
    for (position, taint) in taints.iter().enumerate() {
        let path = path.index(position);
        extend_invalid(&mut errors, &path.child("key"), &taint.key, names::qualified_name(&taint.key));
        let value = text(&taint.value);
        let problems = names::label_value(value);
        if !problems.is_empty() {
            errors.push(invalid(&path.child("value"), value, problems.join(";")));
        }
        if taint.effect.is_empty() {
            errors.push(required(&path.child("effect"), ""));
        } else {
            errors.extend(validate_effect(&taint.effect, &path.child("effect")));
        }
        let same = |other: &Taint| other.key == taint.key && other.effect == taint.effect;
        if taints[..position].iter().any(same) {
            let shown = Internal { key: &taint.key, value, effect: &taint.effect, time_added: &taint.time_added };
            let message = "taints must be unique by key and effect pair";
            errors.push(duplicate_because(&path, crate::field::Json(&shown), message));
        }
    }
    errors
}

/// A taint as upstream shows it in messages.
#[derive(serde::Serialize)]
#[serde(rename_all = "PascalCase")]
struct Internal<'a> {
    key: &'a str,
    value: &'a str,
    effect: &'a str,
    time_added: &'a Option<k8s_openapi::apimachinery::pkg::apis::meta::v1::Time>,
}

fn validate_effect(effect: &str, path: &Path<'_>) -> Option<crate::field::Error> {
    (!EFFECTS.contains(&effect)).then(|| not_supported(path, effect, EFFECTS))
}

pub(crate) fn validate_tolerations(tolerations: &[Toleration], path: &Path<'_>) -> ErrorList {
    let mut errors = ErrorList::new();
    for (position, toleration) in tolerations.iter().enumerate() {
        validate_toleration(toleration, &path.index(position), &mut errors);
    }
    errors
}

fn validate_toleration(toleration: &Toleration, path: &Path<'_>, errors: &mut ErrorList) {
    let (key, operator) = (text(&toleration.key), text(&toleration.operator));
    let (value, effect) = (text(&toleration.value), text(&toleration.effect));
    if !key.is_empty() {
        extend_invalid(errors, &path.child("key"), key, names::qualified_name(key));
    } else if operator != "Exists" {
        let message = "operator must be Exists when `key` is empty, which means \"match all values and all keys\"";
        errors.push(invalid(&path.child("operator"), operator, message));
    }
    if toleration.toleration_seconds.is_some() && effect != NO_EXECUTE {
        errors.push(invalid(
            &path.child("effect"),
            effect,
            "effect must be 'NoExecute' when `tolerationSeconds` is set",
        ));
    }
    match operator {
        "" | "Equal" => {
            let problems = names::label_value(value);
            if !problems.is_empty() {
                errors.push(invalid(&path.child("operator"), value, problems.join(";")));
            }
        }
        "Exists" if value.is_empty() => {}
        "Exists" => {
            errors.push(invalid(&path.child("operator"), value, "value must be empty when `operator` is 'Exists'"));
        }
        other => errors.push(not_supported(&path.child("operator"), other, &["Equal", "Exists"])),
    }
    if !effect.is_empty() {
        errors.extend(validate_effect(effect, &path.child("effect")));
    }
}
