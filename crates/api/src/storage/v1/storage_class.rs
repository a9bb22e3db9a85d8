//! StorageClasses.

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::api::core::v1::TopologySelectorTerm;
use k8s_openapi::api::storage::v1::StorageClass;

use crate::core::v1::deprecated_labels::deprecation;
use crate::field::{
    ErrorList, Json, Path, duplicate, extend_invalid, forbidden, invalid, not_supported, required, too_long,
};
use crate::meta::{IMMUTABLE, Scope, text, validate_meta, validate_meta_update};
use crate::names::{self, subdomain_name};
use crate::object::Kind;
use crate::omit_empty::{self, omit_empty};

#[cfg(test)]
mod tests;

/// Marks the class of claims that name none.
pub const DEFAULT_ANNOTATION: &str = "storageclass.kubernetes.io/is-default-class";
const DEFAULT_BETA_ANNOTATION: &str = "storageclass.beta.kubernetes.io/is-default-class";
/// Claims of the class get their volume when a Pod that uses them has a node.
pub const WAIT_FOR_FIRST_CONSUMER: &str = "WaitForFirstConsumer";
/// The class of volumes nobody makes.
pub const NO_PROVISIONER: &str = "kubernetes.io/no-provisioner";

const BINDING_MODES: &[&str] = &["Immediate", WAIT_FOR_FIRST_CONSUMER];
const RECLAIM_POLICIES: &[&str] = &["Delete", "Retain"];
const MAX_PARAMETERS: usize = 512;
pub(super) const MAX_PARAMETERS_BYTES: usize = 256 * 1024;

/// Whether claims that name no class are of this one.
pub fn is_default(class: &StorageClass) -> bool {
    let annotations = class.metadata.annotations.as_ref();
    let says = |name| annotations.and_then(|map| map.get(name)).is_some_and(|value| value == "true");
    says(DEFAULT_ANNOTATION) || says(DEFAULT_BETA_ANNOTATION)
}

/// The class of claims that name none: the newest of those that are marked, as upstream chooses.
pub fn default_of<'a>(classes: impl IntoIterator<Item = &'a StorageClass>) -> Option<&'a StorageClass> {
    let age = |class: &&StorageClass| {
        let created = class.metadata.creation_timestamp.as_ref().map(|time| time.0);
        (created, std::cmp::Reverse(class.metadata.name.clone()))
    };
    classes.into_iter().filter(|class| is_default(class)).max_by_key(age)
}

impl Kind for StorageClass {
    fn set_defaults(&mut self) {
        omit_empty::metadata(&mut self.metadata);
        omit_empty!(self => allowed_topologies, mount_options, parameters);
        self.reclaim_policy.get_or_insert_with(|| "Delete".to_owned());
        self.volume_binding_mode.get_or_insert_with(|| "Immediate".to_owned());
    }

    fn validate(&self) -> ErrorList {
        let mut errors = validate_meta(&self.metadata, Scope::Cluster, subdomain_name);
        validate_provisioner(&self.provisioner, &mut errors);
        validate_parameters(self.parameters.as_ref(), &mut errors);
        let policy = text(&self.reclaim_policy);
        if !RECLAIM_POLICIES.contains(&policy) {
            errors.push(not_supported(&Path::new("reclaimPolicy"), policy, RECLAIM_POLICIES));
        }
        let path = Path::new("volumeBindingMode");
        match text(&self.volume_binding_mode) {
            "" => errors.push(required(&path, "")),
            mode if !BINDING_MODES.contains(&mode) => errors.push(not_supported(&path, mode, BINDING_MODES)),
            _ => {}
        }
        validate_topologies(self.allowed_topologies.as_deref().unwrap_or_default(), &mut errors);
        errors
    }

    fn validate_update(&self, old: &Self) -> ErrorList {
        let mut errors = Kind::validate(self);
        errors.extend(validate_meta_update(&self.metadata, &old.metadata));
        if self.parameters != old.parameters {
            errors.push(invalid(&Path::new("parameters"), Json(&self.parameters), IMMUTABLE));
        }
        if self.provisioner != old.provisioner {
            errors.push(invalid(&Path::new("provisioner"), &self.provisioner, IMMUTABLE));
        }
        if self.reclaim_policy != old.reclaim_policy {
            errors.push(invalid(&Path::new("reclaimPolicy"), text(&self.reclaim_policy), IMMUTABLE));
        }
        if self.volume_binding_mode != old.volume_binding_mode {
            errors.push(invalid(&Path::new("volumeBindingMode"), text(&self.volume_binding_mode), IMMUTABLE));
        }
        errors
    }

