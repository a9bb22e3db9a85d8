//! `metrics.k8s.io`: what nodes and Pods use right now. `kubectl top` and autoscalers read it.

use api::Gvk;

use super::{Backing, Metrics, Resource, ResourceInfo};

const fn row(plural: &'static str, kind: &'static str, namespaced: bool, metrics: Metrics) -> Resource {
    Resource {
        info: ResourceInfo {
            gvk: Gvk { group: "metrics.k8s.io", version: "v1beta1", kind },
            plural,
            singular: "",
            short_names: &[],
            categories: &[],
            namespaced,
            verbs: &["get", "list"],
            subresources: &[],
        },
        backing: Backing::Metrics(metrics),
        actions: &[],
    }
}

/// The row.
pub static NODE_METRICS: Resource = row("nodes", "NodeMetrics", false, Metrics::Nodes);
/// The row.
pub static POD_METRICS: Resource = row("pods", "PodMetrics", true, Metrics::Pods);
