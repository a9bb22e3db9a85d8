//! Lists of resources and their quantities.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::api::resource::Quantity as ApiQuantity;

use crate::field::{ErrorList, Path, extend_invalid, invalid};
use crate::meta::NOT_NEGATIVE;
use crate::names::qualified_name;
use crate::quantity::{Quantity, canonicalize as canonical_text};

/// Resources by name, as API objects hold them.
pub type ResourceList = BTreeMap<String, ApiQuantity>;

/// Brings quantities to the form the API answers: canonical, in steps of thousandths. A malformed one, which decoding
/// refuses, stays as it is.
pub(crate) fn canonicalize(list: Option<&mut ResourceList>) {
    for quantity in list.into_iter().flat_map(BTreeMap::values_mut) {
        canonicalize_one(quantity, true);
    }
}

/// The same for a single quantity; outside of resource lists, nothing is rounded.
pub(crate) fn canonicalize_one(quantity: &mut ApiQuantity, resource_list: bool) {
    if let Ok(std::borrow::Cow::Owned(text)) = canonical_text(&quantity.0, resource_list) {
        quantity.0 = text;
    }
}

/// The quantity of one resource, if it is listed.
pub fn get(list: Option<&ResourceList>, name: &str) -> Option<Quantity> {
    list?.get(name).map(Quantity::of)
}

/// Warns of amounts in bytes that have parts of bytes.
pub(crate) fn warn_of_fractions(
    list: Option<&ResourceList>,
    names: &[&str],
    path: &Path<'_>,
    warnings: &mut Vec<String>,
) {
    for name in names {
        if let Some(amount) = get(list, name).filter(|amount| amount.milli_value() % 1000 != 0) {
            let path = path.key(name);
            warnings.push(format!("{path}: fractional byte value \"{amount}\" is invalid, must be an integer"));
        }
    }
}

/// `cpu`, `memory` and other unprefixed names, and those under `kubernetes.io/`.
pub fn is_native(name: &str) -> bool {
    !name.contains('/') || is_kubernetes_prefixed(name)
}

pub(crate) fn is_kubernetes_prefixed(name: &str) -> bool {
    name.contains("kubernetes.io/")
}

/// Huge pages, such as `hugepages-2Mi`.
pub fn is_huge_page(name: &str) -> bool {
    name.starts_with("hugepages-")
}

/// A resource of the cluster's own, such as `example.com/gpu`, which is counted in whole numbers.
pub fn is_extended(name: &str) -> bool {
    !is_native(name)
        && !name.starts_with("requests.")
        && crate::names::qualified_name(&format!("requests.{name}")).is_empty()
}

/// Whether a limit may exceed the request.
pub(crate) fn is_overcommit_allowed(name: &str) -> bool {
    is_native(name) && !is_huge_page(name)
}

/// Resources that are counted in whole numbers.
fn is_whole(name: &str) -> bool {
    let counted = [
        "pods",
        "services",
        "replicationcontrollers",
        "resourcequotas",
        "secrets",
        "configmaps",
        "persistentvolumeclaims",
        "services.nodeports",
        "services.loadbalancers",
    ];
    counted.contains(&name) || is_extended(name)
}

/// Checks that an amount is one at all.
pub(crate) fn validate_basic(quantity: Quantity, path: &Path<'_>) -> ErrorList {
    let problem = || invalid(path, quantity.value(), "must be a valid resource quantity");
    quantity.is_negative().then(problem).into_iter().collect()
}

/// Checks the amount of one resource.
pub(crate) fn validate_quantity(name: &str, quantity: Quantity, path: &Path<'_>) -> ErrorList {
    let mut errors = ErrorList::new();
    if quantity.is_negative() {
        errors.push(invalid(path, quantity.to_string(), NOT_NEGATIVE));
    }
    if is_whole(name) && quantity.milli_value() % 1000 != 0 {
        errors.push(invalid(path, quantity.to_string(), "must be an integer"));
    }
    errors
}

/// Checks the name of a resource of containers.
pub(crate) fn validate_container_resource_name(name: &str, path: &Path<'_>) -> ErrorList {
    let mut errors = validate_resource_name(name, path);
    if !name.contains('/') {
        if !is_standard_for_containers(name) {
            errors.push(invalid(path, name, "must be a standard resource for containers"));
        }
    } else if !is_native(name) && !is_extended(name) {
        errors.push(invalid(path, name, "doesn't follow extended resource name standard"));
    }
    errors
}

/// Checks the name of any resource.
pub(crate) fn validate_resource_name(name: &str, path: &Path<'_>) -> ErrorList {
    let mut errors = ErrorList::new();
    extend_invalid(&mut errors, path, name, qualified_name(name));
    if errors.is_empty() && !name.contains('/') && !is_standard(name) {
        errors.push(invalid(path, name, "must be a standard resource type or fully qualified"));
    }
    errors
}

fn is_standard_for_containers(name: &str) -> bool {
    matches!(name, "cpu" | "memory" | "ephemeral-storage") || is_huge_page(name)
}

fn is_standard(name: &str) -> bool {
    let others = [
        "requests.cpu",
        "requests.memory",
        "requests.ephemeral-storage",
        "limits.cpu",
        "limits.memory",
        "limits.ephemeral-storage",
        "pods",
        "resourcequotas",
        "services",
        "replicationcontrollers",
        "secrets",
        "configmaps",
        "persistentvolumeclaims",
        "storage",
        "requests.storage",
        "services.nodeports",
        "services.loadbalancers",
    ];
    is_standard_for_containers(name) || others.contains(&name) || name.starts_with("requests.hugepages-")
}
