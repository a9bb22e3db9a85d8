//! Creating a container: its root file system, cgroup and files; nothing runs yet.

use std::path::Path;
use std::sync::Arc;

use cri::{ContainerConfig, ContainerEventType, PodSandboxConfig};

use super::plan::{self, Given};
use super::record::ContainerRecord;
use super::{Container, cdi, devices, seccomp};
use crate::image::blocking::blocking;
use crate::layout;
use crate::runtime::Shared;
use crate::sandbox::Sandbox;
use crate::sandbox::plan::cgroup_parent;

/// Creates a container; returns its id.
///
/// # Errors
/// As [`cri::RuntimeService::create_container`]; nothing is left behind.
pub async fn create(
    shared: &Arc<Shared>,
    sandbox: &Arc<Sandbox>,
    config: ContainerConfig,
    sandbox_config: PodSandboxConfig,
) -> cri::Result<String> {
    if sandbox.shim().is_none() {
        return Err(cri::Error::Failed(format!("sandbox container {:?} is not running", sandbox.id())));
    }
    let id = shared.new_id();
    let made = {
        let (shared, sandbox, id) = (shared.clone(), sandbox.clone(), id.clone());
        blocking(move || make(&shared, &sandbox, &id, config, sandbox_config)).await
    };
    match made {
        Ok(record) => {
            let container = Arc::new(Container::new(record, sandbox.clone(), None));
            shared.add_container(container.clone());
            shared.announce_container(&container, ContainerEventType::ContainerCreatedEvent);
            Ok(id)
        }
        Err(error) => {
            let (shared, sandbox) = (shared.clone(), sandbox.clone());
            let cgroup = format!("{}/{id}", cgroup_parent(&sandbox.record.config, &shared.cgroup_root));
            let cleaned = blocking(move || super::remove::clear(&shared, &sandbox, &id, &cgroup)).await;
            if let Err(leftover) = cleaned {
                tracing::error!(error = %leftover, "container that could not be created was not removed");
            }
            Err(error)
        }
    }
}

fn make(
    shared: &Shared,
    sandbox: &Sandbox,
    id: &str,
    mut config: ContainerConfig,
    sandbox_config: PodSandboxConfig,
) -> cri::Result<ContainerRecord> {
    cdi::inject(&mut config, &cdi::DIRECTORIES)
        .map_err(|error| cri::Error::Failed(format!("CDI device injection failed: {error}")))?;
    let image = config.image.as_ref().map(|image| image.image.as_str()).unwrap_or_default();
    let root = shared.root_filesystems.prepare(id, image)?;
    let images = config.mounts.iter().filter_map(|mount| mount.image.as_ref()).enumerate();
    let image_volumes = images.map(|(number, image)| shared.root_filesystems.prepare_volume(id, number, &image.image));
    let image_volumes = image_volumes.collect::<cri::Result<Vec<_>>>()?;
    let plan = plan::plan_container(&Given {
        id,
        config: &config,
        sandbox: &sandbox_config,
        skeleton: &layout::skeleton(&shared.root),
        root: &root,
        image_volumes,
        cgroup_root: &shared.cgroup_root,
        capabilities: shared.capabilities,
    })?;
    let (mut spec, mut limits) = (plan.spec, plan.limits);
    if !spec.privileged {
        let denials = config.devices.iter().filter_map(|device| devices::denial(device).transpose());
        limits.device_denials = denials
            .collect::<std::io::Result<_>>()
            .map_err(|error| cri::Error::Failed(format!("look at the container's devices: {error}")))?;
    }
    if spec.privileged {
        let devices = devices::below(Path::new("/dev"));
        spec.devices.extend(devices.map_err(|error| cri::Error::Failed(format!("list devices: {error}")))?);
    }
    spec.process.seccomp = seccomp::filter_file(&shared.root, &plan.seccomp, spec.process.capabilities)?;
    let failed = |act: &str, error: &dyn std::fmt::Display| cri::Error::Failed(format!("{act}: {error}"));
    shared.cgroups.create(&spec.cgroup, &limits).map_err(|error| failed("create cgroup", &Chain(&error)))?;
    let record = ContainerRecord {
        id: id.to_owned(),
        created_at: shared.now(),
        image_id: root.image_id,
        image_name: root.image_name,
        image_ref: root.image_ref,
        stop_signal: plan.stop_signal,
        config,
        spec,
    };
    let path = sandbox.directory.container_file(id);
    layout::write_json(&path, &record).map_err(|error| failed("record container", &error))?;
    Ok(record)
}

/// An error with its causes on one line.
pub struct Chain<'a>(pub &'a dyn std::error::Error);

impl std::fmt::Display for Chain<'_> {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "{}", self.0)?;
        let mut cause = self.0.source();
        while let Some(error) = cause {
            write!(formatter, ": {error}")?;
            cause = error.source();
        }
        Ok(())
    }
}
