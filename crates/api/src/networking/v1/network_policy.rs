//! NetworkPolicies.

use k8s_openapi::api::networking::v1::{
    IPBlock, NetworkPolicy, NetworkPolicyPeer, NetworkPolicyPort, NetworkPolicySpec,
};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use crate::core::v1::pod::default_selector;
use crate::field::{ErrorList, Json, Path, extend_invalid, forbidden, invalid, not_supported, required};
use crate::labels::{SelectorRules, validate_label_selector};
use crate::meta::{Scope, validate_meta, validate_meta_update};
use crate::names::{self, subdomain_name};
use crate::net::{self, Cidr};
use crate::object::Kind;
use crate::omit_empty::{self, omit_empty};

const SPEC: Path<'static> = Path::new("spec");
const PROTOCOLS: &[&str] = &["TCP", "UDP", "SCTP"];
const TYPES: &[&str] = &["Egress", "Ingress"];

impl Kind for NetworkPolicy {
    fn set_defaults(&mut self) {
        omit_empty::metadata(&mut self.metadata);
        let spec = self.spec.get_or_insert_default();
        omit_empty!(spec => egress, ingress, policy_types);
        default_selector(spec.pod_selector.get_or_insert_default());
        for rule in spec.ingress.iter_mut().flatten() {
            omit_empty!(rule => from, ports);
            default_rule(&mut rule.from, &mut rule.ports);
        }
        for rule in spec.egress.iter_mut().flatten() {
            omit_empty!(rule => to, ports);
            default_rule(&mut rule.to, &mut rule.ports);
        }
        let egress = spec.egress.is_some();
        spec.policy_types.get_or_insert_with(|| {
            let types = if egress { &["Ingress", "Egress"][..] } else { &["Ingress"] };
            types.iter().map(|&it| it.to_owned()).collect()
        });
    }

    fn validate(&self) -> ErrorList {
        let mut errors = validate_meta(&self.metadata, Scope::Namespaced, subdomain_name);
        self.spec.iter().for_each(|spec| validate_spec(spec, &[], &mut errors));
        errors
    }

    fn validate_update(&self, old: &Self) -> ErrorList {
        let mut errors = validate_meta_update(&self.metadata, &old.metadata);
        let known = old.spec.as_ref().map(ranges).unwrap_or_default();
        self.spec.iter().for_each(|spec| validate_spec(spec, &known, &mut errors));
        errors
    }

    fn validate_status_update(&self, old: &Self) -> ErrorList {
        Kind::validate_update(self, old)
    }

    fn warnings(&self) -> Vec<String> {
        let mut warnings = Vec::new();
        for (field, peers_field, rules) in self.spec.iter().flat_map(rules) {
            let path = SPEC.child(field);
            for (position, (peers, _)) in rules.into_iter().enumerate() {
                let path = path.index(position);
                let path = path.child(peers_field);
                for (position, peer) in peers.iter().enumerate() {
                    let path = path.index(position);
                    warnings
                        .extend(peer.ip_block.iter().flat_map(|block| warn_of_block(block, &path.child("ipBlock"))));
                }
            }
        }
        warnings
    }
}

fn default_rule(peers: &mut Option<Vec<NetworkPolicyPeer>>, ports: &mut Option<Vec<NetworkPolicyPort>>) {
    for peer in peers.iter_mut().flatten() {
        let selectors = [&mut peer.pod_selector, &mut peer.namespace_selector];
        selectors.into_iter().flatten().for_each(default_selector);
        if let Some(block) = &mut peer.ip_block {
            omit_empty!(block => except);
        }
    }
    for port in ports.iter_mut().flatten() {
        port.protocol.get_or_insert_with(|| "TCP".to_owned());
    }
}

type Rules<'a> = (&'static str, &'static str, Vec<(&'a [NetworkPolicyPeer], &'a [NetworkPolicyPort])>);

