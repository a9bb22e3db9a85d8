//! Columns of Services.

use api::core::v1::service::{TYPE_CLUSTER_IP, TYPE_EXTERNAL_NAME, TYPE_LOAD_BALANCER, TYPE_NODE_PORT, type_of};
use api::k8s_openapi::api::core::v1::{LoadBalancerIngress, Service, ServicePort, ServiceSpec};
use serde_json::Value;

use super::apps::labels;
use super::{AGE, Columns, NAME, Row, age, column, descriptions, name, or_none, typed, wide};

pub(super) static COLUMNS: Columns = Columns {
    definitions: &[
        NAME,
        column("Type", descriptions::SERVICE_SPEC_TYPE),
        column("Cluster-IP", descriptions::SERVICE_SPEC_CLUSTER_IP),
        column("External-IP", descriptions::SERVICE_SPEC_EXTERNAL_IPS),
        column("Port(s)", descriptions::SERVICE_SPEC_PORTS),
        AGE,
        wide("Selector", descriptions::SERVICE_SPEC_SELECTOR),
    ],
    row: |object, now| {
        let service = typed::<Service>(object);
        let spec = service.spec.clone().unwrap_or_default();
        let balancer = service.status.as_ref().and_then(|status| status.load_balancer.as_ref());
        let ingress = balancer.and_then(|balancer| balancer.ingress.as_deref()).unwrap_or_default();
        let address = spec.cluster_ips.as_ref().and_then(|addresses| addresses.first());
        Row::from(vec![
            name(object),
            type_of(&spec).into(),
            or_none(address.map(String::as_str)),
            external(&spec, ingress),
            ports(spec.ports.as_deref().unwrap_or_default()),
            age(object, now),
            labels(spec.selector.as_ref()),
        ])
    },
};

/// Where clients outside the cluster reach it.
fn external(spec: &ServiceSpec, ingress: &[LoadBalancerIngress]) -> Value {
    let own = spec.external_ips.clone().unwrap_or_default();
    match type_of(spec) {
        TYPE_CLUSTER_IP | TYPE_NODE_PORT => or_none(Some(&own.join(","))),
        TYPE_LOAD_BALANCER => {
            let all: Vec<String> = balancers(ingress).into_iter().chain(own).collect();
            if all.is_empty() { "<pending>".into() } else { all.join(",").into() }
        }
        TYPE_EXTERNAL_NAME => spec.external_name.as_deref().unwrap_or_default().into(),
        _ => "<unknown>".into(),
    }
}

/// Addresses of load balancers, or names where they have none.
pub(super) fn balancers(ingress: &[LoadBalancerIngress]) -> std::collections::BTreeSet<String> {
    ingress.iter().filter_map(|ingress| ingress.ip.clone().or_else(|| ingress.hostname.clone())).collect()
}

fn ports(ports: &[ServicePort]) -> Value {
    let shown: Vec<String> = ports
        .iter()
        .map(|port| {
            let protocol = port.protocol.as_deref().unwrap_or_default();
            let node_port = port.node_port.map(|port| format!(":{port}")).unwrap_or_default();
            format!("{}{node_port}/{protocol}", port.port)
        })
        .collect();
    or_none(Some(&shown.join(",")))
}
