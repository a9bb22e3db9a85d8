//! The node: what it uses, its kubelet's API, its logs, and what becomes of Pods when a node goes away.

use std::process::{Command, ExitCode};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};

use tests::{Ability, Cluster, Kubectl, Options, cases, host, suite};

const SOON: Duration = Duration::from_secs(30);

fn main() -> ExitCode {
    let cases = cases![
        usage_is_told_by_kubectl_top,
        stats_and_metrics_come_through_the_node_proxy,
        the_node_says_what_its_runtime_can_do,
        probes_and_claims_are_measured,
        pods_are_reached_through_their_proxy,
        pods_that_speak_tls_are_reached_through_their_proxy,
        the_kubelet_listens_and_asks_who_calls,
        the_kubelet_streams_to_those_who_may,
        logs_are_read_across_rotations,
        previous_and_completed_containers_keep_their_logs,
        logs_last_as_long_as_their_pod,
        a_cordoned_node_is_drained,
        a_node_is_drained_by_every_kubectl,
        pods_of_a_node_that_vanished_are_evicted,
        a_shutdown_ends_pods_by_priority_and_says_why,
        a_reboot_is_told,
        dead_containers_go_with_their_logs,
        unused_images_go_when_the_disk_is_full,
        containers_of_pods_nobody_knows_are_ended_with_their_hooks,
    ];
    // Heartbeats come every ten seconds, so the grace period cannot be shorter than that.
    let flags = [
        "--node-monitor-grace-period=15s",
        "--container-log-max-size=20Ki",
        "--container-log-max-files=8",
        "--kubelet-port=0",
        "--max-container-restart-period=1",
        // Other cases have nodes that come and go.
        "--unhealthy-zone-threshold=1",
    ];
    let flags = flags.map(str::to_owned).into();
    suite::run(|| Cluster::start(Options { flags, ..Options::default() }), cases, Cluster::diagnose)
}

fn raw(kubectl: &Kubectl, path: &str) -> Result<String> {
    kubectl.ok(&["get", "--raw", path])
}

fn json_of(kubectl: &Kubectl, path: &str) -> Result<Value> {
    Ok(serde_json::from_str(&raw(kubectl, path)?)?)
}

fn run(kubectl: &Kubectl, name: &str, script: &str) -> Result<()> {
    kubectl.ok(&["run", name, "--image=busybox", "--", "sh", "-c", script])?;
    kubectl.wait_ready(name)
}

fn usage_is_told_by_kubectl_top(cluster: &Cluster) -> Result<()> {
    let kubectl = cluster.namespace("top")?;
    run(&kubectl, "busy", "while :; do :; done")?;
    run(&kubectl, "calm", "sleep 3600")?;
    let node = kubectl.ok(&["top", "node", "--no-headers"])?;
    ensure!(node.starts_with("node-1") && node.contains('%') && !node.contains("<unknown>"), "{node}");
    let pods = kubectl.ok(&["top", "pod", "--no-headers", "--sort-by=cpu", "--containers"])?;
    let first: Vec<&str> = pods.lines().next().unwrap_or_default().split_whitespace().collect();
    ensure!(first.len() == 4 && first[..2] == ["busy", "busy"], "the busiest comes first: {pods}");
    let milli: u64 = first[2].trim_end_matches('m').parse()?;
    ensure!(milli >= 20, "a busy loop uses CPU: {pods}");
    let chosen = kubectl.ok(&["top", "pod", "--no-headers", "-l", "run=calm"])?;
    ensure!(chosen.starts_with("calm") && chosen.lines().count() == 1, "{chosen}");
    let metrics = json_of(&kubectl, "/apis/metrics.k8s.io/v1beta1/namespaces/top/pods/calm")?;
    ensure!(metrics["kind"] == "PodMetrics" && metrics["containers"][0]["name"] == "calm", "{metrics}");
    ensure!(metrics["window"].as_str().is_some_and(|window| window.ends_with('s')), "{metrics}");
    let missing = kubectl.fails(&["get", "--raw", "/apis/metrics.k8s.io/v1beta1/namespaces/top/pods/none"])?;
    ensure!(missing.contains("pods \"none\" not found"), "{missing}");
    Ok(())
}

