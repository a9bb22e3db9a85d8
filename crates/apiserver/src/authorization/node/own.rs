//! What a node may do with what is its own by name: its Node, Lease and CSINode; and with Pods, by their node.

use crate::filters::request_info::ResourcePath;

const LEASE_NAMESPACE: &str = "kube-node-lease";
const POD_NODE: &str = "spec.nodeName";

/// A ruling that needs no look at objects, unless it says so.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ruling {
    /// It may. What it writes there is checked by the admission plugin NodeRestriction.
    Allowed,
    /// It may not, with the reason where there is one to tell.
    Refused(String),
    /// It may if the Pod is on the node.
    IfOnNode,
}

/// What holds for a resource of which nodes have some of their own; `None` for others.
pub fn rule(node: &str, verb: &str, at: &ResourcePath) -> Option<Ruling> {
    match (at.group.as_str(), at.resource.as_str()) {
        ("", "nodes") => Some(nodes(node, verb, at)),
        ("", "pods") => Some(pods(node, verb, at)),
        ("coordination.k8s.io", "leases") => Some(leases(node, verb, at)),
        ("storage.k8s.io", "csinodes") => Some(csi_nodes(node, verb, at)),
        ("resource.k8s.io", "resourceslices") => slices(node, verb, at),
        _ => None,
    }
}

fn refused(text: impl Into<String>) -> Ruling {
    Ruling::Refused(text.into())
}

fn nodes(node: &str, verb: &str, at: &ResourcePath) -> Ruling {
    match (at.subresource.as_str(), verb, at.name.as_str()) {
        ("", "create" | "update" | "patch", _) | ("status", "update" | "patch", _) => Ruling::Allowed,
        ("", "get" | "list" | "watch", name) if name == node => Ruling::Allowed,
        ("", "get" | "list" | "watch", "") => {
            refused(format!("node '{node}' cannot read all nodes, only its own Node object"))
        }
        ("", "get" | "list" | "watch", other) => {
            refused(format!("node '{node}' cannot read '{other}', only its own Node object"))
        }
        _ => refused(""),
    }
}

fn pods(node: &str, verb: &str, at: &ResourcePath) -> Ruling {
    match (at.subresource.as_str(), verb) {
        ("", "get") => Ruling::IfOnNode,
        ("", "list" | "watch") if at.fields.exact(POD_NODE) == Some(node) => Ruling::Allowed,
        ("", "list" | "watch") if !at.name.is_empty() => Ruling::IfOnNode,
        ("", "list" | "watch") => refused("can only list/watch pods with spec.nodeName field selector"),
        // Mirror Pods are made and deleted.
        ("", "create" | "delete") | ("status", "update" | "patch") | ("eviction", "create") => Ruling::Allowed,
        _ => refused(""),
    }
}

fn leases(node: &str, verb: &str, at: &ResourcePath) -> Ruling {
    match verb {
        "get" | "create" | "update" | "patch" | "delete" => {}
        _ => return refused("can only get, create, update, patch, or delete a node lease"),
    }
    if at.namespace != LEASE_NAMESPACE {
        return refused(format!("can only access leases in the {LEASE_NAMESPACE:?} system namespace"));
    }
    // Nobody knows the name of what is created yet.
    if verb != "create" && at.name != node {
        return refused("can only access node lease with the same name as the requesting node");
    }
    Ruling::Allowed
}

fn csi_nodes(node: &str, verb: &str, at: &ResourcePath) -> Ruling {
    match verb {
        "get" | "create" | "update" | "patch" | "delete" => {}
        _ => return refused("can only get, create, update, patch, or delete a CSINode"),
    }
    if !at.subresource.is_empty() {
        return refused("cannot authorize CSINode subresources");
    }
    if verb != "create" && at.name != node {
        return refused("can only access CSINode with the same name as the requesting node");
    }
    Ruling::Allowed
}

