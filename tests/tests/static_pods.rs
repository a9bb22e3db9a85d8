//! Static Pods: run from files, mirrored in the API, and only their files end them.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, TcpListener};
use std::path::PathBuf;
use std::process::ExitCode;
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;
use tempfile::TempDir;
use tests::{Cluster, Kubectl, Options, cases, host, suite};

const SOON: Duration = Duration::from_secs(30);
/// A broken file's Pod ends with the next rescan.
const RESCAN: Duration = Duration::from_secs(45);

fn main() -> ExitCode {
    let cases = cases![
        a_file_becomes_a_pod_with_a_mirror,
        a_deleted_mirror_comes_back_and_nothing_stops,
        a_mirror_stays_one,
        a_changed_file_replaces_the_pod,
        a_process_that_dies_is_started_again,
        a_removed_file_ends_the_pod_with_its_grace_period,
        a_broken_file_is_reported_and_ends_its_pod_only,
        a_url_serves_pods,
        a_restarted_server_takes_over,
    ];
    suite::run(Node::start, cases, |node| node.cluster.diagnose())
}

/// A cluster with static Pods.
struct Node {
    cluster: Cluster,
    manifests: TempDir,
}

impl Node {
    fn start() -> Result<Self> {
        let manifests = tempfile::Builder::new().prefix("isopod-static-").tempdir()?;
        fs::write(manifests.path().join("first.yaml"), manifest("first", "echo first; exec sleep 1001"))?;
        fs::write(manifests.path().join(".hidden.yaml"), manifest("hidden", "exec sleep 1002"))?;
        let flags = vec![
            format!("--pod-manifest-path={}", manifests.path().display()),
            format!("--manifest-url=http://127.0.0.1:{}/pods", serve_manifest()?),
            "--manifest-url-header=X-Node:one".to_owned(),
        ];
        Ok(Self { cluster: Cluster::start(Options { flags, ..Options::default() })?, manifests })
    }

    fn kubectl(&self) -> Kubectl {
        self.cluster.kubectl()
    }

    fn path(&self, name: &str) -> PathBuf {
        self.manifests.path().join(format!("{name}.yaml"))
    }

    fn write(&self, name: &str, text: &str) -> Result<()> {
        fs::write(self.path(name), text).with_context(|| format!("writing the manifest {name}"))
    }

    /// Writes a manifest and waits for its Pod.
    fn run(&self, name: &str, script: &str) -> Result<String> {
        self.write(name, &manifest(name, script))?;
        self.wait_ready(name)
    }

    /// Waits for a mirror and answers its name.
    fn wait_ready(&self, name: &str) -> Result<String> {
        let mirror = format!("{name}-node-1");
        self.kubectl().ok(&["wait", "--for=create", &format!("pod/{mirror}"), "--timeout=60s"])?;
        self.kubectl().wait_ready(&mirror)?;
        Ok(format!("pod/{mirror}"))
    }

    fn wait_gone(&self, mirror: &str) -> Result<()> {
        self.kubectl().ok(&["wait", "--for=delete", mirror, "--timeout=60s"]).map(drop)
    }
}

fn manifest(name: &str, script: &str) -> String {
    format!(
        "apiVersion: v1\nkind: Pod\nmetadata: {{name: {name}, labels: {{role: static}}}}\nspec:\n  \
         terminationGracePeriodSeconds: 20\n  containers:\n  - name: app\n    image: busybox\n    \
         imagePullPolicy: IfNotPresent\n    command: [sh, -c, {script:?}]\n"
    )
}

/// The ids of processes with an argument that only one container has.
fn pids(marker: &str) -> Result<Vec<u32>> {
    let ours = |process: &host::Process| process.command == marker;
    Ok(host::running()?.into_iter().filter(ours).map(|process| process.pid).collect())
}

