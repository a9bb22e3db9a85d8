use std::sync::Arc;

use k8s_openapi::api::core::v1::PodStatus;

use super::*;
use crate::testing::{TokioClock, pod};

fn history(directory: &Path) -> History {
    History::start(directory.to_owned(), Arc::new(TokioClock::new()))
}

fn of(uid: &str) -> Pod {
    let mut pod = pod("{containers: [{name: app, image: x}]}");
    pod.metadata.uid = Some(uid.to_owned());
    pod
}

fn event(reason: &str, message: &str) -> Transition {
    let (reason, message) = (reason.to_owned(), message.to_owned());
    Transition::Event { warning: true, reason, message, container: None, count: 1 }
}

fn entries(directory: &Path, uid: &str) -> Vec<Transition> {
    let journals = journal::read(directory, |pod| pod.uid == uid);
    journals.into_iter().flat_map(|journal| journal.entries).map(|entry| entry.what).collect()
}

#[tokio::test]
async fn what_was_recorded_is_found_after_the_pod_and_the_process_are_gone() {
    let directory = tempfile::tempdir().unwrap();
    let (first, pod) = (history(directory.path()), of("u1"));
    first.record(&pod, Transition::Adopted { generation: 1 });
    first.flush().await;
    let second = history(directory.path());
    second.record(&pod, Transition::Removed);
    second.flush().await;
    assert_eq!(entries(directory.path(), "u1"), [Transition::Adopted { generation: 1 }, Transition::Removed]);
    assert!(journal::read(directory.path(), |_| true).iter().all(|journal| journal.over));
}

#[tokio::test]
async fn what_fails_again_and_again_is_counted_rather_than_kept() {
    let directory = tempfile::tempdir().unwrap();
    let history = history(directory.path());
    for _ in 0..100 {
        history.record(&of("u1"), event("Unhealthy", "no answer"));
    }
    history.flush().await;
    let counts: Vec<u64> = entries(directory.path(), "u1")
        .into_iter()
        .map(|what| match what {
            Transition::Event { count, .. } => count,
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(counts, [1, 2, 4, 8, 16, 32, 64]);
}

#[tokio::test]
async fn a_long_story_keeps_its_beginning_and_its_end() {
    let directory = tempfile::tempdir().unwrap();
    let history = history(directory.path());
    for number in 0..2000 {
        history.record(&of("u1"), event("Odd", &format!("number {number} {}", "x".repeat(100))));
        if number % 100 == 0 {
            history.flush().await;
        }
    }
    history.flush().await;
    let length = std::fs::metadata(directory.path().join("u1.jsonl")).unwrap().len();
    assert!(length < 80 << 10, "{length}");
    let kept = entries(directory.path(), "u1");
    let number = |what: &Transition| match what {
        Transition::Event { message, .. } => message.split(' ').nth(1).unwrap().parse().unwrap(),
        _ => -1,
    };
    let numbers: Vec<i32> = kept.iter().map(number).collect();
    assert_eq!((numbers[0], numbers[1], *numbers.last().unwrap()), (0, 1, 1999));
    let skipped = kept.iter().filter_map(|what| match what {
        Transition::Skipped { entries } => Some(*entries),
        _ => None,
    });
    let skipped: Vec<usize> = skipped.collect();
    assert_eq!(skipped.len(), 1, "{skipped:?}");
    assert_eq!(skipped[0] + kept.len() - 1, 2000, "every entry is there or counted");
}

#[tokio::test]
async fn broken_files_cost_only_what_is_broken() {
    let directory = tempfile::tempdir().unwrap();
    let history = history(directory.path());
    history.record(&of("u1"), Transition::Stopped);
    history.record(&of("u2"), Transition::Stopped);
    history.flush().await;
    let file = directory.path().join("u1.jsonl");
    let content = std::fs::read_to_string(&file).unwrap();
    std::fs::write(&file, format!("{content}{{\"at\":\"20")).unwrap();
    std::fs::write(directory.path().join("u2.jsonl"), b"\0\xff").unwrap();
    assert_eq!(entries(directory.path(), "u1"), [Transition::Stopped]);
    assert_eq!(entries(directory.path(), "u2"), []);
    history.record(&of("../u3"), Transition::Stopped);
    history.flush().await;
    assert!(!directory.path().parent().unwrap().join("u3.jsonl").exists(), "a UID is no path");
}

fn told(old: &str, new: &str) -> Vec<String> {
    let parse = |text: &str| -> PodStatus { serde_saphyr::from_str(text).unwrap() };
    let found = status::transitions(Some(&parse(old)), &parse(new));
    found.iter().map(|what| serde_json::to_string(what).unwrap()).collect()
}

#[test]
fn statuses_tell_what_happened_between_them() {
    let waiting = "{phase: Pending, containerStatuses: [{name: app, image: x, imageID: '', ready: false, \
        restartCount: 0, state: {waiting: {reason: ContainerCreating}}}]}";
    let running = "{phase: Running, conditions: [{type: Ready, status: 'True'}], containerStatuses: [{name: app, \
        image: x, imageID: '', ready: true, restartCount: 0, containerID: a, \
        state: {running: {startedAt: '2026-01-01T00:00:00Z'}}}]}";
    let backing_off = "{phase: Running, conditions: [{type: Ready, status: 'False', reason: ContainersNotReady}], \
        containerStatuses: [{name: app, image: x, imageID: '', ready: false, restartCount: 0, containerID: a, \
        lastState: {terminated: {containerID: a, exitCode: 3, reason: Error, startedAt: '2026-01-01T00:00:00Z', \
        finishedAt: '2026-01-01T00:00:02Z'}}, state: {waiting: {reason: CrashLoopBackOff, message: back-off 10s}}}]}";
    assert_eq!(told(waiting, waiting), [""; 0]);
    assert_eq!(
        told(waiting, running),
        [
            r#"{"what":"running","container":"app","restarts":0}"#,
            r#"{"what":"ready","container":"app","ready":true}"#,
            r#"{"what":"condition","kind":"Ready","status":"True","reason":null,"message":null}"#,
            r#"{"what":"phase","phase":"Running","reason":null,"message":null}"#,
        ]
    );
    assert_eq!(
        told(running, backing_off),
        [
            r#"{"what":"exited","container":"app","code":3,"reason":"Error","message":null,"ranMs":2000}"#,
            r#"{"what":"waiting","container":"app","reason":"CrashLoopBackOff","message":"back-off 10s"}"#,
            r#"{"what":"ready","container":"app","ready":false}"#,
            r#"{"what":"condition","kind":"Ready","status":"False","reason":"ContainersNotReady","message":null}"#,
        ]
    );
    assert_eq!(told(backing_off, backing_off), [""; 0]);
}
