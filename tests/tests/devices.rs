//! Extended resources: devices that a plugin offers, and what somebody gives to the Node by hand. Each case has a cluster
//! of its own, because one of them takes the kubelet down.

use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Result, ensure};
use serde_json::Value;
use tests::device_plugin::DevicePlugin;
use tests::{Cluster, Options, cases, suite};

const SOON: Duration = Duration::from_secs(40);
const THING: &str = "example.com/thing";
const THINGS: &str = "{limits: {'example.com/thing': 1}}";

fn main() -> ExitCode {
    let cases = cases![
        devices_of_a_plugin_go_to_one_pod_each,
        devices_outlive_kubelet_and_plugin,
        a_plugin_can_say_no,
        devices_can_be_had_by_name,
        a_resource_given_by_hand_is_scheduled,
    ];
    suite::run(|| Ok(()), cases, |()| String::new())
}

/// Runs a case on a cluster of its own.
fn on_a_cluster(case: impl FnOnce(&Cluster) -> Result<()>) -> Result<()> {
    let cluster = Cluster::start(Options::default())?;
    case(&cluster).map_err(|error| error.context(cluster.diagnose()))
}

/// A Pod that sleeps; `resources` is a JSON object, `more` goes into its spec.
fn sleeper(name: &str, resources: &str, more: &str) -> String {
    format!(
        "apiVersion: v1\nkind: Pod\nmetadata: {{name: {name}}}\nspec:\n  terminationGracePeriodSeconds: 1\n  {more}\n  \
         containers:\n  - name: app\n    image: busybox\n    command: [sleep, '3600']\n    resources: {resources}\n"
    )
}

/// Waits for the Node's count of a resource; null when it has none.
fn wait_count(cluster: &Cluster, list: &str, resource: &str, count: Value) -> Result<()> {
    let pointer = format!("/status/{list}/{}", resource.replace('/', "~1"));
    cluster.kubectl().wait_value("node/node-1", &pointer, SOON, |value| *value == count).map(drop)
}

fn devices_of_a_plugin_go_to_one_pod_each((): &()) -> Result<()> {
    on_a_cluster(one_pod_each)
}

fn one_pod_each(cluster: &Cluster) -> Result<()> {
    let kubectl = cluster.namespace("devices")?;
    let shown = cluster.scratch("thing")?;
    std::fs::write(shown.join("greeting"), "from the plugin")?;
    let plugin = DevicePlugin::start(&cluster.data_dir(), THING, &shown)?;
    plugin.list(&[("a", true), ("b", true), ("broken", false)]);
    wait_count(cluster, "capacity", THING, "3".into())?;
    wait_count(cluster, "allocatable", THING, "2".into())?;

    // The plugin prefers the last one.
    kubectl.apply(&sleeper("first", THINGS, ""))?;
    kubectl.wait_ready("first")?;
    let seen = "echo $THINGS; cat /thing/greeting; echo; touch /thing/x 2>&1; test -c /dev/thing && echo device";
    let seen = kubectl.ok(&["exec", "first", "--", "sh", "-c", seen])?;
    let lines: Vec<&str> = seen.lines().collect();
    ensure!(lines[0] == "b" && lines[1] == "from the plugin" && lines[3..] == ["device"], "{seen}");
    ensure!(lines[2].contains("Read-only file system"), "{seen}");
    ensure!(plugin.calls() == ["prefer [a b] 1", "allocate [b]", "prepare [b]"], "{:?}", plugin.calls());

    // One that is broken is nobody's, and the node refuses who comes past the scheduler.
    plugin.list(&[("a", false), ("b", true), ("broken", false)]);
    wait_count(cluster, "allocatable", THING, "1".into())?;
    kubectl.apply(&sleeper("second", THINGS, ""))?;
    let why = "/status/conditions/0/message";
    kubectl.wait_value("pod/second", why, SOON, |message| {
        message.as_str().is_some_and(|message| message.contains("1 Insufficient example.com/thing"))
    })?;
    kubectl.apply(&sleeper("forced", THINGS, "nodeName: node-1"))?;
    kubectl.wait_value("pod/forced", "/status/reason", SOON, |reason| reason == "UnexpectedAdmissionError")?;
    let message = kubectl.text("pod/forced", "/status/message")?;
    let expected = "Pod was rejected: Allocate failed due to requested number of devices unavailable for \
                    example.com/thing. Requested: 1, Available: 0, which is unexpected";
    ensure!(message == expected, "{message}");

    kubectl.ok(&["delete", "pod/first", "--now"])?;
    kubectl.wait_ready("second")?;
    ensure!(kubectl.ok(&["exec", "second", "--", "sh", "-c", "echo $THINGS"])?.trim() == "b");

    // Without its plugin a resource cannot be had, and is still the node's for a while.
    drop(plugin);
    wait_count(cluster, "allocatable", THING, "0".into())?;
    wait_count(cluster, "capacity", THING, "3".into())?;
    ensure!(kubectl.text("pod/second", "/status/phase")? == "Running");
    kubectl.ok(&["delete", "pod", "--all", "--now"]).map(drop)
}

