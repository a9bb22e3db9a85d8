//! The Linux kernel behind small safe calls: control groups, namespaces, mounts, processes, capabilities, seccomp,
//! netlink, nftables.
//!
//! This is the only crate that contains `unsafe`; each use says why it is sound. It must never know Kubernetes objects
//! or CRI: callers translate. Decisions are pure functions beside the calls that carry them out.

pub mod capability;
pub mod cgroup;
pub mod clock;
pub mod memory;
pub mod mount;
pub mod namespace;
pub mod netlink;
pub mod netns;
pub mod nftables;
pub mod open_files;
pub mod pause;
pub mod process;
pub mod readiness;
pub mod seccomp;
pub mod signal;
pub mod socket;
pub mod terminal;
pub mod user;
pub mod user_namespace;
