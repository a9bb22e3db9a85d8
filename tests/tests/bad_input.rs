//! Bad input gets an answer that names the field, and the server stays up.

use std::process::{Command, ExitCode};

use anyhow::{Result, ensure};
use tests::{Cluster, Options, cases, free_port, suite};

fn main() -> ExitCode {
    let cases = cases![
        what_is_no_object_is_refused,
        unknown_fields_are_named,
        wrong_types_are_named,
        invalid_values_are_named_with_their_field,
        huge_bodies_are_refused,
        missing_things_are_not_found,
        strangers_get_no_data,
        addresses_of_another_cluster_are_refused,
    ];
    suite::run(|| Cluster::start(Options::default()), cases, Cluster::diagnose)
}

/// A Pod whose `spec` has these lines, indented by two.
fn pod(name: &str, spec: &str) -> String {
    format!("apiVersion: v1\nkind: Pod\nmetadata:\n  name: {name}\nspec:\n{spec}")
}

const CONTAINER: &str = "  containers:\n  - name: a\n    image: busybox\n";

fn what_is_no_object_is_refused(cluster: &Cluster) -> Result<()> {
    let kubectl = cluster.kubectl();
    for body in ["just text\n", "- a\n- list\n", "apiVersion: v1\n", "kind: Pod\n", "{", "42\n"] {
        let error = kubectl.fails_with_input(&["create", "-f", "-"], body.as_bytes())?;
        ensure!(error.starts_with("error"), "{body:?}: {error}");
    }
    for body in ["[]", "null", "\"text\"", "{}", "{\"kind\":\"Pod\"", "\u{1}\u{2}"] {
        let error = kubectl
            .fails_with_input(&["create", "--raw", "/api/v1/namespaces/default/pods", "-f", "-"], body.as_bytes())?;
        let refused = error.starts_with("Error from server") || error.contains("is invalid");
        ensure!(refused, "{body:?}: {error}");
    }
    Ok(())
}

fn unknown_fields_are_named(cluster: &Cluster) -> Result<()> {
    let kubectl = cluster.namespace("unknown-fields")?;
    let manifest = pod("unknown", &format!("{CONTAINER}    imagge: x\n  bogus: 1\n"));
    let error = kubectl.fails_with_input(&["create", "--validate=strict", "-f", "-"], manifest.as_bytes())?;
    ensure!(error.contains("strict decoding error"), "{error}");
    ensure!(error.contains("unknown field \"spec.containers[0].imagge\""), "{error}");
    ensure!(error.contains("unknown field \"spec.bogus\""), "{error}");
    let output = kubectl.run_with_input(&["create", "--validate=warn", "-f", "-"], manifest.as_bytes())?;
    ensure!(output.code == Some(0) && output.stderr.contains("Warning: unknown field \"spec.bogus\""), "{output:?}");
    Ok(())
}

fn wrong_types_are_named(cluster: &Cluster) -> Result<()> {
    let kubectl = cluster.namespace("wrong-types")?;
    for (spec, words) in [
        ("  containers: text\n", "containers"),
        ("  containers:\n  - name: 7\n    image: busybox\n", "name"),
        ("  hostNetwork: \"yes\"\n  containers:\n  - name: a\n    image: busybox\n", "hostNetwork"),
        (
            "  terminationGracePeriodSeconds: soon\n  containers:\n  - name: a\n    image: b\n",
            "terminationGracePeriodSeconds",
        ),
    ] {
        let manifest = pod("wrong", spec);
        let error = kubectl.fails_with_input(&["create", "--validate=ignore", "-f", "-"], manifest.as_bytes())?;
        ensure!(error.contains(words) && error.contains("cannot unmarshal"), "{spec}: {error}");
    }
    ensure!(kubectl.ok(&["get", "pods", "-o", "name"])?.is_empty());
    Ok(())
}

fn invalid_values_are_named_with_their_field(cluster: &Cluster) -> Result<()> {
    let kubectl = cluster.namespace("invalid-values")?;
    let two = format!("{CONTAINER}  - name: a\n    image: busybox\n");
    let mount = format!("{CONTAINER}    volumeMounts:\n    - name: nowhere\n      mountPath: /data\n");
    let memory = format!("{CONTAINER}    resources:\n      limits:\n        memory: -1Mi\n");
    let quantity = format!("{CONTAINER}    resources:\n      limits:\n        memory: much\n");
    let long_name = "a".repeat(300);
    for (name, spec, words) in [
        (
            "Not_DNS",
            CONTAINER,
            "metadata.name: Invalid value: \"Not_DNS\": a lowercase RFC 1123 subdomain must consist of",
        ),
        (long_name.as_str(), CONTAINER, "metadata.name: Invalid value"),
        ("two", two.as_str(), "spec.containers[1].name: Duplicate value: \"a\""),
        ("mount", mount.as_str(), "spec.containers[0].volumeMounts[0].name: Not found: \"nowhere\""),
        (
            "memory",
            memory.as_str(),
            "spec.containers[0].resources.limits[memory]: Invalid value: \"-1Mi\": must be greater than or equal to 0",
        ),
        ("quantity", quantity.as_str(), "quantities must match the regular expression"),
        ("none", "  containers: []\n", "spec.containers: Required value"),
        (
            "policy",
            "  restartPolicy: Sometimes\n  containers:\n  - name: a\n    image: b\n",
            "spec.restartPolicy: Unsupported value",
        ),
    ] {
        let error =
            kubectl.fails_with_input(&["create", "--validate=ignore", "-f", "-"], pod(name, spec).as_bytes())?;
        ensure!(error.contains(words), "{name}: {error}");
    }
    ensure!(kubectl.ok(&["get", "pods", "-o", "name"])?.is_empty());
    Ok(())
}

