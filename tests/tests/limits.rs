//! How much the API server does at a time, and what it tells of itself: priority levels, metrics, health, the audit log.

use std::fs;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};
use tempfile::TempDir;
use tests::http::{Answer, Pending, Proxy};
use tests::{Cluster, Kubectl, Options, cases, suite};

const SOON: Duration = Duration::from_secs(30);

fn main() -> ExitCode {
    let cases = cases![
        default_levels_and_schemas_are_kept,
        dangling_schemas_say_so,
        a_full_level_refuses_and_others_go_on,
        a_full_level_queues_and_waits_end,
        metrics_have_upstreams_names,
        health_is_told_check_by_check,
        requests_end_in_time,
        the_audit_log_tells_what_the_policy_wants,
    ];
    suite::run(Server::start, cases, |server| server.cluster.diagnose())
}

/// A cluster with an audit log.
struct Server {
    cluster: Cluster,
    audit: TempDir,
}

const AUDIT_POLICY: &str = "
apiVersion: audit.k8s.io/v1
kind: Policy
omitManagedFields: true
rules:
- {level: None, users: ['system:apiserver']}
- {level: Metadata, namespaces: [audited], resources: [{group: '', resources: [secrets]}]}
- {level: RequestResponse, namespaces: [audited], resources: [{group: '', resources: [configmaps]}]}
- {level: None}
";

impl Server {
    fn start() -> Result<Self> {
        let audit = tempfile::Builder::new().prefix("isopod-audit-").tempdir()?;
        fs::write(audit.path().join("policy.yaml"), AUDIT_POLICY)?;
        let flags = vec![
            format!("--audit-policy-file={}", audit.path().join("policy.yaml").display()),
            format!("--audit-log-path={}", audit.path().join("audit.log").display()),
        ];
        let cluster = Cluster::start(Options { flags, ..Options::default() })?;
        Ok(Self { cluster, audit })
    }

    /// What the audit log tells of an object's requests.
    fn audited(&self, resource: &str) -> Result<Vec<Value>> {
        let text = fs::read_to_string(self.audit.path().join("audit.log"))?;
        let events = text.lines().map(serde_json::from_str).collect::<Result<Vec<Value>, _>>()?;
        Ok(events.into_iter().filter(|event| event["objectRef"]["resource"] == resource).collect())
    }
}

fn object(kubectl: &Kubectl, name: &str) -> Result<Value> {
    Ok(serde_json::from_str(&kubectl.ok(&["get", name, "-o", "json"])?)?)
}

fn default_levels_and_schemas_are_kept(server: &Server) -> Result<()> {
    let kubectl = server.cluster.kubectl();
    let levels = kubectl.ok(&["get", "prioritylevelconfigurations", "-o", "name"])?;
    ensure!(levels.lines().count() >= 8, "{levels}");
    let schema = object(&kubectl, "flowschema/system-leader-election")?;
    ensure!(schema["metadata"]["annotations"] == json!({"apf.kubernetes.io/autoupdate-spec": "true"}), "{schema}");
    let condition = &schema["status"]["conditions"][0];
    let message =
        "This FlowSchema references the PriorityLevelConfiguration object named \"leader-election\" and it exists";
    ensure!(condition["type"] == "Dangling" && condition["status"] == "False", "{condition}");
    ensure!(condition["reason"] == "Found" && condition["message"] == message, "{condition}");
    // What somebody changes comes back, unless it was taken over.
    let precedence = "/spec/matchingPrecedence";
    let change = |schema: &str, value: i32| {
        let patch = format!("{{\"spec\":{{\"matchingPrecedence\":{value}}}}}");
        kubectl.ok(&["patch", "flowschema", schema, "--type=merge", "-p", &patch])
    };
    // Not one that the other cases' requests come by.
    let schema = "flowschema/kube-controller-manager";
    change("kube-controller-manager", 801)?;
    kubectl.wait_value(schema, precedence, SOON, |value| *value == 800)?;
    kubectl.ok(&["annotate", "--overwrite", "flowschema/kube-scheduler", "apf.kubernetes.io/autoupdate-spec=false"])?;
    change("kube-scheduler", 799)?;
    kubectl.ok(&["delete", schema])?;
    kubectl.ok(&["wait", "--for=create", schema, "--timeout=30s"])?;
    ensure!(kubectl.value("flowschema/kube-scheduler", precedence)? == 799, "it was taken over");
    Ok(())
}

