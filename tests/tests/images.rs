//! Images: where they come from, and what users see when they don't.

use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;
use tests::images::{ImageServer, archive};
use tests::{Ability, Cluster, Kubectl, Options, cases, suite};

const SOON: Duration = Duration::from_secs(30);
const WAITING: &str = "/status/containerStatuses/0/state/waiting";

fn main() -> ExitCode {
    let cases = cases![
        missing_images_back_off,
        bad_names_are_told_apart,
        policy_never_does_not_pull,
        policies_default_by_tag,
        pull_secrets_open_private_registries,
        archives_are_imported_while_the_server_runs,
        digests_select_images,
    ];
    suite::run(|| Cluster::start(Options::default()), cases, Cluster::diagnose)
}

fn run(kubectl: &Kubectl, name: &str, image: &str, policy: &str) -> Result<()> {
    let (image, policy) = (format!("--image={image}"), format!("--image-pull-policy={policy}"));
    kubectl.ok(&["run", name, &image, &policy, "--restart=Never", "--", "sleep", "3600"]).map(drop)
}

/// Waits until a Pod's container waits for this reason; returns reason and message.
fn wait_reason(kubectl: &Kubectl, pod: &str, reason: &str) -> Result<Value> {
    kubectl.wait_value(&format!("pod/{pod}"), WAITING, SOON, |waiting| waiting["reason"] == reason)
}

fn missing_images_back_off(cluster: &Cluster) -> Result<()> {
    let kubectl = cluster.namespace("missing")?;
    // By the registry's own address, so that nobody beyond this machine is asked.
    let registry = cluster.images().registry().address();
    let image = format!("{registry}/nosuch:v1");
    run(&kubectl, "missing", &image, "IfNotPresent")?;
    let waiting = wait_reason(&kubectl, "missing", "ImagePullBackOff")?;
    let message = waiting["message"].as_str().unwrap_or_default();
    ensure!(message.contains(&format!("Back-off pulling image \"{image}\"")), "{message}");
    let listed = kubectl.ok(&["get", "pod", "missing", "--no-headers"])?;
    ensure!(listed.contains("0/1") && listed.contains("ImagePull"), "{listed}");
    let events = kubectl.ok(&["get", "events", "-o", "jsonpath={.items[*].message}"])?;
    ensure!(events.contains(&format!("Failed to pull image \"{image}\"")) && events.contains("not found"), "{events}");
    ensure!(events.contains("Error: ErrImagePull"), "{events}");
    Ok(())
}

fn bad_names_are_told_apart(cluster: &Cluster) -> Result<()> {
    let kubectl = cluster.namespace("bad-names")?;
    let manifest =
        "apiVersion: v1\nkind: Pod\nmetadata: {name: bad}\nspec:\n  containers: [{name: a, image: 'Bad Name!'}]\n";
    kubectl.apply(manifest)?;
    let waiting = wait_reason(&kubectl, "bad", "InvalidImageName")?;
    let message = waiting["message"].as_str().unwrap_or_default();
    ensure!(message.contains("invalid reference format"), "{message}");
    Ok(())
}

fn policy_never_does_not_pull(cluster: &Cluster) -> Result<()> {
    let kubectl = cluster.namespace("never")?;
    run(&kubectl, "never", "docker.io/library/not-here:v1", "Never")?;
    let waiting = wait_reason(&kubectl, "never", "ErrImageNeverPull")?;
    let message = waiting["message"].as_str().unwrap_or_default();
    ensure!(message.contains("is not present with pull policy of Never"), "{message}");
    Ok(())
}

fn policies_default_by_tag(cluster: &Cluster) -> Result<()> {
    let kubectl = cluster.namespace("policies")?;
    for (name, image, policy) in
        [("untagged", "nginx", "Always"), ("latest", "nginx:latest", "Always"), ("tagged", "nginx:1.8", "IfNotPresent")]
    {
        kubectl.ok(&["run", name, &format!("--image={image}")])?;
        let actual = kubectl.text(&format!("pod/{name}"), "/spec/containers/0/imagePullPolicy")?;
        ensure!(actual == policy, "{image}: {actual}");
        kubectl.wait_ready(name)?;
    }
    Ok(())
}

