//! What must hold once a cluster is at rest: a pure comparison of what the API says with what the host shows.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::Result;
use serde_json::Value;

use super::pods::{End, Policy};
use super::world::World;
use crate::Kubectl;

/// What is expected of one Pod.
#[derive(Debug, Clone)]
pub struct Expectation {
    /// The Pod.
    pub name: String,
    /// How it ends; nothing for a Pod that was deleted.
    pub end: Option<End>,
    /// When its containers are restarted.
    pub policy: Policy,
    /// Whether its containers may have been killed, after which a Pod that restarts nothing ends for good.
    pub containers_died: bool,
}

/// A Pod as the API shows it.
#[derive(Debug, Clone)]
pub struct PodView {
    name: String,
    uid: String,
    phase: String,
    ready: bool,
    host_network: bool,
    host_ports: usize,
    restarts: u64,
    init_restarts: u64,
    /// Ids of containers that run, by name.
    running: BTreeMap<String, String>,
}

impl PodView {
    /// All Pods of the namespace.
    ///
    /// # Errors
    /// When the API does not answer.
    pub fn list(kubectl: &Kubectl) -> Result<Vec<Self>> {
        let list: Value = serde_json::from_str(&kubectl.ok(&["get", "pods", "-o", "json"])?)?;
        Ok(list["items"].as_array().into_iter().flatten().map(Self::of).collect())
    }

    fn of(pod: &Value) -> Self {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let statuses = |kind: &str| pod["status"][kind].as_array().cloned().unwrap_or_default();
        let restarts = |kind: &str| statuses(kind).iter().filter_map(|status| status["restartCount"].as_u64()).sum();
        let lists = ["initContainerStatuses", "containerStatuses", "ephemeralContainerStatuses"];
        let running = lists.into_iter().flat_map(statuses);
        let running = running.filter(|status| status["state"]["running"].is_object());
        let id = |status: &Value| text(&status["containerID"]).rsplit('/').next().unwrap_or_default().to_owned();
        let conditions = pod["status"]["conditions"].as_array().cloned().unwrap_or_default();
        let containers = pod["spec"]["containers"].as_array().cloned().unwrap_or_default();
        let ports = containers.iter().flat_map(|one| one["ports"].as_array().cloned().unwrap_or_default());
        let host_network = pod["spec"]["hostNetwork"] == true;
        Self {
            name: text(&pod["metadata"]["name"]),
            uid: text(&pod["metadata"]["uid"]),
            phase: text(&pod["status"]["phase"]),
            ready: conditions.iter().any(|condition| condition["type"] == "Ready" && condition["status"] == "True"),
            host_network,
            host_ports: if host_network { 0 } else { ports.filter(|port| port["hostPort"].is_u64()).count() },
            restarts: restarts("containerStatuses"),
            init_restarts: restarts("initContainerStatuses"),
            running: running.map(|status| (text(&status["name"]), id(&status))).collect(),
        }
    }

    fn is_over(&self) -> bool {
        self.phase == "Succeeded" || self.phase == "Failed"
    }
}

/// Everything that is not as it must be.
pub fn check(expectations: &[Expectation], pods: &[PodView], world: &World) -> Vec<String> {
    let mut problems = Vec::new();
    check_ends(expectations, pods, &mut problems);
    check_processes(pods, world, &mut problems);
    check_possessions(pods, world, &mut problems);
    check_network(pods, world, &mut problems);
    problems
}

/// Every Pod is in the state a quiet run gives.
fn check_ends(expectations: &[Expectation], pods: &[PodView], problems: &mut Vec<String>) {
    for expected in expectations {
        let found = pods.iter().find(|pod| pod.name == expected.name);
        match (expected.end, found) {
            (None, None) => {}
            (None, Some(pod)) => problems.push(format!("{}: deleted, but still {}", pod.name, pod.phase)),
            (Some(_), None) => problems.push(format!("{}: lost", expected.name)),
            (Some(end), Some(pod)) if !is_at(end, expected, pod) => {
                let PodView { name, phase, ready, restarts, .. } = pod;
                problems.push(format!("{name}: is {phase} (ready: {ready}, {restarts} restarts), not {end:?}"));
            }
            _ => {}
        }
    }
}