fn level(name: &str, response: &Value) -> String {
    let limited = json!({
        "nominalConcurrencyShares": 1, "borrowingLimitPercent": 0, "lendablePercent": 0, "limitResponse": response,
    });
    json!({
        "apiVersion": "flowcontrol.apiserver.k8s.io/v1", "kind": "PriorityLevelConfiguration",
        "metadata": {"name": name}, "spec": {"type": "Limited", "limited": limited},
    })
    .to_string()
}

fn schema(name: &str, level: &str, user: &str) -> String {
    let all = json!(["*"]);
    let rules = json!([{
        "subjects": [{"kind": "User", "user": {"name": user}}],
        "resourceRules": [
            {"verbs": all, "apiGroups": all, "resources": all, "namespaces": all, "clusterScope": true},
        ],
        "nonResourceRules": [{"verbs": all, "nonResourceURLs": all}],
    }]);
    json!({
        "apiVersion": "flowcontrol.apiserver.k8s.io/v1", "kind": "FlowSchema", "metadata": {"name": name},
        "spec": {"priorityLevelConfiguration": {"name": level}, "matchingPrecedence": 300, "rules": rules},
    })
    .to_string()
}

fn dangling_schemas_say_so(server: &Server) -> Result<()> {
    let kubectl = server.cluster.kubectl();
    kubectl.apply(&schema("lost", "nowhere", "nobody"))?;
    let message = "/status/conditions/0/message";
    let expected = "This FlowSchema references the PriorityLevelConfiguration object named \"nowhere\" but there is no \
                    such object";
    kubectl.wait_value("flowschema/lost", message, SOON, |value| *value == expected)?;
    ensure!(kubectl.ok(&["get", "flowschema", "lost"])?.contains("True"), "the column says so");
    kubectl.apply(&level("nowhere", &json!({"type": "Reject"})))?;
    kubectl.wait_value("flowschema/lost", "/status/conditions/0/status", SOON, |value| *value == "False")?;
    kubectl.ok(&["delete", "flowschema/lost", "prioritylevelconfiguration/nowhere"])?;
    Ok(())
}

/// A user with every right and a level of their own, whose seats are then all taken.
struct Crowded {
    proxy: Proxy,
    kubectl: Kubectl,
    name: &'static str,
    held: Vec<Pending>,
}

impl Crowded {
    fn new(server: &Server, name: &'static str, response: &Value) -> Result<Self> {
        let kubectl = server.cluster.namespace(name)?;
        let (user, as_user) = (format!("--user={name}"), format!("--as={name}"));
        kubectl.ok(&["create", "clusterrolebinding", name, "--clusterrole=cluster-admin", &user])?;
        kubectl.apply(&level(name, response))?;
        kubectl.apply(&schema(name, name, name))?;
        let proxy = Proxy::start(&kubectl, &[as_user.as_str()])?;
        let mut crowded = Self { proxy, kubectl, name, held: Vec::new() };
        let limit = crowded.metric("nominal_limit_seats")?;
        let path = format!("/api/v1/namespaces/{name}/configmaps");
        for number in 0..limit {
            let body = format!("{{\"metadata\":{{\"name\":\"held-{number}\"}}");
            crowded.held.push(crowded.proxy.send("POST", &path, &body, 1)?);
        }
        crowded.wait_metric("current_executing_requests", limit)?;
        Ok(crowded)
    }

    /// A sample of this level.
    fn metric(&self, name: &str) -> Result<u64> {
        let text = self.kubectl.ok(&["get", "--raw", "/metrics"])?;
        let level = format!("priority_level=\"{}\"", self.name);
        let prefix = format!("apiserver_flowcontrol_{name}{{");
        let lines = text.lines().filter(|line| line.starts_with(&prefix) && line.contains(&level));
        Ok(lines.filter_map(|line| line.rsplit_once(' ')?.1.parse::<u64>().ok()).sum())
    }

