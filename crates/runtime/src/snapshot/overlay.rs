//! Mounting a snapshot.
//!
//! `mount(2)` takes options as one string of at most a page, too short for the paths of an image with many layers. The
//! newer calls take each layer by itself, if its path is shorter than 256 bytes and the kernel is Linux 6.5 or later;
//! otherwise the layers are named by file descriptors, which are short.

use std::ffi::CString;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, Mode, OFlags};
use rustix::io::Errno;
use rustix::mount::{
    FsMountFlags, FsOpenFlags, MountAttrFlags, MountFlags, MoveMountFlags, UnmountFlags, fsconfig_create,
    fsconfig_set_string, fsmount, fsopen, move_mount,
};

use super::Snapshot;

/// Why a snapshot could not be mounted.
#[derive(Debug, thiserror::Error)]
#[error("mounting overlay of {layers} layers on {target:?}")]
pub struct OverlayError {
    /// How many layers it has.
    pub layers: usize,
    /// Where it was to appear.
    pub target: PathBuf,
    /// Why not.
    #[source]
    pub source: io::Error,
}

/// Mounts a snapshot as the root file system of a container at `target`, which must be a directory, in the calling
/// process' mount namespace. Whoever mounts unmounts, or ends the namespace.
///
/// # Errors
/// [`OverlayError`]; then nothing is mounted.
pub fn mount(snapshot: &Snapshot, target: &Path) -> Result<(), OverlayError> {
    let outcome = match mount_by_layer(snapshot, target) {
        Err(Errno::INVAL | Errno::NOSYS) => mount_by_descriptor(snapshot, target),
        outcome => outcome,
    };
    outcome.map_err(|error| OverlayError {
        layers: snapshot.lowerdirs.len(),
        target: target.to_owned(),
        source: error.into(),
    })
}

/// `/proc/self/fd/N` is short, and free of the characters that mean something in overlayfs' options.
pub(super) fn mount_by_descriptor(snapshot: &Snapshot, target: &Path) -> rustix::io::Result<()> {
    let open =
        |path: &PathBuf| rustix::fs::open(path, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty());
    let layers = snapshot.lowerdirs.iter().map(open).collect::<Result<Vec<OwnedFd>, _>>()?;
    let (upper, work) = (open(&snapshot.upperdir)?, open(&snapshot.workdir)?);
    let name = |directory: &OwnedFd| format!("/proc/self/fd/{}", directory.as_raw_fd());
    let lower = layers.iter().map(name).collect::<Vec<_>>().join(":");
    let options = format!("lowerdir={lower},upperdir={},workdir={}", name(&upper), name(&work));
    let options = CString::new(options).expect("numbers and slashes");
    rustix::mount::mount("overlay", target, "overlay", MountFlags::empty(), options.as_c_str())
}

fn mount_by_layer(snapshot: &Snapshot, target: &Path) -> rustix::io::Result<()> {
    let context = fsopen("overlay", FsOpenFlags::FSOPEN_CLOEXEC)?;
    for layer in &snapshot.lowerdirs {
        fsconfig_set_string(&context, "lowerdir+", layer)?;
    }
    fsconfig_set_string(&context, "upperdir", &snapshot.upperdir)?;
    fsconfig_set_string(&context, "workdir", &snapshot.workdir)?;
    fsconfig_create(&context)?;
    let mounted = fsmount(&context, FsMountFlags::FSMOUNT_CLOEXEC, MountAttrFlags::empty())?;
    move_mount(&mounted, "", CWD, target, MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH)
}

/// Unmounts a snapshot at once, even while it is in use; it disappears for good with its last user.
///
/// # Errors
/// Those of `umount2`; nothing mounted there is an error.
pub fn unmount(target: &Path) -> io::Result<()> {
    Ok(rustix::mount::unmount(target, UnmountFlags::DETACH | UnmountFlags::NOFOLLOW)?)
}
