//! What people type every day.

use std::process::ExitCode;
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use tests::{Cluster, Kubectl, Options, cases, suite};

const SOON: Duration = Duration::from_secs(30);

fn main() -> ExitCode {
    let cases = cases![
        logs_of_every_kind,
        logs_of_the_previous_container,
        exec_passes_input_output_and_exit_codes,
        exec_with_a_terminal_follows_its_size,
        attach_joins_a_running_container,
        cp_copies_both_ways,
        port_and_policy_of_run,
        delete_honours_grace_and_force,
        get_in_every_format,
        watch_shows_a_pod_from_start_to_end,
        describe_tells_the_story,
        label_annotate_patch_and_edit,
        create_makes_what_it_names,
        discovery_and_explain,
        collections_are_deleted,
    ];
    suite::run(|| Cluster::start(Options::default()), cases, Cluster::diagnose)
}

/// A Pod of one container that runs a shell script.
fn run(kubectl: &Kubectl, name: &str, script: &str) -> Result<()> {
    kubectl.ok(&["run", name, "--image=busybox", "--restart=Never", "--", "sh", "-c", script]).map(drop)
}

fn logs_of_every_kind(cluster: &Cluster) -> Result<()> {
    let kubectl = cluster.namespace("logs")?;
    run(&kubectl, "talker", "for n in 1 2 3; do echo line $n; done; echo oops >&2; sleep 2; echo late; sleep 3600")?;
    kubectl.wait_ready("talker")?;
    let follow = kubectl.stream(&["logs", "-f", "talker"])?;
    follow.wait_for(SOON, |text| text.contains("line 3") && text.contains("oops"))?;
    ensure!(kubectl.ok(&["logs", "talker", "--tail=1"])?.lines().count() == 1);
    follow.wait_for(SOON, |text| text.contains("late"))?;
    ensure!(kubectl.ok(&["logs", "talker", "--tail=0"])?.is_empty());
    ensure!(kubectl.ok(&["logs", "talker", "--tail=1"])? == "late\n");
    ensure!(kubectl.ok(&["logs", "talker", "--since=1h"])?.lines().count() == 5);
    sleep(Duration::from_millis(1100));
    ensure!(kubectl.ok(&["logs", "talker", "--since=1s"])?.is_empty());
    ensure!(kubectl.ok(&["logs", "talker", "--limit-bytes=6"])? == "line 1");
    let stamped = kubectl.ok(&["logs", "talker", "--timestamps", "--tail=1"])?;
    let (time, rest) = stamped.split_once(' ').context("a time and a line")?;
    ensure!(rest == "late\n" && time.starts_with("20") && time.contains('T'), "{stamped}");
    ensure!(kubectl.ok(&["logs", "talker", "-c", "talker", "--tail=1"])? == "late\n");
    let error = kubectl.fails(&["logs", "talker", "-c", "nosuch"])?;
    ensure!(error.contains("container nosuch is not valid for pod talker"), "{error}");
    ensure!(kubectl.ok(&["logs", "-l", "run=talker", "--tail=1"])? == "late\n");
    Ok(())
}

fn logs_of_the_previous_container(cluster: &Cluster) -> Result<()> {
    let kubectl = cluster.namespace("previous")?;
    let script = "echo started $(cat /proc/sys/kernel/random/uuid); sleep 1; exit 3";
    kubectl.ok(&["run", "crasher", "--image=busybox", "--", "sh", "-c", script])?;
    let restarts = "/status/containerStatuses/0/restartCount";
    let count = kubectl.wait_value("pod/crasher", restarts, SOON, |count| count.as_i64() > Some(0))?;
    let previous = kubectl.ok(&["logs", "crasher", "--previous"])?;
    ensure!(previous.starts_with("started "), "{previous}");
    let last = kubectl.value("pod/crasher", "/status/containerStatuses/0/lastState/terminated")?;
    ensure!(last["exitCode"] == 3 && last["reason"] == "Error", "after {count} restarts: {last}");
    let waiting = "/status/containerStatuses/0/state/waiting/reason";
    kubectl.wait_value("pod/crasher", waiting, SOON, |reason| reason == "CrashLoopBackOff")?;
    let error = {
        run(&kubectl, "first", "sleep 3600")?;
        kubectl.wait_ready("first")?;
        kubectl.fails(&["logs", "first", "--previous"])?
    };
    ensure!(error.contains("previous terminated container \"first\" in pod \"first\" not found"), "{error}");
    Ok(())
}