fn stats_and_metrics_come_through_the_node_proxy(cluster: &Cluster) -> Result<()> {
    let kubectl = cluster.namespace("stats")?;
    run(&kubectl, "writer", "dd if=/dev/zero of=/file bs=1024 count=2048; echo done; sleep 3600")?;
    let proxy = |path: &str| raw(&kubectl, &format!("/api/v1/nodes/node-1/proxy/{path}"));
    let summary = || Ok::<Value, anyhow::Error>(serde_json::from_str(&proxy("stats/summary")?)?);
    let writer_of = |summary: &Value| {
        let mut pods = summary["pods"].as_array().into_iter().flatten();
        pods.find(|pod| pod["podRef"]["name"] == "writer").cloned().unwrap_or_default()
    };
    // Some runtimes look at their file systems now and then only.
    let stored = |pod: &Value| pod["ephemeral-storage"]["usedBytes"].as_u64().unwrap_or(0);
    wait_for(|| Ok(stored(&writer_of(&summary()?)) >= 2 << 20), "the 2 MiB that were written")?;
    let summary = summary()?;
    ensure!(summary["node"]["nodeName"] == "node-1" && summary["node"]["fs"]["capacityBytes"].is_u64(), "{summary}");
    let writer = writer_of(&summary);
    let container = &writer["containers"][0];
    for figure in ["/cpu/usageCoreNanoSeconds", "/memory/workingSetBytes", "/rootfs/usedBytes", "/logs/usedBytes"] {
        ensure!(container.pointer(figure).is_some_and(Value::is_u64), "{figure}: {container}");
    }
    ensure!(writer["network"]["name"] == "eth0" && writer["process_stats"]["process_count"].is_u64(), "{writer}");
    let cadvisor = proxy("metrics/cadvisor")?;
    let series = cadvisor.lines().find(|line| {
        line.starts_with("container_cpu_usage_seconds_total{container=\"writer\"")
            && line.contains("namespace=\"stats\"")
    });
    ensure!(series.is_some_and(|line| line.contains("pod=\"writer\"")), "{cadvisor}");
    ensure!(proxy("metrics/resource")?.contains("\nresource_scrape_error 0"));
    ensure!(proxy("metrics")?.contains("kubelet_node_name{node=\"node-1\"} 1"));
    let configuration: Value = serde_json::from_str(&proxy("configz")?)?;
    ensure!(configuration["kubeletconfig"]["containerLogMaxFiles"] == 8, "{configuration}");
    ensure!(proxy("healthz")? == "ok");
    Ok(())
}

fn the_node_says_what_its_runtime_can_do(cluster: &Cluster) -> Result<()> {
    let kubectl = cluster.namespace("features")?;
    let status = kubectl.value("node/node-1", "/status")?;
    if cluster.lacks(Ability::Features) {
        ensure!(status["features"].is_null() && status["runtimeHandlers"].is_null(), "{status}");
        return Ok(());
    }
    ensure!(status["features"] == json!({ "supplementalGroupsPolicy": true }), "{status}");
    let handler = &status["runtimeHandlers"][0];
    ensure!(handler["name"] == "" && handler["features"]["recursiveReadOnlyMounts"] == true, "{handler}");
    ensure!(handler["features"]["userNamespaces"].is_boolean(), "{handler}");
    let declared = status["declaredFeatures"].as_array().context("declared features")?;
    ensure!(declared.contains(&json!("RestartAllContainersOnContainerExits")), "{declared:?}");
    ensure!(status["nodeInfo"]["swap"].is_object(), "{status}");
    Ok(())
}

fn probes_and_claims_are_measured(cluster: &Cluster) -> Result<()> {
    let kubectl = cluster.namespace("measured")?;
    kubectl.apply(
        "apiVersion: v1\nkind: PersistentVolumeClaim\nmetadata: {name: data}\nspec: {accessModes: [ReadWriteOnce], \
         resources: {requests: {storage: 1Mi}}}\n---\napiVersion: v1\nkind: Pod\nmetadata: {name: p}\nspec: {volumes: \
         [{name: v, persistentVolumeClaim: {claimName: data}}], containers: [{name: main, image: busybox, command: \
         [sleep, '3600'], volumeMounts: [{name: v, mountPath: /v}], readinessProbe: {periodSeconds: 1, exec: {command: \
         ['true']}}, livenessProbe: {periodSeconds: 1, failureThreshold: 1000, exec: {command: ['false']}}}]}\n",
    )?;
    kubectl.wait_ready("p")?;
    let uid = kubectl.text("pod/p", "/metadata/uid")?;
    let proxy = |path: &str| raw(&kubectl, &format!("/api/v1/nodes/node-1/proxy/{path}"));
    for (kind, result) in [("Readiness", "successful"), ("Liveness", "failed")] {
        let series = format!(
            "prober_probe_total{{container=\"main\",namespace=\"measured\",pod=\"p\",pod_uid=\"{uid}\",\
             probe_type=\"{kind}\",result=\"{result}\"}} "
        );
        wait_for(|| Ok(proxy("metrics/probes")?.contains(&series)), &series)?;
    }
    let metrics = proxy("metrics")?;
    for figure in ["capacity_bytes", "available_bytes", "used_bytes", "inodes", "inodes_free", "inodes_used"] {
        let series = format!("kubelet_volume_stats_{figure}{{namespace=\"measured\",persistentvolumeclaim=\"data\"}} ");
        ensure!(metrics.contains(&series), "{series} in {metrics}");
    }
    let summary: Value = serde_json::from_str(&proxy("stats/summary")?)?;
    let pods = summary["pods"].as_array().context("Pods")?;
    let measured = pods.iter().find(|pod| pod["podRef"]["uid"] == *uid).context("the Pod is measured")?;
    let volume = measured["volume"].as_array().and_then(|all| all.iter().find(|one| one["name"] == "v"));
    ensure!(
        volume.context("the volume")?["pvcRef"] == json!({ "name": "data", "namespace": "measured" }),
        "{measured}"
    );
    kubectl.ok(&["delete", "pod", "p", "--now"])?;
    wait_for(|| Ok(!proxy("metrics/probes")?.contains(&uid)), "counts of a Pod that is gone are dropped")
}

