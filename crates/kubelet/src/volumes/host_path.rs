//! `hostPath`: a path of the node.

use std::fs::{self, Metadata, Permissions};
use std::io;
use std::os::unix::fs::{FileTypeExt as _, PermissionsExt as _};
use std::path::PathBuf;

use k8s_openapi::api::core::v1::HostPathVolumeSource;

use super::VolumeProblem;

/// What must be there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct HostPath {
    pub path: PathBuf,
    kind: HostPathKind,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum HostPathKind {
    /// Anything; a directory is made where nothing is.
    Any,
    DirectoryOrCreate,
    Directory,
    FileOrCreate,
    File,
    Socket,
    CharDevice,
    BlockDevice,
}

pub(super) fn plan(source: &HostPathVolumeSource) -> HostPath {
    let kind = match source.type_.as_deref() {
        Some("DirectoryOrCreate") => HostPathKind::DirectoryOrCreate,
        Some("Directory") => HostPathKind::Directory,
        Some("FileOrCreate") => HostPathKind::FileOrCreate,
        Some("File") => HostPathKind::File,
        Some("Socket") => HostPathKind::Socket,
        Some("CharDevice") => HostPathKind::CharDevice,
        Some("BlockDevice") => HostPathKind::BlockDevice,
        _ => HostPathKind::Any,
    };
    HostPath { path: PathBuf::from(&source.path), kind }
}

pub(super) fn set_up(plan: &HostPath) -> Result<(), VolumeProblem> {
    let metadata = match fs::metadata(&plan.path) {
        Ok(metadata) => Some(metadata),
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        Err(error) => return Err(VolumeProblem::io("look at", &plan.path)(error)),
    };
    match (&metadata, plan.kind) {
        (None, HostPathKind::Any | HostPathKind::DirectoryOrCreate) => {
            create_directory(plan).map_err(VolumeProblem::io("create", &plan.path))
        }
        (None, HostPathKind::FileOrCreate) => create_file(plan).map_err(VolumeProblem::io("create", &plan.path)),
        (Some(metadata), kind) if kind.fits(metadata) => Ok(()),
        _ => Err(VolumeProblem::HostPathType { path: plan.path.clone(), expected: plan.kind.expected() }),
    }
}

fn create_directory(plan: &HostPath) -> io::Result<()> {
    fs::create_dir_all(&plan.path)?;
    fs::set_permissions(&plan.path, Permissions::from_mode(0o755))
}

fn create_file(plan: &HostPath) -> io::Result<()> {
    fs::OpenOptions::new().create(true).truncate(false).write(true).open(&plan.path)?;
    fs::set_permissions(&plan.path, Permissions::from_mode(0o644))
}

impl HostPathKind {
    fn fits(self, metadata: &Metadata) -> bool {
        let kind = metadata.file_type();
        match self {
            Self::Any => true,
            Self::DirectoryOrCreate | Self::Directory => kind.is_dir(),
            Self::FileOrCreate | Self::File => kind.is_file(),
            Self::Socket => kind.is_socket(),
            Self::CharDevice => kind.is_char_device(),
            Self::BlockDevice => kind.is_block_device(),
        }
    }

    fn expected(self) -> &'static str {
        match self {
            Self::Any => "there",
            Self::DirectoryOrCreate | Self::Directory => "a directory",
            Self::FileOrCreate | Self::File => "a file",
            Self::Socket => "a socket file",
            Self::CharDevice => "a character device",
            Self::BlockDevice => "a block device",
        }
    }
}
