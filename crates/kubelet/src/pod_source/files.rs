//! Static Pods from the files of a directory, or from one file.
//!
//! Every file that is not hidden is a manifest, whatever its name. Changes are noticed by inotify; a slow rescan finds
//! what that missed. A file that was a Pod and can't be read as one any more keeps its Pod until the rescan finds it
//! still broken: editors do not write in one step.

use std::collections::{BTreeMap, HashSet};
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::core::v1::Pod;
use tokio::sync::mpsc;
use tracing::warn;

use super::StaticPods;
use super::manifest::{self, MANIFEST_MAX, Origin, Source};
use crate::context::NodeContext;
use crate::directory_watch::DirectoryWatch;
use crate::pod;
use crate::sync_loop::Event;
use client::EventType;

const RESCAN_PERIOD: Duration = Duration::from_secs(20);
/// How soon a path that is not there is looked for again.
const MISSING_PERIOD: Duration = Duration::from_secs(1);

/// Why the manifests are looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Occasion {
    /// Something happened to one of them.
    Change,
    /// It is time.
    Rescan,
}

/// Sends the set of Pods whenever it changes, until the receiver is gone.
pub async fn run(context: Arc<NodeContext>, path: PathBuf, node_name: String, events: mpsc::Sender<Event>) {
    let mut manifests = Manifests { context, path, node_name, files: BTreeMap::new(), reported: HashSet::new() };
    let mut sent = None;
    let mut occasion = Occasion::Rescan;
    loop {
        // Watched before it is read: nothing happens unseen.
        let watch = manifests.watch();
        manifests.read(occasion);
        let pods = manifests.pods();
        if sent.as_ref() != Some(&pods) {
            let update = StaticPods { source: Source::File, pods: pods.clone() };
            if events.send(Event::StaticPods(update)).await.is_err() {
                return;
            }
            sent = Some(pods);
        }
        occasion = wait(watch).await;
    }
}

async fn wait(watch: io::Result<DirectoryWatch>) -> Occasion {
    let Ok(watch) = watch else {
        tokio::time::sleep(MISSING_PERIOD).await;
        return Occasion::Rescan;
    };
    match tokio::time::timeout(RESCAN_PERIOD, watch.changed()).await {
        Ok(Ok(())) => Occasion::Change,
        Ok(Err(_)) | Err(_) => Occasion::Rescan,
    }
}

/// What was read last.
struct Manifests {
    context: Arc<NodeContext>,
    path: PathBuf,
    node_name: String,
    files: BTreeMap<PathBuf, Arc<Pod>>,
    /// Problems that were told already.
    reported: HashSet<(PathBuf, String)>,
}

impl Manifests {
    fn watch(&self) -> io::Result<DirectoryWatch> {
        let metadata = std::fs::metadata(&self.path)?;
        let parent = self.path.parent().filter(|_| !metadata.is_dir());
        DirectoryWatch::of_files(parent.unwrap_or(&self.path))
    }

    /// Pods by name; of files that name the same one the last counts.
    fn pods(&self) -> Vec<Arc<Pod>> {
        let key = |pod: &Arc<Pod>| (pod::namespace(pod).to_owned(), pod::name(pod).to_owned());
        let by_name: BTreeMap<_, _> = self.files.values().map(|pod| (key(pod), Arc::clone(pod))).collect();
        by_name.into_values().collect()
    }

    fn read(&mut self, occasion: Occasion) {
        let paths = match candidates(&self.path) {
            Ok(paths) => paths,
            Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
            Err(error) => return self.complain(&self.path.clone(), &error.to_string()),
        };
        self.files.retain(|path, _| paths.contains(path));
        let mut problems = HashSet::new();
        for path in paths {
            match self.read_file(&path) {
                Ok(None) if occasion == Occasion::Change => {}
                Ok(Some(pod)) => self.keep(path, pod),
                Ok(None) => drop(problems.insert((path, "the file is empty".to_owned()))),
                Err(problem) => drop(problems.insert((path, problem))),
            }
        }
        for (path, problem) in &problems {
            if occasion == Occasion::Rescan {
                self.files.remove(path);
            }
            if !self.reported.contains(&(path.clone(), problem.clone())) {
                self.complain(path, problem);
            }
        }
        self.reported = problems;
    }

    /// A Pod that was seen before stays the same object, with the time it was first seen.
    fn keep(&mut self, path: PathBuf, mut pod: Pod) {
        if self.files.get(&path).is_some_and(|known| pod::uid(known) == pod::uid(&pod)) {
            return;
        }
        super::note_seen(&mut pod, self.context.clock.now());
        self.files.insert(path, Arc::new(pod));
    }

    /// `None` for a file without content: somebody is about to write it.
    fn read_file(&self, path: &Path) -> Result<Option<Pod>, String> {
        let mut text = Vec::new();
        let file = std::fs::File::open(path).map_err(|error| error.to_string())?;
        let limit = u64::try_from(MANIFEST_MAX).unwrap_or(u64::MAX) + 1;
        file.take(limit).read_to_end(&mut text).map_err(|error| error.to_string())?;
        if text.is_empty() {
            return Ok(None);
        }
        let origin = Origin { node: &self.node_name, source: Source::File, place: &path.to_string_lossy() };
        manifest::read(&text, origin).map(Some).map_err(|error| error.to_string())
    }

    fn complain(&self, path: &Path, problem: &str) {
        warn!(path = %path.display(), problem, "manifest of a static Pod is not used");
        let message = format!("Can't process manifest file {}: {problem}", path.display());
        self.context.events.node(&self.node_name, EventType::Warning, "FailedValidation", message);
    }
}

/// The files that are manifests, in order. Directories in it are left alone.
fn candidates(path: &Path) -> io::Result<Vec<PathBuf>> {
    if !std::fs::metadata(path)?.is_dir() {
        return Ok(vec![path.to_owned()]);
    }
    let mut paths = Vec::new();
    for entry in std::fs::read_dir(path)? {
        let entry = entry?;
        let hidden = entry.file_name().as_encoded_bytes().starts_with(b".");
        // Behind a symbolic link counts what it leads to.
        if !hidden && std::fs::metadata(entry.path()).is_ok_and(|metadata| metadata.is_file()) {
            paths.push(entry.path());
        }
    }
    paths.sort();
    Ok(paths)
}