fn wait_for(mut holds: impl FnMut() -> Result<bool>, what: &str) -> Result<()> {
    let deadline = std::time::Instant::now() + SOON;
    while !holds()? {
        ensure!(std::time::Instant::now() < deadline, "{what}");
        std::thread::sleep(Duration::from_millis(100));
    }
    Ok(())
}

fn pods_are_reached_through_their_proxy(cluster: &Cluster) -> Result<()> {
    let kubectl = cluster.namespace("proxy")?;
    kubectl.ok(&["run", "web", "--image=ikubernetes/myapp:v1", "--port=80"])?;
    kubectl.wait_ready("web")?;
    for name in ["web", "web:80", "http:web:80"] {
        let page = raw(&kubectl, &format!("/api/v1/namespaces/proxy/pods/{name}/proxy/hostname.html"))?;
        ensure!(page == "web\n", "{name}: {page}");
    }
    let nobody = kubectl.fails(&["get", "--raw", "/api/v1/namespaces/proxy/pods/web:81/proxy/"])?;
    ensure!(
        nobody.contains("error trying to reach service") && nobody.contains(":81: connect: connection refused"),
        "{nobody}"
    );
    Ok(())
}

/// A web server whose certificate nobody vouches for.
fn pods_that_speak_tls_are_reached_through_their_proxy(cluster: &Cluster) -> Result<()> {
    let kubectl = cluster.namespace("proxy-tls")?;
    let file = |name: &str| cluster.data_dir().join("tls").join(name).display().to_string();
    let (certificate, key) = (format!("--cert={}", file("kubelet.crt")), format!("--key={}", file("kubelet.key")));
    kubectl.ok(&["create", "secret", "tls", "web", &certificate, &key])?;
    let server = "server { listen 8443 ssl; ssl_certificate /tls/tls.crt; ssl_certificate_key /tls/tls.key; \
                  location / { return 200 'secret of $host\\n'; } }";
    kubectl.ok(&["create", "configmap", "web", &format!("--from-literal=web.conf={server}")])?;
    kubectl.apply(
        "apiVersion: v1\nkind: Pod\nmetadata: {name: web}\nspec: {volumes: [{name: tls, secret: {secretName: web}}, {name: \
         conf, configMap: {name: web}}], containers: [{name: web, image: nginx, ports: [{containerPort: 8443}], \
         readinessProbe: {tcpSocket: {port: 8443}, periodSeconds: 1}, volumeMounts: [{name: tls, mountPath: /tls}, {name: \
         conf, mountPath: /etc/nginx/conf.d}]}]}\n",
    )?;
    kubectl.wait_ready("web")?;
    let address = kubectl.text("pod/web", "/status/podIP")?;
    for name in ["https:web:8443", "https:web:"] {
        let page = raw(&kubectl, &format!("/api/v1/namespaces/proxy-tls/pods/{name}/proxy/"))?;
        ensure!(page == format!("secret of {address}\n"), "{name}: {page}");
    }
    let plain = kubectl.fails(&["get", "--raw", "/api/v1/namespaces/proxy-tls/pods/web:8443/proxy/"])?;
    ensure!(plain.contains("the server rejected our request"), "it speaks TLS only: {plain}");
    Ok(())
}

/// Asks the kubelet over HTTPS; answers status and body.
fn ask_kubelet(cluster: &Cluster, path: &str, arguments: &[String]) -> Result<(String, String)> {
    let kubectl = cluster.kubectl();
    let port = kubectl.value("node/node-1", "/status/daemonEndpoints/kubeletEndpoint/Port")?;
    let url = format!("https://127.0.0.1:{port}{path}");
    let authority = cluster.data_dir().join("tls/ca.crt");
    let output = Command::new("curl")
        .args(["--silent", "--show-error", "--max-time", "20", "--write-out", "\n%{http_code}", "--cacert"])
        .arg(authority)
        .args(arguments)
        .arg(&url)
        .output()
        .context("running curl")?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    ensure!(output.status.success(), "curl {url}: {}", String::from_utf8_lossy(&output.stderr));
    let (body, code) = text.rsplit_once('\n').context("a status")?;
    Ok((code.to_owned(), body.to_owned()))
}

