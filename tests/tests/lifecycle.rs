//! A Pod's whole life: the order in which its containers start and end, hooks, restarts and back-off, being deleted in
//! every state, and what its status says meanwhile.

use std::process::ExitCode;
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use serde_json::Value;
use tests::{Ability, Cluster, Kubectl, Options, cases, suite};

const SOON: Duration = Duration::from_secs(40);

fn main() -> ExitCode {
    let cases = cases![
        watchers_see_a_pod_being_made,
        init_containers_run_in_order_and_are_repeated,
        sidecars_start_first_and_end_last,
        rules_restart_a_container_or_all_of_them,
        ephemeral_containers_join_a_running_pod,
        debug_copies_a_pod,
        post_start_holds_back_the_container,
        failing_hooks_are_reported,
        pre_stop_runs_within_the_grace_period,
        crash_loops_back_off_up_to_the_nodes_limit,
        pods_end_in_every_state,
        finalizers_keep_the_object_only,
        a_deadline_ends_a_pod,
        last_words_are_kept,
        the_stop_signal_can_be_chosen,
        names_and_environment_are_as_written,
        services_are_told_by_environment,
        variables_come_from_files_of_volumes,
        a_full_name_has_to_fit,
        termination_survives_a_crash_of_the_server,
    ];
    let flags = vec!["--max-container-restart-period=2".to_owned()];
    suite::run(|| Cluster::start(Options { flags, ..Options::default() }), cases, Cluster::diagnose)
}

/// A Pod of busybox; `spec` is YAML's flow style without the braces.
fn pod(name: &str, spec: &str) -> String {
    format!("apiVersion: v1\nkind: Pod\nmetadata: {{name: {name}}}\nspec: {{{spec}}}\n")
}

/// A container that runs a script; `more` goes on in its mapping.
fn shell(name: &str, script: &str, more: &str) -> String {
    let script = serde_json::to_string(script).expect("a text");
    format!("{{name: {name}, image: busybox, command: [sh, -c, {script}]{more}}}")
}

/// A script that ends as soon as it is told to.
const SLEEP: &str = "trap 'exit 0' TERM; while :; do sleep 1 & wait $!; done";
const VOLUME: &str = ", volumeMounts: [{name: v, mountPath: /v}]";
const VOLUMES: &str = "volumes: [{name: v, emptyDir: {}}]";

fn phase(kubectl: &Kubectl, name: &str, phase: &str) -> Result<()> {
    kubectl.wait_value(&format!("pod/{name}"), "/status/phase", SOON, |value| value == phase).map(drop)
}

fn events(kubectl: &Kubectl, name: &str, reason: &str) -> Result<String> {
    let selector = format!("involvedObject.name={name},reason={reason}");
    kubectl.ok(&["get", "events", "--field-selector", &selector, "-o", "jsonpath={.items[*].message}"])
}

fn wait_event(kubectl: &Kubectl, name: &str, reason: &str, message: &str) -> Result<()> {
    let deadline = Instant::now() + SOON;
    loop {
        let found = events(kubectl, name, reason)?;
        if found.contains(message) {
            return Ok(());
        }
        ensure!(Instant::now() < deadline, "no event {reason} {message:?} of {name}: {found:?}");
        sleep(Duration::from_millis(100));
    }
}

/// Deletes a Pod and waits until it is gone; answers how long that took.
fn delete(kubectl: &Kubectl, name: &str) -> Result<Duration> {
    let started = Instant::now();
    kubectl.ok(&["delete", "pod", name, "--timeout=40s"])?;
    Ok(started.elapsed())
}

