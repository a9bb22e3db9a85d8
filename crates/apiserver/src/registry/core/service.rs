//! Services.

use api::Gvk;
use api::core::v1::service::drop_type_dependent;
use api::k8s_openapi::api::core::v1::{LoadBalancerStatus, Service, ServiceStatus};

use crate::registry::allocator::Allocator;
use crate::registry::strategy::{Part, Preparation, Strategy};
use crate::registry::{
    ALL_VERBS, Action, Backing, PART_VERBS, PROXY_VERBS, Resource, ResourceInfo, Stored, SubresourceInfo,
};
use crate::watch_cache::SelectableField;

mod allocation;
mod cluster_ips;
mod families;
mod node_ports;
mod repair;

pub(crate) use node_ports::NodePorts;
pub(crate) use repair::repair;

const GVK: Gvk = Gvk { group: "", version: "v1", kind: "Service" };

/// The row.
pub static SERVICES: Resource = Resource {
    info: ResourceInfo {
        gvk: GVK,
        plural: "services",
        singular: "service",
        short_names: &["svc"],
        categories: &["all"],
        namespaced: true,
        verbs: ALL_VERBS,
        subresources: &[
            SubresourceInfo {
                name: "proxy",
                gvk: Gvk { group: "", version: "v1", kind: "ServiceProxyOptions" },
                verbs: PROXY_VERBS,
            },
            SubresourceInfo { name: "status", gvk: GVK, verbs: PART_VERBS },
        ],
    },
    backing: Backing::Stored(Stored {
        path: "services/specs",
        strategy: &Rules,
        selectable: &[SelectableField::text("spec.clusterIP"), SelectableField::text("spec.type")],
    }),
    actions: &[("proxy", Action::Proxy), ("status", Action::Part(Part::Status))],
};

/// The rules of Services.
#[derive(Debug)]
pub struct Rules;

impl Strategy for Rules {
    type Kind = Service;

    fn prepare_for_create(&self, service: &mut Service, _preparation: &mut Preparation) {
        let load_balancer = Some(LoadBalancerStatus::default());
        service.status = Some(ServiceStatus { load_balancer, ..ServiceStatus::default() });
    }

    fn prepare_for_update(&self, part: Part, new: &mut Service, old: &Service) {
        match part {
            Part::Whole => {
                new.status.clone_from(&old.status);
                drop_type_dependent(new, old);
            }
            _ => new.spec.clone_from(&old.spec),
        }
    }

    fn creates_on_update(&self) -> bool {
        true
    }

    fn returns_deleted(&self) -> bool {
        true
    }

    fn allocator(&self) -> Option<&'static dyn Allocator> {
        Some(&allocation::ServiceAllocator)
    }
}