fn the_kubelet_listens_and_asks_who_calls(cluster: &Cluster) -> Result<()> {
    let kubectl = cluster.namespace("kubelet-api")?;
    let (code, body) = ask_kubelet(cluster, "/pods", &[])?;
    ensure!((code.as_str(), body.as_str()) == ("401", "Unauthorized"), "without credentials: {code} {body}");
    let tls = cluster.data_dir().join("tls");
    let file = |name: &str| tls.join(name).display().to_string();
    let admin = ["--cert".to_owned(), file("admin.crt"), "--key".to_owned(), file("admin.key")];
    let (code, body) = ask_kubelet(cluster, "/pods", &admin)?;
    let pods: Value = serde_json::from_str(&body)?;
    ensure!(code == "200" && pods["kind"] == "PodList", "the administrator: {code} {body}");
    let token = kubectl.ok(&["create", "token", "default"])?;
    let header = |token: &str| ["--header".to_owned(), format!("Authorization: Bearer {}", token.trim())];
    let (code, body) = ask_kubelet(cluster, "/stats/summary", &header(&token))?;
    let expected = "Forbidden (user=system:serviceaccount:kubelet-api:default, verb=get, resource=nodes, \
                    subresource(s)=[stats])\n";
    ensure!((code.as_str(), body.as_str()) == ("403", expected), "a ServiceAccount: {code} {body}");
    let (code, _) = ask_kubelet(cluster, "/healthz", &header("nonsense"))?;
    ensure!(code == "401", "a token of nobody: {code}");

    kubectl.ok(&["create", "serviceaccount", "operator"])?;
    let (role, account) = ("--clusterrole=system:kubelet-api-admin", "--serviceaccount=kubelet-api:operator");
    kubectl.ok(&["create", "clusterrolebinding", "kubelet-operator", role, account])?;
    let operator = header(&kubectl.ok(&["create", "token", "operator"])?);
    for path in ["/pods", "/stats/summary", "/metrics/cadvisor", "/configz", "/healthz"] {
        let (code, body) = ask_kubelet(cluster, path, &operator)?;
        ensure!(code == "200", "whoever may do everything with kubelets asks for {path}: {code} {body}");
    }
    Ok(())
}

