//! Environment variables and where their values come from.

use k8s_openapi::api::core::v1::{
    EnvFromSource, EnvVar, EnvVarSource, FileKeySelector, ObjectFieldSelector, ResourceFieldSelector,
};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity as ApiQuantity;

use super::container::Volumes;
use super::{check_local_path, check_qualified_name, check_subdomain, require};
use crate::core::v1::pod::{ContainerRef, downward};
use crate::field::{ErrorList, Path, extend_invalid, invalid, not_found, not_supported, required};
use crate::meta::text;
use crate::names;
use crate::quantity::Quantity;

const ENV_FIELDS: &[&str] = &[
    "metadata.name",
    "metadata.namespace",
    "metadata.uid",
    "spec.nodeName",
    "spec.serviceAccountName",
    "status.hostIP",
    "status.hostIPs",
    "status.podIP",
    "status.podIPs",
];
/// The fields that can stand in files of the downward API.
pub(super) const FILE_FIELDS: &[&str] =
    &["metadata.annotations", "metadata.labels", "metadata.name", "metadata.namespace", "metadata.uid"];
const RESOURCES: &[&str] = &[
    "limits.cpu",
    "limits.ephemeral-storage",
    "limits.memory",
    "requests.cpu",
    "requests.ephemeral-storage",
    "requests.memory",
];
const BYTE_DIVISORS: &[&str] = &["1", "1k", "1M", "1G", "1T", "1P", "1E", "1Ki", "1Mi", "1Gi", "1Ti", "1Pi", "1Ei"];

pub(super) fn validate_env(
    container: &ContainerRef<'_>,
    volumes: &Volumes<'_>,
    path: &Path<'_>,
    errors: &mut ErrorList,
) {
    let list_path = path.child("env");
    for (position, variable) in container.env.into_iter().flatten().enumerate() {
        let path = list_path.index(position);
        let name_path = path.child("name");
        if variable.name.is_empty() {
            errors.push(required(&name_path, ""));
        } else {
            extend_invalid(errors, &name_path, &variable.name, names::env_var_name(&variable.name));
        }
        if let Some(source) = &variable.value_from {
            validate_source(variable, source, volumes, &path.child("valueFrom"), errors);
        }
    }
    let list_path = path.child("envFrom");
    for (position, source) in container.env_from.into_iter().flatten().enumerate() {
        validate_env_from(source, &list_path, position, errors);
    }
}

fn validate_source(
    variable: &EnvVar,
    source: &EnvVarSource,
    volumes: &Volumes<'_>,
    path: &Path<'_>,
    errors: &mut ErrorList,
) {
    let mut sources = 0;
    if let Some(selector) = &source.field_ref {
        sources += 1;
        validate_field_ref(selector, ENV_FIELDS, &path.child("fieldRef"), errors);
    }
    if let Some(selector) = &source.resource_field_ref {
        sources += 1;
        validate_resource_ref(selector, false, &path.child("resourceFieldRef"), errors);
    }
    if let Some(selector) = &source.config_map_key_ref {
        sources += 1;
        validate_key(&selector.name, &selector.key, &path.child("configMapKeyRef"), errors);
    }
    if let Some(selector) = &source.secret_key_ref {
        sources += 1;
        validate_key(&selector.name, &selector.key, &path.child("secretKeyRef"), errors);
    }
    if let Some(selector) = &source.file_key_ref {
        sources += 1;
        validate_file_key(selector, volumes, &path.child("fileKeyRef"), errors);
    }
    let message = match sources {
        0 => "must specify one of: `fieldRef`, `resourceFieldRef`, `configMapKeyRef`, `secretKeyRef` or `fileKeyRef`",
        _ if !text(&variable.value).is_empty() => "may not be specified when `value` is not empty",
        1 => return,
        _ => "may not have more than one field specified at a time",
    };
    errors.push(invalid(path, "", message));
}

/// A field of the Pod, for variables or for files.
pub(super) fn validate_field_ref(
    selector: &ObjectFieldSelector,
    fields: &[&str],
    path: &Path<'_>,
    errors: &mut ErrorList,
) {
    let version = text(&selector.api_version);
    for (field, value) in [("apiVersion", version), ("fieldPath", selector.field_path.as_str())] {
        if value.is_empty() {
            errors.push(required(&path.child(field), ""));
            return;
        }
    }
    // How older clients call it.
    let field_path = match selector.field_path.as_str() {
        "spec.host" => "spec.nodeName",
        path => path,
    };
    if let Some(problem) = conversion_problem(version, field_path) {
        let message = format!("error converting fieldPath: {problem}");
        errors.push(invalid(&path.child("fieldPath"), field_path, message));
        return;
    }
    match downward::split_subscript(field_path) {
        Some(("metadata.annotations", key)) => check_qualified_name(&key.to_lowercase(), path, errors),
        Some(("metadata.labels", key)) => check_qualified_name(key, path, errors),
        Some((field, _)) => errors.push(invalid(path, field, "does not support subscript")),
        None if fields.contains(&field_path) => {}
        None => errors.push(not_supported(&path.child("fieldPath"), field_path, fields)),
    }
}

