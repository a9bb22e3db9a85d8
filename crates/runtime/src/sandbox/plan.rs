//! From CRI's description of a sandbox to what the shim runs. Pure.

use std::collections::BTreeMap;
use std::net::IpAddr;

use cri::{IDMapping, NamespaceMode, NamespaceOption, PodNetworkRequest, PodPortMapping, PodSandboxConfig, Protocol};

use crate::shim::spec::{IdRange, SandboxSpec};

/// Size of a Pod's shared memory.
const SHM_BYTES: u64 = 64 << 20;
/// The infra container is the last to be killed: with it the Pod goes.
const OOM_SCORE_ADJ: i32 = -998;

/// Parameters every Pod network has: ordinary users may bind low ports and send pings, as with other runtimes.
const NETWORK_SYSCTLS: [(&str, &str); 2] =
    [("net.ipv4.ip_unprivileged_port_start", "0"), (PING_GROUPS, "0 2147483647")];
/// Not to be set for groups that a user namespace does not have.
const PING_GROUPS: &str = "net.ipv4.ping_group_range";

/// Where a sandbox's namespaces come from, with CRI's defaults.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NamespaceModes {
    /// Network; the host's or its own.
    pub network: NamespaceMode,
    /// Process ids; per container unless said otherwise.
    pub pid: NamespaceMode,
    /// IPC; the host's or its own.
    pub ipc: NamespaceMode,
}

/// Reads the modes; values this version of CRI does not define count as the default.
pub fn namespace_modes(options: Option<&NamespaceOption>) -> NamespaceModes {
    let mode = |value: i32, default| NamespaceMode::try_from(value).unwrap_or(default);
    match options {
        None => NamespaceModes { network: NamespaceMode::Pod, pid: NamespaceMode::Container, ipc: NamespaceMode::Pod },
        Some(options) => NamespaceModes {
            network: mode(options.network, NamespaceMode::Pod),
            pid: mode(options.pid, NamespaceMode::Container),
            ipc: mode(options.ipc, NamespaceMode::Pod),
        },
    }
}

/// Namespace options of a sandbox's configuration.
pub fn sandbox_modes(config: &PodSandboxConfig) -> NamespaceModes {
    let security = config.linux.as_ref().and_then(|linux| linux.security_context.as_ref());
    namespace_modes(security.and_then(|security| security.namespace_options.as_ref()))
}

/// The cgroup below which everything of the sandbox lives.
pub fn cgroup_parent(config: &PodSandboxConfig, cgroup_root: &str) -> String {
    let given = config.linux.as_ref().map(|linux| linux.cgroup_parent.trim_matches('/')).unwrap_or_default();
    if given.is_empty() { cgroup_root.to_owned() } else { given.to_owned() }
}

/// Plans a sandbox.
///
/// # Errors
/// [`cri::Error::InvalidArgument`] for what this runtime cannot do.
pub fn plan_sandbox(
    id: &str,
    config: &PodSandboxConfig,
    cgroup_root: &str,
    host: &HostFiles,
) -> cri::Result<SandboxSpec> {
    let linux = config.linux.clone().unwrap_or_default();
    let options = linux.security_context.and_then(|security| security.namespace_options);
    let users = user_range(options.as_ref())?;
    let modes = namespace_modes(options.as_ref());
    let hosts = [modes.network, modes.pid, modes.ipc].contains(&NamespaceMode::Node);
    if users.is_some() && hosts {
        return Err(invalid("a sandbox with a user namespace cannot share the host's network, processes or IPC"));
    }
    let own_network = modes.network != NamespaceMode::Node;
    let mut sysctls: BTreeMap<String, String> = BTreeMap::new();
    if own_network {
        let known = NETWORK_SYSCTLS.into_iter().filter(|(name, _)| users.is_none() || *name != PING_GROUPS);
        sysctls.extend(known.map(|(name, value)| (name.to_owned(), value.to_owned())));
    }
    sysctls.extend(linux.sysctls);
    Ok(SandboxSpec {
        id: id.to_owned(),
        hostname: own_network.then(|| config.hostname.clone()).filter(|name| !name.is_empty()),
        own_network,
        own_ipc: modes.ipc != NamespaceMode::Node,
        shared_pid: modes.pid == NamespaceMode::Pod,
        users,
        sysctls,
        cgroup: format!("{}/{id}", cgroup_parent(config, cgroup_root)),
        files: files(config, host),
        shm_bytes: SHM_BYTES,
        oom_score_adj: OOM_SCORE_ADJ,
    })
}

fn invalid(words: &str) -> cri::Error {
    cri::Error::InvalidArgument(words.into())
}