fn slices(node: &str, verb: &str, at: &ResourcePath) -> Option<Ruling> {
    match verb {
        "list" | "watch" | "deletecollection" => {}
        _ => return None,
    }
    let is_own = at.fields.exact(POD_NODE) == Some(node);
    let text = "can only list/watch/deletecollection resourceslices with nodeName field selector";
    Some(if is_own { Ruling::Allowed } else { refused(text) })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What `node-1` hears for `verb group/resource[/subresource] namespace name selector`, `-` for nothing.
    fn told(question: &str) -> String {
        let mut words = question.split(' ').map(|word| if word == "-" { "" } else { word });
        let mut next = || words.next().unwrap_or_default().to_owned();
        let (verb, resource) = (next(), next());
        let mut parts = resource.split('/').map(str::to_owned);
        let mut part = || parts.next().unwrap_or_default();
        let at = ResourcePath {
            group: part(),
            resource: part(),
            subresource: part(),
            namespace: next(),
            name: next(),
            fields: api::fields::Selector::parse(&next()).unwrap(),
            ..ResourcePath::default()
        };
        match rule("node-1", &verb, &at) {
            None => "by role".to_owned(),
            Some(Ruling::Allowed) => "yes".to_owned(),
            Some(Ruling::IfOnNode) => "on node".to_owned(),
            Some(Ruling::Refused(reason)) => format!("no: {reason}"),
        }
    }

    #[test]
    fn nodes_see_themselves_and_their_pods() {
        for (question, answer) in [
            ("get /nodes - node-1", "yes"),
            ("watch /nodes - node-1", "yes"),
            ("list /nodes", "no: node 'node-1' cannot read all nodes, only its own Node object"),
            ("get /nodes - node-2", "no: node 'node-1' cannot read 'node-2', only its own Node object"),
            ("patch /nodes/status - node-2", "yes"),
            ("delete /nodes - node-1", "no: "),
            ("get /pods ns p", "on node"),
            ("list /pods - - spec.nodeName=node-1", "yes"),
            ("watch /pods - - status.phase!=Failed,spec.nodeName=node-1", "yes"),
            ("list /pods - - spec.nodeName=node-2", "no: can only list/watch pods with spec.nodeName field selector"),
            ("list /pods - - spec.nodeName!=node-1", "no: can only list/watch pods with spec.nodeName field selector"),
            ("list /pods ns p metadata.name=p", "on node"),
            ("list /pods", "no: can only list/watch pods with spec.nodeName field selector"),
            ("update /pods ns p", "no: "),
            ("patch /pods/status ns p", "yes"),
            ("create /pods/eviction ns p", "yes"),
            ("get /pods/log ns p", "no: "),
            ("get /services ns s", "by role"),
        ] {
            assert_eq!(told(question), answer, "{question}");
        }
    }

    #[test]
    fn nodes_keep_their_lease_and_their_drivers() {
        for (question, answer) in [
            ("update coordination.k8s.io/leases kube-node-lease node-1", "yes"),
            ("create coordination.k8s.io/leases kube-node-lease", "yes"),
            (
                "list coordination.k8s.io/leases kube-node-lease",
                "no: can only get, create, update, patch, or delete a node lease",
            ),
            (
                "get coordination.k8s.io/leases ns node-1",
                "no: can only access leases in the \"kube-node-lease\" system namespace",
            ),
            (
                "get coordination.k8s.io/leases kube-node-lease node-2",
                "no: can only access node lease with the same name as the requesting node",
            ),
            ("get storage.k8s.io/csinodes - node-1", "yes"),
            (
                "get storage.k8s.io/csinodes - node-2",
                "no: can only access CSINode with the same name as the requesting node",
            ),
            ("watch storage.k8s.io/csinodes", "no: can only get, create, update, patch, or delete a CSINode"),
            ("list resource.k8s.io/resourceslices - - spec.nodeName=node-1", "yes"),
            (
                "list resource.k8s.io/resourceslices",
                "no: can only list/watch/deletecollection resourceslices with nodeName field selector",
            ),
            ("get resource.k8s.io/resourceslices - s", "by role"),
        ] {
            assert_eq!(told(question), answer, "{question}");
        }
    }
}
