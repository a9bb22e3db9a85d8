//! Version 1 of the core group, one module per kind.

pub mod binding;
pub mod config_map;
pub mod event;
pub mod namespace;
pub mod node;
pub mod node_selector;
pub mod pod;
pub mod resource_list;
pub mod secret;
pub mod service_account;
pub mod taints;
