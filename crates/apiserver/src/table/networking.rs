//! Columns of the `networking.k8s.io` group.

use std::collections::BTreeSet;

use api::k8s_openapi::api::networking::v1::{IPAddress, Ingress, IngressClass, NetworkPolicy, ServiceCIDR};
use serde_json::Value;

use super::apps::selector;
use super::{AGE, Columns, NAME, Row, age, column, descriptions, name, or_none, typed};

pub(super) static INGRESS: Columns = Columns {
    definitions: &[
        NAME,
        column("Class", "The name of the IngressClass resource that should be used for additional configuration"),
        column("Hosts", "Hosts that incoming requests are matched against before the ingress rule"),
        column("Address", "Address is a list containing ingress points for the load-balancer"),
        column("Ports", "Ports of TLS configurations that open"),
        AGE,
    ],
    row: |object, now| {
        let ingress = typed::<Ingress>(object);
        let spec = ingress.spec.clone().unwrap_or_default();
        let ports = if spec.tls.is_some() { "80, 443" } else { "80" };
        Row::from(vec![
            name(object),
            or_none(spec.ingress_class_name.as_deref()),
            hosts(&spec.rules.unwrap_or_default().into_iter().filter_map(|rule| rule.host).collect::<Vec<_>>()),
            addresses(ingress),
            ports.into(),
            age(object, now),
        ])
    },
};

/// The first hosts; of the others only how many there are.
fn hosts(hosts: &[String]) -> Value {
    let shown = hosts[..hosts.len().min(3)].join(",");
    match hosts.len() {
        0 => "*".into(),
        1..=3 => shown.into(),
        count => format!("{shown} + {} more...", count - 3).into(),
    }
}

/// Where load balancers are reached, each once.
fn addresses(ingress: &Ingress) -> Value {
    let balancer = ingress.status.as_ref().and_then(|status| status.load_balancer.as_ref());
    let points = balancer.and_then(|balancer| balancer.ingress.as_deref()).unwrap_or_default();
    let shown: BTreeSet<&str> =
        points.iter().filter_map(|point| point.ip.as_deref().or(point.hostname.as_deref())).collect();
    shown.into_iter().collect::<Vec<_>>().join(",").into()
}

pub(super) static INGRESS_CLASS: Columns = Columns {
    definitions: &[
        NAME,
        column("Controller", "Controller that is responsible for handling this class"),
        column("Parameters", "A reference to a resource with additional parameters"),
        AGE,
    ],
    row: |object, now| {
        let spec = typed::<IngressClass>(object).spec.clone().unwrap_or_default();
        let parameters = spec.parameters.map(|parameters| {
            let group = parameters.api_group.map(|group| format!(".{group}")).unwrap_or_default();
            format!("{}{group}/{}", parameters.kind, parameters.name)
        });
        Row::from(vec![
            name(object),
            spec.controller.unwrap_or_default().into(),
            or_none(parameters.as_deref()),
            age(object, now),
        ])
    },
};

pub(super) static NETWORK_POLICY: Columns = Columns {
    definitions: &[NAME, column("Pod-Selector", descriptions::NETWORK_POLICY_SPEC_POD_SELECTOR), AGE],
    row: |object, now| {
        let spec = typed::<NetworkPolicy>(object).spec.as_ref();
        let pods = spec.and_then(|spec| spec.pod_selector.as_ref());
        Row::from(vec![name(object), selector(pods), age(object, now)])
    },
};

pub(super) static IP_ADDRESS: Columns = Columns {
    definitions: &[NAME, column("ParentRef", descriptions::IPADDRESS_SPEC_PARENT_REF), AGE],
    row: |object, now| {
        let parent = &typed::<IPAddress>(object).spec.parent_ref;
        let mut shown = parent.resource.clone();
        if let Some(group) = &parent.group {
            shown = format!("{shown}.{group}");
        }
        shown = shown.to_lowercase();
        if let Some(namespace) = &parent.namespace {
            shown = format!("{shown}/{namespace}");
        }
        Row::from(vec![name(object), format!("{shown}/{}", parent.name).into(), age(object, now)])
    },
};

pub(super) static SERVICE_CIDR: Columns = Columns {
    definitions: &[NAME, column("CIDRs", descriptions::SERVICE_CIDRSPEC_CIDRS), AGE],
    row: |object, now| {
        let spec = typed::<ServiceCIDR>(object).spec.as_ref();
        let ranges = spec.and_then(|spec| spec.cidrs.as_ref()).map(|ranges| ranges.join(","));
        Row::from(vec![name(object), ranges.unwrap_or_default().into(), age(object, now)])
    },
};
