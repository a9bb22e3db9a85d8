//! Having a container's image on the node: pull policy, credentials, back-off, and what users are told about it.

mod name;
mod pull_secrets;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use client::EventType;
use k8s_openapi::api::core::v1::{Container, Pod};
use platform::backoff::{Backoff, Ladder};
use platform::clock::SharedClock;

use crate::events::Events;
use crate::go_duration;
use crate::objects::Objects;
use crate::pod::{self, Uid};

pub use name::with_default_tag;

/// Pulls that fail are repeated after 10 s, doubled up to 5 minutes.
const PULL_LADDER: Ladder =
    Ladder { initial: Duration::from_secs(10), max: Duration::from_secs(300), reset_after: Duration::from_secs(600) };

/// How long ErrImagePull is shown before it becomes ImagePullBackOff.
const SHOW_FAILURE: Duration = Duration::from_secs(3);

/// An image that is on the node.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct PresentImage {
    /// What to create containers from.
    pub image_ref: String,
    /// The numeric user its containers run as by default.
    pub uid: Option<i64>,
    /// The named user its containers run as by default; empty for root.
    pub username: String,
}

/// Why there is no image: a container's waiting reason and message.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{reason}: {message}")]
pub struct ImageProblem {
    /// `ErrImagePull`, `ImagePullBackOff`, ...
    pub reason: &'static str,
    /// For people.
    pub message: String,
    /// When it makes sense to try again.
    pub retry_after: Option<Duration>,
}

/// Makes sure that images are there. Shared by all Pods.
pub struct Images {
    service: Arc<dyn cri::ImageService>,
    objects: Arc<Objects>,
    events: Events,
    clock: SharedClock,
    pulls: Mutex<Pulls>,
}

type PullKey = (Uid, String);

struct Pulls {
    backoff: Backoff<PullKey>,
    last_error: HashMap<PullKey, String>,
}

impl Images {
    /// Nothing is pulled yet.
    pub fn new(service: Arc<dyn cri::ImageService>, objects: Arc<Objects>, events: Events, clock: SharedClock) -> Self {
        let pulls = Pulls { backoff: Backoff::new(PULL_LADDER), last_error: HashMap::new() };
        Self { service, objects, events, clock, pulls: Mutex::new(pulls) }
    }

    /// Has the container's image on the node when it returns. Slow when it pulls; dropping the future gives up.
    ///
    /// # Errors
    /// [`ImageProblem`], which has been reported as an Event already.
    pub async fn ensure(&self, pod: &Pod, container: &Container) -> Result<PresentImage, ImageProblem> {
        let outcome = self.try_ensure(pod, container).await;
        if let Err(problem) = &outcome {
            let message = format!("Error: {}", problem.reason);
            self.events.container(pod, &container.name, EventType::Warning, "Failed", message);
        }
        outcome
    }

    async fn try_ensure(&self, pod: &Pod, container: &Container) -> Result<PresentImage, ImageProblem> {
        let image = container.image.as_deref().unwrap_or_default();
        let event = |kind, reason, message: &str| self.events.container(pod, &container.name, kind, reason, message);
        let name = with_default_tag(image).map_err(|problem| {
            let message = format!("Failed to apply default image tag \"{image}\": {problem}");
            event(EventType::Warning, "InspectFailed", &message);
            ImageProblem { reason: "InvalidImageName", message, retry_after: Some(PULL_LADDER.max) }
        })?;
        let spec = cri::ImageSpec { image: name, user_specified_image: image.to_owned(), ..cri::ImageSpec::default() };
        let present = self.service.image_status(&spec).await.map_err(|error| {
            let message = format!("Failed to inspect image \"{image}\": {error}");
            event(EventType::Warning, "InspectFailed", &message);
            ImageProblem { reason: "ImageInspectError", message, retry_after: Some(PULL_LADDER.initial) }
        })?;
        let never = container.image_pull_policy.as_deref() == Some("Never");
        let always = container.image_pull_policy.as_deref() == Some("Always");
        match present {
            Some(present) if !always => {
                let message =
                    format!("Container image \"{image}\" already present on machine and can be accessed by the pod");
                event(EventType::Normal, "Pulled", &message);
                Ok(PresentImage::from_cri(&spec, present))
            }
            None if never => {
                let message = format!("Container image \"{image}\" is not present with pull policy of Never");
                event(EventType::Warning, "ErrImageNeverPull", &message);
                Err(ImageProblem { reason: "ErrImageNeverPull", message, retry_after: Some(PULL_LADDER.initial) })
            }
            _ => self.pull(pod, container, image, spec).await,
        }
    }

