//! Where objects are kept: etcd, backups, and a disk that has its peace.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::process::ExitCode;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use tests::{Cluster, Etcd, Kubectl, Options, cases, suite};

const SOON: Duration = Duration::from_secs(30);

fn main() -> ExitCode {
    let cases = cases![
        objects_are_where_upstream_keeps_them,
        watches_and_writes_go_on_when_etcd_comes_back,
        servers_on_one_etcd_see_each_other,
        one_of_several_servers_leads_and_another_takes_over,
        a_server_that_starts_again_finds_everything_and_forgot_its_history,
        unusable_flags_are_refused,
        a_snapshot_is_taken_while_the_server_serves_and_restored_elsewhere,
        a_server_on_etcd_points_to_etcdctl,
        an_idle_server_writes_nothing,
    ];
    suite::run(|| Ok(()), cases, |()| String::new())
}

/// Flags of a server on an etcd.
fn on(etcd: &Etcd) -> Options {
    Options { flags: vec![format!("--datastore-endpoint={}", etcd.url())], ..Options::default() }
}

fn with_cluster(case: impl FnOnce(&Etcd, &Cluster) -> Result<()>) -> Result<()> {
    let etcd = Etcd::start()?;
    let cluster = Cluster::start(on(&etcd))?;
    case(&etcd, &cluster).map_err(|error| error.context(cluster.diagnose()))
}

fn revision(kubectl: &Kubectl, object: &str) -> Result<String> {
    kubectl.text(object, "/metadata/resourceVersion")
}

fn objects_are_where_upstream_keeps_them(_: &()) -> Result<()> {
    with_cluster(|etcd, cluster| {
        let kubectl = cluster.namespace("kept")?;
        kubectl.ok(&["create", "configmap", "settings", "--from-literal=a=b"])?;
        kubectl.ok(&["create", "service", "clusterip", "web", "--tcp=80"])?;
        kubectl.ok(&["run", "pod", "--image=busybox", "--", "sleep", "1000"])?;
        kubectl.wait_ready("pod")?;
        ensure!(!cluster.data_dir().join("store.redb").exists(), "there is no other store");
        let keys = etcd.ctl(&["get", "/registry/", "--prefix", "--keys-only"])?;
        for key in [
            "/registry/configmaps/kept/settings",
            "/registry/minions/node-1",
            "/registry/namespaces/kept",
            "/registry/pods/kept/pod",
            "/registry/services/specs/kept/web",
            "/registry/clusterroles/cluster-admin",
            "/registry/leases/kube-node-lease/node-1",
        ] {
            ensure!(keys.lines().any(|line| line == key), "{key} is not among {keys}");
        }
        // etcd's revision is the object's.
        let stored: serde_json::Value =
            serde_json::from_str(&etcd.ctl(&["get", "/registry/configmaps/kept/settings", "-w", "json"])?)?;
        let of_etcd = stored["kvs"][0]["mod_revision"].to_string();
        ensure!(revision(&kubectl, "configmap/settings")? == of_etcd, "etcd says {of_etcd}");
        let events: serde_json::Value =
            serde_json::from_str(&etcd.ctl(&["get", "/registry/events/kept/", "--prefix", "-w", "json"])?)?;
        let events = events["kvs"].as_array().context("the Pod has Events")?;
        ensure!(events.iter().all(|event| event["lease"].is_number()), "each Event has a lease: {events:?}");
        Ok(())
    })
}

