//! Carries out what [`plan_pod`](crate::plan_pod::plan_pod) decided, in order: stop containers; volumes, sandbox and
//! images side by side; then create and start containers one after the other.
//!
//! It decides nothing but what failure means: a container that cannot start says why in the report and leaves the
//! others alone; without a sandbox or volumes nothing starts. Events tell users. Nothing here writes status.

mod env_files;
mod image_volumes;
mod kill;
mod post_start;
mod resize;
mod start;
mod termination_order;

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use futures::future::join_all;
use k8s_openapi::api::core::v1::{Container, Pod};
use k8s_openapi::api::node::v1::RuntimeClass;
use platform::tasks::{TaskKind, spawn};
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

use crate::container_config::env::{EnvObjects, EnvReferences};
use crate::container_config::sandbox::{SandboxInputs, sandbox_config};
use crate::context::NodeContext;
use crate::devices::AllocationError;
use crate::history::{Transition, milliseconds};
use crate::images::{ImageProblem, PresentImage};
use crate::objects::for_pod::PodObjects;
use crate::observed::{Exit, ObservedPod};
use crate::plan_pod::{CreateSandboxReason, PodActions, SandboxAction, StartContainer};
use crate::pod;
use crate::pod_status::{Waiting, WaitingReasons};
use crate::user_namespaces::IdRange;
use crate::volumes::{self, MountedVolumes, VolumeContext, VolumeError};

pub use kill::stop_pod;
pub use post_start::PostStarts;

/// One pass over a Pod.
pub struct SyncPass<'a> {
    /// What the worker shares with everybody.
    pub context: &'a Arc<NodeContext>,
    /// The Pod.
    pub pod: &'a Arc<Pod>,
    /// What the plan was made from.
    pub observed: &'a ObservedPod,
    /// The plan.
    pub actions: &'a PodActions,
    /// Volumes set up by an earlier pass.
    pub volumes: &'a PassVolumes,
    /// What volumes are made from.
    pub objects: &'a PodObjects,
    /// Where hooks that run are noted.
    pub post_starts: &'a PostStarts,
    /// Cancelled when the Pod is to end: slow work is given up, quick work is finished.
    pub cancel: &'a CancellationToken,
}

/// What an earlier pass left of the Pod's volumes.
#[derive(Debug)]
pub enum PassVolumes {
    /// Nothing.
    Missing,
    /// What they show may have changed, or a token in them must be replaced.
    Outdated(MountedVolumes),
    /// Nothing is to be done for them.
    Current(MountedVolumes),
}

/// What came of a pass.
#[derive(Debug, Default)]
pub struct SyncReport {
    /// Whether a container was started or stopped, so that a new plan may find more to do.
    pub progressed: bool,
    /// Containers that were started after an earlier instance had ended, and how it had.
    pub restarted: Vec<(Container, Exit)>,
    /// Why containers did not start.
    pub waiting: WaitingReasons,
    /// When to try those again that say so; the others with growing patience.
    pub retry_after: BTreeMap<String, Duration>,
    /// Volumes, if they were set up.
    pub volumes: Option<MountedVolumes>,
    /// Why containers did not get the resources they are to have.
    pub resize_error: Option<String>,
    /// There is no sandbox, or volumes are missing: nothing was started.
    pub failed: bool,
    /// A volume's claim is not bound yet.
    pub awaits_claim: bool,
    /// The Pod cannot have its devices: it cannot run here.
    pub without_devices: Option<AllocationError>,
}

impl SyncReport {
    fn refuse(&mut self, container: &str, reason: &str, message: String) {
        let waiting = Waiting { reason: reason.to_owned(), message };
        self.waiting.insert(container.to_owned(), waiting);
    }
}

/// The sandbox containers are started in.
struct Sandbox {
    id: String,
    ips: Vec<String>,
    users: Option<IdRange>,
    config: cri::PodSandboxConfig,
}

