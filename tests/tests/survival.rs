//! Containers outlive the server, and `isopod reset` leaves nothing behind.

use std::process::ExitCode;
use std::sync::Mutex;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use tests::host::{self, Host, Process};
use tests::{Cluster, Kubectl, Options, cases, suite};

const SOON: Duration = Duration::from_secs(30);

/// The cases end and start servers and look at the whole host, so only one runs at a time.
static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

fn main() -> ExitCode {
    let cases = cases![
        containers_survive_a_crash_of_the_server,
        containers_survive_an_orderly_end_of_the_server,
        what_ended_meanwhile_is_noticed,
        clusters_run_side_by_side,
        reset_leaves_nothing_behind,
    ];
    suite::run(|| Ok(()), cases, |()| String::new())
}

/// A cluster for one case.
fn with_cluster(case: impl FnOnce(&Cluster) -> Result<()>) -> Result<()> {
    let _turn = ONE_AT_A_TIME.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let cluster = Cluster::start(Options::default())?;
    case(&cluster).map_err(|error| error.context(cluster.diagnose()))
}

/// What must not change while the server is away.
#[derive(Debug, PartialEq)]
struct Life {
    address: String,
    restarts: serde_json::Value,
    container_id: String,
    pids: Vec<u32>,
}

/// `marker` is an argument that only the containers of the Pod have.
fn life(kubectl: &Kubectl, pod: &str, marker: &str) -> Result<Life> {
    let object = format!("pod/{pod}");
    let runs = |process: &Process| process.command.contains(marker) && !process.command.contains("kubectl");
    let pids = host::running()?.into_iter().filter(runs).map(|process| process.pid).collect::<Vec<_>>();
    ensure!(!pids.is_empty(), "nothing runs with {marker}");
    Ok(Life {
        address: kubectl.text(&object, "/status/podIP")?,
        restarts: kubectl.value(&object, "/status/containerStatuses/0/restartCount")?,
        container_id: kubectl.text(&object, "/status/containerStatuses/0/containerID")?,
        pids,
    })
}

fn start_ticker(kubectl: &Kubectl, pod: &str, marker: &str) -> Result<()> {
    let script = format!("n=0; while true; do n=$((n+1)); echo tick $n; sleep 0.2; done # {marker}");
    kubectl.ok(&["run", pod, "--image=busybox", "--", "sh", "-c", &script])?;
    kubectl.wait_ready(pod)
}

fn survives(cluster: &Cluster, marker: &str, end: impl FnOnce(&Cluster) -> Result<()>) -> Result<()> {
    let kubectl = cluster.kubectl();
    kubectl.ok(&["wait", "--for=create", "serviceaccount/default", "--timeout=20s"])?;
    start_ticker(&kubectl, "ticker", marker)?;
    let before = life(&kubectl, "ticker", marker)?;
    let shim = host::running()?.into_iter().find(|process| process.pid == before.pids[0]).context("runs")?.parent;
    end(cluster)?;
    let meanwhile = host::running()?;
    ensure!(meanwhile.iter().any(|process| process.pid == before.pids[0] && process.parent == shim));
    std::thread::sleep(Duration::from_secs(1));
    cluster.start_server()?;
    kubectl.wait_ready("ticker")?;
    let after = life(&kubectl, "ticker", marker)?;
    ensure!(before == after, "before: {before:?}, after: {after:?}");
    let logs = kubectl.ok(&["logs", "ticker"])?;
    let ticks: Vec<&str> = logs.lines().collect();
    let whole = ticks.iter().enumerate().all(|(at, line)| *line == format!("tick {}", at + 1));
    ensure!(whole, "the log has no gap: {logs}");
    let follow = kubectl.stream(&["logs", "-f", "--tail=1", "ticker"])?;
    follow.wait_for(SOON, |text| text.lines().count() > 3)?;
    ensure!(kubectl.ok(&["exec", "ticker", "--", "echo", "hello"])? == "hello\n");
    kubectl.ok(&["delete", "pod", "ticker", "--grace-period=1"])?;
    let left = host::running()?.into_iter().any(|process| before.pids.contains(&process.pid));
    ensure!(!left, "a deleted Pod's processes are gone");
    kubectl.ok(&["run", "later", "--image=busybox", "--", "sleep", "3600"])?;
    kubectl.wait_ready("later")
}

