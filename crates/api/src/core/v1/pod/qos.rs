//! The quality of service class of a Pod.

use std::fmt;

use k8s_openapi::api::core::v1::{Container, Pod, ResourceRequirements};

use super::spec_of;
use crate::core::v1::resource_list::ResourceList;
use crate::quantity::Quantity;

#[cfg(test)]
mod tests;

/// How well a Pod is served when its node runs short.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum QosClass {
    /// Every container has CPU and memory limits, and requests as much.
    Guaranteed,
    /// Anything in between.
    Burstable,
    /// No container asks for CPU or memory.
    BestEffort,
}

impl QosClass {
    /// The class as `status.qosClass` names it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Guaranteed => "Guaranteed",
            Self::Burstable => "Burstable",
            Self::BestEffort => "BestEffort",
        }
    }
}

impl fmt::Display for QosClass {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

/// CPU and memory, the two resources that make the class.
#[derive(Default, Clone, Copy, PartialEq)]
struct Compute {
    cpu: Option<Quantity>,
    memory: Option<Quantity>,
}

impl Compute {
    /// The amounts above zero.
    fn of(list: Option<&ResourceList>) -> Self {
        let get = |name| {
            let amount = Quantity::of(list?.get(name)?);
            (amount > Quantity::ZERO).then_some(amount)
        };
        Self { cpu: get("cpu"), memory: get("memory") }
    }

    fn add(&mut self, other: Self) {
        let sum = |a: Option<Quantity>, b: Option<Quantity>| match (a, b) {
            (Some(a), Some(b)) => Some(a + b),
            (a, b) => a.or(b),
        };
        *self = Self { cpu: sum(self.cpu, other.cpu), memory: sum(self.memory, other.memory) };
    }

    fn is_complete(self) -> bool {
        self.cpu.is_some() && self.memory.is_some()
    }
}

/// The class a Pod's spec puts it in. Resources of the Pod as a whole count alone where they are set.
pub fn qos_class(pod: &Pod) -> QosClass {
    let spec = spec_of(pod);
    let (mut requests, mut limits) = (Compute::default(), Compute::default());
    let mut all_limited = true;
    let mut count = |resources: Option<&ResourceRequirements>| {
        requests.add(Compute::of(resources.and_then(|resources| resources.requests.as_ref())));
        let own = Compute::of(resources.and_then(|resources| resources.limits.as_ref()));
        all_limited &= own.is_complete();
        limits.add(own);
    };
    if let Some(resources) = &spec.resources {
        count(Some(resources));
    } else {
        let containers = spec.containers.iter().chain(spec.init_containers.iter().flatten());
        containers.for_each(|container: &Container| count(container.resources.as_ref()));
    }
    if requests == Compute::default() && limits == Compute::default() {
        QosClass::BestEffort
    } else if all_limited && requests == limits {
        QosClass::Guaranteed
    } else {
        QosClass::Burstable
    }
}