/// Carries out a plan.
pub async fn sync_pod(pass: &SyncPass<'_>) -> SyncReport {
    let mut report = SyncReport::default();
    tokio::select! {
        () = kill_unwanted(pass, &mut report) => {}
        // Whoever ends the Pod stops these containers like the others, from now on and in its own grace period.
        () = pass.cancel.cancelled() => return report,
    }
    report.resize_error = resize::update_containers(pass).await.err();
    report.failed |= report.resize_error.is_some();
    let creates_sandbox = matches!(pass.actions.sandbox, SandboxAction::Create { .. });
    if pass.actions.start.is_empty() && !creates_sandbox && matches!(pass.volumes, PassVolumes::Current(_)) {
        return report;
    }
    tokio::select! {
        outcome = pass.context.devices.allocate(pass.pod) => if let Err(error) = outcome {
            report.without_devices = Some(error);
            return report;
        },
        () = pass.cancel.cancelled() => return report,
    }
    let images = ImageFetches::start(pass);
    let (volumes, sandbox, env) = tokio::join!(set_up_volumes(pass), ready_sandbox(pass), env_objects(pass));
    report.failed |= sandbox.is_none() || volumes.is_err();
    report.awaits_claim = volumes == Err(NoVolumes::Unbound);
    report.volumes = volumes.as_ref().ok().cloned();
    let (Ok(volumes), Some(sandbox)) = (volumes, sandbox) else { return report };
    start::start_containers(pass, &sandbox, &volumes, env, images, &mut report).await;
    report
}

async fn kill_unwanted(pass: &SyncPass<'_>, report: &mut SyncReport) {
    join_all(pass.actions.kill.iter().map(|kill| kill::kill_container(pass, kill))).await;
    report.progressed |= !pass.actions.kill.is_empty();
}

/// Why there are no volumes, as far as it tells when to try again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum NoVolumes {
    /// A claim is not bound yet.
    Unbound,
    /// Something went wrong.
    Failed,
}

/// Volumes, or nothing after saying why.
async fn set_up_volumes(pass: &SyncPass<'_>) -> Result<MountedVolumes, NoVolumes> {
    if let PassVolumes::Current(volumes) = pass.volumes {
        return Ok(volumes.clone());
    }
    let pod_dir = pass.context.pod_dir(&pod::uid(pass.pod));
    if let Err(error) = std::fs::create_dir_all(&pod_dir) {
        let message = format!("create {}: {error}", pod_dir.display());
        pass.context.events.warning(pass.pod, "FailedMount", message);
        return Err(NoVolumes::Failed);
    }
    let context = VolumeContext {
        host: &*pass.context.host,
        objects: pass.objects,
        pod_dir: &pod_dir,
        host_ips: &pass.context.host_ips,
        allocatable: &pass.context.allocatable,
        under_way: &pass.context.under_way,
        now: pass.context.clock.now(),
    };
    let started = tokio::time::Instant::now();
    match volumes::set_up(pass.pod, context).await {
        Ok(volumes) => {
            let took_ms = milliseconds(started.elapsed());
            pass.context.history.record(pass.pod, Transition::Volumes { took_ms });
            Ok(volumes)
        }
        Err(errors) => {
            for error in &errors {
                pass.context.events.warning(pass.pod, "FailedMount", error.to_string());
            }
            match pass.volumes {
                // What is mounted goes on showing what it showed.
                PassVolumes::Outdated(volumes) => Ok(volumes.clone().until(context.now)),
                PassVolumes::Current(_) | PassVolumes::Missing => {
                    let unbound = errors.iter().any(VolumeError::awaits_binding);
                    Err(if unbound { NoVolumes::Unbound } else { NoVolumes::Failed })
                }
            }
        }
    }
}

