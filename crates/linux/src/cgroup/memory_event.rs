//! Hearing from the kernel that memory runs short, without looking.
//!
//! Version 1 has thresholds: a descriptor becomes readable when a cgroup's use passes a number of bytes, up or down.
//! Version 2 has nothing of the kind, but says when processes have been held up for lack of memory (`PSI`).

use std::fs::{File, OpenOptions};
use std::io::Write as _;
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::event::{EventfdFlags, eventfd};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

use super::layout::{Controller, Layout};
use super::{Cgroups, Error, Result, read_file, relative, write_file};
use crate::readiness::register_for;

/// Tasks held up for 100 ms of 2 s; other windows than multiples of two seconds take a privilege.
const STALL: &[u8] = b"some 100000 2000000\0";

/// Tells that a cgroup's memory use passed a line, or that its processes had to wait for memory.
#[derive(Debug)]
pub struct MemoryEvent(Source);

#[derive(Debug)]
enum Source {
    Threshold(AsyncFd<OwnedFd>),
    Stall(AsyncFd<OwnedFd>),
}

impl Cgroups {
    /// Listens to the memory of a cgroup; of the whole machine with an empty path. On version 1 for a use that is
    /// `growth` bytes away from what it is now, on version 2 for processes that wait.
    ///
    /// # Errors
    /// [`Error::Read`] or [`Error::Write`], when there is no such cgroup or the kernel does not offer this.
    pub fn memory_event(&self, path: &Path, growth: i64) -> Result<MemoryEvent> {
        let path = if path.as_os_str().is_empty() { path } else { relative(path)? };
        match &self.layout {
            Layout::V1(_) => {
                let root = self.layout.root(Controller::Memory).expect("detection requires the memory controller");
                threshold(&root.join(path), growth).map(|event| MemoryEvent(Source::Threshold(event)))
            }
            Layout::V2(root) => {
                let file = match path.as_os_str().is_empty() {
                    true => PathBuf::from("/proc/pressure/memory"),
                    false => root.join(path).join("memory.pressure"),
                };
                stall(&file).map(|event| MemoryEvent(Source::Stall(event)))
            }
        }
    }
}

impl MemoryEvent {
    /// Returns when it has happened, since the last call or the beginning.
    pub async fn happened(&self) {
        let (event, interest) = match &self.0 {
            Source::Threshold(event) => (event, Interest::READABLE),
            Source::Stall(event) => (event, Interest::PRIORITY),
        };
        match event.ready(interest).await {
            Ok(mut guard) => guard.clear_ready(),
            // The runtime is shutting down, and nobody is there to be told.
            Err(_) => std::future::pending().await,
        }
    }

    /// Whether the line is exact: without, memory can run short without a word.
    pub fn is_exact(&self) -> bool {
        matches!(self.0, Source::Threshold(_))
    }
}

fn threshold(directory: &Path, growth: i64) -> Result<AsyncFd<OwnedFd>> {
    let path = directory.join("memory.usage_in_bytes");
    let usage: u64 = read_file(&path)?.trim().parse().map_err(|_| Error::Malformed { path: path.clone() })?;
    let line = usage.saturating_add_signed(growth);
    let read = |source| Error::Read { path: path.clone(), source };
    let file = File::open(&path).map_err(read)?;
    let event = eventfd(0, EventfdFlags::NONBLOCK | EventfdFlags::CLOEXEC).map_err(|error| read(error.into()))?;
    // Whose use, and whom to tell. The kernel keeps the line until the event is closed.
    write_file(&directory.join("cgroup.event_control"), &format!("{} {} {line}", event.as_raw_fd(), file.as_raw_fd()))?;
    register_for(event, Interest::READABLE).map_err(read)
}

fn stall(path: &Path) -> Result<AsyncFd<OwnedFd>> {
    let failed = |source| Error::Write { path: path.into(), value: "a stall to wait for".to_owned(), source };
    let mut file = OpenOptions::new().read(true).write(true).open(path).map_err(failed)?;
    file.write_all(STALL).map_err(failed)?;
    register_for(OwnedFd::from(file), Interest::PRIORITY).map_err(failed)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::cgroup::{Limits, Version};

    #[tokio::test]
    async fn tells_when_use_passes_the_line() {
        let cgroups = Cgroups::detect().unwrap();
        if cgroups.version() == Version::V2 {
            return; // a test process inside a version 2 tree may not own the controllers
        }
        let path = format!("isopod-unit-{}-line", std::process::id());
        cgroups.create(&path, &Limits::default()).unwrap();
        let near = cgroups.memory_event(Path::new(&path), 4 << 20).unwrap();
        let far = cgroups.memory_event(Path::new(&path), 400 << 20).unwrap();
        let mut child = tokio::process::Command::new("/bin/sh")
            .args(["-c", "read line; x=$(head -c 30000000 /dev/zero | tr '\\0' x); read line"])
            .stdin(std::process::Stdio::piped())
            .spawn()
            .unwrap();
        cgroups.add_process(&path, i32::try_from(child.id().unwrap()).unwrap()).unwrap();
        let mut stdin = child.stdin.take().unwrap();
        tokio::io::AsyncWriteExt::write_all(&mut stdin, b"\n").await.unwrap();
        let told = tokio::time::timeout(Duration::from_secs(20), near.happened()).await;
        let too_much = tokio::time::timeout(Duration::from_millis(10), far.happened()).await;
        drop(stdin);
        child.wait().await.unwrap();
        cgroups.remove(&path).unwrap();
        assert!(told.is_ok() && too_much.is_err() && near.is_exact());
    }

    #[tokio::test]
    async fn waits_for_stalls_where_the_kernel_counts_them() {
        let path = Path::new("/proc/pressure/memory");
        if path.exists() {
            stall(path).unwrap();
        }
        assert!(stall(Path::new("/proc/none")).is_err());
    }
}
