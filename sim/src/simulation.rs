//! One seed from start to end.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures::StreamExt as _;
use platform::tasks::{TaskKind, spawn};
use store::{Notice, Revision, Store as _};
use testkit::dice::Dice;
use tokio::time::sleep;

use crate::chance::PausedClock;
use crate::cluster::Cluster;
use crate::invariants::{self, Invariant};
use crate::network::Faults;
use crate::scenario::Scenario;
use crate::workload;
use crate::world::World;

/// For so long nothing changes when the cluster is at rest: no back-off is longer.
const REST: Duration = Duration::from_secs(420);
/// A cluster that is not at rest by then never will be.
const UNREST: Duration = Duration::from_secs(2 * 3600);

/// What became of a seed.
#[derive(Debug)]
pub struct Outcome {
    /// What tells this run from another: all commits and their times.
    pub hash: u64,
    /// How many commits there were.
    pub commits: u64,
    /// How long it took, in the cluster's own time.
    pub elapsed: Duration,
    /// The rule that did not hold, and how.
    pub broken: Option<String>,
    /// What happened, when somebody wants to know.
    pub diary: Vec<String>,
}

/// Plays a seed, and keeps a diary if one is wanted.
pub fn simulate(seed: u64, diary: bool) -> Outcome {
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    let runtime = runtime.enable_time().start_paused(true).build().expect("a runtime");
    runtime.block_on(play(seed, diary.then(Vec::new)))
}

/// Sees every commit and says what is wrong with it.
struct Judge {
    world: World,
    invariants: Vec<Box<dyn Invariant>>,
    broken: Option<String>,
    diary: Option<Vec<String>>,
    clock: PausedClock,
}

type SharedJudge = Arc<Mutex<Judge>>;

fn lock(judge: &SharedJudge) -> MutexGuard<'_, Judge> {
    judge.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Judge {
    fn note(&mut self, text: impl FnOnce() -> String) {
        if let Some(diary) = &mut self.diary {
            diary.push(format!("{:>10.3} {}", self.clock.elapsed().as_secs_f64(), text()));
        }
    }

    fn take(&mut self, event: &store::Event) {
        let Some(step) = self.world.take(self.clock.elapsed(), event) else { return };
        self.note(|| {
            let value = step.new.as_ref().map_or("is gone".to_owned(), ToString::to_string);
            format!("  {} {} {value}", event.revision.0, step.key)
        });
        for invariant in &mut self.invariants {
            if let Err(problem) = invariant.step(&self.world, &step)
                && self.broken.is_none()
            {
                self.broken = Some(format!("{}: {problem}", invariant.name()));
            }
        }
    }

    fn at_rest(&mut self) {
        let problems = self.invariants.iter().filter_map(|invariant| {
            let problem = invariant.at_rest(&self.world).err()?;
            Some(format!("at rest, {}: {problem}", invariant.name()))
        });
        self.broken = self.broken.take().or(problems.into_iter().next());
    }
}

async fn play(seed: u64, diary: Option<Vec<String>>) -> Outcome {
    let mut dice = Dice::new(seed);
    let scenario = Scenario::of(&mut dice);
    let mut cluster = Cluster::new(seed, scenario.habits);
    let judge = Arc::new(Mutex::new(Judge {
        world: World::default(),
        invariants: invariants::all(&scenario),
        broken: None,
        diary,
        clock: cluster.clock,
    }));
    lock(&judge).note(|| format!("seed {seed}: {scenario:?}"));
    watch(&cluster, &judge).await;
    let nodes: Vec<String> = (0..scenario.nodes).map(|number| format!("n{number}")).collect();
    cluster.start_api_server().await;
    cluster.bootstrap().await;
    cluster.heal(&nodes).await;
    for namespace in workload::NAMESPACES {
        act(&cluster, &judge, &workload::namespace(namespace)).await;
    }
    sleep(Duration::from_secs(5)).await;
    cluster.network.set_faults(scenario.faults);
    for _ in 0..scenario.acts {
        sleep(dice.up_to(scenario.pause)).await;
        befall(&mut cluster, &judge, &scenario, &nodes, &mut dice).await;
        if lock(&judge).broken.is_some() {
            return outcome(&judge);
        }
    }
    lock(&judge).note(|| "everything is left in peace".to_owned());
    cluster.network.set_faults(Faults::default());
    cluster.heal(&nodes).await;
    leave_in_peace(&cluster, &judge, &nodes).await;
    come_to_rest(&judge).await;
    outcome(&judge)
}

