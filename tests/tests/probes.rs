//! Probes: what they ask, what follows, and what users are told.

use std::process::ExitCode;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Result, bail, ensure};
use tests::health_server::HealthServer;
use tests::{Cluster, Kubectl, Options, cases, suite};

const SOON: Duration = Duration::from_secs(60);
const RESTARTS: &str = "/status/containerStatuses/0/restartCount";

fn main() -> ExitCode {
    let cases = cases![
        readiness_follows_its_command,
        a_container_that_fails_its_liveness_probe_is_restarted,
        the_probes_own_grace_period_counts,
        a_startup_probe_holds_back_the_others,
        a_container_that_never_starts_is_restarted,
        failures_are_told_in_upstreams_words,
        a_grpc_server_says_how_it_is,
        a_request_can_go_elsewhere_and_over_tls,
        redirects_elsewhere_are_a_warning,
        readiness_gates_hold_back_ready,
        an_ending_pod_leaves_ready,
        a_sidecars_readiness_counts,
    ];
    suite::run(|| Cluster::start(Options::default()), cases, Cluster::diagnose)
}

/// A Pod of one busybox container; `probes` is the rest of the container.
fn pod(name: &str, script: &str, probes: &str) -> String {
    format!(
        "apiVersion: v1\nkind: Pod\nmetadata: {{name: {name}}}\nspec:\n  terminationGracePeriodSeconds: 1\n  \
         containers:\n  - name: app\n    image: busybox\n    command: [sh, -c, {script:?}]\n{probes}"
    )
}

fn nginx(name: &str, probes: &str) -> String {
    format!(
        "apiVersion: v1\nkind: Pod\nmetadata: {{name: {name}}}\nspec:\n  terminationGracePeriodSeconds: 1\n  \
         containers:\n  - name: app\n    image: nginx\n    ports: [{{name: web, containerPort: 80}}]\n{probes}"
    )
}

fn wait_condition(kubectl: &Kubectl, pod: &str, condition: &str) -> Result<()> {
    let name = format!("pod/{pod}");
    let output = kubectl.run(&["wait", &format!("--for=condition={condition}"), &name, "--timeout=60s"])?;
    ensure!(output.code == Some(0), "{}{}", output.both(), kubectl.run(&["describe", &name])?.both());
    Ok(())
}

fn wait_event(kubectl: &Kubectl, reason: &str, words: &[&str]) -> Result<String> {
    let deadline = Instant::now() + SOON;
    loop {
        let selector = format!("--field-selector=reason={reason}");
        let all =
            kubectl.ok(&["get", "events", &selector, "-o", "jsonpath={range .items[*]}{.message}{\"\\n\"}{end}"])?;
        if let Some(line) = all.lines().find(|line| words.iter().all(|word| line.contains(word))) {
            return Ok(line.to_owned());
        }
        if Instant::now() > deadline {
            bail!("no {reason} with {words:?} in\n{}", kubectl.run(&["get", "events"])?.both());
        }
        thread::sleep(Duration::from_millis(100));
    }
}

fn readiness_follows_its_command(cluster: &Cluster) -> Result<()> {
    let kubectl = cluster.namespace("readiness")?;
    let probe = "    readinessProbe:\n      exec: {command: [cat, /tmp/ready]}\n      periodSeconds: 1\n      failureThreshold: 1\n";
    kubectl.apply(&pod("it", "exec sleep 1000", probe))?;
    wait_event(&kubectl, "Unhealthy", &["Readiness probe failed: ", "can't open '/tmp/ready'"])?;
    ensure!(kubectl.value("pod/it", "/status/containerStatuses/0/ready")? == false);
    ensure!(kubectl.value("pod/it", "/status/containerStatuses/0/started")? == true);
    kubectl.ok(&["exec", "it", "--", "touch", "/tmp/ready"])?;
    wait_condition(&kubectl, "it", "Ready")?;
    wait_condition(&kubectl, "it", "ContainersReady")?;
    kubectl.ok(&["exec", "it", "--", "rm", "/tmp/ready"])?;
    wait_condition(&kubectl, "it", "Ready=False")?;
    let conditions = kubectl.value("pod/it", "/status/conditions")?.to_string();
    ensure!(conditions.contains("containers with unready status: [app]"), "{conditions}");
    ensure!(kubectl.value("pod/it", RESTARTS)? == 0);
    Ok(())
}

