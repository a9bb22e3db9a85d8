//! `cargo bench -p scheduler --bench throughput [-- CASE]`: Pods per second and CPU per Pod of the decisions alone.
//!
//! The cases are upstream's (`scheduler_perf`), with its shapes of nodes and Pods; upstream asks its own scheduler for
//! 270 Pods/s (basic), 60 (anti-affinity), 35 (affinity), 85 (spread), 160 (preemption), 140 (unschedulable) and
//! 265 (churn) on 5,000 nodes. Nothing is asserted here but that every Pod gets its node.

use std::time::{Duration, Instant};

use k8s_openapi::api::core::v1::{Node, Pod};
use scheduler::{Configuration, Offline, Step};
use serde_json::{Value, json};

const ZONE: &str = "topology.kubernetes.io/zone";
const HOSTNAME: &str = "kubernetes.io/hostname";
/// Pods in order, so that uids are unique.
const COLORS: [&str; 3] = ["blue", "green", "red"];

fn main() {
    let wanted = std::env::args().skip(1).find(|argument| !argument.starts_with('-'));
    for nodes in [500, 5000] {
        for case in cases() {
            if wanted.as_ref().is_none_or(|wanted| case.name.contains(wanted.as_str())) {
                case.measure(nodes);
            }
        }
    }
}

/// Pods that are there, Pods that come, and what happens meanwhile.
struct Case {
    name: &'static str,
    /// Pods per second that upstream asks for on 5,000 nodes.
    upstream: Option<u32>,
    zones: usize,
    /// Per node, before anything is measured.
    placed_per_node: usize,
    placed: Value,
    measured: Value,
    /// Pods that fit nowhere and wait all the while.
    backlog: usize,
    /// A node, a Service's worth of nothing and a Pod come and go after so many Pods.
    churn: Option<usize>,
}

impl Case {
    fn new(name: &'static str, upstream: Option<u32>, measured: Value) -> Self {
        Self {
            name,
            upstream,
            zones: 3,
            placed_per_node: 1,
            placed: spec("100m", json!({})),
            measured,
            backlog: 0,
            churn: None,
        }
    }
}

fn cases() -> Vec<Case> {
    let on = |key: &str, color: &str| {
        json!({ "requiredDuringSchedulingIgnoredDuringExecution": [
            { "topologyKey": key, "labelSelector": { "matchLabels": { "color": color } } }] })
    };
    let zones = json!({ "nodeSelectorTerms": [{ "matchExpressions": [
        { "key": ZONE, "operator": "In", "values": ["zone-0", "zone-1"] }] }] });
    let node_affinity =
        json!({ "affinity": { "nodeAffinity": { "requiredDuringSchedulingIgnoredDuringExecution": zones } } });
    let anti = json!({ "affinity": { "podAntiAffinity": on(HOSTNAME, "green") } });
    let near = json!({ "affinity": { "podAffinity": on(ZONE, "blue") } });
    let spread = json!({ "topologySpreadConstraints": [{ "maxSkew": 5, "topologyKey": ZONE,
        "whenUnsatisfiable": "DoNotSchedule", "labelSelector": { "matchLabels": { "color": "blue" } } }] });
    let urgent = json!({ "priority": 10 });
    let basic = || spec("100m", json!({}));
    vec![
        Case::new("basic", Some(270), basic()),
        Case::new("node affinity", None, spec("100m", node_affinity)),
        Case { placed_per_node: 0, ..Case::new("pod anti-affinity", Some(60), colored("green", anti)) },
        Case {
            zones: 1,
            placed: colored("blue", near.clone()),
            ..Case::new("pod affinity", Some(35), colored("blue", near))
        },
        Case::new("topology spread", Some(85), colored("blue", spread)),
        Case {
            placed_per_node: 4,
            placed: spec("900m", json!({})),
            ..Case::new("preemption", Some(160), spec("3", urgent))
        },
        Case { backlog: 200, ..Case::new("unschedulable", Some(140), basic()) },
        Case { churn: Some(100), ..Case::new("mixed churn", Some(265), basic()) },
    ]
}

fn spec(cpu: &str, more: Value) -> Value {
    let mut spec = json!({ "containers": [{ "name": "c", "image": "pause",
        "resources": { "requests": { "cpu": cpu, "memory": "500Mi" } } }] });
    if let (Some(spec), Value::Object(more)) = (spec.as_object_mut(), more) {
        spec.extend(more);
    }
    json!({ "metadata": { "labels": { "color": COLORS[2] } }, "spec": spec })
}

