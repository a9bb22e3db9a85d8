//! The priority of a Pod follows from its class. Until PriorityClasses are served there are the two built-in ones.

use api::Object;
use api::k8s_openapi::api::core::v1::{Pod, PodSpec};
use async_trait::async_trait;

use super::{Attributes, Operation, Plugin};
use crate::error::Error;

/// The classes every cluster has.
const BUILT_IN: [(&str, i32); 2] =
    [("system-cluster-critical", 2_000_000_000), ("system-node-critical", 2_000_001_000)];
const DEFAULT_POLICY: &str = "PreemptLowerPriority";

/// The plugin.
pub struct Priority;

#[async_trait]
impl Plugin for Priority {
    async fn admit(&self, attributes: &Attributes<'_>, object: &mut dyn Object) -> Result<(), Error> {
        if !attributes.is("pods", "") {
            return Ok(());
        }
        let Some(spec) = object.as_any_mut().downcast_mut::<Pod>().and_then(|pod| pod.spec.as_mut()) else {
            return Ok(());
        };
        let outcome = match attributes.operation {
            Operation::Create => assign(spec),
            Operation::Update | Operation::Delete => {
                keep(spec, attributes.old);
                Ok(())
            }
        };
        outcome.map_err(|reason| attributes.forbidden(object, reason))
    }
}

fn assign(spec: &mut PodSpec) -> Result<(), String> {
    let priority = match spec.priority_class_name.as_deref().unwrap_or_default() {
        "" => 0,
        name => {
            let class = BUILT_IN.iter().find(|(class, _)| *class == name);
            class.ok_or_else(|| format!("no PriorityClass with name {name} was found"))?.1
        }
    };
    if let Some(given) = spec.priority.filter(|given| *given != priority) {
        return Err(format!(
            "the integer value of priority ({given}) must not be provided in pod spec; priority admission controller \
             computed {priority} from the given PriorityClass name"
        ));
    }
    if let Some(given) = spec.preemption_policy.as_deref().filter(|given| *given != DEFAULT_POLICY) {
        return Err(format!(
            "the string value of PreemptionPolicy ({given}) must not be provided in pod spec; priority admission \
             controller computed {DEFAULT_POLICY} from the given PriorityClass name"
        ));
    }
    spec.priority = Some(priority);
    spec.preemption_policy = Some(DEFAULT_POLICY.to_owned());
    Ok(())
}

/// Clients that leave these fields out of an update do not mean to clear them.
fn keep(spec: &mut PodSpec, old: Option<&dyn Object>) {
    let old = old.and_then(|old| old.as_any().downcast_ref::<Pod>()).and_then(|pod| pod.spec.as_ref());
    let Some(old) = old else { return };
    spec.priority = spec.priority.or(old.priority);
    if spec.preemption_policy.is_none() {
        spec.preemption_policy.clone_from(&old.preemption_policy);
    }
}
