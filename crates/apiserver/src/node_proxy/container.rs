//! Which container of a Pod a request means.

use api::k8s_openapi::api::core::v1::Pod;

use crate::error::Error;

/// The container that was asked for, or the only one.
///
/// # Errors
/// [`Error::BadRequest`] when there is no such container, or more than one to choose from.
pub fn choose_container(pod: &Pod, asked: Option<&str>) -> Result<String, Error> {
    let name = pod.metadata.name.as_deref().unwrap_or_default();
    let Some(spec) = &pod.spec else { return Err(Error::BadRequest(format!("pod {name} has no containers"))) };
    let containers: Vec<&str> = spec.containers.iter().map(|container| container.name.as_str()).collect();
    let init: Vec<&str> = spec.init_containers.iter().flatten().map(|container| container.name.as_str()).collect();
    let ephemeral: Vec<&str> =
        spec.ephemeral_containers.iter().flatten().map(|container| container.name.as_str()).collect();
    match asked.filter(|asked| !asked.is_empty()) {
        Some(asked) if containers.iter().chain(&init).chain(&ephemeral).any(|name| *name == asked) => {
            Ok(asked.to_owned())
        }
        Some(asked) => Err(Error::BadRequest(format!("container {asked} is not valid for pod {name}"))),
        None => match containers.as_slice() {
            [only] => Ok((*only).to_owned()),
            _ => {
                let mut text = format!(
                    "a container name must be specified for pod {name}, choose one of: [{}]",
                    containers.join(" ")
                );
                for (what, names) in [("init", init), ("ephemeral", ephemeral)] {
                    if !names.is_empty() {
                        text.push_str(&format!(" or one of the {what} containers: [{}]", names.join(" ")));
                    }
                }
                Err(Error::BadRequest(text))
            }
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(spec: serde_json::Value, asked: Option<&str>, expected: Result<&str, &str>) {
        let pod = serde_json::json!({"metadata": {"name": "p"}, "spec": spec});
        let pod: Pod = serde_json::from_value(pod).expect("a Pod");
        let found = choose_container(&pod, asked).map_err(|error| error.to_string());
        assert_eq!(found.as_deref().map_err(String::as_str), expected);
    }

    #[test]
    fn the_only_container_is_the_default() {
        let one = serde_json::json!({"containers": [{"name": "a"}], "initContainers": [{"name": "i"}]});
        let two = serde_json::json!({"containers": [{"name": "a"}, {"name": "b"}], "initContainers": [{"name": "i"}]});
        check(one.clone(), None, Ok("a"));
        check(one.clone(), Some("i"), Ok("i"));
        check(one, Some("x"), Err("container x is not valid for pod p"));
        check(
            two,
            None,
            Err(
                "a container name must be specified for pod p, choose one of: [a b] or one of the init containers: [i]",
            ),
        );
    }
}
