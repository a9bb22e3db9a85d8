//! Where Services lead, as older clients ask for it: one Endpoints object of each Service that selects Pods.
//!
//! **Flow**: a Service is looked at when it changes, when a Pod that it selects changes in what matters, and when its
//! Endpoints are gone. A pass compares what they say with what they should ([`plan`]).

mod plan;
#[cfg(test)]
mod tests;

use client::{Change, Client, EventRecorder, EventType, Lister, ObjectKey, is_not_found, object_reference};
use k8s_openapi::api::core::v1::{Endpoints, Service};
use kube::Api;
use kube::api::{DeleteParams, PostParams};

use crate::assembly::{Controllers, Wiring};
use crate::backends;
use crate::in_flight::InFlight;
use crate::pod_control::{is_namespace_terminating, message_of};
use crate::runtime::{Error, Next, Reconcile};
use crate::trigger_times::{self, TriggerTimes};
use crate::watches::PodIndex;

/// Keys are the Services' names.
struct EndpointsController {
    client: Client,
    events: EventRecorder,
    services: Lister<Service>,
    pods: PodIndex,
    endpoints: Lister<Endpoints>,
    in_flight: InFlight<ObjectKey>,
    trigger_times: TriggerTimes,
}

/// Starts the controller.
pub fn start(controllers: &mut Controllers) {
    let mut wiring = Wiring::new();
    let events = controllers.events("endpoint-controller");
    let watches = &mut controllers.watches;
    wiring.wakes(&mut watches.services, |change| change.object().map(|service| ObjectKey::of(&**service)));
    wiring.reads(&watches.pods);
    let by_namespace = watches.service_index.by_namespace.clone();
    wiring.wakes(&mut watches.pods, move |change| backends::woken_by_pod(change, &by_namespace));
    wiring.wakes(&mut watches.endpoints, |change| match change {
        Change::Deleted(endpoints) => Some(ObjectKey::of(&**endpoints)),
        _ => None,
    });
    let controller = EndpointsController {
        services: wiring.reads(&watches.services),
        endpoints: wiring.reads(&watches.endpoints),
        pods: watches.pod_index.clone(),
        client: controllers.client_of("endpoint-controller"),
        events,
        in_flight: InFlight::default(),
        trigger_times: TriggerTimes::default(),
    };
    controllers.add(controller, wiring, 5);
}

impl Reconcile for EndpointsController {
    type Key = ObjectKey;
    const NAME: &'static str = "endpoints-controller";

    async fn reconcile(&self, key: &ObjectKey) -> Result<Next, Error> {
        if let Some(wait) = self.in_flight.wait(key, &self.endpoints) {
            return Ok(Next::After(wait));
        }
        let present = self.endpoints.get(key);
        let Some(service) = self.services.get(key) else {
            self.in_flight.forget(key);
            self.trigger_times.forget(key);
            return if present.is_some() { self.delete(key).await } else { Ok(Next::OnWakeUp) };
        };
        if backends::selector(&service).is_none() {
            return Ok(Next::OnWakeUp);
        }
        let mut pods = backends::selected(&service, &self.pods.by_namespace);
        let changed_at = self.trigger_times.first_change(key, &service, &pods);
        pods.retain(|pod| backends::counts(pod));
        let Some(mut wanted) = plan::plan(&service, &pods, present.as_deref()) else { return Ok(Next::OnWakeUp) };
        trigger_times::note(&mut wanted.metadata, changed_at);
        let (api, parameters) = (self.api(key), PostParams::default());
        let (written, reason, what) = if present.is_none() {
            (api.create(&parameters, &wanted).await, "FailedToCreateEndpoint", "create endpoint for service")
        } else {
            (api.replace(&key.name, &parameters, &wanted).await, "FailedToUpdateEndpoint", "update endpoint")
        };
        match written {
            Ok(written) => {
                self.in_flight.wrote(key, &written.metadata);
                Ok(Next::OnWakeUp)
            }
            Err(error) if is_namespace_terminating(&error) => Ok(Next::OnWakeUp),
            Err(error) => {
                let message = format!("Failed to {what} {key}: {}", message_of(&error));
                self.events.event(&object_reference(&wanted), EventType::Warning, reason, message);
                Err(Error::during("writing Endpoints")(error))
            }
        }
    }
}

impl EndpointsController {
    fn api(&self, key: &ObjectKey) -> Api<Endpoints> {
        Api::namespaced(self.client.clone(), &key.namespace)
    }

    async fn delete(&self, key: &ObjectKey) -> Result<Next, Error> {
        match self.api(key).delete(&key.name, &DeleteParams::default()).await {
            Err(error) if !is_not_found(&error) => Err(Error::during("deleting Endpoints")(error)),
            _ => Ok(Next::OnWakeUp),
        }
    }
}
