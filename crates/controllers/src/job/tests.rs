use std::sync::Arc;
use std::time::Duration;

use client::ObjectKey;
use jiff::Timestamp;
use k8s_openapi::api::batch::v1::{
    Job, JobSpec, PodFailurePolicy, PodFailurePolicyOnExitCodesRequirement, PodFailurePolicyRule, SuccessPolicy,
    SuccessPolicyRule,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use super::plan::{Plan, plan};
use super::pods::{self, TRACKING};
use super::verdict::{self, COMPLETE, FAILED, FAILURE_TARGET, SUCCESS_CRITERIA_MET, SUSPENDED};
use crate::pod_facts::{ContainerFacts, PodFacts};
use crate::runtime::Next;

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(seconds).unwrap()
}

fn spec(completions: i32, parallelism: i32) -> JobSpec {
    JobSpec {
        completions: Some(completions),
        parallelism: Some(parallelism),
        backoff_limit: Some(6),
        ..JobSpec::default()
    }
}

fn indexed(completions: i32, parallelism: i32) -> JobSpec {
    JobSpec { completion_mode: Some("Indexed".into()), ..spec(completions, parallelism) }
}

/// A cluster of one Job: plans are carried out, and Pods end as the test says.
struct World {
    job: Job,
    pods: Vec<PodFacts>,
    made: usize,
    now: i64,
    /// Status writes are lost, as when the server dies just before.
    loses_status: bool,
}

impl World {
    fn new(spec: JobSpec) -> Self {
        let metadata = ObjectMeta {
            name: Some("j".into()),
            namespace: Some("ns".into()),
            uid: Some("j".into()),
            ..ObjectMeta::default()
        };
        Self {
            job: Job { metadata, spec: Some(spec), status: None },
            pods: Vec::new(),
            made: 0,
            now: 1000,
            loses_status: false,
        }
    }

    fn plan(&self) -> Plan {
        let pods: Vec<_> = self.pods.iter().cloned().map(Arc::new).collect();
        plan(&self.job, &pods, at(self.now))
    }

    fn step(&mut self) -> Plan {
        let plan = self.plan();
        for gone in &plan.sizing.delete {
            let now = at(self.now);
            self.pods.iter_mut().filter(|pod| pod.uid == gone.uid).for_each(|pod| pod.deleted_at = Some(now));
        }
        for new in &plan.sizing.create {
            let pod = pods::new_pod(&self.job, *new);
            self.made += 1;
            let name = format!("p{}", self.made);
            self.pods.push(PodFacts {
                key: Some(ObjectKey::new("ns", &name)),
                uid: name,
                annotations: pod.metadata.annotations.unwrap_or_default(),
                finalizers: pod.metadata.finalizers.unwrap_or_default(),
                node: "n".into(),
                phase: "Running".into(),
                created_at: Some(at(self.now)),
                ..PodFacts::default()
            });
        }
        if self.loses_status && plan.status.is_some() {
            return plan;
        }
        if let Some(status) = plan.status.clone() {
            self.job.status = Some(status);
        }
        for settled in &plan.settled {
            let pod = self.pods.iter_mut().find(|pod| pod.uid == settled.uid).unwrap();
            pod.finalizers.retain(|finalizer| finalizer != TRACKING);
        }
        // What is deleted and held by nothing is gone.
        self.pods.retain(|pod| pod.deleted_at.is_none() || !pod.finalizers.is_empty());
        plan
    }

    fn settle(&mut self) {
        for _ in 0..20 {
            let before = (self.job.clone(), self.pods.clone());
            self.step();
            if before == (self.job.clone(), self.pods.clone()) {
                return;
            }
        }
        panic!("no rest: {:#?}", self.job.status);
    }

    fn end(&mut self, uid: &str, exit_code: i32) {
        let now = at(self.now);
        let pod = self.pods.iter_mut().find(|pod| pod.uid == uid).expect("the Pod");
        pod.phase = if exit_code == 0 { "Succeeded" } else { "Failed" }.into();
        pod.containers = vec![ContainerFacts {
            name: "c".into(),
            exit_code: Some(exit_code),
            finished_at: Some(now),
            ..ContainerFacts::default()
        }];
    }

    fn active(&self) -> Vec<&str> {
        self.pods.iter().filter(|pod| pod.is_active()).map(|pod| pod.uid.as_str()).collect()
    }

    fn holds(&self, kind: &str) -> Option<String> {
        verdict::holds(self.job.status.as_ref()?, kind)?.reason.clone()
    }

    fn counters(&self) -> (i32, i32, i32) {
        let status = self.job.status.clone().unwrap_or_default();
        (status.active.unwrap_or(0), status.succeeded.unwrap_or(0), status.failed.unwrap_or(0))
    }
}

