//! The Pods that objects are, or stand for.

use api::Object;
use api::k8s_openapi::api::apps::v1::{DaemonSet, Deployment, ReplicaSet, StatefulSet};
use api::k8s_openapi::api::batch::v1::{CronJob, Job};
use api::k8s_openapi::api::core::v1::{Pod, PodSpec, PodTemplate, PodTemplateSpec, ReplicationController};
use api::k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

/// Metadata and spec of the Pod that an object is or will make, if it does.
pub fn template_of(object: &dyn Object) -> Option<(&ObjectMeta, &PodSpec)> {
    let any = object.as_any();
    if let Some(pod) = any.downcast_ref::<Pod>() {
        return Some((&pod.metadata, pod.spec.as_ref()?));
    }
    let template: &PodTemplateSpec = if let Some(object) = any.downcast_ref::<ReplicaSet>() {
        object.spec.as_ref()?.template.as_ref()?
    } else if let Some(object) = any.downcast_ref::<Deployment>() {
        &object.spec.as_ref()?.template
    } else if let Some(object) = any.downcast_ref::<StatefulSet>() {
        &object.spec.as_ref()?.template
    } else if let Some(object) = any.downcast_ref::<DaemonSet>() {
        &object.spec.as_ref()?.template
    } else if let Some(object) = any.downcast_ref::<Job>() {
        &object.spec.as_ref()?.template
    } else if let Some(object) = any.downcast_ref::<CronJob>() {
        &object.spec.job_template.spec.as_ref()?.template
    } else if let Some(object) = any.downcast_ref::<ReplicationController>() {
        object.spec.as_ref()?.template.as_ref()?
    } else {
        any.downcast_ref::<PodTemplate>()?.template.as_ref()?
    };
    static NOTHING: std::sync::LazyLock<ObjectMeta> = std::sync::LazyLock::new(ObjectMeta::default);
    Some((template.metadata.as_ref().unwrap_or(&NOTHING), template.spec.as_ref()?))
}
