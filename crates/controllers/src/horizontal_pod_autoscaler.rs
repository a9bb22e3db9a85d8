//! As many Pods as their work asks for: HorizontalPodAutoscalers on the built-in metrics.
//!
//! **Flow**: an autoscaler is looked at when it changes and every [`Autoscaling::sync_period`], since nobody
//! tells when metrics change. A pass asks for the target's scale, its Pods and what they use, [plans](plan) and writes scale and status.
//!
//! **Guarantees**: what was recommended and done lately is remembered, so that the number of Pods changes as fast as its
//! rules say and no faster. After a start the number found counts as recommended.

mod pace;
mod plan;
#[cfg(test)]
mod tests;
mod usage;

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use api::labels::Selector;
use client::{Client, EventRecorder, EventType, Lister, ObjectKey, object_reference};
use k8s_openapi::api::autoscaling::v1::Scale;
use k8s_openapi::api::autoscaling::v2::HorizontalPodAutoscaler;
use k8s_openapi::api::core::v1::Pod;
use kube::Api;
use kube::api::{ListParams, PostParams};
use platform::clock::SharedClock;
use serde::Deserialize;

use crate::assembly::{Controllers, Wiring};
use crate::objects::Kinds;
use crate::pod_control::message_of;
use crate::runtime::{Error, Next, Reconcile};
use pace::Memory;
use plan::{Observed, Plan};
use usage::PodMetrics;

/// Upstream's name of the controller.
const COMPONENT: &str = "horizontal-pod-autoscaler";

/// Keys are the autoscalers' names.
struct Autoscalers {
    client: Client,
    clock: SharedClock,
    events: EventRecorder,
    kinds: Kinds,
    autoscalers: Lister<HorizontalPodAutoscaler>,
    defaults: Autoscaling,
    memories: Mutex<HashMap<ObjectKey, Memory>>,
    /// Which Pods the autoscalers' targets have, to find those that two of them scale.
    selectors: Mutex<HashMap<ObjectKey, Selector>>,
}

/// What autoscalers do that do not say it themselves.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Autoscaling {
    /// How often metrics are looked at: nobody tells when they change.
    pub sync_period: Duration,
    /// How long the number stays what was recommended although less would do by now.
    pub downscale_stabilization: Duration,
    /// The part by which use may be off without a change.
    pub tolerance: f64,
    /// A Pod that started so recently may use much CPU just because of that.
    pub cpu_initialization_period: Duration,
    /// A Pod that was unready this long after its start was never ready.
    pub initial_readiness_delay: Duration,
}

impl Default for Autoscaling {
    /// Upstream's.
    fn default() -> Self {
        Self {
            sync_period: Duration::from_secs(15),
            downscale_stabilization: Duration::from_mins(5),
            tolerance: 0.1,
            cpu_initialization_period: Duration::from_mins(5),
            initial_readiness_delay: Duration::from_secs(30),
        }
    }
}

/// What `metrics.k8s.io` answers.
#[derive(Debug, Deserialize)]
struct MetricsList {
    items: Vec<PodMetrics>,
}

/// Starts the controller.
pub fn start(controllers: &mut Controllers, defaults: Autoscaling) {
    let mut wiring = Wiring::new();
    let events = controllers.events(COMPONENT);
    wiring.wakes(&mut controllers.watches.autoscalers, |change| match change {
        // Our own writes of the status are no news.
        client::Change::Updated { old, new } if old.spec == new.spec => None,
        change => change.object().map(|one| ObjectKey::of(&**one)),
    });
    let controller = Autoscalers {
        autoscalers: wiring.reads(&controllers.watches.autoscalers),
        kinds: controllers.objects.kinds(),
        client: controllers.client_of(COMPONENT),
        clock: controllers.clock.clone(),
        events,
        defaults,
        memories: Mutex::default(),
        selectors: Mutex::default(),
    };
    wiring.waits_for(controllers.objects.synced());
    controllers.add(controller, wiring, 2);
}

impl Reconcile for Autoscalers {
    type Key = ObjectKey;
    const NAME: &'static str = COMPONENT;

    async fn reconcile(&self, key: &ObjectKey) -> Result<Next, Error> {
        let Some(autoscaler) = self.autoscalers.get(key) else {
            locked(&self.memories).remove(key);
            locked(&self.selectors).remove(key);
            return Ok(Next::OnWakeUp);
        };
        let path = self.path_of_scale(&autoscaler, key);
        let scale = match &path {
            Ok(path) => self.client.request::<Scale>(get(path)).await.map_err(|error| message_of(&error)),
            Err(problem) => Err(problem.clone()),
        };
        let observed = match scale {
            Ok(scale) => Ok(self.observe(key, scale).await?),
            Err(problem) => Err(problem),
        };
        let now = self.clock.now();
        let mut plan = {
            let mut memories = locked(&self.memories);
            plan::plan(
                &autoscaler,
                observed.as_ref().map_err(String::as_str),
                &self.defaults,
                memories.entry(key.clone()).or_default(),
                now,
            )
        };
        if let (Some(wanted), Ok(observed), Ok(path)) = (plan.rescale, &observed, &path) {
            let written = self.write_scale(path, &observed.scale, wanted).await.map_err(|error| message_of(&error));
            let mut memories = locked(&self.memories);
            plan::rescaled(&mut plan, observed, written, memories.entry(key.clone()).or_default(), now);
        }
        self.tell_and_write(key, &autoscaler, plan).await?;
        Ok(Next::After(self.defaults.sync_period))
    }
}

