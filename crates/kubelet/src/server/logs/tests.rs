use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::time::Duration;

use futures::future;
use platform::clock::SystemClock;
use testkit::fake_cri::FakeCri;
use tokio::sync::{mpsc, watch};

use super::reader::{Follow, copy};
use super::*;
use crate::testing::at;

const LOG: &str = "1970-01-01T00:00:01.000000001Z stdout F one\n\
                   1970-01-01T00:00:02Z stderr F two\n\
                   1970-01-01T00:00:03Z stdout P thr\n\
                   1970-01-01T00:00:03Z stdout F ee\n\
                   torn li\n\
                   1970-01-01T00:00:04Z stdout F \n";

async fn read(log: &str, options: LogOptions) -> String {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("0.log");
    fs::write(&path, log).unwrap();
    let (chunks, receiver) = mpsc::channel(16);
    let (text, ()) = future::join(collect(receiver), copy(&path, &options, at(10), None, chunks)).await;
    text
}

async fn collect(mut receiver: mpsc::Receiver<std::io::Result<Bytes>>) -> String {
    let mut text = String::new();
    while let Some(chunk) = receiver.recv().await {
        text.push_str(std::str::from_utf8(&chunk.unwrap()).unwrap());
    }
    text
}

#[tokio::test]
async fn options_choose_what_is_read() {
    let none = LogOptions::default();
    for (options, expected) in [
        (none.clone(), "one\ntwo\nthree\n\n"),
        (LogOptions { tail_lines: Some(1), ..none.clone() }, "\n"),
        (LogOptions { tail_lines: Some(4), ..none.clone() }, "three\n\n"),
        (LogOptions { tail_lines: Some(0), ..none.clone() }, ""),
        (LogOptions { tail_lines: Some(100), ..none.clone() }, "one\ntwo\nthree\n\n"),
        (LogOptions { stream: Some(LogStream::Stderr), ..none.clone() }, "two\n"),
        (LogOptions { since_time: Some(at(3)), ..none.clone() }, "three\n\n"),
        (LogOptions { since_seconds: Some(6), ..none.clone() }, "\n"),
        (LogOptions { limit_bytes: Some(6), ..none.clone() }, "one\ntw"),
        (
            LogOptions { timestamps: true, tail_lines: Some(4), ..none.clone() },
            "1970-01-01T00:00:03Z three\n1970-01-01T00:00:04Z \n",
        ),
    ] {
        assert_eq!(read(LOG, options.clone()).await, expected, "{options:?}");
    }
}

#[tokio::test]
async fn a_log_that_was_never_written_is_empty() {
    let (chunks, receiver) = mpsc::channel(16);
    copy(Path::new("/nonexistent/0.log"), &LogOptions::default(), at(0), None, chunks).await;
    assert_eq!(collect(receiver).await, "");
}

#[tokio::test]
async fn the_last_lines_of_a_large_log_are_found_across_blocks() {
    let line = |n: usize| format!("1970-01-01T00:00:01Z stdout F {n:040}\n");
    let log: String = (0..5000).map(line).collect();
    let text = read(&log, LogOptions { tail_lines: Some(2000), ..LogOptions::default() }).await;
    assert_eq!(text.lines().count(), 2000);
    assert!(text.starts_with(&format!("{:040}", 3000)));
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("0.log");
    fs::write(&path, &log).unwrap();
    assert_eq!(last_lines(&path, 80, 50), format!("{}\n{:040}\n", "00004998", 4999));
}

#[tokio::test]
async fn a_follower_sees_what_is_written_later_and_the_next_file_and_the_end() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("0.log");
    fs::write(&path, LOG).unwrap();
    let fake = FakeCri::new(std::sync::Arc::new(SystemClock), &[]);
    let runtime = fake.runtime().runtime;
    let sandbox = runtime.run_pod_sandbox(Default::default(), "").await.unwrap();
    let config = cri::ContainerConfig {
        metadata: Some(cri::ContainerMetadata { name: "app".to_owned(), attempt: 0 }),
        ..Default::default()
    };
    let id = runtime.create_container(&sandbox, config, Default::default()).await.unwrap();
    runtime.start_container(&id).await.unwrap();
    let (changes, runtime_changes) = watch::channel(0);
    let follow = Follow { runtime, container_id: id, runtime_changes };
    let (chunks, mut receiver) = mpsc::channel(16);
    let options = LogOptions { follow: true, tail_lines: Some(1), ..LogOptions::default() };
    let reading = copy(&path, &options, at(10), Some(follow), chunks);
    let writing = async {
        assert_eq!(next(&mut receiver).await, "\n");
        append(&path, "later");
        assert_eq!(next(&mut receiver).await, "later\n");
        fs::rename(&path, directory.path().join("0.log.20260101-000000")).unwrap();
        append(&path, "rotated");
        assert_eq!(next(&mut receiver).await, "rotated\n");
        append(&path, "last");
        fake.exit("app", 0);
        changes.send_modify(|count| *count += 1);
        assert_eq!(collect(receiver).await, "last\n");
    };
    let both = future::join(reading, writing);
    tokio::time::timeout(Duration::from_secs(20), both).await.expect("the follower ends with its container");
}

async fn next(receiver: &mut mpsc::Receiver<std::io::Result<Bytes>>) -> String {
    String::from_utf8(receiver.recv().await.unwrap().unwrap().to_vec()).unwrap()
}

fn append(path: &Path, text: &str) {
    let mut file = fs::OpenOptions::new().create(true).append(true).open(path).unwrap();
    writeln!(file, "1970-01-01T00:00:05Z stdout F {text}").unwrap();
}