/// The bytes that curl gets from the kubelet over HTTPS, however the connection ends.
fn stream_from_kubelet(cluster: &Cluster, path: &str, arguments: &[&str]) -> Result<String> {
    let port = cluster.kubectl().value("node/node-1", "/status/daemonEndpoints/kubeletEndpoint/Port")?;
    let output = Command::new("curl")
        .args(["--silent", "--include", "--no-buffer", "--max-time", "5", "--http1.1", "--cacert"])
        .arg(cluster.data_dir().join("tls/ca.crt"))
        .args(arguments)
        .arg(format!("https://127.0.0.1:{port}{path}"))
        .output()
        .context("running curl")?;
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

fn the_kubelet_streams_to_those_who_may(cluster: &Cluster) -> Result<()> {
    let kubectl = cluster.namespace("kubelet-streams")?;
    run(&kubectl, "talker", "echo first words; while :; do sleep 1; echo tick; done")?;
    let tls = cluster.data_dir().join("tls");
    let file = |name: &str| tls.join(name).display().to_string();
    let (certificate, key) = (file("admin.crt"), file("admin.key"));
    kubectl.ok(&["create", "serviceaccount", "caller"])?;
    let token = kubectl.ok(&["create", "token", "caller"])?;
    let token = format!("Authorization: Bearer {}", token.trim());
    let (admin, account) = (["--cert", &certificate, "--key", &key], ["--header", &token]);
    let web_socket: &[&str] = &[
        "-HConnection: Upgrade",
        "-HUpgrade: websocket",
        "-HSec-WebSocket-Version: 13",
        "-HSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
        "-HSec-WebSocket-Protocol: v5.channel.k8s.io, v4.channel.k8s.io",
    ];
    let spdy: &[&str] =
        &["-XPOST", "-HConnection: Upgrade", "-HUpgrade: SPDY/3.1", "-HX-Stream-Protocol-Version: portforward.k8s.io"];
    let pod = "kubelet-streams/talker";
    let logs = format!("/containerLogs/{pod}/talker");
    let exec = format!("/exec/{pod}/talker?output=1&command=echo&command=executed");
    let attach = format!("/attach/{pod}/talker?output=1");
    let forward = format!("/portForward/{pod}");
    let calls: [(&str, &[&str], &str, &str); 4] = [
        (&logs, &[], "200 OK", "first words"),
        (&exec, web_socket, "101 Switching Protocols", "executed"),
        (&attach, web_socket, "101 Switching Protocols", "tick"),
        (&forward, spdy, "101 Switching Protocols", "SPDY/3.1"),
    ];
    let ask = |credentials: &[&str], path: &str, headers: &[&str]| {
        stream_from_kubelet(cluster, path, &[credentials, headers].concat())
    };
    for (path, headers, _, _) in calls {
        let said = ask(&account, path, headers)?;
        let refused = "Forbidden (user=system:serviceaccount:kubelet-streams:caller, verb=";
        ensure!(said.starts_with("HTTP/1.1 403") && said.contains(refused), "not everybody may {path}: {said}");
        let said = ask(&[], path, headers)?;
        ensure!(said.starts_with("HTTP/1.1 401"), "nobody may {path}: {said}");
    }
    for (path, headers, code, text) in calls {
        let said = ask(&admin, path, headers)?;
        ensure!(said.starts_with(&format!("HTTP/1.1 {code}")) && said.contains(text), "{path}: {said}");
    }
    Ok(())
}

fn logs_are_read_across_rotations(cluster: &Cluster) -> Result<()> {
    let kubectl = cluster.namespace("rotation")?;
    // Lines of about 100 bytes: 40 KiB, rotated at 20 KiB within the ten seconds between two looks, and more later.
    let line = "x".repeat(60);
    let script = format!("i=0; while [ $i -lt 900 ]; do i=$((i+1)); echo $i {line}; sleep 0.03; done; sleep 3600");
    run(&kubectl, "talker", &script)?;
    let follower = kubectl.stream(&["logs", "-f", "talker"])?;
    let uid = kubectl.text("pod/talker", "/metadata/uid")?;
    let logs = cluster.data_dir().join(format!("log/pods/rotation_talker_{uid}/talker"));
    let said = follower.wait_for(Duration::from_secs(80), |text| text.lines().any(|line| line.starts_with("900 ")))?;
    let followed = said.lines().filter_map(|line| line.split(' ').next()?.parse::<u32>().ok());
    ensure!(followed.eq(1..=900), "a follower gets every line once, in order");
    let files: Vec<String> =
        std::fs::read_dir(&logs)?.flatten().map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
    ensure!(files.iter().any(|name| name.starts_with("0.log.")), "it was rotated: {files:?}");
    let read = kubectl.ok(&["logs", "talker"])?;
    let numbers: Vec<u32> = read.lines().filter_map(|line| line.split(' ').next()?.parse().ok()).collect();
    let last = numbers.last().copied().unwrap_or(0);
    ensure!(last == 900 && numbers.windows(2).all(|pair| pair[1] == pair[0] + 1), "no gap: {numbers:?}");
    let tail = kubectl.ok(&["logs", "talker", "--tail=500"])?;
    ensure!(tail.starts_with("401 ") && tail.lines().count() == 500, "{}", tail.lines().count());
    Ok(())
}

fn previous_and_completed_containers_keep_their_logs(cluster: &Cluster) -> Result<()> {
    let kubectl = cluster.namespace("past")?;
    let script = "echo run $(cat /proc/sys/kernel/random/uuid); sleep 1; exit 1";
    kubectl.ok(&["run", "again", "--image=busybox", "--", "sh", "-c", script])?;
    kubectl.wait_value("pod/again", "/status/containerStatuses/0/restartCount", SOON, |count| {
        count.as_u64().is_some_and(|count| count >= 1)
    })?;
    let previous = kubectl.ok(&["logs", "--previous", "again"])?;
    ensure!(previous.starts_with("run ") && previous.lines().count() == 1, "{previous}");
    kubectl.ok(&["run", "done", "--image=busybox", "--restart=Never", "--", "echo", "last words"])?;
    kubectl.ok(&["wait", "--for=jsonpath={.status.phase}=Succeeded", "pod/done", "--timeout=30s"])?;
    ensure!(kubectl.ok(&["logs", "done"])? == "last words\n");
    ensure!(kubectl.ok(&["logs", "-f", "done"])? == "last words\n");
    ensure!(kubectl.fails(&["logs", "--previous", "done"])?.contains("previous terminated container"));
    Ok(())
}

fn logs_last_as_long_as_their_pod(cluster: &Cluster) -> Result<()> {
    let kubectl = cluster.namespace("leaving")?;
    let script = "trap 'echo told; until [ -e /go ]; do sleep 0.1; done; echo last words; exit 0' TERM; echo hello; \
                  while :; do sleep 0.1; done";
    run(&kubectl, "leaver", script)?;
    let follower = kubectl.stream(&["logs", "-f", "leaver"])?;
    kubectl.ok(&["delete", "pod", "leaver", "--wait=false"])?;
    follower.wait_for(SOON, |text| text == "hello\ntold\n")?;
    ensure!(kubectl.value("pod/leaver", "/metadata/deletionTimestamp")?.is_string(), "it is on its way out");
    ensure!(kubectl.ok(&["logs", "leaver"])? == "hello\ntold\n");
    let error = kubectl.fails(&["logs", "leaver", "--previous"])?;
    ensure!(error.contains("previous terminated container \"leaver\" in pod \"leaver\" not found"), "{error}");
    kubectl.ok(&["exec", "leaver", "--", "touch", "/go"])?;
    follower.wait_for(SOON, |text| text == "hello\ntold\nlast words\n")?;
    kubectl.ok(&["wait", "--for=delete", "pod/leaver", "--timeout=30s"])?;
    let error = kubectl.fails(&["logs", "leaver"])?;
    ensure!(error.contains("pods \"leaver\" not found"), "{error}");
    Ok(())
}

/// A Node object without a machine.
fn ghost(name: &str, ready: bool) -> String {
    let conditions = json!([{
        "type": "Ready", "status": if ready { "True" } else { "False" }, "reason": "KubeletReady",
        "message": "kubelet is posting ready status", "lastHeartbeatTime": "2026-01-01T00:00:00Z",
        "lastTransitionTime": "2026-01-01T00:00:00Z",
    }]);
    json!({
        "apiVersion": "v1", "kind": "Node", "metadata": { "name": name },
        // Nobody shall be put there by the scheduler.
        "spec": { "taints": [{ "key": "tests/ghost", "effect": "NoSchedule" }] },
        "status": { "conditions": conditions, "allocatable": { "cpu": "4", "memory": "4Gi", "pods": "10" } },
    })
    .to_string()
}

fn pod_on(node: &str, name: &str, tolerations: &Value) -> String {
    json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": { "name": name },
        "spec": {
            "nodeName": node, "tolerations": tolerations,
            "containers": [{ "name": "app", "image": "busybox" }],
        },
    })
    .to_string()
}

