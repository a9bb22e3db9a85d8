//! Workload controllers bring about what their objects say, and `kubectl` follows.

use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};
use tests::{Cluster, Kubectl, Options, cases, suite};

const SOON: Duration = Duration::from_secs(40);

fn main() -> ExitCode {
    let cases = cases![
        a_replica_set_keeps_its_number,
        a_replica_set_takes_in_and_lets_go,
        a_replication_controller_is_a_replica_set_of_old,
        a_refused_pod_is_told,
        a_deployment_rolls_out_and_back,
        a_broken_image_stalls_without_loss,
        pausing_holds_a_rollout_and_scaling_goes_on,
        recreate_ends_the_old_before_the_new,
        owners_go_in_all_three_ways,
        odd_owners_do_no_harm,
        a_namespace_takes_all_it_has_along,
        a_job_runs_to_completion_and_goes_when_its_time_has_come,
        an_indexed_job_tells_its_pods_their_number,
        a_job_that_fails_too_often_is_told,
        a_suspended_job_waits,
        a_budget_follows_what_it_guards,
        a_daemon_runs_where_the_node_suits_and_is_rolled_out,
        a_stateful_set_keeps_names_and_order,
        a_partition_holds_the_first_pods_back,
        claims_come_with_their_pod_and_go_as_told,
        a_service_leads_to_its_ready_pods,
        a_cron_job_starts_jobs_and_keeps_few,
        the_tree_shows_who_owns_what,
        an_autoscaler_follows_what_pods_use,
        endpoints_written_by_hand_are_mirrored,
        controllers_have_their_accounts,
    ];
    let flags = ["sync-period=1s", "cpu-initialization-period=1s", "initial-readiness-delay=1s"];
    let flags = flags.map(|flag| format!("--horizontal-pod-autoscaler-{flag}")).to_vec();
    suite::run(|| Cluster::start(Options { flags, ..Options::default() }), cases, Cluster::diagnose)
}

/// A Pod that runs until it is told to end, on this node.
fn running(app: &str) -> Value {
    json!({
        "metadata": {"labels": {"app": app}},
        "spec": {"terminationGracePeriodSeconds": 0,
                 "containers": [{"name": "c", "image": "busybox", "command": ["sleep", "100000"]}]},
    })
}

/// A Pod that no node takes.
fn waiting(app: &str) -> Value {
    json!({
        "metadata": {"labels": {"app": app}},
        "spec": {"nodeSelector": {"none": "such"}, "containers": [{"name": "c", "image": "busybox"}]},
    })
}

fn workload(kind: &str, name: &str, replicas: u32, template: &Value) -> Value {
    let labels = &template["metadata"]["labels"];
    json!({
        "apiVersion": "apps/v1", "kind": kind, "metadata": {"name": name},
        "spec": {"replicas": replicas, "selector": {"matchLabels": labels}, "template": template},
    })
}

/// The objects of a resource that carry `app=<app>`.
fn items(kubectl: &Kubectl, resource: &str, app: &str) -> Result<Vec<Value>> {
    let list: Value =
        serde_json::from_str(&kubectl.ok(&["get", resource, "-l", &format!("app={app}"), "-o", "json"])?)?;
    Ok(list["items"].as_array().cloned().unwrap_or_default())
}

fn name(object: &Value) -> &str {
    object["metadata"]["name"].as_str().unwrap_or_default()
}

/// Waits until the objects of a resource are as they should be.
fn until(
    kubectl: &Kubectl,
    resource: &str,
    app: &str,
    what: &str,
    fits: impl Fn(&[Value]) -> bool,
) -> Result<Vec<Value>> {
    let deadline = Instant::now() + SOON;
    loop {
        let found = items(kubectl, resource, app)?;
        if fits(&found) {
            return Ok(found);
        }
        ensure!(Instant::now() < deadline, "{what}: {found:#?}");
        std::thread::sleep(Duration::from_millis(100));
    }
}

fn rolled_out(kubectl: &Kubectl, object: &str) -> Result<()> {
    let told = kubectl.ok(&["rollout", "status", object, "--timeout=60s"])?;
    ensure!(told.contains("successfully rolled out") || told.contains("complete"), "{told}");
    Ok(())
}

fn has_event(kubectl: &Kubectl, object: &str, reason: &str, message: &str) -> Result<()> {
    let selector = format!("--field-selector=involvedObject.name={object},reason={reason}");
    let deadline = Instant::now() + SOON;
    loop {
        let events =
            kubectl.ok(&["get", "events", &selector, "-o", "jsonpath={range .items[*]}{.message}{'\\n'}{end}"])?;
        if events.contains(message) {
            return Ok(());
        }
        ensure!(Instant::now() < deadline, "no Event {reason} {message:?} but {events:?}");
        std::thread::sleep(Duration::from_millis(100));
    }
}

fn a_replica_set_keeps_its_number(cluster: &Cluster) -> Result<()> {
    let kubectl = cluster.namespace("replicas")?;
    kubectl.apply(&workload("ReplicaSet", "web", 3, &running("web")).to_string())?;
    kubectl.wait_value("rs/web", "/status/availableReplicas", SOON, |count| count == 3)?;
    let pods = items(&kubectl, "pods", "web")?;
    ensure!(pods.len() == 3 && pods.iter().all(|pod| name(pod).starts_with("web-")), "{pods:#?}");
    let first = name(&pods[0]).to_owned();
    kubectl.ok(&["delete", "pod", &first, "--wait=false"])?;
    let back = until(&kubectl, "pods", "web", "a Pod comes back", |pods| {
        pods.iter().filter(|pod| pod["metadata"]["deletionTimestamp"].is_null()).count() == 3
            && pods.iter().all(|pod| name(pod) != first)
    })?;
    // A new Pod was made within a moment of the deletion: see both stamps, which count seconds.
    ensure!(back.iter().any(|pod| !pods.iter().any(|old| name(old) == name(pod))), "under a new name");
    kubectl.ok(&["scale", "rs/web", "--replicas=1"])?;
    until(&kubectl, "pods", "web", "one Pod stays", |pods| pods.len() == 1)?;
    kubectl.wait_value("rs/web", "/status/replicas", SOON, |count| count == 1)?;
    has_event(&kubectl, "web", "SuccessfulCreate", "Created pod: web-")?;
    has_event(&kubectl, "web", "SuccessfulDelete", "Deleted pod: web-")
}