fn containers_survive_a_crash_of_the_server((): &()) -> Result<()> {
    with_cluster(|cluster| survives(cluster, "marker-crash", Cluster::kill_server))
}

fn containers_survive_an_orderly_end_of_the_server((): &()) -> Result<()> {
    with_cluster(|cluster| survives(cluster, "marker-orderly", Cluster::stop_server))
}

fn what_ended_meanwhile_is_noticed((): &()) -> Result<()> {
    with_cluster(|cluster| {
        let kubectl = cluster.kubectl();
        kubectl.ok(&["wait", "--for=create", "serviceaccount/default", "--timeout=20s"])?;
        let script = "echo working; sleep 3; echo done; exit 4";
        kubectl.ok(&["run", "worker", "--image=busybox", "--restart=Never", "--", "sh", "-c", script])?;
        kubectl.wait_ready("worker")?;
        cluster.kill_server()?;
        std::thread::sleep(Duration::from_secs(4));
        cluster.start_server()?;
        kubectl.wait_value("pod/worker", "/status/phase", SOON, |phase| phase == "Failed")?;
        let ended = kubectl.value("pod/worker", "/status/containerStatuses/0/state/terminated")?;
        ensure!(ended["exitCode"] == 4 && ended["reason"] == "Error", "{ended}");
        ensure!(kubectl.ok(&["logs", "worker"])? == "working\ndone\n");
        Ok(())
    })
}

fn clusters_run_side_by_side((): &()) -> Result<()> {
    with_cluster(|one| {
        let other = Cluster::start(Options::default())?;
        for cluster in [one, &other] {
            let kubectl = cluster.kubectl();
            kubectl.ok(&["wait", "--for=create", "serviceaccount/default", "--timeout=20s"])?;
            kubectl.ok(&["run", "same-name", "--image=busybox", "--", "sleep", "3600"])?;
            kubectl.wait_ready("same-name")?;
        }
        let address = |cluster: &Cluster| cluster.kubectl().text("pod/same-name", "/status/podIP");
        ensure!(address(one)? != address(&other)?);
        other.reset()?;
        ensure!(one.kubectl().ok(&["exec", "same-name", "--", "echo", "alive"])? == "alive\n");
        Ok(())
    })
}

fn reset_leaves_nothing_behind((): &()) -> Result<()> {
    let _turn = ONE_AT_A_TIME.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    for crash in [false, true] {
        let before = Host::observe()?;
        let cluster = Cluster::start(Options::default())?;
        let kubectl = cluster.kubectl();
        kubectl.ok(&["wait", "--for=create", "serviceaccount/default", "--timeout=20s"])?;
        kubectl.apply(&cluster.example("two-containers-one-volume.yaml")?)?;
        kubectl.apply(&cluster.example("redis-emptydir.yaml")?)?;
        kubectl.wait_ready("mc1")?;
        kubectl.wait_ready("redis")?;
        let started = kubectl.text("pod/redis", "/status/containerStatuses/0/containerID")?;
        let container = started.rsplit('/').next().context("an id")?;
        let of_container = |process: &Process| process.cgroups.contains(container);
        let id = host::cluster_id(&host::running()?.into_iter().filter(of_container).collect::<Vec<_>>())?;
        let running = Host::observe()?.left_behind(&before, &cluster.data_dir(), &id);
        // Another runtime brings a Pod network that is not ours to name.
        let of_network: &[&str] = if cluster.uses_containerd() { &[] } else { &["link", "nftables table"] };
        for kind in ["mount", "cgroup", "process"].iter().chain(of_network) {
            ensure!(running.iter().any(|line| line.starts_with(kind)), "a running cluster has a {kind}: {running:#?}");
        }
        if crash {
            cluster.kill_server()?;
        }
        cluster.reset()?;
        let left = Host::observe()?.left_behind(&before, &cluster.data_dir(), &id);
        ensure!(left.is_empty(), "left behind (crash: {crash}): {left:#?}");
        ensure!(!cluster.data_dir().exists(), "the data directory is gone");
    }
    Ok(())
}