/// The sandbox to start containers in, or nothing after saying why.
async fn ready_sandbox(pass: &SyncPass<'_>) -> Option<Sandbox> {
    let context = pass.context;
    let (attempt, existing) = match &pass.actions.sandbox {
        SandboxAction::Nothing => return None,
        SandboxAction::Keep => {
            let sandbox = pass.observed.sandbox()?;
            (sandbox.attempt, Some(sandbox))
        }
        SandboxAction::Create { attempt, stop, reason } => {
            if *reason != CreateSandboxReason::NewPod {
                let message = "Pod sandbox changed, it will be killed and re-created.";
                context.events.normal(pass.pod, "SandboxChanged", message);
            }
            for id in stop {
                if let Err(error) = context.runtime.stop_pod_sandbox(id).await {
                    let message = format!("error killing pod: {error}");
                    context.events.warning(pass.pod, "FailedKillPod", message);
                    return None;
                }
            }
            (*attempt, None)
        }
    };
    let users = match context.user_namespaces.range_of(pass.pod) {
        Ok(users) => users,
        Err(error) => {
            let message = format!("Failed to create pod sandbox: can't allocate user namespace: {error}");
            context.events.warning(pass.pod, "FailedCreatePodSandBox", message);
            return None;
        }
    };
    let cgroup = context.cgroup(pass.pod);
    let config = sandbox_config(
        pass.pod,
        SandboxInputs {
            attempt,
            users,
            cgroup_parent: &cgroup,
            pod_logs: &context.paths.pod_logs,
            resolv_conf: &context.resolv_conf,
            cluster_dns: &context.pods.cluster_dns,
            cluster_domain: &context.pods.cluster_domain,
        },
    );
    let config = match config {
        Ok(config) => config,
        Err(problem) => return no_sandbox(pass, &problem),
    };
    if let Some(existing) = existing {
        return Some(Sandbox {
            id: existing.id.clone(),
            ips: pod_ips(context, pass.pod, existing.ips.clone()),
            users,
            config,
        });
    }
    let started = tokio::time::Instant::now();
    let what = "sandbox with its network is being made".to_owned();
    let _act = context.under_way.begin(pod::uid(pass.pod), what, context.clock.now());
    match run_sandbox(context, pass.pod, &cgroup, users, config).await {
        Ok(sandbox) => {
            if let SandboxAction::Create { attempt, reason, .. } = pass.actions.sandbox {
                let (reason, took_ms) = (format!("{reason:?}"), milliseconds(started.elapsed()));
                context.history.record(pass.pod, Transition::Sandbox { attempt, reason, took_ms });
            }
            Some(sandbox)
        }
        Err(problem) => no_sandbox(pass, &problem),
    }
}

fn no_sandbox(pass: &SyncPass<'_>, problem: &dyn std::fmt::Display) -> Option<Sandbox> {
    let message = format!("Failed to create pod sandbox: {problem}");
    pass.context.events.warning(pass.pod, "FailedCreatePodSandBox", message);
    None
}

async fn run_sandbox(
    context: &NodeContext,
    pod: &Pod,
    cgroup: &str,
    users: Option<IdRange>,
    config: cri::PodSandboxConfig,
) -> Result<Sandbox, String> {
    context.host.create_cgroup(cgroup, &context.pod_limits(pod)).map_err(|error| describe(&error))?;
    std::fs::create_dir_all(&config.log_directory)
        .map_err(|error| format!("create {}: {error}", config.log_directory))?;
    let handler = runtime_handler(context, pod).await?;
    if users.is_some() {
        require_users(context, &handler).await?;
    }
    let id = context.runtime.run_pod_sandbox(config.clone(), &handler).await.map_err(|error| error.to_string())?;
    let status = context.runtime.pod_sandbox_status(&id).await.map_err(|error| error.to_string())?;
    let network = status.network.unwrap_or_default();
    let ips = std::iter::once(network.ip).chain(network.additional_ips.into_iter().map(|ip| ip.ip));
    let ips = ips.filter(|ip| !ip.is_empty()).collect();
    Ok(Sandbox { id, ips: pod_ips(context, pod, ips), users, config })
}

/// What the Pod's RuntimeClass calls its runtime; empty for the default one.
async fn runtime_handler(context: &NodeContext, pod: &Pod) -> Result<String, String> {
    let class = pod.spec.as_ref().and_then(|spec| spec.runtime_class_name.as_deref());
    let Some(class) = class else { return Ok(String::new()) };
    let classes: kube::Api<RuntimeClass> = kube::Api::all(context.client.clone());
    let found = classes.get_opt(class).await.map_err(|error| describe(&error))?;
    found.map(|class| class.handler).ok_or_else(|| format!("RuntimeClass {class:?} not found"))
}