fn a_cordoned_node_is_drained(cluster: &Cluster) -> Result<()> {
    let kubectl = cluster.namespace("drain")?;
    kubectl.ok_with_input(&["create", "-f", "-"], ghost("drained", true).as_bytes())?;
    kubectl.ok(&["cordon", "drained"])?;
    let taints = |value: &Value| value.to_string().contains("node.kubernetes.io/unschedulable");
    kubectl.wait_value("node/drained", "/spec/taints", SOON, taints)?;
    ensure!(kubectl.ok(&["get", "node", "drained"])?.contains("SchedulingDisabled"));
    // It never got a kubelet, so its Pod goes as soon as it is told to.
    kubectl.ok_with_input(&["create", "-f", "-"], pod_on("drained", "naked", &json!([])).as_bytes())?;
    let refused = kubectl.fails(&["drain", "drained", "--timeout=20s"])?;
    ensure!(refused.contains("declare no controller"), "{refused}");
    let drained = kubectl.ok(&["drain", "drained", "--force", "--grace-period=0", "--timeout=30s"])?;
    ensure!(drained.contains("evicting pod drain/naked") && drained.contains("node/drained drained"), "{drained}");
    kubectl.ok(&["uncordon", "drained"])?;
    kubectl.wait_value("node/drained", "/spec/unschedulable", SOON, Value::is_null)?;
    kubectl.ok(&["delete", "node", "drained"])?;
    Ok(())
}

/// A cluster of its own: all its Pods go.
fn a_node_is_drained_by_every_kubectl(_: &Cluster) -> Result<()> {
    let cluster = Cluster::start(Options { flags: vec!["--kubelet-port=0".to_owned()], ..Options::default() })?;
    let case = || -> Result<()> {
        let kubectl = cluster.namespace("draining")?;
        for one in kubectl.every_version()? {
            drain_and_return(&one).with_context(|| one.command_line())?;
        }
        Ok(())
    };
    case().map_err(|error| error.context(cluster.diagnose()))
}

fn drain_and_return(kubectl: &Kubectl) -> Result<()> {
    let pod = |name: &str, volumes: &str| {
        format!(
            "apiVersion: v1\nkind: Pod\nmetadata: {{name: {name}}}\nspec: {{terminationGracePeriodSeconds: 0, volumes: \
             [{volumes}], containers: [{{name: app, image: busybox, command: [sleep, inf]}}]}}\n"
        )
    };
    kubectl.apply(&(pod("plain", "") + "---\n" + &pod("scratch", "{name: v, emptyDir: {}}")))?;
    kubectl.ok(&["wait", "--for=condition=Ready", "pod/plain", "pod/scratch", "--timeout=60s"])?;
    let refused = kubectl.fails(&["drain", "node-1", "--timeout=60s", "--delete-emptydir-data"])?;
    ensure!(refused.contains("declare no controller"), "{refused}");
    let refused = kubectl.fails(&["drain", "node-1", "--timeout=60s", "--force"])?;
    ensure!(refused.contains("use --delete-emptydir-data to override"), "{refused}");
    let listed = kubectl.ok(&["get", "node", "node-1", "--no-headers"])?;
    ensure!(listed.contains("Ready,SchedulingDisabled"), "who is refused is cordoned: {listed}");
    let drained = kubectl.ok(&["drain", "node-1", "--timeout=60s", "--force", "--delete-emptydir-data"])?;
    for line in ["pod/plain evicted", "pod/scratch evicted", "node/node-1 drained"] {
        ensure!(drained.contains(line), "{drained}");
    }
    ensure!(kubectl.ok(&["get", "pods", "-o", "name"])?.is_empty(), "nobody is left");
    kubectl.apply(&pod("later", ""))?;
    kubectl.ok(&["wait", "--for=condition=PodScheduled=False", "pod/later", "--timeout=30s"])?;
    let conditions = kubectl.value("pod/later", "/status/conditions")?.to_string();
    ensure!(conditions.contains("1 node(s) were unschedulable"), "{conditions}");
    ensure!(kubectl.ok(&["uncordon", "node-1"])? == "node/node-1 uncordoned\n");
    kubectl.wait_ready("later")?;
    kubectl.ok(&["delete", "pod", "later"]).map(drop)
}