fn a_container_that_fails_its_liveness_probe_is_restarted(cluster: &Cluster) -> Result<()> {
    let kubectl = cluster.namespace("liveness")?;
    let probe = "    livenessProbe:\n      httpGet: {path: /nowhere, port: web}\n      periodSeconds: 1\n      failureThreshold: 2\n      initialDelaySeconds: 1\n";
    kubectl.apply(&nginx("it", probe))?;
    kubectl.wait_value("pod/it", RESTARTS, SOON, |count| count.as_i64() > Some(0))?;
    wait_event(&kubectl, "Unhealthy", &["Liveness probe failed: HTTP probe failed with statuscode: 404"])?;
    wait_event(&kubectl, "Killing", &["Container app failed liveness probe, will be restarted"])?;
    Ok(())
}

fn the_probes_own_grace_period_counts(cluster: &Cluster) -> Result<()> {
    let kubectl = cluster.namespace("probe-grace")?;
    let probe = "    livenessProbe:\n      exec: {command: ['false']}\n      periodSeconds: 1\n      failureThreshold: 1\n      terminationGracePeriodSeconds: 1\n";
    let deaf = pod("it", "trap '' TERM; while true; do sleep 1; done", probe);
    kubectl.apply(&deaf.replace(
        "terminationGracePeriodSeconds: 1\n  containers",
        "terminationGracePeriodSeconds: 300\n  containers",
    ))?;
    kubectl.wait_value("pod/it", RESTARTS, SOON, |count| count.as_i64() > Some(0))?;
    kubectl.ok(&["delete", "pod/it", "--grace-period=1"])?;
    Ok(())
}

fn a_startup_probe_holds_back_the_others(cluster: &Cluster) -> Result<()> {
    let kubectl = cluster.namespace("startup")?;
    let probes = "    startupProbe:\n      exec: {command: [cat, /tmp/started]}\n      periodSeconds: 1\n      failureThreshold: 60\n    \
                  livenessProbe:\n      exec: {command: [cat, /tmp/started]}\n      periodSeconds: 1\n      failureThreshold: 1\n    \
                  readinessProbe:\n      exec: {command: ['true']}\n      periodSeconds: 1\n";
    kubectl.apply(&pod("it", "exec sleep 1000", probes))?;
    wait_event(&kubectl, "Unhealthy", &["Startup probe failed: "])?;
    kubectl.wait_value("pod/it", "/status/containerStatuses/0/started", SOON, |started| *started == false)?;
    kubectl.ok(&["exec", "it", "--", "touch", "/tmp/started"])?;
    kubectl.wait_ready("it")?;
    ensure!(kubectl.value("pod/it", "/status/containerStatuses/0/started")? == true);
    ensure!(kubectl.value("pod/it", RESTARTS)? == 0, "liveness was not asked before");
    Ok(())
}

fn a_container_that_never_starts_is_restarted(cluster: &Cluster) -> Result<()> {
    let kubectl = cluster.namespace("startup-failure")?;
    let probe = "    startupProbe:\n      tcpSocket: {port: 81}\n      periodSeconds: 1\n      failureThreshold: 2\n";
    kubectl.apply(&pod("it", "exec sleep 1000", probe))?;
    kubectl.wait_value("pod/it", RESTARTS, SOON, |count| count.as_i64() > Some(0))?;
    let ip = kubectl.text("pod/it", "/status/podIP")?;
    let refused = format!("Startup probe failed: dial tcp {ip}:81: connect: connection refused");
    wait_event(&kubectl, "Unhealthy", &[&refused])?;
    wait_event(&kubectl, "Killing", &["Container app failed startup probe, will be restarted"])?;
    Ok(())
}

