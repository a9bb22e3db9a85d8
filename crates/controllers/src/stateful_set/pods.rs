//! A StatefulSet's Pods: how they are read and made. Pure.

use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::{PersistentVolumeClaimVolumeSource, Pod, PodTemplateSpec, Volume};

use super::claims;
use crate::ownership;
use crate::pod_control::pod_from_template;
use crate::revisions::POD_LABEL;

/// A Pod's own name, as a label.
pub const NAME_LABEL: &str = "statefulset.kubernetes.io/pod-name";
/// Its ordinal.
pub const INDEX_LABEL: &str = "apps.kubernetes.io/pod-index";

/// The ordinal in a Pod's name, when it is one of this set's names.
pub fn ordinal(set: &str, pod: &str) -> Option<i32> {
    let number = pod.strip_prefix(set)?.strip_prefix('-')?;
    number.bytes().all(|byte| byte.is_ascii_digit()).then(|| number.parse().ok())?
}

/// The name of the Pod with this ordinal.
pub fn name(set: &StatefulSet, ordinal: i32) -> String {
    format!("{}-{ordinal}", set.metadata.name.as_deref().unwrap_or_default())
}

/// Makes the Pod with this ordinal from a template and its revision's name.
pub fn new_pod(set: &StatefulSet, ordinal: i32, revision: &str, template: &PodTemplateSpec) -> Pod {
    let (name, owner) = (name(set, ordinal), ownership::controller_reference(set));
    let mut pod = pod_from_template(&name, template, owner);
    pod.metadata.generate_name = None;
    pod.metadata.name = Some(name.clone());
    pod.metadata.namespace = set.metadata.namespace.clone();
    let labels = pod.metadata.labels.get_or_insert_default();
    labels.insert(NAME_LABEL.to_owned(), name.clone());
    labels.insert(INDEX_LABEL.to_owned(), ordinal.to_string());
    labels.insert(POD_LABEL.to_owned(), revision.to_owned());
    let spec = pod.spec.get_or_insert_default();
    spec.hostname = Some(name);
    spec.subdomain = set.spec.as_ref().and_then(|spec| spec.service_name.clone());
    let claimed: Vec<Volume> = claims::templates(set).map(|template| volume(set, template, ordinal)).collect();
    let mut volumes = spec.volumes.take().unwrap_or_default();
    volumes.retain(|volume| !claimed.iter().any(|claimed| claimed.name == volume.name));
    let volumes: Vec<Volume> = claimed.into_iter().chain(volumes).collect();
    spec.volumes = (!volumes.is_empty()).then_some(volumes);
    pod
}

fn volume(set: &StatefulSet, template: &str, ordinal: i32) -> Volume {
    let source = PersistentVolumeClaimVolumeSource {
        claim_name: claims::name(set, template, ordinal),
        ..PersistentVolumeClaimVolumeSource::default()
    };
    Volume { name: template.to_owned(), persistent_volume_claim: Some(source), ..Volume::default() }
}
