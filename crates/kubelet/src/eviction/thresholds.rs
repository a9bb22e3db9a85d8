//! When the node counts as short of something, as flags say it.

use std::str::FromStr;
use std::time::Duration;

use api::quantity::Quantity;

#[cfg(test)]
mod tests;

/// Something the node can run short of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Signal {
    /// Memory that is not in the node's working set.
    MemoryAvailable,
    /// The same of what all Pods together may use.
    AllocatableMemoryAvailable,
    /// Space on the file system Pods write to.
    NodefsAvailable,
    /// Inodes there.
    NodefsInodesFree,
    /// Space on the file system of images.
    ImagefsAvailable,
    /// Inodes there.
    ImagefsInodesFree,
    /// Space on the file system that containers write to.
    ContainerfsAvailable,
    /// Inodes there.
    ContainerfsInodesFree,
    /// Process ids.
    PidAvailable,
}

impl Signal {
    /// Those that flags can name.
    const NAMED: [Self; 9] = [
        Self::MemoryAvailable,
        Self::AllocatableMemoryAvailable,
        Self::NodefsAvailable,
        Self::NodefsInodesFree,
        Self::ImagefsAvailable,
        Self::ImagefsInodesFree,
        Self::ContainerfsAvailable,
        Self::ContainerfsInodesFree,
        Self::PidAvailable,
    ];

    /// The signal's name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::MemoryAvailable => "memory.available",
            Self::AllocatableMemoryAvailable => "allocatableMemory.available",
            Self::NodefsAvailable => "nodefs.available",
            Self::NodefsInodesFree => "nodefs.inodesFree",
            Self::ImagefsAvailable => "imagefs.available",
            Self::ImagefsInodesFree => "imagefs.inodesFree",
            Self::ContainerfsAvailable => "containerfs.available",
            Self::ContainerfsInodesFree => "containerfs.inodesFree",
            Self::PidAvailable => "pid.available",
        }
    }

    /// What is short then, as messages name it.
    pub fn resource(self) -> &'static str {
        match self {
            Self::MemoryAvailable | Self::AllocatableMemoryAvailable => "memory",
            Self::NodefsAvailable | Self::ImagefsAvailable | Self::ContainerfsAvailable => "ephemeral-storage",
            Self::NodefsInodesFree | Self::ImagefsInodesFree | Self::ContainerfsInodesFree => "inodes",
            Self::PidAvailable => "pids",
        }
    }

    /// Whether memory is short then.
    pub fn is_of_memory(self) -> bool {
        matches!(self, Self::MemoryAvailable | Self::AllocatableMemoryAvailable)
    }

    /// The node condition that says so.
    pub fn condition(self) -> &'static str {
        match self {
            Self::MemoryAvailable | Self::AllocatableMemoryAvailable => "MemoryPressure",
            Self::PidAvailable => "PIDPressure",
            Self::NodefsAvailable
            | Self::NodefsInodesFree
            | Self::ImagefsAvailable
            | Self::ImagefsInodesFree
            | Self::ContainerfsAvailable
            | Self::ContainerfsInodesFree => "DiskPressure",
        }
    }

    /// The signal of the containers' file system, if this one's stands for it.
    fn of_containers(self, disks: Disks) -> Option<Self> {
        match (disks, self) {
            (Disks::Shared, Self::NodefsAvailable) | (Disks::ImagesApart, Self::ImagefsAvailable) => {
                Some(Self::ContainerfsAvailable)
            }
            (Disks::Shared, Self::NodefsInodesFree) | (Disks::ImagesApart, Self::ImagefsInodesFree) => {
                Some(Self::ContainerfsInodesFree)
            }
            _ => None,
        }
    }

    fn parse(text: &str) -> Result<Self, String> {
        let known = Self::NAMED.into_iter().find(|signal| signal.as_str() == text);
        known.ok_or_else(|| format!("unsupported eviction signal {text}"))
    }
}

/// How the node's file systems are laid out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Disks {
    /// Everything is on one.
    Shared,
    /// Images and what containers write are on one of their own.
    ImagesApart,
}

/// An amount, or a part of the capacity.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Limit {
    /// So much.
    Quantity(Quantity),
    /// So much of one.
    Share(f64),
}

impl Limit {
    /// The amount, for this capacity.
    pub fn of(self, capacity: Quantity) -> Quantity {
        match self {
            Self::Quantity(quantity) => quantity,
            Self::Share(share) => Quantity::from_bytes((capacity.value() as f64 * share) as i64),
        }
    }

    fn parse(signal: Signal, text: &str, what: &str) -> Result<Self, String> {
        if let Some(percent) = text.strip_suffix('%') {
            let percent: f64 = percent.parse().map_err(|_| format!("{text:?} is not a percentage"))?;
            if !(0.0..100.0).contains(&percent) {
                let name = signal.as_str();
                return Err(format!("eviction percentage {what} {name} must be >= 0% and < 100%: {text}"));
            }
            return Ok(Self::Share(percent / 100.0));
        }
        let quantity = Quantity::parse(text).map_err(|error| format!("{text:?}: {error}"))?;
        if quantity.is_negative() {
            return Err(format!("eviction {what} {} must be positive: {text}", signal.as_str()));
        }
        Ok(Self::Quantity(quantity))
    }
}