    fn wait_metric(&self, name: &str, wanted: u64) -> Result<()> {
        let deadline = std::time::Instant::now() + SOON;
        while self.metric(name)? != wanted {
            ensure!(std::time::Instant::now() < deadline, "{name} is {}, not {wanted}", self.metric(name)?);
            std::thread::sleep(Duration::from_millis(50));
        }
        Ok(())
    }

    fn release(&mut self) -> Result<Answer> {
        let mut pending = self.held.pop().context("something is held")?;
        pending.send("}")?;
        pending.answer()
    }

    fn assert_refused(&self, answer: &Answer) -> Result<()> {
        ensure!(answer.code == 429, "{answer:?}");
        ensure!(answer.body == "Too many requests, please try again later.\n", "{answer:?}");
        ensure!(answer.header("retry-after").parse::<u32>().is_ok_and(|seconds| seconds >= 1), "{answer:?}");
        let uid = |kind: &str| self.kubectl.text(&format!("{kind}/{}", self.name), "/metadata/uid");
        ensure!(answer.header("x-kubernetes-pf-flowschema-uid") == uid("flowschema")?, "{answer:?}");
        let level = uid("prioritylevelconfiguration")?;
        ensure!(answer.header("x-kubernetes-pf-prioritylevel-uid") == level, "{answer:?}");
        Ok(())
    }

    fn remove(self) -> Result<()> {
        let name = self.name;
        let schema = format!("flowschema/{name}");
        let level = format!("prioritylevelconfiguration/{name}");
        self.kubectl.ok(&["delete", &schema, &level, &format!("clusterrolebinding/{name}")])?;
        Ok(())
    }
}

fn a_full_level_refuses_and_others_go_on(server: &Server) -> Result<()> {
    let mut crowded = Crowded::new(server, "crowd", &json!({"type": "Reject"}))?;
    crowded.assert_refused(&crowded.proxy.get("/api/v1/namespaces/default")?)?;
    crowded.assert_refused(&crowded.proxy.get("/version")?)?;
    // Health is another schema's, and other users have other levels.
    let health = crowded.proxy.get("/readyz")?;
    ensure!(health.body == "ok", "health always answers: {health:?}");
    ensure!(crowded.kubectl.ok(&["get", "namespaces"])?.contains("crowd"), "the administrator is exempt");
    let other = crowded.kubectl.run(&["get", "--raw", "/version", "--as=somebody"])?;
    ensure!(other.code == Some(0), "{}", other.both());
    let answer = crowded.release()?;
    ensure!(answer.code == 201, "what was let in is done: {answer:?}");
    ensure!(crowded.proxy.get("/api/v1/namespaces/default")?.code == 200, "there is room again");
    ensure!(crowded.metric("rejected_requests_total")? == 2, "both were counted");
    crowded.remove()
}

fn a_full_level_queues_and_waits_end(server: &Server) -> Result<()> {
    let queuing = json!({"queues": 1, "handSize": 1, "queueLengthLimit": 1});
    let mut crowded = Crowded::new(server, "queue", &json!({"type": "Queue", "queuing": queuing}))?;
    let waiting = crowded.proxy.send("GET", "/api/v1/namespaces/default", "", 0)?;
    crowded.wait_metric("current_inqueue_requests", 1)?;
    crowded.assert_refused(&crowded.proxy.get("/api/v1/namespaces/default")?)?;
    ensure!(crowded.release()?.code == 201, "what was let in is done");
    ensure!(waiting.answer()?.code == 200, "who waited came next");
    // Somebody takes the seat again; a wait is a quarter of the request's time.
    let body = "{\"metadata\":{\"name\":\"again\"}";
    let held = crowded.proxy.send("POST", "/api/v1/namespaces/queue/configmaps", body, 1)?;
    crowded.held.push(held);
    let limit = crowded.metric("nominal_limit_seats")?;
    crowded.wait_metric("current_executing_requests", limit)?;
    crowded.assert_refused(&crowded.proxy.get("/api/v1/namespaces/default?timeout=2s")?)?;
    let metrics = crowded.kubectl.ok(&["get", "--raw", "/metrics"])?;
    for reason in ["queue-full", "time-out"] {
        let line = format!("{{flow_schema=\"queue\",priority_level=\"queue\",reason=\"{reason}\"}} 1");
        ensure!(metrics.contains(&line), "{reason} was counted");
    }
    crowded.remove()
}