    fn validate_status_update(&self, old: &Self) -> ErrorList {
        Kind::validate_update(self, old)
    }

    fn warnings(&self) -> Vec<String> {
        let (root, mut warnings) = (Path::new("allowedTopologies"), Vec::new());
        for (position, term) in self.allowed_topologies.iter().flatten().enumerate() {
            let path = root.index(position);
            let path = path.child("matchLabelExpressions");
            for (position, expression) in term.match_label_expressions.iter().flatten().enumerate() {
                let text = deprecation(&expression.key);
                let path = path.index(position);
                warnings.extend(text.map(|text| format!("{}: {text}", path.child("key"))));
            }
        }
        warnings
    }
}

fn validate_provisioner(provisioner: &str, errors: &mut ErrorList) {
    let path = Path::new("provisioner");
    if provisioner.is_empty() {
        errors.push(required(&path, ""));
    } else {
        extend_invalid(errors, &path, provisioner, names::qualified_name(&provisioner.to_lowercase()));
    }
}

/// What each key of a term may be.
type Choices<'a> = BTreeMap<&'a str, BTreeSet<&'a str>>;

fn validate_topologies(terms: &[TopologySelectorTerm], errors: &mut ErrorList) {
    let list_path = Path::new("allowedTopologies");
    let mut known: Vec<Choices<'_>> = Vec::new();
    for (position, term) in terms.iter().enumerate() {
        let path = list_path.index(position);
        let path = path.child("matchLabelExpressions");
        let choices = validate_term(term, &path, errors);
        if known.contains(&choices) {
            errors.push(duplicate(&path, ""));
        }
        known.push(choices);
    }
}

fn validate_term<'a>(term: &'a TopologySelectorTerm, list_path: &Path<'_>, errors: &mut ErrorList) -> Choices<'a> {
    let mut choices = Choices::new();
    for (position, requirement) in term.match_label_expressions.iter().flatten().enumerate() {
        let path = list_path.index(position);
        let values_path = path.child("values");
        let mut values = BTreeSet::new();
        if requirement.values.is_empty() {
            errors.push(required(&values_path, ""));
        }
        for (position, value) in requirement.values.iter().enumerate() {
            if !values.insert(value.as_str()) {
                errors.push(duplicate(&values_path.index(position), value));
            }
        }
        extend_invalid(errors, &path.child("key"), &requirement.key, names::qualified_name(&requirement.key));
        if choices.insert(&requirement.key, values).is_some() {
            errors.push(duplicate(&path.child("key"), &requirement.key));
        }
    }
    choices
}

fn validate_parameters(parameters: Option<&BTreeMap<String, String>>, errors: &mut ErrorList) {
    let Some(parameters) = parameters else { return };
    let path = Path::new("parameters");
    if parameters.len() > MAX_PARAMETERS {
        errors.push(crate::field::too_long(&path, MAX_PARAMETERS));
        return;
    }
    if parameters.contains_key("") {
        errors.push(invalid(&path, "", "field can not be empty."));
    }
    if parameters.iter().map(|(key, value)| key.len() + value.len()).sum::<usize>() > MAX_PARAMETERS_BYTES {
        errors.push(too_long(&path, MAX_PARAMETERS_BYTES));
    }
}

/// Parameters that a class cannot be without.
pub(super) fn require_parameters(parameters: Option<&BTreeMap<String, String>>, errors: &mut ErrorList) {
    if parameters.is_none_or(BTreeMap::is_empty) {
        errors.push(required(&Path::new("parameters"), "must contain at least one key/value pair"));
    }
    validate_parameters(parameters, errors);
}

/// Parameters that changed where they may not.
pub(super) fn forbid_changed_parameters(
    new: Option<&BTreeMap<String, String>>,
    old: Option<&BTreeMap<String, String>>,
    errors: &mut ErrorList,
) {
    if new != old {
        errors.push(forbidden(&Path::new("parameters"), "updates to parameters are forbidden."));
    }
}
