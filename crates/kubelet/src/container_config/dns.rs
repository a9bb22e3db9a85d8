//! A Pod's names and its resolver configuration.

use std::net::IpAddr;

use k8s_openapi::api::core::v1::{Pod, PodDNSConfigOption};

use crate::pod;

/// The kernel's limit of a host name.
const HOSTNAME_MAX: usize = 63;
/// What the kernel's name of a machine has room for.
const FQDN_MAX: usize = 64;
/// What a resolver takes.
const MAX_SERVERS: usize = 3;
const MAX_SEARCHES: usize = 32;

/// What Pods with `dnsPolicy: ClusterFirst` use.
#[derive(Debug, Clone, Copy)]
pub struct ClusterDns<'a> {
    /// Addresses of the cluster DNS; empty while there is none.
    pub servers: &'a [IpAddr],
    /// The cluster's domain.
    pub domain: &'a str,
}

/// A parsed resolver configuration file.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ResolvConf {
    /// `nameserver` lines.
    pub servers: Vec<String>,
    /// The last `search` line.
    pub searches: Vec<String>,
    /// The last `options` line.
    pub options: Vec<String>,
}

impl ResolvConf {
    /// Reads what a resolver would.
    pub fn parse(text: &str) -> Self {
        let mut parsed = Self::default();
        for line in text.lines() {
            let line = line.split(['#', ';']).next().unwrap_or_default();
            let mut words = line.split_whitespace();
            let keyword = words.next();
            let rest: Vec<String> = words.map(str::to_owned).collect();
            match keyword {
                Some("nameserver") => parsed.servers.extend(rest.into_iter().take(1)),
                Some("search") => {
                    parsed.searches = rest.iter().map(|domain| domain.trim_end_matches('.').to_owned()).collect();
                }
                Some("options") => parsed.options = rest,
                _ => {}
            }
        }
        parsed
    }
}

/// The resolver configuration of a Pod.
pub fn dns_config(pod: &Pod, host: &ResolvConf, cluster: ClusterDns<'_>) -> cri::DNSConfig {
    let spec = pod.spec.as_ref();
    let policy = spec.and_then(|spec| spec.dns_policy.as_deref()).unwrap_or("ClusterFirst");
    let cluster_first = match policy {
        "ClusterFirst" => !pod::is_host_network(pod),
        "ClusterFirstWithHostNet" => true,
        _ => false,
    };
    let mut config = match policy {
        "None" => ResolvConf::default(),
        // Without a cluster DNS the host's resolvers are the best there is.
        _ if cluster_first && !cluster.servers.is_empty() => cluster_config(pod, host, cluster),
        _ => host.clone(),
    };
    if let Some(extra) = spec.and_then(|spec| spec.dns_config.as_ref()) {
        append_new(&mut config.servers, extra.nameservers.iter().flatten().cloned());
        append_new(&mut config.searches, extra.searches.iter().flatten().map(|name| name.trim_end_matches('.').into()));
        config.options = merge_options(config.options, extra.options.as_deref().unwrap_or_default());
    }
    config.servers.truncate(MAX_SERVERS);
    config.searches.truncate(MAX_SEARCHES);
    cri::DNSConfig { servers: config.servers, searches: config.searches, options: config.options }
}

fn cluster_config(pod: &Pod, host: &ResolvConf, cluster: ClusterDns<'_>) -> ResolvConf {
    let domain = cluster.domain;
    let namespace = pod::namespace(pod);
    let mut searches = vec![format!("{namespace}.svc.{domain}"), format!("svc.{domain}"), domain.to_owned()];
    append_new(&mut searches, host.searches.iter().cloned());
    ResolvConf {
        servers: cluster.servers.iter().map(IpAddr::to_string).collect(),
        searches,
        options: vec!["ndots:5".to_owned()],
    }
}

fn append_new(list: &mut Vec<String>, more: impl Iterator<Item = String>) {
    for entry in more {
        if !list.contains(&entry) {
            list.push(entry);
        }
    }
}

/// A Pod's option replaces one of the same name.
fn merge_options(mut options: Vec<String>, extra: &[PodDNSConfigOption]) -> Vec<String> {
    for option in extra {
        let name = option.name.as_deref().unwrap_or_default();
        let text = match &option.value {
            Some(value) => format!("{name}:{value}"),
            None => name.to_owned(),
        };
        match options.iter_mut().find(|other| other.split(':').next() == Some(name)) {
            Some(other) => *other = text,
            None => options.push(text),
        }
    }
    options
}

/// The Pod's short host name.
pub fn hostname(pod: &Pod) -> String {
    let spec = pod.spec.as_ref();
    if let Some(name) = spec.and_then(|spec| spec.hostname_override.clone()).filter(|name| !name.is_empty()) {
        return name;
    }
    let chosen = spec.and_then(|spec| spec.hostname.as_deref()).filter(|name| !name.is_empty());
    let mut name = chosen.unwrap_or_else(|| pod::name(pod)).to_owned();
    name.truncate(HOSTNAME_MAX);
    name.trim_end_matches(['-', '.']).to_owned()
}

/// The Pod's full name in its subdomain, if it has one.
pub fn subdomain_name(pod: &Pod, hostname: &str, cluster_domain: &str) -> Option<String> {
    let spec = pod.spec.as_ref()?;
    if spec.hostname_override.as_ref().is_some_and(|name| !name.is_empty()) {
        return None;
    }
    let subdomain = spec.subdomain.as_deref().filter(|subdomain| !subdomain.is_empty())?;
    Some(format!("{hostname}.{subdomain}.{}.svc.{cluster_domain}", pod::namespace(pod)))
}

/// A full name that the kernel has no room for.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "failed to construct FQDN from pod hostname and cluster domain, FQDN {name} is too long ({max} characters is the \
     max, {} characters requested)", name.len(), max = FQDN_MAX
)]
pub struct FullNameTooLong {
    name: String,
}

/// What `hostname` says inside: the full name where the Pod asks for that.
///
/// # Errors
/// The full name does not fit the kernel.
pub fn kernel_hostname(pod: &Pod, cluster_domain: &str) -> Result<String, FullNameTooLong> {
    let short = hostname(pod);
    let full = pod.spec.as_ref().and_then(|spec| spec.set_hostname_as_fqdn).unwrap_or(false);
    match full.then(|| subdomain_name(pod, &short, cluster_domain)).flatten() {
        Some(name) if name.len() > FQDN_MAX => Err(FullNameTooLong { name }),
        Some(name) => Ok(name),
        None => Ok(short),
    }
}
