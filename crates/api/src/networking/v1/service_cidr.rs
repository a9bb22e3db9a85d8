//! ServiceCIDRs: the ranges Services get their addresses from.

use k8s_openapi::api::networking::v1::{ServiceCIDR, ServiceCIDRStatus};
use serde_json::json;

use crate::field::{ErrorList, Json, Path, invalid, required};
use crate::meta::{IMMUTABLE, Scope, validate_meta, validate_meta_update};
use crate::names::subdomain_name;
use crate::net::{self, Cidr};
use crate::object::Kind;
use crate::omit_empty::{self, omit_empty};

/// The name of the object that stands for the server's own ranges.
pub const DEFAULT_NAME: &str = "kubernetes";
/// The condition that says whether addresses can be taken from it.
pub const CONDITION_READY: &str = "Ready";

const SPEC: Path<'static> = Path::new("spec");

impl Kind for ServiceCIDR {
    fn set_defaults(&mut self) {
        omit_empty::metadata(&mut self.metadata);
        omit_empty!(self.spec.get_or_insert_default() => cidrs);
        let status = self.status.get_or_insert_with(ServiceCIDRStatus::default);
        omit_empty!(status => conditions);
    }

    fn validate(&self) -> ErrorList {
        let mut errors = validate_meta(&self.metadata, Scope::Cluster, subdomain_name);
        errors.extend(validate_ranges(ranges_of(self), &SPEC.child("cidrs")));
        errors
    }

    fn validate_update(&self, old: &Self) -> ErrorList {
        let mut errors = validate_meta_update(&self.metadata, &old.metadata);
        let path = SPEC.child("cidrs");
        let (new, old) = (ranges_of(self), ranges_of(old));
        let fixed = |position: usize| invalid(&path.index(position), &new[position], IMMUTABLE);
        if new.len() == old.len() {
            errors.extend((0..new.len()).filter(|&position| new[position] != old[position]).map(fixed));
        } else if let ([first], [same, _]) = (old, new) {
            if first != same {
                errors.push(fixed(0));
            }
            errors.extend(validate_ranges(new, &path));
        } else {
            errors.push(invalid(&path, Json(&new), IMMUTABLE));
        }
        errors
    }

    fn validate_status_update(&self, old: &Self) -> ErrorList {
        validate_meta_update(&self.metadata, &old.metadata)
    }
}

fn ranges_of(object: &ServiceCIDR) -> &[String] {
    object.spec.as_ref().and_then(|spec| spec.cidrs.as_deref()).unwrap_or_default()
}

fn validate_ranges(ranges: &[String], path: &Path<'_>) -> ErrorList {
    let whole = |text| vec![invalid(path, json!({ "CIDRs": ranges }), text)];
    match ranges {
        [] => return vec![required(path, "at least one CIDR required")],
        [_] => {}
        [one, other] => {
            let families = [one, other].map(|range| range.parse::<Cidr>().map(|range| range.is_ipv4()).ok());
            if families[0].is_none() || families[1].is_none() || families[0] == families[1] {
                return whole(
                    "may specify no more than one IP for each IP family, i.e 192.168.0.0/24 and 2001:db8::/96",
                );
            }
        }
        _ => return whole("may only hold up to 2 values"),
    }
    ranges.iter().enumerate().flat_map(|(position, range)| net::validate_cidr(&path.index(position), range)).collect()
}

/// Whether Services can get addresses from its ranges.
pub fn is_ready(object: &ServiceCIDR) -> bool {
    let conditions = object.status.iter().flat_map(|status| status.conditions.iter().flatten());
    let ready = conditions.filter(|condition| condition.type_ == CONDITION_READY).all(|it| it.status == "True");
    ready && object.metadata.deletion_timestamp.is_none()
}

/// Its ranges.
pub fn ranges(object: &ServiceCIDR) -> impl Iterator<Item = Cidr> {
    ranges_of(object).iter().filter_map(|range| range.parse().ok())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn object(ranges: &[&str]) -> ServiceCIDR {
        serde_json::from_value(json!({"metadata": {"name": "a", "resourceVersion": "1"}, "spec": {"cidrs": ranges}}))
            .unwrap()
    }

    #[test]
    fn holds_one_range_per_family() {
        for (ranges, problem) in [
            (&["192.0.2.0/24"][..], ""),
            (&["192.0.2.0/24", "2001:db8::/64"], ""),
            (&[], "at least one CIDR required"),
            (&["192.0.2.1/24"], "must not have bits set beyond the prefix length"),
            (&["192.0.2.0/24", "192.0.3.0/24"], "i.e 192.168.0.0/24 and 2001:db8::/96"),
            (&["192.0.2.0/24", "2001:db8::/64", "192.0.3.0/24"], "may only hold up to 2 values"),
        ] {
            let errors = object(ranges).validate();
            let found = errors.first().map(|error| error.message.clone()).unwrap_or_default();
            assert!(
                if problem.is_empty() { found.is_empty() } else { found.ends_with(problem) },
                "{ranges:?}: {found}"
            );
        }
    }

    #[test]
    fn only_a_second_family_can_be_added() {
        let old = object(&["192.0.2.0/24"]);
        let problems = |ranges: &[&str]| Kind::validate_update(&object(ranges), &old).len();
        assert_eq!(problems(&["192.0.2.0/24", "2001:db8::/64"]), 0);
        assert_eq!(problems(&["192.0.3.0/24"]), 1);
        assert_eq!(problems(&["192.0.3.0/24", "2001:db8::/64"]), 1);
        assert_eq!(problems(&[]), 1);
    }
}