fn exec_passes_input_output_and_exit_codes(cluster: &Cluster) -> Result<()> {
    let kubectl = cluster.namespace("exec")?;
    run(&kubectl, "target", "sleep 3600")?;
    kubectl.wait_ready("target")?;
    let output = kubectl.run(&["exec", "target", "--", "sh", "-c", "echo out; echo err >&2; exit 42"])?;
    ensure!(output.code == Some(42), "{output:?}");
    ensure!(output.stdout == "out\n" && output.stderr.starts_with("err\n"), "{output:?}");
    let input: Vec<u8> = (0..300_000_u32).flat_map(u32::to_le_bytes).collect();
    let sum = kubectl.ok_with_input(&["exec", "-i", "target", "--", "wc", "-c"], &input)?;
    ensure!(sum.trim() == input.len().to_string(), "{sum}");
    let echoed = kubectl.ok_with_input(&["exec", "-i", "target", "--", "cat"], b"hello\n")?;
    ensure!(echoed == "hello\n", "{echoed}");
    let big = kubectl.ok(&["exec", "target", "--", "sh", "-c", "yes 0123456789 | head -n 200000"])?;
    ensure!(big.len() == 11 * 200_000, "{}", big.len());
    let output = kubectl.run(&["exec", "target", "--", "/no/such/command"])?;
    ensure!(output.code != Some(0) && output.stderr.contains("no such file or directory"), "{output:?}");
    let error = kubectl.fails(&["exec", "target", "-c", "nosuch", "--", "true"])?;
    ensure!(error.contains("container nosuch is not valid for pod target"), "{error}");
    let output = kubectl.run(&["exec", "target", "--", "sh", "-c", "kill -9 $$"])?;
    ensure!(output.code == Some(137), "{output:?}");
    Ok(())
}

fn exec_with_a_terminal_follows_its_size(cluster: &Cluster) -> Result<()> {
    let kubectl = cluster.namespace("terminal")?;
    kubectl.ok(&["run", "target", "--image=debian", "--", "sleep", "3600"])?;
    kubectl.wait_ready("target")?;
    // The size follows the connection, as upstream: it is there a moment after the process is.
    let inside = "trap 'echo now $(stty size)' WINCH; tty; sleep 0.5; echo first $(stty size); for n in 1 2 3 4 5 6 7 8; do sleep 0.5; done; exit 7";
    let script = format!(
        "stty rows 40 cols 111; T=$(tty); (sleep 2; stty -F $T rows 50 cols 132) & exec $KUBECTL exec -it target -- bash -c \"{inside}\"",
        inside = inside.replace('$', "\\$")
    );
    let output = kubectl.in_terminal(&script, b"")?;
    ensure!(output.code == Some(7), "{output:?}");
    ensure!(output.stdout.contains("/dev/pts/"), "{output:?}");
    ensure!(output.stdout.contains("first 40 111"), "{output:?}");
    ensure!(output.stdout.contains("now 50 132"), "{output:?}");
    let output = kubectl.in_terminal("exec $KUBECTL exec -it target -- sh", b"echo $((6*7)); exit 5\n")?;
    ensure!(output.code == Some(5) && output.stdout.contains("42"), "{output:?}");
    Ok(())
}

