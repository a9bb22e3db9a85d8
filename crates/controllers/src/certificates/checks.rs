//! What the built-in signers take, and which requests are approved without anybody looking.

use std::collections::BTreeSet;

use api::certificates::request::CertificateRequest;
use k8s_openapi::api::certificates::v1::CertificateSigningRequest;

const CLIENT: &str = "kubernetes.io/kube-apiserver-client";
const KUBELET_CLIENT: &str = "kubernetes.io/kube-apiserver-client-kubelet";
const KUBELET_SERVING: &str = "kubernetes.io/kubelet-serving";
const LEGACY_UNKNOWN: &str = "kubernetes.io/legacy-unknown";

const NODES: &str = "system:nodes";
const NODE_PREFIX: &str = "system:node:";
const DIGITAL_SIGNATURE: &str = "digital signature";
const KEY_ENCIPHERMENT: &str = "key encipherment";
const CLIENT_AUTH: &str = "client auth";
const SERVER_AUTH: &str = "server auth";

/// Why a signer does not sign.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unfit {
    #[error("subject organization is not system:nodes")]
    Organization,
    #[error("subject common name does not begin with system:node:")]
    CommonName,
    #[error("DNS or IP subjectAltName is required")]
    NoName,
    #[error("{0} subjectAltNames are not allowed")]
    Names(&'static str),
    #[error("usages did not match [{}]", .0.join(" "))]
    Usages([&'static str; 3]),
    #[error("invalid usage for client certificate: {0}")]
    Usage(String),
    #[error("missing required usage for client certificate: client auth")]
    NoClientAuth,
}

/// As what a kubelet's request is approved, if its maker may `create` that subresource.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Recognized {
    /// The node asks for another certificate of its own.
    SelfNodeClient,
    /// Somebody, with a bootstrap token for instance, asks for a node's first.
    NodeClient,
}

impl Recognized {
    /// What the requester must be allowed to create.
    pub fn subresource(self) -> &'static str {
        match self {
            Self::SelfNodeClient => "selfnodeclient",
            Self::NodeClient => "nodeclient",
        }
    }

    /// What the condition says.
    pub fn message(self) -> &'static str {
        match self {
            Self::SelfNodeClient => "Auto approving self kubelet client certificate after SubjectAccessReview.",
            Self::NodeClient => "Auto approving kubelet client certificate after SubjectAccessReview.",
        }
    }
}

/// As what a request may be approved, the narrowest first.
pub fn recognize(request: &CertificateSigningRequest, asked: &CertificateRequest) -> Vec<Recognized> {
    let usages = request.spec.usages.as_deref().unwrap_or_default();
    if request.spec.signer_name != KUBELET_CLIENT || kubelet_client(asked, usages).is_err() {
        return Vec::new();
    }
    let own = request.spec.username.as_deref() == Some(asked.common_name.as_str());
    own.then_some(Recognized::SelfNodeClient).into_iter().chain([Recognized::NodeClient]).collect()
}

/// Whether a built-in signer signs a request; `None` when it is none of them.
pub fn signable(signer: &str, asked: &CertificateRequest, usages: &[String]) -> Option<Result<(), Unfit>> {
    match signer {
        CLIENT => Some(api_client(usages)),
        KUBELET_CLIENT => Some(kubelet_client(asked, usages)),
        KUBELET_SERVING => Some(kubelet_serving(asked, usages)),
        LEGACY_UNKNOWN => Some(Ok(())),
        _ => None,
    }
}

fn api_client(usages: &[String]) -> Result<(), Unfit> {
    let known = [CLIENT_AUTH, DIGITAL_SIGNATURE, KEY_ENCIPHERMENT];
    if let Some(odd) = usages.iter().find(|usage| !known.contains(&usage.as_str())) {
        return Err(Unfit::Usage(odd.clone()));
    }
    if usages.iter().any(|usage| usage == CLIENT_AUTH) { Ok(()) } else { Err(Unfit::NoClientAuth) }
}

fn kubelet_client(asked: &CertificateRequest, usages: &[String]) -> Result<(), Unfit> {
    let names = [
        ("DNS", asked.dns_names.is_empty()),
        ("Email", asked.email_addresses.is_empty()),
        ("IP", asked.ip_addresses.is_empty()),
        ("URI", asked.uris.is_empty()),
    ];
    of_nodes(asked)?;
    refuse(&names)?;
    named_as_node(asked)?;
    used_for(usages, CLIENT_AUTH)
}

fn kubelet_serving(asked: &CertificateRequest, usages: &[String]) -> Result<(), Unfit> {
    of_nodes(asked)?;
    if asked.dns_names.is_empty() && asked.ip_addresses.is_empty() {
        return Err(Unfit::NoName);
    }
    refuse(&[("Email", asked.email_addresses.is_empty()), ("URI", asked.uris.is_empty())])?;
    used_for(usages, SERVER_AUTH)?;
    named_as_node(asked)
}

fn of_nodes(asked: &CertificateRequest) -> Result<(), Unfit> {
    if asked.organizations == [NODES] { Ok(()) } else { Err(Unfit::Organization) }
}

fn named_as_node(asked: &CertificateRequest) -> Result<(), Unfit> {
    if asked.common_name.starts_with(NODE_PREFIX) { Ok(()) } else { Err(Unfit::CommonName) }
}

