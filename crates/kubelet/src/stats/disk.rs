//! What directories take on disk.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use jiff::Timestamp;

use super::summary::FsStats;

/// Space and inodes a directory tree takes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct DiskUsage {
    /// Allocated blocks: a sparse file counts for what it holds.
    pub bytes: u64,
    /// Files, directories and everything else.
    pub inodes: u64,
}

impl std::ops::AddAssign for DiskUsage {
    fn add_assign(&mut self, other: Self) {
        self.bytes += other.bytes;
        self.inodes += other.inodes;
    }
}

/// Measures a tree without leaving its file system; what vanishes meanwhile is not counted, and a file with several
/// names here counts for each. Walks the disk: not for async tasks.
pub fn usage(path: &Path) -> DiskUsage {
    fs::symlink_metadata(path).map_or(DiskUsage::default(), |root| walk(path, &root, root.dev()))
}

fn walk(path: &Path, metadata: &fs::Metadata, device: u64) -> DiskUsage {
    if metadata.dev() != device {
        return DiskUsage::default();
    }
    // The kernel counts blocks of 512 bytes whatever the file system's own are.
    let mut usage = DiskUsage { bytes: metadata.blocks() * 512, inodes: 1 };
    if metadata.is_dir() {
        for entry in fs::read_dir(path).into_iter().flatten().flatten() {
            if let Ok(metadata) = entry.metadata() {
                usage += walk(&entry.path(), &metadata, device);
            }
        }
    }
    usage
}

/// The whole file system a path is on.
pub fn file_system(path: &Path, time: Timestamp) -> Option<FsStats> {
    let fs = rustix::fs::statvfs(path).ok()?;
    Some(FsStats {
        time,
        available_bytes: fs.f_bavail * fs.f_frsize,
        capacity_bytes: fs.f_blocks * fs.f_frsize,
        used_bytes: (fs.f_blocks - fs.f_bfree) * fs.f_frsize,
        inodes_free: fs.f_ffree,
        inodes: fs.f_files,
        inodes_used: fs.f_files - fs.f_ffree,
    })
}

impl FsStats {
    /// The same file system, about a user of it.
    #[must_use]
    pub fn used_by(self, usage: DiskUsage) -> Self {
        Self { used_bytes: usage.bytes, inodes_used: usage.inodes, ..self }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_blocks_and_inodes_of_a_tree() {
        let directory = tempfile::tempdir().unwrap();
        let empty = usage(directory.path());
        fs::create_dir(directory.path().join("a")).unwrap();
        fs::write(directory.path().join("a/b"), vec![1; 100_000]).unwrap();
        std::os::unix::fs::symlink("/", directory.path().join("link")).unwrap();
        let full = usage(directory.path());
        assert_eq!(full.inodes, empty.inodes + 3);
        assert!((100_000..200_000).contains(&(full.bytes - empty.bytes)), "{full:?}");
        assert_eq!(usage(&directory.path().join("gone")), DiskUsage::default());
    }
}
