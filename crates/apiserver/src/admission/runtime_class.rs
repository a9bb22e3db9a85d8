//! A Pod can ask for a RuntimeClass that exists; the class adds its overhead and says which nodes have it.

use api::Object;
use api::k8s_openapi::api::core::v1::{Pod, PodSpec};
use api::k8s_openapi::api::node::v1::RuntimeClass as Class;
use async_trait::async_trait;

use super::{Attributes, Operation, Plugin};
use crate::error::Error;

mod tolerations;

use tolerations::merge;

const MISMATCH: &str = "pod rejected: Pod's Overhead doesn't match RuntimeClass's defined Overhead";
const UNFOUNDED: &str = "pod rejected: Pod Overhead set without corresponding RuntimeClass defined Overhead";

/// The plugin.
pub struct RuntimeClass;

#[async_trait]
impl Plugin for RuntimeClass {
    async fn admit(&self, attributes: &Attributes<'_>, object: &mut dyn Object) -> Result<(), Error> {
        if attributes.operation != Operation::Create || !attributes.is("pods", "") {
            return Ok(());
        }
        let spec = object.as_any_mut().downcast_mut::<Pod>().and_then(|pod| pod.spec.as_mut());
        let Some(spec) = spec else { return Ok(()) };
        let outcome = match spec.runtime_class_name.clone() {
            None if spec.overhead.as_ref().is_some_and(|overhead| !overhead.is_empty()) => Err(UNFOUNDED.to_owned()),
            None => Ok(()),
            Some(name) => {
                let classes: Vec<Class> = attributes.server.all("node.k8s.io", "runtimeclasses").await?;
                let class = classes.iter().find(|class| class.metadata.name.as_deref() == Some(name.as_str()));
                match class {
                    None => Err(format!("pod rejected: RuntimeClass \"{name}\" not found")),
                    Some(class) => set_overhead(spec, class).and_then(|()| set_scheduling(spec, class)),
                }
            }
        };
        outcome.map_err(|reason| attributes.forbidden(object, reason))
    }
}

fn set_overhead(spec: &mut PodSpec, class: &Class) -> Result<(), String> {
    let overhead = class.overhead.as_ref().and_then(|overhead| overhead.pod_fixed.as_ref());
    let given = spec.overhead.as_ref().filter(|given| !given.is_empty());
    match (overhead, given) {
        (None, Some(_)) => Err(UNFOUNDED.to_owned()),
        (Some(overhead), Some(given)) if overhead != given => Err(MISMATCH.to_owned()),
        (Some(overhead), _) => {
            spec.overhead = Some(overhead.clone());
            Ok(())
        }
        (None, None) => Ok(()),
    }
}

fn set_scheduling(spec: &mut PodSpec, class: &Class) -> Result<(), String> {
    let Some(scheduling) = &class.scheduling else { return Ok(()) };
    for (key, value) in scheduling.node_selector.iter().flatten() {
        let selector = spec.node_selector.get_or_insert_default();
        if let Some(other) = selector.get(key).filter(|other| *other != value) {
            return Err(format!(
                "conflict: runtimeClass.scheduling.nodeSelector[{key}] = {value}; pod.spec.nodeSelector[{key}] = {other}"
            ));
        }
        selector.insert(key.clone(), value.clone());
    }
    if let Some(more) = scheduling.tolerations.as_ref().filter(|more| !more.is_empty()) {
        let all = spec.tolerations.iter().flatten().chain(more).cloned().collect::<Vec<_>>();
        spec.tolerations = Some(merge(&all));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_class_adds_its_overhead_and_its_nodes() {
        let class: Class = serde_json::from_value(json!({
            "handler": "h", "overhead": {"podFixed": {"cpu": "100m"}},
            "scheduling": {"nodeSelector": {"a": "b"}, "tolerations": [{"key": "k", "operator": "Exists"}]},
        }))
        .unwrap();
        let mut spec = PodSpec::default();
        set_overhead(&mut spec, &class).unwrap();
        set_scheduling(&mut spec, &class).unwrap();
        set_scheduling(&mut spec, &class).unwrap();
        assert_eq!(spec.overhead.as_ref().unwrap()["cpu"].0, "100m");
        assert_eq!(
            (spec.node_selector.as_ref().unwrap()["a"].as_str(), spec.tolerations.as_ref().unwrap().len()),
            ("b", 1)
        );
        spec.overhead = Some([("cpu".to_owned(), serde_json::from_value(json!("1")).unwrap())].into());
        assert_eq!(set_overhead(&mut spec, &class).unwrap_err(), MISMATCH);
        assert_eq!(set_overhead(&mut spec, &Class::default()).unwrap_err(), UNFOUNDED);
        spec.node_selector = Some([("a".to_owned(), "c".to_owned())].into());
        assert!(set_scheduling(&mut spec, &class).unwrap_err().starts_with("conflict: "));
    }
}
