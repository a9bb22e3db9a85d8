//! Pods with scheduling gates wait until the gates are gone. (The queue asks, before anything else.)

use crate::pod_info::PodInfo;

/// The reason of the condition of a Pod that is held back.
pub const REASON: &str = "SchedulingGated";
/// Its message.
pub const MESSAGE: &str = "Scheduling is blocked due to non-empty scheduling gates";

/// Whether the Pod is held back.
pub fn holds_back(pod: &PodInfo) -> bool {
    pod.facts.gated
}
