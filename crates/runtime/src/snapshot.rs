//! A container's root file system: the image's layers below, a writable directory above.
//!
//! Preparing one costs three directories and a symlink, whatever the image's size. The directories belong to the image
//! store ([`ImageFiles`]) since its garbage collection must know which images are in use: `snapshots/<container id>/`
//! has `image`, a symlink that names the image's id, and `fs/` and `work/` for overlayfs.

#[cfg(test)]
mod tests;

use std::fs;
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use crate::image::ImageError;
use crate::image::digest::Digest;
use crate::image::error::StoreError;
use crate::image::index::ImageRecord;
use crate::image::store::ImageFiles;
use crate::image::unpack::Usage;

/// What a container's root file system is made of; `linux::mount::Overlay` puts it together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Snapshot {
    /// Read-only layers, top first; never empty.
    pub lowerdirs: Vec<PathBuf>,
    /// Where changes go.
    pub upperdir: PathBuf,
    /// For overlayfs' own use.
    pub workdir: PathBuf,
    /// The image, with the configuration of its process. Its `user` is still as written: names in it are looked up by
    /// the shim (`shim/command.rs`) in the mounted root file system.
    pub image: ImageRecord,
}

/// Makes a container's snapshot from an image by name or id. An earlier one of the same container is replaced.
///
/// # Errors
/// [`ImageError::NotFound`] when the image is not here, [`ImageError::Store`] when the disk refuses.
pub fn prepare(files: &ImageFiles, container_id: &str, image: &str) -> Result<Snapshot, ImageError> {
    let path = snapshot_path(files, container_id)?;
    let _in_use = files.enter()?;
    let image = files.find_image(image)?.ok_or_else(|| ImageError::NotFound(image.to_owned()))?;
    let snapshot = layout(files, &path, image)?;
    let create = || {
        match fs::DirBuilder::new().mode(0o700).create(&path) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                fs::remove_dir_all(&path)?;
                fs::DirBuilder::new().mode(0o700).create(&path)?;
            }
            outcome => outcome?,
        }
        std::os::unix::fs::symlink(snapshot.image.id.as_str(), path.join("image"))?;
        fs::DirBuilder::new().mode(0o700).create(&snapshot.workdir)?;
        fs::DirBuilder::new().mode(0o700).create(&snapshot.upperdir)?;
        copy_root_attributes(&snapshot)
    };
    create().map_err(StoreError::io("creating", &path))?;
    Ok(snapshot)
}

/// Makes the content of an image a volume of a container, its `number`th from 0: layers, top first, the uppermost of them
/// empty. It goes with the container's snapshot.
///
/// # Errors
/// As [`prepare`].
pub fn prepare_volume(
    files: &ImageFiles,
    container_id: &str,
    number: usize,
    image: &str,
) -> Result<Vec<PathBuf>, ImageError> {
    let snapshot = prepare(files, &volume_id(container_id, number), image)?;
    Ok([vec![snapshot.upperdir], snapshot.lowerdirs].concat())
}

/// Between a container's id and the number of a volume.
const VOLUME: &str = "__volume";

fn volume_id(container_id: &str, number: usize) -> String {
    format!("{container_id}{VOLUME}{number}")
}

/// The snapshot that was prepared for a container, as a restarted daemon needs it.
///
/// # Errors
/// [`StoreError::NoSnapshot`] when there is none.
pub fn load(files: &ImageFiles, container_id: &str) -> Result<Snapshot, StoreError> {
    let path = snapshot_path(files, container_id)?;
    let no_snapshot = || StoreError::NoSnapshot(container_id.to_owned());
    let id = fs::read_link(path.join("image")).map_err(|_| no_snapshot())?;
    let id = id.to_str().and_then(Digest::parse).ok_or_else(no_snapshot)?;
    let image = files.index()?.get(&id).cloned().ok_or_else(no_snapshot)?;
    layout(files, &path, image)
}

/// Removes a container's snapshot and its volumes; what is not there is fine. Nothing of it may be mounted.
///
/// # Errors
/// [`StoreError`] when the disk refuses.
pub fn remove(files: &ImageFiles, container_id: &str) -> Result<(), StoreError> {
    for number in 0.. {
        let volume = snapshot_path(files, &volume_id(container_id, number))?;
        if !volume.exists() {
            break;
        }
        remove_path(&volume)?;
    }
    remove_path(&snapshot_path(files, container_id)?)
}