fn attach_joins_a_running_container(cluster: &Cluster) -> Result<()> {
    let kubectl = cluster.namespace("attach")?;
    let loud = "while read line; do echo got $line; done; echo end of input";
    kubectl.ok(&["run", "reader", "--image=busybox", "-i", "--attach=false", "--", "sh", "-c", loud])?;
    kubectl.wait_ready("reader")?;
    let mut attached = kubectl.stream(&["attach", "-i", "reader"])?;
    attached.write("one\n")?;
    attached.wait_for(SOON, |text| text.contains("got one"))?;
    attached.write("two\n")?;
    attached.wait_for(SOON, |text| text.contains("got two"))?;
    drop(attached);
    run(&kubectl, "clock", "while true; do date +%s; sleep 0.2; done")?;
    kubectl.wait_ready("clock")?;
    let attached = kubectl.stream(&["attach", "clock"])?;
    let digits = |line: &str| line.len() == 10 && line.bytes().all(|byte| byte.is_ascii_digit());
    attached.wait_for(SOON, |text| text.lines().filter(|line| digits(line)).count() > 2)?;
    let output = kubectl.run_with_input(
        &[
            "run",
            "one-off",
            "--image=busybox",
            "--restart=Never",
            "--rm",
            "-i",
            "--",
            "sh",
            "-c",
            "read x; echo you said $x",
        ],
        b"hello\n",
    )?;
    ensure!(output.code == Some(0) && output.stdout.contains("you said hello"), "{output:?}");
    ensure!(output.stdout.contains("pod \"one-off\" deleted"), "{output:?}");
    Ok(())
}

fn cp_copies_both_ways(cluster: &Cluster) -> Result<()> {
    let kubectl = cluster.namespace("cp")?;
    kubectl.ok(&["run", "target", "--image=debian", "--", "sleep", "3600"])?;
    kubectl.wait_ready("target")?;
    let here = cluster.scratch("cp")?;
    std::fs::create_dir_all(here.join("tree/inner"))?;
    let content: Vec<u8> = (0..500_000_u32).flat_map(u32::to_le_bytes).collect();
    std::fs::write(here.join("tree/inner/big"), &content)?;
    std::fs::write(here.join("tree/small"), "small")?;
    let path = |name: &str| here.join(name).to_str().map(str::to_owned).context("text");
    kubectl.ok(&["cp", &path("tree")?, "target:/tmp/tree"])?;
    let size = kubectl.ok(&["exec", "target", "--", "stat", "-c", "%s", "/tmp/tree/inner/big"])?;
    ensure!(size.trim() == content.len().to_string(), "{size}");
    kubectl.ok(&["cp", "target:/tmp/tree", &path("back")?])?;
    ensure!(std::fs::read(here.join("back/inner/big"))? == content);
    ensure!(std::fs::read_to_string(here.join("back/small"))? == "small");
    Ok(())
}

fn port_and_policy_of_run(cluster: &Cluster) -> Result<()> {
    let kubectl = cluster.namespace("run")?;
    kubectl.ok(&["run", "web", "--image=nginx", "--image-pull-policy=IfNotPresent", "--port=80", "--labels=a=b"])?;
    kubectl.wait_ready("web")?;
    let spec = kubectl.value("pod/web", "/spec")?;
    ensure!(spec["containers"][0]["ports"][0]["containerPort"] == 80, "{spec}");
    ensure!(spec["containers"][0]["imagePullPolicy"] == "IfNotPresent", "{spec}");
    ensure!(spec["nodeName"] == "node-1" && spec["terminationGracePeriodSeconds"] == 30, "{spec}");
    let status = kubectl.value("pod/web", "/status/containerStatuses/0")?;
    ensure!(status["image"] == "docker.io/library/nginx:latest", "{status}");
    ensure!(status["imageID"].as_str().is_some_and(|id| id.contains("sha256:")), "{status}");
    Ok(())
}