fn refuse(names: &[(&'static str, bool)]) -> Result<(), Unfit> {
    names.iter().find(|(_, absent)| !absent).map_or(Ok(()), |(kind, _)| Err(Unfit::Names(kind)))
}

/// Exactly what TLS needs; keys that are not RSA need no `key encipherment`.
fn used_for(usages: &[String], purpose: &'static str) -> Result<(), Unfit> {
    let usages: BTreeSet<&str> = usages.iter().map(String::as_str).collect();
    let least = BTreeSet::from([DIGITAL_SIGNATURE, purpose]);
    let most = BTreeSet::from([DIGITAL_SIGNATURE, KEY_ENCIPHERMENT, purpose]);
    if usages == least || usages == most {
        return Ok(());
    }
    let mut wanted = [DIGITAL_SIGNATURE, KEY_ENCIPHERMENT, purpose];
    wanted.sort_unstable();
    Err(Unfit::Usages(wanted))
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use super::*;

    fn asked(name: &str, organizations: &[&str]) -> CertificateRequest {
        CertificateRequest {
            subject: Vec::new(),
            public_key: Vec::new(),
            common_name: name.to_owned(),
            organizations: organizations.iter().map(|text| (*text).to_owned()).collect(),
            dns_names: Vec::new(),
            ip_addresses: Vec::new(),
            email_addresses: Vec::new(),
            uris: Vec::new(),
        }
    }

    fn usages(list: &[&str]) -> Vec<String> {
        list.iter().map(|text| (*text).to_owned()).collect()
    }

    fn told(signer: &str, asked: &CertificateRequest, list: &[&str]) -> String {
        match signable(signer, asked, &usages(list)) {
            None => "not ours".to_owned(),
            Some(Ok(())) => String::new(),
            Some(Err(unfit)) => unfit.to_string(),
        }
    }

    #[test]
    fn client_certificates_are_for_clients() {
        let anybody = asked("jane", &["dev"]);
        assert_eq!(told(CLIENT, &anybody, &[CLIENT_AUTH]), "");
        assert_eq!(told(CLIENT, &anybody, &[DIGITAL_SIGNATURE, KEY_ENCIPHERMENT, CLIENT_AUTH]), "");
        let missing = "missing required usage for client certificate: client auth";
        assert_eq!(told(CLIENT, &anybody, &[DIGITAL_SIGNATURE]), missing);
        let odd = "invalid usage for client certificate: server auth";
        assert_eq!(told(CLIENT, &anybody, &[CLIENT_AUTH, SERVER_AUTH]), odd);
        assert_eq!(told("example.com/other", &anybody, &[CLIENT_AUTH]), "not ours");
        assert_eq!(told(LEGACY_UNKNOWN, &anybody, &["any"]), "");
    }

    #[test]
    fn kubelets_ask_for_nothing_but_their_node() {
        let good = [DIGITAL_SIGNATURE, CLIENT_AUTH];
        let node = asked("system:node:a", &[NODES]);
        assert_eq!(told(KUBELET_CLIENT, &node, &good), "");
        let of_nodes = "subject organization is not system:nodes";
        assert_eq!(told(KUBELET_CLIENT, &asked("system:node:a", &[NODES, "system:masters"]), &good), of_nodes);
        assert_eq!(told(KUBELET_CLIENT, &asked("system:node:a", &[]), &good), of_nodes);
        let named = "subject common name does not begin with system:node:";
        assert_eq!(told(KUBELET_CLIENT, &asked("a", &[NODES]), &good), named);
        let usages = "usages did not match [client auth digital signature key encipherment]";
        assert_eq!(told(KUBELET_CLIENT, &node, &[CLIENT_AUTH]), usages);
        let mut with = node.clone();
        with.dns_names.push("a".to_owned());
        assert_eq!(told(KUBELET_CLIENT, &with, &good), "DNS subjectAltNames are not allowed");
        let mut with = node;
        with.ip_addresses.push(IpAddr::from([10, 0, 0, 1]));
        assert_eq!(told(KUBELET_CLIENT, &with, &good), "IP subjectAltNames are not allowed");
    }

    #[test]
    fn kubelets_serve_under_a_name() {
        let good = [DIGITAL_SIGNATURE, KEY_ENCIPHERMENT, SERVER_AUTH];
        let mut node = asked("system:node:a", &[NODES]);
        assert_eq!(told(KUBELET_SERVING, &node, &good), "DNS or IP subjectAltName is required");
        node.dns_names.push("a".to_owned());
        assert_eq!(told(KUBELET_SERVING, &node, &good), "");
        let usages = "usages did not match [digital signature key encipherment server auth]";
        assert_eq!(told(KUBELET_SERVING, &node, &[CLIENT_AUTH]), usages);
        node.uris.push("spiffe://a".to_owned());
        assert_eq!(told(KUBELET_SERVING, &node, &good), "URI subjectAltNames are not allowed");
    }

    #[test]
    fn only_kubelets_client_certificates_are_approved_unseen() {
        let request = |signer: &str, user: &str| {
            let mut request = CertificateSigningRequest::default();
            request.spec.signer_name = signer.to_owned();
            request.spec.username = Some(user.to_owned());
            request.spec.usages = Some(usages(&[DIGITAL_SIGNATURE, CLIENT_AUTH]));
            request
        };
        let node = asked("system:node:a", &[NODES]);
        let both = vec![Recognized::SelfNodeClient, Recognized::NodeClient];
        assert_eq!(recognize(&request(KUBELET_CLIENT, "system:node:a"), &node), both);
        assert_eq!(recognize(&request(KUBELET_CLIENT, "system:node:b"), &node), [Recognized::NodeClient]);
        assert_eq!(recognize(&request(CLIENT, "system:node:a"), &node), []);
        assert_eq!(recognize(&request(KUBELET_SERVING, "system:node:a"), &node), []);
        assert_eq!(recognize(&request(KUBELET_CLIENT, "a"), &asked("a", &["system:masters"])), []);
    }
}
