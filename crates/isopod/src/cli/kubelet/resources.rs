//! How the node's resources are shared out.

use std::time::Duration;

use api::quantity::Quantity;
use clap::Args;
use kubelet::cpu_manager::{CpuManagerConfig, CpuSet, Policy, PolicyOptions};
use kubelet::eviction::{DEFAULT_HARD, EvictionConfig, Thresholds};
use kubelet::go_duration;
use kubelet::resources::{Reserved, ResourceConfig};

/// What Pods can have, and when they have to make way.
#[derive(Debug, Args)]
pub struct Resources {
    /// Processes that one Pod may have at most; -1 for as many as the kernel allows
    #[arg(long, default_value_t = -1, value_name = "COUNT", allow_negative_numbers = true)]
    pub pod_max_pids: i64,
    /// Kept for the operating system, for instance cpu=200m,memory=500Mi,ephemeral-storage=1Gi
    #[arg(long, default_value = "", hide_default_value = true, value_name = "RESOURCE=QUANTITY,...")]
    pub system_reserved: Reserved,
    /// Kept for isopod itself, in the same form
    #[arg(long, default_value = "", hide_default_value = true, value_name = "RESOURCE=QUANTITY,...")]
    pub kube_reserved: Reserved,
    /// Who gets CPUs for itself: "none", or "static" for containers of Guaranteed Pods that ask for whole CPUs
    #[arg(long, default_value = "none", value_name = "POLICY")]
    pub cpu_manager_policy: Policy,
    /// How the static policy chooses, for instance full-pcpus-only=true,strict-cpu-reservation=true
    #[arg(long, default_value = "", hide_default_value = true, value_name = "OPTION=BOOL,...")]
    pub cpu_manager_policy_options: PolicyOptions,
    /// CPUs that no container gets for itself, for instance 0-1,4; stands in for the CPUs of --system-reserved and
    /// --kube-reserved
    #[arg(long, default_value = "", hide_default_value = true, value_name = "CPUS")]
    pub reserved_cpus: CpuSet,
    /// Below these amounts or percentages Pods are evicted at once
    #[arg(long, default_value = DEFAULT_HARD, value_name = "SIGNAL<QUANTITY,...")]
    pub eviction_hard: Thresholds,
    /// Below these Pods are evicted after a grace period, for instance memory.available<1.5Gi
    #[arg(long, default_value = "", hide_default_value = true, value_name = "SIGNAL<QUANTITY,...")]
    pub eviction_soft: Thresholds,
    /// How long each soft threshold may be crossed, for instance memory.available=1m30s
    #[arg(long, default_value = "", hide_default_value = true, value_name = "SIGNAL=DURATION,...")]
    pub eviction_soft_grace_period: String,
    /// How much more than its threshold is to be free after an eviction, for instance nodefs.available=500Mi
    #[arg(long, default_value = "", hide_default_value = true, value_name = "SIGNAL=QUANTITY,...")]
    pub eviction_minimum_reclaim: String,
    /// How long a pressure condition of the node lasts at least
    #[arg(long, default_value = "5m0s", value_name = "DURATION", value_parser = duration)]
    pub eviction_pressure_transition_period: Duration,
    /// Grace period of Pods that a soft threshold evicts
    #[arg(long, default_value_t = 0, value_name = "SECONDS")]
    pub eviction_max_pod_grace_period: i64,
}

/// Reads a duration as Go writes it.
pub fn duration(text: &str) -> Result<Duration, String> {
    go_duration::parse(text).ok_or_else(|| format!("{text:?} is not a duration such as 1m30s"))
}

impl Resources {
    /// What the kubelet is given.
    ///
    /// # Errors
    /// When the thresholds contradict each other.
    pub fn resolve(&self) -> anyhow::Result<ResourceConfig> {
        let thresholds = EvictionConfig::resolve(
            &self.eviction_hard,
            &self.eviction_soft,
            &self.eviction_soft_grace_period,
            &self.eviction_minimum_reclaim,
        );
        let (mut system_reserved, mut kube_reserved) = (self.system_reserved.clone(), self.kube_reserved.clone());
        if !self.reserved_cpus.is_empty() {
            let count = i64::try_from(self.reserved_cpus.len())?;
            kube_reserved.0.remove("cpu");
            system_reserved.0.insert("cpu".to_owned(), Quantity::from_value(count));
        }
        Ok(ResourceConfig {
            system_reserved,
            kube_reserved,
            cpu_manager: CpuManagerConfig {
                policy: self.cpu_manager_policy,
                options: self.cpu_manager_policy_options,
                reserved: self.reserved_cpus.clone(),
            },
            pod_pids_limit: (self.pod_max_pids > 0).then_some(self.pod_max_pids),
            eviction: EvictionConfig {
                thresholds: thresholds.map_err(anyhow::Error::msg)?,
                pressure_transition_period: self.eviction_pressure_transition_period,
                max_pod_grace_period_seconds: self.eviction_max_pod_grace_period,
            },
        })
    }
}
