use serde_json::json;

use super::*;

fn event(changes: serde_json::Value) -> Event {
    let mut value = json!({"metadata": {"name": "e", "namespace": "n", "resourceVersion": "1"}, "type": "Normal",
        "regarding": {"namespace": "n"}, "reason": "R", "action": "A", "reportingController": "example.com/c",
        "reportingInstance": "i", "eventTime": "2024-01-01T00:00:00.000000Z"});
    for (key, change) in changes.as_object().unwrap() {
        value[key] = change.clone();
    }
    let mut event: Event = serde_json::from_value(value).unwrap();
    Kind::set_defaults(&mut event);
    event
}

fn texts(errors: &ErrorList) -> Vec<String> {
    errors.iter().map(ToString::to_string).collect()
}

#[test]
fn need_a_time_and_no_deprecated_fields() {
    assert!(Kind::validate(&event(json!({}))).is_empty());
    let bad = event(json!({"eventTime": null, "type": "Odd", "deprecatedCount": 3, "deprecatedSource": {"host": "h"}}));
    assert_eq!(
        texts(&Kind::validate(&bad)),
        [
            "eventTime: Required value",
            "type: Invalid value: \"\": has invalid value: Odd",
            "count: Invalid value: \"\": needs to be unset",
            "source: Invalid value: \"\": needs to be unset",
        ]
    );
}

#[test]
fn only_the_series_changes() {
    let old = event(json!({}));
    let series = event(json!({"series": {"count": 2, "lastObservedTime": "2024-01-01T00:00:00.000000Z"}}));
    assert!(Kind::validate_update(&series, &old).is_empty());
    assert_eq!(
        texts(&Kind::validate_update(&event(json!({"note": "other"})), &old)),
        ["message: Invalid value: \"other\": field is immutable"]
    );
}