fn outcome(judge: &SharedJudge) -> Outcome {
    let mut judge = lock(judge);
    Outcome {
        hash: judge.world.hash(),
        commits: judge.world.commits,
        elapsed: judge.clock.elapsed(),
        broken: judge.broken.take(),
        diary: judge.diary.take().unwrap_or_default(),
    }
}

async fn watch(cluster: &Cluster, judge: &SharedJudge) {
    let mut commits = cluster.store.watch("", Revision(0)).await.expect("a new store has its whole past");
    let judge = Arc::clone(judge);
    spawn(TaskKind::Component, "judge", async move {
        while let Some(notice) = commits.next().await {
            if let Notice::Commit(event) = notice.expect("the judge keeps up") {
                lock(&judge).take(&event);
            }
        }
    });
}

async fn act(cluster: &Cluster, judge: &SharedJudge, act: &workload::Act) {
    lock(judge).note(|| act.to_string());
    let said = act.carry_out(&cluster.admin()).await;
    lock(judge).note(|| format!("  {said}"));
}

/// One thing happens.
async fn befall(cluster: &mut Cluster, judge: &SharedJudge, scenario: &Scenario, nodes: &[String], dice: &mut Dice) {
    if scenario.restarts && dice.one_in(4) {
        let said = restart(cluster, scenario, nodes, dice).await;
        return lock(judge).note(|| said);
    }
    if scenario.rough && dice.one_in(8) {
        let said = trouble_a_node(cluster, nodes, dice);
        return lock(judge).note(|| said);
    }
    let next = {
        let judge = lock(judge);
        let removed = if scenario.rough && dice.one_in(5) {
            let evict = dice.one_in(2);
            workload::remove_pod(dice, &judge.world, evict)
        } else {
            None
        };
        match removed {
            Some(act) => act,
            None if dice.one_in(12) => {
                let node: &String = dice.choose(nodes);
                workload::cordon(node, dice.one_in(2))
            }
            None => workload::next_act(dice, &judge.world),
        }
    };
    act(cluster, judge, &next).await;
    // So that what comes next may come in the middle of what follows from this.
    for _ in 0..dice.below(300) {
        tokio::task::yield_now().await;
    }
}

/// Ends a part that runs, or starts one that does not.
async fn restart(cluster: &mut Cluster, scenario: &Scenario, nodes: &[String], dice: &mut Dice) -> String {
    let at_once = dice.one_in(2);
    match dice.below(4) {
        0 => {
            cluster.stop_controllers();
            if at_once || dice.one_in(2) {
                cluster.start_controllers();
            }
            "the controllers are started anew".to_owned()
        }
        1 => {
            cluster.stop_scheduler();
            if at_once || dice.one_in(2) {
                cluster.start_scheduler();
            }
            "the scheduler is started anew".to_owned()
        }
        2 => {
            cluster.stop_api_server();
            sleep(dice.up_to(Duration::from_secs(if at_once { 0 } else { 20 }))).await;
            cluster.start_api_server().await;
            "the API server is started anew".to_owned()
        }
        _ => {
            let node = dice.choose(nodes);
            // A node that is silent for long loses its Pods.
            if scenario.rough && !cluster.has_kubelet(node) {
                return format!("{node} stays as it is");
            }
            cluster.start_kubelet(node);
            format!("the kubelet of {node} is started anew")
        }
    }
}

fn trouble_a_node(cluster: &mut Cluster, nodes: &[String], dice: &mut Dice) -> String {
    let node = dice.choose(nodes);
    if cluster.has_kubelet(node) {
        cluster.stop_kubelet(node);
        return format!("{node} falls silent");
    }
    cluster.start_kubelet(node);
    format!("{node} is there again")
}

/// Nothing holds anything back any more.
async fn leave_in_peace(cluster: &Cluster, judge: &SharedJudge, nodes: &[String]) {
    for node in nodes {
        act(cluster, judge, &workload::cordon(node, false)).await;
    }
    let cron_jobs: Vec<_> = lock(judge).world.of_kind("CronJob").map(|(key, _)| key.clone()).collect();
    for key in cron_jobs {
        act(cluster, judge, &workload::suspend(&key.namespace, &key.name)).await;
    }
}

async fn come_to_rest(judge: &SharedJudge) {
    let began = lock(judge).clock.elapsed();
    loop {
        sleep(Duration::from_secs(5)).await;
        let mut judge = lock(judge);
        let now = judge.clock.elapsed();
        if judge.broken.is_some() {
            return;
        }
        if now > judge.world.restless_at + REST && now > began + REST {
            return judge.at_rest();
        }
        if now > began + UNREST {
            let last = judge.world.restless.as_ref().map(ToString::to_string);
            judge.broken = Some(format!("no rest: {last:?} changed last"));
            return;
        }
    }
}
