//! `/configz`: the configuration in force, as upstream's `KubeletConfiguration`.

use serde_json::{Value, json};

use crate::config::Config;
use crate::go_duration;
use crate::node_shutdown::ShutdownGroup;

/// The document.
pub(crate) fn configuration(config: &Config) -> Value {
    let pods = &config.pods;
    json!({ "kubeletconfig": {
        "kind": "KubeletConfiguration",
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "port": config.node.kubelet_port,
        "authentication": { "anonymous": { "enabled": false }, "webhook": { "enabled": true } },
        "authorization": { "mode": "Webhook" },
        "cgroupDriver": "cgroupfs",
        "cgroupRoot": pods.cgroup_root,
        "clusterDNS": pods.cluster_dns,
        "clusterDomain": pods.cluster_domain,
        "containerLogMaxFiles": pods.container_log_max_files,
        "containerLogMaxSize": pods.container_log_max_bytes.to_string(),
        "imageGCHighThresholdPercent": pods.image_gc.high_percent,
        "imageGCLowThresholdPercent": pods.image_gc.low_percent,
        "imageMaximumGCAge": go_duration::format(pods.image_gc.max_age.unwrap_or_default()),
        "imageMinimumGCAge": go_duration::format(pods.image_gc.min_age),
        "cpuManagerPolicy": config.resources.cpu_manager.policy.as_str(),
        "cpuManagerReconcilePeriod": "10s",
        "reservedSystemCPUs": config.resources.cpu_manager.reserved.to_string(),
        "maxPods": config.node.max_pods,
        "shutdownGracePeriodByPodPriority": shutdown_groups(pods.shutdown.groups()),
        "nodeLeaseDurationSeconds": 40,
        "nodeStatusReportFrequency": "5m0s",
        "nodeStatusUpdateFrequency": "10s",
    } })
}

fn shutdown_groups(groups: &[ShutdownGroup]) -> Vec<Value> {
    let group = |group: &ShutdownGroup| json!({ "priority": group.priority, "shutdownGracePeriodSeconds": group.period.as_secs() });
    groups.iter().map(group).collect()
}
