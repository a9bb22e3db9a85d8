//! Termination messages: what a container wrote before it ended, read once.

use std::collections::HashMap;
use std::fs::File;
use std::io::{Read as _, Seek as _, SeekFrom};
use std::path::Path;

use crate::labels;
use crate::observed::{ContainerState, ObservedContainer, ObservedPod};
use crate::server::logs;

/// The most of a message file that is reported.
const MESSAGE_MAX: u64 = 4096;
/// The most of a log that stands in for it.
const LOG_MAX: usize = 2048;
const LOG_LINES: usize = 80;

/// Messages of a Pod's dead containers by container id.
#[derive(Debug, Default)]
pub(super) struct LastWords {
    read: HashMap<String, String>,
}

impl LastWords {
    /// Adds the messages to what was observed, after the runtime's own.
    pub(super) fn add_to(&mut self, observed: &mut ObservedPod) {
        for container in &mut observed.containers {
            if !matches!(container.state, ContainerState::Exited(_)) {
                continue;
            }
            let words = match self.read.get(&container.id) {
                Some(words) => words.clone(),
                None => read(container),
            };
            self.read.insert(container.id.clone(), words.clone());
            if let (ContainerState::Exited(exit), false) = (&mut container.state, words.is_empty()) {
                exit.message = if exit.message.is_empty() { words } else { format!("{}: {words}", exit.message) };
            }
        }
        self.read.retain(|id, _| observed.containers.iter().any(|container| container.id == *id));
    }
}

fn read(container: &ObservedContainer) -> String {
    let annotation = |key: &str| container.annotations.get(key).map(String::as_str).unwrap_or_default();
    let path = container.mounts.get(annotation(labels::TERMINATION_MESSAGE_PATH));
    let message = path.map(|path| tail(Path::new(path), MESSAGE_MAX)).unwrap_or_default();
    let failed = container.exit().is_some_and(|exit| exit.exit_code != 0 && exit.reason != "StartError");
    if message.is_empty() && failed && annotation(labels::TERMINATION_MESSAGE_POLICY) == "FallbackToLogsOnError" {
        return logs::last_lines(Path::new(&container.log_path), LOG_LINES, LOG_MAX);
    }
    message
}

/// The end of a file; a file that cannot be read says nothing.
fn tail(path: &Path, limit: u64) -> String {
    let read = || -> std::io::Result<Vec<u8>> {
        let mut file = File::open(path)?;
        let length = file.metadata()?.len();
        file.seek(SeekFrom::Start(length.saturating_sub(limit)))?;
        let mut bytes = Vec::new();
        file.take(limit).read_to_end(&mut bytes)?;
        Ok(bytes)
    };
    read().map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default()
}