fn watches_and_writes_go_on_when_etcd_comes_back(_: &()) -> Result<()> {
    with_cluster(|etcd, cluster| {
        let kubectl = cluster.namespace("outage")?;
        let watch = kubectl.stream(&["get", "configmaps", "--watch", "-o", "name"])?;
        // Its list is over: what comes next comes through the watch, which is then there before the outage.
        watch.wait_for(SOON, |said| said.contains("configmap/kube-root-ca.crt"))?;
        kubectl.ok(&["create", "configmap", "before"])?;
        watch.wait_for(SOON, |said| said.contains("configmap/before"))?;
        etcd.kill()?;
        let refused = kubectl.fails(&["create", "configmap", "lost"])?;
        ensure!(refused.contains("rpc error: code = Unavailable desc = "), "{refused}");
        let ready = kubectl.fails(&["get", "--raw", "/readyz"])?;
        ensure!(ready.contains("watch-cache failed") || ready.contains("InternalError"), "{ready}");
        // What a cache may answer, it does.
        kubectl.ok(&["get", "--raw", "/api/v1/namespaces/outage/configmaps/before?resourceVersion=0"])?;
        etcd.start_again()?;
        kubectl.ok(&["create", "configmap", "after"])?;
        watch.wait_for(SOON, |said| said.contains("configmap/after"))?;
        kubectl.ok(&["get", "--raw", "/readyz"])?;
        kubectl.ok(&["run", "pod", "--image=busybox", "--", "sleep", "1000"])?;
        kubectl.wait_ready("pod")
    })
}