fn a_replica_set_takes_in_and_lets_go(cluster: &Cluster) -> Result<()> {
    let kubectl = cluster.namespace("adoption")?;
    let mut stray = waiting("a");
    stray["apiVersion"] = json!("v1");
    stray["kind"] = json!("Pod");
    stray["metadata"]["name"] = json!("stray");
    kubectl.apply(&stray.to_string())?;
    kubectl.apply(&workload("ReplicaSet", "a", 2, &waiting("a")).to_string())?;
    let owner = |pod: &Value| pod["metadata"]["ownerReferences"][0]["name"].as_str().map(str::to_owned);
    until(&kubectl, "pods", "a", "two Pods, one of them the stray", |pods| {
        pods.len() == 2 && pods.iter().all(|pod| owner(pod).as_deref() == Some("a"))
    })?;
    kubectl.ok(&["label", "pod", "stray", "app=b", "--overwrite"])?;
    until(&kubectl, "pods", "a", "another in its place", |pods| pods.len() == 2)?;
    until(&kubectl, "pods", "b", "the stray is nobody's", |pods| pods.len() == 1 && owner(&pods[0]).is_none())?;
    Ok(())
}

fn a_replication_controller_is_a_replica_set_of_old(cluster: &Cluster) -> Result<()> {
    let kubectl = cluster.namespace("of-old")?;
    let controller = json!({
        "apiVersion": "v1", "kind": "ReplicationController", "metadata": {"name": "old"},
        "spec": {"replicas": 2, "template": running("old")},
    });
    kubectl.apply(&controller.to_string())?;
    kubectl.wait_value("rc/old", "/status/readyReplicas", SOON, |count| count == 2)?;
    kubectl.ok(&["scale", "rc/old", "--replicas=0"])?;
    until(&kubectl, "pods", "old", "none is left", <[Value]>::is_empty)?;
    Ok(())
}

fn a_refused_pod_is_told(cluster: &Cluster) -> Result<()> {
    let kubectl = cluster.namespace("refused")?;
    let mut template = waiting("a");
    template["spec"]["serviceAccountName"] = json!("nobody");
    kubectl.apply(&workload("ReplicaSet", "a", 1, &template).to_string())?;
    let conditions = kubectl.wait_value("rs/a", "/status/conditions", SOON, |conditions| conditions.is_array())?;
    ensure!(conditions[0]["type"] == "ReplicaFailure" && conditions[0]["reason"] == "FailedCreate", "{conditions}");
    has_event(&kubectl, "a", "FailedCreate", "Error creating: pods \"a-\" is forbidden")?;
    kubectl.ok(&["create", "serviceaccount", "nobody"])?;
    until(&kubectl, "pods", "a", "the Pod is made after all", |pods| pods.len() == 1)?;
    kubectl.wait_value("rs/a", "/status/conditions", SOON, Value::is_null)?;
    Ok(())
}

fn a_deployment_rolls_out_and_back(cluster: &Cluster) -> Result<()> {
    let kubectl = cluster.namespace("rollout")?;
    kubectl.apply(&workload("Deployment", "web", 2, &running("web")).to_string())?;
    rolled_out(&kubectl, "deploy/web")?;
    let sets = items(&kubectl, "rs", "web")?;
    let hash = sets[0]["metadata"]["labels"]["pod-template-hash"].as_str().context("a hash")?.to_owned();
    ensure!(name(&sets[0]) == format!("web-{hash}"), "{sets:#?}");
    let pods = items(&kubectl, "pods", "web")?;
    ensure!(pods.iter().all(|pod| name(pod).starts_with(&format!("web-{hash}-"))), "{pods:#?}");
    has_event(&kubectl, "web", "ScalingReplicaSet", &format!("Scaled up replica set web-{hash} from 0 to 2"))?;

    kubectl.ok(&["set", "env", "deploy/web", "COLOUR=blue"])?;
    rolled_out(&kubectl, "deploy/web")?;
    let history = kubectl.ok(&["rollout", "history", "deploy/web"])?;
    ensure!(history.contains("1         <none>") && history.contains("2         <none>"), "{history}");
    kubectl.ok(&["rollout", "undo", "deploy/web"])?;
    rolled_out(&kubectl, "deploy/web")?;
    let sets = items(&kubectl, "rs", "web")?;
    ensure!(sets.len() == 2, "the first ReplicaSet is used again: {sets:#?}");
    let first = sets.iter().find(|set| name(set) == format!("web-{hash}")).context("the first")?;
    ensure!(first["spec"]["replicas"] == 2, "{first:#}");
    ensure!(first["metadata"]["annotations"]["deployment.kubernetes.io/revision"] == "3", "{first:#}");
    let history = kubectl.ok(&["rollout", "history", "deploy/web"])?;
    ensure!(!history.contains("\n1 ") && history.contains("\n3 "), "{history}");

    kubectl.ok(&["rollout", "restart", "deploy/web"])?;
    rolled_out(&kubectl, "deploy/web")?;
    ensure!(items(&kubectl, "rs", "web")?.len() == 3);
    let told = kubectl.ok(&["describe", "deploy", "web"])?;
    ensure!(told.contains("NewReplicaSet:   web-") && told.contains("NewReplicaSetAvailable"), "{told}");
    Ok(())
}

