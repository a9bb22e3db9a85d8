//! Which address families a Service gets, from what it says, what it said before and what the cluster has. Pure.

use api::core::v1::service::{
    CLUSTER_IP_NONE, PREFER_DUAL_STACK, REQUIRE_DUAL_STACK, SINGLE_STACK, TYPE_CLUSTER_IP, TYPE_EXTERNAL_NAME,
    TYPE_LOAD_BALANCER, TYPE_NODE_PORT, type_of, validate_addresses,
};
use api::field::{ErrorList, Json, Path, invalid};
use api::k8s_openapi::api::core::v1::ServiceSpec;

pub(super) const IPV4: &str = "IPv4";
pub(super) const IPV6: &str = "IPv6";
const SPEC: Path<'static> = Path::new("spec");

/// Fills `ipFamilyPolicy` and `ipFamilies`. `cluster` has the cluster's families, the preferred one first.
///
/// # Errors
/// Every problem that would make the result worse to explain.
pub fn settle_families(spec: &mut ServiceSpec, old: Option<&ServiceSpec>, cluster: &[&str]) -> Result<(), ErrorList> {
    if type_of(spec) == TYPE_EXTERNAL_NAME || old.is_some_and(|old| stays_as_it_is(spec, old)) {
        return Ok(());
    }
    let selectorless = spec.cluster_ip.as_deref() == Some(CLUSTER_IP_NONE) && spec.selector.is_none();
    settle_policy(spec, old, selectorless);
    refuse(validate_addresses(spec, old))?;
    let mut errors = ErrorList::new();
    if let Some(old) = old {
        release_second(spec, old, &mut errors);
    }
    check_single_stack(spec, &mut errors);
    infer_from_addresses(spec, cluster, &mut errors);
    refuse(errors)?;
    if selectorless {
        // Whoever writes its endpoints may have any family, also one that the cluster has not.
        let families = spec.ip_families.get_or_insert_with(|| first_family(cluster));
        return add_second(families, spec.ip_family_policy.as_deref());
    }
    refuse(check_cluster(spec, cluster))?;
    let families = spec.ip_families.get_or_insert_with(|| first_family(cluster));
    if cluster.len() == 2 { add_second(families, spec.ip_family_policy.as_deref()) } else { Ok(()) }
}

fn refuse(errors: ErrorList) -> Result<(), ErrorList> {
    if errors.is_empty() { Ok(()) } else { Err(errors) }
}

fn first_family(cluster: &[&str]) -> Vec<String> {
    cluster.first().map(|family| (*family).to_owned()).into_iter().collect()
}

/// A Service that prefers two families is not given or robbed of one because the cluster has changed.
fn stays_as_it_is(new: &ServiceSpec, old: &ServiceSpec) -> bool {
    let prefers = |spec: &ServiceSpec| spec.ip_family_policy.as_deref() == Some(PREFER_DUAL_STACK);
    type_of(new) == type_of(old)
        && matches!(type_of(new), TYPE_CLUSTER_IP | TYPE_NODE_PORT | TYPE_LOAD_BALANCER)
        && prefers(new)
        && (prefers(old) || old.ip_family_policy.is_none())
        && new.cluster_ips == old.cluster_ips
        && new.ip_families == old.ip_families
}

fn settle_policy(spec: &mut ServiceSpec, old: Option<&ServiceSpec>, selectorless: bool) {
    if spec.ip_family_policy.is_some() {
        return;
    }
    let before = old.and_then(|old| old.ip_family_policy.clone());
    let default = if selectorless { REQUIRE_DUAL_STACK } else { SINGLE_STACK };
    spec.ip_family_policy = before.or_else(|| Some(default.to_owned()));
}