/// Ids of the host for a user namespace, if the namespaces asked for include one.
///
/// # Errors
/// [`cri::Error::InvalidArgument`] for a namespace to be shared, and for mappings of another shape than one range for
/// users and groups alike that leaves the host's root out.
pub fn user_range(options: Option<&NamespaceOption>) -> cri::Result<Option<IdRange>> {
    let Some(users) = options.and_then(|options| options.userns_options.as_ref()) else { return Ok(None) };
    match NamespaceMode::try_from(users.mode) {
        Ok(NamespaceMode::Node) => return Ok(None),
        Ok(NamespaceMode::Pod) => {}
        _ => return Err(invalid("a user namespace is the Pod's own or the host's")),
    }
    if users.uids != users.gids {
        return Err(invalid("user namespaces need the same mapping for users and groups"));
    }
    id_range(&users.uids).map(Some)
}

/// Those of a sandbox's configuration.
///
/// # Errors
/// As [`user_range`].
pub fn sandbox_users(config: &PodSandboxConfig) -> cri::Result<Option<IdRange>> {
    let security = config.linux.as_ref().and_then(|linux| linux.security_context.as_ref());
    user_range(security.and_then(|security| security.namespace_options.as_ref()))
}

/// The one range of a mapping.
///
/// # Errors
/// [`cri::Error::InvalidArgument`] for a mapping of another shape.
pub fn id_range(mappings: &[IDMapping]) -> cri::Result<IdRange> {
    match mappings {
        [IDMapping { host_id: first, container_id: 0, length }]
            if *first > 0 && *length > 0 && first.checked_add(*length).is_some() =>
        {
            Ok(IdRange { first: *first, length: *length })
        }
        _ => Err(invalid("user namespaces need one range of ids, from 0 in the container, without 0 on the host")),
    }
}

/// What the network is asked for.
///
/// # Errors
/// [`cri::Error::InvalidArgument`] for a port or address that is none.
pub fn plan_network(id: &str, config: &PodSandboxConfig) -> cri::Result<PodNetworkRequest> {
    let metadata = config.metadata.clone().unwrap_or_default();
    let mappings = config.port_mappings.iter().filter(|mapping| mapping.host_port > 0).map(|mapping| {
        let port = |number: i32| {
            u16::try_from(number).map_err(|_| cri::Error::InvalidArgument(format!("{number} is not a port")))
        };
        let host_ip = match mapping.host_ip.as_str() {
            "" => None,
            text => Some(
                text.parse::<IpAddr>()
                    .map_err(|_| cri::Error::InvalidArgument(format!("host IP {text:?} is not an address")))?,
            ),
        };
        Ok(PodPortMapping {
            protocol: Protocol::try_from(mapping.protocol).unwrap_or(Protocol::Tcp),
            container_port: port(mapping.container_port)?,
            host_port: port(mapping.host_port)?,
            host_ip,
        })
    });
    Ok(PodNetworkRequest {
        sandbox_id: id.to_owned(),
        pod_namespace: metadata.namespace,
        pod_name: metadata.name,
        pod_uid: metadata.uid,
        port_mappings: mappings.collect::<cri::Result<_>>()?,
    })
}

/// Files of the host a sandbox may show.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct HostFiles {
    /// `/etc/hosts`.
    pub hosts: String,
    /// `/etc/resolv.conf`.
    pub resolv_conf: String,
}

/// Name of the sandbox's file with its host name.
pub const HOSTNAME: &str = "hostname";
/// Name of the sandbox's file with its host table.
pub const HOSTS: &str = "hosts";
/// Name of the sandbox's file about name resolution.
pub const RESOLV_CONF: &str = "resolv.conf";

fn files(config: &PodSandboxConfig, host: &HostFiles) -> BTreeMap<String, String> {
    let resolv_conf = resolv_conf(config).unwrap_or_else(|| host.resolv_conf.clone());
    let files = [(HOSTNAME, format!("{}\n", config.hostname)), (HOSTS, host.hosts.clone()), (RESOLV_CONF, resolv_conf)];
    files.into_iter().map(|(name, content)| (name.to_owned(), content)).collect()
}

/// `/etc/resolv.conf` of the Pod, or `None` to show the host's.
pub fn resolv_conf(config: &PodSandboxConfig) -> Option<String> {
    let dns = config.dns_config.as_ref()?;
    let mut text = String::new();
    if !dns.searches.is_empty() {
        text.push_str(&format!("search {}\n", dns.searches.join(" ")));
    }
    dns.servers.iter().for_each(|server| text.push_str(&format!("nameserver {server}\n")));
    if !dns.options.is_empty() {
        text.push_str(&format!("options {}\n", dns.options.join(" ")));
    }
    Some(text)
}