fn a_broken_image_stalls_without_loss(cluster: &Cluster) -> Result<()> {
    let kubectl = cluster.namespace("broken")?;
    let mut deployment = workload("Deployment", "web", 3, &running("web"));
    deployment["spec"]["progressDeadlineSeconds"] = json!(3);
    kubectl.apply(&deployment.to_string())?;
    rolled_out(&kubectl, "deploy/web")?;
    kubectl.ok(&["set", "image", "deploy/web", "c=no-such-image"])?;
    let told = kubectl.fails(&["rollout", "status", "deploy/web", "--timeout=60s"])?;
    ensure!(told.contains("exceeded its progress deadline"), "{told}");
    ensure!(kubectl.value("deploy/web", "/status/availableReplicas")? == 3, "all old Pods stay");
    let conditions = kubectl.value("deploy/web", "/status/conditions")?;
    let progressing = conditions.as_array().into_iter().flatten().find(|one| one["type"] == "Progressing");
    ensure!(progressing.context("a condition")?["reason"] == "ProgressDeadlineExceeded", "{conditions}");
    kubectl.ok(&["rollout", "undo", "deploy/web"])?;
    rolled_out(&kubectl, "deploy/web")
}

fn pausing_holds_a_rollout_and_scaling_goes_on(cluster: &Cluster) -> Result<()> {
    let kubectl = cluster.namespace("paused")?;
    kubectl.apply(&workload("Deployment", "web", 1, &running("web")).to_string())?;
    rolled_out(&kubectl, "deploy/web")?;
    kubectl.ok(&["rollout", "pause", "deploy/web"])?;
    kubectl.ok(&["set", "env", "deploy/web", "COLOUR=red"])?;
    kubectl.ok(&["scale", "deploy/web", "--replicas=2"])?;
    kubectl.wait_value("deploy/web", "/status/availableReplicas", SOON, |count| count == 2)?;
    ensure!(items(&kubectl, "rs", "web")?.len() == 1, "no new ReplicaSet while paused");
    kubectl.ok(&["rollout", "resume", "deploy/web"])?;
    rolled_out(&kubectl, "deploy/web")?;
    ensure!(items(&kubectl, "rs", "web")?.len() == 2);
    Ok(())
}

fn recreate_ends_the_old_before_the_new(cluster: &Cluster) -> Result<()> {
    let kubectl = cluster.namespace("recreate")?;
    let mut deployment = workload("Deployment", "web", 1, &running("web"));
    deployment["spec"]["strategy"] = json!({"type": "Recreate"});
    kubectl.apply(&deployment.to_string())?;
    rolled_out(&kubectl, "deploy/web")?;
    let before = items(&kubectl, "pods", "web")?;
    kubectl.ok(&["set", "env", "deploy/web", "COLOUR=red"])?;
    rolled_out(&kubectl, "deploy/web")?;
    let after = until(&kubectl, "pods", "web", "one Pod", |pods| pods.len() == 1)?;
    ensure!(name(&before[0]) != name(&after[0]));
    Ok(())
}

fn owners_go_in_all_three_ways(cluster: &Cluster) -> Result<()> {
    let kubectl = cluster.namespace("cascades")?;
    let make = |name: &str| -> Result<()> {
        kubectl.apply(&workload("Deployment", name, 2, &waiting(name)).to_string())?;
        until(&kubectl, "pods", name, "two Pods", |pods| pods.len() == 2).map(drop)
    };
    make("back")?;
    kubectl.ok(&["delete", "deploy", "back"])?;
    until(&kubectl, "rs", "back", "the ReplicaSet goes", <[Value]>::is_empty)?;
    until(&kubectl, "pods", "back", "the Pods go", <[Value]>::is_empty)?;
    make("front")?;
    kubectl.ok(&["delete", "deploy", "front", "--cascade=foreground"])?;
    ensure!(items(&kubectl, "rs", "front")?.is_empty() && items(&kubectl, "pods", "front")?.is_empty());
    make("loose")?;
    kubectl.ok(&["delete", "deploy", "loose", "--cascade=orphan"])?;
    let sets = until(&kubectl, "rs", "loose", "the ReplicaSet is free", |sets| {
        sets.len() == 1 && sets[0]["metadata"]["ownerReferences"].is_null()
    })?;
    ensure!(items(&kubectl, "pods", "loose")?.len() == 2, "and its Pods stay: {sets:#?}");
    make("loose")?;
    until(&kubectl, "rs", "loose", "it is taken in again", |sets| {
        sets.len() == 1 && sets[0]["metadata"]["ownerReferences"][0]["name"] == "loose"
    })?;
    Ok(())
}