#[test]
fn as_many_run_as_allowed_until_enough_succeeded() {
    let mut world = World::new(spec(3, 2));
    world.settle();
    assert_eq!((world.active(), world.counters()), (vec!["p1", "p2"], (2, 0, 0)));
    world.end("p1", 0);
    world.settle();
    assert_eq!((world.active(), world.counters()), (vec!["p2", "p3"], (2, 1, 0)));
    world.end("p2", 0);
    world.settle();
    assert_eq!((world.active(), world.counters()), (vec!["p3"], (1, 2, 0)), "no more than are missing");
    world.end("p3", 0);
    world.settle();
    assert_eq!(world.counters(), (0, 3, 0));
    assert_eq!(world.holds(SUCCESS_CRITERIA_MET).as_deref(), Some("CompletionsReached"));
    assert_eq!(world.holds(COMPLETE).as_deref(), Some("CompletionsReached"));
    assert!(world.pods.iter().all(|pod| pod.finalizers.is_empty()), "every Pod was let go");
    assert!(world.job.status.as_ref().unwrap().completion_time.is_some());
}

#[test]
fn an_end_is_counted_once_whatever_is_lost() {
    let mut world = World::new(spec(2, 2));
    world.settle();
    world.end("p1", 0);
    world.loses_status = true;
    world.step();
    assert!(pods::is_tracked(&world.pods[0]), "kept until the status is written");
    world.loses_status = false;
    let first = world.step();
    assert_eq!(first.status.unwrap().uncounted_terminated_pods.unwrap().succeeded.unwrap(), ["p1"]);
    // The Pod is let go; the write that counts it is lost; somebody deletes the Pod.
    world.loses_status = true;
    world.step();
    world.pods.remove(0);
    world.loses_status = false;
    world.settle();
    assert_eq!((world.active(), world.counters()), (vec!["p2"], (1, 1, 0)));
}

#[test]
fn a_search_ends_with_the_first_find() {
    let mut world = World::new(JobSpec { completions: None, ..spec(1, 3) });
    world.settle();
    world.end("p1", 0);
    world.settle();
    assert_eq!(world.active(), ["p2", "p3"], "nothing new is started");
    world.end("p2", 0);
    world.end("p3", 1);
    world.settle();
    assert_eq!((world.counters(), world.holds(COMPLETE).is_some()), ((0, 2, 1), true));
}

#[test]
fn failures_wait_longer_each_time_and_end_at_the_limit() {
    let mut world = World::new(JobSpec { backoff_limit: Some(2), ..spec(1, 1) });
    world.settle();
    for (failure, wait) in [("p1", 10), ("p2", 20)] {
        world.end(failure, 1);
        world.settle();
        assert!(world.active().is_empty());
        assert_eq!(world.plan().next, Next::After(Duration::from_secs(wait)), "after {failure}");
        world.now += i64::try_from(wait).unwrap();
        world.settle();
        assert_eq!(world.active().len(), 1);
    }
    world.end("p3", 1);
    world.settle();
    assert_eq!(world.holds(FAILURE_TARGET).as_deref(), Some("BackoffLimitExceeded"));
    assert_eq!(world.holds(FAILED).as_deref(), Some("BackoffLimitExceeded"));
    assert_eq!(world.counters(), (0, 0, 3));
}

#[test]
fn restarts_in_place_count_towards_the_limit() {
    let mut on_failure = JobSpec { backoff_limit: Some(3), ..spec(1, 1) };
    on_failure.template.spec.get_or_insert_default().restart_policy = Some("OnFailure".into());
    let mut world = World::new(on_failure);
    world.settle();
    world.pods[0].containers = vec![ContainerFacts { restarts: 2, ..ContainerFacts::default() }];
    world.settle();
    assert_eq!(world.active().len(), 1);
    world.pods[0].containers[0].restarts = 3;
    world.settle();
    assert_eq!(world.holds(FAILED).as_deref(), Some("BackoffLimitExceeded"));
    assert!(world.active().is_empty());
}

#[test]
fn the_deadline_ends_what_runs() {
    let mut world = World::new(JobSpec { active_deadline_seconds: Some(60), ..spec(1, 1) });
    world.settle();
    assert_eq!(world.plan().next, Next::After(Duration::from_secs(60)));
    world.now += 60;
    let told = world.step();
    assert_eq!(told.sizing.delete.len(), 1);
    assert!(world.holds(FAILED).is_none(), "not before the Pod is gone");
    world.settle();
    assert_eq!(world.holds(FAILED).as_deref(), Some("DeadlineExceeded"));
    assert_eq!(world.counters(), (0, 0, 1));
}

#[test]
fn a_suspended_job_runs_nothing_and_resumes() {
    let mut world = World::new(JobSpec { suspend: Some(true), ..spec(2, 2) });
    world.settle();
    assert_eq!(world.holds(SUSPENDED).as_deref(), Some("JobSuspended"));
    assert!(world.pods.is_empty() && world.job.status.as_ref().unwrap().start_time.is_none());
    world.job.spec.as_mut().unwrap().suspend = Some(false);
    let resumed = world.step();
    assert_eq!(resumed.events[0].1, "Resumed");
    assert_eq!(world.active().len(), 2);
    world.job.spec.as_mut().unwrap().suspend = Some(true);
    world.settle();
    assert!(world.active().is_empty());
}