/// A runtime that knows nothing of user namespaces would run the Pod with the host's users, and not say so.
async fn require_users(context: &NodeContext, handler: &str) -> Result<(), String> {
    match handler_features(context, handler).await?.user_namespaces {
        true => Ok(()),
        false => Err(format!("RuntimeClass handler {handler:?} does not support user namespaces")),
    }
}

/// What a runtime of the node can do; old ones do not say and can do nothing of it.
async fn handler_features(context: &NodeContext, handler: &str) -> Result<cri::RuntimeHandlerFeatures, String> {
    let status = context.runtime.status(cri::StatusRequest::default()).await.map_err(|error| error.to_string())?;
    let known = status.runtime_handlers.into_iter().find(|known| known.name == handler);
    Ok(known.and_then(|known| known.features).unwrap_or_default())
}

fn pod_ips(context: &NodeContext, pod: &Pod, sandbox_ips: Vec<String>) -> Vec<String> {
    if pod::is_host_network(pod) { context.host_ips.clone() } else { sandbox_ips }
}

/// An error with its causes in one line.
pub(crate) fn describe(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}

/// Objects that environments refer to. Whoever needs one that could not be read is told then.
async fn env_objects(pass: &SyncPass<'_>) -> Result<EnvObjects, String> {
    let mut references = EnvReferences::default();
    for (container, _) in starting(pass) {
        references.add(&container);
    }
    let namespace = pod::namespace(pass.pod);
    let objects = &pass.context.objects;
    let mut found = EnvObjects::default();
    for name in references.config_maps {
        let config_map = objects.config_map(namespace, &name).await.map_err(|error| error.to_string())?;
        found.config_maps.insert(name, config_map);
    }
    for name in references.secrets {
        let secret = objects.secret(namespace, &name).await.map_err(|error| error.to_string())?;
        found.secrets.insert(name, secret);
    }
    Ok(found)
}

/// Containers of the plan with their specs.
fn starting<'a>(pass: &'a SyncPass<'_>) -> impl Iterator<Item = (Cow<'a, Container>, &'a StartContainer)> {
    pass.actions.start.iter().filter_map(|start| Some((pod::find_container(pass.pod, &start.name)?.1, start)))
}

/// Images on their way: all are fetched at once, while containers start in order.
struct ImageFetches {
    pending: HashMap<String, oneshot::Receiver<Result<PresentImage, ImageProblem>>>,
    abandon: CancellationToken,
}

impl ImageFetches {
    /// Starts fetching; an image that is on the node already costs one look.
    fn start(pass: &SyncPass<'_>) -> Self {
        let abandon = pass.cancel.child_token();
        let pending = starting(pass).map(|(container, _)| {
            let (name, container) = (container.name.clone(), container.into_owned());
            (name, fetch(Arc::clone(pass.context), Arc::clone(pass.pod), container, abandon.clone()))
        });
        Self { pending: pending.collect(), abandon }
    }

    /// Waits for a container's image; `None` when the pass was cancelled.
    async fn get(&mut self, container: &str) -> Option<Result<PresentImage, ImageProblem>> {
        self.pending.remove(container)?.await.ok()
    }
}

fn fetch(
    context: Arc<NodeContext>,
    pod: Arc<Pod>,
    container: Container,
    abandon: CancellationToken,
) -> oneshot::Receiver<Result<PresentImage, ImageProblem>> {
    let (sender, receiver) = oneshot::channel();
    spawn(TaskKind::Worker, "image fetch", async move {
        let outcome = tokio::select! {
            outcome = context.images.ensure(&pod, &container) => outcome,
            () = abandon.cancelled() => return,
        };
        // An error means that nobody waits any more.
        let _ = sender.send(outcome);
    });
    receiver
}

impl Drop for ImageFetches {
    fn drop(&mut self) {
        self.abandon.cancel();
    }
}
