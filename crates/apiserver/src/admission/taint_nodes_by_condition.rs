//! A new node takes no Pods until it is known to be ready.

use api::Object;
use api::k8s_openapi::api::core::v1::{Node, Taint};
use async_trait::async_trait;

use super::{Attributes, Operation, Plugin};
use crate::error::Error;

const NOT_READY: &str = "node.kubernetes.io/not-ready";
const NO_SCHEDULE: &str = "NoSchedule";

/// The plugin.
pub struct TaintNodesByCondition;

#[async_trait]
impl Plugin for TaintNodesByCondition {
    async fn admit(&self, attributes: &Attributes<'_>, object: &mut dyn Object) -> Result<(), Error> {
        if attributes.operation != Operation::Create || !attributes.is("nodes", "") {
            return Ok(());
        }
        let Some(node) = object.as_any_mut().downcast_mut::<Node>() else { return Ok(()) };
        let taints = node.spec.get_or_insert_default().taints.get_or_insert_default();
        if !taints.iter().any(|taint| taint.key == NOT_READY && taint.effect == NO_SCHEDULE) {
            taints.push(Taint { key: NOT_READY.to_owned(), effect: NO_SCHEDULE.to_owned(), ..Taint::default() });
        }
        Ok(())
    }
}
