use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Event, ObjectReference, Pod};

use super::correlate::{Correlator, Write};
use super::*;

fn pod_reference() -> ObjectReference {
    let pod: Pod = serde_json::from_value(serde_json::json!({
        "metadata": { "name": "web", "namespace": "shop", "uid": "u-1", "resourceVersion": "7" }
    }))
    .unwrap();
    object_reference(&pod)
}

fn note(message: &str) -> Note {
    Note {
        object: pod_reference(),
        kind: EventType::Warning,
        reason: "BackOff".into(),
        action: String::new(),
        message: message.into(),
    }
}

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(1_000_000 + seconds).unwrap()
}

fn correlator(format: EventFormat) -> Correlator {
    Correlator::new(EventSource { component: "kubelet".into(), instance: "node-1".into(), format })
}

fn created(write: Option<Write>) -> Event {
    match write {
        Some(Write::Create(event)) => *event,
        other => panic!("not a creation: {other:?}"),
    }
}

#[test]
fn a_reference_names_the_object_and_its_version() {
    let reference = pod_reference();
    let parts = [reference.api_version, reference.kind, reference.namespace, reference.name, reference.uid];
    assert_eq!(parts.map(Option::unwrap), ["v1", "Pod", "shop", "web", "u-1"]);
    assert_eq!(reference.resource_version.as_deref(), Some("7"));
}

#[test]
fn a_new_event_says_who_saw_what_when() {
    let event = created(correlator(EventFormat::Counted).plan(&note("restarting"), at(0)));
    assert_eq!(event.metadata.namespace.as_deref(), Some("shop"));
    assert_eq!(event.metadata.name.unwrap(), format!("web.{:x}", at(0).as_nanosecond()));
    let source = event.source.unwrap();
    assert_eq!((source.component.as_deref(), source.host.as_deref()), (Some("kubelet"), Some("node-1")));
    assert_eq!((event.count, event.type_.as_deref()), (Some(1), Some("Warning")));
    assert_eq!(event.first_timestamp.unwrap().0, at(0));
    assert_eq!(event.reporting_component.as_deref(), Some("kubelet"));
    assert!(event.event_time.is_none());
}

#[test]
fn a_repeat_counts_up_on_the_same_event() {
    let mut correlator = correlator(EventFormat::Counted);
    let first = created(correlator.plan(&note("restarting"), at(0)));
    let other = created(correlator.plan(&note("other"), at(0)));
    assert_ne!(first.metadata.name, other.metadata.name, "names differ even at one instant");
    let Some(Write::Repeat { namespace, name, patch, whole }) = correlator.plan(&note("restarting"), at(5)) else {
        panic!("not a repeat");
    };
    assert_eq!((namespace.as_str(), Some(name)), ("shop", first.metadata.name));
    assert_eq!(patch["count"], 2);
    assert_eq!(patch["lastTimestamp"], "1970-01-12T13:46:45Z");
    assert_eq!(whole.first_timestamp.unwrap().0, at(0));
}

#[test]
fn series_events_carry_the_action_and_count_in_the_series() {
    let mut correlator = correlator(EventFormat::Series);
    let note = Note { action: "Scheduling".into(), ..note("no") };
    let first = created(correlator.plan(&note, at(0)));
    assert_eq!((first.action.as_deref(), first.count, first.series), (Some("Scheduling"), None, None));
    assert_eq!(first.event_time.unwrap().0, at(0));
    let Some(Write::Repeat { patch, .. }) = correlator.plan(&note, at(1)) else { panic!("not a repeat") };
    assert_eq!(patch["series"]["count"], 2);
}

#[test]
fn many_different_messages_are_combined() {
    let mut correlator = correlator(EventFormat::Counted);
    let mut writes: Vec<_> = (0..12).map(|n| correlator.plan(&note(&format!("try {n}")), at(n)).unwrap()).collect();
    let last = writes.pop().unwrap();
    let combined = writes.iter().filter(|write| matches!(write, Write::Create(_))).count();
    assert_eq!(combined, 10, "nine of their own and the combined one");
    let Write::Repeat { patch, .. } = last else { panic!("not a repeat") };
    assert_eq!(patch["message"], "(combined from similar events): try 11");
}

#[test]
fn one_object_can_not_flood_the_server() {
    let mut correlator = correlator(EventFormat::Counted);
    let written = (0..100).filter(|_| correlator.plan(&note("again"), at(0)).is_some()).count();
    assert_eq!(written, 25);
    assert!(correlator.plan(&note("again"), at(299)).is_none());
    assert!(correlator.plan(&note("again"), at(300)).is_some());
}

#[test]
fn cluster_scoped_objects_report_to_default_and_long_messages_are_cut() {
    let mut correlator = correlator(EventFormat::Counted);
    let long = Note { object: ObjectReference { namespace: None, ..pod_reference() }, ..note(&"x".repeat(5000)) };
    let event = created(correlator.plan(&long, at(0)));
    assert_eq!(event.metadata.namespace.as_deref(), Some("default"));
    let message = event.message.unwrap();
    assert!(message.len() == 1024 && message.ends_with("x ..."));
}

#[tokio::test(start_paused = true)]
async fn reporting_never_waits_and_flush_does() {
    // A server that never answers: the notes queue up, the overflow is dropped, the reporter goes on.
    let service = tower::service_fn(|_: http::Request<kube::client::Body>| async {
        tokio::time::sleep(Duration::from_secs(3)).await;
        let response = http::Response::builder().status(403).body(kube::client::Body::empty()).unwrap();
        Ok::<_, std::convert::Infallible>(response)
    });
    let client = Client::new(service, "default");
    let source = EventSource { component: "test".into(), instance: String::new(), format: EventFormat::Counted };
    let recorder = EventRecorder::start(client, source, Arc::new(platform::clock::SystemClock));
    for number in 0..2 * QUEUE_LIMIT {
        let object = ObjectReference { name: Some(format!("pod-{number}")), ..ObjectReference::default() };
        recorder.event(&object, EventType::Normal, "Test", "message");
    }
    assert!(recorder.dropped.load(Ordering::Relaxed) >= QUEUE_LIMIT as u64 - 1);
    let start = tokio::time::Instant::now();
    recorder.flush().await;
    assert!(start.elapsed() >= Duration::from_secs(3));
}
