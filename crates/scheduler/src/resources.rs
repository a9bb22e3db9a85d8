//! Amounts of resources as integers, so that a scheduling cycle never parses a quantity.

use std::collections::BTreeMap;
use std::sync::Arc;

use api::quantity::Quantity;
use k8s_openapi::apimachinery::pkg::api::resource::Quantity as ApiQuantity;

/// An API object's resource list.
pub type ResourceList = BTreeMap<String, ApiQuantity>;

/// Amounts per resource. Everything but CPU, memory, ephemeral storage and the number of Pods is `extended`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Resources {
    /// Thousandths of a CPU.
    pub cpu_milli: i64,
    /// Bytes of memory.
    pub memory_bytes: i64,
    /// Bytes of local disk.
    pub ephemeral_storage_bytes: i64,
    /// Devices, huge pages and the like, sorted by name.
    pub extended: Vec<(Arc<str>, i64)>,
}

impl Resources {
    /// The amounts in a list; `pods` is not among them.
    pub fn of(list: &ResourceList) -> Self {
        let mut resources = Self::default();
        for (name, quantity) in list {
            let quantity = Quantity::of(quantity);
            match name.as_str() {
                "cpu" => resources.cpu_milli = quantity.milli_value(),
                "memory" => resources.memory_bytes = quantity.value(),
                "ephemeral-storage" => resources.ephemeral_storage_bytes = quantity.value(),
                "pods" => {}
                _ => resources.set_extended(name, quantity.value()),
            }
        }
        resources
    }

    /// The amount of an extended resource.
    pub fn extended_amount(&self, name: &str) -> i64 {
        self.position(name).map_or(0, |position| self.extended[position].1)
    }

    /// The amount of any resource.
    pub fn amount(&self, name: &str) -> i64 {
        match name {
            "cpu" => self.cpu_milli,
            "memory" => self.memory_bytes,
            "ephemeral-storage" => self.ephemeral_storage_bytes,
            _ => self.extended_amount(name),
        }
    }

    /// Adds `other`, resource by resource.
    pub fn add(&mut self, other: &Self) {
        self.combine(other, i64::saturating_add);
    }

    /// Subtracts `other`, which was added before.
    pub fn subtract(&mut self, other: &Self) {
        self.combine(other, i64::saturating_sub);
        self.extended.retain(|(_, amount)| *amount != 0);
    }

    /// Raises each resource to at least that of `other`.
    pub fn raise_to(&mut self, other: &Self) {
        self.combine(other, i64::max);
    }

    fn combine(&mut self, other: &Self, operation: impl Fn(i64, i64) -> i64) {
        self.cpu_milli = operation(self.cpu_milli, other.cpu_milli);
        self.memory_bytes = operation(self.memory_bytes, other.memory_bytes);
        self.ephemeral_storage_bytes = operation(self.ephemeral_storage_bytes, other.ephemeral_storage_bytes);
        for (name, amount) in &other.extended {
            match self.position(name) {
                Ok(position) => self.extended[position].1 = operation(self.extended[position].1, *amount),
                Err(position) => self.extended.insert(position, (Arc::clone(name), operation(0, *amount))),
            }
        }
    }

    fn set_extended(&mut self, name: &str, amount: i64) {
        match self.position(name) {
            Ok(position) => self.extended[position].1 = amount,
            Err(position) => self.extended.insert(position, (Arc::from(name), amount)),
        }
    }

    fn position(&self, name: &str) -> Result<usize, usize> {
        self.extended.binary_search_by(|(other, _)| other.as_ref().cmp(name))
    }
}
