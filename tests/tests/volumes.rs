//! Volumes: what Pods see of objects, of the node and of PersistentVolumes.

use std::fs;
use std::path::PathBuf;
use std::process::ExitCode;
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Result, bail, ensure};
use tests::{Cluster, Kubectl, Options, cases, suite};

const SOON: Duration = Duration::from_secs(30);
/// How soon a change of an object must be in the container.
const REFRESH_LIMIT: Duration = Duration::from_secs(1);

fn main() -> ExitCode {
    let cases = cases![
        changes_of_config_maps_and_secrets_arrive_at_once,
        fields_of_the_pod_arrive_at_once,
        a_missing_object_is_named_and_awaited,
        optional_objects_may_come_later,
        the_last_content_stays_when_the_object_goes,
    ];
    suite::run(|| Cluster::start(Options::default()), cases, Cluster::diagnose)
}

/// A Pod whose one container mounts these volumes and sleeps; `volumes` and `mounts` are flow sequences.
fn sleeper(name: &str, volumes: &str, mounts: &str) -> String {
    format!(
        "apiVersion: v1\nkind: Pod\nmetadata: {{name: {name}, labels: {{color: red}}}}\nspec:\n  \
         terminationGracePeriodSeconds: 0\n  containers:\n  - name: app\n    image: busybox\n    \
         imagePullPolicy: IfNotPresent\n    command: [sleep, inf]\n    volumeMounts: {mounts}\n  volumes: {volumes}\n"
    )
}

fn shell(kubectl: &Kubectl, pod: &str, script: &str) -> Result<String> {
    kubectl.ok(&["exec", pod, "--", "sh", "-c", script])
}

/// The directory of one of a Pod's volumes on the host.
fn volume_dir(cluster: &Cluster, kubectl: &Kubectl, pod: &str, plugin: &str, volume: &str) -> Result<PathBuf> {
    let uid = kubectl.text(&format!("pod/{pod}"), "/metadata/uid")?;
    let volumes = cluster.data_dir().join("kubelet/pods").join(uid).join("volumes");
    Ok(volumes.join(format!("kubernetes.io~{plugin}")).join(volume))
}

/// Waits until a file has this content; how long that took.
fn arrives(file: &PathBuf, content: &str, limit: Duration) -> Result<Duration> {
    let start = Instant::now();
    while fs::read_to_string(file).unwrap_or_default() != content {
        if start.elapsed() > limit {
            bail!("{} is {:?} after {limit:?}, not {content:?}", file.display(), fs::read_to_string(file));
        }
        sleep(Duration::from_millis(5));
    }
    Ok(start.elapsed())
}

/// Waits for an Event about a Pod whose text contains `text`.
fn event(kubectl: &Kubectl, object: &str, text: &str) -> Result<()> {
    let deadline = Instant::now() + SOON;
    loop {
        let events = kubectl.ok(&["events", "--for", object])?;
        if events.contains(text) {
            return Ok(());
        }
        ensure!(Instant::now() < deadline, "no event {text:?} about {object}:\n{events}");
        sleep(Duration::from_millis(100));
    }
}

