//! The roles every cluster starts with, as far as this server has the resources they are about. RBAC objects with the
//! same names and rules take their place when RBAC is served.

use std::fmt;

use super::{Attributes, Target};
use crate::identity::{AUTHENTICATED, NODES, SERVICE_ACCOUNTS, UNAUTHENTICATED, UserInfo};

/// A ClusterRole with the binding of the same name.
#[derive(Debug)]
pub struct Role {
    /// Name of both.
    pub name: &'static str,
    /// Who has it.
    pub subjects: &'static [Subject],
    /// What it allows.
    pub rules: &'static [Rule],
}

/// Who has a role.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Subject {
    /// One user.
    User(&'static str),
    /// Everyone in a group.
    Group(&'static str),
}

impl Subject {
    /// Whether this is the user, or a group the user is in.
    pub fn matches(self, user: &UserInfo) -> bool {
        match self {
            Self::User(name) => user.name == name,
            Self::Group(group) => user.is_in(group),
        }
    }
}

impl fmt::Display for Subject {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::User(name) => write!(formatter, "User \"{name}\""),
            Self::Group(name) => write!(formatter, "Group \"{name}\""),
        }
    }
}

/// What a role allows. `*` allows everything.
#[derive(Debug, Clone, Copy)]
pub struct Rule {
    /// Verbs.
    pub verbs: &'static [&'static str],
    /// API groups.
    pub groups: &'static [&'static str],
    /// Resources, with `resource/subresource` for subresources.
    pub resources: &'static [&'static str],
    /// Paths that are no resources; may end in `*`.
    pub paths: &'static [&'static str],
}

impl Rule {
    /// A rule about resources.
    pub const fn resources(
        verbs: &'static [&'static str],
        groups: &'static [&'static str],
        resources: &'static [&'static str],
    ) -> Self {
        Self { verbs, groups, resources, paths: &[] }
    }

    /// A rule about other paths.
    pub const fn paths(verbs: &'static [&'static str], paths: &'static [&'static str]) -> Self {
        Self { verbs, groups: &[], resources: &[], paths }
    }

    /// Whether this rule is about the action, whoever wants it.
    pub fn allows(&self, attributes: &Attributes<'_>) -> bool {
        has(self.verbs, attributes.verb)
            && match attributes.target {
                Target::Path(path) => self.paths.iter().any(|pattern| path_matches(pattern, path)),
                Target::Resource(at) => {
                    has(self.groups, &at.group)
                        && self.resources.iter().any(|pattern| resource_matches(pattern, &at.resource, &at.subresource))
                }
            }
    }
}

fn has(list: &[&str], wanted: &str) -> bool {
    list.iter().any(|entry| *entry == "*" || *entry == wanted)
}

fn path_matches(pattern: &str, path: &str) -> bool {
    pattern.strip_suffix('*').map_or(pattern == path, |prefix| path.starts_with(prefix))
}

fn resource_matches(pattern: &str, resource: &str, subresource: &str) -> bool {
    match pattern.split_once('/') {
        _ if pattern == "*" => true,
        None => subresource.is_empty() && pattern == resource,
        Some((parent, child)) => child == subresource && (parent == "*" || parent == resource),
    }
}

const READ: &[&str] = &["get", "list", "watch"];
const EVENT_GROUPS: &[&str] = &["", "events.k8s.io"];
const EVENTS: Rule = Rule::resources(&["create", "patch", "update"], EVENT_GROUPS, &["events"]);
const LEASES: Rule = Rule::resources(
    &["create", "delete", "get", "list", "patch", "update", "watch"],
    &["coordination.k8s.io"],
    &["leases"],
);
const REVIEWS: [Rule; 2] = [
    Rule::resources(&["create"], &["authentication.k8s.io"], &["tokenreviews"]),
    Rule::resources(&["create"], &["authorization.k8s.io"], &["localsubjectaccessreviews", "subjectaccessreviews"]),
];