/// The rules of both directions: the field, the field of the peers, and of each rule the peers and ports.
fn rules(spec: &NetworkPolicySpec) -> [Rules<'_>; 2] {
    let ingress = spec
        .ingress
        .iter()
        .flatten()
        .map(|rule| (rule.from.as_deref().unwrap_or_default(), rule.ports.as_deref().unwrap_or_default()));
    let egress = spec
        .egress
        .iter()
        .flatten()
        .map(|rule| (rule.to.as_deref().unwrap_or_default(), rule.ports.as_deref().unwrap_or_default()));
    [("ingress", "from", ingress.collect()), ("egress", "to", egress.collect())]
}

/// Every range a policy names.
fn ranges(spec: &NetworkPolicySpec) -> Vec<String> {
    let rules = rules(spec).into_iter().flat_map(|(_, _, rules)| rules);
    let blocks = rules.flat_map(|(peers, _)| peers).filter_map(|peer| peer.ip_block.as_ref());
    blocks.flat_map(|block| std::iter::once(&block.cidr).chain(block.except.iter().flatten())).cloned().collect()
}

fn validate_spec(spec: &NetworkPolicySpec, known: &[String], errors: &mut ErrorList) {
    let path = SPEC.child("podSelector");
    errors.extend(validate_label_selector(spec.pod_selector.as_ref(), SelectorRules::Strict, &path));
    for (field, peers_field, rules) in rules(spec) {
        let path = SPEC.child(field);
        for (position, (peers, ports)) in rules.into_iter().enumerate() {
            let path = path.index(position);
            let ports_path = path.child("ports");
            for (position, port) in ports.iter().enumerate() {
                validate_port(port, &ports_path.index(position), errors);
            }
            let peers_path = path.child(peers_field);
            for (position, peer) in peers.iter().enumerate() {
                validate_peer(peer, known, &peers_path.index(position), errors);
            }
        }
    }
    let (path, types) = (SPEC.child("policyTypes"), spec.policy_types.as_deref().unwrap_or_default());
    if types.len() > TYPES.len() {
        return errors.push(invalid(&path, Json(&types), "may not specify more than two policyTypes"));
    }
    for (position, kind) in types.iter().enumerate().filter(|(_, kind)| !TYPES.contains(&kind.as_str())) {
        errors.push(not_supported(&path.index(position), kind, TYPES));
    }
}

fn validate_port(port: &NetworkPolicyPort, path: &Path<'_>, errors: &mut ErrorList) {
    if let Some(protocol) = port.protocol.as_deref().filter(|protocol| !PROTOCOLS.contains(protocol)) {
        errors.push(not_supported(&path.child("protocol"), protocol, PROTOCOLS));
    }
    let (own, end) = (path.child("port"), path.child("endPort"));
    match (&port.port, port.end_port) {
        (Some(IntOrString::Int(number)), last) => {
            errors.extend(names::port_number(*number).map(|problem| invalid(&own, *number, problem)));
            let Some(last) = last else { return };
            if last < *number {
                errors.push(invalid(&end, *number, "must be greater than or equal to `port`"));
            }
            errors.extend(names::port_number(last).map(|problem| invalid(&end, last, problem)));
        }
        (Some(IntOrString::String(name)), last) => {
            if let Some(last) = last {
                errors.push(invalid(&end, last, "may not be specified when `port` is non-numeric"));
            }
            extend_invalid(errors, &own, name, names::port_name(name));
        }
        (None, Some(last)) => {
            errors.push(invalid(&end, last, "may not be specified when `port` is not specified"));
        }
        (None, None) => {}
    }
}

fn validate_peer(peer: &NetworkPolicyPeer, known: &[String], path: &Path<'_>, errors: &mut ErrorList) {
    let selectors = [("podSelector", &peer.pod_selector), ("namespaceSelector", &peer.namespace_selector)];
    for (field, selector) in selectors {
        errors.extend(validate_label_selector(selector.as_ref(), SelectorRules::Strict, &path.child(field)));
    }
    if let Some(block) = &peer.ip_block {
        validate_block(block, known, &path.child("ipBlock"), errors);
    }
    let selected = peer.pod_selector.is_some() || peer.namespace_selector.is_some();
    match (selected, &peer.ip_block) {
        (false, None) => errors.push(required(path, "must specify a peer")),
        (true, Some(_)) => errors.push(forbidden(path, "may not specify both ipBlock and another peer")),
        _ => {}
    }
}