/// Serves one Pod to whoever sends the header that it is told to; runs until the process ends.
fn serve_manifest() -> Result<u16> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let port = listener.local_addr()?.port();
    thread::spawn(move || {
        for connection in listener.incoming() {
            let Ok(mut connection) = connection else { return };
            let mut request = [0; 4096];
            let count = connection.read(&mut request).unwrap_or(0);
            let request = String::from_utf8_lossy(&request[..count]).to_lowercase();
            let fits = request.starts_with("get /pods http/1.1\r\n") && request.contains("\r\nx-node: one\r\n");
            let (status, body) = match fits {
                true => ("200 OK", manifest("served", "exec sleep 1003")),
                false => ("403 Forbidden", String::new()),
            };
            let head = format!("HTTP/1.1 {status}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n", body.len());
            // Whoever does not wait for the answer asks again.
            let _ = connection.write_all(format!("{head}{body}").as_bytes());
        }
    });
    Ok(port)
}

fn a_file_becomes_a_pod_with_a_mirror(node: &Node) -> Result<()> {
    let kubectl = node.kubectl();
    let mirror = node.wait_ready("first")?;
    let object: Value = serde_json::from_str(&kubectl.ok(&["get", &mirror, "-o", "json"])?)?;
    let annotation = |name: &str| object["metadata"]["annotations"][format!("kubernetes.io/config.{name}")].clone();
    ensure!(annotation("source") == "file" && annotation("seen").is_string(), "{object}");
    ensure!(annotation("mirror") == annotation("hash") && annotation("hash") != object["metadata"]["uid"], "{object}");
    let owner = &object["metadata"]["ownerReferences"][0];
    ensure!(owner["kind"] == "Node" && owner["name"] == "node-1" && owner["controller"] == true, "{object}");
    ensure!(owner["uid"] == kubectl.text("node/node-1", "/metadata/uid")?, "{object}");
    ensure!(
        object["spec"]["serviceAccountName"] == Value::Null && object["spec"]["volumes"] == Value::Null,
        "{object}"
    );
    ensure!(object["spec"]["tolerations"].to_string().contains("NoExecute"), "{object}");
    let logs = kubectl.ok(&["logs", &mirror])?;
    ensure!(logs.trim() == "first", "{logs}");
    let said = kubectl.ok(&["exec", &mirror, "--", "echo", "inside"])?;
    ensure!(said.trim() == "inside", "{said}");
    let described = kubectl.ok(&["describe", &mirror])?;
    ensure!(described.contains("Started container app") || described.contains("Container started"), "{described}");
    ensure!(kubectl.run(&["get", "pod/hidden-node-1"])?.code != Some(0), "a hidden file is no manifest");
    let elsewhere = node.cluster.scratch("elsewhere")?.join("linked.yaml");
    fs::write(&elsewhere, manifest("linked", "exec sleep 1004"))?;
    std::os::unix::fs::symlink(&elsewhere, node.path("linked"))?;
    node.wait_ready("linked")?;
    Ok(())
}

fn a_deleted_mirror_comes_back_and_nothing_stops(node: &Node) -> Result<()> {
    let kubectl = node.kubectl();
    let mirror = node.run("lasting", "exec sleep 2001")?;
    let before = pids("sleep 2001")?;
    for delete in [&["delete", &mirror][..], &["delete", &mirror, "--grace-period=0", "--force"]] {
        let uid = kubectl.text(&mirror, "/metadata/uid")?;
        let address = kubectl.text(&mirror, "/status/podIP")?;
        kubectl.ok(delete)?;
        kubectl.ok(&["wait", "--for=create", &mirror, "--timeout=30s"])?;
        kubectl.wait_ready("lasting-node-1")?;
        ensure!(kubectl.text(&mirror, "/metadata/uid")? != uid, "another object");
        ensure!(kubectl.text(&mirror, "/status/podIP")? == address, "the same Pod");
    }
    let after = pids("sleep 2001")?;
    ensure!(before.len() == 1 && before == after, "{before:?} {after:?}");
    ensure!(kubectl.value(&mirror, "/status/containerStatuses/0/restartCount")? == 0);
    Ok(())
}

