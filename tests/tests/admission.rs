//! What is let in: limits, quotas and the Pod Security Standards, as `kubectl` sees them.

use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Result, ensure};
use serde_json::{Value, json};
use tests::{Cluster, Kubectl, Options, cases, suite};

const SOON: Duration = Duration::from_secs(20);

fn main() -> ExitCode {
    let cases = cases![
        containers_get_limits_and_keep_to_them,
        quotas_are_told_and_kept,
        many_at_once_never_exceed_a_quota,
        quotas_count_again_what_goes,
        namespaces_warn_and_enforce_pod_security,
        a_file_sets_the_standard_and_exempts,
        ingresses_get_the_default_class,
        accounts_lend_only_the_secrets_they_list,
        mirrors_need_nothing_of_the_cluster,
        pods_say_where_their_node_stands,
        what_is_hardly_meant_is_warned_of,
        service_ranges_stay_while_they_have_addresses,
    ];
    suite::run(|| Cluster::start(Options::default()), cases, Cluster::diagnose)
}

/// A Pod that no scheduler takes.
fn pod(name: &str, change: impl FnOnce(&mut Value)) -> String {
    let mut pod = json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": name},
        "spec": {"schedulerName": "none", "terminationGracePeriodSeconds": 0,
                 "containers": [{"name": "c", "image": "busybox"}]},
    });
    change(&mut pod);
    pod.to_string()
}

fn create(kubectl: &Kubectl, manifest: &str) -> Result<String> {
    kubectl.ok_with_input(&["create", "-f", "-"], manifest.as_bytes())
}

fn refused(kubectl: &Kubectl, manifest: &str, want: &str) -> Result<()> {
    let text = kubectl.fails_with_input(&["create", "-f", "-"], manifest.as_bytes())?;
    ensure!(text.contains(want), "{text} is not: {want}");
    Ok(())
}