/// Going back to one family releases the second address; keeping the policy and dropping the address is a mistake.
fn release_second(spec: &mut ServiceSpec, old: &ServiceSpec, errors: &mut ErrorList) {
    if spec.ip_family_policy.as_deref() == Some(SINGLE_STACK) {
        if spec.cluster_ips == old.cluster_ips {
            spec.cluster_ips.iter_mut().for_each(|addresses| addresses.truncate(1));
        }
        if spec.ip_families == old.ip_families {
            spec.ip_families.iter_mut().for_each(|families| families.truncate(1));
        }
        return;
    }
    let path = SPEC.child("ipFamilyPolicy");
    let length = |list: &Option<Vec<String>>| list.as_ref().map_or(0, Vec::len);
    let lists = [
        ("cluster IP", length(&spec.cluster_ips), length(&old.cluster_ips)),
        ("IP family", length(&spec.ip_families), length(&old.ip_families)),
    ];
    for (what, new, old) in lists {
        if new > 0 && new < old {
            let text = format!("must be 'SingleStack' to release the secondary {what}");
            errors.push(invalid(&path, &spec.ip_family_policy, text));
        }
    }
}

fn check_single_stack(spec: &ServiceSpec, errors: &mut ErrorList) {
    if spec.ip_family_policy.as_deref() != Some(SINGLE_STACK) {
        return;
    }
    for (what, list) in [("cluster IPs", &spec.cluster_ips), ("IP families", &spec.ip_families)] {
        if list.as_ref().is_some_and(|list| list.len() == 2) {
            let text = format!("must be 'RequireDualStack' or 'PreferDualStack' when multiple {what} are specified");
            errors.push(invalid(&SPEC.child("ipFamilyPolicy"), SINGLE_STACK, text));
        }
    }
}

fn infer_from_addresses(spec: &mut ServiceSpec, cluster: &[&str], errors: &mut ErrorList) {
    let addresses = spec.cluster_ips.clone().unwrap_or_default();
    if addresses.first().is_some_and(|first| first == CLUSTER_IP_NONE) {
        return;
    }
    let path = SPEC.child("clusterIPs");
    let known = spec.ip_families.as_ref().map_or(0, Vec::len);
    for (position, address) in addresses.iter().enumerate().skip(known) {
        let family = if address.contains(':') { IPV6 } else { IPV4 };
        if cluster.contains(&family) {
            spec.ip_families.get_or_insert_default().push(family.to_owned());
        } else {
            let text = format!("{family} is not configured on this cluster");
            errors.push(invalid(&path.index(position), Json(&addresses), text));
        }
    }
}

fn check_cluster(spec: &ServiceSpec, cluster: &[&str]) -> ErrorList {
    let mut errors = ErrorList::new();
    if spec.ip_family_policy.as_deref() == Some(REQUIRE_DUAL_STACK) && cluster.len() < 2 {
        let text = "this cluster is not configured for dual-stack services";
        errors.push(invalid(&SPEC.child("ipFamilyPolicy"), REQUIRE_DUAL_STACK, text));
    }
    let path = SPEC.child("ipFamilies");
    for (position, family) in spec.ip_families.iter().flatten().enumerate() {
        if !cluster.contains(&family.as_str()) {
            errors.push(invalid(&path.index(position), family, "not configured on this cluster"));
        }
    }
    errors
}