fn init_containers_run_in_order_and_are_repeated(cluster: &Cluster) -> Result<()> {
    let kubectl = cluster.namespace("init")?;
    let first = shell("first", "echo first >> /v/log; [ -f /v/again ] && exit 0; touch /v/again; exit 3", VOLUME);
    let second = shell("second", "echo second >> /v/log", VOLUME);
    let main = shell("main", &format!("echo main >> /v/log; {SLEEP}"), VOLUME);
    kubectl.apply(&pod("p", &format!("initContainers: [{first}, {second}], containers: [{main}], {VOLUMES}")))?;
    kubectl.wait_ready("p")?;
    let log = kubectl.ok(&["exec", "p", "-c", "main", "--", "cat", "/v/log"])?;
    ensure!(log == "first\nfirst\nsecond\nmain\n", "{log}");
    let statuses = kubectl.value("pod/p", "/status/initContainerStatuses")?;
    ensure!(statuses[0]["restartCount"] == 1, "{statuses}");
    ensure!(statuses[1]["state"]["terminated"]["reason"] == "Completed" && statuses[1]["ready"] == true, "{statuses}");

    let failing = shell("failing", "exit 1", "");
    let main = shell("main", SLEEP, "");
    kubectl
        .apply(&pod("never", &format!("restartPolicy: Never, initContainers: [{failing}], containers: [{main}]")))?;
    phase(&kubectl, "never", "Failed")?;
    let status = kubectl.value("pod/never", "/status")?;
    let waiting = &status["containerStatuses"][0]["state"]["waiting"];
    ensure!(waiting["reason"] == "PodInitializing", "its turn never came: {status}");
    let conditions = status["conditions"].as_array().into_iter().flatten();
    let initialized = conditions.into_iter().find(|condition| condition["type"] == "Initialized");
    let message = initialized.map(|condition| &condition["message"]);
    ensure!(message.is_some_and(|it| it == "containers with incomplete status: [failing]"), "{status}");
    Ok(())
}

fn sidecars_start_first_and_end_last(cluster: &Cluster) -> Result<()> {
    let kubectl = cluster.namespace("sidecars")?;
    let sidecar = |name: &str| {
        let last = format!("echo {name} >> /v/log; cat /v/log > /dev/termination-log; exit 0");
        let script = format!("trap '{last}' TERM; echo up-{name} >> /v/log; while :; do sleep 1 & wait $!; done");
        let probe = "startupProbe: {exec: {command: [grep, up, /v/log]}, periodSeconds: 1, failureThreshold: 30}";
        shell(name, &script, &format!("{VOLUME}, restartPolicy: Always, {probe}"))
    };
    let (s1, s2) = (sidecar("s1"), sidecar("s2"));
    let main = shell("main", "sleep 1; echo main >> /v/log", VOLUME);
    let spec = format!("restartPolicy: Never, initContainers: [{s1}, {s2}], containers: [{main}], {VOLUMES}");
    kubectl.apply(&pod("p", &spec))?;
    phase(&kubectl, "p", "Succeeded")?;
    let statuses = kubectl.value("pod/p", "/status/initContainerStatuses")?;
    let words = statuses[0]["state"]["terminated"]["message"].as_str().unwrap_or_default();
    ensure!(words == "up-s1\nup-s2\nmain\ns2\ns1\n", "{statuses}");
    Ok(())
}

fn rules_restart_a_container_or_all_of_them(cluster: &Cluster) -> Result<()> {
    let kubectl = cluster.namespace("rules")?;
    let rule = |action: &str| {
        let rule = format!("[{{action: {action}, exitCodes: {{operator: In, values: [42]}}}}]");
        format!("{VOLUME}, restartPolicy: Never, restartPolicyRules: {rule}")
    };
    let once = "[ -f /v/was ] && { trap 'exit 0' TERM; while :; do sleep 1 & wait $!; done; }; touch /v/was; exit 42";
    let one = shell("one", once, &rule("Restart"));
    kubectl.apply(&pod("one", &format!("restartPolicy: Never, containers: [{one}], {VOLUMES}")))?;
    kubectl.wait_value("pod/one", "/status/containerStatuses/0/restartCount", SOON, |count| *count == 1)?;
    kubectl.wait_ready("one")?;

    let init = shell("init", "echo init >> /v/log", VOLUME);
    let other = shell("other", SLEEP, "");
    let trigger = shell("trigger", &format!("sleep 1; {once}"), &rule("RestartAllContainers"));
    let spec = format!("restartPolicy: Never, initContainers: [{init}], containers: [{other}, {trigger}], {VOLUMES}");
    kubectl.apply(&pod("all", &spec))?;
    let sandbox_ip = kubectl.wait_value("pod/all", "/status/podIP", SOON, Value::is_string)?;
    for index in 0..2 {
        let count = format!("/status/containerStatuses/{index}/restartCount");
        kubectl.wait_value("pod/all", &count, SOON, |count| *count == 1)?;
    }
    kubectl.wait_ready("all")?;
    let log = kubectl.ok(&["exec", "all", "-c", "trigger", "--", "cat", "/v/log"])?;
    ensure!(log == "init\ninit\n", "{log}");
    ensure!(kubectl.value("pod/all", "/status/podIP")? == sandbox_ip, "the sandbox stays");
    ensure!(kubectl.text("pod/all", "/status/phase")? == "Running");
    let conditions = kubectl.value("pod/all", "/status/conditions")?.to_string();
    ensure!(conditions.contains("AllContainersRestarting"), "{conditions}");
    Ok(())
}

