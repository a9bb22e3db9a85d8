//! Every Pod of a Job counts once.

use std::collections::{BTreeMap, BTreeSet};

use super::{Invariant, ensure};
use crate::world::{Object, Step, World};

/// Completions are counted exactly once.
#[derive(Default)]
pub struct ExactlyOnce {
    /// By the Job's uid.
    jobs: BTreeMap<String, Truth>,
}

/// What really happened to the Pods of a Job.
#[derive(Default)]
struct Truth {
    succeeded: BTreeSet<String>,
    failed: BTreeSet<String>,
    /// Indexes with the Pod that succeeded.
    indexes: BTreeMap<String, String>,
}

impl ExactlyOnce {
    fn pod(&mut self, step: &Step, pod: &Object) -> Result<(), String> {
        let Some(owner) = pod.controller().filter(|owner| owner["kind"] == "Job") else { return Ok(()) };
        let truth = self.jobs.entry(owner["uid"].as_str().unwrap_or("").to_owned()).or_default();
        let index = pod.text("/metadata/annotations/batch.kubernetes.io~1job-completion-index");
        let uid = pod.uid().to_owned();
        if step.created().is_some() && !index.is_empty() {
            let done = truth.indexes.get(index);
            ensure(done.is_none(), || format!("{} repeats index {index}, which {done:?} has done", step.key))?;
        }
        match pod.text("/status/phase") {
            "Succeeded" => {
                if !index.is_empty() {
                    truth.indexes.insert(index.to_owned(), uid.clone());
                }
                truth.succeeded.insert(uid);
            }
            // One that is being deleted counts as failed once its finalizer goes, whatever its phase says.
            "Failed" => _ = truth.failed.insert(uid),
            _ if pod.is_doomed() || step.new.is_none() => _ = truth.failed.insert(uid),
            _ => {}
        }
        Ok(())
    }

    fn job(&self, step: &Step, job: &Object) -> Result<(), String> {
        let (succeeded, failed) = (job.number("/status/succeeded"), job.number("/status/failed"));
        let none = Truth::default();
        let truth = self.jobs.get(job.uid()).unwrap_or(&none);
        let key = &step.key;
        let most = truth.succeeded.len() as i64;
        ensure(succeeded <= most, || format!("{key} counts {succeeded} completions of {most}"))?;
        let most = truth.failed.len() as i64;
        ensure(failed <= most, || format!("{key} counts {failed} failures of {most}"))?;
        let wanted = job.number("/spec/completions");
        ensure(succeeded <= wanted, || format!("{key} counts {succeeded} completions and wants {wanted}"))?;
        let complete = job.has_condition("Complete");
        ensure(!complete || succeeded == wanted, || format!("{key} is complete with {succeeded} of {wanted}"))?;
        let over = complete || job.has_condition("Failed");
        let was_over =
            step.old.as_ref().is_some_and(|old| old.has_condition("Complete") || old.has_condition("Failed"));
        ensure(over || !was_over, || format!("{key} was over and is not any more"))?;
        let before = step.old.as_ref().map_or(0, |old| old.number("/status/succeeded"));
        ensure(succeeded >= before, || format!("{key} forgets completions: {succeeded} after {before}"))
    }
}

impl Invariant for ExactlyOnce {
    fn name(&self) -> &'static str {
        "completions exactly once"
    }

    fn step(&mut self, _: &World, step: &Step) -> Result<(), String> {
        match (step.key.kind.as_str(), &step.new, &step.old) {
            ("Pod", Some(pod), _) | ("Pod", None, Some(pod)) => self.pod(step, pod),
            ("Job", Some(job), _) => self.job(step, job),
            _ => Ok(()),
        }
    }

    fn at_rest(&self, world: &World) -> Result<(), String> {
        for (key, job) in world.of_kind("Job") {
            if job.at("/spec/suspend") == Some(&serde_json::Value::Bool(true)) {
                let pods = world.owned("Pod", &key.namespace, job.uid()).filter(|(_, pod)| pod.is_active()).count();
                ensure(pods == 0, || format!("{key} is suspended and has {pods} Pods"))?;
                continue;
            }
            let pods: Vec<_> = world.owned("Pod", &key.namespace, job.uid()).collect();
            let waits = pods.iter().any(|(_, pod)| pod.is_active() && !pod.is_serving());
            let over = job.has_condition("Complete") || job.has_condition("Failed");
            let held = waits || job.number("/spec/parallelism") == 0 || super::quota::is_tight(world, &key.namespace);
            ensure(over || held, || format!("{key} is not over: {job}"))?;
            if over {
                let active = pods.iter().filter(|(_, pod)| pod.is_active()).count();
                ensure(active == 0, || format!("{key} is over and has {active} Pods"))?;
                let none = Truth::default();
                let truth = self.jobs.get(job.uid()).unwrap_or(&none).succeeded.len() as i64;
                let (counted, wanted) = (job.number("/status/succeeded"), job.number("/spec/completions"));
                ensure(counted == truth.min(wanted), || format!("{key} counts {counted} completions of {truth}"))?;
                let kept = pods.iter().find(|(_, pod)| !pod.list("/metadata/finalizers").is_empty());
                ensure(kept.is_none(), || format!("{} is not let go", kept.expect("one").0))?;
            }
        }
        Ok(())
    }
}
