//! ServiceAccounts.

use api::Gvk;
use api::k8s_openapi::api::core::v1::ServiceAccount;

use crate::registry::strategy::Strategy;
use crate::registry::{ALL_VERBS, Action, Backing, CREATE, Resource, ResourceInfo, Stored, SubresourceInfo};

/// The row.
pub static SERVICE_ACCOUNTS: Resource = Resource {
    info: ResourceInfo {
        gvk: Gvk { group: "", version: "v1", kind: "ServiceAccount" },
        plural: "serviceaccounts",
        singular: "serviceaccount",
        short_names: &["sa"],
        categories: &[],
        namespaced: true,
        verbs: ALL_VERBS,
        subresources: &[SubresourceInfo {
            name: "token",
            gvk: Gvk { group: "authentication.k8s.io", version: "v1", kind: "TokenRequest" },
            verbs: CREATE,
        }],
    },
    backing: Backing::Stored(Stored { path: "serviceaccounts", strategy: &Rules, selectable: &[] }),
    actions: &[("token", Action::Token)],
};

/// The rules of ServiceAccounts.
#[derive(Debug)]
pub struct Rules;

impl Strategy for Rules {
    type Kind = ServiceAccount;

    fn returns_deleted(&self) -> bool {
        true
    }
}