fn ephemeral_containers_join_a_running_pod(cluster: &Cluster) -> Result<()> {
    let kubectl = cluster.namespace("debug")?;
    kubectl.apply(&pod("p", &format!("containers: [{}]", shell("main", &format!("VERY=special; {SLEEP}"), ""))))?;
    kubectl.wait_ready("p")?;
    let script = "ps; exit 5";
    kubectl.ok(&["debug", "p", "--image=busybox", "--target=main", "-c", "look", "--", "sh", "-c", script])?;
    let ended = "/status/ephemeralContainerStatuses/0/state/terminated/exitCode";
    kubectl.wait_value("pod/p", ended, SOON, |code| *code == 5)?;
    let seen = kubectl.ok(&["logs", "p", "-c", "look"])?;
    ensure!(seen.contains("VERY=special"), "the target's processes are seen: {seen}");
    // It ran once; the Pod is none the worse for it.
    ensure!(kubectl.value("pod/p", "/status/ephemeralContainerStatuses/0/restartCount")? == 0);
    ensure!(kubectl.text("pod/p", "/status/phase")? == "Running");
    let attached =
        kubectl.in_terminal("$KUBECTL debug -it p --image=busybox -c talk -- sh", b"echo sum-$((40+2)); exit\n")?;
    ensure!(attached.stdout.contains("sum-42"), "{}", attached.both());
    let missing = ["debug", "p", "--image=busybox", "--target=nobody", "-c", "lost", "--", "true"];
    kubectl.run(&missing)?;
    let refused = kubectl.run(&[
        "patch",
        "pod",
        "p",
        "--subresource=ephemeralcontainers",
        "--type=json",
        "-p",
        r#"[{"op":"remove","path":"/spec/ephemeralContainers/0"}]"#,
    ])?;
    ensure!(refused.both().contains("may not be removed"), "{}", refused.both());
    delete(&kubectl, "p").map(drop)
}

fn debug_copies_a_pod(cluster: &Cluster) -> Result<()> {
    let kubectl = cluster.namespace("debug-copy")?;
    kubectl.apply(&pod("p", &format!("containers: [{}]", shell("main", "exit 1", ""))))?;
    let copy = ["debug", "p", "--copy-to=copy", "--container=main", "--", "sh", "-c", SLEEP];
    kubectl.ok(&copy)?;
    kubectl.wait_ready("copy")?;
    let beside = [
        "debug",
        "copy",
        "--copy-to=shared",
        "--share-processes",
        "--image=busybox",
        "-c",
        "look",
        "--",
        "sh",
        "-c",
        SLEEP,
    ];
    kubectl.ok(&beside)?;
    kubectl.wait_ready("shared")?;
    let seen = kubectl.ok(&["exec", "shared", "-c", "look", "--", "ps"])?;
    ensure!(seen.matches("trap").count() >= 2, "{seen}");
    Ok(())
}

fn post_start_holds_back_the_container(cluster: &Cluster) -> Result<()> {
    let kubectl = cluster.namespace("post-start")?;
    let hook = ", lifecycle: {postStart: {exec: {command: [sh, -c, 'until [ -f /tmp/go ]; do sleep 0.1; done']}}}";
    kubectl.apply(&pod("p", &format!("containers: [{}]", shell("main", SLEEP, hook))))?;
    wait_event(&kubectl, "p", "Started", "Container started")?;
    let reason = "/status/containerStatuses/0/state/waiting/reason";
    kubectl.wait_value("pod/p", reason, SOON, |reason| reason == "ContainerCreating")?;
    ensure!(kubectl.text("pod/p", "/status/phase")? == "Pending");
    kubectl.ok(&["exec", "p", "--", "touch", "/tmp/go"])?;
    kubectl.wait_ready("p")?;
    Ok(())
}

