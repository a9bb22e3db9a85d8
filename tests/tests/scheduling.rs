//! The scheduler chooses nodes as Pods, nodes and profiles say, and `kubectl` shows why it does not.

use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use serde_json::{Value, json};
use tests::{Cluster, Kubectl, Options, cases, suite};

const SOON: Duration = Duration::from_secs(40);

/// A second profile fills nodes one after the other.
const CONFIGURATION: &str = "
apiVersion: kubescheduler.config.k8s.io/v1
kind: KubeSchedulerConfiguration
profiles:
- schedulerName: default-scheduler
- schedulerName: packer
  plugins:
    score: {disabled: [{name: '*'}], enabled: [{name: NodeResourcesFit}]}
  pluginConfig:
  - name: NodeResourcesFit
    args: {scoringStrategy: {type: MostAllocated, resources: [{name: cpu, weight: 1}]}}
";

fn main() -> ExitCode {
    let cases = cases![
        pods_that_shun_each_other_get_a_node_each,
        pods_are_spread_over_zones,
        the_greater_take_the_place_of_the_lesser,
        a_budget_turns_preemption_elsewhere,
        gates_hold_back,
        profiles_differ,
        why_says_what_each_node_lacks,
        hollow_nodes_take_and_lose_pods,
    ];
    suite::run(start, cases, Cluster::diagnose)
}

/// A cluster where nodes that exist in name only live on.
fn start() -> Result<Cluster> {
    let file = tempfile::NamedTempFile::new()?;
    std::fs::write(file.path(), CONFIGURATION)?;
    let config = format!("--kube-scheduler-config={}", file.path().display());
    Cluster::start(Options { flags: vec![config, "--node-monitor-grace-period=1h".into()], ..Options::default() })
}

/// Nodes of 4 CPUs in one pool, each with its zone.
fn nodes(kubectl: &Kubectl, pool: &str, nodes: &[(&str, &str)]) -> Result<()> {
    for (name, zone) in nodes {
        let name = format!("{pool}-{name}");
        let labels = json!({ "pool": pool, "zone": zone, "kubernetes.io/hostname": name });
        let resources = json!({ "cpu": "4", "memory": "8Gi", "pods": "110" });
        let ready = json!({ "type": "Ready", "status": "True", "reason": "KubeletReady" });
        let node = json!({
            "apiVersion": "v1", "kind": "Node", "metadata": { "name": name, "labels": labels },
            "status": { "capacity": resources, "allocatable": resources, "conditions": [ready] },
        });
        kubectl.apply(&node.to_string())?;
    }
    Ok(())
}

/// A Pod for one pool.
fn pod(name: &str, pool: &str, cpu: &str, more: Value) -> Value {
    let mut spec = json!({
        "nodeSelector": { "pool": pool }, "terminationGracePeriodSeconds": 0, "tolerations": [{ "operator": "Exists" }],
        "containers": [{ "name": "c", "image": "busybox", "resources": { "requests": { "cpu": cpu } } }],
    });
    if let (Some(spec), Value::Object(more)) = (spec.as_object_mut(), more) {
        spec.extend(more);
    }
    json!({ "apiVersion": "v1", "kind": "Pod", "metadata": { "name": name, "labels": { "app": pool } }, "spec": spec })
}

fn node_of(kubectl: &Kubectl, pod: &str) -> Result<String> {
    let named = |node: &Value| node.as_str().is_some_and(|node| !node.is_empty());
    let node = kubectl.wait_value(&format!("pod/{pod}"), "/spec/nodeName", SOON, named)?;
    node.as_str().map(str::to_owned).context("a name")
}

/// The message of the Pod's condition, once it says so.
fn message(kubectl: &Kubectl, pod: &str, part: &str) -> Result<String> {
    let says = |conditions: &Value| {
        conditions.as_array().into_iter().flatten().any(|one| one["message"].as_str().is_some_and(|m| m.contains(part)))
    };
    let conditions = kubectl.wait_value(&format!("pod/{pod}"), "/status/conditions", SOON, says)?;
    Ok(conditions[0]["message"].as_str().unwrap_or_default().to_owned())
}

fn pods_that_shun_each_other_get_a_node_each(cluster: &Cluster) -> Result<()> {
    let kubectl = cluster.namespace("shun")?;
    nodes(&kubectl, "shun", &[("a", "x"), ("b", "x"), ("c", "y")])?;
    let alone = json!({ "affinity": { "podAntiAffinity": { "requiredDuringSchedulingIgnoredDuringExecution": [
        { "topologyKey": "kubernetes.io/hostname", "labelSelector": { "matchLabels": { "app": "shun" } } }] } } });
    let mut taken = std::collections::BTreeSet::new();
    for name in ["one", "two", "three"] {
        kubectl.apply(&pod(name, "shun", "1", alone.clone()).to_string())?;
        taken.insert(node_of(&kubectl, name)?);
    }
    ensure!(taken.len() == 3, "{taken:?}");
    kubectl.apply(&pod("four", "shun", "1", alone).to_string())?;
    let told = message(&kubectl, "four", "3 node(s) didn't match pod anti-affinity rules")?;
    ensure!(told.contains("preemption: 0/"), "{told}");
    let free = node_of(&kubectl, "two")?;
    kubectl.ok(&["delete", "pod", "two"])?;
    let node = node_of(&kubectl, "four")?;
    ensure!(node == free, "{node} instead of {free}");
    Ok(())
}