fn validate_block(block: &IPBlock, known: &[String], path: &Path<'_>, errors: &mut ErrorList) {
    let range_path = path.child("cidr");
    if block.cidr.is_empty() {
        return errors.push(required(&range_path, ""));
    }
    errors.extend(net::validate_cidr_unless_known(&range_path, &block.cidr, Some(known)));
    let Ok(range) = block.cidr.parse::<Cidr>() else { return };
    let path = path.child("except");
    for (position, except) in block.except.iter().flatten().enumerate() {
        let path = path.index(position);
        errors.extend(net::validate_cidr_unless_known(&path, except, Some(known)));
        let Ok(inner) = except.parse::<Cidr>() else { continue };
        if !range.contains_range(&inner) || inner.length == range.length {
            errors.push(invalid(&path, except, "must be a strict subset of `cidr`"));
        }
    }
}

fn warn_of_block(block: &IPBlock, path: &Path<'_>) -> Vec<String> {
    let mut warnings = net::warn_of_cidr(&path.child("cidr"), &block.cidr);
    let path = path.child("except");
    for (position, except) in block.except.iter().flatten().enumerate() {
        warnings.extend(net::warn_of_cidr(&path.index(position), except));
    }
    warnings
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn policy(spec: Value) -> NetworkPolicy {
        let mut object: NetworkPolicy =
            serde_json::from_value(json!({"metadata": {"name": "p", "namespace": "n"}, "spec": spec})).unwrap();
        object.set_defaults();
        object
    }

    #[test]
    fn types_follow_from_the_rules() {
        let types = |spec: Value| policy(spec).spec.unwrap().policy_types.unwrap().join(",");
        assert_eq!(types(json!({})), "Ingress");
        assert_eq!(types(json!({"egress": [{}]})), "Ingress,Egress");
        assert_eq!(types(json!({"egress": [{}], "policyTypes": ["Egress"]})), "Egress");
    }

    #[test]
    fn problems_have_upstreams_places_and_words() {
        let from = |peer: Value| json!({"ingress": [{"from": [peer]}]});
        let port = |port: Value| json!({"egress": [{"ports": [port]}]});
        const FROM: &str = "spec.ingress[0].from[0]";
        const PORT: &str = "spec.egress[0].ports[0]";
        for (spec, problem) in [
            (from(json!({"podSelector": {}})), String::new()),
            (from(json!({})), format!("{FROM}: Required value: must specify a peer")),
            (
                from(json!({"podSelector": {}, "ipBlock": {"cidr": "10.0.0.0/8"}})),
                format!("{FROM}: Forbidden: may not specify both ipBlock and another peer"),
            ),
            (
                from(json!({"ipBlock": {"cidr": "10.0.0.0/8", "except": ["10.0.0.0/8"]}})),
                format!("{FROM}.ipBlock.except[0]: Invalid value: \"10.0.0.0/8\": must be a strict subset of `cidr`"),
            ),
            (port(json!({"port": 80, "endPort": 90})), String::new()),
            (
                port(json!({"port": 80, "endPort": 70})),
                format!("{PORT}.endPort: Invalid value: 80: must be greater than or equal to `port`"),
            ),
            (
                port(json!({"endPort": 70})),
                format!("{PORT}.endPort: Invalid value: 70: may not be specified when `port` is not specified"),
            ),
            (
                port(json!({"protocol": "ICMP"})),
                format!("{PORT}.protocol: Unsupported value: \"ICMP\": supported values: \"TCP\", \"UDP\", \"SCTP\""),
            ),
        ] {
            let found = policy(spec.clone()).validate().first().map(ToString::to_string).unwrap_or_default();
            assert_eq!(found, problem, "{spec}");
        }
    }
}
