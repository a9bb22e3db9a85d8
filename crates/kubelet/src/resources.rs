//! What the node has, what it keeps for itself, and what is left for Pods. Pure.

pub mod cgroups;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::str::FromStr;

use api::quantity::Quantity;

use crate::container_config::field_ref::Allocatable;
use crate::cpu_manager::CpuManagerConfig;
use crate::eviction::{EvictionConfig, Signal};
use crate::machine::Machine;

/// Quantities by resource name.
pub type Amounts = BTreeMap<String, Quantity>;

/// How the node's resources are shared out.
#[derive(Debug, Clone, Default)]
pub struct ResourceConfig {
    /// Kept for the operating system (`--system-reserved`).
    pub system_reserved: Reserved,
    /// Kept for the node's own parts (`--kube-reserved`).
    pub kube_reserved: Reserved,
    /// The most processes of one Pod (`--pod-max-pids`); none for no limit.
    pub pod_pids_limit: Option<i64>,
    /// When Pods have to make way.
    pub eviction: EvictionConfig,
    /// Who gets CPUs for itself.
    pub cpu_manager: CpuManagerConfig,
}

impl ResourceConfig {
    /// What the node keeps of a resource.
    pub fn reserved(&self, resource: &str) -> Quantity {
        let kept = [&self.system_reserved, &self.kube_reserved].map(|reserved| reserved.0.get(resource).copied());
        kept.into_iter().flatten().fold(Quantity::ZERO, |sum, one| sum + one)
    }
}

/// Resources kept back: `cpu=100m,memory=200Mi`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Reserved(pub Amounts);

impl FromStr for Reserved {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut amounts = Amounts::new();
        for item in text.split(',').map(str::trim).filter(|item| !item.is_empty()) {
            let (name, quantity) = item.split_once('=').ok_or_else(|| format!("{item:?} is not RESOURCE=QUANTITY"))?;
            if !matches!(name, "cpu" | "memory" | "ephemeral-storage" | "pid") {
                return Err(format!("cannot reserve {name:?} resource"));
            }
            let quantity = Quantity::parse(quantity).map_err(|error| format!("{item:?}: {error}"))?;
            if quantity.is_negative() {
                return Err(format!("resource quantity for {name:?} cannot be negative: {quantity}"));
            }
            amounts.insert(name.to_owned(), quantity);
        }
        Ok(Self(amounts))
    }
}

/// What the node has and what Pods can have of it, without what device plugins add.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NodeResources {
    /// All there is.
    pub capacity: Amounts,
    /// What Pods can request.
    pub allocatable: Amounts,
    /// What all Pods together can use: they may eat into the room that is kept for evictions.
    pub pods_limit: Amounts,
}

impl NodeResources {
    /// Counts what a machine has.
    pub fn of(machine: &Machine, max_pods: u32, config: &ResourceConfig) -> Self {
        let whole = |value: u64| Quantity::from_value(i64::try_from(value).unwrap_or(i64::MAX));
        let bytes = |value: u64| Quantity::from_bytes(i64::try_from(value).unwrap_or(i64::MAX));
        let mut capacity = Amounts::from([
            ("cpu".to_owned(), whole(machine.cpus)),
            ("memory".to_owned(), bytes(machine.memory_bytes)),
            ("ephemeral-storage".to_owned(), bytes(machine.disk_bytes)),
            ("pods".to_owned(), whole(u64::from(max_pods))),
        ]);
        capacity.extend(machine.huge_pages.iter().map(|(name, size)| (name.clone(), bytes(*size))));
        let mut pods_limit = capacity.clone();
        subtract(&mut pods_limit, &config.system_reserved.0);
        subtract(&mut pods_limit, &config.kube_reserved.0);
        let mut allocatable = pods_limit.clone();
        subtract(&mut allocatable, &eviction_reserve(&capacity, &config.eviction));
        // Huge pages are memory that nothing else can use.
        let huge_pages =
            machine.huge_pages.values().map(|size| bytes(*size)).fold(Quantity::ZERO, |sum, one| sum + one);
        subtract(&mut allocatable, &Amounts::from([("memory".to_owned(), huge_pages)]));
        if let Some(disk) = allocatable.get_mut("ephemeral-storage") {
            // Upstream states it in plain bytes.
            *disk = Quantity::from_value(disk.value());
        }
        Self { capacity, allocatable, pods_limit }
    }

    /// What stands in for limits that are not there.
    pub fn downward(&self) -> Allocatable {
        let amount = |name: &str| self.allocatable.get(name).copied().unwrap_or_default();
        Allocatable {
            cpu_milli: amount("cpu").milli_value(),
            memory_bytes: amount("memory").value(),
            ephemeral_storage_bytes: amount("ephemeral-storage").value(),
        }
    }

    /// The node's memory.
    pub fn memory_bytes(&self) -> i64 {
        self.capacity.get("memory").map_or(0, |memory| memory.value())
    }
}

/// What hard thresholds keep free.
fn eviction_reserve(capacity: &Amounts, config: &EvictionConfig) -> Amounts {
    let hard = config.thresholds.iter().filter(|threshold| threshold.is_hard());
    let reserved = hard.filter_map(|threshold| {
        let resource = match threshold.signal {
            Signal::MemoryAvailable => "memory",
            Signal::NodefsAvailable => "ephemeral-storage",
            _ => return None,
        };
        Some((resource.to_owned(), threshold.value.of(capacity.get(resource).copied()?)))
    });
    reserved.collect()
}

/// Takes away, never below zero.
fn subtract(amounts: &mut Amounts, others: &Amounts) {
    for (name, other) in others {
        if let Some(amount) = amounts.get_mut(name) {
            *amount -= *other;
            if amount.is_negative() {
                *amount = Quantity::ZERO;
            }
        }
    }
}