fn delete_honours_grace_and_force(cluster: &Cluster) -> Result<()> {
    let kubectl = cluster.namespace("delete")?;
    let polite = "trap 'echo bye; exit 0' TERM; while true; do sleep 0.1; done";
    let deaf = "trap '' TERM; while true; do sleep 0.1; done";
    for (name, script) in [("polite", polite), ("deaf", deaf), ("forced", deaf), ("behind", deaf)] {
        run(&kubectl, name, script)?;
    }
    for name in ["polite", "deaf", "forced", "behind"] {
        kubectl.wait_ready(name)?;
    }
    let timed = |arguments: &[&str]| -> Result<Duration> {
        let started = Instant::now();
        kubectl.ok(arguments)?;
        Ok(started.elapsed())
    };
    let follow = kubectl.stream(&["logs", "-f", "polite"])?;
    ensure!(timed(&["delete", "pod", "polite"])? < Duration::from_secs(10), "it ends by itself");
    follow.wait_for(SOON, |text| text.contains("bye"))?;
    let deaf = timed(&["delete", "pod", "deaf", "--grace-period=3"])?;
    ensure!((Duration::from_secs(2)..Duration::from_secs(15)).contains(&deaf), "{deaf:?}");
    ensure!(timed(&["delete", "pod", "forced", "--force", "--grace-period=0"])? < Duration::from_secs(10));
    let quick = timed(&["delete", "pod", "behind", "--grace-period=4", "--wait=false"])?;
    ensure!(quick < Duration::from_secs(3), "{quick:?}");
    let listed = kubectl.ok(&["get", "pod", "behind", "--no-headers"])?;
    ensure!(listed.contains("Terminating"), "{listed}");
    kubectl.ok(&["wait", "--for=delete", "pod/behind", "--timeout=30s"])?;
    ensure!(kubectl.ok(&["get", "pods", "-o", "name"])?.is_empty());
    Ok(())
}

fn get_in_every_format(cluster: &Cluster) -> Result<()> {
    let kubectl = cluster.namespace("get")?;
    kubectl.ok(&["run", "one", "--image=busybox", "--labels=tier=front", "--", "sleep", "3600"])?;
    kubectl.ok(&["run", "two", "--image=busybox", "--labels=tier=back", "--", "sleep", "3600"])?;
    kubectl.wait_ready("one")?;
    kubectl.wait_ready("two")?;
    let wide = kubectl.ok(&["get", "pods", "-o", "wide"])?;
    let heads = ["NAME", "READY", "STATUS", "RESTARTS", "AGE", "IP", "NODE", "NOMINATED", "READINESS"];
    ensure!(heads.iter().all(|head| wide.contains(head)), "{wide}");
    ensure!(wide.contains("1/1") && wide.contains("Running") && wide.contains("node-1"), "{wide}");
    ensure!(kubectl.ok(&["get", "pods", "-o", "name"])? == "pod/one\npod/two\n");
    ensure!(kubectl.ok(&["get", "pods", "-l", "tier=front", "-o", "name"])? == "pod/one\n");
    ensure!(kubectl.ok(&["get", "pods", "-l", "tier in (back),tier!=front", "-o", "name"])? == "pod/two\n");
    ensure!(kubectl.ok(&["get", "pods", "--field-selector", "metadata.name=two", "-o", "name"])? == "pod/two\n");
    ensure!(kubectl.ok(&["get", "pods", "--field-selector=status.phase!=Running", "-o", "name"])?.is_empty());
    let phases = kubectl.ok(&["get", "pods", "-o", "jsonpath={.items[*].status.phase}"])?;
    ensure!(phases == "Running Running", "{phases}");
    let yaml = kubectl.ok(&["get", "pod", "one", "-o", "yaml"])?;
    ensure!(yaml.starts_with("apiVersion: v1\nkind: Pod\n") && yaml.contains("\n  phase: Running\n"), "{yaml}");
    let sorted = kubectl.ok(&["get", "pods", "--sort-by=.metadata.creationTimestamp", "--no-headers"])?;
    ensure!(sorted.starts_with("one"), "{sorted}");
    let paged = kubectl.ok(&["get", "pods", "--chunk-size=1", "-o", "name"])?;
    ensure!(paged == "pod/one\npod/two\n", "{paged}");
    ensure!(kubectl.ok(&["get", "nodes", "--no-headers"])?.contains("Ready"));
    ensure!(kubectl.ok(&["get", "ns,sa,cm,secret,leases,events", "-A"])?.contains("kube-system"));
    let error = kubectl.fails(&["get", "pods", "--field-selector=spec.nosuch=1"])?;
    ensure!(error.contains("field label not supported: spec.nosuch"), "{error}");
    Ok(())
}

