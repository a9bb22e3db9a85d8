//! EndpointSlices of Services that select nothing: copies of the Endpoints that somebody writes for them.
//!
//! **Flow**: Endpoints are looked at when they or their Service change, and when a copy is changed by others. The [`plan`]
//! compares; this file writes. Copies of Endpoints that are not to be copied any more are deleted.

mod plan;
#[cfg(test)]
mod tests;

use client::{Change, Client, EventRecorder, EventType, Index, Lister, ObjectKey, object_reference};
use k8s_openapi::api::core::v1::{Endpoints, Service};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use kube::{Api, ResourceExt as _};

use crate::assembly::{Controllers, Wiring};
use crate::endpoint_slice::{self, Plan};
use crate::in_flight::InFlight;
use crate::pod_control::is_namespace_terminating;
use crate::runtime::{Error, Next, Reconcile};
use plan::SUBSET_MAX;

/// This controller, in the label that says who looks after a slice.
const MANAGER: &str = "endpointslicemirroring-controller.k8s.io";
const SKIP_LABEL: &str = "endpointslice.kubernetes.io/skip-mirror";
/// On Endpoints that only say who leads.
const LEADER_ANNOTATION: &str = "control-plane.alpha.kubernetes.io/leader";

/// Keys are the names of Endpoints and their Service.
struct Mirror {
    client: Client,
    events: EventRecorder,
    services: Lister<Service>,
    endpoints: Lister<Endpoints>,
    slices: Lister<EndpointSlice>,
    by_service: Index<EndpointSlice>,
    in_flight: InFlight<ObjectKey>,
}

/// The Service a slice is of, when it is a copy.
pub fn service_of(slice: &EndpointSlice) -> Option<ObjectKey> {
    endpoint_slice::service_managed_by(slice, MANAGER)
}

/// Starts the controller.
pub fn start(controllers: &mut Controllers) {
    let mut wiring = Wiring::new();
    let events = controllers.events("endpoint-slice-mirroring-controller");
    let watches = &mut controllers.watches;
    wiring.wakes(&mut watches.endpoints, |change| match change {
        Change::Updated { old, new } if !is_mirrored(old) && !is_mirrored(new) => None,
        Change::Added(endpoints) if !is_mirrored(endpoints) => None,
        change => change.object().map(|endpoints| ObjectKey::of(&**endpoints)),
    });
    wiring.wakes(&mut watches.services, |change| match change {
        Change::Updated { old, new } if selects(old) == selects(new) => None,
        Change::Added(service) | Change::Deleted(service) if selects(service) => None,
        change => change.object().map(|service| ObjectKey::of(&**service)),
    });
    wiring.wakes(&mut watches.endpoint_slices, |change| match change {
        Change::Updated { old, .. } | Change::Deleted(old) => service_of(old),
        Change::Added(_) | Change::Synced => None,
    });
    let controller = Mirror {
        services: wiring.reads(&watches.services),
        endpoints: wiring.reads(&watches.endpoints),
        slices: wiring.reads(&watches.endpoint_slices),
        by_service: watches.mirrors_by_service.clone(),
        client: controllers.client_of("endpointslicemirroring-controller"),
        events,
        in_flight: InFlight::default(),
    };
    controllers.add(controller, wiring, 5);
}

/// Whether Endpoints are to be copied, as far as they say it themselves.
fn is_mirrored(endpoints: &Endpoints) -> bool {
    let skipped = endpoints.labels().get(SKIP_LABEL).is_some_and(|value| value == "true");
    !skipped && !endpoints.annotations().contains_key(LEADER_ANNOTATION)
}

/// Whether a Service says itself where it leads.
fn selects(service: &Service) -> bool {
    service.spec.as_ref().is_some_and(|spec| spec.selector.as_ref().is_some_and(|labels| !labels.is_empty()))
}

impl Reconcile for Mirror {
    type Key = ObjectKey;
    const NAME: &'static str = "endpointslicemirroring-controller";

    async fn reconcile(&self, key: &ObjectKey) -> Result<Next, Error> {
        if let Some(wait) = self.in_flight.wait(key, &self.slices) {
            return Ok(Next::After(wait));
        }
        let mut slices = self.by_service.of(&key.to_string());
        let is_there = |uid: &str| slices.iter().any(|slice| slice.uid().as_deref() == Some(uid));
        let doomed = self.in_flight.being_deleted(key, is_there);
        slices.retain(|slice| !doomed.contains(&slice.uid().unwrap_or_default()));
        let endpoints = self.endpoints.get(key).filter(|endpoints| is_mirrored(endpoints));
        let service = self.services.get(key).filter(|service| !selects(service));
        let plan = match (&endpoints, service) {
            (Some(endpoints), Some(_)) => {
                let mirrored = plan::plan(endpoints, &slices);
                self.tell(endpoints, mirrored.invalid, mirrored.left_out);
                mirrored.plan
            }
            _ if slices.is_empty() => {
                self.in_flight.forget(key);
                return Ok(Next::OnWakeUp);
            }
            _ => Plan { delete: slices, ..Plan::default() },
        };
        let api: Api<EndpointSlice> = Api::namespaced(self.client.clone(), &key.namespace);
        match endpoint_slice::execute(&api, &self.in_flight, key, &plan).await {
            Err(error) if !is_namespace_terminating(&error) => Err(Error::during("mirroring Endpoints")(error)),
            _ => Ok(Next::OnWakeUp),
        }
    }
}

impl Mirror {
    fn tell(&self, endpoints: &Endpoints, invalid: usize, left_out: usize) {
        let reference = object_reference(endpoints);
        if invalid > 0 {
            let message = format!("Skipped {invalid} invalid IP addresses when mirroring to EndpointSlices");
            self.events.event(&reference, EventType::Warning, "InvalidIPAddress", message);
        }
        if left_out > 0 {
            let message = format!(
                "A max of {SUBSET_MAX} addresses can be mirrored to EndpointSlices per Endpoints subset. {} addresses \
                 were skipped",
                invalid + left_out
            );
            self.events.event(&reference, EventType::Warning, "TooManyAddressesToMirror", message);
        }
    }
}
