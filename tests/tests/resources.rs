//! What Pods may use: cgroups, admission on the node, resizes, evictions.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;
use tests::{Cluster, Kubectl, Options, cases, suite};

const SOON: Duration = Duration::from_secs(40);

fn main() -> ExitCode {
    let cases = cases![
        cgroups_hold_what_pods_ask_for,
        the_node_keeps_what_is_reserved,
        a_pod_that_does_not_fit_is_rejected_by_the_node,
        a_container_grows_while_it_runs,
        a_resize_can_be_deferred_infeasible_and_restart,
        classes_give_priority_and_overhead,
        a_pod_grows_as_a_whole,
        whole_cpus_can_be_a_containers_own,
        local_storage_over_its_limit_ends_the_pod,
        a_node_that_is_short_makes_pods_go,
        pods_that_use_more_than_all_may_are_evicted_at_once,
        a_critical_pod_starts_when_others_have_made_way,
        huge_pages_are_for_those_who_ask,
    ];
    let flags =
        ["--system-reserved=cpu=100m,memory=100Mi", "--pod-max-pids=200", "--eviction-hard=memory.available<100Mi"]
            .map(str::to_owned)
            .to_vec();
    suite::run(|| Cluster::start(Options { flags, ..Options::default() }), cases, Cluster::diagnose)
}

/// A Pod that sleeps; `resources` is a JSON object, `more` goes into its spec.
fn sleeper(name: &str, resources: &str, more: &str) -> String {
    format!(
        "apiVersion: v1\nkind: Pod\nmetadata: {{name: {name}}}\nspec:\n  terminationGracePeriodSeconds: 1\n  {more}\n  \
         containers:\n  - name: app\n    image: busybox\n    command: [sleep, '3600']\n    resources: {resources}\n"
    )
}

/// The cgroup directory of a Pod for a controller, version 1 or 2.
fn cgroup(kubectl: &Kubectl, pod: &str, controller: &str) -> Result<PathBuf> {
    let uid = kubectl.text(&format!("pod/{pod}"), "/metadata/uid")?;
    let mut roots = vec![PathBuf::from("/sys/fs/cgroup").join(controller), PathBuf::from("/sys/fs/cgroup")];
    roots.retain(|root| root.is_dir());
    for root in roots {
        let own = std::fs::read_dir(&root)?
            .flatten()
            .filter(|entry| entry.file_name().to_string_lossy().starts_with("isopod-"));
        for entry in own {
            for class in ["", "burstable", "besteffort"] {
                let path = entry.path().join("kubepods").join(class).join(format!("pod{uid}"));
                if path.is_dir() {
                    return Ok(path);
                }
            }
        }
    }
    anyhow::bail!("no {controller} cgroup of {pod}")
}

/// What a file of the cgroup says, under its version 1 name.
fn read(directory: &std::path::Path, file: &str) -> Result<String> {
    let text =
        std::fs::read_to_string(directory.join(file)).with_context(|| format!("{}/{file}", directory.display()))?;
    Ok(text.trim().to_owned())
}

fn is_v1() -> bool {
    std::path::Path::new("/sys/fs/cgroup/memory/cgroup.procs").exists()
}

fn cgroups_hold_what_pods_ask_for(cluster: &Cluster) -> Result<()> {
    let kubectl = cluster.namespace("cgroups")?;
    let limits = "{limits: {cpu: 200m, memory: 64Mi}}";
    kubectl.apply(&sleeper("guaranteed", limits, ""))?;
    kubectl.apply(&sleeper("burstable", "{requests: {cpu: 100m, memory: 16Mi}}", ""))?;
    kubectl.apply(&sleeper("besteffort", "{}", ""))?;
    kubectl.apply(&sleeper("whole", "{}", "resources: {limits: {cpu: 300m, memory: 96Mi}}"))?;
    for pod in ["guaranteed", "burstable", "besteffort", "whole"] {
        kubectl.wait_ready(pod)?;
    }
    for (pod, class) in [("guaranteed", "Guaranteed"), ("burstable", "Burstable"), ("besteffort", "BestEffort")] {
        ensure!(kubectl.text(&format!("pod/{pod}"), "/status/qosClass")? == class);
    }
    ensure!(cgroup(&kubectl, "besteffort", "cpu")?.parent().is_some_and(|parent| parent.ends_with("besteffort")));
    if is_v1() {
        let cpu = cgroup(&kubectl, "guaranteed", "cpu")?;
        ensure!(read(&cpu, "cpu.shares")? == "204" && read(&cpu, "cpu.cfs_quota_us")? == "20000");
        ensure!(read(&cgroup(&kubectl, "guaranteed", "memory")?, "memory.limit_in_bytes")? == "67108864");
        ensure!(read(&cgroup(&kubectl, "guaranteed", "pids")?, "pids.max")? == "200");
        ensure!(read(&cgroup(&kubectl, "whole", "memory")?, "memory.limit_in_bytes")? == (96 << 20).to_string());
        ensure!(read(&cgroup(&kubectl, "besteffort", "cpu")?, "cpu.shares")? == "2");
        let burstable = cgroup(&kubectl, "burstable", "cpu")?;
        ensure!(read(&burstable, "cpu.shares")? == "102");
        let parent: u64 = read(burstable.parent().context("a parent")?, "cpu.shares")?.parse()?;
        ensure!(parent >= 102, "the class weighs what its Pods ask for, not {parent}");
    }
    let score = |pod| kubectl.ok(&["exec", pod, "--", "cat", "/proc/1/oom_score_adj"]);
    ensure!(score("besteffort")?.trim() == "1000");
    let burstable: i64 = score("burstable")?.trim().parse()?;
    ensure!((3..1000).contains(&burstable), "{burstable}");
    kubectl.ok(&["delete", "pod", "--all", "--now"]).map(drop)
}