fn watch_shows_a_pod_from_start_to_end(cluster: &Cluster) -> Result<()> {
    let kubectl = cluster.namespace("watch")?;
    // Seen means that the watch stands: what comes next is watched from its start.
    run(&kubectl, "earlier", "sleep 60")?;
    let watch = kubectl.stream(&["get", "pods", "-w", "--output-watch-events"])?;
    watch.wait_for(SOON, |text| text.contains("earlier"))?;
    run(&kubectl, "short", "sleep 0.5")?;
    watch.wait_for(SOON, |text| {
        let lines: Vec<&str> = text.lines().filter(|line| line.contains("short")).collect();
        let shown = |step: &str| lines.iter().position(|line| line.contains(step));
        let steps = ["Pending", "Running", "Completed"].map(shown);
        steps.iter().all(Option::is_some) && steps.is_sorted()
    })?;
    kubectl.ok(&["delete", "pod", "short"])?;
    watch.wait_for(SOON, |text| text.contains("DELETED"))?;
    Ok(())
}

fn describe_tells_the_story(cluster: &Cluster) -> Result<()> {
    let kubectl = cluster.namespace("describe")?;
    kubectl.ok(&["run", "web", "--image=nginx"])?;
    kubectl.wait_ready("web")?;
    let pod = kubectl.ok(&["describe", "pod", "web"])?;
    for words in [
        "Status:           Running",
        "QoS Class:",
        "BestEffort",
        "Image:          nginx",
        "Ready             True",
        "PodScheduled",
        "Scheduled",
        "Pulled",
        "Created",
        "Started",
        "Successfully assigned describe/web to node-1",
    ] {
        ensure!(pod.contains(words), "no {words:?} in:\n{pod}");
    }
    let node = kubectl.ok(&["describe", "node", "node-1"])?;
    for words in [
        "KubeletReady",
        "MemoryPressure",
        "Allocatable:",
        "Non-terminated Pods:",
        "web",
        "Allocated resources:",
        "v1.36",
    ] {
        ensure!(node.contains(words), "no {words:?} in:\n{node}");
    }
    Ok(())
}

