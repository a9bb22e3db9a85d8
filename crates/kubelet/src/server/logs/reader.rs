//! Reading a log line by line, from its end or start, and on as it grows. A log is the files it was rotated into and the
//! one that is written to.

use std::fs::File;
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use flate2::read::GzDecoder;
use jiff::Timestamp;
use tokio::sync::{mpsc, watch};

use super::format::Renderer;
use super::{LogOptions, is_compressed};
use crate::directory_watch::DirectoryWatch;
use crate::log_rotation::rotated_logs;

/// Read at once.
const BLOCK: usize = 64 * 1024;

/// What following a log needs.
pub(super) struct Follow {
    pub runtime: Arc<dyn cri::RuntimeService>,
    pub container_id: String,
    pub runtime_changes: watch::Receiver<u64>,
}

/// Copies what is asked for of a log into chunks, until its end, the container's end, or nobody listens.
pub(super) async fn copy(
    path: &Path,
    options: &LogOptions,
    now: Timestamp,
    follow: Option<Follow>,
    chunks: mpsc::Sender<io::Result<Bytes>>,
) {
    // Watched before it is read: what is written in between must not be missed.
    let outcome = async {
        let watch = match (&follow, path.parent()) {
            (Some(_), Some(directory)) => Some(DirectoryWatch::of_writes(directory)?),
            _ => None,
        };
        let mut log = Log::open(path)?;
        let earlier = earlier_logs(path, &mut log, options.tail_lines)?;
        let mut renderer = Renderer::new(options, now);
        for mut log in earlier {
            if !log.copy_available(&mut renderer, &chunks).await? {
                return Ok(());
            }
        }
        match follow.zip(watch) {
            None => log.copy_available(&mut renderer, &chunks).await.map(drop),
            Some((follow, watch)) => copy_growing(path, log, renderer, follow, watch, &chunks).await,
        }
    };
    match outcome.await {
        Ok(()) => {}
        // Nothing was written yet, or it was removed with its Pod.
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        // An error means that nobody listens any more.
        Err(error) => drop(chunks.send(Err(error)).await),
    }
}

/// The rotated logs that are to be read before `log`, opened and at the right places, as is `log` itself. All are open
/// before the first is read, so that a rotation meanwhile takes nothing away.
fn earlier_logs(path: &Path, log: &mut Log, tail_lines: Option<u64>) -> io::Result<Vec<Log>> {
    let mut missing = match tail_lines {
        Some(lines) => lines - log.seek_to_last_lines(lines)?,
        None => u64::MAX,
    };
    let mut earlier = Vec::new();
    for path in rotated_logs(path)?.iter().rev() {
        if missing == 0 {
            break;
        }
        let mut rotated = match Log::open(path) {
            // Compressed or removed since it was listed: the newest ones never are.
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            other => other?,
        };
        // Rotated away since it was opened.
        if !log.was_replaced(path)? {
            continue;
        }
        if tail_lines.is_some() {
            missing -= rotated.seek_to_last_lines(missing)?;
        }
        earlier.push(rotated);
    }
    earlier.reverse();
    Ok(earlier)
}

async fn copy_growing(
    path: &Path,
    mut log: Log,
    mut renderer: Renderer,
    mut follow: Follow,
    watch: DirectoryWatch,
    chunks: &mpsc::Sender<io::Result<Bytes>>,
) -> io::Result<()> {
    loop {
        // Asked before the read: what a container wrote before it was found dead is read below.
        follow.runtime_changes.borrow_and_update();
        let running = is_running(&follow).await;
        if !log.copy_available(&mut renderer, chunks).await? {
            return Ok(());
        }
        if log.was_replaced(path)? {
            // What was written before the runtime turned to the new file.
            if !log.copy_available(&mut renderer, chunks).await? {
                return Ok(());
            }
            log = Log::open(path)?;
            continue;
        }
        if !running {
            return Ok(());
        }
        tokio::select! {
            changed = watch.changed() => changed?,
            _ = follow.runtime_changes.changed() => {}
            () = chunks.closed() => return Ok(()),
        }
    }
}