fn huge_bodies_are_refused(cluster: &Cluster) -> Result<()> {
    let kubectl = cluster.kubectl();
    let data = "x".repeat(10 << 20);
    let body =
        format!(r#"{{"apiVersion":"v1","kind":"ConfigMap","metadata":{{"name":"huge"}},"data":{{"a":"{data}"}}}}"#);
    let path = "/api/v1/namespaces/default/configmaps";
    let error = kubectl.fails_with_input(&["create", "--raw", path, "-f", "-"], body.as_bytes())?;
    ensure!(error.contains("too large") || error.contains("limit is 3145728"), "{error}");
    ensure!(kubectl.ok(&["get", "--raw", "/readyz"])? == "ok");
    Ok(())
}

fn missing_things_are_not_found(cluster: &Cluster) -> Result<()> {
    let kubectl = cluster.kubectl();
    let error = kubectl.fails(&["get", "pod", "nosuch"])?;
    ensure!(error == "Error from server (NotFound): pods \"nosuch\" not found\n", "{error}");
    let error = kubectl.fails(&["get", "nosuchkind"])?;
    ensure!(error.contains("the server doesn't have a resource type \"nosuchkind\""), "{error}");
    let error = kubectl.fails(&["logs", "nosuch"])?;
    ensure!(error.contains("pods \"nosuch\" not found"), "{error}");
    let config_map = b"apiVersion: v1\nkind: ConfigMap\nmetadata: {name: twice}\n";
    let error = kubectl.fails_with_input(&["create", "-n", "nosuch", "-f", "-"], config_map)?;
    ensure!(error.contains("namespaces \"nosuch\" not found"), "{error}");
    kubectl.ok_with_input(&["create", "-f", "-"], config_map)?;
    let error = kubectl.fails_with_input(&["create", "-f", "-"], config_map)?;
    ensure!(error.contains("configmaps \"twice\" already exists"), "{error}");
    Ok(())
}

fn strangers_get_no_data(cluster: &Cluster) -> Result<()> {
    let kubectl = cluster.kubectl();
    let server = kubectl.ok(&["config", "view", "--minify", "-o", "jsonpath={.clusters[0].cluster.server}"])?;
    // Not with kubectl, which asks for a name and password when it has no credentials.
    let ask = |path: &str, header: &str| -> Result<String> {
        let url = format!("{server}{path}");
        let output = Command::new("curl").args(["--silent", "--insecure", "--header", header, &url]).output()?;
        Ok(String::from_utf8(output.stdout)?)
    };
    for path in ["/api/v1/secrets", "/api/v1/namespaces/default/pods", "/apis", "/metrics"] {
        let answer = ask(path, "Accept: application/json")?;
        ensure!(
            answer.contains("\"reason\":\"Forbidden\"") || answer.contains("\"reason\": \"Forbidden\""),
            "{answer}"
        );
        let answer = ask(path, "Authorization: Bearer made-up")?;
        ensure!(answer.contains("Unauthorized"), "{answer}");
    }
    ensure!(ask("/readyz", "Accept: */*")? == "ok", "whether the server is up is no secret");
    Ok(())
}

fn addresses_of_another_cluster_are_refused(cluster: &Cluster) -> Result<()> {
    if cluster.uses_containerd() {
        return Ok(()); // its network plugin makes the bridge only with the first Pod
    }
    let range = cluster.kubectl().value("nodes", "/items/0/spec/podCIDR")?;
    let data_dir = cluster.scratch("second")?.join("data");
    let output = Command::new(cluster.binary())
        .args(["server", "--service-cidr=10.255.0.0/16"])
        .arg(format!("--https-listen-port={}", free_port()?))
        .arg(format!("--cluster-cidr={}", range.as_str().unwrap_or_default()))
        .arg(format!("--data-dir={}", data_dir.display()))
        .output()?;
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    ensure!(!output.status.success() && told.contains("is in use on this host: iso-"), "{told}");
    Ok(())
}
