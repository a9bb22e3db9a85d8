//! ClusterTrustBundles, served where asked for.

use api::Gvk;
use api::k8s_openapi::api::certificates::v1beta1::ClusterTrustBundle;

use crate::registry::strategy::Strategy;
use crate::registry::{ALL_VERBS, Backing, Resource, ResourceInfo, Stored};
use crate::watch_cache::SelectableField;

/// The row.
pub static CLUSTER_TRUST_BUNDLES: Resource = Resource {
    info: ResourceInfo {
        gvk: Gvk { group: "certificates.k8s.io", version: "v1beta1", kind: "ClusterTrustBundle" },
        plural: "clustertrustbundles",
        singular: "clustertrustbundle",
        short_names: &[],
        categories: &[],
        namespaced: false,
        verbs: ALL_VERBS,
        subresources: &[],
    },
    backing: Backing::Stored(Stored {
        path: "clustertrustbundles",
        strategy: &Rules,
        selectable: &[SelectableField::text("spec.signerName")],
    }),
    actions: &[],
};

/// The rules of ClusterTrustBundles: none beyond defaults and validation.
#[derive(Debug)]
pub struct Rules;

impl Strategy for Rules {
    type Kind = ClusterTrustBundle;

    fn allows_unconditional_update(&self) -> bool {
        false
    }
}
