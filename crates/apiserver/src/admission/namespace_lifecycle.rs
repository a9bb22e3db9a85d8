//! Objects live in namespaces that exist and are not on their way out; some namespaces stay.

use api::Object;
use async_trait::async_trait;

use super::{Attributes, Operation, Plugin};
use crate::error::{Cause, Error, GroupResource};

/// Namespaces nobody can delete.
const PERMANENT: [&str; 3] = ["default", "kube-system", "kube-public"];
const NAMESPACES: GroupResource = GroupResource { group: "", resource: "namespaces" };

/// The plugin.
pub struct NamespaceLifecycle;

#[async_trait]
impl Plugin for NamespaceLifecycle {
    async fn admit(&self, attributes: &Attributes<'_>, object: &mut dyn Object) -> Result<(), Error> {
        if attributes.namespace.is_empty() || attributes.is("namespaces", attributes.subresource) {
            return Ok(());
        }
        let namespace = attributes.namespace;
        let phase = attributes.server.namespace_phase(namespace).await;
        let phase = phase.ok_or_else(|| Error::not_found(NAMESPACES, namespace))?;
        if attributes.operation != Operation::Create || phase != "Terminating" {
            return Ok(());
        }
        let cause = Cause {
            reason: "NamespaceTerminating",
            message: format!("namespace {namespace} is being terminated"),
            field: "metadata.namespace".to_owned(),
        };
        let reason = format!("unable to create new content in namespace {namespace} because it is being terminated");
        Err(attributes.forbidden_because(object, reason, vec![cause]))
    }

    async fn validate(&self, attributes: &Attributes<'_>, object: &dyn Object) -> Result<(), Error> {
        let delete = attributes.operation == Operation::Delete && attributes.is("namespaces", "");
        if delete && PERMANENT.contains(&attributes.name) {
            return Err(attributes.forbidden(object, "this namespace may not be deleted"));
        }
        Ok(())
    }
}
