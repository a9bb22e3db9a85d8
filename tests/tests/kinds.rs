//! Kinds that nothing of the node runs: what `kubectl` makes of them, and what the API server does about Services.

use std::process::ExitCode;

use anyhow::{Context as _, Result, ensure};
use tests::{Cluster, Kubectl, Options, cases, suite};

fn main() -> ExitCode {
    let cases = cases![
        services_have_addresses_and_ports,
        addresses_are_given_once,
        the_api_server_has_a_service,
        endpoints_and_their_slices,
        controllers_quotas_and_limits,
        ingresses_and_network_policies,
    ];
    suite::run(|| Cluster::start(Options::default()), cases, Cluster::diagnose)
}

/// Applies a manifest and compares one line of `kubectl get`, without its last column, the age.
fn shows(kubectl: &Kubectl, manifest: &str, object: &str, want: &[&str]) -> Result<()> {
    kubectl.apply(manifest)?;
    let line = kubectl.ok(&["get", object, "--no-headers"])?;
    let cells: Vec<&str> = line.split_whitespace().collect();
    ensure!(cells.starts_with(want), "{object}: {line}");
    let described = kubectl.ok(&["describe", object])?;
    ensure!(described.contains(want[0]), "{object}: {described}");
    // The same once more changes nothing.
    let again = kubectl.apply(manifest)?;
    ensure!(again.lines().all(|line| line.ends_with("unchanged")), "{object}: {again}");
    Ok(())
}