fn label_annotate_patch_and_edit(cluster: &Cluster) -> Result<()> {
    let kubectl = cluster.namespace("change")?;
    run(&kubectl, "target", "sleep 3600")?;
    kubectl.ok(&["label", "pod", "target", "a=1", "b=2"])?;
    let error = kubectl.fails(&["label", "pod", "target", "a=3"])?;
    ensure!(error.contains("--overwrite is false"), "{error}");
    kubectl.ok(&["label", "pod", "target", "a=3", "b-", "--overwrite"])?;
    let labels = kubectl.value("pod/target", "/metadata/labels")?;
    ensure!(labels["a"] == "3" && labels.get("b").is_none(), "{labels}");
    kubectl.ok(&["annotate", "pod", "target", "note=hello world"])?;
    for (kind, patch) in [
        ("strategic", r#"{"metadata":{"labels":{"kind":"strategic"}}}"#),
        ("merge", r#"{"metadata":{"labels":{"kind":"merge","a":null}}}"#),
        ("json", r#"[{"op":"replace","path":"/metadata/labels/kind","value":"json"}]"#),
    ] {
        kubectl.ok(&["patch", "pod", "target", "--type", kind, "-p", patch])?;
        ensure!(kubectl.text("pod/target", "/metadata/labels/kind")? == kind, "{kind}");
    }
    ensure!(kubectl.text("pod/target", "/metadata/annotations/note")? == "hello world");
    kubectl.ok(&[
        "patch",
        "pod",
        "target",
        "-p",
        r#"{"spec":{"containers":[{"name":"target","image":"busybox:latest"}]}}"#,
    ])?;
    let error = kubectl.fails(&["patch", "pod", "target", "-p", r#"{"spec":{"nodeName":"elsewhere"}}"#])?;
    ensure!(error.contains("pod updates may not change fields other than"), "{error}");
    let editor = cluster.scratch("edit")?.join("editor");
    std::fs::write(&editor, "#!/bin/sh\nsed -i 's/note: hello world/note: edited/' \"$1\"\n")?;
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(&editor, mode)?;
    let script = format!("KUBE_EDITOR={} $KUBECTL edit pod target", editor.display());
    let output = kubectl.in_terminal(&script, b"")?;
    ensure!(output.code == Some(0) && output.stdout.contains("pod/target edited"), "{output:?}");
    ensure!(kubectl.text("pod/target", "/metadata/annotations/note")? == "edited");
    kubectl.ok(&["wait", "--for=jsonpath={.status.phase}=Running", "pod/target", "--timeout=30s"])?;
    let stale = kubectl.ok(&["get", "pod", "target", "-o", "json"])?;
    kubectl.ok(&["label", "pod", "target", "newer=yes"])?;
    let error = kubectl.fails_with_input(&["replace", "-f", "-"], stale.as_bytes())?;
    ensure!(error.contains("the object has been modified"), "{error}");
    Ok(())
}

fn create_makes_what_it_names(cluster: &Cluster) -> Result<()> {
    // These bodies are protobuf, unlike those that come from files.
    cluster.kubectl().ok(&["create", "namespace", "create"])?;
    let kubectl = cluster.namespace("create")?;
    kubectl.ok(&["create", "configmap", "c", "--from-literal=key=value"])?;
    ensure!(kubectl.text("configmap/c", "/data/key")? == "value");
    kubectl.ok(&["create", "secret", "generic", "s", "--from-literal=password=hidden"])?;
    ensure!(kubectl.text("secret/s", "/data/password")? == "aGlkZGVu");
    let described = kubectl.ok(&["describe", "secret", "s"])?;
    ensure!(described.contains("password:  6 bytes") && !described.contains("hidden"), "{described}");
    kubectl.ok(&["create", "serviceaccount", "robot"])?;
    let error = kubectl.fails(&["create", "configmap", "c"])?;
    ensure!(error == "error: failed to create configmap: configmaps \"c\" already exists\n", "{error}");
    Ok(())
}

fn discovery_and_explain(cluster: &Cluster) -> Result<()> {
    let kubectl = cluster.kubectl();
    let resources = kubectl.ok(&["api-resources"])?;
    for kind in ["pods", "namespaces", "nodes", "events", "configmaps", "secrets", "serviceaccounts", "leases"] {
        ensure!(resources.lines().any(|line| line.starts_with(kind)), "no {kind} in:\n{resources}");
    }
    ensure!(kubectl.ok(&["api-versions"])?.lines().any(|line| line == "coordination.k8s.io/v1"));
    let explained = kubectl.ok(&["explain", "pod.spec.containers"])?;
    for words in ["KIND:       Pod", "VERSION:    v1", "containers <[]Container>", "imagePullPolicy\t<string>", "enum:"]
    {
        ensure!(explained.contains(words), "no {words:?} in:\n{explained}");
    }
    ensure!(kubectl.ok(&["explain", "lease.spec.holderIdentity"])?.contains("<string>"));
    let version = kubectl.ok(&["version", "-o", "json"])?;
    ensure!(version.contains("\"gitVersion\": \"v1.36"), "{version}");
    for path in ["/healthz", "/livez", "/readyz"] {
        ensure!(kubectl.ok(&["get", "--raw", path])? == "ok", "{path}");
    }
    Ok(())
}

fn collections_are_deleted(cluster: &Cluster) -> Result<()> {
    let kubectl = cluster.namespace("collections")?;
    for name in ["a", "b", "c"] {
        kubectl.apply(&format!("apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: {name}}}\n"))?;
    }
    kubectl.ok(&["label", "configmap", "a", "b", "go=away"])?;
    kubectl.ok(&["delete", "configmap", "-l", "go=away"])?;
    let left = kubectl.ok(&["get", "configmaps", "-o", "name"])?;
    ensure!(left.contains("configmap/c") && !left.contains("configmap/a"), "{left}");
    run(&kubectl, "one", "sleep 3600")?;
    run(&kubectl, "two", "sleep 3600")?;
    kubectl.ok(&["delete", "pods", "--all", "--grace-period=1"])?;
    ensure!(kubectl.ok(&["get", "pods", "-o", "name"])?.is_empty());
    run(&kubectl, "three", "trap 'exit 0' TERM; while true; do sleep 0.1; done")?;
    kubectl.ok(&["delete", "namespace", kubectl.namespace(), "--timeout=60s"])?;
    ensure!(kubectl.fails(&["get", "namespace", kubectl.namespace()])?.contains("not found"));
    Ok(())
}