/// A line that must not be crossed.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Threshold {
    /// What is looked at.
    pub signal: Signal,
    /// Less than this is too little.
    pub value: Limit,
    /// How long it may be too little before Pods are evicted; zero for a hard threshold.
    pub grace_period: Duration,
    /// How much more must be free before the threshold counts as kept again.
    pub min_reclaim: Option<Limit>,
}

impl Threshold {
    /// Whether Pods are evicted as soon as it is crossed.
    pub fn is_hard(&self) -> bool {
        self.grace_period.is_zero()
    }
}

/// `memory.available<100Mi,nodefs.available<10%`: hard, as it is.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Thresholds(pub Vec<Threshold>);

impl FromStr for Thresholds {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut thresholds: Vec<Threshold> = Vec::new();
        for (signal, value) in items(text, '<')? {
            if thresholds.iter().any(|known| known.signal == signal) {
                return Err(format!("found duplicate eviction threshold for signal {}", signal.as_str()));
            }
            let value = Limit::parse(signal, value, "threshold")?;
            // A threshold of nothing is how one of the defaults is switched off.
            if value != Limit::Share(0.0) {
                thresholds.push(Threshold { signal, value, grace_period: Duration::ZERO, min_reclaim: None });
            }
        }
        Ok(Self(thresholds))
    }
}

/// `memory.available=1m30s`, and its like for amounts.
fn items(text: &str, separator: char) -> Result<Vec<(Signal, &str)>, String> {
    let items = text.split(',').map(str::trim).filter(|item| !item.is_empty());
    items
        .map(|item| {
            let (signal, value) =
                item.split_once(separator).ok_or_else(|| format!("{item:?} is not SIGNAL{separator}VALUE"))?;
            Ok((Signal::parse(signal.trim())?, value.trim()))
        })
        .collect()
}

/// When Pods have to make way.
#[derive(Debug, Clone, PartialEq)]
pub struct EvictionConfig {
    /// All thresholds, hard and soft.
    pub thresholds: Vec<Threshold>,
    /// How long a pressure condition stays after its cause is gone.
    pub pressure_transition_period: Duration,
    /// The grace period of Pods that soft thresholds evict, in seconds.
    pub max_pod_grace_period_seconds: i64,
}

/// What hard thresholds are unless flags say otherwise.
pub const DEFAULT_HARD: &str =
    "memory.available<100Mi,nodefs.available<10%,nodefs.inodesFree<5%,imagefs.available<15%,imagefs.inodesFree<5%";

impl Default for EvictionConfig {
    fn default() -> Self {
        let hard = DEFAULT_HARD.parse().expect("a constant");
        let thresholds = Self::resolve(&hard, &Thresholds::default(), "", "").expect("a constant");
        Self { thresholds, pressure_transition_period: Duration::from_secs(300), max_pod_grace_period_seconds: 0 }
    }
}

impl EvictionConfig {
    /// Brings hard and soft thresholds, grace periods and amounts to reclaim together.
    ///
    /// # Errors
    /// For a soft threshold without grace period, and for what is none of these.
    pub fn resolve(
        hard: &Thresholds,
        soft: &Thresholds,
        soft_grace_periods: &str,
        minimum_reclaim: &str,
    ) -> Result<Vec<Threshold>, String> {
        let mut thresholds = hard.0.clone();
        let periods = items(soft_grace_periods, '=')?;
        for threshold in &soft.0 {
            let name = threshold.signal.as_str();
            let period = periods.iter().find(|(signal, _)| *signal == threshold.signal);
            let (_, period) = period
                .ok_or_else(|| format!("grace period must be specified for the soft eviction threshold {name}"))?;
            let grace_period =
                crate::go_duration::parse(period).filter(|period| !period.is_zero()).ok_or_else(|| {
                    format!("invalid eviction grace period specified: {period}, must be a positive value")
                })?;
            thresholds.push(Threshold { grace_period, ..*threshold });
        }
        for (signal, value) in items(minimum_reclaim, '=')? {
            let amount = Limit::parse(signal, value, "minimum reclaim")?;
            let concerned = thresholds.iter_mut().filter(|threshold| threshold.signal == signal);
            concerned.for_each(|threshold| threshold.min_reclaim = Some(amount));
        }
        // What Pods may use together is held by their cgroup, which has as much room to spare as the node.
        let of_pods = thresholds.iter().filter(|one| one.signal == Signal::MemoryAvailable && one.is_hard());
        let of_pods = of_pods.map(|one| Threshold { signal: Signal::AllocatableMemoryAvailable, ..*one });
        let of_pods: Vec<Threshold> = of_pods.collect();
        thresholds.extend(of_pods);
        Ok(thresholds)
    }

    /// The thresholds for a node with such disks. Those of the containers' file system follow from the file system it
    /// is on, whatever flags say.
    pub fn for_disks(mut self, disks: Disks) -> Self {
        let is_of_containers = |signal| matches!(signal, Signal::ContainerfsAvailable | Signal::ContainerfsInodesFree);
        self.thresholds.retain(|threshold| !is_of_containers(threshold.signal));
        let of_containers = self.thresholds.iter().filter_map(|threshold| {
            let signal = threshold.signal.of_containers(disks)?;
            Some(Threshold { signal, ..*threshold })
        });
        let of_containers: Vec<Threshold> = of_containers.collect();
        self.thresholds.extend(of_containers);
        self
    }
}
