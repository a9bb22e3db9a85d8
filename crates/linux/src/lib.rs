//! The host: namespaces, mounts, cgroups, netlink, nftables behind small APIs. The only crate with `unsafe`.

pub mod netlink;
pub mod nftables;
