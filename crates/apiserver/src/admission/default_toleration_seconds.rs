//! Pods stay five minutes on a node that has failed, unless they say otherwise.

use api::Object;
use api::k8s_openapi::api::core::v1::{Pod, Toleration};
use async_trait::async_trait;

use super::{Attributes, Operation, Plugin};
use crate::error::Error;

const SECONDS: i64 = 300;
const TAINTS: [&str; 2] = ["node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable"];
const NO_EXECUTE: &str = "NoExecute";

/// The plugin.
pub struct DefaultTolerationSeconds;

#[async_trait]
impl Plugin for DefaultTolerationSeconds {
    async fn admit(&self, attributes: &Attributes<'_>, object: &mut dyn Object) -> Result<(), Error> {
        if !attributes.is("pods", "") || attributes.operation == Operation::Delete {
            return Ok(());
        }
        let Some(spec) = object.as_any_mut().downcast_mut::<Pod>().and_then(|pod| pod.spec.as_mut()) else {
            return Ok(());
        };
        for taint in TAINTS {
            let tolerations = spec.tolerations.get_or_insert_default();
            if !tolerations.iter().any(|toleration| tolerates(toleration, taint)) {
                tolerations.push(Toleration {
                    key: Some(taint.to_owned()),
                    operator: Some("Exists".to_owned()),
                    effect: Some(NO_EXECUTE.to_owned()),
                    toleration_seconds: Some(SECONDS),
                    ..Toleration::default()
                });
            }
        }
        Ok(())
    }
}

fn tolerates(toleration: &Toleration, taint: &str) -> bool {
    let is =
        |field: &Option<String>, wanted: &str| field.as_deref().is_none_or(|value| value.is_empty() || value == wanted);
    is(&toleration.key, taint) && is(&toleration.effect, NO_EXECUTE)
}
