//! Creating and starting containers, one after the other.

use std::collections::BTreeMap;
use std::time::Duration;

use client::EventType;
use k8s_openapi::api::core::v1::Container;
use tracing::info;

use super::env_files;
use super::{
    ImageFetches, Sandbox, SyncPass, SyncReport, handler_features, image_volumes, post_start, runtime_handler, starting,
};
use crate::container_config::env::{EnvFacts, EnvObjects, environment};
use crate::container_config::etc_hosts::etc_hosts;
use crate::container_config::service_env::service_env;
use crate::container_config::{ConfigError, ContainerInputs, container_config};
use crate::images::PresentImage;
use crate::plan_pod::StartContainer;
use crate::pod;
use crate::volumes::MountedVolumes;
use crate::volumes::devices::container_devices;
use crate::volumes::mounts::{MountContext, asks_for_recursion, container_mounts};

/// So long a container waits for the first list of Services.
const SERVICES_WAIT: Duration = Duration::from_secs(10);

/// Why a container did not start: its waiting reason and message.
struct StartProblem {
    reason: &'static str,
    message: String,
    /// Whether an instance was made: its end counts as a crash.
    made: bool,
}

impl StartProblem {
    fn config(error: &ConfigError) -> Self {
        Self { reason: "CreateContainerConfigError", message: error.to_string(), made: false }
    }
}

/// Starts the plan's containers as their images arrive; one that fails leaves the others alone.
pub(super) async fn start_containers(
    pass: &SyncPass<'_>,
    sandbox: &Sandbox,
    volumes: &MountedVolumes,
    env: Result<EnvObjects, String>,
    mut images: ImageFetches,
    report: &mut SyncReport,
) {
    let hosts = hosts_content(pass, sandbox);
    for (container, start) in starting(pass) {
        let image = match images.get(&container.name).await {
            None => return,
            Some(Ok(image)) => image,
            Some(Err(problem)) => {
                report.retry_after.extend(problem.retry_after.map(|after| (container.name.clone(), after)));
                report.refuse(&container.name, problem.reason, problem.message);
                continue;
            }
        };
        if pass.cancel.is_cancelled() {
            return;
        }
        let image_volumes = match image_volumes::fetch(pass, &container).await {
            Ok(references) => references,
            Err(problem) => {
                report.retry_after.extend(problem.retry_after.map(|after| (container.name.clone(), after)));
                report.refuse(&container.name, problem.reason, problem.message);
                continue;
            }
        };
        let parts = Parts {
            sandbox,
            volumes,
            env: &env,
            hosts: hosts.as_deref(),
            image: &image,
            image_volumes: &image_volumes,
            recursive_read_only: container.volume_mounts.iter().flatten().any(asks_for_recursion)
                && can_be_recursive(pass).await,
        };
        let outcome = start_container(pass, &container, start, &parts).await;
        let was_made = !matches!(&outcome, Err(problem) if !problem.made);
        if let (true, Some(exit)) = (was_made, &start.restarted_after) {
            report.restarted.push((container.clone().into_owned(), exit.clone()));
        }
        match outcome {
            Ok(()) => report.progressed = true,
            Err(problem) => {
                report.refuse(&container.name, problem.reason, problem.message);
            }
        }
    }
}

fn hosts_content(pass: &SyncPass<'_>, sandbox: &Sandbox) -> Option<String> {
    if sandbox.ips.is_empty() {
        return None;
    }
    let host_file = match pod::is_host_network(pass.pod) {
        true => std::fs::read_to_string(&pass.context.paths.hosts).unwrap_or_default(),
        false => String::new(),
    };
    Some(etc_hosts(pass.pod, &sandbox.ips, &host_file, &pass.context.pods.cluster_domain))
}

/// What a container is put together from.
struct Parts<'a> {
    sandbox: &'a Sandbox,
    volumes: &'a MountedVolumes,
    env: &'a Result<EnvObjects, String>,
    hosts: Option<&'a str>,
    image: &'a PresentImage,
    image_volumes: &'a BTreeMap<String, String>,
    recursive_read_only: bool,
}