#[test]
fn every_index_succeeds_once() {
    let mut world = World::new(indexed(4, 2));
    world.settle();
    let indexes = |world: &World| -> Vec<_> {
        let mut indexes: Vec<_> = world.pods.iter().filter(|pod| pod.is_active()).filter_map(pods::index).collect();
        indexes.sort_unstable();
        indexes
    };
    assert_eq!(indexes(&world), [0, 1]);
    world.end("p2", 0);
    world.settle();
    assert_eq!(indexes(&world), [0, 2]);
    assert_eq!(world.job.status.as_ref().unwrap().completed_indexes.as_deref(), Some("1"));
    // A second Pod of index 0 is one too many.
    let twin = PodFacts { uid: "twin".into(), created_at: Some(at(1001)), ..world.pods[0].clone() };
    world.pods.push(twin);
    world.settle();
    assert_eq!(indexes(&world), [0, 2]);
    for _ in 0..4 {
        let running: Vec<String> = world.active().iter().map(ToString::to_string).collect();
        running.iter().for_each(|pod| world.end(pod, 0));
        world.now += 100;
        world.settle();
    }
    let status = world.job.status.clone().unwrap();
    assert_eq!((status.completed_indexes.as_deref(), status.succeeded), (Some("0-3"), Some(4)));
    assert!(world.holds(COMPLETE).is_some());
}

#[test]
fn an_index_fails_for_itself() {
    let limits = |max| JobSpec {
        backoff_limit: Some(i32::MAX),
        backoff_limit_per_index: Some(1),
        max_failed_indexes: max,
        ..indexed(2, 2)
    };
    let mut world = World::new(limits(None));
    world.settle();
    world.end("p1", 1);
    world.settle();
    assert_eq!(world.active(), ["p2"], "index 0 waits");
    world.now += 10;
    world.settle();
    assert_eq!(world.active(), ["p2", "p3"]);
    assert_eq!(pods::earlier_failures(world.pods.iter().find(|pod| pod.uid == "p3").unwrap()), (1, 0));
    world.end("p3", 1);
    world.settle();
    assert_eq!(world.job.status.as_ref().unwrap().failed_indexes.as_deref(), Some("0"));
    assert_eq!(world.active(), ["p2"], "the other index goes on");
    world.end("p2", 0);
    world.settle();
    assert_eq!(world.holds(FAILED).as_deref(), Some("FailedIndexes"));
    assert_eq!(world.counters(), (0, 1, 2));

    let mut world = World::new(JobSpec { backoff_limit_per_index: Some(0), ..limits(Some(0)) });
    world.settle();
    world.end("p1", 1);
    world.settle();
    assert_eq!(world.holds(FAILED).as_deref(), Some("MaxFailedIndexesExceeded"));
}

#[test]
fn the_failure_policy_ignores_counts_or_ends() {
    let rule = |action: &str, codes: &[i32]| PodFailurePolicyRule {
        action: action.into(),
        on_exit_codes: Some(PodFailurePolicyOnExitCodesRequirement {
            container_name: None,
            operator: "In".into(),
            values: codes.to_vec(),
        }),
        on_pod_conditions: None,
    };
    let rules = vec![rule("Ignore", &[3]), rule("FailJob", &[42]), rule("Count", &[1])];
    let mut world = World::new(JobSpec {
        backoff_limit: Some(0),
        pod_failure_policy: Some(PodFailurePolicy { rules }),
        ..spec(1, 1)
    });
    world.settle();
    world.end("p1", 3);
    world.settle();
    world.now += 10;
    world.settle();
    assert_eq!((world.active(), world.counters()), (vec!["p2"], (1, 0, 0)));
    world.end("p2", 42);
    world.settle();
    let status = world.job.status.clone().unwrap();
    let failed = verdict::holds(&status, FAILED).unwrap();
    assert_eq!(failed.reason.as_deref(), Some("PodFailurePolicy"));
    let message = "Container c for pod ns/p2 failed with exit code 42 matching FailJob rule at index 1";
    assert_eq!(failed.message.as_deref(), Some(message));
}

#[test]
fn the_success_policy_ends_the_rest() {
    let rules = vec![SuccessPolicyRule { succeeded_indexes: Some("0,2".into()), succeeded_count: Some(1) }];
    let mut world = World::new(JobSpec { success_policy: Some(SuccessPolicy { rules }), ..indexed(3, 3) });
    world.settle();
    world.end("p2", 0);
    world.settle();
    assert_eq!(world.active().len(), 2, "index 1 is none of those");
    world.end("p1", 0);
    world.settle();
    assert_eq!(world.holds(COMPLETE).as_deref(), Some("SuccessPolicy"));
    assert!(world.active().is_empty());
}

#[test]
fn replacement_waits_for_the_end_where_asked_to() {
    for (policy, expected) in [("TerminatingOrFailed", 1), ("Failed", 0)] {
        let mut world = World::new(JobSpec { pod_replacement_policy: Some(policy.into()), ..spec(1, 1) });
        world.settle();
        world.pods[0].finalizers.push("somebody/else".into());
        world.pods[0].deleted_at = Some(at(1001));
        world.settle();
        assert_eq!(world.active().len(), expected, "{policy}");
        assert_eq!(world.job.status.as_ref().unwrap().terminating, Some(1), "{policy}");
    }
}
