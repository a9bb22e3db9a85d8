//! The priority of a Pod follows from its class, or from the class for Pods that name none.

use std::sync::Arc;

use api::Object;
use api::k8s_openapi::api::core::v1::{Pod, PodSpec};
use api::k8s_openapi::api::scheduling::v1::PriorityClass;
use api::scheduling::v1::priority_class::{PREEMPT_LOWER_PRIORITY, SYSTEM_CLASSES};
use async_trait::async_trait;

use super::{Attributes, Operation, Plugin};
use crate::error::Error;
use crate::watch_cache::Item;

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
            Operation::Create => assign(spec, &typed(&classes(attributes).await)),
            Operation::Update | Operation::Delete => {
                keep(spec, attributes.old);
                Ok(())
            }
        };
        outcome.map_err(|reason| attributes.forbidden(object, reason))
    }

    async fn validate(&self, attributes: &Attributes<'_>, object: &dyn Object) -> Result<(), Error> {
        let Some(class) = object.as_any().downcast_ref::<PriorityClass>() else { return Ok(()) };
        let name = class.metadata.name.as_deref().unwrap_or_default();
        if attributes.operation == Operation::Delete {
            let of_the_system = SYSTEM_CLASSES.iter().any(|(known, ..)| *known == name);
            let reason = "this is a system priority class and cannot be deleted";
            return if of_the_system { Err(attributes.forbidden(object, reason)) } else { Ok(()) };
        }
        if class.global_default != Some(true) {
            return Ok(());
        }
        let classes = classes(attributes).await;
        let classes = typed(&classes);
        let other =
            default_of(&classes).and_then(|class| class.metadata.name.as_deref()).filter(|other| *other != name);
        match other {
            None => Ok(()),
            Some(other) => {
                let reason = format!("PriorityClass {other} is already marked as default. Only one default can exist");
                Err(attributes.forbidden(object, reason))
            }
        }
    }
}

/// Every Pod that is created asks for these, so they are not decoded each time.
async fn classes(attributes: &Attributes<'_>) -> Arc<[Arc<Item<PriorityClass>>]> {
    attributes.server.caches.settled().await;
    attributes.server.priority_classes.all()
}

fn typed(classes: &[Arc<Item<PriorityClass>>]) -> Vec<&PriorityClass> {
    classes.iter().filter_map(|item| item.object()).collect()
}

/// The class of Pods that name none: the one of least value, should several be marked.
fn default_of<'a>(classes: &[&'a PriorityClass]) -> Option<&'a PriorityClass> {
    classes.iter().copied().filter(|class| class.global_default == Some(true)).min_by_key(|class| class.value)
}

fn assign(spec: &mut PodSpec, classes: &[&PriorityClass]) -> Result<(), String> {
    let class = match spec.priority_class_name.as_deref().unwrap_or_default() {
        "" => default_of(classes),
        name => {
            let named = classes.iter().copied().find(|class| class.metadata.name.as_deref() == Some(name));
            Some(named.ok_or_else(|| format!("no PriorityClass with name {name} was found"))?)
        }
    };
    let priority = class.and_then(|class| class.value).unwrap_or(0);
    let policy = class.and_then(|class| class.preemption_policy.as_deref()).unwrap_or(PREEMPT_LOWER_PRIORITY);
    if let Some(given) = spec.priority.filter(|given| *given != priority) {
        return Err(format!(
            "the integer value of priority ({given}) must not be provided in pod spec; priority admission controller \
             computed {priority} from the given PriorityClass name"
        ));
    }
    if let Some(given) = spec.preemption_policy.as_deref().filter(|given| *given != policy) {
        return Err(format!(
            "the string value of PreemptionPolicy ({given}) must not be provided in pod spec; priority admission \
             controller computed {policy} from the given PriorityClass name"
        ));
    }
    spec.priority = Some(priority);
    spec.preemption_policy = Some(policy.to_owned());
    if let Some(class) = class {
        spec.priority_class_name.clone_from(&class.metadata.name);
    }
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