fn metrics_have_upstreams_names(server: &Server) -> Result<()> {
    let kubectl = server.cluster.namespace("metrics")?;
    kubectl.ok(&["create", "configmap", "one"])?;
    kubectl.ok(&["get", "configmaps"])?;
    let text = kubectl.ok(&["get", "--raw", "/metrics"])?;
    for line in [
        "# TYPE apiserver_request_total counter",
        "# TYPE apiserver_request_duration_seconds histogram",
        "# TYPE apiserver_current_inflight_requests gauge",
        "# HELP apiserver_longrunning_requests [STABLE] Gauge of all active long-running apiserver requests broken out \
         by verb, group, version, resource, scope and component. Not all requests are tracked this way.",
        "apiserver_storage_objects{resource=\"configmaps\"} ",
        "apiserver_resource_objects{group=\"apps\",resource=\"deployments\"} ",
        "apiserver_request_total{code=\"201\",component=\"apiserver\",dry_run=\"\",group=\"\",resource=\"configmaps\",\
         scope=\"resource\",subresource=\"\",verb=\"POST\",version=\"v1\"} ",
        "apiserver_longrunning_requests{component=\"apiserver\",group=\"\",resource=\"pods\",scope=\"cluster\",\
         subresource=\"\",verb=\"WATCH\",version=\"v1\"} ",
        "apiserver_flowcontrol_dispatched_requests_total{flow_schema=\"exempt\",priority_level=\"exempt\"} ",
        "apiserver_flowcontrol_nominal_limit_seats{priority_level=\"workload-low\"} ",
        "apiserver_audit_event_total ",
        "etcd_request_duration_seconds_count{operation=\"create\",type=\"configmaps\"} ",
        "kubernetes_build_info{",
        "process_start_time_seconds ",
    ] {
        ensure!(text.contains(line), "{line:?} is missing in:\n{text}");
    }
    let refused = kubectl.fails(&["get", "--raw", "/metrics", "--as=somebody"])?;
    ensure!(refused.contains("forbidden: User \"somebody\" cannot get path \"/metrics\""), "{refused}");
    Ok(())
}

fn health_is_told_check_by_check(server: &Server) -> Result<()> {
    let kubectl = server.cluster.kubectl();
    let get = |path: &str| kubectl.ok(&["get", "--raw", path]);
    for endpoint in ["livez", "readyz", "healthz"] {
        ensure!(get(&format!("/{endpoint}"))? == "ok", "{endpoint}");
        let text = get(&format!("/{endpoint}?verbose"))?;
        ensure!(text.starts_with("[+]ping ok\n[+]log ok\n[+]etcd ok\n"), "{text}");
        ensure!(text.ends_with(&format!("{endpoint} check passed\n")), "{text}");
        ensure!(get(&format!("/{endpoint}/etcd"))? == "ok", "{endpoint}");
    }
    ensure!(get("/readyz?verbose")?.contains("[+]shutdown ok\n"), "readyz knows of the shutdown");
    let text = get("/livez?verbose&exclude=etcd&exclude=nothing")?;
    ensure!(text.contains("[+]etcd excluded: ok\n"), "{text}");
    let warning = "warn: some health checks cannot be excluded: no matches for \"nothing\"\n";
    ensure!(text.contains(warning), "{text}");
    kubectl.fails(&["get", "--raw", "/livez/nothing"])?;
    let text = get("/metrics/slis")?;
    ensure!(text.contains("kubernetes_healthcheck{name=\"etcd\",type=\"readyz\"} 1\n"), "{text}");
    let counted = "kubernetes_healthchecks_total{name=\"ping\",status=\"success\",type=\"livez\"} ";
    ensure!(text.contains(counted), "{text}");
    Ok(())
}