fn failures_are_told_in_upstreams_words(cluster: &Cluster) -> Result<()> {
    let kubectl = cluster.namespace("words")?;
    let probes = |liveness: &str, readiness: &str| {
        let rest = "      periodSeconds: 1\n      failureThreshold: 1000\n";
        format!("    livenessProbe:\n      {liveness}\n{rest}    readinessProbe:\n      {readiness}\n{rest}")
    };
    kubectl.apply(&nginx("a", &probes("exec: {command: [sleep, '10']}", "httpGet: {port: 81, path: /x}")))?;
    kubectl.apply(&nginx("b", &probes("grpc: {port: 81}", "httpGet: {port: nameless}")))?;
    wait_event(&kubectl, "Unhealthy", &["Liveness probe failed: command timed out: \"sleep 10\" timed out after 1s"])?;
    wait_event(
        &kubectl,
        "Unhealthy",
        &["Readiness probe failed: Get \"http://", ":81/x\": dial tcp ", "connection refused"],
    )?;
    wait_event(&kubectl, "Unhealthy", &["Liveness probe failed: timeout: failed to connect service ", " within 1s: "])?;
    let unknown =
        "Readiness probe errored and resulted in unknown state: strconv.Atoi: parsing \"nameless\": invalid syntax";
    wait_event(&kubectl, "Unhealthy", &[unknown])?;
    ensure!(kubectl.value("pod/b", RESTARTS)? == 0);
    Ok(())
}

/// The Pod shares the host's network, so a server of the test stands in for its own.
fn a_grpc_server_says_how_it_is(cluster: &Cluster) -> Result<()> {
    let kubectl = cluster.namespace("grpc")?;
    let address = kubectl.ok(&[
        "get",
        "nodes",
        "-o",
        "jsonpath={.items[0].status.addresses[?(@.type==\"InternalIP\")].address}",
    ])?;
    let health = HealthServer::start(address.trim())?;
    health.turn("shop", HealthServer::SERVING);
    let probe = format!(
        "    readinessProbe:\n      grpc: {{port: {}, service: shop}}\n      periodSeconds: 1\n      \
         failureThreshold: 1\n  hostNetwork: true\n",
        health.port()
    );
    kubectl.apply(&pod("it", "exec sleep 1000", &probe))?;
    kubectl.wait_ready("it")?;
    health.turn("shop", HealthServer::NOT_SERVING);
    wait_condition(&kubectl, "it", "Ready=False")?;
    let unhealthy = "Readiness probe failed: service unhealthy (responded with \"NOT_SERVING\")";
    wait_event(&kubectl, "Unhealthy", &[unhealthy])?;
    health.turn("shop", HealthServer::SERVING);
    kubectl.wait_ready("it")
}

fn a_request_can_go_elsewhere_and_over_tls(cluster: &Cluster) -> Result<()> {
    let kubectl = cluster.namespace("elsewhere")?;
    let server = kubectl.ok(&["config", "view", "-o", "jsonpath={.clusters[0].cluster.server}"])?;
    let (_, port) = server.rsplit_once(':').unwrap_or_default();
    let get = format!("httpGet: {{host: 127.0.0.1, port: {port}, path: /livez, scheme: HTTPS}}");
    kubectl.apply(&pod(
        "it",
        "exec sleep 1000",
        &format!("    readinessProbe:\n      {get}\n      periodSeconds: 1\n"),
    ))?;
    kubectl.wait_ready("it")
}

