//! The fault campaign: random Pods live their lives while what carries them is killed and what is remembered of them is
//! broken; afterwards the API and the host must tell the same story, and the one that a quiet run tells.
//!
//! A round makes Pods ([`pods`]), hurts them and the daemon ([`faults`]), waits until every Pod is in the state it would
//! have reached undisturbed and the host ([`world`]) shows what the API says and nothing else ([`invariants`]); then it
//! deletes the Pods, sometimes hurting them once more, and nothing may be left. Everything random comes from the seed;
//! only the timing is the machine's.

pub mod faults;
pub mod invariants;
pub mod pods;
pub mod seed;
pub mod world;

use std::collections::BTreeSet;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use serde_json::Value;

use crate::{Cluster, Kubectl, Options};
use faults::{Fault, Injector};
use invariants::{Expectation, PodView};
use pods::PodPlan;
use seed::Seed;
use world::World;

/// How long everything may take to come to rest. A container that is killed twice waits out 10 s of back-off.
const SETTLE: Duration = Duration::from_secs(60);
const LOOK_AGAIN: Duration = Duration::from_millis(200);
const NAMESPACE: &str = "chaos";
/// What Pods mount.
const OBJECTS: &str = "
apiVersion: v1
kind: ConfigMap
metadata: {name: settings}
data: {color: blue}
---
apiVersion: v1
kind: Secret
metadata: {name: password}
stringData: {word: xyzzy}
";

/// What to do.
#[derive(Debug, Clone, Copy)]
pub struct Campaign {
    /// Where chance begins.
    pub seed: u64,
    /// Rounds.
    pub rounds: u32,
}

impl Campaign {
    /// Reads `ISOPOD_CHAOS_SEED` and `ISOPOD_CHAOS_ROUNDS`.
    ///
    /// # Errors
    /// When they are not numbers.
    pub fn from_environment(seed: u64, rounds: u32) -> Result<Self> {
        let number = |name: &str| -> Result<Option<u64>> {
            let text = std::env::var(name).ok().filter(|text| !text.is_empty());
            text.map(|text| text.parse().with_context(|| format!("{name}={text}"))).transpose()
        };
        let rounds = number("ISOPOD_CHAOS_ROUNDS")?.map(u32::try_from).transpose()?.unwrap_or(rounds);
        Ok(Self { seed: number("ISOPOD_CHAOS_SEED")?.unwrap_or(seed), rounds })
    }

    /// Runs all rounds. A round that fails is told about, and the next one gets a new cluster.
    ///
    /// # Errors
    /// When a round failed, or no cluster can be had.
    pub fn run(self) -> Result<()> {
        let (mut cluster, mut failed) = (None, Vec::new());
        let (mut pods, mut faults) = (0, 0);
        for number in 0..self.rounds {
            let started = Instant::now();
            let cluster_now = match &cluster {
                Some(cluster) => cluster,
                None => cluster.insert(new_cluster()?),
            };
            let mut round = Round::new(cluster_now, self.seed, number)?;
            let outcome = round.run();
            pods += round.plans.len();
            faults += round.done.len();
            let seconds = started.elapsed().as_secs_f64();
            match outcome {
                Ok(()) => println!("round {number}: {} Pods, {:?}, {seconds:.1} s", round.plans.len(), round.done),
                Err(error) => {
                    println!("round {number} FAILED after {seconds:.1} s: {}", round.report(&error));
                    failed.push(number);
                    cluster = None;
                }
            }
        }
        println!("seed {}: {} rounds, {pods} Pods, {faults} faults", self.seed, self.rounds);
        ensure!(failed.is_empty(), "seed {}: rounds {failed:?} failed", self.seed);
        Ok(())
    }
}

fn new_cluster() -> Result<Cluster> {
    let cluster = Cluster::start(Options::default())?;
    cluster.namespace(NAMESPACE)?.apply(OBJECTS)?;
    Ok(cluster)
}

/// One round.
struct Round<'a> {
    cluster: &'a Cluster,
    kubectl: Kubectl,
    seed: Seed,
    plans: Vec<PodPlan>,
    injector: Injector<'a>,
    /// What was done, for the report.
    done: Vec<Fault>,
    /// Pods that were deleted on purpose.
    deleted: BTreeSet<String>,
}

impl<'a> Round<'a> {
    fn new(cluster: &'a Cluster, seed: u64, number: u32) -> Result<Self> {
        let mut seed = Seed::new(seed).fork(u64::from(number));
        let plans = (0..seed.between(3, 6)).map(|index| PodPlan::random(&mut seed, number, index)).collect();
        let kubectl = Kubectl::new(cluster.data_dir().join("admin.kubeconfig"), NAMESPACE);
        let injector = Injector::new(cluster)?;
        Ok(Self { cluster, kubectl, seed, plans, injector, done: Vec::new(), deleted: BTreeSet::new() })
    }

