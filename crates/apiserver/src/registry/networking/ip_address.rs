//! IPAddresses.

use api::Gvk;
use api::k8s_openapi::api::networking::v1::IPAddress;

use crate::registry::strategy::Strategy;
use crate::registry::{ALL_VERBS, Backing, Resource, ResourceInfo, Stored};

/// The row.
pub static IP_ADDRESSES: Resource = Resource {
    info: ResourceInfo {
        gvk: Gvk { group: "networking.k8s.io", version: "v1", kind: "IPAddress" },
        plural: "ipaddresses",
        singular: "ipaddress",
        short_names: &["ip"],
        categories: &[],
        namespaced: false,
        verbs: ALL_VERBS,
        subresources: &[],
    },
    backing: Backing::Stored(Stored { path: "ipaddresses", strategy: &Rules, selectable: &[] }),
    actions: &[],
};

/// The rules of IPAddresses: none beyond defaults and validation.
#[derive(Debug)]
pub struct Rules;

impl Strategy for Rules {
    type Kind = IPAddress;
}