fn failing_hooks_are_reported(cluster: &Cluster) -> Result<()> {
    let kubectl = cluster.namespace("failing-hooks")?;
    let hook = ", lifecycle: {postStart: {exec: {command: [sh, -c, 'exit 7']}}}";
    kubectl.apply(&pod("p", &format!("containers: [{}]", shell("main", SLEEP, hook))))?;
    wait_event(&kubectl, "p", "FailedPostStartHook", "PostStartHook failed")?;
    wait_event(&kubectl, "p", "Killing", "FailedPostStartHook")?;
    kubectl.wait_value("pod/p", "/status/containerStatuses/0/restartCount", SOON, |count| count.as_i64() >= Some(1))?;
    let hook = ", lifecycle: {preStop: {exec: {command: [sh, -c, 'exit 7']}}}";
    kubectl.apply(&pod("q", &format!("containers: [{}]", shell("main", SLEEP, hook))))?;
    kubectl.wait_ready("q")?;
    delete(&kubectl, "q")?;
    wait_event(&kubectl, "q", "FailedPreStopHook", "PreStopHook failed")
}

fn pre_stop_runs_within_the_grace_period(cluster: &Cluster) -> Result<()> {
    let kubectl = cluster.namespace("pre-stop")?;
    let hook = ", lifecycle: {preStop: {sleep: {seconds: 2}}}";
    let spec = format!("terminationGracePeriodSeconds: 20, containers: [{}]", shell("main", SLEEP, hook));
    kubectl.apply(&pod("short", &spec))?;
    // The hook would take for ever: the grace period is over first, and the process gets its last moment.
    let hook = ", lifecycle: {preStop: {exec: {command: [sleep, '1000']}}}";
    let spec = format!("terminationGracePeriodSeconds: 2, containers: [{}]", shell("main", "sleep 1000", hook));
    kubectl.apply(&pod("long", &spec))?;
    for (name, least, most) in [("short", 2, 15), ("long", 3, 20)] {
        kubectl.wait_ready(name)?;
        let took = delete(&kubectl, name)?;
        ensure!((least..most).contains(&took.as_secs()), "{name} took {took:?}");
    }
    kubectl.apply(&pod("forced", &format!("containers: [{}]", shell("main", "sleep 1000", ""))))?;
    kubectl.wait_ready("forced")?;
    let started = Instant::now();
    kubectl.ok(&["delete", "pod", "forced", "--force", "--grace-period=0"])?;
    ensure!(started.elapsed() < Duration::from_secs(10), "{:?}", started.elapsed());
    Ok(())
}

fn crash_loops_back_off_up_to_the_nodes_limit(cluster: &Cluster) -> Result<()> {
    let kubectl = cluster.namespace("crash")?;
    kubectl.apply(&pod("p", &format!("containers: [{}]", shell("main", "exit 9", ""))))?;
    let waiting = "/status/containerStatuses/0/state/waiting";
    let is_crash_loop = |value: &Value| value["reason"] == "CrashLoopBackOff";
    let state = kubectl.wait_value("pod/p", waiting, SOON, is_crash_loop)?;
    let message = state["message"].as_str().unwrap_or_default();
    let uid = kubectl.text("pod/p", "/metadata/uid")?;
    let expected = format!("back-off 2s restarting failed container=main pod=p_{}({uid})", kubectl.namespace());
    ensure!(message == expected, "{message}");
    wait_event(&kubectl, "p", "BackOff", "Back-off restarting failed container main in pod p_")?;
    let count = kubectl
        .wait_value("pod/p", "/status/containerStatuses/0/restartCount", SOON, |count| count.as_i64() >= Some(3))?;
    ensure!(count.as_i64() < Some(20), "{count}");
    let last = kubectl.value("pod/p", "/status/containerStatuses/0/lastState/terminated/exitCode")?;
    ensure!(last == 9, "{last}");
    Ok(())
}

