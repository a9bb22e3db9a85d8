//! Server-side apply and the owners of fields, as `kubectl` shows them.

use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};
use tests::{Cluster, Kubectl, Options, cases, suite};

const SOON: Duration = Duration::from_secs(30);

fn main() -> ExitCode {
    let cases = cases![
        every_kubectl_applies,
        what_is_no_longer_applied_goes,
        ports_are_told_apart_by_number_and_protocol,
        client_side_apply_migrates,
        diff_shows_and_changes_nothing,
        the_last_applied_configuration_can_be_seen_and_edited,
        mistakes_are_told,
        nodes_own_the_status_of_their_pods,
        writes_that_change_nothing_are_none,
    ];
    suite::run(|| Cluster::start(Options::default()), cases, Cluster::diagnose)
}

fn config_map(name: &str, data: &str) -> String {
    format!("apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: {name}}}\ndata: {data}\n")
}

fn apply(kubectl: &Kubectl, manager: &str, manifest: &str) -> Result<String> {
    let manager = format!("--field-manager={manager}");
    kubectl.ok_with_input(&["apply", "--server-side", &manager, "-f", "-"], manifest.as_bytes())
}

/// `manager operation[/subresource]` and fields of each entry.
fn owners(kubectl: &Kubectl, object: &str) -> Result<Value> {
    let object: Value = serde_json::from_str(&kubectl.ok(&["get", object, "-o", "json", "--show-managed-fields"])?)?;
    let entries = object["metadata"]["managedFields"].as_array().cloned().unwrap_or_default();
    let owner = |entry: Value| {
        let text = |name: &str| entry[name].as_str().unwrap_or_default().to_owned();
        let at = if text("subresource").is_empty() { String::new() } else { format!("/{}", text("subresource")) };
        (format!("{} {}{at}", text("manager"), text("operation")), entry["fieldsV1"].clone())
    };
    Ok(Value::Object(entries.into_iter().map(owner).collect()))
}

fn every_kubectl_applies(cluster: &Cluster) -> Result<()> {
    let default = cluster.namespace("versions")?;
    // Every third version: 1.27, 1.30 and 1.33 where all are there.
    for (number, kubectl) in default.every_version()?.iter().enumerate().step_by(3) {
        let version = kubectl.ok(&["version", "--client"])?;
        let name = format!("shared-{number}");
        let manifest = |data: &str| config_map(&name, data);
        ensure!(apply(kubectl, "one", &manifest("{a: x, b: q}"))?.contains("serverside-applied"), "{version}");
        let other = manifest("{a: z, c: w}");
        let arguments = ["apply", "--server-side", "--field-manager=two", "-f", "-"];
        let error = kubectl.fails_with_input(&arguments, other.as_bytes())?;
        ensure!(error.contains("Apply failed with 1 conflict: conflict with \"one\": .data.a"), "{version}: {error}");
        ensure!(error.contains("--force-conflicts"), "{version}: {error}");
        let arguments = ["apply", "--server-side", "--field-manager=two", "--force-conflicts", "-f", "-"];
        kubectl.ok_with_input(&arguments, other.as_bytes())?;
        let object = format!("configmap/{name}");
        ensure!(kubectl.value(&object, "/data")? == json!({"a": "z", "b": "q", "c": "w"}), "{version}");
        let expected = json!({
            "one Apply": {"f:data": {"f:b": {}}},
            "two Apply": {"f:data": {"f:a": {}, "f:c": {}}},
        });
        ensure!(owners(kubectl, &object)? == expected, "{version}: {}", owners(kubectl, &object)?);
        let dry = manifest("{b: never}");
        let arguments = ["apply", "--server-side", "--field-manager=one", "--dry-run=server", "-f", "-"];
        let said = kubectl.ok_with_input(&arguments, dry.as_bytes())?;
        ensure!(said.contains("server dry run"), "{version}: {said}");
        ensure!(kubectl.text(&object, "/data/b")? == "q", "{version}");
    }
    Ok(())
}

fn what_is_no_longer_applied_goes(cluster: &Cluster) -> Result<()> {
    let kubectl = cluster.namespace("removal")?;
    apply(&kubectl, "one", &config_map("m", "{a: x, b: q, c: z}"))?;
    apply(&kubectl, "two", &config_map("m", "{b: q}"))?;
    kubectl.ok(&[
        "patch",
        "configmap",
        "m",
        "--type=merge",
        "--field-manager=hand",
        "-p",
        r#"{"data":{"c":"mine"}}"#,
    ])?;
    apply(&kubectl, "one", &config_map("m", "{}"))?;
    let data = kubectl.value("configmap/m", "/data")?;
    ensure!(data == json!({"b": "q", "c": "mine"}), "only what nobody else owns goes: {data}");
    apply(&kubectl, "two", &config_map("m", "{}"))?;
    ensure!(kubectl.value("configmap/m", "/data")? == json!({"c": "mine"}));
    Ok(())
}

