//! One row of the registry: what discovery tells of a resource, and what is behind it.

use api::{Gvk, Object};

use super::ResourceInfo;
use super::strategy::{AnyStrategy, Part};
use crate::error::GroupResource;
use crate::watch_cache::SelectableField;

/// A resource with everything the handlers need.
pub struct Resource {
    /// What clients can know.
    pub info: ResourceInfo,
    /// What is behind it.
    pub backing: Backing,
    /// What its subresources do, by their names.
    pub actions: &'static [(&'static str, Action)],
}

/// What is behind a resource.
pub enum Backing {
    /// Objects in the store.
    Stored(Stored),
    /// Another version of a stored resource.
    View {
        /// The `<plural>` or `<group>/<plural>` it is a view of.
        of: &'static str,
        /// Rules for objects of this version.
        strategy: &'static dyn AnyStrategy,
        /// From the stored kind to this one.
        from_stored: fn(Box<dyn Object>) -> Box<dyn Object>,
        /// From this kind to the stored one.
        to_stored: fn(&dyn Object) -> Box<dyn Object>,
        /// What selectors call the stored resource's fields: here, there.
        field_names: &'static [(&'static str, &'static str)],
    },
    /// Nothing: a request is answered, not kept.
    Virtual(Virtual),
    /// Nothing: what nodes measure, read from them when somebody asks.
    Metrics(Metrics),
    /// Nothing: how the control plane's parts are, looked at when somebody asks.
    Components,
}

/// Whose use of resources is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Metrics {
    /// `nodes`
    Nodes,
    /// `pods`
    Pods,
}

/// Objects in the store.
pub struct Stored {
    /// `<plural>`, or `<group>/<plural>`: where the keys are, below the root.
    pub path: &'static str,
    /// Rules of the kind.
    pub strategy: &'static dyn AnyStrategy,
    /// What field selectors can ask for beyond name and namespace.
    pub selectable: &'static [SelectableField],
}

/// Resources that only answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Virtual {
    /// `bindings`: `pods/binding` with the name in the body.
    Binding,
    /// `tokenreviews`
    TokenReview,
    /// `selfsubjectreviews`
    SelfSubjectReview,
    /// `subjectaccessreviews`
    SubjectAccessReview,
    /// `localsubjectaccessreviews`
    LocalSubjectAccessReview,
    /// `selfsubjectaccessreviews`
    SelfSubjectAccessReview,
    /// `selfsubjectrulesreviews`
    SelfSubjectRulesReview,
}

/// What a subresource does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// Reads and writes a part of the object.
    Part(Part),
    /// Reads the object.
    Read,
    /// Reads and writes how many replicas there are; errors are about the resource named here.
    Scale(GroupResource),
    /// Assigns a Pod to a node.
    Binding,
    /// Deletes a Pod if that disrupts nothing.
    Eviction,
    /// Signs a token for a ServiceAccount.
    Token,
    /// Tells what befell a Pod: an extension of ours, not part of what discovery shows.
    Story,
    /// Is answered by the Pod's node.
    Node(NodeCall),
    /// Is answered by whatever listens in the Pod, or by the node's kubelet.
    Proxy,
}

/// What a node does for clients.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NodeCall {
    /// Container logs.
    Log,
    /// Runs a command.
    Exec,
    /// Attaches to the main process.
    Attach,
    /// Forwards ports.
    PortForward,
}

impl Resource {
    /// Group and name.
    pub fn group_resource(&self) -> GroupResource {
        GroupResource { group: self.info.gvk.group, resource: self.info.plural }
    }

    /// Group, version and kind.
    pub fn gvk(&self) -> &Gvk {
        &self.info.gvk
    }

    /// Whether it has a verb.
    pub fn allows(&self, verb: &str) -> bool {
        self.info.verbs.contains(&verb)
    }

    /// Where its objects are in the store, if they are.
    pub fn path(&self) -> Option<&'static str> {
        match &self.backing {
            Backing::Stored(stored) => Some(stored.path),
            Backing::View { of, .. } => Some(of),
            Backing::Virtual(_) | Backing::Metrics(_) | Backing::Components => None,
        }
    }

    /// The rules of its objects, if it has objects.
    pub fn strategy(&self) -> Option<&'static dyn AnyStrategy> {
        match &self.backing {
            Backing::Stored(stored) => Some(stored.strategy),
            Backing::View { strategy, .. } => Some(*strategy),
            Backing::Virtual(_) | Backing::Metrics(_) | Backing::Components => None,
        }
    }

    /// What one of its subresources does.
    pub fn action(&self, subresource: &str) -> Option<Action> {
        self.actions.iter().find(|(name, _)| *name == subresource).map(|(_, action)| *action)
    }
}