fn changes_of_config_maps_and_secrets_arrive_at_once(cluster: &Cluster) -> Result<()> {
    let kubectl = cluster.namespace("refresh")?;
    kubectl.ok(&["create", "configmap", "c", "--from-literal=color=red", "--from-literal=old=x"])?;
    kubectl.ok(&["create", "secret", "generic", "s", "--from-literal=key=one"])?;
    let volumes = "[{name: c, configMap: {name: c}}, {name: s, secret: {secretName: s, defaultMode: 0400}}, \
         {name: p, projected: {sources: [{configMap: {name: c, items: [{key: color, path: deep/color, mode: 0440}]}}, \
         {secret: {name: s}}]}}]";
    let mounts = "[{name: c, mountPath: /c}, {name: s, mountPath: /s}, {name: p, mountPath: /p}]";
    kubectl.apply(&sleeper("refresh", volumes, mounts))?;
    kubectl.wait_ready("refresh")?;
    let seen = shell(&kubectl, "refresh", "cat /c/color /s/key /p/deep/color; stat -Lc %a /s/key /p/deep/color")?;
    ensure!(seen == "redonered400\n440\n", "{seen}");
    let config_map = volume_dir(cluster, &kubectl, "refresh", "configmap", "c")?;
    let projected = volume_dir(cluster, &kubectl, "refresh", "projected", "p")?;
    let secret = volume_dir(cluster, &kubectl, "refresh", "secret", "s")?;
    let token_of =
        |kubectl: &Kubectl| shell(kubectl, "refresh", "cat /var/run/secrets/kubernetes.io/serviceaccount/token");
    let token = token_of(&kubectl)?;
    kubectl.ok(&["patch", "configmap", "c", "-p", r#"{"data":{"color":"blue","old":null,"new":"y"}}"#])?;
    let took = arrives(&config_map.join("color"), "blue", REFRESH_LIMIT)?;
    arrives(&projected.join("deep/color"), "blue", REFRESH_LIMIT)?;
    kubectl.ok(&["patch", "secret", "s", "-p", r#"{"stringData":{"key":"two"}}"#])?;
    let secret_took = arrives(&secret.join("key"), "two", REFRESH_LIMIT)?;
    println!("seen {took:?} (ConfigMap) and {secret_took:?} (Secret) after kubectl patch");
    let seen = shell(&kubectl, "refresh", "cat /c/color /s/key /p/deep/color; ls /c; stat -Lc %a /s/key")?;
    ensure!(seen == "bluetwobluecolor\nnew\n400\n", "{seen}");
    ensure!(token_of(&kubectl)? == token, "a new token for a changed ConfigMap");
    Ok(())
}

fn fields_of_the_pod_arrive_at_once(cluster: &Cluster) -> Result<()> {
    let kubectl = cluster.namespace("downward")?;
    let volumes = "[{name: d, downwardAPI: {items: [{path: labels, fieldRef: {fieldPath: metadata.labels}}]}}]";
    kubectl.apply(&sleeper("downward", volumes, "[{name: d, mountPath: /d}]"))?;
    kubectl.wait_ready("downward")?;
    ensure!(shell(&kubectl, "downward", "cat /d/labels")? == "color=\"red\"");
    kubectl.ok(&["label", "pod", "downward", "--overwrite", "color=green"])?;
    let labels = volume_dir(cluster, &kubectl, "downward", "downward-api", "d")?.join("labels");
    arrives(&labels, "color=\"green\"", REFRESH_LIMIT)?;
    ensure!(shell(&kubectl, "downward", "cat /d/labels")? == "color=\"green\"");
    Ok(())
}

fn a_missing_object_is_named_and_awaited(cluster: &Cluster) -> Result<()> {
    let kubectl = cluster.namespace("missing")?;
    let volumes = "[{name: x, secret: {secretName: \"y\"}}]";
    kubectl.apply(&sleeper("missing", volumes, "[{name: x, mountPath: /x}]"))?;
    event(&kubectl, "pod/missing", "MountVolume.SetUp failed for volume \"x\" : secret \"y\" not found")?;
    let reason = kubectl.text("pod/missing", "/status/containerStatuses/0/state/waiting/reason")?;
    ensure!(reason == "ContainerCreating", "{reason}");
    kubectl.ok(&["create", "secret", "generic", "y", "--from-literal=key=here"])?;
    kubectl.ok(&["wait", "--for=condition=Ready", "pod/missing", "--timeout=5s"])?;
    ensure!(shell(&kubectl, "missing", "cat /x/key")? == "here");
    Ok(())
}

fn optional_objects_may_come_later(cluster: &Cluster) -> Result<()> {
    let kubectl = cluster.namespace("optional")?;
    let volumes = "[{name: o, configMap: {name: later, optional: true}}]";
    kubectl.apply(&sleeper("optional", volumes, "[{name: o, mountPath: /o}]"))?;
    kubectl.wait_ready("optional")?;
    ensure!(shell(&kubectl, "optional", "ls /o")?.is_empty());
    kubectl.ok(&["create", "configmap", "later", "--from-literal=key=value"])?;
    let file = volume_dir(cluster, &kubectl, "optional", "configmap", "o")?.join("key");
    arrives(&file, "value", REFRESH_LIMIT)?;
    kubectl.ok(&["delete", "configmap", "later"])?;
    let deadline = Instant::now() + SOON;
    while file.exists() {
        ensure!(Instant::now() < deadline, "the key stays");
        sleep(Duration::from_millis(20));
    }
    Ok(())
}

fn the_last_content_stays_when_the_object_goes(cluster: &Cluster) -> Result<()> {
    let kubectl = cluster.namespace("gone")?;
    kubectl.ok(&["create", "configmap", "c", "--from-literal=key=value"])?;
    kubectl.apply(&sleeper("gone", "[{name: c, configMap: {name: c}}]", "[{name: c, mountPath: /c}]"))?;
    kubectl.wait_ready("gone")?;
    kubectl.ok(&["delete", "configmap", "c"])?;
    event(&kubectl, "pod/gone", "configmap \"c\" not found")?;
    ensure!(shell(&kubectl, "gone", "cat /c/key")? == "value");
    kubectl.ok(&["create", "configmap", "c", "--from-literal=key=again"])?;
    let file = volume_dir(cluster, &kubectl, "gone", "configmap", "c")?.join("key");
    arrives(&file, "again", REFRESH_LIMIT)?;
    Ok(())
}