/// An amount of memory as the Node states it, rounded down.
fn mebibytes(text: &str) -> Result<i64> {
    match text.strip_suffix("Mi") {
        Some(number) => Ok(number.parse()?),
        None => Ok(text.trim_end_matches("Ki").parse::<i64>()? / 1024),
    }
}

fn the_node_keeps_what_is_reserved(cluster: &Cluster) -> Result<()> {
    let kubectl = cluster.kubectl();
    let node = |pointer: &str| kubectl.text("node/node-1", pointer);
    let cpus: i64 = node("/status/capacity/cpu")?.parse()?;
    ensure!(node("/status/allocatable/cpu")? == format!("{}m", cpus * 1000 - 100));
    let kept = mebibytes(&node("/status/capacity/memory")?)? - mebibytes(&node("/status/allocatable/memory")?)?;
    ensure!((199..=201).contains(&kept), "100 MiB are reserved and 100 MiB are where eviction begins, not {kept}");
    ensure!(!node("/status/allocatable/ephemeral-storage")?.is_empty());
    Ok(())
}

fn a_pod_that_does_not_fit_is_rejected_by_the_node(cluster: &Cluster) -> Result<()> {
    let kubectl = cluster.namespace("rejected")?;
    // Bound by hand: the scheduler would not.
    kubectl.apply(&sleeper("greedy", "{requests: {cpu: '1000'}}", "nodeName: node-1"))?;
    kubectl.wait_value("pod/greedy", "/status/phase", SOON, |phase| phase == "Failed")?;
    ensure!(kubectl.text("pod/greedy", "/status/reason")? == "OutOfcpu");
    let message = kubectl.text("pod/greedy", "/status/message")?;
    let start = "Pod was rejected: Node didn't have enough resource: cpu, requested: 1000000, used: ";
    ensure!(message.starts_with(start), "{message}");
    kubectl.apply(&sleeper("elsewhere", "{}", "nodeName: node-1\n  nodeSelector: {disktype: tape}"))?;
    kubectl.wait_value("pod/elsewhere", "/status/reason", SOON, |reason| reason == "NodeAffinity")?;
    let events = kubectl.ok(&["get", "events", "-o=jsonpath={range .items[*]}{.reason}: {.message}{\"\\n\"}{end}"])?;
    ensure!(events.contains("OutOfcpu: Node didn't have enough resource: cpu"), "{events}");
    ensure!(
        events.contains("NodeAffinity: Predicate NodeAffinity failed: node(s) didn't match Pod's node"),
        "{events}"
    );
    kubectl.ok(&["delete", "pod", "--all", "--now"]).map(drop)
}

fn resize(kubectl: &Kubectl, pod: &str, resources: &str) -> Result<String> {
    let patch = format!("{{\"spec\":{{\"containers\":[{{\"name\":\"app\",\"resources\":{resources}}}]}}}}");
    kubectl.ok(&["patch", "pod", pod, "--subresource=resize", "--patch", &patch])
}

fn condition(pod: &Value, type_: &str) -> Value {
    let conditions = pod.pointer("/status/conditions").and_then(Value::as_array).cloned().unwrap_or_default();
    conditions.into_iter().find(|one| one["type"] == type_).unwrap_or_default()
}

