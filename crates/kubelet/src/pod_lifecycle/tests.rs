use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use super::*;
use crate::pod_status::VerdictKind;

fn pod(deletion_grace_seconds: Option<i64>, spec_grace_seconds: Option<i64>) -> Arc<Pod> {
    let mut pod = Pod::default();
    pod.metadata.deletion_timestamp = deletion_grace_seconds.map(|_| Time(jiff::Timestamp::UNIX_EPOCH));
    pod.metadata.deletion_grace_period_seconds = deletion_grace_seconds;
    pod.spec = Some(Default::default());
    pod.spec.as_mut().unwrap().termination_grace_period_seconds = spec_grace_seconds;
    Arc::new(pod)
}

fn terminating(cause: TerminationCause, grace_seconds: i64) -> PodLifecycle {
    PodLifecycle::Terminating(Termination { cause, grace_seconds })
}

#[test]
fn a_wanted_pod_stays_syncing() {
    assert_eq!(PodLifecycle::Syncing.desire(&Desired::Pod(pod(None, Some(30)))), PodLifecycle::Syncing);
}

#[test]
fn deletion_uses_the_grace_period_of_the_request() {
    let state = PodLifecycle::Syncing.desire(&Desired::Pod(pod(Some(7), Some(30))));
    assert_eq!(state, terminating(TerminationCause::Deleted, 7));
}

#[test]
fn a_second_deletion_can_only_shorten_the_grace_period() {
    let state = PodLifecycle::Syncing.desire(&Desired::Pod(pod(Some(7), None)));
    let state = state.desire(&Desired::Pod(pod(Some(60), None)));
    assert_eq!(state, terminating(TerminationCause::Deleted, 7));
    let state = state.desire(&Desired::Pod(pod(Some(0), None)));
    assert_eq!(state, terminating(TerminationCause::Deleted, 1));
}

#[test]
fn a_vanished_object_outranks_every_other_cause() {
    let state = PodLifecycle::Syncing.terminate(TerminationCause::Completed, 30);
    let state = state.desire(&Desired::Removed(pod(None, Some(30))));
    assert_eq!(state, terminating(TerminationCause::ObjectGone, 1));
    assert_eq!(state.clone().desire(&Desired::Pod(pod(Some(9), None))), state);
}

#[test]
fn a_completed_pod_is_kept_until_it_is_deleted() {
    let state = PodLifecycle::Syncing.terminate(TerminationCause::Completed, 30).stopped();
    assert!(matches!(&state, PodLifecycle::Terminated(end) if !end.cause.is_removal()));
    let state = state.desire(&Desired::Pod(pod(Some(30), None)));
    assert!(matches!(&state, PodLifecycle::Terminated(end) if end.cause.is_removal()));
}

#[test]
fn a_pod_the_kubelet_fails_does_not_come_back() {
    let verdict = Verdict { reason: "Evicted".into(), message: "m".to_owned(), kind: VerdictKind::Disrupted };
    let failure = Failure { verdict: verdict.clone(), grace_seconds: Some(0) };
    let failed = Desired::Failed(pod(None, Some(30)), failure);
    let state = PodLifecycle::Syncing.desire(&failed);
    let cause = TerminationCause::Failed(verdict);
    assert_eq!(state, PodLifecycle::Terminating(Termination { cause, grace_seconds: 1 }));
    assert!(matches!(Desired::Pod(pod(None, None)).after(&failed), Desired::Failed(..)));
    assert!(matches!(failed.clone().after(&Desired::Removed(pod(None, None))), Desired::Removed(_)));
    assert!(matches!(Desired::Removed(pod(None, None)).after(&failed), Desired::Removed(_)));
    let deleted = Desired::Pod(pod(Some(9), Some(30))).after(&failed);
    let PodLifecycle::Terminating(termination) = PodLifecycle::Syncing.desire(&deleted) else { panic!() };
    assert_eq!((termination.cause, termination.grace_seconds), (TerminationCause::Deleted, 1));
}
