//! Files of a Pod's volumes that variables of its containers come from.

use std::path::Path;

use k8s_openapi::api::core::v1::Container;
use tracing::warn;

use crate::container_config::ConfigError;
use crate::container_config::env::EnvFiles;
use crate::volumes::MountedVolumes;
use crate::volumes::sub_path::read_in_root;

/// No environment is larger.
const MAX_BYTES: u64 = 1 << 20;

/// Reads the files that a container's environment refers to.
///
/// # Errors
/// [`ConfigError::EnvFileVolumeNotFound`]; a file that cannot be read is nothing, and the log says why.
pub(super) fn read(container: &Container, volumes: &MountedVolumes) -> Result<EnvFiles, ConfigError> {
    let sources = container.env.iter().flatten().filter_map(|variable| variable.value_from.as_ref());
    let mut files = EnvFiles::new();
    for reference in sources.filter_map(|source| source.file_key_ref.as_ref()) {
        let (volume, path) = (&reference.volume_name, &reference.path);
        let mounted = volumes.volumes.get(volume);
        let mounted = mounted.ok_or_else(|| ConfigError::EnvFileVolumeNotFound(volume.clone()))?;
        files.entry((volume.clone(), path.clone())).or_insert_with(|| {
            let content = read_in_root(&mounted.host_path, Path::new(path), MAX_BYTES);
            let complain = |error: &std::io::Error| warn!(container = container.name, volume, path, %error, "env file");
            content.inspect_err(complain).ok()
        });
    }
    Ok(files)
}