fn redirects_elsewhere_are_a_warning(cluster: &Cluster) -> Result<()> {
    let kubectl = cluster.namespace("redirects")?;
    let site = "server { listen 80; location = /a { return 302 /b; } location = /b { return 302 http://elsewhere.example/; } }";
    let probe = format!(
        "    command: [sh, -c, \"echo '{site}' > /etc/nginx/conf.d/default.conf; exec nginx -g 'daemon off;'\"]\n    \
         readinessProbe:\n      httpGet: {{port: web, path: /a}}\n      periodSeconds: 1\n"
    );
    kubectl.apply(&nginx("it", &probe))?;
    kubectl.wait_ready("it")?;
    wait_event(
        &kubectl,
        "ProbeWarning",
        &["Readiness probe warning: Probe terminated redirects, Response body: <html>"],
    )?;
    Ok(())
}

fn readiness_gates_hold_back_ready(cluster: &Cluster) -> Result<()> {
    let kubectl = cluster.namespace("gates")?;
    let gate = "  readinessGates: [{conditionType: example.com/fed}]\n";
    kubectl.apply(&pod("it", "exec sleep 1000", gate))?;
    wait_condition(&kubectl, "it", "ContainersReady")?;
    let conditions = kubectl.value("pod/it", "/status/conditions")?.to_string();
    let words = "corresponding condition of pod readiness gate \\\"example.com/fed\\\" does not exist.";
    ensure!(conditions.contains("ReadinessGatesNotReady") && conditions.contains(words), "{conditions}");
    let set = |status: &str| {
        let patch = format!(r#"{{"status":{{"conditions":[{{"type":"example.com/fed","status":"{status}"}}]}}}}"#);
        kubectl.ok(&["patch", "pod/it", "--subresource=status", "-p", &patch])
    };
    set("True")?;
    wait_condition(&kubectl, "it", "Ready")?;
    set("False")?;
    wait_condition(&kubectl, "it", "Ready=False")?;
    let conditions = kubectl.value("pod/it", "/status/conditions")?.to_string();
    let words = "the status of pod readiness gate \\\"example.com/fed\\\" is not \\\"True\\\", but False";
    ensure!(conditions.contains(words), "{conditions}");
    Ok(())
}

fn an_ending_pod_leaves_ready(cluster: &Cluster) -> Result<()> {
    let kubectl = cluster.namespace("ending")?;
    let probe = "    readinessProbe:\n      exec: {command: [cat, /tmp/ready]}\n      periodSeconds: 1\n      failureThreshold: 1\n";
    let script = "trap 'rm /tmp/ready' TERM; touch /tmp/ready; while true; do sleep 0.1; done";
    kubectl.apply(&pod("it", script, probe))?;
    kubectl.wait_ready("it")?;
    kubectl.ok(&["delete", "pod/it", "--wait=false", "--grace-period=60"])?;
    wait_condition(&kubectl, "it", "Ready=False")?;
    let running = kubectl.value("pod/it", "/status/containerStatuses/0/state/running")?;
    ensure!(running.is_object(), "it has not ended: {running}");
    kubectl.ok(&["delete", "pod/it", "--grace-period=1"])?;
    Ok(())
}

fn a_sidecars_readiness_counts(cluster: &Cluster) -> Result<()> {
    let kubectl = cluster.namespace("sidecars")?;
    let sidecar = "  initContainers:\n  - name: side\n    image: busybox\n    restartPolicy: Always\n    command: [sleep, '1000']\n    \
                   readinessProbe:\n      exec: {command: [cat, /tmp/ready]}\n      periodSeconds: 1\n";
    kubectl.apply(&pod("it", "exec sleep 1000", sidecar))?;
    kubectl.wait_value("pod/it", "/status/containerStatuses/0/ready", SOON, |ready| *ready == true)?;
    let conditions = kubectl.value("pod/it", "/status/conditions")?.to_string();
    ensure!(conditions.contains("containers with unready status: [side]"), "{conditions}");
    kubectl.ok(&["exec", "it", "-c", "side", "--", "touch", "/tmp/ready"])?;
    kubectl.wait_ready("it")
}
