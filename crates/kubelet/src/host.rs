//! What the kubelet does to the host besides files: mounts and cgroups. A trait, so that workers can be tested and
//! simulated without a host; and the real one.

use std::ffi::CString;
use std::io;
use std::path::{Path, PathBuf};

use linux::cgroup::{Cgroups, Limits, MemoryEvent, Usage};
use rustix::mount::{MountFlags, UnmountFlags};

/// Mounts and Pod cgroups.
pub trait Host: Send + Sync {
    /// Creates a cgroup with its parents and sets limits; one that exists is only given the limits.
    ///
    /// # Errors
    /// What the host said.
    fn create_cgroup(&self, path: &str, limits: &Limits) -> io::Result<()>;
    /// Removes a cgroup and what is below it; one that is gone is fine.
    ///
    /// # Errors
    /// What the host said, for instance when a process is still in it.
    fn remove_cgroup(&self, path: &str) -> io::Result<()>;
    /// What a cgroup uses with everything below it.
    ///
    /// # Errors
    /// When there is no such cgroup.
    fn cgroup_usage(&self, path: &str) -> io::Result<Usage>;
    /// Listens for the memory of a cgroup to move by so many bytes; of the whole machine for an empty path.
    ///
    /// # Errors
    /// When the kernel does not tell such things.
    fn memory_event(&self, path: &str, growth: i64) -> io::Result<MemoryEvent>;
    /// Names of the cgroups directly below one.
    fn child_cgroups(&self, path: &str) -> Vec<String>;
    /// Ids of the processes in a cgroup; none when it is gone.
    fn processes_in(&self, path: &str) -> Vec<i32>;
    /// Mounts a memory file system on a directory.
    ///
    /// # Errors
    /// What the kernel said.
    fn mount_tmpfs(&self, target: &Path, size_bytes: Option<u64>) -> io::Result<()>;
    /// Mounts what `source` names on `target`, which exists.
    ///
    /// # Errors
    /// What the kernel said.
    fn bind_mount(&self, source: &Path, target: &Path) -> io::Result<()>;
    /// Mounts what a server has on `target`, which exists; `options` are the file system's own.
    ///
    /// # Errors
    /// What the kernel said.
    fn mount_remote(
        &self,
        source: &Path,
        target: &Path,
        file_system: &str,
        options: &str,
        read_only: bool,
    ) -> io::Result<()>;
    /// Unmounts whatever is mounted on `target`, now for everybody who looks, later for those inside.
    ///
    /// # Errors
    /// What the kernel said.
    fn unmount(&self, target: &Path) -> io::Result<()>;
    /// Mount points at or below a directory, the innermost first.
    ///
    /// # Errors
    /// When the mount table cannot be read.
    fn mounts_below(&self, directory: &Path) -> io::Result<Vec<PathBuf>>;
}

/// This machine.
#[derive(Debug, Clone)]
pub struct LinuxHost {
    cgroups: Cgroups,
}

impl LinuxHost {
    /// Finds out how the machine's cgroups are mounted.
    ///
    /// # Errors
    /// When it has none that could be used.
    pub fn detect() -> Result<Self, linux::cgroup::Error> {
        Ok(Self { cgroups: Cgroups::detect()? })
    }
}

impl Host for LinuxHost {
    fn create_cgroup(&self, path: &str, limits: &Limits) -> io::Result<()> {
        self.cgroups.create(path, limits).map_err(io::Error::other)
    }

    fn remove_cgroup(&self, path: &str) -> io::Result<()> {
        self.cgroups.remove(path).map_err(io::Error::other)
    }

    fn cgroup_usage(&self, path: &str) -> io::Result<Usage> {
        self.cgroups.usage(path).map_err(io::Error::other)
    }

    fn memory_event(&self, path: &str, growth: i64) -> io::Result<MemoryEvent> {
        self.cgroups.memory_event(Path::new(path), growth).map_err(io::Error::other)
    }

    fn processes_in(&self, path: &str) -> Vec<i32> {
        self.cgroups.processes(path).unwrap_or_default()
    }

    fn child_cgroups(&self, path: &str) -> Vec<String> {
        let directories = self.cgroups.directories(path).unwrap_or_default();
        let mut names: Vec<String> = directories
            .iter()
            .filter_map(|(_, directory)| std::fs::read_dir(directory).ok())
            .flat_map(|entries| entries.flatten())
            .filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()))
            .filter_map(|entry| entry.file_name().into_string().ok())
            .collect();
        names.sort_unstable();
        names.dedup();
        names
    }

    fn mount_tmpfs(&self, target: &Path, size_bytes: Option<u64>) -> io::Result<()> {
        let options = size_bytes.map_or_else(|| "mode=0777".to_owned(), |size| format!("mode=0777,size={size}"));
        let options = CString::new(options)?;
        Ok(rustix::mount::mount("tmpfs", target, "tmpfs", MountFlags::NOSUID | MountFlags::NODEV, options.as_c_str())?)
    }

    fn bind_mount(&self, source: &Path, target: &Path) -> io::Result<()> {
        Ok(rustix::mount::mount_bind(source, target)?)
    }

    fn mount_remote(
        &self,
        source: &Path,
        target: &Path,
        file_system: &str,
        options: &str,
        read_only: bool,
    ) -> io::Result<()> {
        let flags = if read_only { MountFlags::RDONLY } else { MountFlags::empty() };
        let options = CString::new(options)?;
        Ok(rustix::mount::mount(source, target, file_system, flags, options.as_c_str())?)
    }

    fn unmount(&self, target: &Path) -> io::Result<()> {
        Ok(rustix::mount::unmount(target, UnmountFlags::DETACH | UnmountFlags::NOFOLLOW)?)
    }

    fn mounts_below(&self, directory: &Path) -> io::Result<Vec<PathBuf>> {
        Ok(parse_mounts_below(&std::fs::read_to_string("/proc/self/mountinfo")?, directory))
    }
}

/// The mount table lists outer mounts first; the fifth field is the mount point with octal escapes.
fn parse_mounts_below(mountinfo: &str, directory: &Path) -> Vec<PathBuf> {
    let points = mountinfo.lines().filter_map(|line| line.split(' ').nth(4)).map(unescape);
    let mut below: Vec<PathBuf> = points.filter(|point| point.starts_with(directory)).collect();
    below.reverse();
    below
}

fn unescape(text: &str) -> PathBuf {
    use std::os::unix::ffi::OsStringExt as _;
    let bytes = text.as_bytes();
    let mut plain = Vec::with_capacity(bytes.len());
    let mut index = 0;
    while index < bytes.len() {
        let octal = (bytes[index] == b'\\').then(|| text.get(index + 1..index + 4)).flatten();
        match octal.and_then(|digits| u8::from_str_radix(digits, 8).ok()) {
            Some(byte) => {
                plain.push(byte);
                index += 4;
            }
            None => {
                plain.push(bytes[index]);
                index += 1;
            }
        }
    }
    PathBuf::from(std::ffi::OsString::from_vec(plain))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_mounts_below_innermost_first() {
        let table = "1 0 0:1 / / rw - ext4 x rw\n2 1 0:2 / /data/pods rw - tmpfs t rw\n\
                     3 2 0:3 / /data/pods/a\\040b rw - tmpfs t rw\n4 1 0:4 / /data/podsx rw - tmpfs t rw\n";
        let below = parse_mounts_below(table, Path::new("/data/pods"));
        assert_eq!(below, [PathBuf::from("/data/pods/a b"), PathBuf::from("/data/pods")]);
    }
}
