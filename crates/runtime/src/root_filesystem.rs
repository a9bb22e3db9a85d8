//! Where containers get their root file systems from: the image store, or a directory in tests.

use std::path::PathBuf;

use crate::image::{ImageConfig, ImageStore};
use crate::snapshot;

/// A root file system for one container, and what its image says to run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RootFilesystem {
    /// Read-only layers, the uppermost first.
    pub lower: Vec<PathBuf>,
    /// Takes the container's changes.
    pub upper: PathBuf,
    /// Scratch space of the kernel, on the file system of `upper`.
    pub work: PathBuf,
    /// Id of the image.
    pub image_id: String,
    /// What a container status shows as `image`: a name with tag where there is one.
    pub image_name: String,
    /// What a container status shows as `imageID`: a name with digest where there is one.
    pub image_ref: String,
    /// What to run.
    pub config: ImageConfig,
}

/// Disk use of a writable layer.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct LayerUsage {
    /// Bytes in use.
    pub bytes: u64,
    /// Files and directories.
    pub inodes: u64,
}

/// Gives containers their root file systems. Calls block on the disk, none for long.
pub trait RootFilesystems: Send + Sync {
    /// Makes a writable layer over an image.
    ///
    /// # Errors
    /// [`cri::Error::NotFound`] when the image is not here.
    fn prepare(&self, container_id: &str, image: &str) -> cri::Result<RootFilesystem>;
    /// The content of an image as a volume of a container, its `number`th from 0: read-only layers, the uppermost first,
    /// at least two. It goes with the container's writable layer.
    ///
    /// # Errors
    /// As [`RootFilesystems::prepare`].
    fn prepare_volume(&self, container_id: &str, number: usize, image: &str) -> cri::Result<Vec<PathBuf>>;
    /// Removes a container's writable layer and volumes; none is fine.
    ///
    /// # Errors
    /// When the disk refuses.
    fn remove(&self, container_id: &str) -> cri::Result<()>;
    /// Removes the layers of all containers but these.
    ///
    /// # Errors
    /// When the disk refuses.
    fn retain(&self, live_container_ids: &[String]) -> cri::Result<()>;
    /// Measures a container's writable layer.
    ///
    /// # Errors
    /// When the disk refuses.
    fn usage(&self, container_id: &str) -> cri::Result<LayerUsage>;
}

impl RootFilesystems for ImageStore {
    fn prepare(&self, container_id: &str, image: &str) -> cri::Result<RootFilesystem> {
        let snapshot = snapshot::prepare(self.files(), container_id, image)?;
        Ok(RootFilesystem {
            lower: snapshot.lowerdirs,
            upper: snapshot.upperdir,
            work: snapshot.workdir,
            image_id: snapshot.image.id.to_string(),
            image_name: snapshot.image.name().to_owned(),
            image_ref: snapshot.image.reference().to_owned(),
            config: snapshot.image.config,
        })
    }

    fn prepare_volume(&self, container_id: &str, number: usize, image: &str) -> cri::Result<Vec<PathBuf>> {
        Ok(snapshot::prepare_volume(self.files(), container_id, number, image)?)
    }

    fn remove(&self, container_id: &str) -> cri::Result<()> {
        snapshot::remove(self.files(), container_id).map_err(|error| cri::Error::Failed(error.to_string()))
    }

    fn retain(&self, live_container_ids: &[String]) -> cri::Result<()> {
        snapshot::retain(self.files(), live_container_ids).map_err(|error| cri::Error::Failed(error.to_string()))
    }

    fn usage(&self, container_id: &str) -> cri::Result<LayerUsage> {
        let usage = snapshot::usage(self.files(), container_id);
        usage
            .map(|usage| LayerUsage { bytes: usage.bytes, inodes: usage.inodes })
            .map_err(|error| cri::Error::Failed(error.to_string()))
    }
}
