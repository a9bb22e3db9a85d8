//! Pods.

use k8s_openapi::api::core::v1::{Container, Pod, PodSpec, PodStatus};

use crate::field::{ErrorList, Path};
use crate::object::Kind;

pub mod conditions;
mod containers;
mod defaults;
pub mod downward;
mod image;
pub mod prepare;
mod qos;
mod references;
pub mod resources;
pub mod template;
#[cfg(test)]
mod tests;
mod validation;
mod warnings;

pub use containers::{ContainerKind, ContainerRef, containers_of};
pub use defaults::default_pod_spec;
pub(crate) use defaults::default_selector;
pub use image::image_tag;
pub use qos::{QosClass, qos_class};
pub use references::{api_reference, mirror_problem};
pub(crate) use validation::{
    check_label, check_no_backsteps, network_volumes, require, require_label, validate_node_selector,
    validate_overhead, volumes,
};
pub use validation::{validate_ephemeral_containers_update, validate_resize};

/// The phase of a Pod that is not running yet.
pub const PHASE_PENDING: &str = "Pending";
/// The phase of a Pod with a running container.
pub const PHASE_RUNNING: &str = "Running";
/// The phase of a Pod whose containers all ended well.
pub const PHASE_SUCCEEDED: &str = "Succeeded";
/// The phase of a Pod whose containers all ended, one of them badly.
pub const PHASE_FAILED: &str = "Failed";
/// The annotation of Pods that mirror a node's static Pod.
pub const MIRROR_ANNOTATION: &str = "kubernetes.io/config.mirror";
/// The annotation that says where a node has a Pod from: `api`, `file` or `http`.
pub const SOURCE_ANNOTATION: &str = "kubernetes.io/config.source";
/// The annotation with the hash of a static Pod's manifest, which is its UID on the node.
pub const HASH_ANNOTATION: &str = "kubernetes.io/config.hash";
/// The annotation that says when a node first saw a static Pod.
pub const SEEN_ANNOTATION: &str = "kubernetes.io/config.seen";

impl Kind for Pod {
    fn set_defaults(&mut self) {
        defaults::set_defaults(self);
    }

    fn validate(&self) -> ErrorList {
        validation::validate_create(self)
    }

    fn validate_update(&self, old: &Self) -> ErrorList {
        validation::validate_update(self, old)
    }

    fn validate_status_update(&self, old: &Self) -> ErrorList {
        validation::validate_status_update(self, old)
    }

    fn warnings(&self) -> Vec<String> {
        warnings::warnings(&self.metadata, spec_of(self), &Path::ROOT)
    }

    /// People seldom change Pods, and nodes often do.
    fn update_warnings(&self, _old: &Self) -> Vec<String> {
        Vec::new()
    }
}

/// Whether a Pod has ended for good.
pub fn is_terminal(pod: &Pod) -> bool {
    let phase = pod.status.as_ref().and_then(|status| status.phase.as_deref());
    matches!(phase, Some(PHASE_SUCCEEDED | PHASE_FAILED))
}

/// Whether an init container runs beside the containers (a sidecar) instead of before them.
pub fn is_sidecar(init_container: &Container) -> bool {
    init_container.restart_policy.as_deref() == Some("Always")
}

/// The spec of a Pod; one without any counts as empty.
pub(crate) fn spec_of(pod: &Pod) -> &PodSpec {
    static EMPTY: std::sync::LazyLock<PodSpec> = std::sync::LazyLock::new(PodSpec::default);
    pod.spec.as_ref().unwrap_or(&EMPTY)
}

/// The status of a Pod; one without any counts as empty.
pub(crate) fn status_of(pod: &Pod) -> &PodStatus {
    static EMPTY: std::sync::LazyLock<PodStatus> = std::sync::LazyLock::new(PodStatus::default);
    pod.status.as_ref().unwrap_or(&EMPTY)
}
