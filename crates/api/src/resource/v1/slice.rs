//! ResourceSlices: which devices a driver has, and on which nodes.

use k8s_openapi::api::core::v1::NodeSelector;
use k8s_openapi::api::resource::v1::{CounterSet, ResourcePool, ResourceSlice, ResourceSliceSpec};

use super::device::{default_device, validate_counters, validate_device};
use super::lists::validate_set;
use super::names::{validate_driver, validate_label, validate_pool};
use crate::core::v1::pod::validate_node_selector;
use crate::field::{ErrorList, Json, Path, extend_invalid, invalid, required};
use crate::internal::node_selector_terms;
use crate::meta::{IMMUTABLE, Scope, validate_meta, validate_meta_update};
use crate::names::subdomain_name;
use crate::object::Kind;
use crate::omit_empty::{self, omit_empty};

const SPEC: Path<'static> = Path::new("spec");
const MAX_DEVICES: usize = 128;
/// With taints or counters.
const MAX_ELABORATE_DEVICES: usize = 64;
const MAX_COUNTER_SETS: usize = 8;
const UNSET_OR_TRUE: &str = "must be either unset or set to true";

impl Kind for ResourceSlice {
    fn set_defaults(&mut self) {
        omit_empty::metadata(&mut self.metadata);
        omit_empty!(self.spec => devices, shared_counters);
        self.spec.devices.iter_mut().flatten().for_each(default_device);
    }

    fn validate(&self) -> ErrorList {
        let mut errors = validate_meta(&self.metadata, Scope::Cluster, subdomain_name);
        validate_spec(&self.spec, None, &mut errors);
        errors
    }

    fn validate_update(&self, old: &Self) -> ErrorList {
        let mut errors = validate_meta_update(&self.metadata, &old.metadata);
        validate_spec(&self.spec, Some(&old.spec), &mut errors);
        errors
    }

    fn validate_status_update(&self, old: &Self) -> ErrorList {
        validate_meta_update(&self.metadata, &old.metadata)
    }
}

fn validate_spec(spec: &ResourceSliceSpec, old: Option<&ResourceSliceSpec>, errors: &mut ErrorList) {
    validate_driver(&spec.driver, &SPEC.child("driver"), errors);
    let pool_path = SPEC.child("pool");
    validate_resource_pool(&spec.pool, &pool_path, errors);
    if let Some(old) = old {
        if spec.pool.name != old.pool.name {
            errors.push(invalid(&pool_path.child("name"), &spec.pool.name, IMMUTABLE));
        }
        if spec.driver != old.driver {
            errors.push(invalid(&SPEC.child("driver"), &spec.driver, IMMUTABLE));
        }
        if spec.node_name != old.node_name {
            errors.push(invalid(&SPEC.child("nodeName"), spec.node_name.as_ref(), IMMUTABLE));
        }
    }
    validate_nodes(spec, errors);
    if spec.shared_counters.is_some() && spec.devices.is_some() {
        errors.push(invalid(&SPEC, "", "only one of `sharedCounters` or `devices` is allowed"));
    }
    let devices = spec.devices.as_deref().unwrap_or_default();
    let some = |length: Option<usize>| length.is_some_and(|length| length > 0);
    let elaborate = devices.iter().any(|device| {
        some(device.taints.as_ref().map(Vec::len)) || some(device.consumes_counters.as_ref().map(Vec::len))
    });
    let max = if elaborate { MAX_ELABORATE_DEVICES } else { MAX_DEVICES };
    let each_says_where = spec.per_device_node_selection == Some(true);
    let path = SPEC.child("devices");
    validate_set(
        devices,
        max,
        |device| device.name.clone(),
        &path,
        errors,
        |device, path, errors| {
            let before = old.and_then(|old| old.devices.iter().flatten().find(|other| other.name == device.name));
            validate_device(device, before, each_says_where, path, errors);
        },
    );
    let (sets, path) = (spec.shared_counters.as_deref().unwrap_or_default(), SPEC.child("sharedCounters"));
    validate_set(sets, MAX_COUNTER_SETS, |set| set.name.clone(), &path, errors, validate_counter_set);
}

fn validate_resource_pool(pool: &ResourcePool, path: &Path<'_>, errors: &mut ErrorList) {
    validate_pool(&pool.name, &path.child("name"), errors);
    if pool.resource_slice_count <= 0 {
        let message = "must be greater than zero";
        errors.push(invalid(&path.child("resourceSliceCount"), pool.resource_slice_count, message));
    }
    if pool.generation < 0 {
        let message = "must be greater than or equal to zero";
        errors.push(invalid(&path.child("generation"), pool.generation, message));
    }
}

/// Where the devices are: exactly one of four ways to say it.
fn validate_nodes(spec: &ResourceSliceSpec, errors: &mut ErrorList) {
    let mut said = Vec::new();
    said.extend(node_name(
        spec.node_name.as_deref(),
        &SPEC,
        "must be either unset or set to a non-empty string",
        errors,
    ));
    if let Some(selector) = &spec.node_selector {
        said.push("`nodeSelector`");
        validate_selector(selector, errors);
    }
    said.extend(flag(spec.all_nodes, "allNodes", "`allNodes`", &SPEC, errors));
    let each =
        flag(spec.per_device_node_selection, "perDeviceNodeSelection", "`perDeviceNodeSelection`", &SPEC, errors);
    said.extend(each);
    let message = "exactly one of `nodeName`, `nodeSelector`, `allNodes`, `perDeviceNodeSelection` is required";
    match said[..] {
        [] => errors.push(required(&SPEC, message)),
        [_] => {}
        _ => {
            let message = format!("{message}, but multiple fields are set");
            errors.push(invalid(&SPEC, format!("{{{}}}", said.join(", ")), message));
        }
    }
}

fn validate_selector(selector: &NodeSelector, errors: &mut ErrorList) {
    let path = SPEC.child("nodeSelector");
    validate_node_selector(selector, &path, errors);
    let (terms, path) = (&selector.node_selector_terms, path.child("nodeSelectorTerms"));
    if terms.len() != 1 {
        errors.push(invalid(&path, Json(&node_selector_terms(terms)), "must have exactly one node selector term"));
    }
}

/// Checks the name of a node, if it is there, and tells that it is.
pub(super) fn node_name(
    name: Option<&str>,
    path: &Path<'_>,
    empty: &str,
    errors: &mut ErrorList,
) -> Option<&'static str> {
    let (name, path) = (name?, path.child("nodeName"));
    if name.is_empty() {
        errors.push(invalid(&path, name, empty));
        return None;
    }
    extend_invalid(errors, &path, name, subdomain_name(name, false));
    Some("`nodeName`")
}

/// Checks a flag that is true if it is there, and tells that it is.
pub(super) fn flag(
    flag: Option<bool>,
    field: &str,
    shown: &'static str,
    path: &Path<'_>,
    errors: &mut ErrorList,
) -> Option<&'static str> {
    match flag? {
        true => Some(shown),
        false => {
            errors.push(invalid(&path.child(field), false, UNSET_OR_TRUE));
            None
        }
    }
}

fn validate_counter_set(set: &CounterSet, path: &Path<'_>, errors: &mut ErrorList) {
    let name_path = path.child("name");
    if set.name.is_empty() {
        errors.push(required(&name_path, ""));
    } else {
        validate_label(&set.name, &name_path, errors);
    }
    validate_counters(&set.counters, &path.child("counters"), errors);
}
