//! A process that commits is killed at random moments; the next one must find all it had been promised.

#![allow(clippy::unwrap_used)] // the whole file is a test

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use platform::clock::SystemClock;
use platform::random::SystemRandom;
use store::embedded::{Config, EmbeddedStore};
use store::{Expect, Op, Revision, Store, Tier};

/// Tells the re-executed test binary that it is the one to be killed, and where its store is.
const CHILD_DIRECTORY: &str = "STORE_KILL_TEST_DIRECTORY";
const WRITERS: u64 = 4;
const ROUNDS: u64 = 15;

fn config(directory: &Path) -> Config {
    let path = directory.join("store.redb");
    let config = Config::new(path, Arc::new(SystemClock), Arc::new(SystemRandom));
    // Small, so that many kills hit a checkpoint.
    Config { checkpoint_bytes: 16 << 10, ..config }
}

#[test]
fn what_was_acknowledged_survives_kill_9() {
    if let Some(directory) = std::env::var_os(CHILD_DIRECTORY) {
        commit_until_killed(Path::new(&directory));
    }
    let directory = tempfile::tempdir().unwrap();
    let mut newest: BTreeMap<String, Revision> = BTreeMap::new();
    let mut highest = Revision(0);
    for round in 0..ROUNDS {
        let acknowledged = run_and_kill(directory.path(), Duration::from_millis(round * 9));
        assert!(!acknowledged.is_empty(), "round {round}: the child got to work");
        for (key, revision, tier) in acknowledged {
            assert!(revision > highest, "round {round}: {revision:?} after {highest:?}: handed out twice");
            highest = revision;
            if tier == Tier::Durable {
                newest.insert(key, revision);
            }
        }
        verify(directory.path(), &newest, round);
    }
}

/// Starts the child, kills it after a while, and returns what it said was committed.
fn run_and_kill(directory: &Path, lifetime: Duration) -> Vec<(String, Revision, Tier)> {
    struct Killed(Child);
    impl Drop for Killed {
        fn drop(&mut self) {
            let _ = self.0.kill();
            let _ = self.0.wait();
        }
    }
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", "what_was_acknowledged_survives_kill_9", "--nocapture"]);
    command.env(CHILD_DIRECTORY, directory).stdout(Stdio::piped());
    let mut child = Killed(command.spawn().unwrap());
    let lines = BufReader::new(child.0.stdout.take().unwrap()).lines();
    let mut acknowledgements = lines.filter_map(|line| acknowledgement(&line.ok()?));
    // However busy the machine is, the child gets to work first.
    let first = acknowledgements.next();
    let reader = std::thread::spawn(move || first.into_iter().chain(acknowledgements).collect::<Vec<_>>());
    std::thread::sleep(lifetime);
    drop(child);
    let mut acknowledged = reader.join().unwrap();
    acknowledged.sort_by_key(|(_, revision, _)| *revision);
    acknowledged
}

/// `ack KEY REVISION TIER`, unless the kill cut the line off.
fn acknowledgement(line: &str) -> Option<(String, Revision, Tier)> {
    let mut words = line.strip_prefix("ack ")?.split(' ');
    let (key, revision, tier) = (words.next()?, words.next()?.parse().ok()?, words.next()?);
    let tier = match tier {
        "durable;" => Tier::Durable,
        "volatile;" => Tier::Volatile,
        _ => return None,
    };
    Some((key.to_owned(), Revision(revision), tier))
}

fn verify(directory: &Path, newest: &BTreeMap<String, Revision>, round: u64) {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let store = EmbeddedStore::open(&config(directory)).unwrap();
    for (key, revision) in newest {
        let found = runtime.block_on(store.get(key)).unwrap();
        let found = found.unwrap_or_else(|| panic!("round {round}: {key} of {revision:?} is gone"));
        // The kill may have come between a later commit and its acknowledgement.
        assert!(found.revision >= *revision, "round {round}: {key} is of {:?}, not {revision:?}", found.revision);
        assert_eq!(found.value, value(key), "round {round}: {key}");
    }
}

fn value(key: &str) -> Vec<u8> {
    key.bytes().cycle().take(700).collect()
}

/// Several writers, each with its own keys, replacing them over and over.
fn commit_until_killed(directory: &Path) -> ! {
    let store = Arc::new(EmbeddedStore::open(&config(directory)).unwrap());
    let writers: Vec<_> = (0..WRITERS).map(|writer| (writer, store.clone())).collect();
    for (writer, store) in writers {
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
            for n in 0u64.. {
                let tier = if n % 3 == 2 { Tier::Volatile } else { Tier::Durable };
                let key = format!("/{tier:?}/{writer}/{}", n % 50);
                let current = runtime.block_on(store.get(&key)).unwrap();
                let expect = current.map_or(Expect::Absent, |item| Expect::Revision(item.revision));
                let op = Op::Put { value: value(&key).into(), tier, time_to_live: None };
                let revision = runtime.block_on(store.commit(&key, expect, op)).unwrap();
                let tier = if tier == Tier::Durable { "durable;" } else { "volatile;" };
                let line = format!("ack {key} {} {tier}\n", revision.0);
                std::io::stdout().write_all(line.as_bytes()).unwrap();
            }
        });
    }
    loop {
        std::thread::park();
    }
}
