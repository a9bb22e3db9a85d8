use serde_json::json;

use super::*;

#[test]
fn a_story_reads_from_top_to_bottom() {
    let entry = |value| serde_json::from_value(value).unwrap();
    let told = Told {
        uid: "u1".to_owned(),
        created_at: Some("2026-01-01T23:59:58Z".parse().unwrap()),
        node: Some("n".to_owned()),
        entries: vec![
            entry(json!({"at": "2026-01-01T23:59:58.1Z", "what": "adopted", "generation": 1})),
            entry(
                json!({"at": "2026-01-01T23:59:58.15Z", "what": "sandbox", "attempt": 0, "reason": "NewPod", "tookMs": 12}),
            ),
            entry(json!({"at": "2026-01-01T23:59:58.2Z", "what": "event", "warning": false, "reason": "Started",
                "message": "Container started", "container": "app", "count": 1})),
            entry(json!({"at": "2026-01-01T23:59:58.2Z", "what": "running", "container": "app", "restarts": 0})),
            entry(json!({"at": "2026-01-02T00:00:03.2Z", "what": "exited", "container": "app", "code": 137,
                "reason": "OOMKilled", "message": null, "ranMs": 5000})),
            entry(json!({"at": "2026-01-02T00:00:03.2Z", "what": "removed"})),
        ],
        logs: [("app".to_owned(), "one\ntwo\n".to_owned())].into(),
        ..Told::default()
    };
    let known = Known { namespace: "ns".into(), name: "web".into(), told: vec![told.clone()], unreachable: vec![] };
    let expected = "Pod ns/web (gone), on node n, UID u1

2026-01-01 UTC
  23:59:58                 created
  23:59:58.100             the kubelet takes it up (generation 1)
  23:59:58.150     +50ms   sandbox made in 12ms
  23:59:58.200     +50ms   app runs

2026-01-02 UTC
  00:00:03.200     +5.0s ! app was ended by signal 9 (OOMKilled) after 5.0s
  00:00:03.200      +0ms   gone

Last lines of app:
  | one
  | two
";
    assert_eq!(render(&known, &told), expected);
}

#[test]
fn durations_are_said_as_people_do() {
    let said: Vec<String> = [7, 1234, 65_000, 3_720_000, 180_000_000].map(|ms: i64| duration(ms)).into();
    assert_eq!(said, ["7ms", "1.2s", "1m05s", "1h02m", "2d02h"]);
}