    async fn pull(
        &self,
        pod: &Pod,
        container: &Container,
        image: &str,
        spec: cri::ImageSpec,
    ) -> Result<PresentImage, ImageProblem> {
        let event = |kind, reason, message: &str| self.events.container(pod, &container.name, kind, reason, message);
        let key = (pod::uid(pod), image.to_owned());
        if let Some(problem) = self.pull_backoff(&key, image) {
            event(EventType::Normal, "BackOff", &format!("Back-off pulling image \"{image}\""));
            return Err(problem);
        }
        event(EventType::Normal, "Pulling", &format!("Pulling image \"{image}\""));
        let started = tokio::time::Instant::now();
        let auth = pull_secrets::credentials(&self.objects, pod, &spec.image).await;
        match self.service.pull_image(spec.clone(), auth, None).await {
            Ok(image_ref) => {
                let status = self.service.image_status(&spec).await.ok().flatten().unwrap_or_default();
                let took = go_duration::format(started.elapsed());
                let message = format!(
                    "Successfully pulled image \"{image}\" in {took} ({took} including waiting). Image size: {} bytes.",
                    status.size
                );
                event(EventType::Normal, "Pulled", &message);
                self.forget(&key);
                Ok(PresentImage { image_ref, ..PresentImage::from_cri(&spec, status) })
            }
            Err(error) => {
                let message = error.to_string();
                event(EventType::Warning, "Failed", &format!("Failed to pull image \"{image}\": {message}"));
                Err(self.pull_failed(key, message))
            }
        }
    }

    fn pull_backoff(&self, key: &PullKey, image: &str) -> Option<ImageProblem> {
        let pulls = self.pulls();
        let left = pulls.backoff.remaining(key, self.clock.now());
        (!left.is_zero()).then(|| {
            let cause = pulls.last_error.get(key).map(|error| format!(": ErrImagePull: {error}")).unwrap_or_default();
            let message = format!("Back-off pulling image \"{image}\"{cause}");
            ImageProblem { reason: "ImagePullBackOff", message, retry_after: Some(left) }
        })
    }

    fn pull_failed(&self, key: PullKey, message: String) -> ImageProblem {
        let mut pulls = self.pulls();
        let delay = pulls.backoff.fail(key.clone(), self.clock.now());
        pulls.last_error.insert(key, message.clone());
        // Looked at again soon, to say ImagePullBackOff; tried again after the delay.
        let retry_after = Some(delay.min(SHOW_FAILURE));
        ImageProblem { reason: "ErrImagePull", message, retry_after }
    }

    fn forget(&self, key: &PullKey) {
        let mut pulls = self.pulls();
        pulls.backoff.forget(key);
        pulls.last_error.remove(key);
    }

    /// Forgets a Pod that is gone.
    pub fn forget_pod(&self, pod: &Pod) {
        let ephemeral = pod::ephemeral_containers(pod).iter().map(|container| &container.image);
        for image in pod::all_containers(pod).map(|(_, container)| &container.image).chain(ephemeral) {
            self.forget(&(pod::uid(pod), image.clone().unwrap_or_default()));
        }
    }

    fn pulls(&self) -> std::sync::MutexGuard<'_, Pulls> {
        self.pulls.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

impl PresentImage {
    fn from_cri(spec: &cri::ImageSpec, image: cri::Image) -> Self {
        let image_ref = if image.id.is_empty() { spec.image.clone() } else { image.id };
        Self { image_ref, uid: image.uid.map(|uid| uid.value), username: image.username }
    }
}