fn servers_on_one_etcd_see_each_other(_: &()) -> Result<()> {
    with_cluster(|etcd, one| {
        let beside = Options { beside: Some(one.beside()), ..on(etcd) };
        let other = Cluster::start(beside)?;
        let (here, there) =
            (one.namespace("shared")?, Kubectl::new(other.data_dir().join("admin.kubeconfig"), "shared"));
        let watch = there.stream(&["get", "configmaps", "--watch", "-o", "name"])?;
        for n in 0..10 {
            let (name, object) = (format!("n{n}"), format!("configmap/n{n}"));
            let (writer, reader) = if n % 2 == 0 { (&here, &there) } else { (&there, &here) };
            writer.ok(&["create", "configmap", &name, "--from-literal=a=1"])?;
            // At once: no read is older than a write that was acknowledged before it.
            reader.ok(&["get", &object])?;
            reader.ok(&["patch", &object, "--patch", r#"{"data":{"a":"2"}}"#])?;
            ensure!(writer.text(&object, "/data/a")? == "2", "the write of the other server");
            watch.wait_for(SOON, |said| said.contains(&object))?;
        }
        let stale = here.ok(&["get", "configmap", "n0", "-o", "yaml"])?;
        there.ok(&["patch", "configmap/n0", "--patch", r#"{"data":{"a":"3"}}"#])?;
        let refused = here.fails_with_input(&["replace", "-f", "-"], stale.as_bytes())?;
        ensure!(refused.contains("the object has been modified"), "{refused}");
        there.ok(&["delete", "configmap", "--all"])?;
        ensure!(here.ok(&["get", "configmaps", "-o", "name"])?.lines().all(|name| !name.contains("/n")));
        Ok(())
    })
}

fn one_of_several_servers_leads_and_another_takes_over(_: &()) -> Result<()> {
    let timing =
        ["lease-duration=6s", "renew-deadline=4s", "retry-period=1s"].map(|flag| format!("--leader-elect-{flag}"));
    let on = |etcd: &Etcd| Options { flags: [on(etcd).flags, timing.to_vec()].concat(), ..Options::default() };
    let etcd = Etcd::start()?;
    let one = Cluster::start(on(&etcd))?;
    let other = Cluster::start(Options { beside: Some(one.beside()), ..on(&etcd) })?;
    let told = |kubectl: &Kubectl, lease: &str, pointer: &str| {
        kubectl.in_namespace("kube-system").text(&format!("lease/{lease}"), pointer)
    };
    let (here, there) = (one.namespace("led")?, Kubectl::new(other.data_dir().join("admin.kubeconfig"), "led"));
    let pods = |kubectl: &Kubectl, count: usize| -> Result<()> {
        let deadline = Instant::now() + SOON;
        loop {
            let found = kubectl.ok(&["get", "pods", "-l", "app=web", "-o", "name"])?.lines().count();
            if found == count {
                return Ok(());
            }
            ensure!(Instant::now() < deadline, "{found} Pods, not {count}");
            thread::sleep(Duration::from_millis(100));
        }
    };
    // No node takes them: both servers have one of the same name.
    let template = serde_json::json!({
        "metadata": {"labels": {"app": "web"}},
        "spec": {"nodeSelector": {"none": "such"}, "containers": [{"name": "c", "image": "busybox"}]},
    });
    let deployment = serde_json::json!({
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web"},
        "spec": {"selector": {"matchLabels": {"app": "web"}}, "template": template},
    });
    here.apply(&deployment.to_string())?;
    pods(&here, 1)?;
    let leaders = |kubectl: &Kubectl| -> Result<Vec<String>> {
        let leases = ["kube-scheduler", "kube-controller-manager"];
        leases.iter().map(|lease| told(kubectl, lease, "/spec/holderIdentity")).collect()
    };
    let first = leaders(&here)?;
    ensure!(first.iter().all(|leader| leader.starts_with("node-1_")), "{first:?}");
    one.kill_server()?;
    let deadline = Instant::now() + SOON;
    while leaders(&there)?.iter().any(|leader| first.contains(leader)) {
        ensure!(Instant::now() < deadline, "{first:?} still lead");
        thread::sleep(Duration::from_millis(200));
    }
    there.ok(&["scale", "deployment/web", "--replicas=2"])?;
    pods(&there, 2)?;
    // One that is stopped gives the lead back, so that nobody waits for its silence to be long enough.
    one.start_server()?;
    other.stop_server()?;
    here.ok(&["scale", "deployment/web", "--replicas=3"])?;
    pods(&here, 3)?;
    let events = here.in_namespace("kube-system").ok(&["get", "events", "-o", "jsonpath={.items[*].message}"])?;
    ensure!(events.contains("became leader"), "{events}");
    Ok(())
}

fn a_server_that_starts_again_finds_everything_and_forgot_its_history(_: &()) -> Result<()> {
    with_cluster(|etcd, cluster| {
        let kubectl = cluster.namespace("again")?;
        kubectl.ok(&["create", "configmap", "kept", "--from-literal=a=1"])?;
        let old = revision(&kubectl, "configmap/kept")?;
        kubectl.ok(&["patch", "configmap/kept", "--patch", r#"{"data":{"a":"2"}}"#])?;
        let new = revision(&kubectl, "configmap/kept")?;
        cluster.stop_server()?;
        etcd.ctl(&["compaction", &new])?;
        cluster.start_server()?;
        ensure!(kubectl.text("configmap/kept", "/data/a")? == "2");
        ensure!(revision(&kubectl, "configmap/kept")? == new, "an object that nobody wrote keeps its revision");
        let watch = format!("/api/v1/namespaces/again/configmaps?watch=true&timeoutSeconds=5&resourceVersion={old}");
        let said = kubectl.run(&["get", "--raw", &watch])?.both();
        ensure!(said.contains(r#""code":410"#) && said.contains("too old resource version"), "{said}");
        Ok(())
    })
}

fn unusable_flags_are_refused(_: &()) -> Result<()> {
    let cluster = Cluster::start(Options::default())?;
    cluster.stop_server()?;
    for (flags, word) in [
        (vec!["--datastore-endpoint=127.0.0.1:2379"], "http://HOST:PORT"),
        (vec!["--datastore-endpoint=https://127.0.0.1:2379"], "--datastore-cafile"),
        (vec!["--datastore-endpoint=https://127.0.0.1:2379", "--datastore-cafile=/nowhere"], "/nowhere"),
        (vec!["--datastore-endpoint=http://127.0.0.1:1", "--datastore-certfile=/nowhere"], "--datastore-keyfile"),
    ] {
        let output = cluster.isopod(&[vec!["server"], flags.clone()].concat())?;
        let said = String::from_utf8_lossy(&output.stderr);
        ensure!(!output.status.success() && said.contains(word), "{flags:?}: {said}");
    }
    Ok(())
}

/// A command that must succeed, with what it printed.
fn isopod(cluster: &Cluster, arguments: &[&str]) -> Result<String> {
    let output = cluster.isopod(arguments)?;
    ensure!(output.status.success(), "isopod {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// A command that must fail, with what it said.
fn isopod_fails(cluster: &Cluster, arguments: &[&str]) -> Result<String> {
    let output = cluster.isopod(arguments)?;
    ensure!(!output.status.success(), "isopod {arguments:?} succeeded");
    Ok(String::from_utf8_lossy(&output.stderr).into_owned())
}

fn a_snapshot_is_taken_while_the_server_serves_and_restored_elsewhere(_: &()) -> Result<()> {
    let cluster = Cluster::start(Options::default())?;
    let kubectl = cluster.kubectl();
    kubectl.ok(&["create", "configmap", "saved", "--from-literal=a=1"])?;
    let at = revision(&kubectl, "configmap/saved")?;
    let file = cluster.scratch("snapshots")?.join("saved");
    let path = file.to_str().context("a path is text")?;
    let said = isopod(&cluster, &["snapshot", "save", path])?;
    ensure!(said.contains(" objects at revision "), "{said}");
    ensure!(fs::metadata(&file)?.permissions().mode() & 0o777 == 0o600, "only root may read secrets");
    kubectl.ok(&["create", "configmap", "lost"])?;
    let seen = revision(&kubectl, "configmap/lost")?;
    let refused = isopod_fails(&cluster, &["snapshot", "restore", path])?;
    ensure!(refused.contains("is in use by another isopod server"), "{refused}");
    cluster.stop_server()?;
    let refused = isopod_fails(&cluster, &["snapshot", "restore", path])?;
    ensure!(refused.contains("is there already"), "{refused}");
    for name in ["store.redb", "store.wal"] {
        fs::remove_file(cluster.data_dir().join(name))?;
    }
    let said = isopod(&cluster, &["snapshot", "restore", path])?;
    ensure!(said.starts_with("Restored "), "{said}");
    cluster.start_server()?;
    ensure!(revision(&kubectl, "configmap/saved")? == at, "an object keeps its revision");
    kubectl.fails(&["get", "configmap", "lost"])?;
    kubectl.ok(&["create", "configmap", "later"])?;
    ensure!(revision(&kubectl, "configmap/later")?.parse::<u64>()? > seen.parse::<u64>()?, "revisions only grow");
    let watch = format!("/api/v1/namespaces/default/configmaps?watch=true&timeoutSeconds=5&resourceVersion={seen}");
    let said = kubectl.run(&["get", "--raw", &watch])?.both();
    ensure!(said.contains(r#""code":410"#), "who saw what was lost has to list again: {said}");
    // Of a server that does not run, the files are saved.
    cluster.stop_server()?;
    isopod(&cluster, &["snapshot", "save", path])?;
    fs::write(&file, &fs::read(&file)?[..100])?;
    let refused = isopod_fails(&cluster, &["snapshot", "restore", path])?;
    ensure!(refused.contains("the snapshot is cut off"), "{refused}");
    Ok(())
}

fn a_server_on_etcd_points_to_etcdctl(_: &()) -> Result<()> {
    with_cluster(|_, cluster| {
        let refused = isopod_fails(cluster, &["snapshot", "save", "/nowhere/saved"])?;
        ensure!(refused.contains("etcdctl snapshot save"), "{refused}");
        Ok(())
    })
}

/// Bytes that a process has had written to disks.
fn written_by(pid: u32) -> Result<u64> {
    let io = fs::read_to_string(format!("/proc/{pid}/io"))?;
    let line = io.lines().find_map(|line| line.strip_prefix("write_bytes: "));
    Ok(line.context("/proc/PID/io tells of writes")?.parse()?)
}

fn an_idle_server_writes_nothing(_: &()) -> Result<()> {
    let cluster = Cluster::start(Options::default())?;
    let kubectl = cluster.kubectl();
    kubectl.ok(&["wait", "--for=create", "serviceaccount/default", "--timeout=20s"])?;
    kubectl.ok(&["run", "pod", "--image=busybox", "--", "sleep", "1000"])?;
    kubectl.wait_ready("pod")?;
    let pid = cluster.server_pid()?;
    // Controllers and caches come to rest first; a minute without a write must follow within three.
    let deadline = Instant::now() + Duration::from_secs(180);
    let (mut quiet_since, mut written) = (Instant::now(), written_by(pid)?);
    while quiet_since.elapsed() < Duration::from_secs(60) {
        thread::sleep(Duration::from_secs(1));
        let now = written_by(pid)?;
        if now != written {
            (quiet_since, written) = (Instant::now(), now);
        }
        ensure!(Instant::now() < deadline, "it went on writing, {written} bytes in all");
    }
    Ok(())
}