fn add_second(families: &mut Vec<String>, policy: Option<&str>) -> Result<(), ErrorList> {
    if policy != Some(SINGLE_STACK)
        && let [only] = families.as_slice()
    {
        families.push(if only == IPV4 { IPV6 } else { IPV4 }.to_owned());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn spec(value: Value) -> ServiceSpec {
        let mut spec: ServiceSpec = serde_json::from_value(value).unwrap();
        spec.type_.get_or_insert_with(|| TYPE_CLUSTER_IP.to_owned());
        spec
    }

    fn settled(new: Value, old: Option<Value>, cluster: &[&str]) -> Result<(String, String), String> {
        let mut new = spec(new);
        let outcome = settle_families(&mut new, old.map(spec).as_ref(), cluster);
        outcome.map_err(|errors| errors[0].to_string())?;
        Ok((new.ip_family_policy.unwrap_or_default(), new.ip_families.unwrap_or_default().join(",")))
    }

    #[test]
    fn new_services_get_the_clusters_family() {
        let v4 = &[IPV4][..];
        let both = &[IPV4, IPV6][..];
        for (new, cluster, want) in [
            (json!({"selector": {"a": "b"}}), v4, Ok(("SingleStack", "IPv4"))),
            (json!({"clusterIP": "None", "clusterIPs": ["None"]}), v4, Ok(("RequireDualStack", "IPv4,IPv6"))),
            (
                json!({"clusterIP": "None", "clusterIPs": ["None"], "selector": {"a": "b"}}),
                v4,
                Ok(("SingleStack", "IPv4")),
            ),
            (json!({"ipFamilyPolicy": "PreferDualStack"}), v4, Ok(("PreferDualStack", "IPv4"))),
            (json!({"ipFamilyPolicy": "PreferDualStack"}), both, Ok(("PreferDualStack", "IPv4,IPv6"))),
            (
                json!({"ipFamilyPolicy": "PreferDualStack", "ipFamilies": ["IPv6"]}),
                both,
                Ok(("PreferDualStack", "IPv6,IPv4")),
            ),
            (json!({"clusterIP": "fd00::1", "clusterIPs": ["fd00::1"]}), both, Ok(("SingleStack", "IPv6"))),
            (
                json!({"ipFamilyPolicy": "RequireDualStack"}),
                v4,
                Err(
                    "spec.ipFamilyPolicy: Invalid value: \"RequireDualStack\": this cluster is not configured for dual-stack \
                     services",
                ),
            ),
            (
                json!({"ipFamilies": ["IPv6"]}),
                v4,
                Err("spec.ipFamilies[0]: Invalid value: \"IPv6\": not configured on this cluster"),
            ),
            (
                json!({"clusterIP": "fd00::1", "clusterIPs": ["fd00::1"]}),
                v4,
                Err("spec.clusterIPs[0]: Invalid value: [\"fd00::1\"]: IPv6 is not configured on this cluster"),
            ),
            (
                json!({"ipFamilyPolicy": "SingleStack", "ipFamilies": ["IPv4", "IPv6"]}),
                both,
                Err(
                    "spec.ipFamilyPolicy: Invalid value: \"SingleStack\": must be 'RequireDualStack' or 'PreferDualStack' \
                     when multiple IP families are specified",
                ),
            ),
        ] {
            let want = want.map(|(policy, families)| (policy.to_owned(), families.to_owned())).map_err(str::to_owned);
            assert_eq!(settled(new.clone(), None, cluster), want, "{new}");
        }
    }

    #[test]
    fn updates_add_and_release_the_second_family() {
        let both = &[IPV4, IPV6][..];
        let one = json!({"clusterIP": "10.0.0.1", "clusterIPs": ["10.0.0.1"], "ipFamilies": ["IPv4"],
            "ipFamilyPolicy": "SingleStack"});
        let two = json!({"clusterIP": "10.0.0.1", "clusterIPs": ["10.0.0.1", "fd00::1"], "ipFamilies": ["IPv4", "IPv6"],
            "ipFamilyPolicy": "RequireDualStack"});
        let with = |base: &Value, change: Value| {
            let mut value = base.clone();
            value.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
            value
        };
        let to_two = settled(with(&one, json!({"ipFamilyPolicy": "RequireDualStack"})), Some(one), both);
        assert_eq!(to_two.unwrap().1, "IPv4,IPv6");
        let to_one = settled(with(&two, json!({"ipFamilyPolicy": "SingleStack"})), Some(two.clone()), both);
        assert_eq!(to_one.unwrap().1, "IPv4");
        let dropped = settled(with(&two, json!({"clusterIPs": ["10.0.0.1"]})), Some(two), both);
        assert!(dropped.unwrap_err().ends_with("must be 'SingleStack' to release the secondary cluster IP"));
    }
}
