//! A container's environment.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use k8s_openapi::api::core::v1::{ConfigMap, Container, EnvFromSource, EnvVar, EnvVarSource, Pod, Secret};

use super::command::expand;
use super::env_file;
use super::{ConfigError, field_ref};
use crate::pod;

/// The ConfigMaps and Secrets of one Pod that its environment refers to; `None` for one that does not exist.
#[derive(Debug, Clone, Default)]
pub struct EnvObjects {
    /// By name.
    pub config_maps: BTreeMap<String, Option<Arc<ConfigMap>>>,
    /// By name.
    pub secrets: BTreeMap<String, Option<Arc<Secret>>>,
}

/// Names of the objects that the environment of some containers refers to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct EnvReferences {
    /// ConfigMaps.
    pub config_maps: BTreeSet<String>,
    /// Secrets.
    pub secrets: BTreeSet<String>,
}

impl EnvReferences {
    /// Adds what one container refers to.
    pub fn add(&mut self, container: &Container) {
        for source in container.env_from.iter().flatten() {
            self.config_maps.extend(source.config_map_ref.iter().map(|reference| reference.name.clone()));
            self.secrets.extend(source.secret_ref.iter().map(|reference| reference.name.clone()));
        }
        for source in container.env.iter().flatten().filter_map(|variable| variable.value_from.as_ref()) {
            self.config_maps.extend(source.config_map_key_ref.iter().map(|reference| reference.name.clone()));
            self.secrets.extend(source.secret_key_ref.iter().map(|reference| reference.name.clone()));
        }
    }
}

/// The content of files that an environment refers to, by volume and path; `None` for what could not be read.
pub type EnvFiles = BTreeMap<(String, String), Option<String>>;

/// What values can refer to besides objects.
#[derive(Debug, Clone, Copy)]
pub struct EnvFacts<'a> {
    /// The Pod, its status' addresses aside.
    pub pod: &'a Pod,
    /// The Pod's addresses.
    pub pod_ips: &'a [String],
    /// The node's addresses.
    pub host_ips: &'a [String],
    /// What every container is told; anything the Pod says outranks it.
    pub services: &'a [(String, String)],
    /// The files of its volumes that variables come from.
    pub files: &'a EnvFiles,
    /// What a container without limits may use.
    pub allocatable: &'a field_ref::Allocatable,
}

/// The environment in order: Services, `envFrom`, then `env`, where later ones replace earlier ones of the same name and
/// `$(NAME)` refers to what came before.
///
/// # Errors
/// When something that is not optional is missing.
pub fn environment(
    container: &Container,
    objects: &EnvObjects,
    facts: EnvFacts<'_>,
) -> Result<Vec<(String, String)>, ConfigError> {
    let mut variables = Variables { ordered: facts.services.to_vec() };
    for source in container.env_from.iter().flatten() {
        add_from(source, objects, &mut variables)?;
    }
    for variable in container.env.iter().flatten() {
        if let Some(value) = value_of(variable, container, objects, facts, &variables)? {
            variables.set(&variable.name, value);
        }
    }
    Ok(variables.ordered)
}

struct Variables {
    ordered: Vec<(String, String)>,
}

impl Variables {
    fn set(&mut self, name: &str, value: String) {
        match self.ordered.iter_mut().find(|(key, _)| key == name) {
            Some((_, old)) => *old = value,
            None => self.ordered.push((name.to_owned(), value)),
        }
    }

    fn get(&self, name: &str) -> Option<String> {
        self.ordered.iter().find(|(key, _)| key == name).map(|(_, value)| value.clone())
    }
}

