//! The example manifests do what they say.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::process::ExitCode;
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use tests::{Cluster, Kubectl, Options, cases, suite};

const SOON: Duration = Duration::from_secs(30);

fn main() -> ExitCode {
    let cases = cases![
        containers_share_a_volume_and_serve_a_page,
        killed_process_restarts_and_keeps_the_volume,
        ids_and_groups_are_as_written,
        quality_of_service_classes_and_limits,
        bad_metadata_is_refused,
        node_selector_waits_for_the_label,
        host_path_is_shared_with_the_host,
        host_aliases_are_in_the_hosts_file,
        lifecycle_hooks_run,
        init_container_brings_the_application,
        sidecar_ships_the_log,
        host_port_answers_on_the_host,
        myapp_answers,
    ];
    suite::run(|| Cluster::start(Options::default()), cases, Cluster::diagnose)
}

/// Fetches a page from a Pod, as anything on the node can.
fn fetch(address: &str, path: &str) -> Result<String> {
    fetch_from(address, 80, path)
}

fn fetch_from(address: &str, port: u16, path: &str) -> Result<String> {
    let mut connection = TcpStream::connect((address, port)).with_context(|| format!("connecting to {address}"))?;
    connection.set_read_timeout(Some(SOON))?;
    write!(connection, "GET {path} HTTP/1.0\r\nHost: {address}\r\n\r\n")?;
    let mut answer = String::new();
    connection.read_to_string(&mut answer)?;
    ensure!(answer.starts_with("HTTP/1.1 200"), "{address}{path}: {answer}");
    Ok(answer.split_once("\r\n\r\n").context("a body")?.1.to_owned())
}

fn pod_ip(kubectl: &Kubectl, pod: &str) -> Result<String> {
    kubectl.text(&format!("pod/{pod}"), "/status/podIP")
}

/// The value of a cgroup file inside a container, by its name in version 1 and 2.
fn cgroup(kubectl: &Kubectl, pod: &str, v1: &str, v2: &str) -> Result<String> {
    let script = format!("cat /sys/fs/cgroup/{v1} 2>/dev/null || cat /sys/fs/cgroup/{v2}");
    Ok(kubectl.ok(&["exec", pod, "--", "sh", "-c", &script])?.trim().to_owned())
}

fn containers_share_a_volume_and_serve_a_page(cluster: &Cluster) -> Result<()> {
    let kubectl = cluster.namespace("shared-volume")?;
    kubectl.apply(&cluster.example("two-containers-one-volume.yaml")?)?;
    kubectl.wait_ready("mc1")?;
    let address = pod_ip(&kubectl, "mc1")?;
    sleep(Duration::from_secs(1));
    let first = fetch(&address, "/")?;
    sleep(Duration::from_millis(2100));
    let second = fetch(&address, "/")?;
    ensure!(second.starts_with(&first) && second.len() > first.len(), "the date does not move: {first} {second}");
    let seen = kubectl.ok(&["exec", "mc1", "-c", "1st", "--", "cat", "/usr/share/nginx/html/index.html"])?;
    ensure!(seen.starts_with(&first), "{seen}");
    let page =
        kubectl.ok(&["exec", "mc1", "-c", "2nd", "--", "bash", "-c", "exec 3<>/dev/tcp/127.0.0.1/80 && echo ok"])?;
    ensure!(page == "ok\n", "the containers share their loopback");
    Ok(())
}

