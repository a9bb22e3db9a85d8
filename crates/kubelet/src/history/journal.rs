//! The files: one per Pod, `<uid>.jsonl`, or `<uid>.over.jsonl` once the Pod is gone. The first line says which Pod it
//! is about, every other one is an [`Entry`].

use std::collections::HashMap;
use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use tokio::sync::mpsc;
use tracing::warn;

use super::{Entry, Job, PodIdentity, Transition};

/// How long entries gather before they are written together.
const GATHER: Duration = Duration::from_millis(200);
/// The most that is kept of one Pod, and what remains when that is too much: its beginning and its end.
const POD_MAX_BYTES: u64 = 64 << 10;
const HEAD_LINES: usize = 40;
const TAIL_BYTES: usize = 24 << 10;
/// The most that is kept in all.
const MAX_PODS: usize = 1000;
const MAX_BYTES: u64 = 16 << 20;
/// No message is worth more.
const MAX_TEXT: usize = 2048;

const LIVE: &str = ".jsonl";
const OVER: &str = ".over.jsonl";

/// Writes what is recorded until nobody can record any more.
pub(super) async fn run(directory: PathBuf, mut queue: mpsc::Receiver<Job>) {
    let mut repeats = Repeats::default();
    while let Some(first) = queue.recv().await {
        let (mut batch, mut flushed) = (Batch::default(), Vec::new());
        let mut next = Some(first);
        let deadline = tokio::time::Instant::now() + GATHER;
        while let Some(job) = next {
            match job {
                Job::Record(record) => {
                    let (pod, entry) = *record;
                    batch.extend(repeats.pass(&pod, entry).map(|entry| (pod, entry)));
                }
                Job::Flush(done) => {
                    flushed.push(done);
                    break;
                }
            }
            next = tokio::time::timeout_at(deadline, queue.recv()).await.ok().flatten();
        }
        let directory = directory.clone();
        let written = tokio::task::spawn_blocking(move || write_batch(&directory, batch)).await;
        if let Ok(Err(error)) = written {
            warn!(%error, "the history of Pods cannot be written");
        }
        for done in flushed {
            // Whoever does not wait any more is fine.
            let _ = done.send(());
        }
    }
}

type Batch = Vec<(PodIdentity, Entry)>;

/// Counts Events that say the same, so that a probe failing for days does not push out everything else: the first is
/// kept, then the second, fourth, eighth and so on.
#[derive(Default)]
struct Repeats(HashMap<String, HashMap<Saying, u64>>);

/// An Event's reason, container and message.
type Saying = (String, Option<String>, String);

impl Repeats {
    fn pass(&mut self, pod: &PodIdentity, mut entry: Entry) -> Option<Entry> {
        match &mut entry.what {
            Transition::Removed => drop(self.0.remove(&pod.uid)),
            Transition::Event { reason, message, container, count, .. } => {
                let key = (reason.clone(), container.clone(), message.clone());
                let seen = self.0.entry(pod.uid.clone()).or_default().entry(key).or_default();
                *seen += 1;
                *count = *seen;
                // What is killed again has run again, which is news.
                if reason != "Killing" && !seen.is_power_of_two() {
                    return None;
                }
            }
            _ => {}
        }
        Some(entry)
    }
}

fn write_batch(directory: &Path, batch: Batch) -> io::Result<()> {
    let mut by_pod: HashMap<String, (PodIdentity, Vec<Entry>)> = HashMap::new();
    for (pod, entry) in batch {
        by_pod.entry(pod.uid.clone()).or_insert_with(|| (pod, Vec::new())).1.push(entry);
    }
    for (pod, entries) in by_pod.into_values() {
        append(directory, &pod, &entries)?;
    }
    Ok(())
}

/// Appends to a Pod's file, and makes room where it needs to be made.
fn append(directory: &Path, pod: &PodIdentity, entries: &[Entry]) -> io::Result<()> {
    // A UID of the API is a UUID; a name that leads elsewhere is no UID.
    if pod.uid.is_empty() || !pod.uid.chars().all(|char| char.is_ascii_alphanumeric() || char == '-') {
        return Ok(());
    }
    let live = directory.join(format!("{}{LIVE}", pod.uid));
    let mut text = String::new();
    if !live.exists() {
        fs::create_dir_all(directory)?;
        make_room(directory)?;
        text = serde_json::to_string(pod)? + "\n";
    }
    for entry in entries {
        text += &serde_json::to_string(&shortened(entry.clone()))?;
        text.push('\n');
    }
    let mut file = private(fs::File::options().append(true).create(true)).open(&live)?;
    file.write_all(text.as_bytes())?;
    if file.metadata()?.len() > POD_MAX_BYTES {
        compact(&live)?;
    }
    if entries.iter().any(|entry| entry.what == Transition::Removed) {
        fs::rename(&live, directory.join(format!("{}{OVER}", pod.uid)))?;
    }
    Ok(())
}