fn colored(color: &str, more: Value) -> Value {
    let mut pod = spec("100m", more);
    pod["metadata"]["labels"]["color"] = json!(color);
    pod
}

fn pod(name: &str, template: &Value, node: Option<&str>) -> Pod {
    let mut pod = template.clone();
    pod["metadata"]["name"] = json!(name);
    pod["metadata"]["uid"] = json!(name);
    pod["metadata"]["namespace"] = json!("bench");
    if let Some(node) = node {
        pod["spec"]["nodeName"] = json!(node);
    }
    serde_json::from_value(pod).expect("a Pod")
}

fn node(number: usize, zones: usize) -> Node {
    let name = format!("node-{number}");
    let labels = json!({ ZONE: format!("zone-{}", number % zones), HOSTNAME: name });
    let node = json!({ "metadata": { "name": name, "labels": labels },
        "status": { "allocatable": { "cpu": "4", "memory": "32Gi", "pods": "110" } } });
    serde_json::from_value(node).expect("a Node")
}

impl Case {
    fn cluster(&self, nodes: usize) -> Offline {
        let mut cluster = Offline::new(&Configuration::default());
        for number in 0..nodes {
            cluster.set_node(node(number, self.zones));
            for place in 0..self.placed_per_node {
                let name = format!("placed-{number}-{place}");
                cluster.set_pod(pod(&name, &self.placed, Some(&format!("node-{number}"))));
            }
        }
        let large = spec("9", json!({}));
        for number in 0..self.backlog {
            cluster.set_pod(pod(&format!("large-{number}"), &large, None));
        }
        while cluster.step().is_some() {}
        cluster
    }

    fn measure(&self, nodes: usize) {
        let mut cluster = self.cluster(nodes);
        let pods = nodes.min(2000) / if self.name == "preemption" { 2 } else { 1 };
        let waiting: Vec<Pod> = (0..pods).map(|number| pod(&format!("new-{number}"), &self.measured, None)).collect();
        let (begin, cpu) = (Instant::now(), cpu_time());
        waiting.into_iter().for_each(|pod| cluster.set_pod(pod));
        let (mut bound, mut tried) = (0, 0);
        while bound < pods {
            match cluster.step() {
                Some(Step::Bound { .. }) => bound += 1,
                Some(Step::Preempted { .. } | Step::Unschedulable { .. }) => {}
                None => cluster.advance(Duration::from_secs(1)),
            }
            tried += 1;
            if self.churn.is_some_and(|every| tried % every == 0) {
                self.churn(&mut cluster, nodes + tried);
            }
            assert!(tried < 20 * pods, "{}: only {bound} of {pods} Pods were bound", self.name);
        }
        self.report(nodes, pods, begin.elapsed(), cpu_time().saturating_sub(cpu));
    }

    /// A node comes, the one before it goes; a Pod that fits nowhere comes, the one before it goes.
    fn churn(&self, cluster: &mut Offline, number: usize) {
        let before = number - self.churn.unwrap_or_default();
        cluster.set_node(node(number, self.zones));
        cluster.remove_node(&format!("node-{before}"));
        cluster.set_pod(pod(&format!("large-{number}"), &spec("9", json!({ "priority": 10 })), None));
        cluster.remove_pod(&format!("large-{before}"));
    }

    fn report(&self, nodes: usize, pods: usize, time: Duration, cpu: Duration) {
        let name = format!("scheduler, {nodes} nodes, {}", self.name);
        let rate = pods as f64 / time.as_secs_f64();
        let each = cpu.as_secs_f64() * 1e6 / pods as f64;
        let upstream = self.upstream.filter(|_| nodes == 5000);
        let upstream = upstream.map(|asked| format!(", {:.0} times upstream's threshold", rate / f64::from(asked)));
        println!("{name:<46} {rate:.0} Pods/s, {each:.0} us CPU per Pod{}", upstream.unwrap_or_default());
    }
}

/// What this process used so far.
fn cpu_time() -> Duration {
    let text = std::fs::read_to_string("/proc/self/schedstat").unwrap_or_default();
    Duration::from_nanos(text.split(' ').next().and_then(|nanoseconds| nanoseconds.parse().ok()).unwrap_or_default())
}
