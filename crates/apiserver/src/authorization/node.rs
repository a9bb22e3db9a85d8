//! What a kubelet may do: what the ClusterRole `system:node` says, and one by one read the Secrets, ConfigMaps and claims of
//! Pods on its own node, and the volumes of those claims.

use std::sync::Arc;

use api::k8s_openapi::api::core::v1::{Container, EnvFromSource, EnvVar, PersistentVolume, Pod, Volume};

use api::k8s_openapi::api::rbac::v1::RoleRef;
use api::rbac::v1::CLUSTER_ROLE;

mod own;

use super::rbac::{Rbac, allows};
use super::{Attributes, Authorizer, Decision, HeldRules, Target};
use crate::filters::request_info::ResourcePath;
use crate::identity::UserInfo;
use crate::watch_cache::{Caches, Filter, ListRequest};
use own::Ruling;

/// Decides on requests of nodes for what their Pods refer to.
pub struct NodeAuthorizer {
    caches: Arc<Caches>,
    rbac: Arc<Rbac>,
}

/// The ClusterRole of all nodes. No binding gives it to them: it holds for nobody else.
const NODE_ROLE: &str = "system:node";

/// What a Pod can refer to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Referred {
    Secret,
    ConfigMap,
    ServiceAccount,
    Claim,
}

impl NodeAuthorizer {
    /// An authorizer that looks at the Pods in the caches.
    pub fn new(caches: Arc<Caches>, rbac: Arc<Rbac>) -> Self {
        Self { caches, rbac }
    }

    /// What the role of all nodes says.
    fn by_role(&self, attributes: &Attributes<'_>) -> Decision {
        let role = RoleRef { kind: CLUSTER_ROLE.to_owned(), name: NODE_ROLE.to_owned(), ..RoleRef::default() };
        let rules = self.rbac.rules_of(&role, "").unwrap_or_default();
        if rules.iter().any(|rule| allows(rule, attributes)) {
            return Decision::Allow(String::new());
        }
        Decision::NoOpinion(String::new())
    }

    /// Whether a claim of a Pod on the node has the volume.
    fn is_related_volume(&self, node: &str, name: &str) -> bool {
        let Some(volume) = self.caches.of("persistentvolumes").and_then(|volumes| volumes.get(name)) else {
            return false;
        };
        let volume = serde_json::from_slice::<PersistentVolume>(&volume.object()).ok();
        let claim = volume.and_then(|volume| volume.spec?.claim_ref);
        claim.is_some_and(|claim| {
            let (namespace, name) = (claim.namespace.unwrap_or_default(), claim.name.unwrap_or_default());
            self.is_related(node, Referred::Claim, &ResourcePath { namespace, name, ..ResourcePath::default() })
        })
    }

    /// Whether a Pod is on the node.
    fn is_on_node(&self, node: &str, at: &ResourcePath) -> bool {
        let Some(pods) = self.caches.of("pods") else { return false };
        let pod = pods.get(&format!("{}/{}", at.namespace, at.name));
        pod.is_some_and(|pod| pod.facts.field("spec.nodeName", pods.selectable()) == node)
    }

    /// Whether a Pod on the node refers to the object.
    fn is_related(&self, node: &str, kind: Referred, at: &ResourcePath) -> bool {
        let Some(pods) = self.caches.of("pods") else { return false };
        let fields = api::fields::Selector::parse(&format!("spec.nodeName={node}")).unwrap_or_default();
        let filter = Filter { namespace: at.namespace.clone(), fields, ..Filter::default() };
        let Ok(listing) = pods.list(&ListRequest { filter, ..ListRequest::default() }) else { return false };
        // The claim of an ephemeral volume is named after the Pod and the volume: no Pod contains it as it is.
        let quoted = if kind == Referred::Claim { "\"volumes\"".to_owned() } else { format!("\"{}\"", at.name) };
        listing.entries.iter().any(|entry| {
            let json = entry.object();
            // Most Pods do not even contain the name; those are not decoded.
            let mentions = json.windows(quoted.len()).any(|window| window == quoted.as_bytes());
            mentions && serde_json::from_slice::<Pod>(&json).is_ok_and(|pod| refers(&pod, kind, &at.name))
        })
    }
}

