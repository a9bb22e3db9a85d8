//! Images are always pulled, so that nobody uses a private one without being allowed to.

use api::Object;
use api::field::{self, Path};
use api::k8s_openapi::api::core::v1::Pod;
use async_trait::async_trait;

use super::{Attributes, Operation, Plugin};
use crate::error::Error;

const ALWAYS: &str = "Always";

/// The plugin.
pub struct AlwaysPullImages;

#[async_trait]
impl Plugin for AlwaysPullImages {
    async fn admit(&self, attributes: &Attributes<'_>, object: &mut dyn Object) -> Result<(), Error> {
        if !concerns(attributes) {
            return Ok(());
        }
        if let Some(pod) = object.as_any_mut().downcast_mut::<Pod>() {
            policies(pod).into_iter().for_each(|(_, policy)| *policy = Some(ALWAYS.to_owned()));
        }
        Ok(())
    }

    async fn validate(&self, attributes: &Attributes<'_>, object: &dyn Object) -> Result<(), Error> {
        if !concerns(attributes) {
            return Ok(());
        }
        let Some(mut pod) = object.as_any().downcast_ref::<Pod>().cloned() else { return Ok(()) };
        let other = policies(&mut pod).into_iter().find(|(_, policy)| policy.as_deref() != Some(ALWAYS));
        let Some((path, policy)) = other else { return Ok(()) };
        let problem = field::not_supported(&Path::new(&path), policy.clone().unwrap_or_default(), &[ALWAYS]);
        Err(attributes.forbidden(object, problem.to_string()))
    }
}

fn concerns(attributes: &Attributes<'_>) -> bool {
    let ephemeral = attributes.is("pods", "ephemeralcontainers");
    attributes.operation != Operation::Delete && (attributes.is("pods", "") || ephemeral)
}

/// The pull policies of all containers and where they stand.
fn policies(pod: &mut Pod) -> Vec<(String, &mut Option<String>)> {
    let Some(spec) = &mut pod.spec else { return Vec::new() };
    let place = |list: &str, index: usize| format!("spec.{list}[{index}].imagePullPolicy");
    let init = spec.init_containers.iter_mut().flatten().map(|container| &mut container.image_pull_policy);
    let own = spec.containers.iter_mut().map(|container| &mut container.image_pull_policy);
    let ephemeral = spec.ephemeral_containers.iter_mut().flatten().map(|container| &mut container.image_pull_policy);
    let init = init.enumerate().map(|(index, policy)| (place("initContainers", index), policy));
    let own = own.enumerate().map(|(index, policy)| (place("containers", index), policy));
    let ephemeral = ephemeral.enumerate().map(|(index, policy)| (place("ephemeralContainers", index), policy));
    init.chain(own).chain(ephemeral).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn every_kind_of_container_is_found() {
        let mut pod: Pod = serde_json::from_value(json!({"spec": {
            "containers": [{"name": "a", "imagePullPolicy": "Never"}],
            "initContainers": [{"name": "b"}],
            "ephemeralContainers": [{"name": "c"}],
        }}))
        .unwrap();
        let found: Vec<String> = policies(&mut pod).into_iter().map(|(path, _)| path).collect();
        let wanted = ["initContainers", "containers", "ephemeralContainers"];
        assert_eq!(found, wanted.map(|list| format!("spec.{list}[0].imagePullPolicy")));
    }
}
