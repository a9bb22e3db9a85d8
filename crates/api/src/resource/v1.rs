//! Version 1 of the resource.k8s.io group: devices, their classes, and who claims them.

mod allocation;
mod claim;
mod configuration;
mod device;
mod device_class;
mod lists;
mod names;
mod requests;
mod shown;
mod slice;
#[cfg(test)]
mod tests;