fn devices_outlive_kubelet_and_plugin((): &()) -> Result<()> {
    on_a_cluster(outlive)
}

fn outlive(cluster: &Cluster) -> Result<()> {
    let kubectl = cluster.namespace("lasting-devices")?;
    let shown = cluster.scratch("lasting")?;
    let plugin = DevicePlugin::start(&cluster.data_dir(), THING, &shown)?;
    plugin.list(&[("a", true), ("b", true)]);
    wait_count(cluster, "allocatable", THING, "2".into())?;
    let until_told = "[sh, -c, 'while ! test -e /tmp/end; do sleep 0.2; done']";
    kubectl.apply(&sleeper("first", THINGS, "").replace("[sleep, '3600']", until_told))?;
    kubectl.wait_ready("first")?;

    cluster.kill_server()?;
    cluster.start_server()?;
    wait_count(cluster, "allocatable", THING, "0".into())?;
    ensure!(!plugin.socket().exists(), "the plugin has to see that it must register again");
    // A new instance of the container gets what the old one had, plugin or not.
    kubectl.ok(&["exec", "first", "--", "touch", "/tmp/end"])?;
    let restarts = "/status/containerStatuses/0/restartCount";
    kubectl.wait_value("pod/first", restarts, SOON, |count| *count == 1)?;
    kubectl.wait_ready("first")?;
    ensure!(kubectl.ok(&["exec", "first", "--", "sh", "-c", "echo $THINGS"])?.trim() == "b");
    drop(plugin);
    let plugin = DevicePlugin::start(&cluster.data_dir(), THING, &shown)?;
    plugin.list(&[("a", true), ("b", true)]);
    wait_count(cluster, "allocatable", THING, "2".into())?;
    kubectl.apply(&sleeper("second", THINGS, ""))?;
    kubectl.wait_ready("second")?;
    ensure!(kubectl.ok(&["exec", "second", "--", "sh", "-c", "echo $THINGS"])?.trim() == "a");
    ensure!(kubectl.ok(&["exec", "first", "--", "sh", "-c", "echo $THINGS"])?.trim() == "b");
    ensure!(plugin.calls() == ["prefer [a] 1", "allocate [a]", "prepare [a]"], "{:?}", plugin.calls());
    kubectl.ok(&["delete", "pod", "--all", "--now"]).map(drop)
}

fn a_plugin_can_say_no((): &()) -> Result<()> {
    on_a_cluster(says_no)
}

fn says_no(cluster: &Cluster) -> Result<()> {
    let kubectl = cluster.namespace("refusals")?;
    let plugin = DevicePlugin::start(&cluster.data_dir(), THING, &cluster.scratch("refusing")?)?;
    plugin.list(&[("a", true)]);
    wait_count(cluster, "allocatable", THING, "1".into())?;
    plugin.refuse(Some("Allocate"));
    kubectl.apply(&sleeper("unlucky", THINGS, ""))?;
    kubectl.wait_value("pod/unlucky", "/status/reason", SOON, |reason| reason == "UnexpectedAdmissionError")?;
    let message = kubectl.text("pod/unlucky", "/status/message")?;
    let expected = "Pod was rejected: Allocate failed due to rpc error: code = Unknown desc = no luck today, which is \
                    unexpected";
    ensure!(message == expected, "{message}");

    plugin.refuse(Some("PreStartContainer"));
    kubectl.apply(&sleeper("patient", THINGS, ""))?;
    let waiting = "/status/containerStatuses/0/state/waiting";
    let waiting =
        kubectl.wait_value("pod/patient", waiting, SOON, |state| state["reason"] == "CreateContainerConfigError")?;
    let expected =
        "device plugin PreStartContainer rpc failed with err: rpc error: code = Unknown desc = no luck today";
    ensure!(waiting["message"] == expected, "{waiting}");
    plugin.refuse(None);
    kubectl.wait_ready("patient")?;
    kubectl.ok(&["delete", "pod", "--all", "--now"]).map(drop)
}