/// Why upstream has no such field at all, in variables or in files.
fn conversion_problem(version: &str, field_path: &str) -> Option<String> {
    if version != "v1" {
        return Some(format!("unsupported pod version: {version}"));
    }
    if let Some((field, _)) = downward::split_subscript(field_path) {
        let known = matches!(field, "metadata.annotations" | "metadata.labels");
        return (!known).then(|| format!("field label does not support subscript: {field_path}"));
    }
    let known = ENV_FIELDS.contains(&field_path)
        || FILE_FIELDS.contains(&field_path)
        || matches!(field_path, "spec.restartPolicy" | "spec.schedulerName" | "status.phase" | "spec.host");
    (!known).then(|| format!("field label not supported: {field_path}"))
}

/// A resource of a container, for variables or, with the container named, for files.
pub(super) fn validate_resource_ref(
    selector: &ResourceFieldSelector,
    in_file: bool,
    path: &Path<'_>,
    errors: &mut ErrorList,
) {
    let resource = selector.resource.as_str();
    let huge_pages = resource.starts_with("limits.hugepages-") || resource.starts_with("requests.hugepages-");
    if in_file && text(&selector.container_name).is_empty() {
        errors.push(required(&path.child("containerName"), ""));
    } else if resource.is_empty() {
        errors.push(required(&path.child("resource"), ""));
    } else if !RESOURCES.contains(&resource) && !huge_pages {
        errors.push(not_supported(&path.child("resource"), resource, RESOURCES));
    }
    if let Some(divisor) = selector.divisor.as_ref().filter(|divisor| !Quantity::of(divisor).is_zero()) {
        validate_divisor(resource, divisor, &path.child("divisor"), errors);
    }
}

fn validate_divisor(resource: &str, divisor: &ApiQuantity, path: &Path<'_>, errors: &mut ErrorList) {
    let list = "1, 1k, 1M, 1G, 1T, 1P, 1E, 1Ki, 1Mi, 1Gi, 1Ti, 1Pi, 1Ei";
    let (supported, message): (&[&str], String) = match resource.split_once('.').map_or("", |(_, name)| name) {
        "cpu" => (&["1m", "1"], "only divisor's values 1m and 1 are supported with the cpu resource".into()),
        "memory" => (BYTE_DIVISORS, format!("only divisor's values {list} are supported with the memory resource")),
        "ephemeral-storage" => (
            BYTE_DIVISORS,
            format!("only divisor's values {list} are supported with the local ephemeral storage resource"),
        ),
        name if name.starts_with("hugepages-") => {
            (BYTE_DIVISORS, format!("only divisor's values {list} are supported with the hugepages resource"))
        }
        _ => return,
    };
    if !supported.contains(&divisor.0.as_str()) {
        errors.push(invalid(path, resource, message));
    }
}

fn validate_key(name: &str, key: &str, path: &Path<'_>, errors: &mut ErrorList) {
    check_subdomain(name, &path.child("name"), errors);
    let key_path = path.child("key");
    if key.is_empty() {
        errors.push(required(&key_path, ""));
    } else {
        extend_invalid(errors, &key_path, key, names::config_map_key(key));
    }
}

fn validate_file_key(selector: &FileKeySelector, volumes: &Volumes<'_>, path: &Path<'_>, errors: &mut ErrorList) {
    let volume_path = path.child("volumeName");
    if selector.volume_name.is_empty() {
        errors.push(required(&volume_path, ""));
    } else if !volumes.contains_key(selector.volume_name.as_str()) {
        errors.push(not_found(&volume_path, &selector.volume_name));
    }
    require(&selector.path, &path.child("path"), errors);
    check_local_path(&selector.path, &path.child("path"), errors);
    let key_path = path.child("key");
    if selector.key.is_empty() {
        errors.push(required(&key_path, ""));
    } else {
        extend_invalid(errors, &key_path, &selector.key, names::env_var_name(&selector.key));
    }
}

fn validate_env_from(source: &EnvFromSource, list_path: &Path<'_>, position: usize, errors: &mut ErrorList) {
    let path = list_path.index(position);
    let prefix = text(&source.prefix);
    if !prefix.is_empty() {
        extend_invalid(errors, &path.child("prefix"), prefix, names::env_var_name(prefix));
    }
    let config_map = source.config_map_ref.as_ref().map(|source| ("configMapRef", &source.name));
    let secret = source.secret_ref.as_ref().map(|source| ("secretRef", &source.name));
    for (field, name) in [config_map, secret].into_iter().flatten() {
        let source_path = path.child(field);
        let name_path = source_path.child("name");
        if name.is_empty() {
            errors.push(required(&name_path, ""));
        } else {
            extend_invalid(errors, &name_path, name, names::subdomain_name(name, true));
        }
    }
    match (config_map, secret) {
        (None, None) => errors.push(invalid(list_path, "", "must specify one of: `configMapRef` or `secretRef`")),
        (Some(_), Some(_)) => {
            errors.push(invalid(list_path, "", "may not have more than one field specified at a time"));
        }
        _ => {}
    }
}