fn pods_are_spread_over_zones(cluster: &Cluster) -> Result<()> {
    let kubectl = cluster.namespace("spread")?;
    nodes(&kubectl, "spread", &[("a", "x"), ("b", "x"), ("c", "y")])?;
    let even = json!({ "topologySpreadConstraints": [{
        "maxSkew": 1, "topologyKey": "zone", "whenUnsatisfiable": "DoNotSchedule",
        "labelSelector": { "matchLabels": { "app": "spread" } } }] });
    let mut in_y = 0;
    for number in 0..6 {
        let name = format!("p{number}");
        kubectl.apply(&pod(&name, "spread", "1", even.clone()).to_string())?;
        in_y += u32::from(node_of(&kubectl, &name)? == "spread-c");
    }
    ensure!(in_y == 3, "{in_y} of 6 in zone y");
    kubectl.ok(&["cordon", "spread-c"])?;
    let cordoned = json!({ "tolerations": [], "topologySpreadConstraints": even["topologySpreadConstraints"] });
    for name in ["more", "most"] {
        kubectl.apply(&pod(name, "spread", "100m", cordoned.clone()).to_string())?;
    }
    let refused = |name: &str| message(&kubectl, name, "node(s) didn't match pod topology spread constraints");
    let (one, other) = (kubectl.text("pod/more", "/spec/nodeName")?, kubectl.text("pod/most", "/spec/nodeName")?);
    if one.is_empty() && other.is_empty() {
        // One of them fits; which, is up to the scheduler.
        let deadline = Instant::now() + SOON;
        while kubectl.text("pod/more", "/spec/nodeName")?.is_empty()
            && kubectl.text("pod/most", "/spec/nodeName")?.is_empty()
        {
            ensure!(Instant::now() < deadline, "none is scheduled");
        }
    }
    let late = if kubectl.text("pod/more", "/spec/nodeName")?.is_empty() { "more" } else { "most" };
    refused(late)?;
    kubectl.ok(&["uncordon", "spread-c"])?;
    let node = node_of(&kubectl, late)?;
    ensure!(node == "spread-c", "{node}");
    Ok(())
}

fn priority_class(kubectl: &Kubectl, name: &str, value: i32) -> Result<()> {
    let class = json!({ "apiVersion": "scheduling.k8s.io/v1", "kind": "PriorityClass", "metadata": { "name": name },
                        "value": value });
    kubectl.apply(&class.to_string()).map(drop)
}

fn the_greater_take_the_place_of_the_lesser(cluster: &Cluster) -> Result<()> {
    let kubectl = cluster.namespace("preempt")?;
    nodes(&kubectl, "preempt", &[("a", "x")])?;
    priority_class(&kubectl, "greater", 1000)?;
    kubectl.apply(&pod("lesser", "preempt", "3", json!({})).to_string())?;
    node_of(&kubectl, "lesser")?;
    let class = json!({ "apiVersion": "scheduling.k8s.io/v1", "kind": "PriorityClass", "metadata": { "name": "modest" },
                        "value": 1000, "preemptionPolicy": "Never" });
    kubectl.apply(&class.to_string())?;
    let modest = json!({ "priorityClassName": "modest" });
    kubectl.apply(&pod("modest", "preempt", "3", modest).to_string())?;
    message(&kubectl, "modest", "preemption: not eligible due to preemptionPolicy=Never.")?;
    kubectl.ok(&["delete", "pod", "modest"])?;
    kubectl.apply(&pod("greater", "preempt", "3", json!({ "priorityClassName": "greater" })).to_string())?;
    let node = node_of(&kubectl, "greater")?;
    ensure!(node == "preempt-a", "{node}");
    kubectl.ok(&["wait", "--for=delete", "pod/lesser", "--timeout=30s"])?;
    let deadline = Instant::now() + SOON;
    loop {
        let events = kubectl.ok(&["get", "events", "--field-selector=reason=Preempted", "-o", "json"])?;
        let events: Value = serde_json::from_str(&events)?;
        if let Some(event) = events["items"].get(0) {
            let text = event["message"].as_str().unwrap_or_default();
            ensure!(text.starts_with("Preempted by pod ") && text.ends_with(" on node preempt-a"), "{text}");
            return Ok(());
        }
        if Instant::now() > deadline {
            bail!("no Event tells of it");
        }
    }
}