fn a_container_grows_while_it_runs(cluster: &Cluster) -> Result<()> {
    let kubectl = cluster.namespace("grows")?;
    kubectl.apply(&sleeper("app", "{requests: {cpu: 100m, memory: 32Mi}, limits: {cpu: 200m, memory: 64Mi}}", ""))?;
    kubectl.wait_ready("app")?;
    let started = kubectl.text("pod/app", "/status/containerStatuses/0/state/running/startedAt")?;
    resize(&kubectl, "app", r#"{"requests":{"cpu":"150m","memory":"48Mi"},"limits":{"cpu":"400m","memory":"128Mi"}}"#)?;
    let resources = "/status/containerStatuses/0/resources";
    kubectl.wait_value("pod/app", resources, SOON, |has| has["limits"]["memory"] == "128Mi")?;
    ensure!(kubectl.value("pod/app", "/status/containerStatuses/0/allocatedResources")?["cpu"] == "150m");
    if is_v1() {
        let memory = cgroup(&kubectl, "app", "memory")?;
        let limit = (128 << 20).to_string();
        ensure!(read(&memory, "memory.limit_in_bytes")? == limit);
        let id = kubectl.text("pod/app", "/status/containerStatuses/0/containerID")?;
        let id = id.rsplit('/').next().context("an id")?;
        ensure!(read(&memory.join(id), "memory.limit_in_bytes")? == limit);
        let cpu = cgroup(&kubectl, "app", "cpu")?.join(id);
        ensure!(read(&cpu, "cpu.cfs_quota_us")? == "40000" && read(&cpu, "cpu.shares")? == "153");
    }
    resize(&kubectl, "app", r#"{"requests":{"cpu":"50m","memory":"16Mi"},"limits":{"cpu":"100m","memory":"40Mi"}}"#)?;
    kubectl.wait_value("pod/app", resources, SOON, |has| has["limits"]["memory"] == "40Mi")?;
    ensure!(kubectl.text("pod/app", "/status/containerStatuses/0/state/running/startedAt")? == started);
    ensure!(kubectl.value("pod/app", "/status/containerStatuses/0/restartCount")? == 0);
    let completed = |text: &str| text.contains("ResizeStarted") && text.contains("ResizeCompleted");
    let deadline = std::time::Instant::now() + SOON;
    while !completed(&kubectl.ok(&["get", "events"])?) {
        ensure!(std::time::Instant::now() < deadline, "{}", kubectl.ok(&["get", "events"])?);
        std::thread::sleep(Duration::from_millis(100));
    }
    let refused = kubectl.fails(&[
        "patch",
        "pod",
        "app",
        "--subresource=resize",
        "--patch",
        r#"{"spec":{"containers":[{"name":"app","resources":{"requests":{"memory":"40Mi","cpu":"100m"}}}]}}"#,
    ])?;
    ensure!(refused.contains("Pod QOS Class may not change as a result of resizing"), "{refused}");
    kubectl.ok(&["delete", "pod", "--all", "--now"]).map(drop)
}

fn a_resize_can_be_deferred_infeasible_and_restart(cluster: &Cluster) -> Result<()> {
    let kubectl = cluster.namespace("resizes")?;
    // In memory, of which other cases leave nearly all.
    let all = mebibytes(&kubectl.text("node/node-1", "/status/allocatable/memory")?)?;
    kubectl.apply(&sleeper("app", "{requests: {memory: 16Mi}}", ""))?;
    kubectl.apply(&sleeper("other", &format!("{{requests: {{memory: {}Mi}}}}", all / 2), ""))?;
    kubectl.wait_ready("app")?;
    kubectl.wait_ready("other")?;
    resize(&kubectl, "app", &format!(r#"{{"requests":{{"memory":"{}Mi"}}}}"#, all + 1))?;
    let pending = |reason: &'static str| move |pod: &Value| condition(pod, "PodResizePending")["reason"] == reason;
    let pod = kubectl.wait_value("pod/app", "", SOON, pending("Infeasible"))?;
    let message = condition(&pod, "PodResizePending")["message"].as_str().unwrap_or_default().to_owned();
    let expected = format!("Node didn't have enough capacity: memory, requested: {}, capacity: ", (all + 1) << 20);
    ensure!(message.starts_with(&expected), "{message}");
    let wanted = format!("{}Mi", all / 2 + 64);
    resize(&kubectl, "app", &format!(r#"{{"requests":{{"memory":"{wanted}"}}}}"#))?;
    kubectl.wait_value("pod/app", "", SOON, pending("Deferred"))?;
    let has = "/status/containerStatuses/0/resources/requests/memory";
    ensure!(kubectl.text("pod/app", has)? == "16Mi");
    kubectl.ok(&["delete", "pod", "other", "--now"])?;
    kubectl.wait_value("pod/app", has, SOON, |has| *has == *wanted)?;
    let pod = kubectl.wait_value("pod/app", "", SOON, |pod| condition(pod, "PodResizePending").is_null())?;
    ensure!(pod["status"]["phase"] == "Running" && pod["status"]["containerStatuses"][0]["restartCount"] == 0);
    kubectl.ok(&["delete", "pod", "app", "--now"])?;
    let policy =
        "{requests: {memory: 16Mi}}\n    resizePolicy: [{resourceName: memory, restartPolicy: RestartContainer}]";
    kubectl.apply(&sleeper("fresh", policy, ""))?;
    kubectl.wait_ready("fresh")?;
    resize(&kubectl, "fresh", r#"{"requests":{"memory":"20Mi"}}"#)?;
    kubectl.wait_value("pod/fresh", "/status/containerStatuses/0/restartCount", SOON, |count| *count == 1)?;
    kubectl.wait_ready("fresh")?;
    ensure!(kubectl.text("pod/fresh", "/status/containerStatuses/0/resources/requests/memory")? == "20Mi");
    kubectl.ok(&["delete", "pod", "--all", "--now"]).map(drop)
}

fn local_storage_over_its_limit_ends_the_pod(cluster: &Cluster) -> Result<()> {
    let kubectl = cluster.namespace("storage")?;
    kubectl.apply(
        "apiVersion: v1\nkind: Pod\nmetadata: {name: writer}\nspec:\n  restartPolicy: Never\n  volumes:\n  - name: scratch\n    \
         emptyDir: {sizeLimit: 1Mi}\n  containers:\n  - name: app\n    image: busybox\n    command: [sh, -c, 'dd \
         if=/dev/zero of=/scratch/f bs=1024 count=4096; sleep 3600']\n    volumeMounts: [{name: scratch, mountPath: \
         /scratch}]\n",
    )?;
    kubectl.wait_value("pod/writer", "/status/phase", SOON, |phase| phase == "Failed")?;
    ensure!(kubectl.text("pod/writer", "/status/reason")? == "Evicted");
    let message = kubectl.text("pod/writer", "/status/message")?;
    ensure!(message == "Usage of EmptyDir volume \"scratch\" exceeds the limit \"1Mi\". ", "{message}");
    kubectl.ok(&["delete", "pod", "--all", "--now"]).map(drop)
}

/// A cluster of its own, which thinks that memory is short from the start.
fn a_node_that_is_short_makes_pods_go(_: &Cluster) -> Result<()> {
    let flags = ["--eviction-soft=memory.available<99%", "--eviction-soft-grace-period=memory.available=12s"];
    let cluster = Cluster::start(Options { flags: flags.map(str::to_owned).to_vec(), ..Options::default() })?;
    let kubectl = cluster.kubectl();
    let case = || -> Result<()> {
        kubectl.ok(&["wait", "--for=create", "serviceaccount/default", "--timeout=20s"])?;
        // Bound by hand: the node's taint keeps the scheduler away.
        let tolerate = "nodeName: node-1\n  tolerations: [{operator: Exists}]";
        kubectl.apply(&sleeper("needed", "{}", &format!("{tolerate}\n  priorityClassName: system-node-critical")))?;
        kubectl.apply(&sleeper("victim", "{}", tolerate))?;
        kubectl.wait_value("pod/victim", "/status/phase", SOON, |phase| phase == "Failed")?;
        ensure!(kubectl.text("pod/victim", "/status/reason")? == "Evicted");
        let message = kubectl.text("pod/victim", "/status/message")?;
        ensure!(message.starts_with("The node was low on resource: memory. Threshold quantity: "), "{message}");
        ensure!(message.contains(", available: "), "{message}");
        let pod = kubectl.value("pod/victim", "")?;
        ensure!(condition(&pod, "DisruptionTarget")["reason"] == "TerminationByKubelet", "{pod}");
        ensure!(kubectl.text("pod/needed", "/status/phase")? == "Running");
        let node = kubectl.value("node/node-1", "")?;
        ensure!(condition(&node, "MemoryPressure")["reason"] == "KubeletHasInsufficientMemory", "{node}");
        kubectl.apply(&sleeper("late", "{}", "nodeName: node-1"))?;
        kubectl.wait_value("pod/late", "/status/reason", SOON, |reason| reason == "Evicted")?;
        let message = kubectl.text("pod/late", "/status/message")?;
        ensure!(message == "Pod was rejected: The node had condition: [MemoryPressure]. ", "{message}");
        Ok(())
    };
    case().map_err(|error| error.context(cluster.diagnose()))
}

/// A cluster of its own, whose Pods have 300 MiB together, of which 100 MiB have to be free. Looking every ten seconds
/// would be too late.
fn pods_that_use_more_than_all_may_are_evicted_at_once(main: &Cluster) -> Result<()> {
    let all = mebibytes(&main.kubectl().text("node/node-1", "/status/capacity/memory")?)?;
    let flags =
        [format!("--system-reserved=memory={}Mi", all - 300), "--eviction-hard=memory.available<100Mi".to_owned()];
    let cluster = Cluster::start(Options { flags: flags.to_vec(), ..Options::default() })?;
    let case = || -> Result<()> {
        let kubectl = cluster.namespace("greedy")?;
        kubectl.apply(&sleeper("modest", "{requests: {memory: 16Mi}}", ""))?;
        // One block is held in memory for as long as nobody reads on.
        let script = "trap exit TERM; until [ -e /go ]; do sleep 0.05; done; \
                      dd if=/dev/zero bs=230M count=1 | sleep 3600 & wait";
        kubectl.ok(&["run", "greedy", "--image=busybox", "--", "sh", "-c", script])?;
        kubectl.wait_ready("modest")?;
        kubectl.wait_ready("greedy")?;
        kubectl.ok(&["exec", "greedy", "--", "touch", "/go"])?;
        let crossed = std::time::Instant::now();
        kubectl.wait_value("pod/greedy", "/status/phase", SOON, |phase| phase == "Failed")?;
        let took = crossed.elapsed();
        ensure!(!is_v1() || took < Duration::from_secs(6), "it took {took:?}");
        ensure!(kubectl.text("pod/greedy", "/status/reason")? == "Evicted");
        let message = kubectl.text("pod/greedy", "/status/message")?;
        let start = "The node was low on resource: memory. Threshold quantity: 100Mi, available: ";
        ensure!(message.starts_with(start), "{message}");
        ensure!(message.contains("Container greedy was using ") && message.contains("request is 0, "), "{message}");
        ensure!(kubectl.text("pod/modest", "/status/phase")? == "Running");
        let node = kubectl.value("node/node-1", "")?;
        ensure!(condition(&node, "MemoryPressure")["status"] == "True", "{node}");
        Ok(())
    };
    case().map_err(|error| error.context(cluster.diagnose()))
}

fn a_critical_pod_starts_when_others_have_made_way(cluster: &Cluster) -> Result<()> {
    let kubectl = cluster.namespace("preempted")?;
    // Of what no other case asks for.
    let all: u64 = kubectl.text("node/node-1", "/status/allocatable/ephemeral-storage")?.parse()?;
    let resources = format!("{{requests: {{ephemeral-storage: '{}'}}}}", all / 2 + 1);
    let slow = "trap 'sleep 3; exit' TERM; while :; do sleep 0.1; done";
    kubectl.apply(&format!(
        "apiVersion: v1\nkind: Pod\nmetadata: {{name: victim}}\nspec:\n  nodeName: node-1\n  containers:\n  - name: app\n    \
         image: busybox\n    command: [sh, -c, \"{slow}\"]\n    resources: {resources}\n"
    ))?;
    kubectl.wait_ready("victim")?;
    kubectl.apply(&sleeper("critical", &resources, "nodeName: node-1\n  priorityClassName: system-node-critical"))?;
    kubectl.wait_ready("critical")?;
    let victim = kubectl.value("pod/victim", "/status")?;
    ensure!(victim["phase"] == "Failed" && victim["reason"] == "Preempting", "{victim}");
    ensure!(victim["message"] == "Preempted in order to admit critical pod", "{victim}");
    let ended = victim["containerStatuses"][0]["state"]["terminated"]["finishedAt"].as_str().context("an end")?;
    let begun = kubectl.text("pod/critical", "/status/containerStatuses/0/state/running/startedAt")?;
    ensure!(begun.as_str() >= ended, "it began at {begun}, but the other ended at {ended}");
    kubectl.ok(&["delete", "pod", "--all", "--now"]).map(drop)
}

fn classes_give_priority_and_overhead(cluster: &Cluster) -> Result<()> {
    let kubectl = cluster.namespace("classes")?;
    let listed = kubectl.ok(&["get", "priorityclasses"])?;
    ensure!(listed.contains("system-node-critical") && listed.contains("2000001000"), "{listed}");
    let refused = kubectl.fails(&["delete", "priorityclass", "system-node-critical"])?;
    ensure!(refused.contains("this is a system priority class and cannot be deleted"), "{refused}");
    kubectl.ok(&["create", "priorityclass", "tests-high", "--value=1000", "--preemption-policy=Never"])?;
    let handler = if cluster.uses_containerd() { "runc" } else { "isopod" };
    kubectl.apply(&format!(
        "apiVersion: node.k8s.io/v1\nkind: RuntimeClass\nmetadata: {{name: tests-heavy}}\nhandler: {handler}\noverhead: \
         {{podFixed: {{cpu: 50m, memory: 8Mi}}}}\n",
    ))?;
    let more = "priorityClassName: tests-high\n  runtimeClassName: tests-heavy";
    kubectl.apply(&sleeper("app", "{limits: {cpu: 100m, memory: 32Mi}}", more))?;
    kubectl.wait_ready("app")?;
    let spec = kubectl.value("pod/app", "/spec")?;
    ensure!(
        spec["priority"] == 1000 && spec["preemptionPolicy"] == "Never" && spec["overhead"]["cpu"] == "50m",
        "{spec}"
    );
    if is_v1() {
        ensure!(read(&cgroup(&kubectl, "app", "memory")?, "memory.limit_in_bytes")? == (40 << 20).to_string());
        ensure!(read(&cgroup(&kubectl, "app", "cpu")?, "cpu.cfs_quota_us")? == "15000");
    }
    let missing =
        kubectl.fails_with_input(&["apply", "-f", "-"], sleeper("none", "{}", "runtimeClassName: x").as_bytes())?;
    ensure!(missing.contains("pod rejected: RuntimeClass \"x\" not found"), "{missing}");
    kubectl.ok(&["delete", "pod", "--all", "--now"])?;
    kubectl.ok(&["delete", "priorityclass/tests-high", "runtimeclass/tests-heavy"]).map(drop)
}

fn a_pod_grows_as_a_whole(cluster: &Cluster) -> Result<()> {
    let kubectl = cluster.namespace("whole")?;
    let declared = kubectl.value("node/node-1", "/status/declaredFeatures")?.to_string();
    ensure!(declared.contains("InPlacePodLevelResourcesVerticalScaling"), "{declared}");
    let resources = "resources: {requests: {cpu: 100m, memory: 32Mi}, limits: {cpu: 200m, memory: 64Mi}}";
    kubectl.apply(&sleeper("app", "{}", resources))?;
    kubectl.wait_ready("app")?;
    ensure!(kubectl.text("pod/app", "/status/resources/limits/memory")? == "64Mi");
    let grow = |resources: &str| {
        let patch = format!("{{\"spec\":{{\"resources\":{resources}}}}}");
        kubectl.ok(&["patch", "pod", "app", "--subresource=resize", "--patch", &patch])
    };
    grow(r#"{"requests":{"cpu":"150m"},"limits":{"cpu":"400m","memory":"128Mi"}}"#)?;
    kubectl.wait_value("pod/app", "/status/resources/limits/memory", SOON, |has| has == "128Mi")?;
    ensure!(kubectl.text("pod/app", "/status/allocatedResources/cpu")? == "150m");
    if is_v1() {
        let (memory, cpu) = (cgroup(&kubectl, "app", "memory")?, cgroup(&kubectl, "app", "cpu")?);
        let id = kubectl.text("pod/app", "/status/containerStatuses/0/containerID")?;
        let id = id.rsplit('/').next().context("an id")?;
        for directory in [memory.clone(), memory.join(id)] {
            ensure!(read(&directory, "memory.limit_in_bytes")? == (128 << 20).to_string());
        }
        ensure!(read(&cpu, "cpu.cfs_quota_us")? == "40000" && read(&cpu.join(id), "cpu.cfs_quota_us")? == "40000");
        ensure!(read(&cpu, "cpu.shares")? == "153");
    }
    ensure!(kubectl.value("pod/app", "/status/containerStatuses/0/restartCount")? == 0);
    grow(r#"{"limits":{"memory":"48Mi"}}"#)?;
    kubectl.wait_value("pod/app", "/status/resources/limits/memory", SOON, |has| has == "48Mi")?;
    grow(r#"{"requests":{"cpu":"1000"},"limits":{"cpu":"1000"}}"#)?;
    kubectl.wait_value("pod/app", "", SOON, |pod| condition(pod, "PodResizePending")["reason"] == "Infeasible")?;
    let removed = r#"{"spec":{"resources":{"limits":{"memory":null}}}}"#;
    let refused = kubectl.fails(&["patch", "pod", "app", "--subresource=resize", "--patch", removed])?;
    ensure!(refused.contains("spec.resources.limits: Forbidden: resource limits cannot be removed"), "{refused}");
    kubectl.ok(&["delete", "pod", "--all", "--now"]).map(drop)
}

/// The CPUs that the first process of a Pod's container may run on.
fn allowed_cpus(kubectl: &Kubectl, pod: &str) -> Result<String> {
    let line = kubectl.ok(&["exec", pod, "--", "grep", "Cpus_allowed_list", "/proc/1/status"])?;
    Ok(line.trim_start_matches("Cpus_allowed_list:").trim().to_owned())
}

fn wait_cpus(kubectl: &Kubectl, pod: &str, wanted: &str) -> Result<()> {
    let deadline = std::time::Instant::now() + SOON;
    loop {
        let allowed = allowed_cpus(kubectl, pod)?;
        if allowed == wanted {
            return Ok(());
        }
        ensure!(std::time::Instant::now() < deadline, "{pod} runs on {allowed}, not on {wanted}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// A cluster of its own, which gives away all CPUs but the first.
fn whole_cpus_can_be_a_containers_own(_: &Cluster) -> Result<()> {
    let count: usize = std::fs::read_dir("/sys/devices/system/cpu")?
        .flatten()
        .filter(|entry| {
            entry.file_name().to_string_lossy().strip_prefix("cpu").is_some_and(|n| n.parse::<u32>().is_ok())
        })
        .count();
    if count < 2 {
        return Ok(()); // the only CPU is everybody's
    }
    let flags = ["--cpu-manager-policy=static", "--reserved-cpus=0"].map(str::to_owned).to_vec();
    let cluster = Cluster::start(Options { flags, ..Options::default() })?;
    own_cpus(&cluster).map_err(|error| error.context(cluster.diagnose()))
}

fn own_cpus(cluster: &Cluster) -> Result<()> {
    let kubectl = cluster.namespace("cpus")?;
    let node = kubectl.value("node/node-1", "/status")?;
    let count: usize = node["capacity"]["cpu"].as_str().context("a number of CPUs")?.parse()?;
    ensure!(node["allocatable"]["cpu"] == serde_json::json!((count - 1).to_string()), "{node}");
    let declared = node["declaredFeatures"].to_string();
    ensure!(!declared.contains("GuaranteedQoSPodCPUResize"), "{declared}");
    kubectl.apply(&sleeper("shared", "{}", ""))?;
    kubectl.wait_ready("shared")?;
    let all = allowed_cpus(&kubectl, "shared")?;
    kubectl.apply(&sleeper("pinned", "{limits: {cpu: 1, memory: 32Mi}}", ""))?;
    kubectl.wait_ready("pinned")?;
    let own = allowed_cpus(&kubectl, "pinned")?;
    ensure!(own != "0" && own.parse::<usize>().is_ok(), "{own}");
    if count == 2 {
        ensure!((all.as_str(), own.as_str()) == ("0-1", "1"));
        wait_cpus(&kubectl, "shared", "0")?;
        kubectl.apply(&sleeper("late", "{limits: {cpu: 500m, memory: 32Mi}}", "nodeName: node-1"))?;
        kubectl.wait_value("pod/late", "/status/reason", SOON, |reason| reason == "OutOfcpu")?;
        kubectl.apply(&sleeper("small", "{requests: {memory: 8Mi}}", ""))?;
        kubectl.wait_ready("small")?;
        ensure!(allowed_cpus(&kubectl, "small")? == "0");
    }
    if is_v1() {
        ensure!(read(&cgroup(&kubectl, "pinned", "cpu")?, "cpu.cfs_quota_us")? == "-1");
    }
    let rest = count - 1;
    kubectl.apply(&sleeper("refused", &format!("{{limits: {{cpu: {rest}, memory: 32Mi}}}}"), "nodeName: node-1"))?;
    kubectl.wait_value("pod/refused", "/status/reason", SOON, |reason| reason == "UnexpectedAdmissionError")?;
    let message = kubectl.text("pod/refused", "/status/message")?;
    let expected = format!(
        "Pod was rejected: Allocate failed due to not enough cpus available to satisfy request: requested={rest}, \
         available={}, which is unexpected",
        rest - 1
    );
    ensure!(message == expected, "{message}");
    resize(&kubectl, "pinned", r#"{"requests":{"cpu":"500m"},"limits":{"cpu":"500m"}}"#)?;
    let pending = |pod: &Value| condition(pod, "PodResizePending")["reason"] == "Infeasible";
    let pod = kubectl.wait_value("pod/pinned", "", SOON, pending)?;
    let message = condition(&pod, "PodResizePending")["message"].clone();
    let expected = "Resize is infeasible for Guaranteed Pods alongside CPU Manager policy \"static\"";
    ensure!(message == expected, "{message}");
    let state = cluster.data_dir().join("kubelet/cpu_manager_state");
    let written: Value = serde_json::from_str(&std::fs::read_to_string(&state)?)?;
    let uid = kubectl.text("pod/pinned", "/metadata/uid")?;
    ensure!(written["policyName"] == "static" && written["entries"][&uid]["app"] == own, "{written}");

    cluster.kill_server()?;
    cluster.start_server()?;
    ensure!(allowed_cpus(&kubectl, "pinned")? == own);
    kubectl.ok(&["delete", "pod/pinned", "--now"])?;
    wait_cpus(&kubectl, "shared", &all)?;
    kubectl.ok(&["delete", "pod", "--all", "--now"]).map(drop)
}

/// Huge pages of the machine, which it gets back.
struct HugePages {
    before: String,
}

impl HugePages {
    const FILE: &str = "/proc/sys/vm/nr_hugepages";

    /// `count` more of 2 MiB each, or `None` where the kernel has none to give.
    fn take(count: u64) -> Result<Option<Self>> {
        let read = || Ok::<_, anyhow::Error>(std::fs::read_to_string(Self::FILE)?.trim().to_owned());
        if !std::path::Path::new("/sys/kernel/mm/hugepages/hugepages-2048kB").exists() {
            return Ok(None);
        }
        let taken = Self { before: read()? };
        let wanted = (taken.before.parse::<u64>()? + count).to_string();
        if std::fs::write(Self::FILE, &wanted).is_err() || read()? != wanted {
            return Ok(None);
        }
        Ok(Some(taken))
    }
}

impl Drop for HugePages {
    fn drop(&mut self) {
        if let Err(error) = std::fs::write(Self::FILE, &self.before) {
            eprintln!("{} is not {} again: {error}", Self::FILE, self.before);
        }
    }
}

/// Whether there is a `hugetlb` controller, without which no Pod with huge pages is started.
fn huge_pages_are_limited() -> Result<bool> {
    if !is_v1() {
        let controllers = std::fs::read_to_string("/sys/fs/cgroup/cgroup.controllers")?;
        return Ok(controllers.split_whitespace().any(|name| name == "hugetlb"));
    }
    Ok(std::path::Path::new("/sys/fs/cgroup/hugetlb/cgroup.procs").exists())
}

/// A cluster of its own: a node counts its huge pages when it starts.
fn huge_pages_are_for_those_who_ask(_: &Cluster) -> Result<()> {
    let Some(_pages) = HugePages::take(8)? else {
        eprintln!("skipped: the kernel has no huge pages to give");
        return Ok(());
    };
    let cluster = Cluster::start(Options::default())?;
    let kubectl = cluster.kubectl();
    let case = || -> Result<()> {
        kubectl.ok(&["wait", "--for=create", "serviceaccount/default", "--timeout=20s"])?;
        let all = mebibytes(&kubectl.text("node/node-1", "/status/capacity/hugepages-2Mi")?)?;
        ensure!(all >= 16, "{all} MiB");
        ensure!(mebibytes(&kubectl.text("node/node-1", "/status/allocatable/hugepages-2Mi")?)? == all);
        let pod = |name: &str, amount: i64| {
            format!(
                "apiVersion: v1\nkind: Pod\nmetadata: {{name: {name}}}\nspec: {{terminationGracePeriodSeconds: 1, volumes: \
                 [{{name: pages, emptyDir: {{medium: HugePages}}}}], containers: [{{name: app, image: busybox, command: \
                 [sleep, inf], volumeMounts: [{{name: pages, mountPath: /pages}}], resources: {{limits: {{hugepages-2Mi: \
                 {amount}Mi, memory: 16Mi}}}}}}]}}\n"
            )
        };
        kubectl.apply(&pod("has", 4))?;
        kubectl.ok(&["wait", "--for=condition=PodScheduled", "pod/has", "--timeout=30s"])?;
        let limited = huge_pages_are_limited()?;
        if limited {
            kubectl.wait_ready("has")?;
            let mounted = kubectl.ok(&["exec", "has", "--", "grep", " /pages ", "/proc/mounts"])?;
            ensure!(mounted.contains(" hugetlbfs ") && mounted.contains("pagesize=2M"), "{mounted}");
        } else {
            eprintln!("no Pod is started: the kernel cannot limit huge pages");
        }
        kubectl.apply(&pod("more", all - 2))?;
        kubectl.ok(&["wait", "--for=condition=PodScheduled=False", "pod/more", "--timeout=30s"])?;
        let pending = kubectl.value("pod/more", "/status")?;
        ensure!(pending["phase"] == "Pending", "{pending}");
        ensure!(pending["conditions"].to_string().contains("Insufficient hugepages-2Mi"), "{pending}");
        kubectl.ok(&["delete", "pod", "has"])?;
        kubectl.ok(&["wait", "--for=condition=PodScheduled", "pod/more", "--timeout=60s"]).map(drop)
    };
    case().map_err(|error| error.context(cluster.diagnose()))
}