impl Autoscalers {
    /// The path of the target's scale.
    fn path_of_scale(&self, autoscaler: &HorizontalPodAutoscaler, key: &ObjectKey) -> Result<String, String> {
        let target = &autoscaler.spec.scale_target_ref;
        let version = target.api_version.as_deref().unwrap_or_default();
        let Some(kind) = self.kinds.named(version, &target.kind) else {
            return Err(format!("no matches for kind \"{}\" in group \"{}\"", target.kind, group_of(version)));
        };
        let collection = <kube::core::DynamicObject as kube::Resource>::url_path(&kind.api, Some(&key.namespace));
        Ok(format!("{collection}/{}/scale", target.name))
    }

    /// The Pods of a scale and what they use.
    async fn observe(&self, key: &ObjectKey, scale: Scale) -> Result<Observed, Error> {
        let selector = scale.status.as_ref().and_then(|status| status.selector.clone()).unwrap_or_default();
        if selector.is_empty() {
            return Ok(Observed { scale, pods: Vec::new(), metrics: Ok(Vec::new()), rivals: Vec::new() });
        }
        let pods: Api<Pod> = Api::namespaced(self.client.clone(), &key.namespace);
        let pods = pods.list(&ListParams::default().labels(&selector)).await;
        let pods = pods.map_err(Error::during("listing the target's Pods"))?.items;
        let query = form_urlencoded(&selector);
        let path = format!("/apis/metrics.k8s.io/v1beta1/namespaces/{}/pods?labelSelector={query}", key.namespace);
        let metrics = self.client.request::<MetricsList>(get(&path)).await;
        let metrics = metrics.map(|list| list.items).map_err(|error| message_of(&error));
        let rivals = self.rivals(key, &selector, &pods);
        Ok(Observed { scale, pods, metrics, rivals })
    }

    /// Other autoscalers whose targets have some of these Pods.
    fn rivals(&self, key: &ObjectKey, selector: &str, pods: &[Pod]) -> Vec<ObjectKey> {
        let mut selectors = locked(&self.selectors);
        // The server gave it and just took it for the list of Pods.
        selectors.insert(key.clone(), Selector::parse(selector).unwrap_or(Selector::Nothing));
        let has = |other: &Selector| pods.iter().any(|pod| other.matches(pod.metadata.labels.as_ref()));
        let others = selectors.iter().filter(|(other, _)| *other != key && other.namespace == key.namespace);
        let mut rivals: Vec<_> = others.filter(|(_, other)| has(other)).map(|(other, _)| other.clone()).collect();
        rivals.sort_by(|a, b| a.name.cmp(&b.name));
        rivals
    }

    async fn write_scale(&self, path: &str, scale: &Scale, replicas: i32) -> Result<(), kube::Error> {
        let mut changed = scale.clone();
        changed.spec.get_or_insert_default().replicas = Some(replicas);
        // A scale came as JSON, so it can be written as such.
        let mut request = http::Request::new(serde_json::to_vec(&changed).unwrap_or_default());
        *request.method_mut() = http::Method::PUT;
        *request.uri_mut() = path.parse().unwrap_or_default();
        let json = http::HeaderValue::from_static("application/json");
        request.headers_mut().insert(http::header::CONTENT_TYPE, json);
        self.client.request::<Scale>(request).await.map(drop)
    }

    async fn tell_and_write(&self, key: &ObjectKey, old: &HorizontalPodAutoscaler, plan: Plan) -> Result<(), Error> {
        let reference = object_reference(old);
        for (kind, reason, message) in plan.events {
            self.events.event(&reference, kind, reason, message);
        }
        if old.status.as_ref() == Some(&plan.status) {
            return Ok(());
        }
        let api: Api<HorizontalPodAutoscaler> = Api::namespaced(self.client.clone(), &key.namespace);
        let changed = HorizontalPodAutoscaler { status: Some(plan.status), ..old.clone() };
        match api.replace_status(&key.name, &PostParams::default(), &changed).await {
            Ok(_) => Ok(()),
            Err(error) => {
                self.events.event(&reference, EventType::Warning, "FailedUpdateStatus", message_of(&error));
                Err(Error::during("writing the status")(error))
            }
        }
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn group_of(version: &str) -> &str {
    version.split_once('/').map_or("", |(group, _)| group)
}

fn get(path: &str) -> http::Request<Vec<u8>> {
    let mut request = http::Request::new(Vec::new());
    // The path is made of names the server gave us and an encoded query.
    *request.uri_mut() = path.parse().unwrap_or_default();
    request
}

/// A selector as part of a query.
fn form_urlencoded(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~');
    text.bytes().map(|byte| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") }).collect()
}