fn is_at(end: End, expected: &Expectation, pod: &PodView) -> bool {
    // A container that was killed has ended; what is not restarted after that is over.
    let ended = expected.containers_died
        && match expected.policy {
            // Others of its containers may still run.
            Policy::Never => pod.is_over() || pod.phase == "Running",
            Policy::OnFailure => pod.phase == "Succeeded",
            Policy::Always => false,
        };
    ended
        || match end {
            End::Ready => pod.phase == "Running" && pod.ready,
            End::Succeeded => pod.phase == "Succeeded",
            End::Failed => pod.phase == "Failed",
            End::CrashLoop => pod.phase == "Running" && pod.restarts > 0,
            End::InitCrashLoop => pod.phase == "Pending" && pod.init_restarts > 0,
        }
}

/// What runs is what the API says runs, once.
fn check_processes(pods: &[PodView], world: &World, problems: &mut Vec<String>) {
    let shims: BTreeSet<&str> = world.shims.iter().map(|shim| shim.sandbox.as_str()).collect();
    if shims.len() != world.shims.len() {
        problems.push("a sandbox has two shims".to_owned());
    }
    for member in &world.members {
        let pod = pods.iter().find(|pod| pod.uid == member.uid);
        let known = pod.is_some_and(|pod| pod.running.values().any(|id| *id == member.container));
        if !known && !shims.contains(member.container.as_str()) {
            let name = pod.map_or("a Pod that is not in the API", |pod| &pod.name);
            problems.push(format!("{name}: process {} ({}) runs unknown to the API", member.pid, member.command));
        }
    }
    for pod in pods {
        for (name, id) in &pod.running {
            let first = world.inits().filter(|member| member.container == *id).count();
            if first != 1 {
                problems.push(format!("{}: container {name} is said to run and has {first} first processes", pod.name));
            }
        }
        let pauses = world.pauses().filter(|member| member.uid == pod.uid).count();
        if pauses != usize::from(!pod.is_over()) {
            problems.push(format!("{}: is {} and has {pauses} pause processes", pod.name, pod.phase));
        }
    }
    let with_pause: BTreeSet<&str> = world.pauses().map(|member| member.container.as_str()).collect();
    for sandbox in shims.difference(&with_pause) {
        problems.push(format!("the shim of sandbox {sandbox} has no pause process"));
    }
}

/// Cgroups, mounts and files belong to Pods; those that cost something to Pods that are not over.
fn check_possessions(pods: &[PodView], world: &World, problems: &mut Vec<String>) {
    let all: BTreeSet<String> = pods.iter().map(|pod| pod.uid.clone()).collect();
    let live: BTreeSet<String> = pods.iter().filter(|pod| !pod.is_over()).map(|pod| pod.uid.clone()).collect();
    let held = [
        ("cgroup", &world.pod_cgroups, &live),
        ("mount", &world.mounts, &live),
        ("directory", &world.pod_directories, &all),
        ("log directory", &world.log_directories, &all),
    ];
    for (what, holders, owners) in held {
        problems.extend(holders.difference(owners).map(|uid| format!("{what} of Pod {uid}, which has no use for it")));
    }
    problems.extend(live.difference(&world.pod_cgroups).map(|uid| format!("Pod {uid} has no cgroup")));
    if pods.is_empty() {
        problems.extend(world.sandboxes.iter().map(|id| format!("directory of sandbox {id}, but there are no Pods")));
        problems.extend(world.snapshots.iter().map(|id| format!("files of container {id}, but there are no Pods")));
    }
}

/// Links, records and rules are those of Pods with a network of their own.
fn check_network(pods: &[PodView], world: &World, problems: &mut Vec<String>) {
    let own: Vec<&PodView> = pods.iter().filter(|pod| !pod.is_over() && !pod.host_network).collect();
    if world.links.len() != own.len() {
        problems.push(format!("{} Pods with a network, but links {:?}", own.len(), world.links));
    }
    // A record that was broken is missed when the daemon starts, so one may lack here; none may be left over.
    for (sandbox, _) in
        world.network_records.iter().filter(|(id, _)| !world.shims.iter().any(|shim| shim.sandbox == **id))
    {
        problems.push(format!("the network has a record of sandbox {sandbox}, which is over"));
    }
    let ports: usize = own.iter().map(|pod| pod.host_ports).sum();
    if ports != world.port_rules {
        problems.push(format!("{ports} host ports, but {} rules", world.port_rules));
    }
}