/// Removes the snapshots of all containers but these; called once when a runtime starts.
///
/// # Errors
/// [`StoreError`] when the disk refuses.
pub fn retain(files: &ImageFiles, live_container_ids: &[String]) -> Result<(), StoreError> {
    for id in container_ids(files)? {
        let container = id.split(VOLUME).next().unwrap_or(&id);
        if !live_container_ids.iter().any(|live| live == container) {
            remove(files, &id)?;
        }
    }
    files.collect_garbage()
}

/// Disk use of a container's writable layer.
///
/// # Errors
/// [`StoreError`] when it can't be read.
pub fn usage(files: &ImageFiles, container_id: &str) -> Result<Usage, StoreError> {
    let path = snapshot_path(files, container_id)?.join("fs");
    let mut usage = Usage::default();
    measure(&path, &mut usage).map_err(StoreError::io("measuring", &path))?;
    Ok(usage)
}

/// Disk use of all writable layers.
///
/// # Errors
/// [`StoreError`] when one can't be read.
pub fn total_usage(files: &ImageFiles) -> Result<Usage, StoreError> {
    container_ids(files)?.iter().try_fold(Usage::default(), |sum, id| {
        let one = usage(files, id)?;
        Ok(Usage { bytes: sum.bytes + one.bytes, inodes: sum.inodes + one.inodes })
    })
}

fn layout(files: &ImageFiles, path: &Path, image: ImageRecord) -> Result<Snapshot, StoreError> {
    let lowerdirs = match unique_from_top(&image.layers) {
        layers if layers.is_empty() => vec![empty_layer(files)?],
        layers => layers.into_iter().map(|layer| files.layer_content(layer)).collect(),
    };
    Ok(Snapshot { lowerdirs, upperdir: path.join("fs"), workdir: path.join("work"), image })
}

/// Layers from the top, each once: overlayfs refuses a directory twice, and the upper occurrence hides the lower one.
fn unique_from_top(layers: &[Digest]) -> Vec<&Digest> {
    let mut unique: Vec<&Digest> = Vec::with_capacity(layers.len());
    for layer in layers.iter().rev() {
        if !unique.contains(&layer) {
            unique.push(layer);
        }
    }
    unique
}

/// Stands in below images without layers.
fn empty_layer(files: &ImageFiles) -> Result<PathBuf, StoreError> {
    let path = files.root().join("empty");
    fs::DirBuilder::new().recursive(true).create(&path).map_err(StoreError::io("creating", &path))?;
    Ok(path)
}

/// The root directory a container sees is the upper one, so it must look like the image's.
fn copy_root_attributes(snapshot: &Snapshot) -> io::Result<()> {
    let root = fs::metadata(&snapshot.lowerdirs[0])?;
    fs::set_permissions(&snapshot.upperdir, fs::Permissions::from_mode(root.mode() & 0o7777))?;
    if (root.uid(), root.gid()) != (0, 0) {
        std::os::unix::fs::chown(&snapshot.upperdir, Some(root.uid()), Some(root.gid()))?;
    }
    Ok(())
}

fn container_ids(files: &ImageFiles) -> Result<Vec<String>, StoreError> {
    let path = files.snapshots_path();
    let name = |entry: io::Result<fs::DirEntry>| Ok(entry?.file_name().to_string_lossy().into_owned());
    let list = || fs::read_dir(&path)?.map(name).collect::<io::Result<Vec<_>>>();
    list().map_err(StoreError::io("listing", &path))
}

/// The id becomes a directory name, so it must be one.
fn snapshot_path(files: &ImageFiles, container_id: &str) -> Result<PathBuf, StoreError> {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    if container_id.is_empty() || !container_id.bytes().all(fits) {
        return Err(StoreError::ContainerId(container_id.to_owned()));
    }
    Ok(files.snapshots_path().join(container_id))
}

fn remove_path(path: &Path) -> Result<(), StoreError> {
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        outcome => outcome.map_err(StoreError::io("removing", path)),
    }
}

/// Sums up a tree without following symlinks; what disappears meanwhile does not count.
fn measure(directory: &Path, usage: &mut Usage) -> io::Result<()> {
    let entries = match fs::read_dir(directory) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        entries => entries?,
    };
    for entry in entries {
        let entry = entry?;
        let metadata = match entry.metadata() {
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            metadata => metadata?,
        };
        usage.inodes += 1;
        usage.bytes += metadata.blocks() * 512;
        if metadata.is_dir() {
            measure(&entry.path(), usage)?;
        }
    }
    Ok(())
}