fn add_from(source: &EnvFromSource, objects: &EnvObjects, variables: &mut Variables) -> Result<(), ConfigError> {
    let prefix = source.prefix.as_deref().unwrap_or_default();
    if let Some(reference) = &source.config_map_ref {
        match objects.config_maps.get(&reference.name).and_then(Option::as_ref) {
            Some(config_map) => {
                for (key, value) in config_map.data.iter().flatten() {
                    variables.set(&format!("{prefix}{key}"), value.clone());
                }
            }
            None if reference.optional == Some(true) => {}
            None => return Err(ConfigError::ConfigMapNotFound(reference.name.clone())),
        }
    }
    if let Some(reference) = &source.secret_ref {
        match objects.secrets.get(&reference.name).and_then(Option::as_ref) {
            Some(secret) => {
                for (key, value) in secret.data.iter().flatten() {
                    variables.set(&format!("{prefix}{key}"), String::from_utf8_lossy(&value.0).into_owned());
                }
            }
            None if reference.optional == Some(true) => {}
            None => return Err(ConfigError::SecretNotFound(reference.name.clone())),
        }
    }
    Ok(())
}

/// The value, or nothing for something optional that is missing.
fn value_of(
    variable: &EnvVar,
    container: &Container,
    objects: &EnvObjects,
    facts: EnvFacts<'_>,
    before: &Variables,
) -> Result<Option<String>, ConfigError> {
    let literal = variable.value.as_deref().unwrap_or_default();
    match &variable.value_from {
        Some(source) if literal.is_empty() => value_from(source, container, objects, facts),
        _ => Ok(Some(expand(literal, |name| before.get(name)))),
    }
}

fn value_from(
    source: &EnvVarSource,
    container: &Container,
    objects: &EnvObjects,
    facts: EnvFacts<'_>,
) -> Result<Option<String>, ConfigError> {
    if let Some(reference) = &source.field_ref {
        return field_ref::pod_field(facts.pod, &reference.field_path, facts.pod_ips, facts.host_ips).map(Some);
    }
    if let Some(reference) = &source.resource_field_ref {
        let name = reference.container_name.as_deref().filter(|name| !name.is_empty());
        return field_ref::resource_field(facts.pod, name.unwrap_or(&container.name), reference, facts.allocatable)
            .map(Some);
    }
    let namespace = pod::namespace(facts.pod).to_owned();
    if let Some(reference) = &source.config_map_key_ref {
        let optional = reference.optional == Some(true);
        let found = objects.config_maps.get(&reference.name).and_then(Option::as_ref);
        let value = found.map(|map| map.data.as_ref().and_then(|data| data.get(&reference.key)).cloned());
        return match value {
            Some(Some(value)) => Ok(Some(value)),
            _ if optional => Ok(None),
            None => Err(ConfigError::ConfigMapNotFound(reference.name.clone())),
            Some(None) => Err(ConfigError::ConfigMapKeyNotFound {
                key: reference.key.clone(),
                namespace,
                name: reference.name.clone(),
            }),
        };
    }
    if let Some(reference) = &source.secret_key_ref {
        let optional = reference.optional == Some(true);
        let found = objects.secrets.get(&reference.name).and_then(Option::as_ref);
        let value = found.map(|secret| secret.data.as_ref().and_then(|data| data.get(&reference.key)));
        return match value {
            Some(Some(value)) => Ok(Some(String::from_utf8_lossy(&value.0).into_owned())),
            _ if optional => Ok(None),
            None => Err(ConfigError::SecretNotFound(reference.name.clone())),
            Some(None) => Err(ConfigError::SecretKeyNotFound {
                key: reference.key.clone(),
                namespace,
                name: reference.name.clone(),
            }),
        };
    }
    if let Some(reference) = &source.file_key_ref {
        let file = (reference.volume_name.clone(), reference.path.clone());
        let content = facts.files.get(&file).and_then(Option::as_deref).ok_or(ConfigError::EnvFile)?;
        let value = env_file::value_of(content, &reference.key).map_err(|_| ConfigError::EnvFile)?;
        // Upstream does not tell what is empty from what is not there.
        return match value.filter(|value| !value.is_empty()) {
            None if reference.optional != Some(true) => {
                Err(ConfigError::EnvFileKeyNotFound { key: reference.key.clone(), path: reference.path.clone() })
            }
            value => Ok(value),
        };
    }
    Ok(Some(String::new()))
}
