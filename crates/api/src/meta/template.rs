//! The metadata of what is made from a template: only labels and annotations are taken over.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use super::validate_annotations;
use crate::field::{ErrorList, Path, forbidden};
use crate::labels::validate_labels;

/// Every problem of the metadata in a template.
pub fn validate_template_meta(meta: &ObjectMeta, path: &Path<'_>) -> ErrorList {
    let mut errors = validate_annotations(meta.annotations.as_ref(), &path.child("annotations"));
    errors.extend(validate_labels(meta.labels.as_ref(), &path.child("labels")));
    let set = [
        ("name", meta.name.is_some()),
        ("generateName", meta.generate_name.is_some()),
        ("namespace", meta.namespace.is_some()),
        ("selfLink", meta.self_link.is_some()),
        ("uID", meta.uid.is_some()),
        ("resourceVersion", meta.resource_version.is_some()),
        ("generation", meta.generation.is_some()),
        ("creationTimestamp", meta.creation_timestamp.is_some()),
        ("deletionTimestamp", meta.deletion_timestamp.is_some()),
        ("deletionGracePeriodSeconds", meta.deletion_grace_period_seconds.is_some()),
        ("ownerReferences", meta.owner_references.is_some()),
        ("finalizers", meta.finalizers.is_some()),
        ("managedFields", meta.managed_fields.is_some()),
    ];
    let refused = set.into_iter().filter(|(_, set)| *set);
    errors.extend(refused.map(|(field, _)| forbidden(&path.child(field), "cannot be set")));
    errors
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_labels_and_annotations_may_be_set() {
        let meta = |value: serde_json::Value| serde_json::from_value::<ObjectMeta>(value).expect("metadata");
        let problems = |value| -> Vec<String> {
            validate_template_meta(&meta(value), &Path::new("m")).iter().map(ToString::to_string).collect()
        };
        assert!(problems(serde_json::json!({"labels": {"a": "b"}, "annotations": {"c": "d"}})).is_empty());
        let refused = problems(serde_json::json!({"uid": "u", "name": "n", "finalizers": ["a/b"]}));
        let expected = ["m.name", "m.uID", "m.finalizers"].map(|path| format!("{path}: Forbidden: cannot be set"));
        assert_eq!(refused, expected);
    }
}