fn killed_process_restarts_and_keeps_the_volume(cluster: &Cluster) -> Result<()> {
    let kubectl = cluster.namespace("redis")?;
    kubectl.apply(&cluster.example("redis-emptydir.yaml")?)?;
    kubectl.wait_ready("redis")?;
    let watch = kubectl.stream(&["get", "pod", "redis", "-w"])?;
    kubectl.ok(&["exec", "redis", "--", "sh", "-c", "echo Hello > /data/redis/test-file"])?;
    let processes = kubectl.ok(&["exec", "redis", "--", "ps", "aux"])?;
    let redis = processes.lines().find(|line| line.contains("redis-server")).context("redis is running")?;
    let pid = redis.split_whitespace().nth(1).context("a PID")?;
    // The connection ends with the container.
    kubectl.run(&["exec", "redis", "--", "bash", "-c", &format!("kill {pid}")])?;
    kubectl.wait_value("pod/redis", "/status/containerStatuses/0/restartCount", SOON, |count| *count == 1)?;
    kubectl.wait_ready("redis")?;
    let file = kubectl.ok(&["exec", "redis", "--", "cat", "/data/redis/test-file"])?;
    ensure!(file == "Hello\n", "{file}");
    let restarted = |line: &str| line.contains("Running") && line.split_whitespace().nth(3) == Some("1");
    watch.wait_for(SOON, |text| text.lines().any(restarted))?;
    let listed = kubectl.ok(&["get", "pod", "redis", "--no-headers"])?;
    ensure!(listed.split_whitespace().nth(3) == Some("1"), "{listed}");
    Ok(())
}

fn ids_and_groups_are_as_written(cluster: &Cluster) -> Result<()> {
    let kubectl = cluster.namespace("ids")?;
    kubectl.apply(&cluster.example("security-context.yaml")?)?;
    kubectl.wait_ready("security-context-demo")?;
    let shell = |script: &str| kubectl.ok(&["exec", "security-context-demo", "--", "sh", "-c", script]);
    let ids = shell("id -u; id -g; id -G")?;
    let mut lines = ids.lines();
    ensure!(lines.next() == Some("1000") && lines.next() == Some("3000"), "{ids}");
    ensure!(lines.next().is_some_and(|groups| groups.split(' ').any(|group| group == "2000")), "{ids}");
    let owners = shell("cd /data/demo && echo hello > testfile && stat -c '%u:%g' . testfile")?;
    ensure!(owners == "0:2000\n1000:2000\n", "{owners}");
    let status = shell("grep -E 'NoNewPrivs|CapEff|Seccomp:' /proc/self/status")?;
    ensure!(status.contains("NoNewPrivs:\t1") && status.contains("CapEff:\t0000000000000000"), "{status}");
    ensure!(status.contains("Seccomp:"), "{status}");
    Ok(())
}

fn quality_of_service_classes_and_limits(cluster: &Cluster) -> Result<()> {
    let kubectl = cluster.namespace("qos-example")?;
    let pods = [("guaranteed", "qos-demo"), ("burstable", "qos-demo-2"), ("best-effort", "qos-demo-3")];
    for (class, _) in pods {
        kubectl.apply(&cluster.example(&format!("qos-{class}.yaml"))?)?;
    }
    for ((_, pod), class) in pods.iter().zip(["Guaranteed", "Burstable", "BestEffort"]) {
        kubectl.wait_ready(pod)?;
        let actual = kubectl.text(&format!("pod/{pod}"), "/status/qosClass")?;
        ensure!(actual == class, "{pod}: {actual}");
    }
    for pod in ["qos-demo", "qos-demo-2"] {
        let memory = cgroup(&kubectl, pod, "memory/memory.limit_in_bytes", "memory.max")?;
        ensure!(memory == (200 << 20).to_string(), "{pod}: {memory}");
    }
    let cpu = cgroup(&kubectl, "qos-demo", "cpu/cpu.cfs_quota_us", "cpu.max")?;
    ensure!(cpu == "70000" || cpu == "70000 100000", "{cpu}");
    let unlimited = cgroup(&kubectl, "qos-demo-3", "cpu/cpu.cfs_quota_us", "cpu.max")?;
    ensure!(unlimited == "-1" || unlimited.starts_with("max"), "{unlimited}");
    Ok(())
}