fn is_v1() -> bool {
    std::path::Path::new("/sys/fs/cgroup/devices/cgroup.procs").exists()
}

/// A description of devices, where every runtime looks for such; removed in the end.
struct CdiFile(std::path::PathBuf);

impl CdiFile {
    fn write(kind: &str) -> Result<Self> {
        let directory = std::path::Path::new("/var/run/cdi");
        std::fs::create_dir_all(directory)?;
        let file = Self(directory.join(format!("isopod-tests-{}.json", std::process::id())));
        // Half a permission needs the devices controller of version 1.
        let permissions = if is_v1() { "r" } else { "rw" };
        let text = format!(
            "{{\"cdiVersion\": \"0.6.0\", \"kind\": \"{kind}\", \"devices\": [{{\"name\": \"one\", \"containerEdits\": \
             {{\"env\": [\"NAMED=yes\"], \"deviceNodes\": [{{\"path\": \"/dev/named\", \"hostPath\": \"/dev/zero\", \"permissions\": \
             \"{permissions}\"}}]}}}}]}}"
        );
        std::fs::write(&file.0, text)?;
        Ok(file)
    }
}

impl Drop for CdiFile {
    fn drop(&mut self) {
        // What is left describes devices that nobody else names.
        let _ = std::fs::remove_file(&self.0);
    }
}

fn devices_can_be_had_by_name((): &()) -> Result<()> {
    on_a_cluster(by_name)
}

fn by_name(cluster: &Cluster) -> Result<()> {
    let kubectl = cluster.namespace("named-devices")?;
    let kind = format!("tests-{}.example.com/thing", std::process::id());
    let plugin = DevicePlugin::start(&cluster.data_dir(), THING, &cluster.scratch("named")?)?;
    plugin.list(&[("a", true)]);
    wait_count(cluster, "allocatable", THING, "1".into())?;
    let name = format!("{kind}=one");
    plugin.name_devices(&[&name]);
    kubectl.apply(&sleeper("app", THINGS, ""))?;
    let waiting = "/status/containerStatuses/0/state/waiting";
    let waiting = kubectl.wait_value("pod/app", waiting, SOON, |state| state["reason"] == "CreateContainerError")?;
    let expected = format!("CDI device injection failed: unresolvable CDI devices {name}");
    ensure!(waiting["message"].as_str().is_some_and(|message| message.contains(&expected)), "{waiting}");
    let _file = CdiFile::write(&kind)?;
    kubectl.wait_ready("app")?;
    let seen = kubectl.ok(&["exec", "app", "--", "sh", "-c", "echo $NAMED; test -c /dev/named && echo device"])?;
    ensure!(seen.lines().eq(["yes", "device"]), "{seen}");
    if is_v1() {
        kubectl.ok(&["exec", "app", "--", "head", "-c1", "/dev/named"])?;
        let refused = kubectl.fails(&["exec", "app", "--", "sh", "-c", "echo x > /dev/named"])?;
        ensure!(refused.contains("Operation not permitted"), "{refused}");
    }
    kubectl.ok(&["delete", "pod", "--all", "--now"]).map(drop)
}

fn a_resource_given_by_hand_is_scheduled((): &()) -> Result<()> {
    on_a_cluster(by_hand)
}

fn by_hand(cluster: &Cluster) -> Result<()> {
    let kubectl = cluster.namespace("by-hand")?;
    let patch = "[{\"op\":\"add\",\"path\":\"/status/capacity/example.com~1dongle\",\"value\":\"1\"}]";
    kubectl.ok(&["patch", "node/node-1", "--subresource=status", "--type=json", "--patch", patch])?;
    wait_count(cluster, "allocatable", "example.com/dongle", "1".into())?;
    kubectl.apply(&sleeper("app", "{limits: {'example.com/dongle': 1}}", ""))?;
    kubectl.wait_ready("app")?;
    kubectl.ok(&["delete", "pod", "--all", "--now"]).map(drop)
}
