//! The labels and annotations by which a sandbox or container says whose it is. They are upstream's, so that `crictl`
//! and log collectors find what they look for, and they are all a restarted kubelet needs to adopt what runs.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{Container, Lifecycle, Pod};

use crate::plan_pod::Epoch;
use crate::pod;

/// Label: the Pod's name.
pub const POD_NAME: &str = "io.kubernetes.pod.name";
/// Label: the Pod's namespace.
pub const POD_NAMESPACE: &str = "io.kubernetes.pod.namespace";
/// Label: the Pod's UID.
pub const POD_UID: &str = "io.kubernetes.pod.uid";
/// Label: the container's name.
pub const CONTAINER_NAME: &str = "io.kubernetes.container.name";
/// Annotation: hash of the fields whose change needs a new container.
pub const CONTAINER_HASH: &str = "io.kubernetes.container.hash";
/// Annotation: how many instances came before.
pub const RESTART_COUNT: &str = "io.kubernetes.container.restartCount";
/// Annotation: how often the Pod had started over as a whole before; absent for never.
pub const EPOCH: &str = "io.isopod.container.epoch";
/// Annotation: path of the termination message in the container.
pub const TERMINATION_MESSAGE_PATH: &str = "io.kubernetes.container.terminationMessagePath";
/// Annotation: where the termination message comes from.
pub const TERMINATION_MESSAGE_POLICY: &str = "io.kubernetes.container.terminationMessagePolicy";
/// Annotation: CPU and memory it was created with, as JSON.
pub const CONTAINER_RESOURCES: &str = "isopod.container.resources";
/// Annotation: the Pod's own grace period, for a Pod that is known from the runtime only.
pub const GRACE_PERIOD: &str = "io.kubernetes.pod.terminationGracePeriod";
/// Annotation: the `preStop` hook as JSON, for the same Pods.
pub const PRE_STOP: &str = "io.kubernetes.container.preStopHandler";
/// Annotation: the container's ports as JSON, which hooks may name.
pub const PORTS: &str = "io.kubernetes.container.ports";

/// Labels of a sandbox: the Pod's, then whose it is.
pub fn sandbox_labels(pod: &Pod) -> BTreeMap<String, String> {
    let mut labels = pod.metadata.labels.clone().unwrap_or_default();
    labels.extend(pod_labels(pod));
    labels
}

/// Labels of a container.
pub fn container_labels(pod: &Pod, container: &Container) -> BTreeMap<String, String> {
    let mut labels = pod_labels(pod);
    labels.insert(CONTAINER_NAME.to_owned(), container.name.clone());
    labels
}

fn pod_labels(pod: &Pod) -> BTreeMap<String, String> {
    BTreeMap::from([
        (POD_NAME.to_owned(), pod::name(pod).to_owned()),
        (POD_NAMESPACE.to_owned(), pod::namespace(pod).to_owned()),
        (POD_UID.to_owned(), pod::uid(pod).to_string()),
    ])
}

/// Annotations of a container.
pub fn container_annotations(pod: &Pod, container: &Container, attempt: u32, epoch: Epoch) -> BTreeMap<String, String> {
    let mut annotations = BTreeMap::from([
        (CONTAINER_HASH.to_owned(), container_hash(container)),
        (RESTART_COUNT.to_owned(), attempt.to_string()),
        (CONTAINER_RESOURCES.to_owned(), resources_text(container)),
    ]);
    let ports = container.ports.as_ref().filter(|ports| !ports.is_empty());
    let pre_stop = container.lifecycle.as_ref().and_then(|lifecycle| lifecycle.pre_stop.as_ref());
    let optional = [
        (PRE_STOP, pre_stop.map(json)),
        (PORTS, ports.map(json)),
        (EPOCH, (epoch != Epoch::default()).then(|| epoch.0.to_string())),
        (TERMINATION_MESSAGE_PATH, container.termination_message_path.clone()),
        (TERMINATION_MESSAGE_POLICY, container.termination_message_policy.clone()),
        (
            GRACE_PERIOD,
            pod.spec.as_ref().and_then(|spec| spec.termination_grace_period_seconds).map(|seconds| seconds.to_string()),
        ),
    ];
    annotations.extend(optional.into_iter().filter_map(|(key, value)| Some((key.to_owned(), value?))));
    annotations
}

/// As much of a container's spec as is needed to end it, for one whose Pod nobody knows any more. What cannot be read
/// was not written by us, and is left out.
pub fn restored_container(name: &str, annotations: &BTreeMap<String, String>) -> Container {
    let pre_stop = annotations.get(PRE_STOP).and_then(|text| serde_json::from_str(text).ok());
    Container {
        name: name.to_owned(),
        lifecycle: pre_stop.map(|hook| Lifecycle { pre_stop: Some(hook), ..Lifecycle::default() }),
        ports: annotations.get(PORTS).and_then(|text| serde_json::from_str(text).ok()),
        ..Container::default()
    }
}

fn resources_text(container: &Container) -> String {
    json(&container.resources.clone().unwrap_or_default())
}

fn json(value: &impl serde::Serialize) -> String {
    serde_json::to_string(value).expect("plain data encodes")
}

/// FNV-1a of what cannot change under a running container: its name and image. Stable across versions of isopod, or
/// an upgrade would restart every container.
pub fn container_hash(container: &Container) -> String {
    let image = container.image.as_deref().unwrap_or_default();
    let bytes = container.name.bytes().chain([0]).chain(image.bytes());
    let hash = bytes.fold(0x811c_9dc5_u32, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193));
    format!("{hash:x}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::pod as spec_pod;

    #[test]
    fn annotations_tell_how_a_container_is_ended() {
        let pod = spec_pod(
            "{terminationGracePeriodSeconds: 7, containers: [{name: app, image: x, ports: [{name: web, containerPort: 80}], \
             lifecycle: {preStop: {httpGet: {port: web}}}}, {name: plain, image: x}]}",
        );
        for container in pod::containers(&pod) {
            let annotations = container_annotations(&pod, container, 0, Epoch::default());
            let restored = restored_container(&container.name, &annotations);
            assert_eq!((&restored.lifecycle, &restored.ports), (&container.lifecycle, &container.ports));
            assert_eq!(annotations[GRACE_PERIOD], "7");
        }
        let garbled = BTreeMap::from([(PRE_STOP.to_owned(), "{".to_owned())]);
        assert_eq!(restored_container("app", &garbled).lifecycle, None);
    }

    #[test]
    fn the_hash_is_fixed_and_sees_name_and_image_only() {
        let container = |name: &str, image: &str| Container {
            name: name.to_owned(),
            image: Some(image.to_owned()),
            ..Container::default()
        };
        let hash = container_hash(&container("app", "nginx:1"));
        assert_eq!(hash, "45d9abdd");
        assert_ne!(hash, container_hash(&container("app", "nginx:2")));
        let mut changed = container("app", "nginx:1");
        changed.tty = Some(true);
        assert_eq!(hash, container_hash(&changed));
    }
}
