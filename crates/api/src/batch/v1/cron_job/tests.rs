use serde_json::{Value, json};

use super::*;

fn cron_job(name: &str, spec: Value) -> CronJob {
    let pod = json!({"restartPolicy": "Never", "containers": [{"name": "c", "image": "i"}]});
    let mut base = json!({"schedule": "0 0 * * *", "jobTemplate": {"spec": {"template": {"spec": pod}}}});
    for (field, value) in spec.as_object().unwrap() {
        base[field] = value.clone();
    }
    let metadata = json!({"name": name, "namespace": "n", "resourceVersion": "1"});
    let mut job: CronJob = serde_json::from_value(json!({"metadata": metadata, "spec": base})).unwrap();
    job.set_defaults();
    job
}

fn problems(errors: &ErrorList) -> Vec<String> {
    errors.iter().map(ToString::to_string).collect()
}

#[test]
fn schedules_and_zones_are_checked() {
    let unknown = |zone: &str| format!("spec.timeZone: Invalid value: {zone:?}: unknown time zone {zone}");
    for (spec, expected) in [
        (json!({}), vec![]),
        (json!({"timeZone": "Europe/Berlin"}), vec![]),
        (json!({"timeZone": "UTC"}), vec![]),
        (json!({"timeZone": "europe/berlin"}), vec![unknown("europe/berlin")]),
        (json!({"timeZone": "../x"}), vec![unknown("../x")]),
        (json!({"timeZone": ""}), vec!["spec.timeZone: Invalid value: \"\": timeZone must be nil or non-empty string".to_owned()]),
        (
            json!({"schedule": "TZ=UTC 0 0 * * *"}),
            vec![
                "spec.schedule: Invalid value: \"TZ=UTC 0 0 * * *\": cannot use TZ or CRON_TZ in schedule, use timeZone \
                 field instead"
                    .to_owned(),
            ],
        ),
        (json!({"concurrencyPolicy": "Odd"}), vec![
            "spec.concurrencyPolicy: Unsupported value: \"Odd\": supported values: \"Allow\", \"Forbid\", \"Replace\"".to_owned(),
        ]),
    ] {
        assert_eq!(problems(&Kind::validate(&cron_job("c", spec.clone()))), expected, "{spec}");
    }
    let long = "a".repeat(53);
    assert_eq!(
        problems(&Kind::validate(&cron_job(&long, json!({})))),
        [format!("metadata.name: Invalid value: {long:?}: must be no more than 52 characters")]
    );
}

#[test]
fn a_zone_that_was_in_a_schedule_may_stay_there() {
    let old = cron_job("c", json!({"schedule": "TZ=UTC 0 0 * * *"}));
    let new = cron_job("c", json!({"schedule": "TZ=UTC 1 0 * * *"}));
    assert_eq!(problems(&Kind::validate_update(&new, &old)), [""; 0]);
}