fn bad_metadata_is_refused(cluster: &Cluster) -> Result<()> {
    let kubectl = cluster.namespace("bad-metadata")?;
    let manifest = cluster.example("bad-metadata.yaml")?;
    let error = kubectl.fails_with_input(&["apply", "-f", "-"], manifest.as_bytes())?;
    ensure!(error.contains("metadata"), "{error}");
    let error = kubectl.fails_with_input(&["create", "--validate=ignore", "-f", "-"], manifest.as_bytes())?;
    ensure!(error.contains("metadata"), "{error}");
    let pods = kubectl.ok(&["get", "pods", "-o", "name"])?;
    ensure!(pods.is_empty(), "{pods}");
    Ok(())
}

fn node_selector_waits_for_the_label(cluster: &Cluster) -> Result<()> {
    let kubectl = cluster.namespace("node-selector")?;
    // With the image here, what is left is what the label triggers.
    kubectl.ok(&["run", "warm", "--image=busybox", "--", "sleep", "3600"])?;
    kubectl.wait_ready("warm")?;
    kubectl.apply(&cluster.example("node-selector.yaml")?)?;
    let message = kubectl.wait_value("pod/on-ssd", "/status/conditions/0/message", SOON, |value| value.is_string())?;
    let message = message.as_str().unwrap_or_default();
    ensure!(
        message.starts_with("0/1 nodes are available: 1 node(s) didn't match Pod's node affinity/selector."),
        "{message}"
    );
    ensure!(kubectl.text("pod/on-ssd", "/status/phase")? == "Pending");
    let events = kubectl.ok(&["get", "events", "--field-selector=involvedObject.name=on-ssd"])?;
    ensure!(events.contains("FailedScheduling") && events.contains("0/1 nodes are available"), "{events}");
    let watch = kubectl.stream(&["get", "pod", "on-ssd", "-w"])?;
    watch.wait_for(SOON, |text| text.contains("Pending"))?;
    kubectl.ok(&["label", "node", "node-1", "disktype=ssd"])?;
    let labelled = Instant::now();
    watch.wait_for(SOON, |text| text.contains("Running"))?;
    println!("     on-ssd ran {} ms after the label", labelled.elapsed().as_millis());
    // A runtime without events is seen to have started something a second later.
    let soon = Duration::from_secs(if cluster.uses_containerd() { 5 } else { 1 });
    ensure!(labelled.elapsed() < soon, "the label wakes the scheduler, no timer does");
    kubectl.ok(&["label", "node", "node-1", "disktype-"])?;
    Ok(())
}

fn host_path_is_shared_with_the_host(cluster: &Cluster) -> Result<()> {
    let kubectl = cluster.namespace("host-path")?;
    // Not the /var/tmp that the manifest names: a test leaves nothing there.
    let directory = cluster.scratch("host-path")?;
    let path = directory.to_str().context("text")?;
    kubectl.apply(&cluster.example("two-containers-host-path.yaml")?.replace("/var/tmp", path))?;
    kubectl.wait_ready("two-containers")?;
    let address = pod_ip(&kubectl, "two-containers")?;
    let deadline = Instant::now() + SOON;
    while !directory.join("index.html").exists() && Instant::now() < deadline {
        sleep(Duration::from_millis(50));
    }
    ensure!(fetch(&address, "/")? == "Hello from the debian container\n");
    ensure!(std::fs::read_to_string(directory.join("index.html"))? == "Hello from the debian container\n");
    Ok(())
}

fn host_aliases_are_in_the_hosts_file(cluster: &Cluster) -> Result<()> {
    let kubectl = cluster.namespace("host-aliases")?;
    kubectl.apply(&cluster.example("host-aliases.yaml")?)?;
    kubectl.wait_ready("host-aliases")?;
    let hosts = kubectl.ok(&["logs", "host-aliases"])?;
    ensure!(hosts.contains("10.1.2.3\tfoo.remote\tbar.remote"), "{hosts}");
    ensure!(hosts.contains("127.0.0.1\tlocalhost"), "{hosts}");
    let address = pod_ip(&kubectl, "host-aliases")?;
    ensure!(hosts.contains(&format!("{address}\thost-aliases")), "{hosts}");
    let hostname = kubectl.ok(&["exec", "host-aliases", "--", "hostname"])?;
    ensure!(hostname == "host-aliases\n", "{hostname}");
    Ok(())
}

