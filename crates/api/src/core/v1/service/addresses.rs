//! Cluster addresses and address families of a Service.

use std::collections::BTreeSet;

use k8s_openapi::api::core::v1::{Service, ServiceSpec};

use super::{
    CLUSTER_IP_NONE, PREFER_DUAL_STACK, REQUIRE_DUAL_STACK, SINGLE_STACK, TYPE_EXTERNAL_NAME, is_headless, type_of,
};
use crate::field::{ErrorList, Json, Path, duplicate, invalid, not_supported, required};
use crate::meta::text;
use crate::net;

pub(super) const FIXED: &str = "may not change once set";
const FAMILIES: &[&str] = &["IPv4", "IPv6"];
const POLICIES: &[&str] = &[PREFER_DUAL_STACK, REQUIRE_DUAL_STACK, SINGLE_STACK];
const SPEC: Path<'static> = Path::new("spec");

/// Every problem of `clusterIP`, `clusterIPs`, `ipFamilies` and `ipFamilyPolicy`, as they are before allocation or after.
pub fn validate_addresses(spec: &ServiceSpec, old: Option<&ServiceSpec>) -> ErrorList {
    let mut errors = ErrorList::new();
    if type_of(spec) == TYPE_EXTERNAL_NAME {
        return errors; // it has none, and that was checked before
    }
    let path = SPEC.child("clusterIPs");
    let addresses = spec.cluster_ips.as_deref().unwrap_or_default();
    match (text(&spec.cluster_ip), addresses) {
        ("", []) => {}
        ("", _) => {
            errors.push(invalid(&path, Json(&addresses), "must be empty when `clusterIP` is not specified"));
        }
        (_, []) => errors.push(required(&path, "")),
        (first, [other, ..]) if first != other => {
            errors.push(invalid(&path, Json(&addresses), "first value must match `clusterIP`"));
        }
        _ => {}
    }
    validate_families(spec, &mut errors);
    if validate_each(addresses, old.and_then(|old| old.cluster_ips.as_deref()), &path, &mut errors) {
        validate_together(spec, addresses, &path, &mut errors);
    }
    errors
}

fn validate_families(spec: &ServiceSpec, errors: &mut ErrorList) {
    let path = SPEC.child("ipFamilies");
    let mut seen = BTreeSet::new();
    for (position, family) in spec.ip_families.iter().flatten().enumerate() {
        if !FAMILIES.contains(&family.as_str()) {
            errors.push(not_supported(&path.index(position), family, FAMILIES));
        }
        if !seen.insert(family) {
            errors.push(duplicate(&path.index(position), family));
        }
    }
    if let Some(policy) = spec.ip_family_policy.as_ref().filter(|policy| !POLICIES.contains(&policy.as_str())) {
        errors.push(not_supported(&SPEC.child("ipFamilyPolicy"), policy, POLICIES));
    }
}

/// Returns whether all are addresses, so that they can be looked at together.
fn validate_each(addresses: &[String], known: Option<&[String]>, path: &Path<'_>, errors: &mut ErrorList) -> bool {
    let mut fine = true;
    for (position, address) in addresses.iter().enumerate() {
        if position == 0 && address == CLUSTER_IP_NONE {
            if addresses.len() > 1 {
                fine = false;
                errors.push(invalid(path, Json(&addresses), "'None' must be the first and only value"));
            }
            continue;
        }
        let problems = net::validate_ip_unless_known(&path.index(position), address, known);
        fine &= problems.is_empty();
        errors.extend(problems);
    }
    if addresses.len() > 2 {
        errors.push(invalid(path, Json(&addresses), "may only hold up to 2 values"));
    }
    fine
}

fn validate_together(spec: &ServiceSpec, addresses: &[String], path: &Path<'_>, errors: &mut ErrorList) {
    let families: BTreeSet<&str> = addresses.iter().map(|address| family_of(address)).collect();
    if addresses.len() > 1 && families.len() < 2 {
        errors.push(invalid(path, Json(&addresses), "may specify no more than one IP for each IP family"));
    }
    if is_headless(spec) {
        return;
    }
    let pairs = addresses.iter().zip(spec.ip_families.iter().flatten()).enumerate();
    for (position, (address, family)) in pairs {
        if FAMILIES.contains(&family.as_str()) && family_of(address) != family {
            let text = format!("expected an {family} value as indicated by `ipFamilies[{position}]`");
            errors.push(invalid(&path.index(position), address, text));
        }
    }
}

/// `IPv4` or `IPv6`.
pub(super) fn family_of(address: &str) -> &'static str {
    if address.contains(':') { "IPv6" } else { "IPv4" }
}

/// Addresses may be added and the second one given up; the first one stays.
pub(super) fn validate_address_changes(new: &Service, old: &Service, errors: &mut ErrorList) {
    let (Some(new), Some(old)) = (&new.spec, &old.spec) else { return };
    if type_of(new) == TYPE_EXTERNAL_NAME || type_of(old) == TYPE_EXTERNAL_NAME {
        return;
    }
    let headless = (is_headless(new), is_headless(old));
    if headless == (true, true) {
        return;
    }
    let path = SPEC.child("clusterIPs");
    let addresses = (new.cluster_ips.as_deref().unwrap_or_default(), old.cluster_ips.as_deref().unwrap_or_default());
    let policy = new.ip_family_policy.as_deref();
    validate_list_changes(addresses, policy, ("clusterIP", "primary clusterIP can not be unset"), &path, errors);
    if headless.0 != headless.1 {
        return;
    }
    let path = SPEC.child("ipFamilies");
    let families = (new.ip_families.as_deref().unwrap_or_default(), old.ip_families.as_deref().unwrap_or_default());
    validate_list_changes(families, policy, ("ipFamily", "primary ipFamily can not be unset"), &path, errors);
}

fn validate_list_changes(
    (new, old): (&[String], &[String]),
    policy: Option<&str>,
    (what, unset): (&str, &str),
    path: &Path<'_>,
    errors: &mut ErrorList,
) {
    if new.len() == old.len() {
        for (position, _) in new.iter().zip(old).enumerate().filter(|(_, (new, old))| new != old) {
            // Families are all complained about at the first one.
            let position = if what == "ipFamily" { 0 } else { position };
            errors.push(invalid(&path.index(position), Json(&new), FIXED));
        }
        return;
    }
    if new.is_empty() {
        errors.push(invalid(&path.index(0), Json(&new), unset));
    } else if old.first().is_some_and(|old| *old != new[0]) {
        errors.push(invalid(&path.index(0), Json(&new), FIXED));
    }
    if new.len() == 1 && old.len() > 1 && policy != Some(SINGLE_STACK) {
        let text = format!("must be set to 'SingleStack' when releasing the secondary {what}");
        errors.push(invalid(&SPEC.child("ipFamilyPolicy"), policy, text));
    }
}
