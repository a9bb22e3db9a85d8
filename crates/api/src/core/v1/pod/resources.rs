//! What a whole Pod asks for: the sums and maxima over its containers, as the scheduler and the kubelet count them.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{Container, Pod, PodSpec, ResourceRequirements};

use super::{is_sidecar, spec_of};
use crate::core::v1::resource_list::{ResourceList, is_huge_page};
use crate::quantity::Quantity;

#[cfg(test)]
mod tests;

/// Amounts by resource name.
pub type Amounts<'a> = BTreeMap<&'a str, Quantity>;

/// What a Pod requests: its containers and sidecars together, or what its init containers need at once where that is
/// more; requests of the Pod as a whole replace the sum; overhead comes on top.
pub fn pod_requests(pod: &Pod) -> Amounts<'_> {
    let spec = spec_of(pod);
    let mut amounts = pod_requests_without_overhead(spec);
    add(&mut amounts, spec.overhead.as_ref());
    amounts
}

/// [`pod_requests`] of the containers and the Pod as a whole.
pub fn pod_requests_without_overhead(spec: &PodSpec) -> Amounts<'_> {
    let mut amounts = aggregate_requests(spec);
    override_by_pod_level(&mut amounts, pod_level(spec, Which::Requests));
    amounts
}

/// What a Pod may use at most. Overhead comes on top of limits that are there.
pub fn pod_limits(pod: &Pod) -> Amounts<'_> {
    let spec = spec_of(pod);
    let mut amounts = pod_limits_without_overhead(spec);
    for (name, quantity) in spec.overhead.iter().flatten() {
        if let Some(limit) = amounts.get_mut(name.as_str()) {
            *limit += Quantity::of(quantity);
        }
    }
    amounts
}

/// [`pod_limits`] of the containers and the Pod as a whole.
pub fn pod_limits_without_overhead(spec: &PodSpec) -> Amounts<'_> {
    let mut amounts = aggregate_limits(spec);
    override_by_pod_level(&mut amounts, pod_level(spec, Which::Limits));
    amounts
}

/// The containers' part of [`pod_requests`].
pub fn aggregate_requests(spec: &PodSpec) -> Amounts<'_> {
    aggregate(spec, Which::Requests)
}

/// The containers' part of [`pod_limits`].
pub(crate) fn aggregate_limits(spec: &PodSpec) -> Amounts<'_> {
    aggregate(spec, Which::Limits)
}

/// Whether the Pod as a whole requests something or has a limit.
pub fn has_pod_level(pod: &Pod) -> bool {
    let lists = [Which::Requests, Which::Limits].map(|which| pod_level(spec_of(pod), which));
    lists.into_iter().flatten().flatten().any(|(name, _)| is_pod_level(name))
}

/// Whether a resource can be set for the Pod as a whole.
pub(crate) fn is_pod_level(name: &str) -> bool {
    matches!(name, "cpu" | "memory") || is_huge_page(name)
}

#[derive(Clone, Copy)]
enum Which {
    Requests,
    Limits,
}

fn list(resources: Option<&ResourceRequirements>, which: Which) -> Option<&ResourceList> {
    let resources = resources?;
    match which {
        Which::Requests => resources.requests.as_ref(),
        Which::Limits => resources.limits.as_ref(),
    }
}

fn pod_level(spec: &PodSpec, which: Which) -> Option<&ResourceList> {
    list(spec.resources.as_ref(), which)
}

fn override_by_pod_level<'a>(amounts: &mut Amounts<'a>, pod_level: Option<&'a ResourceList>) {
    let supported = pod_level.into_iter().flatten().filter(|(name, _)| is_pod_level(name));
    amounts.extend(supported.map(|(name, quantity)| (name.as_str(), Quantity::of(quantity))));
}

/// The containers run together with all sidecars; an init container runs with the sidecars started before it.
fn aggregate(spec: &PodSpec, which: Which) -> Amounts<'_> {
    fn of(container: &Container, which: Which) -> Option<&ResourceList> {
        list(container.resources.as_ref(), which)
    }
    let mut together = Amounts::new();
    for container in &spec.containers {
        add(&mut together, of(container, which));
    }
    let (mut sidecars, mut peak) = (Amounts::new(), Amounts::new());
    for container in spec.init_containers.iter().flatten() {
        if is_sidecar(container) {
            add(&mut together, of(container, which));
            add(&mut sidecars, of(container, which));
            raise(&mut peak, &sidecars);
        } else {
            let mut now = sidecars.clone();
            add(&mut now, of(container, which));
            raise(&mut peak, &now);
        }
    }
    raise(&mut together, &peak);
    together
}

fn add<'a>(amounts: &mut Amounts<'a>, list: Option<&'a ResourceList>) {
    for (name, quantity) in list.into_iter().flatten() {
        *amounts.entry(name).or_default() += Quantity::of(quantity);
    }
}

/// Raises each amount to the other's.
fn raise<'a>(amounts: &mut Amounts<'a>, others: &Amounts<'a>) {
    for (name, other) in others {
        let amount = amounts.entry(name).or_insert(*other);
        if *other > *amount {
            *amount = *other;
        }
    }
}
