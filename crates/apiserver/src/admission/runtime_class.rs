//! A Pod can ask for a RuntimeClass that exists. Until they are served, none does.

use api::Object;
use api::k8s_openapi::api::core::v1::Pod;
use async_trait::async_trait;

use super::{Attributes, Operation, Plugin};
use crate::error::Error;

/// The plugin.
pub struct RuntimeClass;

#[async_trait]
impl Plugin for RuntimeClass {
    async fn admit(&self, attributes: &Attributes<'_>, object: &mut dyn Object) -> Result<(), Error> {
        if attributes.operation != Operation::Create || !attributes.is("pods", "") {
            return Ok(());
        }
        let spec = object.as_any().downcast_ref::<Pod>().and_then(|pod| pod.spec.as_ref());
        let reason = match spec.map(|spec| (spec.runtime_class_name.as_deref(), &spec.overhead)) {
            Some((Some(name), _)) => format!("pod rejected: RuntimeClass \"{name}\" not found"),
            Some((None, Some(overhead))) if !overhead.is_empty() => {
                "pod rejected: Pod Overhead set without corresponding RuntimeClass defined Overhead".to_owned()
            }
            _ => return Ok(()),
        };
        Err(attributes.forbidden(object, reason))
    }
}
