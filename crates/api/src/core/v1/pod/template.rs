//! Templates of Pods, in the kinds that make Pods from them: the Pod's own rules, at another place.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{PodSpec, PodTemplateSpec, Volume};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use super::defaults::default_pod_spec;
use super::{validation, warnings};
use crate::field::{ErrorList, Path, at, forbidden, invalid};
use crate::labels::validate_labels;
use crate::meta::validate_annotations;
use crate::names;
use crate::omit_empty;

/// Fills what a template leaves out. Unlike a Pod, a template does not follow its limits with requests: that is done
/// when a Pod is made of it.
pub fn set_defaults(template: &mut PodTemplateSpec) {
    omit_empty::metadata(template.metadata.get_or_insert_default());
    default_pod_spec(template.spec.get_or_insert_default());
}

/// The spec of a template; one without any counts as empty.
pub fn spec_of(template: &PodTemplateSpec) -> &PodSpec {
    static EMPTY: std::sync::LazyLock<PodSpec> = std::sync::LazyLock::new(PodSpec::default);
    template.spec.as_ref().unwrap_or(&EMPTY)
}

/// The labels of a template, which its Pods will have.
pub fn labels_of(template: &PodTemplateSpec) -> Option<&BTreeMap<String, String>> {
    template.metadata.as_ref().and_then(|meta| meta.labels.as_ref())
}

/// Every problem of a template at `path`.
pub fn validate(template: &PodTemplateSpec, path: &Path<'_>) -> ErrorList {
    let none = ObjectMeta::default();
    let (meta, spec) = (template.metadata.as_ref().unwrap_or(&none), spec_of(template));
    let mut errors = validate_labels(meta.labels.as_ref(), &path.child("labels"));
    let annotations_path = path.child("annotations");
    errors.extend(validate_annotations(meta.annotations.as_ref(), &annotations_path));
    validation::validate_annotations(meta, spec, &annotations_path, &mut errors);
    let mut below = ErrorList::new();
    validation::validate_spec(spec, None, &mut below);
    validation::validate_profiles_agree(meta, spec, &mut below);
    errors.extend(at(path, below));
    if spec.ephemeral_containers.as_ref().is_some_and(|containers| !containers.is_empty()) {
        let path = path.child("spec");
        let message = "ephemeral containers not allowed in pod template";
        errors.push(forbidden(&path.child("ephemeralContainers"), message));
    }
    errors
}

/// Disks that only one node can write to, in volumes that several Pods will share.
pub fn validate_shared_volumes(volumes: Option<&Vec<Volume>>, path: &Path<'_>, errors: &mut ErrorList) {
    for (position, volume) in volumes.into_iter().flatten().enumerate() {
        let writable = volume.gce_persistent_disk.as_ref().is_some_and(|disk| disk.read_only != Some(true));
        if writable {
            let path = path.index(position);
            let path = path.child("gcePersistentDisk");
            let message = "must be true for replicated pods > 1; GCE PD can only be mounted on multiple machines if it \
                           is read-only";
            errors.push(invalid(&path.child("readOnly"), false, message));
        }
    }
}

/// What in a template at `path` is fine but hardly meant.
pub fn warnings(template: &PodTemplateSpec, path: &Path<'_>) -> Vec<String> {
    let none = ObjectMeta::default();
    let (meta, spec) = (template.metadata.as_ref().unwrap_or(&none), spec_of(template));
    let mut texts = warnings::warnings(meta, spec, path);
    warnings::warn_of_app_armor(meta, spec, path, &mut texts);
    texts
}

/// A name that becomes part of the names of Pods, which become host names.
pub fn name_warnings(meta: &ObjectMeta) -> Vec<String> {
    let problems = names::dns1123_label(meta.name.as_deref().unwrap_or_default());
    if problems.is_empty() {
        return Vec::new();
    }
    let problems = problems.join(" ");
    vec![format!(
        "metadata.name: this is used in Pod names and hostnames, which can result in surprising behavior; a DNS label \
         is recommended: [{problems}]"
    )]
}

#[cfg(test)]
mod tests {
    use k8s_openapi::api::apps::v1::{DaemonSet, Deployment, ReplicaSet, StatefulSet};
    use k8s_openapi::api::batch::v1::{CronJob, Job};
    use k8s_openapi::api::core::v1::ReplicationController;
    use serde::de::DeserializeOwned;
    use serde_json::json;

    use super::*;
    use crate::Kind;

    #[test]
    fn owners_warn_of_their_template_when_they_are_new_or_changed() {
        fn check<K: Kind + DeserializeOwned>(spec: &serde_json::Value) {
            let object: K = serde_json::from_value(json!({"metadata": {"name": "a"}, "spec": spec})).unwrap();
            let mut changed = object.clone();
            changed.metadata_mut().generation = Some(2);
            assert_eq!(object.warnings().len(), 1, "{}", K::KIND);
            assert_eq!(changed.update_warnings(&object), object.warnings(), "{}", K::KIND);
            assert_eq!(object.update_warnings(&object), Vec::<String>::new(), "{}", K::KIND);
        }
        let pods = json!({"spec": {"nodeSelector": {"beta.kubernetes.io/os": "linux"}, "containers": []}});
        let spec = json!({"template": pods, "selector": {}});
        check::<DaemonSet>(&spec);
        check::<Deployment>(&spec);
        check::<Job>(&spec);
        check::<ReplicaSet>(&spec);
        check::<ReplicationController>(&spec);
        check::<StatefulSet>(&spec);
        check::<CronJob>(&json!({"schedule": "* * * * *", "jobTemplate": {"spec": spec}}));
    }

    fn template(value: serde_json::Value) -> PodTemplateSpec {
        let mut template = serde_json::from_value(value).unwrap();
        set_defaults(&mut template);
        template
    }

    #[test]
    fn problems_and_warnings_stand_below_the_template() {
        let spec = Path::new("spec");
        let path = spec.child("template");
        let port = json!({"containerPort": 80});
        let template = template(json!({
            "metadata": {"labels": {"a b": "c"}, "annotations": {"x y": ""}},
            "spec": {"containers": [{"name": "A_", "image": "i", "ports": [port, port]}],
                     "ephemeralContainers": [{"name": "e", "image": "i"}]},
        }));
        let errors = validate(&template, &path);
        let fields: Vec<&str> = errors.iter().map(|error| error.field.as_str()).collect();
        let expected = [
            "spec.template.labels",
            "spec.template.annotations",
            "spec.template.spec.containers[0].name",
            "spec.template.spec.ephemeralContainers",
        ];
        assert_eq!(fields, expected);
        assert_eq!(
            warnings(&template, &path),
            ["spec.template.spec.containers[0].ports[1]: duplicate port definition with \
              spec.template.spec.containers[0].ports[0]"]
        );
    }

    #[test]
    fn defaults_are_those_of_pods_but_for_what_is_decided_when_one_is_made() {
        let template = template(json!({"spec": {"containers": [
            {"name": "c", "image": "i", "resources": {"limits": {"cpu": "1"}}}]}}));
        let spec = spec_of(&template);
        assert_eq!(spec.restart_policy.as_deref(), Some("Always"));
        assert_eq!(spec.enable_service_links, None);
        assert!(spec.containers[0].resources.as_ref().unwrap().requests.is_none());
        assert!(validate(&template, &Path::ROOT).is_empty());
    }
}
