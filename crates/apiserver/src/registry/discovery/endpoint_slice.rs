//! EndpointSlices.

use api::Gvk;
use api::k8s_openapi::api::discovery::v1::EndpointSlice;

use crate::registry::strategy::{Part, Preparation, Strategy};
use crate::registry::{ALL_VERBS, Backing, Resource, ResourceInfo, Stored};

const GVK: Gvk = Gvk { group: "discovery.k8s.io", version: "v1", kind: "EndpointSlice" };

/// The row.
pub static ENDPOINT_SLICES: Resource = Resource {
    info: ResourceInfo {
        gvk: GVK,
        plural: "endpointslices",
        singular: "endpointslice",
        short_names: &[],
        categories: &[],
        namespaced: true,
        verbs: ALL_VERBS,
        subresources: &[],
    },
    backing: Backing::Stored(Stored { path: "endpointslices", strategy: &Rules, selectable: &[] }),
    actions: &[],
};

/// The rules of EndpointSlices.
#[derive(Debug)]
pub struct Rules;

impl Strategy for Rules {
    type Kind = EndpointSlice;

    fn prepare_for_create(&self, object: &mut EndpointSlice, _preparation: &mut Preparation) {
        object.metadata.generation = Some(1);
    }

    fn prepare_for_update(&self, _part: Part, new: &mut EndpointSlice, old: &EndpointSlice) {
        let says = |slice: &EndpointSlice| (slice.address_type.clone(), slice.endpoints.clone(), slice.ports.clone());
        if says(new) != says(old) || new.metadata.labels != old.metadata.labels {
            new.metadata.generation = Some(old.metadata.generation.unwrap_or_default() + 1);
        }
    }
}