async fn start_container(
    pass: &SyncPass<'_>,
    container: &Container,
    start: &StartContainer,
    parts: &Parts<'_>,
) -> Result<(), StartProblem> {
    let context = pass.context;
    let event =
        |kind, reason, message: &str| context.events.container(pass.pod, &container.name, kind, reason, message);
    let failed = |problem: StartProblem| {
        event(EventType::Warning, "Failed", &format!("Error: {}", problem.message));
        problem
    };
    let services = services_of(pass).await.map_err(|error| failed(StartProblem::config(&error)))?;
    let config = configure(pass, container, start, parts, &services);
    let mut config = config.map_err(|error| failed(StartProblem::config(&error)))?;
    let devices = context.devices.for_start(pass.pod, &container.name).await;
    let devices = devices.map_err(|error| failed(StartProblem::config(&ConfigError::PreStart(error.to_string()))))?;
    devices.add_to(&mut config);
    let (uid, name) = (pod::uid(pass.pod), &container.name);
    let cpus = context.cpus.of(&uid, name);
    cpus.apply_to(config.linux.get_or_insert_default().resources.get_or_insert_default());
    let created = context.runtime.create_container(&parts.sandbox.id, config, parts.sandbox.config.clone()).await;
    let id = created.map_err(|error| {
        failed(StartProblem { reason: "CreateContainerError", message: error.to_string(), made: false })
    })?;
    context.cpus.created(&uid, name, &id, cpus.cpus);
    event(EventType::Normal, "Created", "Container created");
    if let Err(error) = context.runtime.start_container(&id).await {
        return Err(failed(StartProblem { reason: "RunContainerError", message: error.to_string(), made: true }));
    }
    event(EventType::Normal, "Started", "Container started");
    info!(pod = pod::full_name(pass.pod), container = container.name, attempt = start.attempt, "container started");
    let ip = parts.sandbox.ips.first().map(String::as_str);
    post_start::run(pass, container, &id, ip).await.map_err(|error| StartProblem {
        reason: "PostStartHookError",
        message: error.to_string(),
        made: true,
    })
}

/// Whether the Pod's runtime can make mounts read-only with all that is mounted below them; one that does not say cannot.
async fn can_be_recursive(pass: &SyncPass<'_>) -> bool {
    let features = async {
        let handler = runtime_handler(pass.context, pass.pod).await?;
        handler_features(pass.context, &handler).await
    };
    features.await.is_ok_and(|features| features.recursive_read_only_mounts)
}

/// What the Pod's containers are told of Services. Static Pods do not wait for an API that may never come.
async fn services_of(pass: &SyncPass<'_>) -> Result<Vec<(String, String)>, ConfigError> {
    let services = &pass.context.services;
    if !pod::is_static(pass.pod) && tokio::time::timeout(SERVICES_WAIT, services.synced()).await.is_err() {
        return Err(ConfigError::ServicesUnread);
    }
    let links = pass.pod.spec.as_ref().and_then(|spec| spec.enable_service_links).unwrap_or(true);
    let namespace = pass.pod.metadata.namespace.as_deref().unwrap_or_default();
    Ok(service_env(&services.all(), namespace, links))
}

/// The container's configuration; files and mounts it needs are made on the way.
fn configure(
    pass: &SyncPass<'_>,
    container: &Container,
    start: &StartContainer,
    parts: &Parts<'_>,
    services: &[(String, String)],
) -> Result<cri::ContainerConfig, ConfigError> {
    let context = pass.context;
    let objects = parts.env.as_ref().map_err(|error| ConfigError::Read(error.clone()))?;
    let files = env_files::read(container, parts.volumes)?;
    let facts = EnvFacts {
        pod: pass.pod,
        pod_ips: &parts.sandbox.ips,
        host_ips: &context.host_ips,
        services,
        files: &files,
        allocatable: &context.allocatable,
    };
    let env = environment(container, objects, facts)?;
    let pod_dir = context.pod_dir(&pod::uid(pass.pod));
    let mounts = MountContext {
        host: &*context.host,
        pod_dir: &pod_dir,
        volumes: parts.volumes,
        image_volumes: parts.image_volumes,
        etc_hosts: parts.hosts,
        recursive_read_only: parts.recursive_read_only,
        attempt: start.attempt,
    };
    let mounts = container_mounts(container, &env, mounts)?;
    let devices = container_devices(container, parts.volumes)?;
    let log_directory = context.log_dir(pass.pod).join(&container.name);
    std::fs::create_dir_all(&log_directory)
        .map_err(|error| ConfigError::Write(format!("create {}: {error}", log_directory.display())))?;
    let seccomp_dir = context.paths.root.join("seccomp");
    let inputs = ContainerInputs {
        attempt: start.attempt,
        epoch: start.epoch,
        image: parts.image,
        users: parts.sandbox.users,
        env,
        mounts,
        devices,
        volume_groups: &parts.volumes.groups(),
        seccomp_dir: &seccomp_dir,
        node_memory_bytes: context.resources.memory_bytes(),
        target_id: target_id(pass, &container.name)?,
    };
    container_config(pass.pod, container, inputs)
}

/// The container whose processes an ephemeral container asks to see.
fn target_id(pass: &SyncPass<'_>, name: &str) -> Result<Option<String>, ConfigError> {
    let ephemeral = pod::ephemeral_containers(pass.pod).iter().find(|container| container.name == name);
    let target = ephemeral.and_then(|container| container.target_container_name.as_ref());
    let Some(target) = target.filter(|target| !target.is_empty()) else { return Ok(None) };
    match pass.observed.latest(target).filter(|latest| latest.is_running()) {
        Some(latest) => Ok(Some(latest.id.clone())),
        None => Err(ConfigError::TargetNotFound(target.clone())),
    }
}