fn a_mirror_stays_one(node: &Node) -> Result<()> {
    let kubectl = node.kubectl();
    let mirror = node.run("guarded", "exec sleep 2002")?;
    let error = kubectl.fails(&["annotate", &mirror, "kubernetes.io/config.mirror-"])?;
    ensure!(error.contains("may not remove or update mirror pod annotation"), "{error}");
    let error = kubectl.fails(&["set", "image", &mirror, "app=busybox:none"]).or_else(|_| {
        // Upstream lets the image of the object change, and only of the object.
        thread::sleep(Duration::from_millis(500));
        ensure!(pids("sleep 2002")?.len() == 1, "the container did not stop");
        Ok::<_, anyhow::Error>(String::new())
    })?;
    ensure!(error.is_empty() || error.contains("Forbidden"), "{error}");
    let patch = r#"{"spec":{"activeDeadlineSeconds":1}}"#;
    kubectl.run(&["patch", &mirror, "-p", patch])?;
    thread::sleep(Duration::from_millis(1500));
    ensure!(pids("sleep 2002")?.len() == 1, "what the mirror says is not what runs");
    Ok(())
}

fn a_changed_file_replaces_the_pod(node: &Node) -> Result<()> {
    let kubectl = node.kubectl();
    let mirror = node.run("changing", "exec sleep 2003")?;
    let hash = "/metadata/annotations/kubernetes.io~1config.hash";
    let before = kubectl.text(&mirror, hash)?;
    node.write("changing", &manifest("changing", "exec sleep 2004"))?;
    kubectl.wait_value_of_new(&mirror, hash, |value| value.as_str().is_some_and(|value| value != before))?;
    kubectl.wait_ready("changing-node-1")?;
    ensure!(pids("sleep 2003")?.is_empty(), "the former has ended before");
    ensure!(pids("sleep 2004")?.len() == 1);
    Ok(())
}

fn a_process_that_dies_is_started_again(node: &Node) -> Result<()> {
    let mirror = node.run("dying", "sleep 2005; true")?;
    let pid = *pids("sleep 2005")?.first().context("runs")?;
    let pid = rustix::process::Pid::from_raw(i32::try_from(pid)?).context("a PID")?;
    rustix::process::kill_process(pid, rustix::process::Signal::KILL)?;
    let restarts = "/status/containerStatuses/0/restartCount";
    node.kubectl().wait_value(&mirror, restarts, SOON, |count| *count == 1)?;
    Ok(())
}

fn a_removed_file_ends_the_pod_with_its_grace_period(node: &Node) -> Result<()> {
    let (directory, script) = (node.cluster.scratch("ended")?, "trap 'echo gracefully > /out/end; exit' TERM; ");
    let script = format!("{script}while true; do sleep 0.1; done");
    let volume = format!(
        "    volumeMounts: [{{name: out, mountPath: /out}}]\n  volumes:\n  - name: out\n    hostPath: {{path: {:?}}}\n",
        directory.display().to_string()
    );
    node.write("ending", &(manifest("ending", &script) + &volume))?;
    let mirror = node.wait_ready("ending")?;
    fs::remove_file(node.path("ending"))?;
    node.wait_gone(&mirror)?;
    let end = fs::read_to_string(directory.join("end"))?;
    ensure!(end.trim() == "gracefully", "{end}");
    Ok(())
}

