use jiff::Timestamp;

use super::plan::{Content, Progress, conditions};

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(seconds).expect("in range")
}

fn summary(progress: &Progress) -> Vec<String> {
    let conditions = conditions(progress, &[], at(0)).into_iter();
    conditions.map(|c| format!("{} {} {}", c.status, c.reason.unwrap(), c.message.unwrap())).collect()
}

#[test]
fn conditions_say_what_holds_the_namespace() {
    let content = Content { count: 2, undeleted: vec![], finalizers: [("a.b/c".to_owned(), 1)].into() };
    let progress = Progress {
        remaining: vec![("pods.".into(), content.clone()), ("deployments.apps".into(), content)],
        ..Progress::default()
    };
    assert_eq!(
        summary(&progress),
        [
            "False ResourcesDiscovered All resources successfully discovered",
            "False ParsedGroupVersions All legacy kube types successfully parsed",
            "False ContentDeleted All content successfully deleted, may be waiting on finalization",
            "True SomeResourcesRemain Some resources are remaining: deployments.apps has 2 resource instances, \
             pods. has 2 resource instances",
            "True SomeFinalizersRemain Some content in the namespace has finalizers remaining: \
             a.b/c in 2 resource instances",
        ]
    );
    assert_eq!(
        summary(&Progress::default())[3..],
        [
            "False ContentRemoved All content successfully removed",
            "False ContentHasNoFinalizers All content-preserving finalizers finished",
        ]
    );
}

#[test]
fn a_condition_keeps_its_time_until_its_status_changes() {
    let first = conditions(&Progress::default(), &[], at(1));
    assert_eq!(conditions(&Progress::default(), &first, at(2)), first);
    let failing = Progress { failures: vec!["no".into()], ..Progress::default() };
    let second = conditions(&failing, &first, at(3));
    let times: Vec<i64> = second.iter().map(|c| c.last_transition_time.as_ref().unwrap().0.as_second()).collect();
    assert_eq!(times, [1, 1, 3, 1, 1]);
}

#[test]
fn what_failed_is_tried_again_and_what_remains_wakes_by_itself() {
    let remaining = Progress { remaining: vec![("pods.".into(), Content::default())], ..Progress::default() };
    let refused = Progress { failures: vec!["no".into()], ..Progress::default() };
    let unknown = Progress { discovery_failure: Some("no".into()), ..Progress::default() };
    for (progress, done, again) in
        [(Progress::default(), true, false), (remaining, false, false), (refused, false, true), (unknown, false, true)]
    {
        assert_eq!((progress.is_done(), progress.has_failures()), (done, again), "{progress:?}");
    }
}