fn odd_owners_do_no_harm(cluster: &Cluster) -> Result<()> {
    let (kubectl, elsewhere) = (cluster.namespace("odd-owners")?, cluster.namespace("elsewhere")?);
    let make = |kubectl: &Kubectl, kind: &str, name: &str, owner: Option<(&str, &str)>| -> Result<()> {
        let owner = owner.map(|(name, uid)| {
            json!([{"apiVersion": "v1", "kind": "ConfigMap", "name": name, "uid": uid, "blockOwnerDeletion": true}])
        });
        let version = if kind == "ConfigMap" { "v1" } else { "rbac.authorization.k8s.io/v1" };
        let metadata = json!({"name": name, "ownerReferences": owner});
        kubectl.apply(&json!({"apiVersion": version, "kind": kind, "metadata": metadata}).to_string()).map(drop)
    };
    let uid = |kubectl: &Kubectl, name: &str| kubectl.text(&format!("configmap/{name}"), "/metadata/uid");
    // Two that own each other go all the same.
    make(&kubectl, "ConfigMap", "first", None)?;
    make(&kubectl, "ConfigMap", "second", Some(("first", &uid(&kubectl, "first")?)))?;
    make(&kubectl, "ConfigMap", "first", Some(("second", &uid(&kubectl, "second")?)))?;
    kubectl.ok(&["delete", "configmap", "first", "--cascade=foreground", "--timeout=40s"])?;
    kubectl.ok(&["wait", "--for=delete", "configmap/second", "--timeout=40s"])?;
    // One in another namespace is none; where the owner can't be looked for, nothing is deleted.
    make(&elsewhere, "ConfigMap", "owner", None)?;
    let owner = uid(&elsewhere, "owner")?;
    let wide = "odd-owners-wide";
    make(&kubectl, "ClusterRole", wide, Some(("owner", &owner)))?;
    make(&kubectl, "ConfigMap", "lost", Some(("owner", &owner)))?;
    kubectl.ok(&["wait", "--for=delete", "configmap/lost", "--timeout=40s"])?;
    let told = |namespace: &str| format!("uid: {owner}] does not exist in namespace \"{namespace}\"");
    has_event(&kubectl, "lost", "OwnerRefInvalidNamespace", &told(kubectl.namespace()))?;
    has_event(&kubectl.in_namespace("default"), wide, "OwnerRefInvalidNamespace", &told(""))?;
    kubectl.ok(&["delete", "clusterrole", wide])?;
    Ok(())
}

fn a_namespace_takes_all_it_has_along(cluster: &Cluster) -> Result<()> {
    let kubectl = cluster.namespace("many")?;
    let mut all = Vec::new();
    for number in 0..60 {
        let metadata = json!({"name": format!("of-many-{number}")});
        all.push(json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata}));
        all.push(json!({"apiVersion": "v1", "kind": "Secret", "metadata": metadata}));
        if number < 10 {
            let app = format!("of-many-{number}");
            all.push(workload("Deployment", &app, 2, &waiting(&app)));
            let spec = json!({"selector": {"app": app}, "ports": [{"port": 80}]});
            all.push(json!({"apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": spec}));
        }
    }
    kubectl.apply(&json!({"apiVersion": "v1", "kind": "List", "items": all}).to_string())?;
    until(&kubectl, "pods", "of-many-9", "two Pods", |pods| pods.len() == 2)?;
    let namespace = kubectl.namespace();
    kubectl.ok(&["delete", "namespace", namespace, "--timeout=60s"])?;
    let left = kubectl.ok(&["get", "all,configmaps,secrets,endpointslices", "-o", "name"])?;
    ensure!(left.is_empty(), "{left}");
    Ok(())
}

fn job(name: &str, command: &str, spec: Value) -> Value {
    let container = json!({"name": "c", "image": "busybox", "command": ["sh", "-c", command]});
    let pod = json!({"restartPolicy": "Never", "terminationGracePeriodSeconds": 0, "containers": [container]});
    let mut job = json!({"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": name}, "spec": spec});
    job["spec"]["template"] = json!({"metadata": {"labels": {"app": name}}, "spec": pod});
    job
}