async fn is_running(follow: &Follow) -> bool {
    let status = follow.runtime.container_status(&follow.container_id).await;
    status.is_ok_and(|status| status.state() == cri::ContainerState::ContainerRunning)
}

/// An open log file and what was read of its unfinished last line.
struct Log {
    file: File,
    unfinished: Vec<u8>,
}

impl Log {
    fn open(path: &Path) -> io::Result<Self> {
        let file = File::open(path)?;
        let file = if is_compressed(path) { decompress(file)? } else { file };
        Ok(Self { file, unfinished: Vec::new() })
    }

    /// Whether another file is at the log's path by now.
    fn was_replaced(&self, path: &Path) -> io::Result<bool> {
        let own = self.file.metadata()?;
        match std::fs::metadata(path) {
            Ok(there) => Ok((there.dev(), there.ino()) != (own.dev(), own.ino())),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Sends everything there is; answers whether somebody wants more.
    async fn copy_available(
        &mut self,
        renderer: &mut Renderer,
        chunks: &mpsc::Sender<io::Result<Bytes>>,
    ) -> io::Result<bool> {
        let mut block = vec![0; BLOCK];
        loop {
            let length = self.file.read(&mut block)?;
            if length == 0 {
                return Ok(!renderer.is_done());
            }
            let output = self.take_lines(&block[..length], renderer);
            if !output.is_empty() && chunks.send(Ok(output.into())).await.is_err() {
                return Ok(false);
            }
            if renderer.is_done() {
                return Ok(false);
            }
        }
    }

    fn take_lines(&mut self, block: &[u8], renderer: &mut Renderer) -> Vec<u8> {
        let mut output = Vec::with_capacity(block.len());
        let mut rest = block;
        while let Some(end) = rest.iter().position(|byte| *byte == b'\n') {
            self.unfinished.extend_from_slice(&rest[..end]);
            renderer.render(&self.unfinished, &mut output);
            self.unfinished.clear();
            rest = &rest[end + 1..];
        }
        self.unfinished.extend_from_slice(rest);
        output
    }

    /// Goes to the beginning of the last `lines` lines, or of all; answers how many there are from there.
    fn seek_to_last_lines(&mut self, lines: u64) -> io::Result<u64> {
        let length = self.file.seek(SeekFrom::End(0))?;
        let mut position = length;
        // The line feed that ends the file begins no line.
        let mut wanted = lines.saturating_add(1);
        let mut block = vec![0; BLOCK];
        while position > 0 {
            let size = position.min(BLOCK as u64);
            position -= size;
            self.file.seek(SeekFrom::Start(position))?;
            let block = &mut block[..size as usize];
            self.file.read_exact(block)?;
            for (index, _) in block.iter().enumerate().rev().filter(|(_, byte)| **byte == b'\n') {
                wanted -= 1;
                if wanted == 0 {
                    self.file.seek(SeekFrom::Start(position + index as u64 + 1))?;
                    return Ok(lines);
                }
            }
        }
        self.file.seek(SeekFrom::Start(0))?;
        Ok(lines.saturating_add(1) - wanted)
    }
}

/// A compressed log as a file in memory, which can be read from its end.
fn decompress(file: File) -> io::Result<File> {
    let mut plain = File::from(rustix::fs::memfd_create("log", rustix::fs::MemfdFlags::CLOEXEC)?);
    io::copy(&mut GzDecoder::new(file), &mut plain)?;
    plain.seek(SeekFrom::Start(0))?;
    Ok(plain)
}

/// The text of a log's last lines, at most `limit` bytes of it; a log that cannot be read is empty.
pub fn last_lines(path: &Path, lines: usize, limit: usize) -> String {
    let read = || -> io::Result<Vec<u8>> {
        let mut log = Log::open(path)?;
        log.seek_to_last_lines(lines as u64)?;
        let mut renderer = Renderer::new(&LogOptions::default(), Timestamp::UNIX_EPOCH);
        let mut bytes = Vec::new();
        log.file.read_to_end(&mut bytes)?;
        Ok(log.take_lines(&bytes, &mut renderer))
    };
    let text = read().unwrap_or_default();
    String::from_utf8_lossy(&text[text.len().saturating_sub(limit)..]).into_owned()
}
