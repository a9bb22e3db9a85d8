//! Where Services lead: EndpointSlices from the Pods that a Service selects.
//!
//! **Flow**: a Service is looked at when it changes, when a Pod that it selects changes in what matters, when a slice of
//! it is changed by others, and when a node of such a Pod comes or moves. The [`plan`] compares slices with Pods; this
//! file writes. Slices go with their Service (garbage collection).
//!
//! **Guarantees**: a pass never acts on a copy that does not show what the pass before it wrote.

mod endpoints;
mod execute;
mod plan;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use client::{Change, Client, EventRecorder, EventType, Index, Lister, ObjectKey, object_reference};
use k8s_openapi::api::core::v1::{Node, Service};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use kube::{Api, ResourceExt as _};

use crate::assembly::{Controllers, Wiring};
use crate::backends;
use crate::in_flight::InFlight;
use crate::pod_control::{is_namespace_terminating, message_of};
use crate::pod_facts::PodFacts;
use crate::runtime::{Error, Next, Reconcile};
use crate::trigger_times::{self, TriggerTimes};
use crate::watches::PodIndex;
pub use endpoints::zone;
pub use execute::execute;
pub use plan::{Plan, PortKey, name_prefix, port_key};

/// Says whose slice it is.
pub const SERVICE_LABEL: &str = "kubernetes.io/service-name";
/// Says who looks after a slice.
pub const MANAGED_BY: &str = "endpointslice.kubernetes.io/managed-by";
/// This controller, in that label.
const MANAGER: &str = "endpointslice-controller.k8s.io";

/// Keys are the Services' names.
struct EndpointSlices {
    client: Client,
    events: EventRecorder,
    services: Lister<Service>,
    pods: PodIndex,
    nodes: Lister<Node>,
    slices: Lister<EndpointSlice>,
    by_service: Index<EndpointSlice>,
    in_flight: InFlight<ObjectKey>,
    trigger_times: TriggerTimes,
}

/// The Service a slice is of, when this controller looks after it.
pub fn service_of(slice: &EndpointSlice) -> Option<ObjectKey> {
    service_managed_by(slice, MANAGER)
}

/// The Service a slice is of, when this is who looks after it.
pub fn service_managed_by(slice: &EndpointSlice, manager: &str) -> Option<ObjectKey> {
    let is_managed = slice.labels().get(MANAGED_BY).is_some_and(|name| name == manager);
    let name = slice.labels().get(SERVICE_LABEL).filter(|_| is_managed)?;
    Some(ObjectKey::new(slice.namespace().unwrap_or_default(), name))
}

/// Starts the controller.
pub fn start(controllers: &mut Controllers) {
    let mut wiring = Wiring::new();
    let events = controllers.events("endpoint-slice-controller");
    let watches = &mut controllers.watches;
    wiring.wakes(&mut watches.services, |change| change.object().map(|service| ObjectKey::of(&**service)));
    let pods = wiring.reads(&watches.pods);
    let by_namespace = watches.service_index.by_namespace.clone();
    wiring.wakes(&mut watches.pods, move |change| backends::woken_by_pod(change, &by_namespace));
    wiring.wakes(&mut watches.endpoint_slices, |change| match change {
        Change::Updated { old, .. } | Change::Deleted(old) => service_of(old),
        Change::Added(_) | Change::Synced => None,
    });
    let by_namespace = watches.service_index.by_namespace.clone();
    wiring.wakes(&mut watches.nodes, move |change| match change {
        Change::Added(node) => backends::on_node(&node.name_any(), &pods, &by_namespace),
        Change::Updated { old, new } if zone(old) != zone(new) => {
            backends::on_node(&new.name_any(), &pods, &by_namespace)
        }
        _ => Vec::new(),
    });
    let controller = EndpointSlices {
        services: wiring.reads(&watches.services),
        nodes: wiring.reads(&watches.nodes),
        slices: wiring.reads(&watches.endpoint_slices),
        by_service: watches.slices_by_service.clone(),
        pods: watches.pod_index.clone(),
        client: controllers.client_of("endpointslice-controller"),
        events,
        in_flight: InFlight::default(),
        trigger_times: TriggerTimes::default(),
    };
    controllers.add(controller, wiring, 5);
}

impl Reconcile for EndpointSlices {
    type Key = ObjectKey;
    const NAME: &'static str = "endpointslice-controller";

    async fn reconcile(&self, key: &ObjectKey) -> Result<Next, Error> {
        let Some(service) = self.services.get(key) else {
            self.in_flight.forget(key);
            self.trigger_times.forget(key);
            return Ok(Next::OnWakeUp);
        };
        if backends::selector(&service).is_none() || service.metadata.deletion_timestamp.is_some() {
            return Ok(Next::OnWakeUp);
        }
        if let Some(wait) = self.in_flight.wait(key, &self.slices) {
            return Ok(Next::After(wait));
        }
        let mut slices = self.by_service.of(&key.to_string());
        let is_there = |uid: &str| slices.iter().any(|slice| slice.uid().as_deref() == Some(uid));
        let doomed = self.in_flight.being_deleted(key, is_there);
        slices.retain(|slice| !doomed.contains(&slice.uid().unwrap_or_default()));
        let mut pods = backends::selected(&service, &self.pods.by_namespace);
        let changed_at = self.trigger_times.first_change(key, &service, &pods);
        pods.retain(|pod| backends::counts(pod));
        let node = |name: &str| self.nodes.get(&ObjectKey::cluster(name));
        let mut plan = plan::plan(&service, &endpoints::behind(&service, &pods, node), &slices);
        for slice in plan.create.iter_mut().chain(&mut plan.update) {
            trigger_times::note(&mut slice.metadata, changed_at);
        }
        let api: Api<EndpointSlice> = Api::namespaced(self.client.clone(), &key.namespace);
        if let Err(error) = execute(&api, &self.in_flight, key, &plan).await {
            if is_namespace_terminating(&error) {
                return Ok(Next::OnWakeUp);
            }
            let told = message_of(&error);
            let message = format!("Error updating Endpoint Slices for Service {key}: {told}");
            let reference = object_reference(&*service);
            self.events.event(&reference, EventType::Warning, "FailedToUpdateEndpointSlices", message);
            return Err(Error::during("writing EndpointSlices")(error));
        }
        Ok(Next::OnWakeUp)
    }
}

/// A slice as the controller sees it.
type Known = Arc<EndpointSlice>;
/// A Pod as the controller sees it.
type Facts = Arc<PodFacts>;
