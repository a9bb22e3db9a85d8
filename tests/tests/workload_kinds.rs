//! The kinds that make Pods, and what goes with them, as kubectl creates, shows, changes, scales and deletes them.

use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Result, ensure};
use serde_json::{Value, json};
use tests::{Cluster, Kubectl, Options, cases, suite};

const SOON: Duration = Duration::from_secs(40);

fn main() -> ExitCode {
    let cases = cases![
        every_kind_is_created_shown_changed_and_deleted,
        scale_reads_and_writes_replicas,
        set_image_counts_the_generation,
        jobs_select_their_own_pods,
        autoscalers_are_one_object_in_two_versions,
        evictions_ask_the_budget,
        problems_are_told_with_their_fields,
    ];
    suite::run(|| Cluster::start(Options::default()), cases, Cluster::diagnose)
}

/// A kind with a manifest, what `kubectl get` heads its columns with, and what it shows of the object.
struct Row {
    resource: &'static str,
    spec: Value,
    columns: &'static str,
    shown: &'static str,
}

fn template(restart_policy: &str) -> Value {
    json!({
        "metadata": {"labels": {"app": "a"}},
        // No node has the label, so nothing runs.
        "spec": {"nodeSelector": {"none": "such"}, "restartPolicy": restart_policy,
                 "containers": [{"name": "c", "image": "busybox"}]},
    })
}