/// Messages and logs may hold what is nobody else's business.
fn private(options: &mut fs::OpenOptions) -> &mut fs::OpenOptions {
    std::os::unix::fs::OpenOptionsExt::mode(options, 0o600)
}

fn shortened(mut entry: Entry) -> Entry {
    let shorten = |text: &mut String| {
        if text.len() > MAX_TEXT {
            let end = (0..=MAX_TEXT).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
            text.truncate(end);
            text.push_str(" ...");
        }
    };
    match &mut entry.what {
        Transition::Event { message, .. } => shorten(message),
        Transition::Phase { message: Some(message), .. }
        | Transition::Condition { message: Some(message), .. }
        | Transition::Waiting { message: Some(message), .. }
        | Transition::Exited { message: Some(message), .. } => shorten(message),
        _ => {}
    }
    entry
}

/// Leaves out the middle of a story that became too long.
fn compact(path: &Path) -> io::Result<()> {
    let content = fs::read(path)?;
    let content = String::from_utf8_lossy(&content);
    let lines: Vec<&str> = content.lines().collect();
    let mut bytes = 0;
    let tail = lines.iter().rev().take_while(|line| {
        bytes += line.len() + 1;
        bytes <= TAIL_BYTES
    });
    let tail_start = lines.len() - tail.count();
    let head_end = HEAD_LINES.min(tail_start);
    let gone = &lines[head_end..tail_start];
    let mut skipped = None;
    if let Some(at) = gone.iter().find_map(|line| Some(serde_json::from_str::<Entry>(line).ok()?.at)) {
        let before = gone.iter().filter_map(|line| match serde_json::from_str::<Entry>(line).ok()?.what {
            Transition::Skipped { entries } => Some(entries - 1),
            _ => None,
        });
        let what = Transition::Skipped { entries: gone.len() + before.sum::<usize>() };
        skipped = Some(serde_json::to_string(&Entry { at, what })?);
    }
    let kept = lines[..head_end].iter().copied().chain(skipped.as_deref()).chain(lines[tail_start..].iter().copied());
    let text: String = kept.flat_map(|line| [line, "\n"]).collect();
    let new = path.with_extension("new");
    private(fs::File::options().write(true).create(true).truncate(true)).open(&new)?.write_all(text.as_bytes())?;
    fs::rename(new, path)
}

/// Removes journals until one more fits: of Pods that are gone first, and what was written longest ago first.
fn make_room(directory: &Path) -> io::Result<()> {
    let mut files: Vec<(bool, SystemTime, u64, PathBuf)> = Vec::new();
    for entry in fs::read_dir(directory)?.flatten() {
        let Ok(metadata) = entry.metadata() else { continue };
        let is_live = !entry.file_name().to_string_lossy().ends_with(OVER);
        files.push((is_live, metadata.modified()?, metadata.len(), entry.path()));
    }
    files.sort();
    let mut bytes: u64 = files.iter().map(|(_, _, length, _)| length).sum();
    let mut left = files.len();
    for (_, _, length, path) in &files {
        if left < MAX_PODS && bytes < MAX_BYTES {
            break;
        }
        fs::remove_file(path)?;
        left -= 1;
        bytes -= length;
    }
    Ok(())
}

/// A journal as it was read.
#[derive(Debug)]
pub(super) struct Journal {
    /// Whose it is.
    pub pod: PodIdentity,
    /// Whether the Pod is gone.
    pub over: bool,
    /// Its entries in order.
    pub entries: Vec<Entry>,
}

/// The journals of Pods that `wanted` accepts. What cannot be read is left out: it was broken from outside.
pub(super) fn read(directory: &Path, wanted: impl Fn(&PodIdentity) -> bool) -> Vec<Journal> {
    let files = fs::read_dir(directory).into_iter().flatten().flatten();
    let journal = |path: PathBuf| {
        let name = path.file_name()?.to_str()?;
        let over = name.ends_with(OVER);
        if !name.ends_with(LIVE) {
            return None;
        }
        let content = fs::read(&path).ok()?;
        let content = String::from_utf8_lossy(&content);
        let mut lines = content.lines();
        let pod: PodIdentity = serde_json::from_str(lines.next()?).ok()?;
        let entries = || lines.filter_map(|line| serde_json::from_str(line).ok()).collect();
        wanted(&pod).then(|| Journal { over, entries: entries(), pod })
    };
    files.filter_map(|entry| journal(entry.path())).collect()
}
