//! Name resolution inside the Pod.

use k8s_openapi::api::core::v1::PodSpec;

use super::{SPEC, check_ip, check_subdomain};
use crate::field::{ErrorList, Json, extend_invalid, invalid, required};
use crate::meta::text;
use crate::names::dns1123_subdomain_with_underscore;

// What the resolvers of C libraries can hold.
const MAX_NAMESERVERS: usize = 3;
const MAX_SEARCHES: usize = 32;
const MAX_SEARCH_BYTES: usize = 2048;

pub(super) fn validate_dns_config(spec: &PodSpec, errors: &mut ErrorList) {
    let path = SPEC.child("dnsConfig");
    let none = text(&spec.dns_policy) == "None";
    let Some(config) = &spec.dns_config else {
        if none {
            errors.push(required(&path, "must provide `dnsConfig` when `dnsPolicy` is None"));
        }
        return;
    };
    let servers = config.nameservers.as_deref().unwrap_or_default();
    let servers_path = path.child("nameservers");
    if none && servers.is_empty() {
        errors.push(required(&servers_path, "must provide at least one DNS nameserver when `dnsPolicy` is None"));
        return;
    }
    if servers.len() > MAX_NAMESERVERS {
        let message = format!("must not have more than {MAX_NAMESERVERS} nameservers");
        errors.push(invalid(&servers_path, Json(&servers), message));
    }
    for (position, server) in servers.iter().enumerate() {
        errors.extend(check_ip(server, &servers_path.index(position)));
    }
    validate_searches(config.searches.as_deref().unwrap_or_default(), errors);
    let options_path = path.child("options");
    for (position, option) in config.options.iter().flatten().enumerate() {
        if text(&option.name).is_empty() {
            errors.push(required(&options_path.index(position), "must not be empty"));
        }
    }
}

fn validate_searches(searches: &[String], errors: &mut ErrorList) {
    let config_path = SPEC.child("dnsConfig");
    let path = config_path.child("searches");
    if searches.len() > MAX_SEARCHES {
        let message = format!("must not have more than {MAX_SEARCHES} search paths");
        errors.push(invalid(&path, Json(&searches), message));
    }
    let bytes = searches.iter().map(String::len).sum::<usize>() + searches.len().saturating_sub(1);
    if bytes > MAX_SEARCH_BYTES {
        let message =
            format!("must not have more than {MAX_SEARCH_BYTES} characters (including spaces) in the search list");
        errors.push(invalid(&path, Json(&searches), message));
    }
    for (position, search) in searches.iter().enumerate().filter(|(_, search)| *search != ".") {
        let search = search.strip_suffix('.').unwrap_or(search);
        extend_invalid(errors, &path.index(position), search, dns1123_subdomain_with_underscore(search));
    }
}

pub(super) fn validate_host_aliases(spec: &PodSpec, errors: &mut ErrorList) {
    let list_path = SPEC.child("hostAliases");
    for (position, alias) in spec.host_aliases.iter().flatten().enumerate() {
        let path = list_path.index(position);
        errors.extend(check_ip(&alias.ip, &path.child("ip")));
        let hostnames_path = path.child("hostnames");
        for (position, hostname) in alias.hostnames.iter().flatten().enumerate() {
            check_subdomain(hostname, &hostnames_path.index(position), errors);
        }
    }
}