fn ports_are_told_apart_by_number_and_protocol(cluster: &Cluster) -> Result<()> {
    let kubectl = cluster.namespace("ports")?;
    let pod = |ports: &str, extra: &str| {
        format!(
            "apiVersion: v1\nkind: Pod\nmetadata: {{name: p, labels: {{{extra}}}}}\nspec:\n  schedulerName: none\n  \
             containers:\n  - {{name: c, image: busybox, ports: [{ports}]}}\n"
        )
    };
    let (tcp, udp) = ("{containerPort: 53}", "{containerPort: 53, protocol: UDP}");
    apply(&kubectl, "one", &pod(&format!("{tcp}, {udp}"), "a: b"))?;
    let owned = owners(&kubectl, "pod/p")?;
    let ports = &owned["one Apply"]["f:spec"]["f:containers"]["k:{\"name\":\"c\"}"]["f:ports"];
    let keys: Vec<&String> = ports.as_object().context("ports are owned")?.keys().collect();
    let expected = ["k:{\"containerPort\":53,\"protocol\":\"TCP\"}", "k:{\"containerPort\":53,\"protocol\":\"UDP\"}"];
    ensure!(keys == expected, "{keys:?}");
    let twice = pod(&format!("{tcp}, {tcp}"), "a: b");
    let error = kubectl.fails_with_input(&["apply", "--server-side", "-f", "-"], twice.as_bytes())?;
    ensure!(error.contains("duplicate entries for key [containerPort=53,protocol=\"TCP\"]"), "{error}");
    apply(&kubectl, "two", "apiVersion: v1\nkind: Pod\nmetadata: {name: p, labels: {c: d}, finalizers: [a.b/c]}\n")?;
    ensure!(kubectl.value("pod/p", "/metadata/labels")? == json!({"a": "b", "c": "d"}));
    apply(&kubectl, "two", "apiVersion: v1\nkind: Pod\nmetadata: {name: p}\n")?;
    ensure!(kubectl.value("pod/p", "/metadata/labels")? == json!({"a": "b"}));
    ensure!(kubectl.value("pod/p", "/metadata/finalizers")?.is_null());
    kubectl.ok(&["delete", "pod", "p", "--now"]).map(drop)
}

fn client_side_apply_migrates(cluster: &Cluster) -> Result<()> {
    let kubectl = cluster.namespace("migration")?;
    kubectl.apply(&config_map("m", "{a: x, b: q}"))?;
    let before = owners(&kubectl, "configmap/m")?;
    ensure!(before.get("kubectl-client-side-apply Update").is_some(), "{before}");
    let apply =
        |data: &str| kubectl.ok_with_input(&["apply", "--server-side", "-f", "-"], config_map("m", data).as_bytes());
    apply("{a: other, b: q}")?;
    ensure!(kubectl.text("configmap/m", "/data/a")? == "other", "no conflict with what kubectl applied itself");
    apply("{a: other}")?;
    ensure!(kubectl.value("configmap/m", "/data")? == json!({"a": "other"}), "fields moved to the new manager");
    let annotation = kubectl.ok(&["apply", "view-last-applied", "configmap/m", "-o", "json"])?;
    ensure!(annotation.contains("\"a\": \"other\"") && !annotation.contains("\"b\""), "{annotation}");
    // And back: the annotation is still true, so that client-side apply removes what it must.
    kubectl.apply(&config_map("m", "{c: z}"))?;
    ensure!(kubectl.value("configmap/m", "/data")? == json!({"c": "z"}));
    Ok(())
}

fn diff_shows_and_changes_nothing(cluster: &Cluster) -> Result<()> {
    let kubectl = cluster.namespace("diff")?;
    apply(&kubectl, "kubectl", &config_map("m", "{a: x}"))?;
    let version = kubectl.text("configmap/m", "/metadata/resourceVersion")?;
    let same = config_map("m", "{a: x}");
    kubectl.ok_with_input(&["diff", "--server-side", "-f", "-"], same.as_bytes())?;
    for manifest in [config_map("m", "{a: z}"), config_map("new", "{a: z}")] {
        let output = kubectl.run_with_input(&["diff", "--server-side", "-f", "-"], manifest.as_bytes())?;
        ensure!(output.code == Some(1) && output.stdout.contains("+  a: z"), "{output:?}");
    }
    ensure!(kubectl.text("configmap/m", "/metadata/resourceVersion")? == version);
    kubectl.fails(&["get", "configmap", "new"]).map(drop)
}

