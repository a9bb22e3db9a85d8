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
        match spec.and_then(|spec| spec.runtime_class_name.as_deref()) {
            None => Ok(()),
            Some(name) => {
                let reason = format!("pod rejected: RuntimeClass \"{name}\" not found");
                Err(attributes.forbidden(object, reason))
            }
        }
    }
}