fn services_have_addresses_and_ports(cluster: &Cluster) -> Result<()> {
    let kubectl = cluster.namespace("services")?;
    kubectl.ok(&["create", "deployment", "web", "--image=nginx", "--replicas=0"])?;
    kubectl.ok(&["expose", "deployment", "web", "--port=80", "--target-port=8080", "--type=NodePort"])?;
    let address = kubectl.text("service/web", "/spec/clusterIP")?;
    let port = kubectl.value("service/web", "/spec/ports/0/nodePort")?.as_i64().context("a port")?;
    ensure!((30_000..=32_767).contains(&port), "{port}");
    let line = kubectl.ok(&["get", "svc", "web", "--no-headers", "-o", "wide"])?;
    ensure!(line.contains(&format!("80:{port}/TCP")) && line.contains("app=web"), "{line}");
    let claim = kubectl.ok(&["get", "ipaddress", &address, "--no-headers"])?;
    ensure!(claim.contains(&format!("services/{}/web", kubectl.namespace())), "{claim}");
    let taken =
        kubectl.fails(&["create", "service", "clusterip", "other", "--tcp=80", &format!("--clusterip={address}")])?;
    ensure!(taken.contains("provided IP is already allocated"), "{taken}");
    let taken =
        kubectl.fails(&["create", "service", "nodeport", "other", "--tcp=80", &format!("--node-port={port}")])?;
    ensure!(taken.contains("provided port is already allocated"), "{taken}");
    kubectl.ok(&["patch", "svc", "web", "-p", r#"{"spec":{"type":"ExternalName","externalName":"example.com"}}"#])?;
    ensure!(kubectl.ok(&["get", "svc", "web", "-o", "jsonpath={.spec.clusterIP}"])?.is_empty());
    kubectl.ok(&["create", "service", "nodeport", "other", "--tcp=80", &format!("--node-port={port}")])?;
    let headless = kubectl.ok(&["create", "service", "clusterip", "quiet", "--clusterip=None"])?;
    ensure!(headless.contains("created"), "{headless}");
    let described = kubectl.ok(&["describe", "svc", "other"])?;
    ensure!(described.contains("NodePort") && described.contains(&port.to_string()), "{described}");
    Ok(())
}

fn addresses_are_given_once(cluster: &Cluster) -> Result<()> {
    let kubectl = cluster.namespace("addresses")?;
    for round in 0..3 {
        for index in 0..4 {
            kubectl.ok(&["create", "service", "nodeport", &format!("s{round}-{index}"), "--tcp=80"])?;
        }
    }
    let fields = "jsonpath={range .items[*]}{.spec.clusterIP} {.spec.ports[0].nodePort}{\"\\n\"}{end}";
    let lines = kubectl.ok(&["get", "services", "-o", fields])?;
    for column in 0..2 {
        let mut values: Vec<&str> = lines.lines().filter_map(|line| line.split(' ').nth(column)).collect();
        values.sort_unstable();
        values.dedup();
        ensure!(values.len() == 12, "{lines}");
    }
    Ok(())
}

fn the_api_server_has_a_service(cluster: &Cluster) -> Result<()> {
    let kubectl = Kubectl::new(cluster.data_dir().join("admin.kubeconfig"), "default");
    let port = kubectl.value("service/kubernetes", "/spec/ports/0/targetPort")?;
    ensure!(kubectl.value("endpointslice/kubernetes", "/ports/0/port")? == port);
    ensure!(kubectl.value("endpoints/kubernetes", "/subsets/0/ports/0/port")? == port);
    let address = kubectl.text("service/kubernetes", "/spec/clusterIP")?;
    ensure!(address.ends_with(".0.1"), "{address}");
    let ready = kubectl.ok(&["wait", "servicecidr/kubernetes", "--for=condition=Ready", "--timeout=30s"])?;
    ensure!(ready.contains("condition met"), "{ready}");
    Ok(())
}

fn endpoints_and_their_slices(cluster: &Cluster) -> Result<()> {
    let kubectl = cluster.namespace("endpoints")?;
    let slice = "
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: e}
addressType: IPv4
endpoints: [{addresses: [192.0.2.1], conditions: {}}, {addresses: [192.0.2.2], conditions: {ready: true}}]
ports: [{name: web, port: 80, protocol: TCP}]
";
    shows(&kubectl, slice, "endpointslice/e", &["e", "IPv4", "80", "192.0.2.1,192.0.2.2"])?;
    let old = "
apiVersion: v1
kind: Endpoints
metadata: {name: e}
subsets: [{addresses: [{ip: 192.0.2.1}], ports: [{port: 80}]}]
";
    kubectl.apply(old)?;
    let told = kubectl.run(&["get", "endpoints", "e"])?;
    let told = told.both();
    ensure!(told.contains("192.0.2.1:80") && told.contains("v1 Endpoints is deprecated in v1.33+"), "{told}");
    Ok(())
}

fn controllers_quotas_and_limits(cluster: &Cluster) -> Result<()> {
    let kubectl = cluster.namespace("quotas")?;
    let controller = "
apiVersion: v1
kind: ReplicationController
metadata: {name: r}
spec: {replicas: 0, template: {metadata: {labels: {a: b}}, spec: {containers: [{name: c, image: nginx}]}}}
";
    shows(&kubectl, controller, "rc/r", &["r", "0", "0", "0"])?;
    kubectl.ok(&["scale", "rc/r", "--replicas=2"])?;
    ensure!(kubectl.value("rc/r", "/spec/replicas")? == 2);
    kubectl.ok(&["scale", "rc/r", "--replicas=0"])?;
    kubectl.ok(&["create", "quota", "q", "--hard=cpu=1,pods=2"])?;
    ensure!(kubectl.ok(&["describe", "quota", "q"])?.contains("Resource"));
    let wrong = kubectl.fails(&["create", "quota", "w", "--hard=pods=1500m"])?;
    ensure!(wrong.contains("spec.hard[pods]: Invalid value: \"1500m\": must be an integer"), "{wrong}");
    let range = "
apiVersion: v1
kind: LimitRange
metadata: {name: l}
spec: {limits: [{type: Container, max: {cpu: 500m}}]}
";
    kubectl.apply(range)?;
    ensure!(kubectl.text("limits/l", "/spec/limits/0/defaultRequest/cpu")? == "500m");
    ensure!(kubectl.ok(&["describe", "limits", "l"])?.contains("500m"));
    let template = "
apiVersion: v1
kind: PodTemplate
metadata: {name: t}
template: {metadata: {labels: {a: b}}, spec: {containers: [{name: c, image: nginx}]}}
";
    shows(&kubectl, template, "podtemplate/t", &["t", "c", "nginx", "a=b"])
}

fn ingresses_and_network_policies(cluster: &Cluster) -> Result<()> {
    let kubectl = cluster.namespace("ingresses")?;
    kubectl.ok(&["create", "ingress", "i", "--class=c", "--rule=a.example.com/*=web:80"])?;
    let line = kubectl.ok(&["get", "ing", "i", "--no-headers"])?;
    let cells: Vec<&str> = line.split_whitespace().collect();
    ensure!(cells.starts_with(&["i", "c", "a.example.com", "80"]), "{line}");
    ensure!(kubectl.ok(&["describe", "ingress", "i"])?.contains("web:80"));
    let wrong = kubectl.fails(&["create", "ingress", "w", "--rule=1.2.3.4/=web:80"])?;
    ensure!(wrong.contains("must be a DNS name, not an IP address"), "{wrong}");
    let class = format!("class-{}", kubectl.namespace());
    let manifest = format!(
        "
apiVersion: networking.k8s.io/v1
kind: IngressClass
metadata: {{name: {class}}}
spec: {{controller: example.com/c}}
"
    );
    shows(&kubectl, &manifest, &format!("ingressclass/{class}"), &[&class, "example.com/c", "<none>"])?;
    kubectl.ok(&["delete", "ingressclass", &class])?;
    let policy = "
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: p}
spec: {podSelector: {matchLabels: {a: b}}, egress: [{ports: [{port: 53, protocol: UDP}]}]}
";
    shows(&kubectl, policy, "netpol/p", &["p", "a=b"])?;
    ensure!(kubectl.value("netpol/p", "/spec/policyTypes")? == serde_json::json!(["Ingress", "Egress"]));
    Ok(())
}