fn the_last_applied_configuration_can_be_seen_and_edited(cluster: &Cluster) -> Result<()> {
    let kubectl = cluster.namespace("last-applied")?;
    kubectl.apply(&config_map("m", "{a: x}"))?;
    let seen = kubectl.ok(&["apply", "view-last-applied", "configmap/m"])?;
    ensure!(seen.contains("a: x"), "{seen}");
    let script = "EDITOR='sed -i s/x/w/' $KUBECTL apply edit-last-applied configmap/m";
    let output = kubectl.in_terminal(script, b"")?;
    ensure!(output.code == Some(0), "{output:?}");
    let seen = kubectl.ok(&["apply", "view-last-applied", "configmap/m"])?;
    ensure!(seen.contains("a: w"), "{seen}");
    ensure!(kubectl.text("configmap/m", "/data/a")? == "x", "only the annotation changed");
    let manifest = config_map("m", "{a: v}");
    kubectl.ok_with_input(&["apply", "set-last-applied", "-f", "-"], manifest.as_bytes())?;
    ensure!(kubectl.ok(&["apply", "view-last-applied", "configmap/m"])?.contains("a: v"));
    Ok(())
}

fn mistakes_are_told(cluster: &Cluster) -> Result<()> {
    let kubectl = cluster.namespace("mistakes")?;
    let fails = |arguments: &[&str], manifest: &str| {
        let all = [&["apply", "--server-side", "-f", "-"], arguments].concat();
        kubectl.fails_with_input(&all, manifest.as_bytes())
    };
    let unknown = config_map("m", "{a: x}\nbogus: 1");
    let error = fails(&["--validate=ignore"], &unknown)?;
    ensure!(error.contains("failed to create typed patch object"), "{error}");
    ensure!(error.contains(".bogus: field not declared in schema"), "{error}");
    let error = fails(&[], &config_map("Upper", "{a: x}"))?;
    ensure!(error.contains("ConfigMap \"Upper\" is invalid: metadata.name: Invalid value: \"Upper\""), "{error}");
    let error = fails(&["--validate=ignore"], &config_map("m", "{a: 1}"))?;
    ensure!(error.contains(".data.a: expected string, got &value.valueUnstructured{Value:1}"), "{error}");
    let error = kubectl.fails(&["get", "configmap", "m"])?;
    ensure!(error.contains("not found"), "{error}");
    Ok(())
}

fn nodes_own_the_status_of_their_pods(cluster: &Cluster) -> Result<()> {
    let kubectl = cluster.namespace("status")?;
    kubectl.ok(&["run", "p", "--image=busybox", "--", "sleep", "3600"])?;
    kubectl.wait_ready("p")?;
    let owners = owners(&kubectl, "pod/p")?;
    let status = &owners["kubelet Update/status"]["f:status"];
    ensure!(status["f:phase"] == json!({}) && !status["f:containerStatuses"].is_null(), "{owners}");
    let ready = &status["f:conditions"]["k:{\"type\":\"Ready\"}"];
    ensure!(ready["f:lastTransitionTime"] == json!({}) && ready["f:status"] == json!({}), "{owners}");
    ensure!(!owners["kubectl-run Update"]["f:spec"]["f:containers"].is_null(), "{owners}");
    ensure!(owners["kubectl-run Update"]["f:spec"].get("f:tolerations").is_none(), "admission owns nothing: {owners}");
    // A condition of our own lives beside the node's.
    let condition = "apiVersion: v1\nkind: Pod\nmetadata: {name: p}\nstatus:\n  conditions: [{type: x.y/z, status: \
                     \"True\"}]\n";
    let arguments = ["apply", "--server-side", "--subresource=status", "--field-manager=gate", "-f", "-"];
    kubectl.ok_with_input(&arguments, condition.as_bytes())?;
    let types = kubectl.ok(&["get", "pod", "p", "-o", "jsonpath={.status.conditions[*].type}"])?;
    ensure!(types.contains("x.y/z") && types.contains("Ready"), "{types}");
    kubectl.ok(&["delete", "pod", "p", "--now"]).map(drop)
}

fn writes_that_change_nothing_are_none(cluster: &Cluster) -> Result<()> {
    let kubectl = cluster.namespace("no-op")?;
    let manifest = config_map("m", "{a: x}");
    apply(&kubectl, "one", &manifest)?;
    let version = || kubectl.text("configmap/m", "/metadata/resourceVersion");
    let before = version()?;
    apply(&kubectl, "one", &manifest)?;
    kubectl.ok(&["patch", "configmap", "m", "--type=merge", "-p", r#"{"data":{"a":"x"}}"#])?;
    kubectl.ok(&["label", "configmap", "m", "none-"])?;
    ensure!(version()? == before, "nothing was written");
    apply(&kubectl, "two", &manifest)?;
    ensure!(version()? != before, "another owner is a change");
    let time = |kubectl: &Kubectl| -> Result<Value> {
        let object: Value =
            serde_json::from_str(&kubectl.ok(&["get", "configmap/m", "-o", "json", "--show-managed-fields"])?)?;
        Ok(object["metadata"]["managedFields"][0].clone())
    };
    ensure!(time(&kubectl)?["manager"] == "two" && time(&kubectl)?["time"].is_null(), "{}", time(&kubectl)?);
    kubectl.wait_value("configmap/m", "/data/a", SOON, |value| value == "x").map(drop)
}