fn a_budget_turns_preemption_elsewhere(cluster: &Cluster) -> Result<()> {
    let kubectl = cluster.namespace("budget")?;
    nodes(&kubectl, "budget", &[("a", "x"), ("b", "y")])?;
    priority_class(&kubectl, "urgent", 1000)?;
    priority_class(&kubectl, "usual", 10)?;
    for (name, zone, class) in [("guarded", "x", None), ("free", "y", Some("usual"))] {
        let mut there = json!({ "nodeSelector": { "pool": "budget", "zone": zone } });
        if let Some(class) = class {
            there["priorityClassName"] = json!(class);
        }
        let mut pod = pod(name, "budget", "3", there);
        pod["metadata"]["labels"] = json!({ "app": name });
        kubectl.apply(&pod.to_string())?;
        node_of(&kubectl, name)?;
    }
    let budget = json!({ "apiVersion": "policy/v1", "kind": "PodDisruptionBudget", "metadata": { "name": "guarded" },
                         "spec": { "minAvailable": 1, "selector": { "matchLabels": { "app": "guarded" } } } });
    kubectl.apply(&budget.to_string())?;
    kubectl.wait_value("pdb/guarded", "/status/observedGeneration", SOON, |value| !value.is_null())?;
    kubectl.apply(&pod("urgent", "budget", "3", json!({ "priorityClassName": "urgent" })).to_string())?;
    // The guarded Pod is the lesser one, and yet stays.
    let node = node_of(&kubectl, "urgent")?;
    ensure!(node == "budget-b", "{node}");
    let guarded = kubectl.text("pod/guarded", "/spec/nodeName")?;
    ensure!(guarded == "budget-a", "{guarded}");
    Ok(())
}

fn gates_hold_back(cluster: &Cluster) -> Result<()> {
    let kubectl = cluster.namespace("gates")?;
    nodes(&kubectl, "gates", &[("a", "x")])?;
    kubectl.apply(
        &pod("held", "gates", "1", json!({ "schedulingGates": [{ "name": "example.com/wait" }] })).to_string(),
    )?;
    message(&kubectl, "held", "Scheduling is blocked due to non-empty scheduling gates")?;
    kubectl.ok(&[
        "patch",
        "pod",
        "held",
        "--type=json",
        "-p",
        r#"[{"op":"remove","path":"/spec/schedulingGates"}]"#,
    ])?;
    ensure!(node_of(&kubectl, "held")? == "gates-a");
    Ok(())
}

fn profiles_differ(cluster: &Cluster) -> Result<()> {
    let kubectl = cluster.namespace("profiles")?;
    nodes(&kubectl, "profiles", &[("a", "x"), ("b", "x"), ("c", "x")])?;
    let chosen = |prefix: &str, scheduler: &str| -> Result<usize> {
        let mut nodes = std::collections::BTreeSet::new();
        for number in 0..3 {
            let name = format!("{prefix}{number}");
            let spec = json!({ "schedulerName": scheduler });
            kubectl.apply(&pod(&name, "profiles", "1", spec).to_string())?;
            nodes.insert(node_of(&kubectl, &name)?);
        }
        Ok(nodes.len())
    };
    let packed = chosen("packed", "packer")?;
    ensure!(packed == 1, "packed on {packed} nodes");
    kubectl.apply(&pod("nobodys", "profiles", "1", json!({ "schedulerName": "nobody" })).to_string())?;
    kubectl.ok(&["delete", "pod", "packed0", "packed1", "packed2"])?;
    let spread = chosen("spread", "default-scheduler")?;
    ensure!(spread == 3, "spread on {spread} nodes");
    let nobodys = kubectl.text("pod/nobodys", "/spec/nodeName")?;
    ensure!(nobodys.is_empty(), "{nobodys}");
    Ok(())
}

/// What `isopod why` says of a Pod, once it says this.
fn why(cluster: &Cluster, namespace: &str, pod: &str, part: &str) -> Result<String> {
    let deadline = Instant::now() + SOON;
    loop {
        let output = cluster.isopod(&["why", &format!("pod/{pod}"), "-n", namespace])?;
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        if text.contains(part) {
            return Ok(text);
        }
        ensure!(Instant::now() < deadline, "{part:?} is not in:\n{text}");
        std::thread::sleep(Duration::from_millis(100));
    }
}