fn rows() -> Vec<Row> {
    let selector = json!({"matchLabels": {"app": "a"}});
    let workload = |more: Value| {
        let mut spec = json!({"selector": selector, "template": template("Always")});
        spec.as_object_mut().into_iter().zip(more.as_object()).for_each(|(spec, more)| spec.extend(more.clone()));
        spec
    };
    vec![
        Row {
            resource: "deployments.v1.apps/Deployment",
            spec: workload(json!({"replicas": 0, "paused": true})),
            columns: "NAME READY UP-TO-DATE AVAILABLE AGE CONTAINERS IMAGES SELECTOR",
            shown: "0/0",
        },
        Row {
            resource: "replicasets.v1.apps/ReplicaSet",
            spec: workload(json!({"replicas": 0})),
            columns: "NAME DESIRED CURRENT READY AGE CONTAINERS IMAGES SELECTOR",
            shown: "app=a",
        },
        Row {
            resource: "statefulsets.v1.apps/StatefulSet",
            spec: workload(json!({"replicas": 0, "serviceName": "s"})),
            columns: "NAME READY AGE CONTAINERS IMAGES",
            shown: "0/0",
        },
        Row {
            resource: "daemonsets.v1.apps/DaemonSet",
            spec: workload(json!({})),
            columns: "NAME DESIRED CURRENT READY UP-TO-DATE AVAILABLE NODE SELECTOR AGE CONTAINERS IMAGES SELECTOR",
            shown: "none=such",
        },
        Row {
            resource: "jobs.v1.batch/Job",
            spec: json!({"suspend": true, "template": template("Never")}),
            columns: "NAME STATUS COMPLETIONS DURATION AGE CONTAINERS IMAGES SELECTOR",
            shown: "0/1",
        },
        Row {
            resource: "cronjobs.v1.batch/CronJob",
            spec: json!({"suspend": true, "schedule": "0 0 1 1 *", "timeZone": "Europe/Berlin",
                         "jobTemplate": {"spec": {"template": template("Never")}}}),
            columns: "NAME SCHEDULE TIMEZONE SUSPEND ACTIVE LAST SCHEDULE AGE CONTAINERS IMAGES SELECTOR",
            shown: "Europe/Berlin",
        },
        Row {
            resource: "horizontalpodautoscalers.v2.autoscaling/HorizontalPodAutoscaler",
            spec: json!({"maxReplicas": 3,
                         "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "none"}}),
            columns: "NAME REFERENCE TARGETS MINPODS MAXPODS REPLICAS AGE",
            shown: "Deployment/none",
        },
        Row {
            resource: "poddisruptionbudgets.v1.policy/PodDisruptionBudget",
            spec: json!({"minAvailable": "50%", "selector": selector}),
            columns: "NAME MIN AVAILABLE MAX UNAVAILABLE ALLOWED DISRUPTIONS AGE",
            shown: "50%",
        },
    ]
}

impl Row {
    /// `deployments.v1.apps`, `apps/v1`, `Deployment`.
    fn names(&self) -> (&str, String, &str) {
        let (resource, kind) = self.resource.split_once('/').unwrap_or((self.resource, ""));
        let mut parts = resource.splitn(3, '.').skip(1);
        let (version, group) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
        (resource, format!("{group}/{version}"), kind)
    }

    fn manifest(&self) -> Value {
        let (_, api_version, kind) = self.names();
        json!({"apiVersion": api_version, "kind": kind, "metadata": {"name": "x"}, "spec": self.spec})
    }
}

fn every_kind_is_created_shown_changed_and_deleted(cluster: &Cluster) -> Result<()> {
    let kubectl = cluster.namespace("kinds")?;
    for row in rows() {
        let (resource, _, kind) = row.names();
        let manifest = row.manifest().to_string();
        let created = kubectl.apply(&manifest)?;
        ensure!(created.contains("created"), "{kind}: {created}");
        // The selector of a budget is replaced as a whole, so kubectl always has something to send.
        let again = if kind == "PodDisruptionBudget" { "configured" } else { "unchanged" };
        let applied = kubectl.apply(&manifest)?;
        ensure!(applied.contains(again), "{kind}: {applied}");
        let wide = kubectl.ok(&["get", resource, "x", "-o", "wide"])?;
        let head = wide.lines().next().unwrap_or_default().split_whitespace().collect::<Vec<_>>().join(" ");
        ensure!(head == row.columns, "{kind}: {head}");
        ensure!(wide.contains(row.shown), "{kind}: {wide}");
        let told = kubectl.ok(&["describe", resource, "x"])?;
        ensure!(told.contains("Name:"), "{kind}: {told}");
        kubectl.ok(&["label", resource, "x", "tier=front"])?;
        let labelled = kubectl.value(&format!("{resource}/x"), "/metadata/labels/tier")?;
        ensure!(labelled == "front", "{kind}: {labelled}");
        kubectl.ok(&["delete", resource, "x", "--wait=false"])?;
    }
    Ok(())
}

fn scale_reads_and_writes_replicas(cluster: &Cluster) -> Result<()> {
    let kubectl = cluster.namespace("scale")?;
    for row in rows().into_iter().take(3) {
        let (resource, _, kind) = row.names();
        kubectl.apply(&row.manifest().to_string())?;
        kubectl.ok(&["scale", resource, "x", "--replicas=2"])?;
        let object = format!("{resource}/x");
        ensure!(kubectl.value(&object, "/spec/replicas")? == 2, "{kind}");
        ensure!(kubectl.value(&object, "/metadata/generation")? == 2, "{kind}");
        let error = kubectl.fails(&["scale", resource, "x", "--current-replicas=5", "--replicas=3"])?;
        ensure!(error.contains("Expected replicas to be 5, was 2"), "{kind}: {error}");
        let plural = resource.split('.').next().unwrap_or_default();
        let path = format!("/apis/apps/v1/namespaces/{}/{plural}/x/scale", kubectl.namespace());
        let scale: Value = serde_json::from_str(&kubectl.ok(&["get", "--raw", &path])?)?;
        ensure!(scale["kind"] == "Scale" && scale["status"]["selector"] == "app=a", "{kind}: {scale}");
        let shown = kubectl.ok(&["get", resource, "x", "--subresource=scale"])?;
        ensure!(shown.starts_with("NAME   DESIRED   AVAILABLE   AGE"), "{kind}: {shown}");
        let patch =
            ["patch", resource, "x", "--subresource=scale", "--type=merge", "-p", r#"{"spec":{"replicas":-1}}"#];
        let error = kubectl.fails(&patch)?;
        ensure!(error.contains("spec.replicas: Invalid value: -1: must be greater than or equal to 0"), "{error}");
    }
    let error = kubectl.fails(&["scale", "deployment", "nosuch", "--replicas=1"])?;
    ensure!(error.contains("not found"), "{error}");
    Ok(())
}

fn set_image_counts_the_generation(cluster: &Cluster) -> Result<()> {
    let kubectl = cluster.namespace("set-image")?;
    for row in rows().into_iter().take(4) {
        let (resource, _, kind) = row.names();
        kubectl.apply(&row.manifest().to_string())?;
        kubectl.ok(&["set", "image", &format!("{resource}/x"), "c=nginx"])?;
        let object = format!("{resource}/x");
        ensure!(kubectl.value(&object, "/spec/template/spec/containers/0/image")? == "nginx", "{kind}");
        ensure!(kubectl.value(&object, "/metadata/generation")?.as_i64() >= Some(2), "{kind}");
    }
    let annotation = "/metadata/annotations/deprecated.daemonset.template.generation";
    ensure!(kubectl.value("daemonset/x", annotation)? == "2");
    Ok(())
}

fn jobs_select_their_own_pods(cluster: &Cluster) -> Result<()> {
    let kubectl = cluster.namespace("jobs")?;
    kubectl.ok(&["create", "job", "one", "--image=busybox", "--", "true"])?;
    let job = kubectl.value("job/one", "")?;
    let uid = &job["metadata"]["uid"];
    ensure!(job["spec"]["selector"]["matchLabels"]["batch.kubernetes.io/controller-uid"] == *uid, "{job}");
    let labels = &job["spec"]["template"]["metadata"]["labels"];
    ensure!(labels["batch.kubernetes.io/job-name"] == "one" && labels["controller-uid"] == *uid, "{job}");
    kubectl.ok(&["create", "cronjob", "daily", "--image=busybox", "--schedule=@daily", "--", "true"])?;
    kubectl.ok(&["create", "job", "now", "--from=cronjob/daily"])?;
    ensure!(kubectl.value("job/now", "/metadata/ownerReferences/0/kind")? == "CronJob");
    let error =
        kubectl.fails(&["create", "cronjob", "odd", "--image=busybox", "--schedule=0 0 1 foo *", "--", "true"])?;
    ensure!(error.contains("failed to parse int from foo"), "{error}");
    Ok(())
}

fn autoscalers_are_one_object_in_two_versions(cluster: &Cluster) -> Result<()> {
    let kubectl = cluster.namespace("autoscale")?;
    let deployment = rows().into_iter().next().map(|row| row.manifest().to_string()).unwrap_or_default();
    kubectl.apply(&deployment)?;
    kubectl.ok(&["autoscale", "deployment", "x", "--min=2", "--max=4", "--cpu-percent=60"])?;
    let old = "horizontalpodautoscalers.v1.autoscaling/x";
    ensure!(kubectl.value(old, "/spec/targetCPUUtilizationPercentage")? == 60);
    let new = "horizontalpodautoscalers.v2.autoscaling/x";
    let target = "/spec/metrics/0/resource/target/averageUtilization";
    ensure!(kubectl.value(new, target)? == 60);
    kubectl.ok(&["patch", old, "--type=merge", "-p", r#"{"spec":{"targetCPUUtilizationPercentage":70}}"#])?;
    ensure!(kubectl.value(new, target)? == 70);
    ensure!(kubectl.ok(&["get", "hpa", "x"])?.contains("cpu: <unknown>/70%"));
    Ok(())
}

/// Nobody keeps budgets' statuses for this case: it writes them itself.
fn evictions_ask_the_budget(cluster: &Cluster) -> Result<()> {
    let kubectl = cluster.namespace("evict")?;
    kubectl.ok(&["run", "guarded", "--image=busybox", "--labels=app=a", "--", "sleep", "3600"])?;
    kubectl.wait_ready("guarded")?;
    kubectl.apply(
        &json!({"apiVersion": "policy/v1", "kind": "PodDisruptionBudget", "metadata": {"name": "b"},
                "spec": {"minAvailable": 1, "selector": {"matchLabels": {"app": "a"}}}})
        .to_string(),
    )?;
    let body = json!({"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": "guarded"}});
    let path = format!("/api/v1/namespaces/{}/pods/guarded/eviction", kubectl.namespace());
    kubectl.wait_value("pdb/b", "/status/currentHealthy", SOON, |healthy| healthy == 1)?;
    let error = kubectl.fails_with_input(&["create", "--raw", &path, "-f", "-"], body.to_string().as_bytes())?;
    ensure!(error.contains("Cannot evict pod as it would violate the pod's disruption budget."), "{error}");
    kubectl.ok(&["run", "second", "--image=busybox", "--labels=app=a", "--", "sleep", "3600"])?;
    kubectl.wait_value("pdb/b", "/status/disruptionsAllowed", SOON, |allowed| allowed == 1)?;
    kubectl.ok_with_input(&["create", "--raw", &path, "-f", "-"], body.to_string().as_bytes())?;
    kubectl.wait_value("pdb/b", "/status/disruptionsAllowed", SOON, |allowed| allowed == 0)?;
    Ok(())
}

fn problems_are_told_with_their_fields(cluster: &Cluster) -> Result<()> {
    let kubectl = cluster.namespace("problems")?;
    for (position, path, value, text) in [
        (
            0,
            "/template/spec/restartPolicy",
            json!("Never"),
            "spec.template.spec.restartPolicy: Unsupported value: \"Never\"",
        ),
        (1, "/replicas", json!(-1), "spec.replicas: Invalid value: -1: must be greater than or equal to 0"),
        (
            2,
            "/podManagementPolicy",
            json!("Odd"),
            "spec.podManagementPolicy: Invalid value: \"Odd\": must be 'OrderedReady' or 'Parallel'",
        ),
        (
            3,
            "/updateStrategy",
            json!({"type": "Odd"}),
            "spec.updateStrategy: Unsupported value: {\"Type\":\"Odd\",\"RollingUpdate\":null}",
        ),
        (
            4,
            "/backoffLimitPerIndex",
            json!(1),
            "spec.backoffLimitPerIndex: Invalid value: 1: requires indexed completion mode",
        ),
        (5, "/timeZone", json!("Nowhere"), "spec.timeZone: Invalid value: \"Nowhere\": unknown time zone Nowhere"),
        (6, "/maxReplicas", json!(0), "spec.maxReplicas: Invalid value: 0: must be greater than 0"),
        (
            7,
            "/minAvailable",
            json!("150%"),
            "spec.minAvailable: Invalid value: \"150%\": must not be greater than 100%",
        ),
    ] {
        let mut manifest = rows()[position].manifest();
        set(&mut manifest["spec"], path, value);
        let error = apply_fails(&kubectl, &manifest)?;
        ensure!(error.contains(text), "{text}: {error}");
    }
    Ok(())
}

fn set(spec: &mut Value, path: &str, value: Value) {
    let mut place = spec;
    for key in path.split('/').skip(1) {
        place = &mut place[key];
    }
    *place = value;
}

fn apply_fails(kubectl: &Kubectl, manifest: &Value) -> Result<String> {
    kubectl.fails_with_input(&["create", "-f", "-"], manifest.to_string().as_bytes())
}