fn pods_of_a_node_that_vanished_are_evicted(cluster: &Cluster) -> Result<()> {
    let kubectl = cluster.namespace("vanished")?;
    for name in ["ghost", "spectre"] {
        kubectl.ok_with_input(&["create", "-f", "-"], ghost(name, true).as_bytes())?;
    }
    let patient = json!([{ "key": "node.kubernetes.io/unreachable", "operator": "Exists", "effect": "NoExecute" }]);
    let hasty = json!([{
        "key": "node.kubernetes.io/unreachable", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 1,
    }]);
    for (name, tolerations) in [("patient", &patient), ("hasty", &hasty)] {
        kubectl.ok_with_input(&["create", "-f", "-"], pod_on("ghost", name, tolerations).as_bytes())?;
        let status = json!({ "status": { "phase": "Running", "conditions": [{ "type": "Ready", "status": "True" }] } });
        kubectl.ok(&["patch", "pod", name, "--subresource=status", "-p", &status.to_string()])?;
    }
    kubectl.ok(&["wait", "--for=condition=Ready=Unknown", "node/ghost", "--timeout=60s"])?;
    let conditions = kubectl.value("node/ghost", "/status/conditions")?.to_string();
    ensure!(conditions.contains("NodeStatusUnknown"), "{conditions}");
    ensure!(conditions.contains("Kubelet stopped posting node status."), "{conditions}");
    let both = |value: &Value| {
        let text = value.to_string();
        text.contains("NoExecute") && text.contains("NoSchedule") && text.contains("node.kubernetes.io/unreachable")
    };
    let taints = kubectl.wait_value("node/ghost", "/spec/taints", SOON, both)?;
    // Both are lost at the same time, but only one node in ten seconds loses its Pods.
    let others = kubectl.wait_value("node/spectre", "/spec/taints", SOON, both)?;
    let [ours, theirs] = [&taints, &others].map(evicting_since);
    let (ours, theirs) = (ours?, theirs?);
    ensure!(ours.abs_diff(theirs) >= 9, "{taints} {others}");
    kubectl.ok(&["wait", "--for=condition=Ready=False", "pod/patient", "--timeout=30s"])?;
    kubectl.wait_value("pod/hasty", "/metadata/deletionTimestamp", SOON, Value::is_string)?;
    let conditions = kubectl.value("pod/hasty", "/status/conditions")?.to_string();
    ensure!(conditions.contains("DisruptionTarget") && conditions.contains("DeletionByTaintManager"), "{conditions}");
    ensure!(kubectl.value("pod/patient", "/metadata/deletionTimestamp")?.is_null(), "it tolerates the taint for ever");
    let events = kubectl.ok(&["get", "events"])?;
    ensure!(events.contains("TaintManagerEviction") && events.contains("NodeNotReady"), "{events}");
    kubectl.ok(&["delete", "pod", "patient", "hasty", "--force", "--grace-period=0", "--wait=false"])?;
    kubectl.ok(&["delete", "node", "ghost", "spectre"])?;
    Ok(())
}

/// The second of the day in which a node got the taint that drives Pods away.
fn evicting_since(taints: &Value) -> Result<u64> {
    let taint = taints.as_array().and_then(|all| all.iter().find(|taint| taint["effect"] == "NoExecute"));
    let time = taint.and_then(|taint| taint["timeAdded"].as_str()).context("a time")?;
    let clock = time.get(11..19).context("a time of day")?;
    clock.split(':').try_fold(0, |sum, part| Ok(sum * 60 + part.parse::<u64>()?))
}

fn a_shutdown_ends_pods_by_priority_and_says_why(_: &Cluster) -> Result<()> {
    // A cluster of its own: all its Pods end.
    let flags = ["--kubelet-port=0", "--shutdown-grace-period-by-pod-priority=0=8s,1000=8s"];
    let cluster = Cluster::start(Options { flags: flags.map(str::to_owned).into(), ..Options::default() })?;
    let kubectl = cluster.namespace("shutdown")?;
    kubectl.ok(&["create", "priorityclass", "important", "--value=1500"])?;
    let slow = "trap 'sleep 2; exit 0' TERM; while :; do sleep 0.1; done";
    run(&kubectl, "ordinary", slow)?;
    let overrides = r#"{"spec":{"priorityClassName":"important"}}"#;
    let overrides = ["run", "important", "--image=busybox", "--overrides", overrides, "--", "sh", "-c", slow];
    kubectl.ok(&overrides)?;
    kubectl.wait_ready("important")?;
    cluster.power_off()?;
    cluster.start_server()?;
    let ended = |pod: &str| -> Result<String> {
        let status = kubectl.value(&format!("pod/{pod}"), "/status")?;
        let message = "Pod was terminated in response to imminent node shutdown.";
        let said = (&status["phase"], &status["reason"], &status["message"]);
        ensure!(said == (&json!("Failed"), &json!("Terminated"), &json!(message)), "{status}");
        ensure!(status["conditions"].to_string().contains("TerminationByKubelet"), "{status}");
        let terminated = &status["containerStatuses"][0]["state"]["terminated"]["finishedAt"];
        Ok(terminated.as_str().context("an end")?.to_owned())
    };
    let (ordinary, important) = (ended("ordinary")?, ended("important")?);
    ensure!(ordinary < important, "the important one ends later: {important}, not {ordinary}");
    Ok(())
}