fn pull_secrets_open_private_registries(cluster: &Cluster) -> Result<()> {
    let kubectl = cluster.namespace("private")?;
    let credentials = Some("me:secret".to_owned());
    let server = ImageServer::start(registry::Options { credentials, ..registry::Options::default() })?;
    let address = server.registry().address().to_string();
    let image = format!("{address}/library/busybox:latest");
    run(&kubectl, "without", &image, "Always")?;
    let waiting = wait_reason(&kubectl, "without", "ErrImagePull")
        .or_else(|_| wait_reason(&kubectl, "without", "ImagePullBackOff"))?;
    let message = waiting["message"].as_str().unwrap_or_default();
    // Old versions of containerd say it in the registry's words.
    let refused = message.contains("may require authorization")
        || cluster.uses_containerd() && message.contains("401 Unauthorized");
    ensure!(refused, "{message}");
    let server_flag = format!("--docker-server={address}");
    let secret = ["create", "secret", "docker-registry", "pull"];
    let flags = [server_flag.as_str(), "--docker-username=me", "--docker-password=secret"];
    kubectl.ok(&[&secret[..], &flags[..]].concat())?;
    let overrides = r#"--overrides={"spec":{"imagePullSecrets":[{"name":"pull"}]}}"#;
    kubectl.ok(&["run", "with", &format!("--image={image}"), overrides, "--", "sleep", "3600"])?;
    kubectl.wait_ready("with")
}

fn archives_are_imported_while_the_server_runs(cluster: &Cluster) -> Result<()> {
    if cluster.lacks(Ability::ImportedImages) {
        return Ok(());
    }
    let kubectl = cluster.namespace("import")?;
    let here = cluster.scratch("import")?;
    let text = |output: &std::process::Output| String::from_utf8_lossy(&output.stdout).into_owned();
    for (format, image) in [(None, "docker.io/library/redis:latest"), (Some("--docker"), "docker.io/library/nginx:1.8")]
    {
        let file = here.join("archive.tar");
        archive(format, image, &file)?;
        let path = file.to_str().context("text")?;
        let output = cluster.isopod(&["images", "import", path])?;
        ensure!(output.status.success() && text(&output).contains(image), "{output:?}");
    }
    // Nothing else of this suite uses redis: it is here because it was imported.
    run(&kubectl, "imported", "redis", "Never")?;
    kubectl.wait_ready("imported")?;
    let listed = text(&cluster.isopod(&["images", "list"])?);
    ensure!(listed.contains("docker.io/library/redis:latest"), "{listed}");
    let removed = cluster.isopod(&["images", "remove", "redis"])?;
    ensure!(removed.status.success(), "{removed:?}");
    run(&kubectl, "removed", "redis", "Never")?;
    wait_reason(&kubectl, "removed", "ErrImageNeverPull")?;
    let still = kubectl.ok(&["exec", "imported", "--", "redis-server", "--version"])?;
    ensure!(still.contains("Redis server"), "what runs keeps its files");
    let again = cluster.isopod(&["images", "remove", "redis"])?;
    ensure!(!again.status.success() && String::from_utf8_lossy(&again.stderr).contains("not found"), "{again:?}");
    let junk = here.join("junk");
    std::fs::write(&junk, "no archive")?;
    let output = cluster.isopod(&["images", "import", junk.to_str().context("text")?])?;
    ensure!(!output.status.success(), "{output:?}");
    Ok(())
}

fn digests_select_images(cluster: &Cluster) -> Result<()> {
    let kubectl = cluster.namespace("digests")?;
    run(&kubectl, "by-tag", "debian", "IfNotPresent")?;
    kubectl.wait_ready("by-tag")?;
    let id = kubectl.text("pod/by-tag", "/status/containerStatuses/0/imageID")?;
    ensure!(id.starts_with("docker.io/library/debian@sha256:"), "{id}");
    run(&kubectl, "by-digest", &id, "IfNotPresent")?;
    kubectl.wait_ready("by-digest")?;
    ensure!(kubectl.text("pod/by-digest", "/status/containerStatuses/0/imageID")? == id);
    Ok(())
}