fn a_broken_file_is_reported_and_ends_its_pod_only(node: &Node) -> Result<()> {
    let kubectl = node.kubectl();
    node.write("secretive", &(manifest("secretive", "true") + "  serviceAccountName: default\n"))?;
    node.write("kindless", &manifest("kindless", "true").replace("kind: Pod\n", ""))?;
    node.write("list", "apiVersion: v1\nkind: PodList\nitems: []\n")?;
    let mirror = node.run("breaking", "exec sleep 2006")?;
    let events = |word: &str| kubectl.wait_events("involvedObject.kind=Node", word);
    events("kindless.yaml: couldn't parse as pod(Object 'Kind' is missing")?;
    events("list.yaml: couldn't parse as pod(")?;
    events("secretive.yaml: static pods may not reference serviceaccounts")?;
    node.write("breaking", &manifest("breaking", "true").replace("image: busybox", "image: ''"))?;
    events("breaking.yaml: invalid pod: [spec.containers[0].image: Required value")?;
    kubectl.ok(&["wait", "--for=delete", &mirror, &format!("--timeout={}s", RESCAN.as_secs())])?;
    node.wait_ready("first")?;
    Ok(())
}

fn a_url_serves_pods(node: &Node) -> Result<()> {
    let mirror = node.wait_ready("served")?;
    let source = node.kubectl().text(&mirror, "/metadata/annotations/kubernetes.io~1config.source")?;
    ensure!(source == "http", "{source}");
    Ok(())
}

/// Runs on a cluster of its own: the others need theirs.
fn a_restarted_server_takes_over(_: &Node) -> Result<()> {
    let node = Node::start()?;
    let check = || -> Result<()> {
        let mirror = node.run("staying", "exec sleep 2007")?;
        let uid = node.kubectl().text(&mirror, "/metadata/uid")?;
        node.run("leaving", "exec sleep 2008")?;
        let altered = node.run("altered", "exec sleep 2009")?;
        let hash = "/metadata/annotations/kubernetes.io~1config.hash";
        let old = node.kubectl().text(&altered, hash)?;
        let before = pids("sleep 2007")?;
        node.cluster.kill_server()?;
        fs::remove_file(node.path("leaving"))?;
        node.write("altered", &manifest("altered", "exec sleep 2010"))?;
        node.cluster.start_server()?;
        node.wait_gone("pod/leaving-node-1")?;
        node.kubectl().wait_value_of_new(&altered, hash, |value| value.as_str().is_some_and(|value| value != old))?;
        node.wait_ready("altered")?;
        ensure!(pids("sleep 2009")?.is_empty() && pids("sleep 2010")?.len() == 1, "one after the other");
        node.wait_ready("staying")?;
        let after = pids("sleep 2007")?;
        ensure!(before.len() == 1 && before == after, "{before:?} {after:?}");
        ensure!(pids("sleep 2008")?.is_empty());
        ensure!(node.kubectl().text(&mirror, "/metadata/uid")? == uid, "the same mirror");
        Ok(())
    };
    check().map_err(|error| error.context(node.cluster.diagnose()))
}

/// Waiting for what `kubectl wait` cannot say.
trait Waiting {
    fn wait_value_of_new(&self, object: &str, pointer: &str, fits: impl Fn(&Value) -> bool) -> Result<()>;
    fn wait_events(&self, selector: &str, word: &str) -> Result<()>;
}

impl Waiting for Kubectl {
    /// As `wait_value`, for an object that may be away for a moment.
    fn wait_value_of_new(&self, object: &str, pointer: &str, fits: impl Fn(&Value) -> bool) -> Result<()> {
        retry(|| self.value(object, pointer).is_ok_and(|value| fits(&value)), || format!("{object} {pointer}"))
    }

    fn wait_events(&self, selector: &str, word: &str) -> Result<()> {
        let get = || {
            let selector = format!("--field-selector={selector}");
            self.ok(&["get", "events", "-A", &selector, "-o", "jsonpath={.items[*].message}"]).unwrap_or_default()
        };
        retry(|| get().contains(word), || format!("{word:?} in {}", get()))
    }
}

fn retry(done: impl Fn() -> bool, what: impl Fn() -> String) -> Result<()> {
    let deadline = std::time::Instant::now() + SOON;
    while !done() {
        ensure!(std::time::Instant::now() < deadline, "not seen within {SOON:?}: {}", what());
        thread::sleep(Duration::from_millis(100));
    }
    Ok(())
}
