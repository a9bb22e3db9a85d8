//! Resources of containers and of the Pod as a whole.

use std::collections::HashSet;

use k8s_openapi::api::core::v1::{PodResourceClaim, PodSpec, ResourceClaim, ResourceRequirements};

use super::{SPEC, check_label, check_subdomain};
use crate::core::v1::pod::ContainerRef;
use crate::core::v1::pod::resources::{aggregate_requests, is_pod_level};
use crate::core::v1::resource_list::{
    ResourceList, get, is_huge_page, is_overcommit_allowed, validate_container_resource_name, validate_quantity,
    validate_resource_name,
};
use crate::field::{ErrorList, Json, Path, duplicate, forbidden, invalid, not_found_because, not_supported, required};
use crate::quantity::Quantity;

/// How the names of resources are checked.
type NameRule = fn(&str, &Path<'_>) -> ErrorList;

pub(super) fn validate_container(
    container: &ContainerRef<'_>,
    spec: &PodSpec,
    path: &Path<'_>,
    errors: &mut ErrorList,
) {
    if let Some(resources) = container.resources {
        validate_requirements(resources, validate_container_resource_name, path, errors);
        let claims = resources.claims.as_deref().unwrap_or_default();
        validate_claim_names(claims, spec, &path.child("claims"), errors);
    }
}

/// Checks what a Pod needs beyond its containers: resources that are limits and nothing else.
pub(crate) fn validate_overhead(overhead: Option<&ResourceList>, path: &Path<'_>, errors: &mut ErrorList) {
    if let Some(overhead) = overhead {
        let resources = ResourceRequirements { limits: Some(overhead.clone()), ..Default::default() };
        validate_requirements(&resources, validate_container_resource_name, path, errors);
    }
}

fn validate_requirements(resources: &ResourceRequirements, rule: NameRule, path: &Path<'_>, errors: &mut ErrorList) {
    let (limits, requests) = (resources.limits.as_ref(), resources.requests.as_ref());
    let (limits_path, requests_path) = (path.child("limits"), path.child("requests"));
    for (name, limit) in limits.into_iter().flatten() {
        validate_amount(name, Quantity::of(limit), rule, &limits_path.key(name), errors);
        validate_huge_pages(name, Quantity::of(limit), &limits_path.key(name), errors);
    }
    for (name, request) in requests.into_iter().flatten() {
        let request = Quantity::of(request);
        validate_amount(name, request, rule, &requests_path.key(name), errors);
        match get(limits, name) {
            Some(limit) => validate_request(name, request, limit, &requests_path, errors),
            None if is_overcommit_allowed(name) => {}
            None => errors.push(required(&limits_path, "Limit must be set for non overcommitable resources")),
        }
        validate_huge_pages(name, request, &requests_path.key(name), errors);
    }
    let mut names = [limits, requests].into_iter().flatten().flat_map(ResourceList::keys);
    let has_huge_pages = names.clone().any(|name| is_huge_page(name));
    if has_huge_pages && !names.any(|name| matches!(name.as_str(), "cpu" | "memory")) {
        errors.push(forbidden(path, "HugePages require cpu or memory"));
    }
}

fn validate_amount(name: &str, amount: Quantity, rule: NameRule, path: &Path<'_>, errors: &mut ErrorList) {
    errors.extend(rule(name, path));
    errors.extend(validate_quantity(name, amount, path));
}

/// A request stays within its limit, and equals it where the resource cannot be shared.
fn validate_request(name: &str, request: Quantity, limit: Quantity, path: &Path<'_>, errors: &mut ErrorList) {
    let message = if request != limit && !is_overcommit_allowed(name) {
        format!("must be equal to {name} limit of {limit}")
    } else if request > limit {
        format!("must be less than or equal to {name} limit of {limit}")
    } else {
        return;
    };
    errors.push(invalid(path, request.to_string(), message));
}

/// Huge pages come whole.
fn validate_huge_pages(name: &str, amount: Quantity, path: &Path<'_>, errors: &mut ErrorList) {
    let Some(size) = name.strip_prefix("hugepages-") else { return };
    let size = Quantity::parse(size).map_or(0, Quantity::value);
    if size <= 0 || amount.value() % size != 0 {
        let message = format!("{amount} is not positive integer multiple of {name}");
        errors.push(invalid(path, amount.to_string(), message));
    }
}

fn validate_claim_names(claims: &[ResourceClaim], spec: &PodSpec, list_path: &Path<'_>, errors: &mut ErrorList) {
    let mut known: Vec<&str> = spec.resource_claims.iter().flatten().map(|claim| claim.name.as_str()).collect();
    known.retain(|name| !name.is_empty());
    known.sort_unstable();
    let mut seen: HashSet<(&str, &str)> = HashSet::new();
    for (position, claim) in claims.iter().enumerate() {
        let (path, name) = (list_path.index(position), claim.name.as_str());
        if name.is_empty() {
            errors.push(required(&path, ""));
            continue;
        }
        let request = claim.request.as_deref().unwrap_or_default();
        if seen.contains(&(name, "")) {
            errors.push(duplicate(&path, name));
        } else {
            if !request.is_empty() {
                check_label(request, &path.child("request"), errors);
            }
            if seen.contains(&(name, request)) {
                errors.push(duplicate(&path, format!("{name}/{request}")));
            } else if request.is_empty() {
                let overlapping = seen.iter().filter(|(other, _)| *other == name);
                errors.extend(overlapping.map(|_| duplicate(&path, name)));
            }
            seen.insert((name, request));
        }
        if !known.contains(&name) {
            let names = if known.is_empty() { " which is empty".to_owned() } else { format!(": {}", known.join(", ")) };
            let message = format!("must be one of the names in pod.spec.resourceClaims{names}");
            errors.push(not_found_because(&path, name, &message));
        }
    }
}

/// The claims the Pod names for its containers.
pub(super) fn validate_claims(spec: &PodSpec, errors: &mut ErrorList) {
    let list_path = SPEC.child("resourceClaims");
    let mut names = HashSet::new();
    for (position, claim) in spec.resource_claims.iter().flatten().enumerate() {
        validate_claim(claim, &mut names, &list_path.index(position), errors);
    }
}

fn validate_claim<'a>(
    claim: &'a PodResourceClaim,
    names: &mut HashSet<&'a str>,
    path: &Path<'_>,
    errors: &mut ErrorList,
) {
    let name_path = path.child("name");
    if claim.name.is_empty() {
        errors.push(required(&name_path, ""));
    } else if !names.insert(&claim.name) {
        errors.push(duplicate(&name_path, &claim.name));
    } else {
        check_label(&claim.name, &name_path, errors);
    }
    let sources = [
        ("resourceClaimName", &claim.resource_claim_name),
        ("resourceClaimTemplateName", &claim.resource_claim_template_name),
    ];
    let message = match sources.iter().filter(|(_, source)| source.is_some()).count() {
        0 => Some("must specify one of: `resourceClaimName`, `resourceClaimTemplateName`"),
        1 => None,
        _ => Some("at most one of `resourceClaimName` or `resourceClaimTemplateName` may be specified"),
    };
    if let Some(message) = message {
        let shown = serde_json::json!({
            "Name": claim.name,
            "ResourceClaimName": claim.resource_claim_name,
            "ResourceClaimTemplateName": claim.resource_claim_template_name,
        });
        errors.push(invalid(path, Json(&shown), message));
    }
    for (field, source) in sources {
        if let Some(source) = source {
            check_subdomain(source, &path.child(field), errors);
        }
    }
}

