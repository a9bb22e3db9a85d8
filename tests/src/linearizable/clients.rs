//! Clients that swap, and the server's violent ends meanwhile.

use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use k8s_openapi::api::core::v1::ConfigMap;
use kube::api::PostParams;
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Api, Client, Config};
use tokio::sync::watch;

use super::{Action, Operation, Outcome, State, Tally, check};
use crate::Cluster;
use crate::chaos::seed::Seed;

const OBJECTS: [usize; 5] = [0, 1, 2, 3, 4];
const CLIENTS: u64 = 20;
const NAMESPACE: &str = "default";
/// A request that takes longer counts as without an answer.
const PATIENCE: Duration = Duration::from_secs(20);
/// A client that could not reach the server tries again after this.
const PAUSE: Duration = Duration::from_millis(20);
/// So long may it take until the server has acknowledged enough to be killed again.
const PROGRESS: Duration = Duration::from_secs(60);

/// What all clients share.
struct Run {
    clock: AtomicU64,
    writes: AtomicU64,
    over: AtomicBool,
    operations: Mutex<Vec<Operation>>,
    acknowledged: watch::Sender<u64>,
}

impl Run {
    fn tick(&self) -> u64 {
        self.clock.fetch_add(1, Ordering::SeqCst)
    }

    fn note(&self, object: usize, begun: u64, action: Action) {
        let done = matches!(action, Action::Swap { outcome: Outcome::Done(_), .. });
        let operation = Operation { object, begun, ended: self.tick(), action };
        self.operations.lock().unwrap_or_else(PoisonError::into_inner).push(operation);
        if done {
            self.acknowledged.send_modify(|count| *count += 1);
        }
    }
}

/// Lets the clients work while the server is killed so often, then looks at what they saw.
///
/// # Errors
/// A [`super::Violation`], or when the server does not come back.
pub async fn run(cluster: &Arc<Cluster>, seed: u64, kills: u32) -> Result<Tally> {
    let kubeconfig = cluster.data_dir().join("admin.kubeconfig");
    let objects = connect(&kubeconfig).await?;
    for object in OBJECTS {
        let made = config_map(object, State { count: 0, write: 0 }, None);
        objects.create(&PostParams::default(), &made).await.context("making the objects")?;
    }
    let run = Arc::new(Run {
        clock: AtomicU64::new(0),
        writes: AtomicU64::new(0),
        over: AtomicBool::new(false),
        operations: Mutex::default(),
        acknowledged: watch::Sender::new(0),
    });
    let clients = futures::future::try_join_all((0..CLIENTS).map(|number| work(&run, &kubeconfig, seed + number)));
    let killing = async {
        let outcome = kill(cluster, &run, seed, kills).await;
        run.over.store(true, Ordering::SeqCst);
        outcome
    };
    let (worked, killed) = tokio::join!(clients, killing);
    worked?;
    killed?;
    // What is there in the end.
    for object in OBJECTS {
        ensure!(read(&run, &objects, object).await.is_some(), "object {object} can't be read");
    }
    let operations = run.operations.lock().unwrap_or_else(PoisonError::into_inner);
    Ok(check(&operations)?)
}

async fn connect(kubeconfig: &Path) -> Result<Api<ConfigMap>> {
    let kubeconfig = Kubeconfig::read_from(kubeconfig)?;
    let config = Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await?;
    Ok(Api::namespaced(Client::try_from(config)?, NAMESPACE))
}

/// Kills the server again and again, each time after it has acknowledged some writes.
async fn kill(cluster: &Arc<Cluster>, run: &Run, seed: u64, kills: u32) -> Result<()> {
    let mut chance = Seed::new(seed);
    let mut acknowledged = run.acknowledged.subscribe();
    for kill in 0..=kills {
        let enough = *acknowledged.borrow() + 10 + chance.between(0, 150);
        let progress = tokio::time::timeout(PROGRESS, acknowledged.wait_for(|count| *count >= enough)).await;
        progress.with_context(|| format!("after {kill} kills the server acknowledges nothing any more"))??;
        if kill < kills {
            let cluster = Arc::clone(cluster);
            let restart = move || cluster.kill_server().and_then(|()| cluster.start_server());
            tokio::task::spawn_blocking(restart).await??;
        }
    }
    Ok(())
}

async fn work(run: &Run, kubeconfig: &Path, seed: u64) -> Result<()> {
    let objects = connect(kubeconfig).await?;
    let mut chance = Seed::new(seed);
    while !run.over.load(Ordering::SeqCst) {
        let object = chance.pick(&OBJECTS);
        let swapped = match read(run, &objects, object).await {
            Some((revision, state)) => swap(run, &objects, object, revision, state.count + 1).await,
            None => false,
        };
        if !swapped {
            tokio::time::sleep(PAUSE).await;
        }
    }
    Ok(())
}

fn name(object: usize) -> String {
    format!("register-{object}")
}

fn config_map(object: usize, state: State, revision: Option<u64>) -> ConfigMap {
    let mut config_map = ConfigMap::default();
    config_map.metadata.name = Some(name(object));
    config_map.metadata.resource_version = revision.map(|revision| revision.to_string());
    let data = [("count", state.count), ("write", state.write)];
    config_map.data = Some(data.map(|(name, number)| (name.to_owned(), number.to_string())).into());
    config_map
}

fn revision_of(config_map: &ConfigMap) -> Option<u64> {
    config_map.metadata.resource_version.as_ref()?.parse().ok()
}

fn state_of(config_map: &ConfigMap) -> Option<State> {
    let number = |name: &str| config_map.data.as_ref()?.get(name)?.parse().ok();
    Some(State { count: number("count")?, write: number("write")? })
}

async fn read(run: &Run, objects: &Api<ConfigMap>, object: usize) -> Option<(u64, State)> {
    let begun = run.tick();
    let found = tokio::time::timeout(PATIENCE, objects.get(&name(object))).await.ok()?.ok()?;
    let (revision, state) = (revision_of(&found)?, state_of(&found)?);
    run.note(object, begun, Action::Read { revision, state });
    Some((revision, state))
}

/// Whether there was an answer.
async fn swap(run: &Run, objects: &Api<ConfigMap>, object: usize, expected: u64, count: u64) -> bool {
    let state = State { count, write: run.writes.fetch_add(1, Ordering::SeqCst) + 1 };
    let wanted = config_map(object, state, Some(expected));
    let begun = run.tick();
    let (name, parameters) = (name(object), PostParams::default());
    let answer = tokio::time::timeout(PATIENCE, objects.replace(&name, &parameters, &wanted)).await;
    let outcome = match answer {
        Ok(Ok(stored)) => revision_of(&stored).map_or(Outcome::Unknown, Outcome::Done),
        Ok(Err(kube::Error::Api(status))) if status.code == 409 => Outcome::Refused,
        Ok(Err(_)) | Err(_) => Outcome::Unknown,
    };
    run.note(object, begun, Action::Swap { expected, state, outcome });
    outcome != Outcome::Unknown
}
