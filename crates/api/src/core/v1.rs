//! Version 1 of the core group, one module per kind.

pub mod binding;
pub mod component_status;
pub mod config_map;
pub mod deprecated_labels;
mod difference;
pub mod endpoints;
pub mod event;
pub mod limit_range;
pub mod namespace;
pub mod node;
pub mod node_selector;
pub mod persistent_volume;
pub mod persistent_volume_claim;
pub mod pod;
pub mod pod_template;
pub mod replication_controller;
pub mod resource_list;
pub mod resource_quota;
pub mod secret;
pub mod service;
pub mod service_account;
pub mod taints;
