//! The cgroups above all Pods: one for everything, one per class of service below it.

use std::sync::Arc;

use api::core::v1::pod::QosClass;
use linux::cgroup::{Limits, limits};
use tokio::sync::watch;
use tracing::warn;

use super::NodeResources;
use crate::context::NodeContext;

/// The cgroups to make before the first Pod, parents first, by their paths below that of all Pods.
pub fn plan(resources: &NodeResources) -> [(&'static str, Limits); 3] {
    let limit = |name: &str| resources.pods_limit.get(name).copied().unwrap_or_default();
    let memory_bytes = Some(limit("memory").value()).filter(|bytes| *bytes > 0);
    let shares = limits::shares_from_milli_cpu(limit("cpu").milli_value());
    [
        ("", Limits { cpu_shares: Some(shares), memory_bytes, ..Limits::default() }),
        ("/burstable", burstable(0)),
        ("/besteffort", Limits { cpu_shares: Some(limits::shares_from_milli_cpu(0)), ..Limits::default() }),
    ]
}

/// Burstable Pods get together what they ask for.
fn burstable(cpu_milli: i64) -> Limits {
    Limits { cpu_shares: Some(limits::shares_from_milli_cpu(cpu_milli)), ..Limits::default() }
}

/// The cgroup of a class, below that of all Pods.
pub fn of_class(class: QosClass) -> &'static str {
    match class {
        QosClass::Guaranteed => "",
        QosClass::Burstable => "/burstable",
        QosClass::BestEffort => "/besteffort",
    }
}

/// Keeps the share of Burstable Pods at what they ask for, until the sender is gone.
pub async fn follow(context: Arc<NodeContext>, mut cpu_milli: watch::Receiver<i64>) {
    let path = format!("{}{}", context.kubepods(), of_class(QosClass::Burstable));
    while cpu_milli.changed().await.is_ok() {
        let limits = burstable(*cpu_milli.borrow_and_update());
        if let Err(error) = context.host.create_cgroup(&path, &limits) {
            warn!(cgroup = path, %error, "the share of Burstable Pods cannot be set");
        }
    }
}