fn why_says_what_each_node_lacks(cluster: &Cluster) -> Result<()> {
    let kubectl = cluster.namespace("why-nodes")?;
    nodes(&kubectl, "why", &[("a", "x"), ("b", "y")])?;
    kubectl.ok(&["taint", "node", "why-a", "team=blue:NoSchedule"])?;
    let intolerant = |zone: &str| json!({ "tolerations": [], "nodeSelector": { "pool": "why", "zone": zone } });
    kubectl.apply(&pod("large", "why", "4200m", intolerant("y")).to_string())?;
    let said = why(cluster, kubectl.namespace(), "large", "needs 200m more CPU on why-b")?;
    ensure!(said.contains("Nearest miss: needs 200m more CPU on why-b"), "{said}");
    ensure!(
        said.contains("  why-a: node(s) had untolerated taint(s) (tolerate taint team=blue:NoSchedule); "),
        "{said}"
    );
    kubectl.apply(&pod("shy", "why", "1", intolerant("x")).to_string())?;
    why(cluster, kubectl.namespace(), "shy", "tolerate taint team=blue:NoSchedule and it fits why-a")?;
    kubectl.ok(&["taint", "node", "why-a", "team-"])?;
    node_of(&kubectl, "shy")?;
    kubectl.ok(&["delete", "pod", "large", "--wait"])?;
    why(cluster, kubectl.namespace(), "large", "it never had a node").map(drop)
}

/// `isopod hollow`, ended when dropped.
struct Hollow(std::process::Child);

impl Hollow {
    fn start(cluster: &Cluster, nodes: usize) -> Result<Self> {
        let data_dir = format!("--data-dir={}", cluster.data_dir().display());
        let mut command = std::process::Command::new(cluster.binary());
        command.args(["hollow", &format!("--nodes={nodes}"), "--zones=2", "--job-duration=1s", &data_dir]);
        let quiet = command.stdin(std::process::Stdio::null()).env("RUST_LOG", "warn");
        Ok(Self(quiet.spawn().context("starting hollow nodes")?))
    }
}

impl Drop for Hollow {
    fn drop(&mut self) {
        // It may have ended; whoever waits for its nodes says so.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A workload of hollow Pods.
fn hollow_workload(kind: &str, group: &str, spec: Value) -> Value {
    let template = json!({ "metadata": { "labels": { "app": "hollow" } }, "spec": {
        "nodeSelector": { "node.isopod.io/hollow": "true" },
        "containers": [{ "name": "c", "image": "nothing", "resources": { "requests": { "cpu": "100m" } } }] } });
    let mut workload = json!({ "apiVersion": group, "kind": kind, "metadata": { "name": "hollow" }, "spec": spec });
    workload["spec"]["template"] = template;
    workload
}

fn hollow_nodes_take_and_lose_pods(cluster: &Cluster) -> Result<()> {
    const NODES: usize = 50;
    let kubectl = cluster.namespace("hollow")?;
    let hollow = Hollow::start(cluster, NODES)?;
    // One that comes late would find every Pod placed.
    kubectl.wait_value("nodes", "/items", std::time::Duration::from_secs(60), |nodes| {
        nodes.as_array().is_some_and(|nodes| nodes.len() > NODES)
    })?;
    let selector = json!({ "matchLabels": { "app": "hollow" } });
    let deployment = hollow_workload("Deployment", "apps/v1", json!({ "replicas": 200, "selector": selector }));
    kubectl.apply(&deployment.to_string())?;
    kubectl.ok(&["rollout", "status", "deployment/hollow", "--timeout=120s"])?;
    let names =
        kubectl.ok(&["get", "pods", "-o", "jsonpath={range .items[*]}{.spec.nodeName} {.status.podIP}{'\\n'}{end}"])?;
    let mut per_node = std::collections::BTreeMap::<&str, usize>::new();
    let mut addresses = std::collections::BTreeSet::new();
    for (node, address) in names.lines().filter_map(|line| line.split_once(' ')) {
        *per_node.entry(node).or_default() += 1;
        addresses.insert(address);
    }
    ensure!(addresses.len() == 200, "{} addresses", addresses.len());
    ensure!(per_node.len() == NODES, "{} nodes have Pods: {per_node:?}", per_node.len());
    ensure!(per_node.values().all(|count| *count <= 8), "{per_node:?}");
    kubectl.ok(&["delete", "deployment", "hollow", "--cascade=foreground", "--timeout=80s"])?;
    ensure!(kubectl.ok(&["get", "pods", "-o", "name"])?.is_empty());
    let mut job = hollow_workload("Job", "batch/v1", json!({ "completions": 3, "parallelism": 3 }));
    job["spec"]["template"]["spec"]["restartPolicy"] = json!("Never");
    kubectl.apply(&job.to_string())?;
    kubectl.ok(&["wait", "--for=condition=Complete", "job/hollow", "--timeout=60s"])?;
    drop(hollow);
    kubectl.ok(&["delete", "node", "-l", "node.isopod.io/hollow=true"]).map(drop)
}