impl Authorizer for NodeAuthorizer {
    fn authorize(&self, attributes: &Attributes<'_>) -> Decision {
        let Some(node) = attributes.user.node_name() else { return Decision::NoOpinion(String::new()) };
        let Target::Resource(at) = attributes.target else { return self.by_role(attributes) };
        match own::rule(node, attributes.verb, at) {
            Some(Ruling::Allowed) => return Decision::Allow(String::new()),
            Some(Ruling::Refused(reason)) => return Decision::NoOpinion(reason),
            Some(Ruling::IfOnNode) if self.is_on_node(node, at) => return Decision::Allow(String::new()),
            Some(Ruling::IfOnNode) => return unrelated(node),
            None => {}
        }
        let kind = match (at.group.as_str(), at.resource.as_str(), at.subresource.as_str(), attributes.verb) {
            ("", "secrets", "", "get" | "list" | "watch") => Referred::Secret,
            ("", "configmaps", "", "get" | "list" | "watch") => Referred::ConfigMap,
            ("", "serviceaccounts", "token", "create") => Referred::ServiceAccount,
            ("", "persistentvolumeclaims", "", "get")
            | ("", "persistentvolumeclaims", "status", "update" | "patch") => Referred::Claim,
            ("", "persistentvolumes", "", "get") => {
                return if self.is_related_volume(node, &at.name) {
                    Decision::Allow(String::new())
                } else {
                    unrelated(node)
                };
            }
            // Who may have the projection may read what it shows.
            ("certificates.k8s.io", "clustertrustbundles", "", "get" | "list" | "watch") => {
                return Decision::Allow(String::new());
            }
            ("", "secrets" | "configmaps", ..) => {
                return Decision::NoOpinion("can only read resources of this type".to_owned());
            }
            ("", "persistentvolumeclaims", "status", _) => {
                return Decision::NoOpinion("can only get/update/patch this type".to_owned());
            }
            ("", "persistentvolumeclaims" | "persistentvolumes", ..) => {
                return Decision::NoOpinion("can only get individual resources of this type".to_owned());
            }
            _ => return self.by_role(attributes),
        };
        if at.name.is_empty() {
            return Decision::NoOpinion("No Object name found".to_owned());
        }
        if self.is_related(node, kind, at) {
            return Decision::Allow(String::new());
        }
        unrelated(node)
    }

    fn rules(&self, user: &UserInfo, _namespace: &str) -> HeldRules {
        let text = "node authorizer does not support user rule resolution";
        HeldRules { error: user.node_name().map(|_| text.to_owned()), ..HeldRules::default() }
    }
}

fn unrelated(node: &str) -> Decision {
    Decision::NoOpinion(format!("no relationship found between node '{node}' and this object"))
}

fn refers(pod: &Pod, kind: Referred, name: &str) -> bool {
    let Some(spec) = &pod.spec else { return false };
    let containers = || spec.containers.iter().chain(spec.init_containers.iter().flatten());
    match kind {
        Referred::ServiceAccount => spec.service_account_name.as_deref() == Some(name),
        Referred::Secret => {
            spec.image_pull_secrets.iter().flatten().any(|secret| secret.name == name)
                || spec.volumes.iter().flatten().any(|volume| volume_refers(volume, kind, name))
                || containers().any(|container| container_refers(container, kind, name))
        }
        Referred::Claim => {
            let pod = pod.metadata.name.as_deref().unwrap_or_default();
            spec.volumes.iter().flatten().any(|volume| claim_refers(pod, volume, name))
        }
        Referred::ConfigMap => {
            spec.volumes.iter().flatten().any(|volume| volume_refers(volume, kind, name))
                || containers().any(|container| container_refers(container, kind, name))
        }
    }
}

fn claim_refers(pod: &str, volume: &Volume, name: &str) -> bool {
    let named = volume.persistent_volume_claim.as_ref().is_some_and(|source| source.claim_name == name);
    named || (volume.ephemeral.is_some() && format!("{pod}-{}", volume.name) == name)
}

fn volume_refers(volume: &Volume, kind: Referred, name: &str) -> bool {
    let sources = volume.projected.iter().flat_map(|projected| projected.sources.iter().flatten());
    match kind {
        Referred::Secret => {
            let own = volume.secret.as_ref().and_then(|secret| secret.secret_name.as_deref());
            own == Some(name)
                || sources.into_iter().any(|source| source.secret.as_ref().is_some_and(|secret| secret.name == name))
        }
        Referred::ConfigMap => {
            volume.config_map.as_ref().is_some_and(|map| map.name == name)
                || sources.into_iter().any(|source| source.config_map.as_ref().is_some_and(|map| map.name == name))
        }
        Referred::ServiceAccount | Referred::Claim => false,
    }
}

fn container_refers(container: &Container, kind: Referred, name: &str) -> bool {
    container.env_from.iter().flatten().any(|source| env_from_refers(source, kind, name))
        || container.env.iter().flatten().any(|variable| env_refers(variable, kind, name))
}

fn env_from_refers(source: &EnvFromSource, kind: Referred, name: &str) -> bool {
    match kind {
        Referred::Secret => source.secret_ref.as_ref().is_some_and(|secret| secret.name == name),
        Referred::ConfigMap => source.config_map_ref.as_ref().is_some_and(|map| map.name == name),
        Referred::ServiceAccount | Referred::Claim => false,
    }
}

fn env_refers(variable: &EnvVar, kind: Referred, name: &str) -> bool {
    let Some(source) = &variable.value_from else { return false };
    match kind {
        Referred::Secret => source.secret_key_ref.as_ref().is_some_and(|key| key.name == name),
        Referred::ConfigMap => source.config_map_key_ref.as_ref().is_some_and(|key| key.name == name),
        Referred::ServiceAccount | Referred::Claim => false,
    }
}
