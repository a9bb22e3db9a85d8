//! What befell a Pod, also one that is gone, and what it waits for now.

use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Result, bail, ensure};
use tests::{Cluster, Options, cases, suite};

const SOON: Duration = Duration::from_secs(30);

fn main() -> ExitCode {
    let cases = cases![
        the_story_of_a_pod_outlives_it,
        pods_of_one_name_are_told_apart,
        why_names_what_a_pod_waits_for,
        why_names_processes_and_finalizers,
        a_story_is_for_whoever_may_read_logs,
        unknown_pods_are_refused_clearly,
    ];
    suite::run(|| Cluster::start(Options::default()), cases, Cluster::diagnose)
}

/// Runs `isopod <command> pod/<pod> -n <namespace>`; the output, and whether it succeeded.
fn ask(cluster: &Cluster, command: &str, namespace: &str, pod: &str, more: &[&str]) -> Result<(bool, String)> {
    let pod = format!("pod/{pod}");
    let output = cluster.isopod(&[&[command, &pod, "-n", namespace], more].concat())?;
    let text = [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).concat();
    Ok((output.status.success(), text))
}

fn story(cluster: &Cluster, namespace: &str, pod: &str, more: &[&str]) -> Result<String> {
    let (success, text) = ask(cluster, "story", namespace, pod, more)?;
    ensure!(success, "{text}");
    Ok(text)
}

/// Whether all parts are in the text in this order.
fn holds(text: &str, parts: &[&str]) -> Result<()> {
    let mut rest = text;
    for part in parts {
        let Some((_, after)) = rest.split_once(part) else { bail!("{part:?} is missing or too early in:\n{text}") };
        rest = after;
    }
    Ok(())
}

/// Asks until the answer has all parts.
fn comes_to_hold(cluster: &Cluster, command: &str, namespace: &str, pod: &str, parts: &[&str]) -> Result<()> {
    let deadline = Instant::now() + SOON;
    loop {
        let (_, text) = ask(cluster, command, namespace, pod, &[])?;
        let verdict = holds(&text, parts);
        if verdict.is_ok() || Instant::now() > deadline {
            return verdict;
        }
        std::thread::sleep(Duration::from_millis(100));
    }
}

fn why(cluster: &Cluster, namespace: &str, pod: &str, parts: &[&str]) -> Result<()> {
    comes_to_hold(cluster, "why", namespace, pod, parts)
}

fn the_story_of_a_pod_outlives_it(cluster: &Cluster) -> Result<()> {
    let kubectl = cluster.namespace("outlives")?;
    kubectl.apply(
        "
apiVersion: v1
kind: Pod
metadata: {name: short}
spec:
  restartPolicy: Never
  initContainers: [{name: first, image: busybox, command: [sh, -c, echo prepared]}]
  containers: [{name: main, image: busybox, command: [sh, -c, echo these are my last words; exit 3]}]
",
    )?;
    kubectl.wait_value("pod/short", "/status/phase", SOON, |phase| phase == "Failed")?;
    let alive =
        ["created", "takes it up", "first exited with code 0", "main exited with code 3 (Error)", "phase Failed"];
    let words = "  | these are my last words";
    holds(&story(cluster, "outlives", "short", &[])?, &[&alive[..], &[words]].concat())?;
    kubectl.ok(&["delete", "pod", "short"])?;
    let gone = [&["(gone), on node node-1"], &alive[..], &["ends: the object is gone", "gone\n", words]].concat();
    comes_to_hold(cluster, "story", "outlives", "short", &gone)?;
    let data: serde_json::Value = serde_json::from_str(&story(cluster, "outlives", "short", &["-o", "json"])?)?;
    let entries = data["entries"].as_array().cloned().unwrap_or_default();
    let exit = entries.iter().find(|entry| entry["what"] == "exited" && entry["container"] == "main");
    ensure!(exit.is_some_and(|exit| exit["code"] == 3), "{data:#}");
    Ok(())
}

fn pods_of_one_name_are_told_apart(cluster: &Cluster) -> Result<()> {
    let kubectl = cluster.namespace("twice")?;
    let mut uids = Vec::new();
    for _ in 0..2 {
        kubectl.ok(&["run", "again", "--image=busybox", "--restart=Never", "--", "true"])?;
        kubectl.wait_value("pod/again", "/status/phase", SOON, |phase| phase == "Succeeded")?;
        uids.push(kubectl.text("pod/again", "/metadata/uid")?);
        kubectl.ok(&["delete", "pod", "again"])?;
    }
    holds(&story(cluster, "twice", "again", &[])?, &[&uids[1], "Other Pods of this name", &uids[0]])?;
    holds(&story(cluster, "twice", "again", &["--uid", &uids[0]])?, &[&uids[0], "again exited with code 0", &uids[1]])
}

