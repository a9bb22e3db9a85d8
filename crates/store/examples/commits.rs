//! How fast the embedded store commits, and how soon it is open again after a crash.
//!
//! `cargo run -p store --release --example commits [DIRECTORY]`

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use platform::clock::SystemClock;
use platform::random::SystemRandom;
use platform::tasks::{TaskKind, spawn};
use store::embedded::{Config, EmbeddedStore};
use store::{Expect, Op, Revision, Store, Tier};

const VALUE_BYTES: usize = 2048;
/// Keys per writer; after the first round commits replace values, as an API server's mostly do.
const KEYS: u64 = 100;
const RUN: Duration = Duration::from_secs(5);
/// First argument of the process that is to crash.
const CRASH: &str = "--fill-and-crash";

#[tokio::main]
async fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if arguments.first().is_some_and(|argument| argument == CRASH) {
        fill_and_crash(&PathBuf::from(&arguments[1]), arguments[2].parse().expect("MiB")).await;
    }
    let parent = arguments.first().map_or_else(std::env::temp_dir, PathBuf::from);
    for writers in [1, 16, 64] {
        let directory = tempfile::tempdir_in(&parent).expect("a directory of its own");
        measure_commits(directory.path(), writers).await;
    }
    for mebibytes in [0, 20, 200] {
        let directory = tempfile::tempdir_in(&parent).expect("a directory of its own");
        measure_open(directory.path(), mebibytes).await;
    }
}

fn open(directory: &Path) -> EmbeddedStore {
    let config = Config::new(directory.join("store.redb"), Arc::new(SystemClock), Arc::new(SystemRandom));
    EmbeddedStore::open(&config).expect("the store opens")
}

async fn measure_commits(directory: &Path, writers: u64) {
    let store = Arc::new(open(directory));
    let (sender, mut receiver) = tokio::sync::mpsc::unbounded_channel();
    let start = Instant::now();
    for writer in 0..writers {
        let (store, sender) = (store.clone(), sender.clone());
        spawn(TaskKind::Worker, "writer", async move {
            let _ = sender.send(write(&store, writer, start + RUN).await);
        });
    }
    drop(sender);
    let mut latencies = Vec::new();
    while let Some(mut some) = receiver.recv().await {
        latencies.append(&mut some);
    }
    let elapsed = start.elapsed();
    latencies.sort_unstable();
    let at = |quantile: f64| latencies[(quantile * (latencies.len() - 1) as f64) as usize].as_micros();
    println!(
        "{writers:>2} writers, {VALUE_BYTES} B: {:>6.0} durable commits/s, p50 {} us, p99 {} us, max {} us",
        latencies.len() as f64 / elapsed.as_secs_f64(),
        at(0.5),
        at(0.99),
        at(1.0)
    );
    store.close().await.expect("it closes");
}

/// Commits until the deadline; returns how long each took.
async fn write(store: &EmbeddedStore, writer: u64, deadline: Instant) -> Vec<Duration> {
    let value = bytes::Bytes::from(vec![7; VALUE_BYTES]);
    let mut revisions: Vec<Option<Revision>> = vec![None; KEYS as usize];
    let mut latencies = Vec::new();
    for n in 0.. {
        let slot = (n % KEYS) as usize;
        let expect = revisions[slot].map_or(Expect::Absent, Expect::Revision);
        let op = Op::Put { value: value.clone(), tier: Tier::Durable, time_to_live: None };
        let start = Instant::now();
        if start > deadline {
            break;
        }
        let key = format!("/registry/configmaps/default/{writer}-{slot}");
        revisions[slot] = Some(store.commit(&key, expect, op).await.expect("nobody else writes this key"));
        latencies.push(start.elapsed());
    }
    latencies
}

async fn measure_open(directory: &Path, mebibytes: u64) {
    let program = std::env::current_exe().expect("the program knows itself");
    let mut child = Command::new(program);
    child.arg(CRASH).arg(directory).arg(mebibytes.to_string());
    let status = child.status().expect("it starts itself");
    assert!(!status.success(), "it crashed as asked");
    let start = Instant::now();
    let store = open(directory);
    println!("{mebibytes:>3} MiB of values: open after a crash in {:.1} ms", start.elapsed().as_secs_f64() * 1e3);
    let start = Instant::now();
    let items = store.list("").await.expect("it lists").items.len();
    println!("    list of {items} keys in {:.1} ms", start.elapsed().as_secs_f64() * 1e3);
    store.close().await.expect("it closes");
    drop(store);
    let start = Instant::now();
    drop(open(directory));
    println!("    open after a clean stop in {:.1} ms", start.elapsed().as_secs_f64() * 1e3);
}

async fn fill_and_crash(directory: &Path, mebibytes: u64) -> ! {
    let store = open(directory);
    let value = bytes::Bytes::from(vec![7; VALUE_BYTES]);
    let count = mebibytes * (1 << 20) / VALUE_BYTES as u64;
    for first in (0..count.max(1)).step_by(512) {
        let commits = (first..first + 512).map(|n| {
            let (store, op) = (&store, Op::Put { value: value.clone(), tier: Tier::Durable, time_to_live: None });
            async move { store.commit(&format!("/registry/configmaps/default/{n}"), Expect::Absent, op).await }
        });
        for outcome in futures::future::join_all(commits).await {
            outcome.expect("it commits");
        }
    }
    std::process::abort();
}