fn lifecycle_hooks_run(cluster: &Cluster) -> Result<()> {
    let kubectl = cluster.namespace("hooks")?;
    kubectl.apply(&cluster.example("lifecycle-hooks.yaml")?)?;
    kubectl.wait_ready("lifecycle-demo")?;
    let message = kubectl.ok(&["exec", "lifecycle-demo", "--", "cat", "/usr/share/message"])?;
    ensure!(message == "Hello from the postStart handler\n", "{message}");
    let started = Instant::now();
    kubectl.ok(&["delete", "pod", "lifecycle-demo"])?;
    ensure!(started.elapsed() < Duration::from_secs(20), "the hook ends nginx before the grace period does");
    Ok(())
}

fn init_container_brings_the_application(cluster: &Cluster) -> Result<()> {
    let kubectl = cluster.namespace("war")?;
    kubectl.apply(&cluster.example("war-and-web-server.yaml")?)?;
    kubectl.wait_ready("javaweb")?;
    let expected = "Deploying web application archive [/usr/local/tomcat/webapps/sample.war]\n";
    let limit = format!("--limit-bytes={}", expected.len());
    let log = kubectl.ok(&["logs", "javaweb", "-c", "tomcat", "--follow", &limit])?;
    ensure!(log == expected, "the application is there when the server starts, which says: {log}");
    let page = kubectl.ok(&["exec", "javaweb", "-c", "tomcat", "--", "cat", "/usr/local/tomcat/webapps/sample.war"])?;
    ensure!(page == "the application\n", "{page}");
    Ok(())
}

fn sidecar_ships_the_log(cluster: &Cluster) -> Result<()> {
    let kubectl = cluster.namespace("sidecar")?;
    kubectl.apply(&cluster.example("log-sidecar.yaml")?)?;
    kubectl.wait_ready("log-sidecar")?;
    let shipped = kubectl.stream(&["logs", "log-sidecar", "-c", "shipper", "--follow"])?;
    shipped.wait_for(SOON, |text| text.contains("line 1\nline 2\n"))?;
    Ok(())
}

fn host_port_answers_on_the_host(cluster: &Cluster) -> Result<()> {
    let kubectl = cluster.namespace("host-port")?;
    kubectl.apply(&cluster.example("host-port.yaml")?)?;
    kubectl.wait_ready("pod-tomcat")?;
    let page = fetch_from("127.0.0.1", 8888, "/")?;
    ensure!(page == "No applications are deployed here.\n", "{page}");
    kubectl.ok(&["delete", "pod", "pod-tomcat"])?;
    ensure!(fetch_from("127.0.0.1", 8888, "/").is_err(), "the port is free again");
    Ok(())
}

fn myapp_answers(cluster: &Cluster) -> Result<()> {
    let kubectl = cluster.namespace("myapp")?;
    kubectl.ok(&["run", "myapp", "--image=ikubernetes/myapp:v1", "--port=80"])?;
    kubectl.ok(&["run", "old-nginx", "--image=nginx:1.8"])?;
    kubectl.wait_ready("myapp")?;
    kubectl.wait_ready("old-nginx")?;
    let address = pod_ip(&kubectl, "myapp")?;
    let page = fetch(&address, "/")?;
    ensure!(page == "Hello MyApp | Version: v1 | <a href=\"hostname.html\">Pod Name</a>\n", "{page}");
    ensure!(fetch(&address, "/hostname.html")? == "myapp\n");
    ensure!(fetch(&pod_ip(&kubectl, "old-nginx")?, "/")?.contains("Welcome to nginx!"));
    Ok(())
}