fn a_job_runs_to_completion_and_goes_when_its_time_has_come(cluster: &Cluster) -> Result<()> {
    let kubectl = cluster.namespace("jobs")?;
    kubectl.apply(&job("three", "true", json!({"completions": 3, "parallelism": 2})).to_string())?;
    kubectl.ok(&["wait", "--for=condition=Complete", "job/three", "--timeout=60s"])?;
    let status = kubectl.value("job/three", "/status")?;
    ensure!(status["succeeded"] == 3 && status["uncountedTerminatedPods"] == json!({}), "{status}");
    let pods = items(&kubectl, "pods", "three")?;
    ensure!(pods.len() == 3 && pods.iter().all(|pod| pod["metadata"]["finalizers"].is_null()), "{pods:#?}");
    has_event(&kubectl, "three", "Completed", "Job completed")?;
    kubectl.ok(&["patch", "job", "three", "--type=merge", "-p", r#"{"spec":{"ttlSecondsAfterFinished":0}}"#])?;
    kubectl.ok(&["wait", "--for=delete", "job/three", "--timeout=30s"])?;
    until(&kubectl, "pods", "three", "its Pods go with it", <[Value]>::is_empty)?;
    Ok(())
}

fn an_indexed_job_tells_its_pods_their_number(cluster: &Cluster) -> Result<()> {
    let kubectl = cluster.namespace("indexed")?;
    let spec = json!({"completions": 3, "parallelism": 3, "completionMode": "Indexed"});
    kubectl.apply(&job("squares", "echo $((JOB_COMPLETION_INDEX * JOB_COMPLETION_INDEX))", spec).to_string())?;
    kubectl.ok(&["wait", "--for=condition=Complete", "job/squares", "--timeout=60s"])?;
    ensure!(kubectl.text("job/squares", "/status/completedIndexes")? == "0-2");
    let said = kubectl.ok(&["logs", "-l", "batch.kubernetes.io/job-completion-index=2"])?;
    ensure!(said == "4\n", "{said}");
    Ok(())
}

fn a_job_that_fails_too_often_is_told(cluster: &Cluster) -> Result<()> {
    let kubectl = cluster.namespace("failing")?;
    kubectl.apply(&job("bad", "exit 3", json!({"backoffLimit": 0})).to_string())?;
    kubectl.ok(&["wait", "--for=condition=Failed", "job/bad", "--timeout=60s"])?;
    has_event(&kubectl, "bad", "BackoffLimitExceeded", "Job has reached the specified backoff limit")?;
    ensure!(kubectl.value("job/bad", "/status/failed")? == 1);
    let slow = json!({"activeDeadlineSeconds": 1});
    kubectl.apply(&job("slow", "sleep 1000", slow).to_string())?;
    kubectl.ok(&["wait", "--for=condition=Failed", "job/slow", "--timeout=60s"])?;
    until(&kubectl, "pods", "slow", "what ran is ended", <[Value]>::is_empty)?;
    Ok(())
}

fn a_suspended_job_waits(cluster: &Cluster) -> Result<()> {
    let kubectl = cluster.namespace("suspended")?;
    kubectl.apply(&job("later", "true", json!({"suspend": true})).to_string())?;
    kubectl.ok(&["wait", "--for=condition=Suspended", "job/later", "--timeout=30s"])?;
    ensure!(items(&kubectl, "pods", "later")?.is_empty());
    kubectl.ok(&["patch", "job", "later", "--type=merge", "-p", r#"{"spec":{"suspend":false}}"#])?;
    kubectl.ok(&["wait", "--for=condition=Complete", "job/later", "--timeout=60s"])?;
    Ok(())
}

fn a_budget_follows_what_it_guards(cluster: &Cluster) -> Result<()> {
    let kubectl = cluster.namespace("budget")?;
    kubectl.apply(&workload("Deployment", "web", 2, &running("web")).to_string())?;
    let budget = json!({
        "apiVersion": "policy/v1", "kind": "PodDisruptionBudget", "metadata": {"name": "web"},
        "spec": {"maxUnavailable": "50%", "selector": {"matchLabels": {"app": "web"}}},
    });
    kubectl.apply(&budget.to_string())?;
    kubectl.wait_value("pdb/web", "/status/disruptionsAllowed", SOON, |allowed| allowed == 1)?;
    let status = kubectl.value("pdb/web", "/status")?;
    ensure!(status["expectedPods"] == 2 && status["desiredHealthy"] == 1, "{status}");
    ensure!(status["conditions"][0]["reason"] == "SufficientPods", "{status}");
    Ok(())
}

fn a_daemon_runs_where_the_node_suits_and_is_rolled_out(cluster: &Cluster) -> Result<()> {
    let kubectl = cluster.namespace("daemons")?;
    let template = running("agent");
    let mut daemon = workload("DaemonSet", "agent", 0, &template);
    daemon["spec"].as_object_mut().context("a spec")?.remove("replicas");
    kubectl.apply(&daemon.to_string())?;
    rolled_out(&kubectl, "ds/agent")?;
    let pods = items(&kubectl, "pods", "agent")?;
    let node = pods[0]["spec"]["nodeName"].as_str().context("a node")?;
    let field = &pods[0]["spec"]["affinity"]["nodeAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"];
    ensure!(field["nodeSelectorTerms"][0]["matchFields"][0]["values"] == json!([node]), "{field}");
    has_event(&kubectl, "agent", "SuccessfulCreate", "Created pod: agent-")?;
    kubectl.ok(&["set", "env", "ds/agent", "COLOUR=blue"])?;
    rolled_out(&kubectl, "ds/agent")?;
    let history = kubectl.ok(&["rollout", "history", "ds/agent"])?;
    ensure!(history.contains("\n1 ") && history.contains("\n2 "), "{history}");
    kubectl.ok(&["rollout", "undo", "ds/agent"])?;
    rolled_out(&kubectl, "ds/agent")?;
    let pods = until(&kubectl, "pods", "agent", "one Pod", |pods| pods.len() == 1)?;
    ensure!(pods[0]["spec"]["containers"][0]["env"].is_null(), "{pods:#?}");
    ensure!(items(&kubectl, "controllerrevisions", "agent")?.len() == 2);
    let nowhere = r#"{"spec":{"template":{"spec":{"nodeSelector":{"none":"such"}}}}}"#;
    kubectl.ok(&["patch", "ds", "agent", "-p", nowhere])?;
    kubectl.wait_value("ds/agent", "/status/desiredNumberScheduled", SOON, |count| count == 0)?;
    until(&kubectl, "pods", "agent", "none is left", <[Value]>::is_empty)?;
    Ok(())
}

fn stateful(name: &str, replicas: u32) -> Value {
    let mut set = workload("StatefulSet", name, replicas, &running(name));
    set["spec"]["serviceName"] = json!(name);
    set
}

fn names(pods: &[Value]) -> Vec<&str> {
    pods.iter().map(name).collect()
}

fn a_stateful_set_keeps_names_and_order(cluster: &Cluster) -> Result<()> {
    let kubectl = cluster.namespace("stateful")?;
    kubectl.apply(&stateful("web", 2).to_string())?;
    rolled_out(&kubectl, "sts/web")?;
    let pods = items(&kubectl, "pods", "web")?;
    ensure!(names(&pods) == ["web-0", "web-1"], "{pods:#?}");
    let created = |pod: &Value| pod["metadata"]["creationTimestamp"].as_str().map(str::to_owned);
    ensure!(created(&pods[0]) <= created(&pods[1]) && pods[1]["spec"]["hostname"] == "web-1", "{pods:#?}");
    has_event(&kubectl, "web", "SuccessfulCreate", "create Pod web-0 in StatefulSet web successful")?;
    kubectl.ok(&["delete", "pod", "web-0", "--wait=false"])?;
    let uid = &pods[0]["metadata"]["uid"];
    until(&kubectl, "pods", "web", "web-0 comes back", |now| {
        names(now) == ["web-0", "web-1"] && now[0]["metadata"]["uid"] != *uid
    })?;
    rolled_out(&kubectl, "sts/web")?;
    kubectl.ok(&["set", "env", "sts/web", "COLOUR=blue"])?;
    rolled_out(&kubectl, "sts/web")?;
    let status = kubectl.value("sts/web", "/status")?;
    ensure!(status["currentRevision"] == status["updateRevision"] && status["updatedReplicas"] == 2, "{status}");
    kubectl.ok(&["rollout", "undo", "sts/web"])?;
    rolled_out(&kubectl, "sts/web")?;
    ensure!(items(&kubectl, "controllerrevisions", "web")?.len() == 2);
    kubectl.ok(&["scale", "sts/web", "--replicas=1"])?;
    let pods = until(&kubectl, "pods", "web", "the last goes", |pods| pods.len() == 1)?;
    ensure!(names(&pods) == ["web-0"] && pods[0]["spec"]["containers"][0]["env"].is_null(), "{pods:#?}");
    Ok(())
}

fn a_partition_holds_the_first_pods_back(cluster: &Cluster) -> Result<()> {
    let kubectl = cluster.namespace("partition")?;
    let mut set = stateful("web", 2);
    set["spec"]["podManagementPolicy"] = json!("Parallel");
    set["spec"]["updateStrategy"] = json!({"type": "RollingUpdate", "rollingUpdate": {"partition": 1}});
    kubectl.apply(&set.to_string())?;
    kubectl.wait_value("sts/web", "/status/availableReplicas", SOON, |count| count == 2)?;
    kubectl.ok(&["set", "env", "sts/web", "COLOUR=blue"])?;
    let told = kubectl.ok(&["rollout", "status", "sts/web", "--timeout=60s"])?;
    ensure!(told.contains("partitioned roll out complete: 1 new pods have been updated"), "{told}");
    let coloured = |pod: &Value| pod["spec"]["containers"][0]["env"].is_array();
    until(&kubectl, "pods", "web", "the last is new", |pods| {
        pods.len() == 2 && !coloured(&pods[0]) && coloured(&pods[1])
    })?;
    kubectl.ok(&["patch", "sts", "web", "-p", r#"{"spec":{"updateStrategy":{"rollingUpdate":{"partition":0}}}}"#])?;
    until(&kubectl, "pods", "web", "all are new", |pods| pods.len() == 2 && pods.iter().all(coloured))?;
    Ok(())
}

fn claims_come_with_their_pod_and_go_as_told(cluster: &Cluster) -> Result<()> {
    let kubectl = cluster.namespace("claims")?;
    let mut set = stateful("db", 2);
    // Nobody binds the claims: what matters is who makes and removes them.
    set["spec"]["template"]["spec"] = waiting("db")["spec"].clone();
    set["spec"]["podManagementPolicy"] = json!("Parallel");
    set["spec"]["persistentVolumeClaimRetentionPolicy"] = json!({"whenScaled": "Delete", "whenDeleted": "Retain"});
    let request = json!({"requests": {"storage": "1Mi"}});
    set["spec"]["volumeClaimTemplates"] = json!([{
        "metadata": {"name": "data"},
        "spec": {"accessModes": ["ReadWriteOnce"], "resources": request, "storageClassName": "none"},
    }]);
    kubectl.apply(&set.to_string())?;
    until(&kubectl, "pvc", "db", "two claims", |claims| names(claims) == ["data-db-0", "data-db-1"])?;
    until(&kubectl, "pods", "db", "two Pods", |pods| pods.len() == 2)?;
    has_event(&kubectl, "db", "SuccessfulCreate", "create Claim data-db-0 Pod db-0 in StatefulSet db success")?;
    kubectl.ok(&["scale", "sts/db", "--replicas=1"])?;
    until(&kubectl, "pvc", "db", "the claim goes with its Pod", |claims| names(claims) == ["data-db-0"])?;
    kubectl.ok(&["delete", "sts", "db"])?;
    until(&kubectl, "pods", "db", "the Pods go", <[Value]>::is_empty)?;
    ensure!(names(&items(&kubectl, "pvc", "db")?) == ["data-db-0"], "the other claim stays");
    Ok(())
}

fn a_service_leads_to_its_ready_pods(cluster: &Cluster) -> Result<()> {
    let kubectl = cluster.namespace("services")?;
    let mut template = running("web");
    template["spec"]["containers"][0]["command"] = json!(["sh", "-c", "echo hello > index.html; httpd -f -p 8080"]);
    template["spec"]["containers"][0]["ports"] = json!([{"name": "web", "containerPort": 8080}]);
    kubectl.apply(&workload("Deployment", "web", 2, &template).to_string())?;
    kubectl.ok(&["expose", "deploy", "web", "--port=80", "--target-port=web", "--labels=app=web"])?;
    rolled_out(&kubectl, "deploy/web")?;
    let ips = |pods: &[Value]| -> Vec<String> {
        let mut ips: Vec<_> =
            pods.iter().filter_map(|pod| pod["status"]["podIP"].as_str().map(str::to_owned)).collect();
        ips.sort();
        ips
    };
    let pods = ips(&items(&kubectl, "pods", "web")?);
    let ready = |slice: &Value| -> Vec<String> {
        let all = slice["endpoints"].as_array().into_iter().flatten();
        let ready = all.filter(|endpoint| endpoint["conditions"]["ready"] == true);
        let mut ips: Vec<_> =
            ready.filter_map(|endpoint| endpoint["addresses"][0].as_str().map(str::to_owned)).collect();
        ips.sort();
        ips
    };
    let slices = until(&kubectl, "endpointslices", "web", "both Pods", |slices| {
        slices.len() == 1 && ready(&slices[0]) == pods && slices[0]["ports"][0]["port"] == 8080
    })?;
    ensure!(name(&slices[0]).starts_with("web-") && slices[0]["addressType"] == "IPv4", "{slices:#?}");
    kubectl.wait_value("endpoints/web", "/subsets/0/addresses", SOON, |list| {
        list.as_array().is_some_and(|list| list.len() == 2)
    })?;
    let shown = kubectl.ok(&["describe", "service", "web"])?;
    ensure!(pods.iter().all(|ip| shown.contains(&format!("{ip}:8080"))), "{shown}");
    let path = format!("/api/v1/namespaces/{}/services/web/proxy/", kubectl.namespace());
    ensure!(kubectl.ok(&["get", "--raw", &path])?.contains("hello"));
    kubectl.ok(&["scale", "deploy/web", "--replicas=0"])?;
    until(&kubectl, "endpointslices", "web", "nobody is behind it", |slices| {
        slices.len() == 1 && slices[0]["endpoints"].as_array().is_none_or(Vec::is_empty)
    })?;
    until(&kubectl, "endpoints", "web", "nobody is there either", |endpoints| {
        endpoints.len() == 1 && endpoints[0]["subsets"].as_array().is_none_or(Vec::is_empty)
    })?;
    kubectl.ok(&["delete", "service", "web"])?;
    until(&kubectl, "endpointslices", "web", "they go with the Service", <[Value]>::is_empty)?;
    until(&kubectl, "endpoints", "web", "they go with the Service", <[Value]>::is_empty)?;
    Ok(())
}

fn a_cron_job_starts_jobs_and_keeps_few(cluster: &Cluster) -> Result<()> {
    let kubectl = cluster.namespace("cron")?;
    let template = job("tick", "true", json!({}));
    let cron_job = json!({
        "apiVersion": "batch/v1", "kind": "CronJob", "metadata": {"name": "tick"},
        "spec": {"schedule": "@every 2s", "jobTemplate": {"metadata": {"labels": {"app": "tick"}}, "spec": template["spec"]}},
    });
    kubectl.apply(&cron_job.to_string())?;
    let jobs = until(&kubectl, "jobs", "tick", "a Job starts", |jobs| !jobs.is_empty())?;
    let owner = &jobs[0]["metadata"]["ownerReferences"][0];
    ensure!(
        owner["kind"] == "CronJob" && owner["controller"] == true && name(&jobs[0]).starts_with("tick-"),
        "{jobs:#?}"
    );
    has_event(&kubectl, "tick", "SuccessfulCreate", &format!("Created job {}", name(&jobs[0])))?;
    kubectl.wait_value("cronjob/tick", "/status/lastSuccessfulTime", SOON, Value::is_string)?;
    has_event(&kubectl, "tick", "SawCompletedJob", "condition: Complete")?;
    kubectl.ok(&["create", "job", "by-hand", "--from=cronjob/tick"])?;
    kubectl.ok(&["wait", "--for=condition=Complete", "job/by-hand", "--timeout=60s"])?;
    let changes = r#"{"spec":{"suspend":true,"successfulJobsHistoryLimit":0}}"#;
    kubectl.ok(&["patch", "cronjob", "tick", "-p", changes])?;
    until(&kubectl, "jobs", "tick", "old ones go", <[Value]>::is_empty)?;
    ensure!(kubectl.ok(&["get", "cronjob", "tick"])?.contains("True"));
    Ok(())
}

fn an_autoscaler_follows_what_pods_use(cluster: &Cluster) -> Result<()> {
    let kubectl = cluster.namespace("autoscaled")?;
    let condition = |name: &str, kind: &str| -> Result<String> {
        let path = format!("jsonpath={{.status.conditions[?(@.type=='{kind}')]['status','reason']}}");
        kubectl.ok(&["get", "hpa", name, "-o", &path])
    };
    let says = |name: &str, kind: &str, expected: &str| -> Result<()> {
        let deadline = Instant::now() + SOON;
        while condition(name, kind)? != expected {
            ensure!(Instant::now() < deadline, "{kind} is {:?}, not {expected:?}", condition(name, kind)?);
            std::thread::sleep(Duration::from_millis(100));
        }
        Ok(())
    };
    let target = json!({"apiVersion": "apps/v1", "kind": "Deployment", "name": "nobody"});
    let lost = json!({"apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler", "metadata": {"name": "nobody"},
                      "spec": {"scaleTargetRef": target, "maxReplicas": 2}});
    kubectl.apply(&lost.to_string())?;
    says("nobody", "AbleToScale", "False FailedGetScale")?;
    has_event(&kubectl, "nobody", "FailedGetScale", "deployments.apps \"nobody\" not found")?;
    let mut template = running("busy");
    template["spec"]["containers"][0]["command"] = json!(["sh", "-c", "while :; do :; done"]);
    template["spec"]["containers"][0]["resources"] = json!({"requests": {"cpu": "20m"}, "limits": {"cpu": "60m"}});
    kubectl.apply(&workload("Deployment", "busy", 1, &template).to_string())?;
    kubectl.ok(&["autoscale", "deployment", "busy", "--min=1", "--max=3", "--cpu-percent=50"])?;
    kubectl.wait_value("deploy/busy", "/spec/replicas", SOON, |count| count == 3)?;
    has_event(&kubectl, "busy", "SuccessfulRescale", "cpu resource utilization (percentage of request) above target")?;
    says("busy", "ScalingActive", "True ValidMetricFound")?;
    says("busy", "ScalingLimited", "True TooManyReplicas")?;
    let shown = kubectl.ok(&["get", "hpa", "busy"])?;
    ensure!(shown.contains("%/50%") && shown.contains("Deployment/busy"), "{shown}");
    // One container's use of memory, far below what is meant; it may go down at once.
    let target = json!({"type": "AverageValue", "averageValue": "1Ti"});
    let metric = json!({"type": "ContainerResource",
                        "containerResource": {"name": "memory", "container": "c", "target": target}});
    let behavior = json!({"scaleDown": {"stabilizationWindowSeconds": 0}});
    let patch = json!({"spec": {"metrics": [metric], "behavior": behavior}});
    kubectl.ok(&["patch", "hpa", "busy", "--type=merge", "-p", &patch.to_string()])?;
    kubectl.wait_value("deploy/busy", "/spec/replicas", SOON, |count| count == 1)?;
    has_event(&kubectl, "busy", "SuccessfulRescale", "New size: 1; reason: All metrics below target")?;
    kubectl.ok(&["scale", "deploy/busy", "--replicas=0"])?;
    says("busy", "ScalingActive", "False ScalingDisabled")
}

fn endpoints_written_by_hand_are_mirrored(cluster: &Cluster) -> Result<()> {
    let kubectl = cluster.namespace("mirrored")?;
    let labels = json!({"app": "db"});
    let service = json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "db"},
                         "spec": {"ports": [{"port": 5432}]}});
    let endpoints = |ips: &[&str]| {
        let addresses: Vec<_> = ips.iter().map(|ip| json!({"ip": ip})).collect();
        json!({"apiVersion": "v1", "kind": "Endpoints", "metadata": {"name": "db", "labels": labels},
               "subsets": [{"addresses": addresses, "ports": [{"port": 5432}]}]})
    };
    kubectl.apply(&service.to_string())?;
    kubectl.apply(&endpoints(&["192.0.2.1", "2001:db8::1"]).to_string())?;
    let shown = |slice: &Value| format!("{} {}", slice["addressType"], slice["endpoints"][0]["addresses"][0]);
    let slices = until(&kubectl, "endpointslices", "db", "one for each family", |slices| slices.len() == 2)?;
    let mut families: Vec<_> = slices.iter().map(shown).collect();
    families.sort();
    ensure!(families == ["\"IPv4\" \"192.0.2.1\"", "\"IPv6\" \"2001:db8::1\""], "{slices:#?}");
    let manager = &slices[0]["metadata"]["labels"]["endpointslice.kubernetes.io/managed-by"];
    ensure!(manager == "endpointslicemirroring-controller.k8s.io", "{manager}");
    kubectl.apply(&endpoints(&["192.0.2.2"]).to_string())?;
    until(&kubectl, "endpointslices", "db", "the new address", |slices| {
        slices.len() == 1 && shown(&slices[0]) == "\"IPv4\" \"192.0.2.2\""
    })?;
    kubectl.ok(&["label", "endpoints", "db", "endpointslice.kubernetes.io/skip-mirror=true"])?;
    until(&kubectl, "endpointslices", "db", "none that is to be skipped", <[Value]>::is_empty)?;
    kubectl.ok(&["label", "endpoints", "db", "endpointslice.kubernetes.io/skip-mirror-"])?;
    until(&kubectl, "endpointslices", "db", "it is back", |slices| slices.len() == 1)?;
    kubectl.ok(&["delete", "service", "db"])?;
    until(&kubectl, "endpointslices", "db", "it goes with the Service", <[Value]>::is_empty)?;
    Ok(())
}

fn controllers_have_their_accounts(cluster: &Cluster) -> Result<()> {
    let kubectl = cluster.kubectl();
    let account = "serviceaccount/daemon-set-controller";
    kubectl.ok(&["-n", "kube-system", "wait", "--for=create", account, "--timeout=40s"])?;
    kubectl.ok(&["-n", "kube-system", "delete", account])?;
    kubectl.ok(&["-n", "kube-system", "wait", "--for=create", account, "--timeout=40s"])?;
    Ok(())
}

fn the_tree_shows_who_owns_what(cluster: &Cluster) -> Result<()> {
    let kubectl = cluster.namespace("tree")?;
    kubectl.apply(&workload("Deployment", "web", 2, &running("web")).to_string())?;
    rolled_out(&kubectl, "deploy/web")?;
    let tree = |object: &str| -> Result<Vec<Vec<String>>> {
        let output = cluster.isopod(&["tree", object, "-n", kubectl.namespace()])?;
        ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let lines = String::from_utf8(output.stdout)?;
        Ok(lines.lines().map(|line| line.split_whitespace().map(str::to_owned).collect()).collect())
    };
    let lines = tree("deploy/web")?;
    let (set, pods) = (name(&items(&kubectl, "rs", "web")?[0]).to_owned(), items(&kubectl, "pods", "web")?);
    let mut pods: Vec<_> = pods.iter().map(name).collect();
    pods.sort_unstable();
    let expected = [
        ("NAME".to_owned(), "READY"),
        ("Deployment/web".to_owned(), "2/2"),
        (format!("└─ReplicaSet/{set}"), "2/2"),
        (format!("├─Pod/{}", pods[0]), "True"),
        (format!("└─Pod/{}", pods[1]), "True"),
    ];
    ensure!(lines.len() == expected.len(), "{lines:#?}");
    for (line, (name, ready)) in lines.iter().zip(&expected) {
        ensure!(line.contains(name) && line.contains(&(*ready).to_owned()), "{line:?} has not {name} {ready}");
    }
    let broken = cluster.isopod(&["tree", "nosuchkind/web"])?;
    let told = String::from_utf8_lossy(&broken.stderr).into_owned();
    ensure!(!broken.status.success() && told.contains("the server knows no kind \"nosuchkind\""), "{told}");
    Ok(())
}