/// A cluster of its own. The machine goes on, so its Node is made to tell of another boot.
fn a_reboot_is_told(_: &Cluster) -> Result<()> {
    let cluster = Cluster::start(Options { flags: vec!["--kubelet-port=0".to_owned()], ..Options::default() })?;
    let kubectl = cluster.kubectl();
    let boot = kubectl.text("node/node-1", "/status/nodeInfo/bootID")?;
    kubectl.ok(&[
        "patch",
        "node",
        "node-1",
        "--subresource=status",
        "-p",
        r#"{"status":{"nodeInfo":{"bootID":"b"}}}"#,
    ])?;
    cluster.stop_server()?;
    cluster.start_server()?;
    kubectl.wait_value("node/node-1", "/status/nodeInfo/bootID", SOON, |now| *now == boot.as_str())?;
    let told = format!("Node node-1 has been rebooted, boot id: {boot}");
    let events = || kubectl.ok(&["get", "events", "--field-selector=reason=Rebooted,type=Warning"]);
    wait_for(|| Ok(events()?.contains(&told)), "the reboot is told")
}

fn dead_containers_go_with_their_logs(cluster: &Cluster) -> Result<()> {
    let kubectl = cluster.namespace("dead")?;
    kubectl.ok(&["run", "again", "--image=busybox", "--", "sh", "-c", "echo here; exit 1"])?;
    kubectl.wait_value("pod/again", "/status/containerStatuses/0/restartCount", SOON, |count| {
        count.as_u64().is_some_and(|count| count >= 3)
    })?;
    let uid = kubectl.text("pod/again", "/metadata/uid")?;
    let first = cluster.data_dir().join(format!("log/pods/dead_again_{uid}/again/0.log"));
    wait_for(|| Ok(!first.exists()), "the first of them goes")?;
    kubectl.wait_value("pod/again", "/status/containerStatuses/0/lastState/terminated/exitCode", SOON, |code| {
        *code == 1
    })?;
    ensure!(kubectl.ok(&["logs", "--previous", "again"])? == "here\n", "the last one is kept");
    kubectl.ok(&["delete", "pod", "again", "--now"]).map(drop)
}

fn unused_images_go_when_the_disk_is_full(_: &Cluster) -> Result<()> {
    // Every disk is full by this measure.
    let flags = [
        "--kubelet-port=0",
        "--image-gc-high-threshold=1",
        "--image-gc-low-threshold=0",
        "--minimum-image-ttl-duration=0s",
    ];
    let cluster = Cluster::start(Options { flags: flags.map(str::to_owned).into(), ..Options::default() })?;
    let kubectl = cluster.namespace("images")?;
    run(&kubectl, "keeper", "sleep 3600")?;
    kubectl.ok(&["run", "web", "--image=ikubernetes/myapp:v1"])?;
    kubectl.wait_ready("web")?;
    kubectl.ok(&["delete", "pod", "web", "--now"])?;
    // The disk is looked at when the node starts.
    cluster.stop_server()?;
    cluster.start_server()?;
    let message = "Failed to garbage collect required amount of images. Attempted to free ";
    wait_for(|| Ok(kubectl.ok(&["get", "events", "-A"])?.contains(message)), "all there was to remove was removed")?;
    let start = |name: &str, image: &str| {
        kubectl.ok(&["run", name, "--image", image, "--image-pull-policy=Never", "--", "sleep", "3600"])
    };
    start("gone", "ikubernetes/myapp:v1")?;
    start("kept", "busybox")?;
    let waiting = "/status/containerStatuses/0/state/waiting/reason";
    kubectl.wait_value("pod/gone", waiting, SOON, |reason| reason == "ErrImageNeverPull")?;
    kubectl.wait_ready("kept")?;
    ensure!(kubectl.value("pod/keeper", "/status/containerStatuses/0/restartCount")? == 0);
    Ok(())
}

fn containers_of_pods_nobody_knows_are_ended_with_their_hooks(_: &Cluster) -> Result<()> {
    let cluster = Cluster::start(Options { flags: vec!["--kubelet-port=0".to_owned()], ..Options::default() })?;
    let kubectl = cluster.namespace("orphans")?;
    let scratch = cluster.scratch("orphan")?;
    let marker = "tests-orphan-3600";
    let script = format!("trap 'date > /out/stopped; exit' TERM; while :; do sleep 0.1; done # {marker}");
    let pod = json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": { "name": "orphan" },
        "spec": {
            "volumes": [{ "name": "out", "hostPath": { "path": scratch } }],
            "containers": [{
                "name": "app", "image": "busybox", "command": ["sh", "-c", script],
                "volumeMounts": [{ "name": "out", "mountPath": "/out" }],
                "lifecycle": { "preStop": { "exec": { "command": ["sh", "-c", "date > /out/hook"] } } },
            }],
        },
    });
    kubectl.apply(&pod.to_string())?;
    kubectl.wait_ready("orphan")?;
    cluster.kill_server()?;
    cluster.start_server_as("node-2")?;
    let runs = || -> Result<bool> { Ok(host::running()?.iter().any(|process| process.command.contains(marker))) };
    wait_for(|| Ok(!runs()?), "what nobody knows does not go on")?;
    ensure!(
        scratch.join("hook").exists() && scratch.join("stopped").exists(),
        "its hook ran, and it was asked to stop"
    );
    Ok(())
}