/// Resources of the Pod as a whole: what its containers need must fit.
pub(super) fn validate_pod_level(spec: &PodSpec, errors: &mut ErrorList) {
    let Some(resources) = &spec.resources else { return };
    let path = SPEC.child("resources");
    if resources.claims.is_some() {
        errors.push(forbidden(&path.child("claims"), "claims cannot be set for Resources at pod-level"));
    }
    validate_requirements(resources, validate_pod_level_name, &path, errors);
    let requests_path = path.child("requests");
    for (name, sum) in aggregate_requests(spec) {
        let request = get(resources.requests.as_ref(), name).unwrap_or_default();
        if sum > request {
            let message = format!("must be greater than or equal to aggregate container requests of {sum}");
            errors.push(invalid(&requests_path.key(name), request.to_string(), message));
        }
    }
    let containers_path = path.child("containers");
    for (position, container) in spec.containers.iter().enumerate() {
        let limits = container.resources.as_ref().and_then(|resources| resources.limits.as_ref());
        for (name, limit) in limits.into_iter().flatten() {
            let limit = Quantity::of(limit);
            let Some(pod_limit) = get(resources.limits.as_ref(), name).filter(|pod_limit| limit > *pod_limit) else {
                continue;
            };
            let message = format!("must be less than or equal to pod limits of {pod_limit}");
            let path = containers_path.index(position);
            errors.push(invalid(&path.key(name).child("limits"), limit.to_string(), message));
        }
    }
}

fn validate_pod_level_name(name: &str, path: &Path<'_>) -> ErrorList {
    let mut errors = validate_resource_name(name, path);
    if errors.is_empty() && !is_pod_level(name) {
        errors.push(not_supported(path, name, &["cpu", "hugepages-", "memory"]));
    }
    errors
}