/// All roles.
pub static ROLES: &[Role] = &[
    Role {
        name: "system:public-info-viewer",
        subjects: &[Subject::Group(AUTHENTICATED), Subject::Group(UNAUTHENTICATED)],
        rules: &[Rule::paths(&["get"], &["/healthz", "/livez", "/readyz", "/version", "/version/"])],
    },
    Role {
        name: "system:discovery",
        subjects: &[Subject::Group(AUTHENTICATED)],
        rules: &[Rule::paths(
            &["get"],
            &[
                "/api",
                "/api/*",
                "/apis",
                "/apis/*",
                "/healthz",
                "/livez",
                "/openapi",
                "/openapi/*",
                "/readyz",
                "/version",
                "/version/",
            ],
        )],
    },
    Role {
        name: "system:service-account-issuer-discovery",
        subjects: &[Subject::Group(SERVICE_ACCOUNTS)],
        rules: &[Rule::paths(&["get"], &["/.well-known/openid-configuration", "/openid/v1/jwks"])],
    },
    Role {
        name: "system:basic-user",
        subjects: &[Subject::Group(AUTHENTICATED)],
        rules: &[
            Rule::resources(
                &["create"],
                &["authorization.k8s.io"],
                &["selfsubjectaccessreviews", "selfsubjectrulesreviews"],
            ),
            Rule::resources(&["create"], &["authentication.k8s.io"], &["selfsubjectreviews"]),
        ],
    },
    Role {
        name: "system:kube-scheduler",
        subjects: &[Subject::User("system:kube-scheduler")],
        rules: &[
            EVENTS,
            LEASES,
            Rule::resources(READ, &[""], &["nodes", "namespaces"]),
            Rule::resources(&["delete", "get", "list", "watch"], &[""], &["pods"]),
            Rule::resources(&["create"], &[""], &["bindings", "pods/binding"]),
            Rule::resources(&["patch", "update"], &[""], &["pods/status"]),
            Rule::resources(
                READ,
                &[""],
                &["replicationcontrollers", "services", "persistentvolumeclaims", "persistentvolumes"],
            ),
            Rule::resources(&["patch", "update"], &[""], &["persistentvolumeclaims", "persistentvolumes"]),
            Rule::resources(READ, &["apps"], &["replicasets", "statefulsets"]),
            Rule::resources(READ, &["policy"], &["poddisruptionbudgets"]),
            Rule::resources(
                READ,
                &["storage.k8s.io"],
                &["csinodes", "csidrivers", "csistoragecapacities", "storageclasses", "volumeattachments"],
            ),
            REVIEWS[0],
            REVIEWS[1],
        ],
    },
    // Upstream gives each controller a role of its own; in one process one identity carries their sum.
    Role {
        name: "system:kube-controller-manager",
        subjects: &[Subject::User("system:kube-controller-manager")],
        rules: &[Rule::resources(
            &["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"],
            &["*"],
            &["*"],
        )],
    },
    Role {
        name: "system:node",
        subjects: &[Subject::Group(NODES)],
        rules: &[
            EVENTS,
            LEASES,
            REVIEWS[0],
            REVIEWS[1],
            Rule::resources(&["create", "get", "list", "watch", "patch", "update"], &[""], &["nodes"]),
            Rule::resources(&["patch", "update"], &[""], &["nodes/status", "pods/status"]),
            Rule::resources(&["create", "delete", "get", "list", "watch"], &[""], &["pods"]),
            Rule::resources(&["create"], &[""], &["pods/eviction"]),
            Rule::resources(READ, &[""], &["services"]),
            Rule::resources(&["get"], &[""], &["serviceaccounts"]),
            Rule::resources(READ, &["node.k8s.io"], &["runtimeclasses"]),
            Rule::resources(&["create", "delete", "get", "patch", "update"], &["storage.k8s.io"], &["csinodes"]),
            Rule::resources(READ, &["storage.k8s.io"], &["csidrivers"]),
            Rule::resources(
                &["create", "get", "list", "watch"],
                &["certificates.k8s.io"],
                &["certificatesigningrequests"],
            ),
        ],
    },
    Role {
        name: "system:node-proxier",
        subjects: &[Subject::User("system:kube-proxy")],
        rules: &[
            EVENTS,
            Rule::resources(READ, &[""], &["nodes", "services", "endpoints"]),
            Rule::resources(READ, &["discovery.k8s.io"], &["endpointslices"]),
            Rule::resources(READ, &["networking.k8s.io"], &["servicecidrs"]),
        ],
    },
];