fn containers_get_limits_and_keep_to_them(cluster: &Cluster) -> Result<()> {
    let kubectl = cluster.namespace("limits")?;
    let limits = json!([
        {"type": "Container", "default": {"cpu": "500m"}, "defaultRequest": {"cpu": "100m"}, "max": {"cpu": "1"},
         "min": {"cpu": "50m"}, "maxLimitRequestRatio": {"cpu": "10"}},
        {"type": "PersistentVolumeClaim", "max": {"storage": "1Gi"}},
    ]);
    create(
        &kubectl,
        &json!({"apiVersion": "v1", "kind": "LimitRange", "metadata": {"name": "l"},
                             "spec": {"limits": limits}})
        .to_string(),
    )?;
    create(&kubectl, &pod("a", |_| {}))?;
    let note = kubectl.text("pod/a", "/metadata/annotations/kubernetes.io~1limit-ranger")?;
    ensure!(note == "LimitRanger plugin set: cpu request for container c; cpu limit for container c", "{note}");
    let resources = kubectl.value("pod/a", "/spec/containers/0/resources")?;
    ensure!(resources == json!({"limits": {"cpu": "500m"}, "requests": {"cpu": "100m"}}), "{resources}");
    let sized = |request: &str, limit: &str| {
        let resources = json!({"requests": {"cpu": request}, "limits": {"cpu": limit}});
        pod("b", |pod| pod["spec"]["containers"][0]["resources"] = resources)
    };
    refused(&kubectl, &sized("1", "2"), "maximum cpu usage per Container is 1, but limit is 2")?;
    refused(
        &kubectl,
        &sized("10m", "1"),
        "pods \"b\" is forbidden: [minimum cpu usage per Container is 50m, but request is 10m, cpu max limit to request \
         ratio per Container is 10, but provided ratio is 100.000000]",
    )?;
    let claim = json!({"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": "c"}, "spec": {
        "accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "2Gi"}}}});
    let text = "maximum storage usage per PersistentVolumeClaim is 1Gi, but request is 2Gi";
    refused(&kubectl, &claim.to_string(), text)
}

/// Makes a quota and waits until it is in force.
fn quota(kubectl: &Kubectl, name: &str, arguments: &[&str]) -> Result<()> {
    kubectl.ok(&[&["create", "quota", name], arguments].concat())?;
    kubectl.wait_value(&format!("quota/{name}"), "/status/used", SOON, Value::is_object)?;
    Ok(())
}

fn used(kubectl: &Kubectl, name: &str, resource: &str, want: &str) -> Result<()> {
    let pointer = format!("/status/used/{}", resource.replace('/', "~1"));
    kubectl.wait_value(&format!("quota/{name}"), &pointer, SOON, |value| value == want)?;
    Ok(())
}

fn quotas_are_told_and_kept(cluster: &Cluster) -> Result<()> {
    let kubectl = cluster.namespace("quotas")?;
    quota(&kubectl, "all", &["--hard=count/configmaps=2,services.nodeports=1,count/deployments.apps=1,secrets=5"])?;
    // kube-root-ca.crt is one of them.
    used(&kubectl, "all", "count/configmaps", "1")?;
    kubectl.ok(&["create", "configmap", "one"])?;
    let text = kubectl.fails(&["create", "configmap", "two"])?;
    let want = "configmaps \"two\" is forbidden: exceeded quota: all, requested: count/configmaps=1, used: \
                count/configmaps=2, limited: count/configmaps=2";
    ensure!(text.contains(want), "{text}");
    let again = kubectl.fails(&["create", "configmap", "two", "--dry-run=server"])?;
    ensure!(again.contains("exceeded quota: all"), "{again}");
    kubectl.ok(&["create", "service", "clusterip", "s", "--tcp=1,2"])?;
    let text = kubectl.fails(&["patch", "service", "s", "-p", r#"{"spec":{"type":"NodePort"}}"#])?;
    ensure!(text.contains("requested: services.nodeports=2, used: services.nodeports=0"), "{text}");
    kubectl.ok(&["create", "deployment", "d", "--image=busybox", "--replicas=0", "--dry-run=server"])?;
    used(&kubectl, "all", "count/deployments.apps", "0")?;
    kubectl.ok(&["create", "deployment", "d", "--image=busybox", "--replicas=0"])?;
    // What exists already is charged once, and given back.
    let text = kubectl.fails(&["create", "deployment", "d", "--image=busybox", "--replicas=0"])?;
    ensure!(text.contains("exceeded quota") || text.contains("already exists"), "{text}");
    used(&kubectl, "all", "count/deployments.apps", "1")?;
    kubectl.ok(&["create", "secret", "generic", "x"])?;
    kubectl.fails(&["create", "secret", "generic", "x"])?;
    used(&kubectl, "all", "secrets", "1")?;

    quota(&kubectl, "compute", &["--hard=requests.cpu=1,limits.memory=1Gi,pods=5"])?;
    refused(
        &kubectl,
        &pod("p", |_| {}),
        "failed quota: compute: must specify limits.memory for: c; requests.cpu for: c",
    )?;
    let sized = |name: &str, cpu: &str| {
        let resources = json!({"requests": {"cpu": cpu}, "limits": {"memory": "1Mi"}});
        pod(name, |pod| pod["spec"]["containers"][0]["resources"] = resources)
    };
    create(&kubectl, &sized("p", "600m"))?;
    let text =
        "exceeded quota: compute, requested: requests.cpu=600m, used: requests.cpu=600m, limited: requests.cpu=1";
    refused(&kubectl, &sized("q", "600m"), text)?;
    kubectl.ok(&["patch", "quota", "compute", "-p", r#"{"spec":{"hard":{"requests.cpu":"2"}}}"#])?;
    kubectl.wait_value("quota/compute", "/status/hard/requests.cpu", SOON, |value| value == "2")?;
    create(&kubectl, &sized("q", "600m"))?;
    used(&kubectl, "compute", "requests.cpu", "1200m")?;
    let described = kubectl.ok(&["describe", "quota", "compute"])?;
    ensure!(described.contains("limits.memory"), "{described}");
    Ok(())
}

fn many_at_once_never_exceed_a_quota(cluster: &Cluster) -> Result<()> {
    let kubectl = cluster.namespace("crowd")?;
    quota(&kubectl, "q", &["--hard=pods=7,count/secrets=9"])?;
    let pod = |part, index| serde_json::from_str(&pod(&format!("p{part}-{index}"), |_| {}));
    let manifest = |part| -> serde_json::Result<String> {
        let items = (0..5).map(|index| pod(part, index)).collect::<serde_json::Result<Vec<Value>>>()?;
        Ok(json!({"apiVersion": "v1", "kind": "List", "items": items}).to_string())
    };
    let manifests = (0..4).map(manifest).collect::<serde_json::Result<Vec<_>>>()?;
    std::thread::scope(|scope| {
        for manifest in &manifests {
            // 20 Pods for 7 places: most are refused something.
            let kubectl = &kubectl;
            scope.spawn(move || kubectl.run_with_input(&["create", "-f", "-"], manifest.as_bytes()));
        }
    });
    let pods = kubectl.ok(&["get", "pods", "--no-headers", "-o", "name"])?.lines().count();
    ensure!(pods == 7, "{pods} Pods");
    used(&kubectl, "q", "pods", "7")
}

fn quotas_count_again_what_goes(cluster: &Cluster) -> Result<()> {
    let kubectl = cluster.namespace("count")?;
    quota(&kubectl, "q", &["--hard=pods=1,count/pods=5"])?;
    quota(&kubectl, "best", &["--hard=pods=9", "--scopes=BestEffort"])?;
    quota(&kubectl, "rest", &["--hard=pods=9", "--scopes=NotBestEffort"])?;
    create(&kubectl, &pod("a", |_| {}))?;
    used(&kubectl, "best", "pods", "1")?;
    used(&kubectl, "rest", "pods", "0")?;
    refused(&kubectl, &pod("b", |_| {}), "exceeded quota: q, requested: pods=1, used: pods=1, limited: pods=1")?;
    // A Pod that ended takes no place, but is still there.
    kubectl.ok(&["patch", "pod", "a", "--subresource=status", "-p", r#"{"status":{"phase":"Succeeded"}}"#])?;
    used(&kubectl, "q", "pods", "0")?;
    used(&kubectl, "q", "count/pods", "1")?;
    used(&kubectl, "best", "pods", "0")?;
    create(&kubectl, &pod("b", |_| {}))?;
    kubectl.ok(&["delete", "pod", "a", "b", "--wait=false"])?;
    used(&kubectl, "q", "pods", "0")?;
    used(&kubectl, "q", "count/pods", "0")
}

fn namespaces_warn_and_enforce_pod_security(cluster: &Cluster) -> Result<()> {
    let kubectl = cluster.namespace("standards")?;
    let namespace = format!("namespace/{}", kubectl.namespace());
    let label = |labels: &[&str]| kubectl.run(&[&["label", "--overwrite", namespace.as_str()], labels].concat());
    create(&kubectl, &pod("host", |pod| pod["spec"]["hostNetwork"] = json!(true)))?;
    let wrong = label(&["pod-security.kubernetes.io/enforce=odd"])?.both();
    ensure!(wrong.contains("must be one of privileged, baseline, restricted"), "{wrong}");
    let told =
        label(&["pod-security.kubernetes.io/enforce=baseline", "pod-security.kubernetes.io/warn=restricted"])?.both();
    let want = "violate the new PodSecurity enforce level \"baseline:latest\"\nWarning: host: host namespaces";
    ensure!(told.contains(want), "{told}");
    refused(
        &kubectl,
        &pod("p", |pod| pod["spec"]["containers"][0]["securityContext"] = json!({"privileged": true})),
        "pods \"p\" is forbidden: violates PodSecurity \"baseline:latest\": privileged (container \"c\" must not set \
         securityContext.privileged=true)",
    )?;
    let warned = kubectl.run_with_input(&["create", "-f", "-"], pod("p", |_| {}).as_bytes())?.both();
    let want = "Warning: would violate PodSecurity \"restricted:latest\": allowPrivilegeEscalation != false (container \
                \"c\" must set securityContext.allowPrivilegeEscalation=false), unrestricted capabilities";
    ensure!(warned.contains(want) && warned.contains("pod/p created"), "{warned}");
    let warned = kubectl.run(&["create", "deployment", "d", "--image=busybox", "--replicas=0"])?.both();
    ensure!(warned.contains("Warning: would violate") && warned.contains("created"), "{warned}");
    let debug = json!({"spec": {"ephemeralContainers":
        [{"name": "e", "image": "busybox", "securityContext": {"capabilities": {"add": ["SYS_ADMIN"]}}}]}});
    let text = kubectl.fails(&["patch", "pod", "p", "--subresource=ephemeralcontainers", "-p", &debug.to_string()])?;
    ensure!(text.contains("violates PodSecurity \"baseline:latest\": non-default capabilities"), "{text}");
    // What does not matter to the standards is not judged again.
    kubectl.ok(&["label", "pod", "host", "a=b"])?;
    Ok(())
}

const ADMISSION: &str = "
apiVersion: apiserver.config.k8s.io/v1
kind: AdmissionConfiguration
plugins:
- name: PodSecurity
  configuration:
    apiVersion: pod-security.admission.config.k8s.io/v1
    kind: PodSecurityConfiguration
    defaults: {enforce: baseline}
    exemptions: {namespaces: [free], usernames: [operator]}
";

fn a_file_sets_the_standard_and_exempts(_: &Cluster) -> Result<()> {
    let file = tempfile::NamedTempFile::new()?;
    std::fs::write(file.path(), ADMISSION)?;
    let flags = vec![format!("--admission-control-config-file={}", file.path().display())];
    let cluster = Cluster::start(Options { flags, ..Options::default() })?;
    let on_host = |name| pod(name, |pod| pod["spec"]["hostNetwork"] = json!(true));
    let plain = cluster.namespace("plain")?;
    refused(&plain, &on_host("p"), "violates PodSecurity \"baseline:latest\": host namespaces (hostNetwork=true)")?;
    create(&cluster.namespace("free")?, &on_host("p"))?;
    plain.ok(&["create", "clusterrolebinding", "operator", "--clusterrole=cluster-admin", "--user=operator"])?;
    plain.ok_with_input(&["create", "-f", "-", "--as=operator"], on_host("q").as_bytes())?;
    plain.ok(&["label", "namespace", "plain", "pod-security.kubernetes.io/enforce=privileged"])?;
    create(&plain, &on_host("r"))?;
    Ok(())
}

fn ingresses_get_the_default_class(cluster: &Cluster) -> Result<()> {
    let kubectl = cluster.namespace("classes")?;
    let class = format!("class-{}", kubectl.namespace());
    let manifest = json!({"apiVersion": "networking.k8s.io/v1", "kind": "IngressClass", "spec": {"controller": "example.com/c"},
        "metadata": {"name": class, "annotations": {"ingressclass.kubernetes.io/is-default-class": "true"}}});
    create(&kubectl, &manifest.to_string())?;
    kubectl.ok(&["create", "ingress", "i", "--rule=a.example.com/*=web:80"])?;
    let given = kubectl.text("ingress/i", "/spec/ingressClassName")?;
    kubectl.ok(&["delete", "ingressclass", &class])?;
    ensure!(given == class, "{given}");
    Ok(())
}

fn accounts_lend_only_the_secrets_they_list(cluster: &Cluster) -> Result<()> {
    let kubectl = cluster.namespace("mountable")?;
    let account = json!({"apiVersion": "v1", "kind": "ServiceAccount", "secrets": [{"name": "listed"}],
        "metadata": {"name": "a", "annotations": {"kubernetes.io/enforce-mountable-secrets": "true"}}});
    let told = kubectl.run_with_input(&["create", "-f", "-"], account.to_string().as_bytes())?.both();
    let want = "Warning: metadata.annotations[kubernetes.io/enforce-mountable-secrets]: deprecated in v1.32+";
    ensure!(told.contains(want), "{told}");
    let with = |name: &str, secret: &str| {
        pod(name, |pod| {
            pod["spec"]["serviceAccountName"] = json!("a");
            pod["spec"]["volumes"] = json!([{"name": "v", "secret": {"secretName": secret}}]);
        })
    };
    let text = "pods \"p\" is forbidden: volume with secret.secretName=\"other\" is not allowed because service account \
                a does not reference that secret";
    refused(&kubectl, &with("p", "other"), text)?;
    create(&kubectl, &with("p", "listed"))?;
    let debug = json!({"spec": {"ephemeralContainers":
        [{"name": "e", "image": "busybox", "envFrom": [{"secretRef": {"name": "other"}}]}]}});
    let text = kubectl.fails(&["patch", "pod", "p", "--subresource=ephemeralcontainers", "-p", &debug.to_string()])?;
    let want = "ephemeral container e with envFrom referencing secret.secretName=\"other\" is not allowed";
    ensure!(text.contains(want), "{text}");
    let lost = pod("q", |pod| pod["spec"]["serviceAccountName"] = json!("nobody"));
    let namespace = kubectl.namespace();
    let want = format!("error looking up service account {namespace}/nobody: serviceaccount \"nobody\" not found");
    refused(&kubectl, &lost, &want)
}

fn mirrors_need_nothing_of_the_cluster(cluster: &Cluster) -> Result<()> {
    let kubectl = cluster.namespace("mirrors")?;
    let mirror = |change: fn(&mut Value)| {
        pod("m", |pod| {
            pod["metadata"]["annotations"] = json!({"kubernetes.io/config.mirror": "x"});
            pod["spec"]["nodeName"] = json!("elsewhere");
            change(pod);
        })
    };
    let named = mirror(|pod| pod["spec"]["serviceAccountName"] = json!("default"));
    refused(&kubectl, &named, "a mirror pod may not reference service accounts")?;
    let secret = mirror(|pod| pod["spec"]["volumes"] = json!([{"name": "v", "secret": {"secretName": "s"}}]));
    refused(&kubectl, &secret, "a mirror pod may not reference secrets")?;
    let token = mirror(|pod| {
        let sources = json!([{"serviceAccountToken": {"path": "t"}}]);
        pod["spec"]["volumes"] = json!([{"name": "v", "projected": {"sources": sources}}]);
    });
    refused(&kubectl, &token, "a mirror pod may not use ServiceAccountToken volume projections")
}

fn pods_say_where_their_node_stands(cluster: &Cluster) -> Result<()> {
    let kubectl = cluster.namespace("zones")?;
    let node = kubectl.ok(&["get", "nodes", "-o", "name"])?;
    let node = node.lines().next().unwrap_or_default();
    kubectl.ok(&[
        "label",
        "--overwrite",
        node,
        "topology.kubernetes.io/zone=z1",
        "topology.kubernetes.io/region=r1",
    ])?;
    create(&kubectl, &pod("p", |pod| pod["spec"]["schedulerName"] = json!("default-scheduler")))?;
    let bound = kubectl.wait_value("pod/p", "/spec/nodeName", SOON, Value::is_string);
    let labels = kubectl.value("pod/p", "/metadata/labels");
    kubectl.ok(&["label", node, "topology.kubernetes.io/zone-", "topology.kubernetes.io/region-"])?;
    bound?;
    let labels = labels?;
    let wanted = json!({"topology.kubernetes.io/zone": "z1", "topology.kubernetes.io/region": "r1"});
    ensure!(labels == wanted, "{labels}");
    Ok(())
}

fn what_is_hardly_meant_is_warned_of(cluster: &Cluster) -> Result<()> {
    let kubectl = cluster.namespace("warnings")?;
    let told = |manifest: Value| -> Result<String> {
        Ok(kubectl.run_with_input(&["create", "--dry-run=server", "-f", "-"], manifest.to_string().as_bytes())?.both())
    };
    let owner = json!({"apiVersion": "v1", "kind": "Pod", "name": "p", "uid": "11111111-1111-1111-1111-111111111111"});
    let text = told(json!({"apiVersion": "v1", "kind": "ConfigMap",
        "metadata": {"name": "c", "ownerReferences": [owner, owner]}}))?;
    let want = "Warning: .metadata.ownerReferences contains duplicate entries; API server dedups owner references in \
                1.20+, and may reject such requests as early as 1.24; please fix your requests; duplicate UID(s) \
                observed: 11111111-1111-1111-1111-111111111111";
    ensure!(text.contains(want), "{text}");
    let text = told(json!({"apiVersion": "v1", "kind": "PersistentVolume", "metadata": {"name": "v"},
        "spec": {"capacity": {"storage": "1Gi"}, "accessModes": ["ReadWriteOnce"],
                 "persistentVolumeReclaimPolicy": "Recycle", "hostPath": {"path": "/data"}}}))?;
    ensure!(text.contains("Warning: spec.persistentVolumeReclaimPolicy: The Recycle reclaim policy is"), "{text}");
    let text = told(json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "s"},
        "spec": {"clusterIP": "None", "sessionAffinity": "ClientIP", "trafficDistribution": "PreferClose",
                 "ports": [{"port": 1}]}}))?;
    ensure!(text.contains("Warning: spec.SessionAffinity is ignored for headless services"), "{text}");
    ensure!(text.contains("\"PreferClose\" is deprecated; use \"PreferSameZone\""), "{text}");
    Ok(())
}

fn service_ranges_stay_while_they_have_addresses(cluster: &Cluster) -> Result<()> {
    let kubectl = cluster.namespace("ranges")?;
    // Last by name, so that nobody else gets addresses of it.
    let range = format!("servicecidr/zz-{}", kubectl.namespace());
    let manifest = json!({"apiVersion": "networking.k8s.io/v1", "kind": "ServiceCIDR",
        "metadata": {"name": range.trim_start_matches("servicecidr/")}, "spec": {"cidrs": ["192.0.2.0/28"]}});
    create(&kubectl, &manifest.to_string())?;
    kubectl.ok(&["wait", "--for=condition=Ready", &range, "--timeout=20s"])?;
    let finalizers = kubectl.value(&range, "/metadata/finalizers")?;
    ensure!(finalizers == json!(["networking.k8s.io/service-cidr-finalizer"]), "{finalizers}");
    let service = json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "s"},
        "spec": {"clusterIP": "192.0.2.5", "ports": [{"port": 1}]}});
    create(&kubectl, &service.to_string())?;
    let parent = kubectl.text("ipaddress/192.0.2.5", "/spec/parentRef/name")?;
    ensure!(parent == "s", "{parent}");
    kubectl.ok(&["delete", &range, "--wait=false"])?;
    kubectl.wait_value(&range, "/status/conditions/0/reason", SOON, |reason| reason == "Terminating")?;
    kubectl.ok(&["delete", "service", "s"])?;
    kubectl.ok(&["wait", "--for=delete", &range, "--timeout=40s"])?;
    let text = kubectl.fails_with_input(&["create", "-f", "-"], service.to_string().as_bytes())?;
    ensure!(text.contains("is not in the valid range") || text.contains("does not match the current range"), "{text}");
    Ok(())
}