    fn run(&mut self) -> Result<()> {
        let manifests: Vec<&Value> = self.plans.iter().map(|plan| &plan.manifest).collect();
        let list = serde_json::json!({"apiVersion": "v1", "kind": "List", "items": manifests});
        self.kubectl.ok_with_input(&["create", "-f", "-"], list.to_string().as_bytes())?;
        for _ in 0..self.seed.between(0, 4) {
            thread::sleep(Duration::from_millis(self.seed.between(0, 700)));
            self.hurt()?;
        }
        self.injector.revive()?;
        self.settle("Pods do not come to rest")?;
        self.tear_down()
    }

    /// Does one random thing. While the daemon is away only what needs no API is done, or it comes back.
    fn hurt(&mut self) -> Result<()> {
        let fault = self.seed.pick(&Fault::ALL);
        let done = match fault {
            Fault::Delete { grace_seconds } if self.injector.is_up() => {
                let name = self.seed.pick(&self.plans).name.clone();
                self.delete(&name, grace_seconds)?;
                true
            }
            Fault::Debug if self.injector.is_up() => {
                let name = self.seed.pick(&self.plans).name.clone();
                self.debug(&name)?
            }
            Fault::Debug | Fault::Delete { .. } => false,
            other => self.injector.inject(other, &mut self.seed)?,
        };
        if done {
            self.done.push(fault);
        }
        // What is broken on disk is mostly missed by the next daemon.
        if self.injector.is_up() && !self.injector.files.is_empty() && self.seed.chance(50) {
            self.injector.inject(Fault::Daemon, &mut self.seed)?;
        }
        if !self.injector.is_up() && self.seed.chance(50) {
            self.injector.revive()?;
        }
        Ok(())
    }

    /// Answers whether the Pod took the ephemeral container; one that is gone or over does not.
    fn debug(&self, name: &str) -> Result<bool> {
        let debug = ["debug", name, "--image=busybox", "--image-pull-policy=IfNotPresent", "--", "sleep", "1000"];
        Ok(self.kubectl.run(&debug)?.code == Some(0))
    }

    fn delete(&mut self, name: &str, grace_seconds: u32) -> Result<()> {
        let (pod, grace) = (format!("pod/{name}"), format!("--grace-period={grace_seconds}"));
        let force = if grace_seconds == 0 { "--force" } else { "--wait=false" };
        self.kubectl.ok(&["delete", &pod, &grace, force, "--wait=false", "--ignore-not-found"])?;
        self.deleted.insert(name.to_owned());
        Ok(())
    }

    /// Ends all Pods, sometimes not gently, and looks for what is left.
    fn tear_down(&mut self) -> Result<()> {
        let names: Vec<String> = self.plans.iter().map(|plan| plan.name.clone()).collect();
        self.kubectl.ok(&["delete", "pods", "--all", "--wait=false"])?;
        if self.seed.chance(40) {
            thread::sleep(Duration::from_millis(self.seed.between(0, 400)));
            let fault = self.seed.pick(&Fault::PROCESSES);
            if self.injector.inject(fault, &mut self.seed)? {
                self.done.push(fault);
            }
            self.injector.revive()?;
        }
        self.deleted.extend(names);
        self.settle("deleted Pods do not go")
    }

    /// Waits until no invariant is broken.
    fn settle(&self, what: &str) -> Result<()> {
        let deadline = Instant::now() + SETTLE;
        let expectations: Vec<Expectation> = self.plans.iter().map(|plan| self.expectation(plan)).collect();
        loop {
            let pods = PodView::list(&self.kubectl)?;
            let world = World::observe(&self.cluster.data_dir(), &self.injector.id)?;
            let problems = invariants::check(&expectations, &pods, &world);
            if problems.is_empty() {
                return Ok(());
            }
            if Instant::now() > deadline {
                bail!("{what}:\n  {}", problems.join("\n  "));
            }
            thread::sleep(LOOK_AGAIN);
        }
    }

    fn expectation(&self, plan: &PodPlan) -> Expectation {
        Expectation {
            name: plan.name.clone(),
            end: (!self.deleted.contains(&plan.name)).then_some(plan.end),
            policy: plan.policy,
            containers_died: self.injector.containers_died,
        }
    }

    fn report(&self, error: &anyhow::Error) -> String {
        let manifests: Vec<String> = self.plans.iter().map(|plan| plan.manifest["spec"].to_string()).collect();
        let described =
            self.kubectl.run(&["get", "pods", "-o", "wide"]).map(|output| output.both()).unwrap_or_default();
        format!(
            "{error:#}\nfaults: {:?}\nfiles: {:?}\n{}\n{described}\n{}",
            self.done,
            self.injector.files,
            manifests.join("\n"),
            self.cluster.diagnose()
        )
    }
}
