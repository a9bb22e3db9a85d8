//! What the cluster wants of objects beyond their own rules: plugins in a listed order, first those that change the
//! object, and after validation those that only look.

use std::sync::{Mutex, PoisonError};

use api::Object;
use async_trait::async_trait;

use crate::api_server::Server;
use crate::audit::Annotations;
use crate::error::{Cause, Error};
use crate::identity::UserInfo;
use crate::registry::Resource;

mod always_pull_images;
mod certificates;
mod configuration;
mod default_ingress_class;
mod default_toleration_seconds;
mod limit_ranger;
mod namespace_lifecycle;
mod node_restriction;
mod owner_references;
mod plugins;
mod pod_security;
mod pod_topology_labels;
mod priority;
mod resource_quota;
mod role_escalation;
mod runtime_class;
mod service_account;
mod storage;
mod taint_nodes_by_condition;

pub use configuration::{Configuration, ConfigurationError};
pub use plugins::Plugins;
pub use resource_quota::{Charges, Turns};

/// What a request does to an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operation {
    /// Creates it.
    Create,
    /// Replaces it.
    Update,
    /// Deletes it.
    Delete,
}

/// What plugins know of a request.
#[derive(Clone, Copy)]
pub struct Attributes<'a> {
    /// The server, for what is in its caches.
    pub server: &'a Server,
    /// The resource.
    pub resource: &'static Resource,
    /// The subresource, or empty.
    pub subresource: &'a str,
    /// What is done.
    pub operation: Operation,
    /// The namespace, or empty.
    pub namespace: &'a str,
    /// The object's name; empty while it is not generated.
    pub name: &'a str,
    /// Who does it.
    pub user: &'a UserInfo,
    /// The present object, for updates and deletes.
    pub old: Option<&'a dyn Object>,
    /// Whether nothing will be stored.
    pub dry_run: bool,
    /// What quotas are charged for this attempt.
    pub charges: &'a Charges,
    /// What the client will be told on the side.
    pub warnings: &'a Mutex<Vec<String>>,
    /// What the audit log will be told on the side.
    pub annotations: &'a Annotations,
}

impl Attributes<'_> {
    /// Whether the request is about a core resource itself, or one of its subresources.
    pub fn is(&self, plural: &str, subresource: &str) -> bool {
        self.resource.info.plural == plural && self.resource.gvk().group.is_empty() && self.subresource == subresource
    }

    /// Tells the client something on the side.
    pub fn warn(&self, text: impl Into<String>) {
        self.warnings.lock().unwrap_or_else(PoisonError::into_inner).push(text.into());
    }

    /// A refusal.
    pub fn forbidden(&self, object: &dyn Object, reason: impl Into<String>) -> Error {
        self.forbidden_because(object, reason, Vec::new())
    }

    /// A refusal with causes.
    pub fn forbidden_because(&self, object: &dyn Object, reason: impl Into<String>, causes: Vec<Cause>) -> Error {
        let meta = object.metadata();
        let set = |field: &Option<String>| field.clone().filter(|text| !text.is_empty());
        let own = Some(self.name.to_owned()).filter(|name| !name.is_empty());
        // Generated names do not exist yet.
        let name = own.or_else(|| set(&meta.name)).or_else(|| set(&meta.generate_name));
        let name = name.unwrap_or_else(|| "Unknown".to_owned());
        Error::Forbidden { resource: self.resource.group_resource(), name, reason: reason.into(), causes }
    }
}

/// One plugin.
#[async_trait]
trait Plugin: Send + Sync {
    /// Changes the object, or refuses the request. Not called for deletes.
    async fn admit(&self, _attributes: &Attributes<'_>, _object: &mut dyn Object) -> Result<(), Error> {
        Ok(())
    }

    /// Refuses the request. For deletes, the object is the present one.
    async fn validate(&self, _attributes: &Attributes<'_>, _object: &dyn Object) -> Result<(), Error> {
        Ok(())
    }
}

/// Lets plugins change an object that is to be created or updated.
///
/// # Errors
/// The first refusal.
pub async fn admit(attributes: &Attributes<'_>, object: &mut dyn Object) -> Result<(), Error> {
    for plugin in attributes.server.plugins.iter() {
        plugin.admit(attributes, object).await?;
    }
    Ok(())
}

/// Lets plugins refuse a request.
///
/// # Errors
/// The first refusal.
pub async fn validate(attributes: &Attributes<'_>, object: &dyn Object) -> Result<(), Error> {
    for plugin in attributes.server.plugins.iter() {
        plugin.validate(attributes, object).await?;
    }
    Ok(())
}