fn pods_end_in_every_state(cluster: &Cluster) -> Result<()> {
    let kubectl = cluster.namespace("ending")?;
    let main = shell("main", SLEEP, "");
    let forever = ", lifecycle: {postStart: {exec: {command: [sleep, '1000']}}}";
    let missing = "volumes: [{name: v, configMap: {name: nothing}}]";
    let pods = [
        ("pulling", "containers: [{name: main, image: 'no-such-image:1'}]".to_owned(), "ImagePullBackOff"),
        ("init", format!("initContainers: [{}], containers: [{main}]", shell("i", SLEEP, "")), "PodInitializing"),
        ("hook", format!("containers: [{}]", shell("main", SLEEP, forever)), "ContainerCreating"),
        ("crash", format!("containers: [{}]", shell("main", "exit 1", "")), "CrashLoopBackOff"),
        ("mount", format!("containers: [{}], {missing}", shell("main", SLEEP, VOLUME)), "ContainerCreating"),
    ];
    for (name, spec, _) in &pods {
        kubectl.apply(&pod(name, spec))?;
    }
    for (name, _, reason) in &pods {
        let pointer = "/status/containerStatuses/0/state/waiting/reason";
        kubectl.wait_value(&format!("pod/{name}"), pointer, SOON, |value| value == reason)?;
        let took = delete(&kubectl, name)?;
        ensure!(took < Duration::from_secs(20), "{name} took {took:?}");
    }
    Ok(())
}