fn requests_end_in_time(server: &Server) -> Result<()> {
    let kubectl = server.cluster.namespace("slow")?;
    let proxy = Proxy::start(&kubectl, &[])?;
    let mut pending = proxy.send("POST", "/api/v1/namespaces/slow/configmaps?timeout=1s", "{", 1)?;
    // kubectl's proxy passes no answer on before it has read the whole request.
    let deadline = std::time::Instant::now() + SOON;
    while !kubectl.ok(&["get", "--raw", "/metrics"])?.contains("apiserver_request_total{code=\"504\"") {
        ensure!(std::time::Instant::now() < deadline, "no answer was a timeout");
        std::thread::sleep(Duration::from_millis(50));
    }
    pending.send("}")?;
    let answer = pending.answer()?;
    ensure!(answer.code == 504, "{answer:?}");
    let status: Value = serde_json::from_str(&answer.body)?;
    ensure!(status["kind"] == "Status" && status["reason"] == "Timeout", "{status}");
    let large = format!("{{\"metadata\":{{\"name\":\"a\"}},\"data\":{{\"a\":\"{}\"}}}}", "x".repeat(3 << 20));
    let file = server.audit.path().join("large.json");
    fs::write(&file, large)?;
    let create = ["create", "--raw", "/api/v1/namespaces/slow/configmaps", "-f", &file.to_string_lossy()];
    let refused = kubectl.fails(&create)?;
    ensure!(refused.contains("Request entity too large: limit is 3145728"), "{refused}");
    let answer = proxy.get("/api/v1/pods?timeout=nonsense")?;
    ensure!(answer.code == 400, "{answer:?}");
    Ok(())
}

fn the_audit_log_tells_what_the_policy_wants(server: &Server) -> Result<()> {
    let kubectl = server.cluster.namespace("audited")?;
    kubectl.ok(&["create", "secret", "generic", "hidden", "--from-literal=password=swordfish"])?;
    kubectl.ok(&[
        "create",
        "configmap",
        "shown",
        "--from-literal=key=value",
        "--as=system:admin",
        "--as-group=system:masters",
    ])?;
    kubectl.fails(&["get", "configmap", "shown", "--as=jane"])?;
    let events = server.audited("configmaps")?;
    let find = |verb: &str, stage: &str| {
        let fits =
            |event: &&Value| event["verb"] == verb && event["stage"] == stage && event["objectRef"]["name"] == "shown";
        events.iter().find(fits).with_context(|| format!("no {verb} {stage} in {events:?}"))
    };
    let created = find("create", "ResponseComplete")?;
    ensure!(created["kind"] == "Event" && created["apiVersion"] == "audit.k8s.io/v1", "{created}");
    ensure!(created["level"] == "RequestResponse" && created["user"]["username"] == "system:admin", "{created}");
    ensure!(created["impersonatedUser"]["username"] == "system:admin", "{created}");
    ensure!(created["requestObject"]["data"] == json!({"key": "value"}), "{created}");
    ensure!(created["responseObject"]["metadata"]["uid"].is_string(), "{created}");
    ensure!(created["responseObject"]["metadata"]["managedFields"].is_null(), "{created}");
    ensure!(created["responseStatus"]["code"] == 201, "{created}");
    ensure!(created["sourceIPs"] == json!(["127.0.0.1"]), "{created}");
    ensure!(created["annotations"]["authorization.k8s.io/decision"] == "allow", "{created}");
    let refused = find("get", "ResponseComplete")?;
    ensure!(refused["responseStatus"]["reason"] == "Forbidden", "{refused}");
    ensure!(refused["annotations"]["authorization.k8s.io/decision"] == "forbid", "{refused}");
    let secrets = server.audited("secrets")?;
    ensure!(secrets.iter().any(|event| event["verb"] == "create" && event["level"] == "Metadata"), "{secrets:?}");
    let log = fs::read_to_string(server.audit.path().join("audit.log"))?;
    ensure!(!log.contains("c3dvcmRmaXNo"), "the policy does not want what is in Secrets");
    Ok(())
}