fn why_names_what_a_pod_waits_for(cluster: &Cluster) -> Result<()> {
    let kubectl = cluster.namespace("waits")?;
    let container = "image: busybox, command: [sleep, '1000']";
    let pod =
        |name: &str, spec: &str| format!("apiVersion: v1\nkind: Pod\nmetadata: {{name: {name}}}\nspec: {spec}\n---\n");
    let manifests = [
        pod("large", &format!("{{containers: [{{name: c, {container}, resources: {{requests: {{cpu: 900}}}}}}]}}")),
        pod(
            "unmounted",
            &format!(
                "{{volumes: [{{name: v, configMap: {{name: absent}}}}], containers: [{{name: c, {container}, volumeMounts: [{{name: v, mountPath: /v}}]}}]}}"
            ),
        ),
        pod("imageless", "{containers: [{name: c, image: 'absent:1'}]}"),
        pod(
            "unready",
            &format!(
                "{{terminationGracePeriodSeconds: 1, containers: [{{name: c, {container}, readinessProbe: {{exec: {{command: ['false']}}, periodSeconds: 1}}}}]}}"
            ),
        ),
        pod(
            "initial",
            &format!(
                "{{terminationGracePeriodSeconds: 1, initContainers: [{{name: i, {container}}}], containers: [{{name: c, {container}}}]}}"
            ),
        ),
        pod("crashing", "{containers: [{name: c, image: busybox, command: [sh, -c, exit 7]}]}"),
        pod("fine", &format!("{{terminationGracePeriodSeconds: 1, containers: [{{name: c, {container}}}]}}")),
    ];
    kubectl.apply(&manifests.concat())?;
    why(cluster, "waits", "large", &["No node fits", "Insufficient cpu"])?;
    // The verdict outlives the Events that told it.
    kubectl.ok(&["delete", "events", "--all"])?;
    comes_to_hold(cluster, "story", "waits", "large", &["on no node", "Insufficient cpu"])?;
    why(cluster, "waits", "unmounted", &["FailedMount", "configmap \"absent\" not found"])?;
    why(cluster, "waits", "imageless", &["Container c waits for its image", "absent:1"])?;
    why(
        cluster,
        "waits",
        "unready",
        &["Container c runs, but its readiness probe has not passed; last: Readiness probe"],
    )?;
    why(cluster, "waits", "initial", &["Init container i has run for", "has not ended"])?;
    why(cluster, "waits", "crashing", &["Container c has exited with code 7 (Error)", "its back-off lasts until"])?;
    why(cluster, "waits", "fine", &["It has been ready for", "and waits for nothing"])
}

fn why_names_processes_and_finalizers(cluster: &Cluster) -> Result<()> {
    let kubectl = cluster.namespace("ends")?;
    kubectl.apply(
        "
apiVersion: v1
kind: Pod
metadata: {name: slow, finalizers: [example.com/keep]}
spec:
  terminationGracePeriodSeconds: 15
  containers: [{name: c, image: busybox, command: [sleep, '4711']}]
",
    )?;
    kubectl.wait_ready("slow")?;
    kubectl.ok(&["delete", "pod", "slow", "--wait=false"])?;
    why(cluster, "ends", "slow", &["PID ", "(sleep 4711) of container c has not ended; it does not listen"])?;
    kubectl.ok(&["delete", "pod", "slow", "--grace-period=1", "--wait=false"])?;
    why(cluster, "ends", "slow", &["Its finalizer example.com/keep has not been removed"])?;
    kubectl.ok(&["patch", "pod", "slow", "--type=merge", "-p", "{\"metadata\":{\"finalizers\":null}}"])?;
    kubectl.ok(&["wait", "--for=delete", "pod/slow", "--timeout=30s"])?;
    why(cluster, "ends", "slow", &["The Pod is gone since"])
}

fn a_story_is_for_whoever_may_read_logs(cluster: &Cluster) -> Result<()> {
    let kubectl = cluster.namespace("private")?;
    let path = "/api/v1/namespaces/private/pods/any/story";
    let refusal = kubectl.fails(&["get", "--raw", path, "--as=system:serviceaccount:private:default"])?;
    ensure!(refusal.contains("pods/log") && refusal.contains("orbidden"), "{refusal}");
    ensure!(kubectl.ok(&["get", "--raw", path])?.contains("stories"));
    Ok(())
}

fn unknown_pods_are_refused_clearly(cluster: &Cluster) -> Result<()> {
    for command in ["story", "why"] {
        let (success, text) = ask(cluster, command, "default", "nobody", &[])?;
        ensure!(!success && text.contains("no Pod \"nobody\" in namespace \"default\""), "{text}");
    }
    let output = cluster.isopod(&["story", "deployment/web"])?;
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    ensure!(!output.status.success() && text.contains("only Pods: pod/NAME"), "{text}");
    Ok(())
}