fn finalizers_keep_the_object_only(cluster: &Cluster) -> Result<()> {
    let kubectl = cluster.namespace("finalizers")?;
    let manifest = pod("p", &format!("containers: [{}]", shell("main", SLEEP, "")));
    kubectl.apply(&manifest.replace("{name: p}", "{name: p, finalizers: [example.com/hold]}"))?;
    kubectl.wait_ready("p")?;
    kubectl.ok(&["delete", "pod", "p", "--wait=false"])?;
    let terminated = "/status/containerStatuses/0/state/terminated/exitCode";
    kubectl.wait_value("pod/p", terminated, SOON, |code| *code == 0)?;
    kubectl.wait_value("pod/p", "/metadata/deletionGracePeriodSeconds", SOON, |seconds| *seconds == 0)?;
    phase(&kubectl, "p", "Succeeded")?;
    // A change of the object that is left wakes nothing up.
    kubectl.ok(&["label", "pod", "p", "seen=yes"])?;
    ensure!(kubectl.value("pod/p", terminated)? == 0);
    kubectl.ok(&["patch", "pod", "p", "-p", r#"{"metadata":{"finalizers":null}}"#])?;
    kubectl.ok(&["wait", "--for=delete", "pod/p", "--timeout=30s"])?;
    Ok(())
}

fn a_deadline_ends_a_pod(cluster: &Cluster) -> Result<()> {
    let kubectl = cluster.namespace("deadline")?;
    kubectl.apply(&pod("p", &format!("activeDeadlineSeconds: 2, containers: [{}]", shell("main", SLEEP, ""))))?;
    phase(&kubectl, "p", "Failed")?;
    ensure!(kubectl.text("pod/p", "/status/reason")? == "DeadlineExceeded");
    let message = kubectl.text("pod/p", "/status/message")?;
    ensure!(message == "Pod was active on the node longer than the specified deadline", "{message}");
    kubectl.wait_value("pod/p", "/status/containerStatuses/0/state/terminated", SOON, Value::is_object)?;
    wait_event(&kubectl, "p", "DeadlineExceeded", "longer than the specified deadline")
}

fn last_words_are_kept(cluster: &Cluster) -> Result<()> {
    let kubectl = cluster.namespace("last-words")?;
    let own = shell("own", "printf why > /tmp/words; exit 1", ", terminationMessagePath: /tmp/words");
    let policy = ", terminationMessagePolicy: FallbackToLogsOnError";
    let logged = shell("logged", "echo from the log; exit 1", policy);
    let fine = shell("fine", "echo from the log", policy);
    kubectl.apply(&pod("p", &format!("restartPolicy: Never, containers: [{own}, {logged}, {fine}]")))?;
    phase(&kubectl, "p", "Failed")?;
    let statuses = kubectl.value("pod/p", "/status/containerStatuses")?;
    let message = |index: usize| statuses[index]["state"]["terminated"]["message"].as_str().unwrap_or_default();
    // By name: fine, logged, own.
    ensure!((message(0), message(1), message(2)) == ("", "from the log\n", "why"), "{statuses}");
    Ok(())
}

fn the_stop_signal_can_be_chosen(cluster: &Cluster) -> Result<()> {
    if cluster.lacks(Ability::StopSignals) {
        return Ok(());
    }
    let kubectl = cluster.namespace("stop-signal")?;
    let script = "trap 'echo usr1 > /dev/termination-log; exit 0' USR1; while :; do sleep 1 & wait $!; done";
    let main = shell("main", script, ", lifecycle: {stopSignal: SIGUSR1}");
    let manifest = pod("p", &format!("os: {{name: linux}}, activeDeadlineSeconds: 3600, containers: [{main}]"));
    kubectl.apply(&manifest)?;
    kubectl.wait_ready("p")?;
    ensure!(kubectl.text("pod/p", "/status/containerStatuses/0/stopSignal")? == "SIGUSR1");
    kubectl.ok(&["patch", "pod", "p", "-p", r#"{"spec":{"activeDeadlineSeconds":1}}"#])?;
    let message = "/status/containerStatuses/0/state/terminated/message";
    kubectl.wait_value("pod/p", message, SOON, |message| message == "usr1\n")?;
    Ok(())
}

fn watchers_see_a_pod_being_made(cluster: &Cluster) -> Result<()> {
    let kubectl = cluster.namespace("being-made")?;
    let resources = ", resources: {requests: {cpu: 10m, memory: 16Mi}, limits: {memory: 32Mi}}";
    let plain = format!("{VOLUMES}, containers: [{}]", shell("main", SLEEP, &format!("{resources}{VOLUME}")));
    let init = format!("initContainers: [{}], containers: [{}]", shell("first", "true", ""), shell("main", SLEEP, ""));
    for (name, spec, reason) in [("plain", plain, "ContainerCreating"), ("init", init, "PodInitializing")] {
        let selector = format!("metadata.name={name}");
        let mut watch = kubectl.stream(&["get", "pods", "--watch", "--field-selector", &selector, "-o", "json"])?;
        kubectl.apply(&pod(name, &spec))?;
        let is_ready =
            |said: &str| versions(said).last().is_some_and(|pod| condition(pod, "Ready")["status"] == "True");
        let versions = versions(&watch.wait_for(SOON, is_ready)?);
        watch.close_input();
        let waits = |pod: &&Value| pod["status"]["containerStatuses"][0]["state"]["waiting"]["reason"] == reason;
        let first = versions.iter().find(waits).ok_or_else(|| anyhow::anyhow!("no {reason} in {versions:?}"))?;
        let unready = |pod: &Value, type_: &str| {
            let condition = condition(pod, type_);
            condition["status"] == "False" && condition["reason"] == "ContainersNotReady"
        };
        ensure!(condition(first, "PodReadyToStartContainers")["status"] == "False", "{first}");
        ensure!(unready(first, "Ready") && unready(first, "ContainersReady"), "{first}");
        let initialized = if name == "plain" { "True" } else { "False" };
        ensure!(condition(first, "Initialized")["status"] == initialized, "{first}");
        ensure!(first["status"]["startTime"].is_string() && first["status"]["hostIPs"].is_array(), "{first}");
        for version in &versions[versions.iter().position(|one| waits(&one)).unwrap_or(0)..] {
            let conditions = version["status"]["conditions"].as_array().into_iter().flatten();
            for stated in conditions.chain([&version["status"]]) {
                ensure!(stated["observedGeneration"] == version["metadata"]["generation"], "{stated}");
            }
        }
    }
    let status = kubectl.value("pod/plain", "/status")?;
    let container = &status["containerStatuses"][0];
    let requests = serde_json::json!({ "cpu": "10m", "memory": "16Mi" });
    ensure!(container["allocatedResources"] == requests && container["resources"]["requests"] == requests, "{status}");
    ensure!(container["resources"]["limits"]["memory"] == "32Mi", "{status}");
    ensure!(container["volumeMounts"][0]["mountPath"] == "/v", "{status}");
    ensure!(cluster.lacks(Ability::Users) || container["user"]["linux"]["uid"] == 0, "{status}");
    ensure!(status["qosClass"] == "Burstable" && status["podIPs"][0]["ip"] == status["podIP"], "{status}");
    Ok(())
}

/// The objects a watch has printed so far.
fn versions(said: &str) -> Vec<Value> {
    serde_json::Deserializer::from_str(said).into_iter().map_while(Result::ok).collect()
}

fn condition<'a>(pod: &'a Value, type_: &str) -> &'a Value {
    let conditions = pod["status"]["conditions"].as_array();
    conditions.and_then(|all| all.iter().find(|one| one["type"] == type_)).unwrap_or(&Value::Null)
}

fn services_are_told_by_environment(cluster: &Cluster) -> Result<()> {
    let (kubectl, other) = (cluster.namespace("links")?, cluster.namespace("links-other")?);
    kubectl.ok(&["create", "service", "clusterip", "my-web", "--tcp=80:8080"])?;
    kubectl.ok(&["create", "service", "clusterip", "quiet", "--clusterip=None"])?;
    other.ok(&["create", "service", "clusterip", "elsewhere", "--tcp=80"])?;
    let address = kubectl.text("service/my-web", "/spec/clusterIP")?;
    let once = |name: &str, more: &str| {
        pod(name, &format!("restartPolicy: Never, containers: [{}]{more}", shell("c", "env", "")))
    };
    kubectl.apply(&once("linked", ""))?;
    kubectl.apply(&once("unlinked", ", enableServiceLinks: false"))?;
    phase(&kubectl, "linked", "Succeeded")?;
    phase(&kubectl, "unlinked", "Succeeded")?;
    let linked = kubectl.ok(&["logs", "linked"])?;
    for want in [
        format!("MY_WEB_SERVICE_HOST={address}"),
        "MY_WEB_SERVICE_PORT=80".to_owned(),
        format!("MY_WEB_PORT_80_TCP=tcp://{address}:80"),
        "KUBERNETES_SERVICE_PORT_HTTPS=443".to_owned(),
    ] {
        ensure!(linked.lines().any(|line| line == want), "{want} in {linked}");
    }
    ensure!(!linked.contains("QUIET_") && !linked.contains("ELSEWHERE_"), "{linked}");
    let unlinked = kubectl.ok(&["logs", "unlinked"])?;
    ensure!(unlinked.contains("KUBERNETES_SERVICE_HOST=") && !unlinked.contains("MY_WEB_"), "{unlinked}");
    Ok(())
}

fn variables_come_from_files_of_volumes(cluster: &Cluster) -> Result<()> {
    let kubectl = cluster.namespace("env-files")?;
    let variable = |name: &str, key: &str, optional: bool| {
        let reference = format!("{{volumeName: v, path: a.env, key: {key}, optional: {optional}}}");
        format!("{{name: {name}, valueFrom: {{fileKeyRef: {reference}}}}}")
    };
    let write = shell("write", "printf \"# made\\nA='one'\\nB='two\\nlines'\\n\" > /v/a.env", VOLUME);
    let env = [variable("ONE", "A", false), variable("TWO", "B", false), variable("NONE", "C", true)].join(", ");
    let show = shell("show", "echo \"$ONE+$TWO+${NONE-unset}\"", &format!(", env: [{env}]"));
    let spec = format!("restartPolicy: Never, initContainers: [{write}], containers: [{show}], {VOLUMES}");
    kubectl.apply(&pod("p", &spec))?;
    phase(&kubectl, "p", "Succeeded")?;
    let log = kubectl.ok(&["logs", "p"])?;
    ensure!(log == "one+two\nlines+unset\n", "{log:?}");

    for (name, text, key, message) in [
        ("key", "A='one'", "C", "environment variable key \"C\" not found in file \"a.env\""),
        ("format", "A=one", "A", "couldn't parse env file"),
    ] {
        let write = shell("write", &format!("echo \"{text}\" > /v/a.env"), VOLUME);
        let show = shell("show", "env", &format!(", env: [{}]", variable("ONE", key, false)));
        let spec = format!("restartPolicy: Never, initContainers: [{write}], containers: [{show}], {VOLUMES}");
        kubectl.apply(&pod(name, &spec))?;
        let path = "/status/containerStatuses/0/state/waiting";
        let waiting = kubectl.wait_value(&format!("pod/{name}"), path, SOON, |waiting| {
            waiting["reason"] == "CreateContainerConfigError"
        })?;
        ensure!(waiting["message"] == message, "{waiting}");
    }
    Ok(())
}

fn a_full_name_has_to_fit(cluster: &Cluster) -> Result<()> {
    let kubectl = cluster.namespace("full-name")?;
    let name = "x".repeat(40);
    let spec = format!(
        "hostname: {name}, subdomain: sub, setHostnameAsFQDN: true, containers: [{}]",
        shell("main", SLEEP, "")
    );
    kubectl.apply(&pod("p", &spec))?;
    let full = format!("{name}.sub.{}.svc.cluster.local", kubectl.namespace());
    let problem = format!(
        "Failed to create pod sandbox: failed to construct FQDN from pod hostname and cluster domain, FQDN {full} is too \
         long (64 characters is the max, {} characters requested)",
        full.len()
    );
    wait_event(&kubectl, "p", "FailedCreatePodSandBox", &problem)?;
    ensure!(kubectl.text("pod/p", "/status/phase")? == "Pending");
    delete(&kubectl, "p").map(drop)
}

fn names_and_environment_are_as_written(cluster: &Cluster) -> Result<()> {
    let kubectl = cluster.namespace("names")?;
    let script = format!("(hostname; cat /etc/hosts /etc/resolv.conf; env) > /tmp/facts; {SLEEP}");
    let spec = format!(
        "hostname: box, subdomain: sub, setHostnameAsFQDN: true, dnsPolicy: None, dnsConfig: {{nameservers: [192.0.2.53], \
         searches: [example.com], options: [{{name: ndots, value: '3'}}]}}, hostAliases: [{{ip: 192.0.2.7, hostnames: \
         [seven, sieben]}}], containers: [{}]",
        shell("main", &script, "")
    );
    kubectl.apply(&pod("p", &spec))?;
    kubectl.wait_ready("p")?;
    let facts = kubectl.ok(&[
        "exec",
        "p",
        "--",
        "sh",
        "-c",
        "until grep -q KUBERNETES_PORT= /tmp/facts; do sleep 0.1; \
        done; cat /tmp/facts",
    ])?;
    let fqdn = format!("box.sub.{}.svc.cluster.local", kubectl.namespace());
    ensure!(facts.lines().next() == Some(&fqdn), "{facts}");
    for expected in [
        format!("{fqdn}\tbox"),
        "192.0.2.7\tseven\tsieben".to_owned(),
        "nameserver 192.0.2.53".to_owned(),
        "search example.com".to_owned(),
        "options ndots:3".to_owned(),
        "KUBERNETES_SERVICE_PORT_HTTPS=443".to_owned(),
    ] {
        ensure!(facts.contains(&expected), "{expected:?} in {facts}");
    }
    ensure!(facts.contains("KUBERNETES_SERVICE_HOST=10."), "{facts}");
    Ok(())
}

fn termination_survives_a_crash_of_the_server(_: &Cluster) -> Result<()> {
    let cluster = Cluster::start(Options::default())?;
    let kubectl = cluster.namespace("crash-of-the-server")?;
    let hook = ", lifecycle: {preStop: {exec: {command: [sleep, '3']}}}";
    kubectl.apply(&pod("p", &format!("containers: [{}]", shell("main", SLEEP, hook))))?;
    kubectl.wait_ready("p")?;
    kubectl.ok(&["delete", "pod", "p", "--wait=false"])?;
    wait_event(&kubectl, "p", "Killing", "Stopping container main")?;
    cluster.kill_server()?;
    cluster.start_server()?;
    kubectl.ok(&["wait", "--for=delete", "pod/p", "--timeout=60s"])?;
    Ok(())
}
