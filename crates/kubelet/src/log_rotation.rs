//! Rotation of container logs: a log that grew too large is renamed, the runtime reopens it, older ones are compressed,
//! the oldest go.
//!
//! Checked once in a while for running containers only: one `stat` each.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use flate2::Compression;
use flate2::write::GzEncoder;
use jiff::Timestamp;
use tracing::warn;

use crate::context::NodeContext;
use crate::server::logs::{is_compressed, is_rotated};

const CHECK_INTERVAL: Duration = Duration::from_secs(10);

/// Rotates logs until the future is dropped.
pub async fn run(context: Arc<NodeContext>) {
    loop {
        tokio::time::sleep(CHECK_INTERVAL).await;
        let running = cri::ContainerStateValue { state: cri::ContainerState::ContainerRunning.into() };
        let filter = cri::ContainerFilter { state: Some(running), ..cri::ContainerFilter::default() };
        match context.runtime.list_containers(filter).await {
            Ok(containers) => {
                for container in containers {
                    check(&context, &container.id).await;
                }
            }
            Err(error) => warn!(%error, "could not list containers to rotate their logs"),
        }
    }
}

async fn check(context: &NodeContext, container_id: &str) {
    // A container that is gone has nothing to rotate.
    let Ok(status) = context.runtime.container_status(container_id).await else { return };
    let path = PathBuf::from(&status.log_path);
    let large = fs::metadata(&path).is_ok_and(|log| log.len() >= context.pods.container_log_max_bytes);
    if !large {
        return;
    }
    if let Err(error) = rotate(context, container_id, &path).await {
        warn!(container = container_id, %error, "log not rotated");
    }
}

async fn rotate(context: &NodeContext, container_id: &str, path: &Path) -> io::Result<()> {
    let logs = rotated_logs(path)?;
    let surplus = surplus(logs.clone(), context.pods.container_log_max_files);
    for old in &surplus {
        fs::remove_file(old)?;
    }
    // The one that was rotated last time; nobody writes to it any more.
    for log in logs.into_iter().filter(|log| !surplus.contains(log) && !is_compressed(log)) {
        tokio::task::spawn_blocking(move || compress(&log)).await.map_err(io::Error::other)??;
    }
    let rotated = rotated_name(path, context.clock.now());
    fs::rename(path, &rotated)?;
    if let Err(error) = context.runtime.reopen_container_log(container_id).await {
        // The container still writes to the old file: give it its name back.
        fs::rename(&rotated, path)?;
        return Err(io::Error::other(error));
    }
    Ok(())
}

/// Replaces a log by its compressed form. A reader sees one or the other; a crash leaves a `.tmp` that is overwritten.
fn compress(log: &Path) -> io::Result<()> {
    let suffixed = |suffix: &str| {
        let mut name = log.as_os_str().to_owned();
        name.push(suffix);
        PathBuf::from(name)
    };
    let temporary = suffixed(".tmp");
    let mut encoder = GzEncoder::new(fs::File::create(&temporary)?, Compression::fast());
    io::copy(&mut fs::File::open(log)?, &mut encoder)?;
    encoder.finish()?.sync_all()?;
    fs::rename(&temporary, suffixed(".gz"))?;
    fs::remove_file(log)
}

fn rotated_name(path: &Path, now: Timestamp) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(format!(".{}", now.strftime("%Y%m%d-%H%M%S")));
    PathBuf::from(name)
}

/// Rotated logs, the oldest first.
pub(crate) fn rotated_logs(path: &Path) -> io::Result<Vec<PathBuf>> {
    let directory = path.parent().unwrap_or(Path::new("/"));
    let mut logs = Vec::new();
    for entry in fs::read_dir(directory)? {
        let entry = entry?.path();
        if is_rotated(path, &entry) {
            logs.push(entry);
        }
    }
    logs.sort_unstable();
    Ok(logs)
}

/// Those to delete so that, with one more and the present log, no more than `max_files` remain.
fn surplus(mut logs: Vec<PathBuf>, max_files: usize) -> Vec<PathBuf> {
    let keep = max_files.saturating_sub(2);
    logs.truncate(logs.len().saturating_sub(keep));
    logs
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_the_newest_rotated_logs() {
        let logs: Vec<PathBuf> = (1..=5).map(|n| PathBuf::from(format!("0.log.{n}"))).collect();
        assert_eq!(surplus(logs.clone(), 5), logs[..2]);
        assert_eq!(surplus(logs[..2].to_vec(), 5), Vec::<PathBuf>::new());
    }

    #[test]
    fn a_compressed_log_takes_the_place_of_the_plain_one() {
        let directory = tempfile::tempdir().unwrap();
        let log = directory.path().join("0.log.20260101-030405");
        fs::write(&log, "line\n".repeat(1000)).unwrap();
        compress(&log).unwrap();
        let found = rotated_logs(&directory.path().join("0.log")).unwrap();
        assert_eq!(found, [directory.path().join("0.log.20260101-030405.gz")]);
        assert!(fs::metadata(&found[0]).unwrap().len() < 200);
    }

    #[test]
    fn finds_rotated_logs_of_one_instance_only() {
        let directory = tempfile::tempdir().unwrap();
        for name in ["0.log", "0.log.20260102-030405", "0.log.20260101-030405", "1.log.20260101-030405", "0.log.x.tmp"]
        {
            fs::write(directory.path().join(name), "").unwrap();
        }
        let found = rotated_logs(&directory.path().join("0.log")).unwrap();
        let names: Vec<_> = found.iter().map(|path| path.file_name().unwrap().to_str().unwrap()).collect();
        assert_eq!(names, ["0.log.20260101-030405", "0.log.20260102-030405"]);
    }
}
